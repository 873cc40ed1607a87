-- How far each account's events are numbered. Its row's lock is the sequencer's.
CREATE TABLE event_counters (
    account_id BIGINT PRIMARY KEY,
    last BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE endpoints (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    url TEXT NOT NULL,
    description TEXT,
    -- The names it chose events by, a JSON list.
    events TEXT NOT NULL,
    -- 'enabled', 'disabled' or 'deleted'; `why` says who disabled it: 'hand', 'gone' or 'failing'.
    state TEXT NOT NULL,
    why TEXT,
    -- 'short', 'long', or 'own' with its waits in seconds, a JSON list.
    schedule TEXT NOT NULL,
    retry_schedule TEXT NOT NULL DEFAULT '[]',
    secret_sealed TEXT NOT NULL,
    -- The secret before the last rotation, which signs as well until then.
    previous_sealed TEXT,
    previous_until BIGINT,
    -- Since when it has had nothing but failures, and how many.
    failing_since BIGINT,
    failures BIGINT NOT NULL DEFAULT 0,
    -- The number of its last delivery: gapless.
    last_number BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX endpoints_by_account ON endpoints (account_id, created_at, id);

-- One row per event and endpoint that chose it. A claim only names the worker, so that no index is written for it; a
-- pending row whose worker is dead is anybody's.
CREATE TABLE deliveries (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    endpoint_id BIGINT NOT NULL,
    event_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    next_at BIGINT NOT NULL,
    -- Attempts of the present round: a replay begins anew. The fence counts claims for ever.
    attempts BIGINT NOT NULL DEFAULT 0,
    fence BIGINT NOT NULL DEFAULT 0,
    worker_id BIGINT,
    created_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE UNIQUE INDEX deliveries_by_number ON deliveries (endpoint_id, number);
CREATE INDEX deliveries_due ON deliveries (endpoint_id, next_at, number) WHERE state = 'pending';
CREATE INDEX deliveries_dead ON deliveries (endpoint_id, number) WHERE state = 'dead';

-- Every attempt, by the fence of the claim it was made under.
CREATE TABLE delivery_attempts (
    delivery_id BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    status BIGINT,
    duration_ms BIGINT NOT NULL,
    -- The first bytes of the answer.
    answer TEXT,
    error TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (delivery_id, fence)
);
