-- Mail that came back, as it came: kept whole, understood once, by the worker.
CREATE TABLE inbound (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    -- SHA-256 of the message: the same one twice is one.
    hash TEXT NOT NULL,
    -- 'api' or 'imap'; the polled profile where it is 'imap'.
    source TEXT NOT NULL,
    profile_id BIGINT,
    raw BYTEA NOT NULL,
    -- 'stored', 'understood' or 'failed'.
    state TEXT NOT NULL DEFAULT 'stored',
    tries BIGINT NOT NULL DEFAULT 0,
    -- When the worker looks at it, or looks again.
    look_at BIGINT NOT NULL,
    -- 'reply', 'bounce', 'delay', 'opt_out' or 'other'.
    kind TEXT,
    -- What it answers, and how that is known: 'token', 'message_id' or 'sender'.
    message_id BIGINT,
    campaign_id BIGINT,
    enrolment_id BIGINT,
    contact_id BIGINT,
    matched_by TEXT,
    sender TEXT,
    subject TEXT,
    classification TEXT,
    sentiment TEXT,
    snippet TEXT,
    detail TEXT,
    received_at BIGINT NOT NULL,
    understood_at BIGINT
);
CREATE UNIQUE INDEX inbound_once ON inbound (account_id, hash);
CREATE INDEX inbound_waiting ON inbound (look_at, id) WHERE state = 'stored';
CREATE INDEX inbound_by_age ON inbound (account_id, received_at, id);

-- An enrolment whose person has answered gets nothing more.
ALTER TABLE enrolments ADD COLUMN replied_at BIGINT;
