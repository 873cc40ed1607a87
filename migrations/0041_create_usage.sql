-- Requests by key, endpoint and hour: counted in memory, added here in groups.
CREATE TABLE usage (
    account_id BIGINT NOT NULL,
    key_id BIGINT NOT NULL,
    hour BIGINT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    PRIMARY KEY (account_id, hour, key_id, method, route)
);
