-- What a spend cap is counted over: all time, or the present month or day in the account's zone. What a day has cost is
-- kept by its date there.
ALTER TABLE accounts ADD COLUMN spend_period TEXT NOT NULL DEFAULT 'total';
CREATE TABLE spending_days (
    account_id BIGINT NOT NULL,
    day TEXT NOT NULL,
    spent BIGINT NOT NULL,
    PRIMARY KEY (account_id, day)
);
