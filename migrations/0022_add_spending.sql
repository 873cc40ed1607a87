-- What an account's texts may cost, and have cost, in millionths of the currency that the prices are in. A reserve stands
-- while a text is being written: what may be spent is taken before it is.
ALTER TABLE accounts ADD COLUMN spend_cap BIGINT;
CREATE TABLE spending (
    account_id BIGINT PRIMARY KEY,
    spent BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE spend_reserves (
    message_id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    amount BIGINT NOT NULL
);
CREATE INDEX spend_reserves_by_account ON spend_reserves (account_id);
