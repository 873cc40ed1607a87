-- A file of people that is taken chunk by chunk. `processed` rows of it are committed, which is `created` + `updated` +
-- `errors`; `digest` names them, so that a file that comes again is known as the same one. `attempt` counts who took it up,
-- so that whoever was given up can commit no more of it.
CREATE TABLE imports (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    -- 'users' or 'leads'; the campaign that leads are enrolled in.
    kind TEXT NOT NULL,
    campaign_id BIGINT,
    -- The Idempotency-Key it came with.
    once TEXT,
    -- 'running', 'completed', 'interrupted' or 'failed'.
    state TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    processed BIGINT NOT NULL DEFAULT 0,
    created BIGINT NOT NULL DEFAULT 0,
    updated BIGINT NOT NULL DEFAULT 0,
    errors BIGINT NOT NULL DEFAULT 0,
    digest TEXT NOT NULL DEFAULT '',
    why TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX imports_by_age ON imports (account_id, created_at, id);
CREATE UNIQUE INDEX imports_once ON imports (account_id, once) WHERE once IS NOT NULL;

-- Every row that was not taken, by its place in the file.
CREATE TABLE import_errors (
    import_id BIGINT NOT NULL,
    place BIGINT NOT NULL,
    line BIGINT NOT NULL,
    field TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    provided TEXT,
    PRIMARY KEY (import_id, place)
);
