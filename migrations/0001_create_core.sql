-- Instants are BIGINT unix milliseconds, slots BIGINT unix microseconds; ids come from id_blocks.
-- The same text runs on SQLite and on Postgres; migrations/postgres holds what Postgres alone needs.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE id_blocks (
    name TEXT PRIMARY KEY,
    next BIGINT NOT NULL
);

CREATE TABLE accounts (
    id BIGINT PRIMARY KEY,
    parent_id BIGINT,
    name TEXT NOT NULL,
    mode TEXT NOT NULL DEFAULT 'live',
    timezone TEXT NOT NULL DEFAULT 'UTC',
    active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX accounts_by_name ON accounts (name);

CREATE TABLE users (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    email TEXT NOT NULL,
    password_hash TEXT,
    role TEXT NOT NULL DEFAULT 'owner',
    active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_by_email ON users (account_id, email);

-- A tier is data: {"external": [{"limit": 1000, "seconds": 3600}, …], "v1": […]}; an absent dialect is unlimited.
CREATE TABLE tiers (
    name TEXT PRIMARY KEY,
    limits TEXT NOT NULL
);
INSERT INTO tiers (name, limits) VALUES
    ('standard', '{"external":[{"limit":1000,"seconds":3600},{"limit":10,"seconds":1}],"v1":[{"limit":100,"seconds":60}]}'),
    ('unlimited', '{}');

CREATE TABLE keys (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    user_id BIGINT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    hash TEXT NOT NULL,
    scopes TEXT NOT NULL DEFAULT '[]',
    tier TEXT NOT NULL DEFAULT 'standard' REFERENCES tiers (name),
    mode TEXT NOT NULL DEFAULT 'live',
    expires_at BIGINT,
    revoked_at BIGINT,
    last_used_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX keys_by_prefix ON keys (prefix);
CREATE INDEX keys_by_account ON keys (account_id, id);

CREATE TABLE contacts (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    external_id TEXT,
    email TEXT,
    -- The normalised address, unique per account; the address hash that suppressions and messages carry.
    email_key TEXT,
    email_hash TEXT,
    first_name TEXT,
    last_name TEXT,
    company TEXT,
    title TEXT,
    phone TEXT,
    website TEXT,
    industry TEXT,
    timezone TEXT,
    attributes TEXT NOT NULL DEFAULT '{}',
    state TEXT NOT NULL DEFAULT 'active',
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX contacts_by_email ON contacts (account_id, email_key);
CREATE INDEX contacts_by_age ON contacts (account_id, created_at, id);
CREATE INDEX contacts_by_external_id ON contacts (account_id, external_id) WHERE external_id IS NOT NULL;

-- The ledger of consent: rows are added and never changed.
CREATE TABLE consents (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    contact_id BIGINT,
    channel TEXT NOT NULL,
    address_hash TEXT NOT NULL,
    state TEXT NOT NULL,
    source TEXT NOT NULL,
    actor TEXT NOT NULL,
    evidence TEXT NOT NULL DEFAULT '{}',
    at BIGINT NOT NULL
);
CREATE INDEX consents_by_address ON consents (account_id, channel, address_hash, at);

-- What may not be sent to, now. Outlives the contact: it knows the hash and a hint, not the address.
CREATE TABLE suppressions (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    channel TEXT NOT NULL,
    address_hash TEXT NOT NULL,
    hint TEXT NOT NULL,
    why TEXT NOT NULL,
    source TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX suppressions_by_address ON suppressions (account_id, channel, address_hash);
CREATE INDEX suppressions_by_age ON suppressions (account_id, created_at, id);

CREATE TABLE sending_profiles (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    -- 'smtp' has its own sealed url; 'default' follows the process's SMTP_URL, or the mailbox under `up`.
    transport TEXT NOT NULL,
    url_sealed TEXT,
    from_email TEXT,
    from_name TEXT,
    reply_to TEXT,
    per_second DOUBLE PRECISION,
    per_minute BIGINT,
    per_day BIGINT,
    timezone TEXT NOT NULL DEFAULT 'UTC',
    on_uncertain TEXT,
    state TEXT NOT NULL DEFAULT 'active',
    paused_until BIGINT,
    why TEXT,
    failures BIGINT NOT NULL DEFAULT 0,
    is_default BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX sending_profiles_by_name ON sending_profiles (account_id, name);

-- The state of limits: owner 'profile' or 'campaign'. Slots are given out under this row's lock.
CREATE TABLE gates (
    owner TEXT NOT NULL,
    owner_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    next BIGINT NOT NULL DEFAULT 0,
    minute_start BIGINT NOT NULL DEFAULT 0,
    minute_count BIGINT NOT NULL DEFAULT 0,
    day_start BIGINT NOT NULL DEFAULT 0,
    day_count BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (owner, owner_id)
);

CREATE TABLE campaigns (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    external_id TEXT,
    name TEXT NOT NULL,
    description TEXT,
    state TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    -- The version every enrolment has been mapped to; below `version` a background pass is owed.
    mapped_version BIGINT NOT NULL DEFAULT 1,
    round BIGINT NOT NULL DEFAULT 1,
    completed_round BIGINT NOT NULL DEFAULT 0,
    profile_id BIGINT NOT NULL REFERENCES sending_profiles (id),
    policy TEXT NOT NULL DEFAULT '{}',
    schedule_at BIGINT,
    started_at BIGINT,
    completed_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX campaigns_by_account ON campaigns (account_id, id);
CREATE INDEX campaigns_at_work ON campaigns (state, profile_id) WHERE state IN ('running', 'scheduled');

CREATE TABLE steps (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    campaign_id BIGINT NOT NULL REFERENCES campaigns (id),
    version BIGINT NOT NULL,
    step_number BIGINT NOT NULL,
    name TEXT NOT NULL,
    channel TEXT NOT NULL,
    subject TEXT,
    template TEXT,
    ai_prompt TEXT,
    delay_days BIGINT NOT NULL DEFAULT 0,
    delay_hours BIGINT NOT NULL DEFAULT 0,
    delay_minutes BIGINT NOT NULL DEFAULT 0,
    delay_seconds BIGINT NOT NULL DEFAULT 0,
    include_previous_emails BOOLEAN NOT NULL DEFAULT FALSE,
    active BOOLEAN NOT NULL DEFAULT TRUE
);
CREATE UNIQUE INDEX steps_by_number ON steps (account_id, campaign_id, version, step_number);

-- The busy tables from here on have no foreign keys: each would cost a look-up and a row lock per row written, and
-- nothing is ever deleted that they name.
CREATE TABLE enrolments (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    round BIGINT NOT NULL,
    contact_id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    -- Where it stands: the last settled step and the instant the next delay counts from.
    settled BIGINT NOT NULL DEFAULT 0,
    base_at BIGINT NOT NULL,
    -- When the planner looks next, some time ahead of the step's due instant; empty while a message of it is open or nothing is left.
    next_run_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX enrolments_by_contact ON enrolments (account_id, campaign_id, round, contact_id);
CREATE INDEX enrolments_due ON enrolments (campaign_id, next_run_at, id) WHERE next_run_at IS NOT NULL;
CREATE INDEX enrolments_active ON enrolments (campaign_id, round) WHERE state = 'active';
CREATE INDEX enrolments_of_contact ON enrolments (contact_id);

-- A test send has kind 'test', campaign_id and enrolment_id 0, and its own id for a round: outside the counts, and
-- never one too many.
CREATE TABLE messages (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    kind TEXT NOT NULL DEFAULT 'step',
    campaign_id BIGINT NOT NULL,
    round BIGINT NOT NULL,
    enrolment_id BIGINT NOT NULL,
    contact_id BIGINT NOT NULL,
    profile_id BIGINT NOT NULL,
    step_id BIGINT NOT NULL,
    step_number BIGINT NOT NULL,
    version BIGINT NOT NULL,
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    address_hash TEXT NOT NULL,
    zone TEXT NOT NULL,
    state TEXT NOT NULL,
    -- The planned instant: past every pure gate, before any limit.
    planned_at BIGINT NOT NULL,
    -- The planner's decision with its inputs, as it was taken; then every reason since.
    decision TEXT NOT NULL,
    reasons TEXT NOT NULL DEFAULT '[]',
    slot BIGINT,
    fence BIGINT NOT NULL DEFAULT 0,
    worker_id BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0,
    crashes BIGINT NOT NULL DEFAULT 0,
    approved BOOLEAN NOT NULL DEFAULT FALSE,
    accepted_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX messages_once ON messages (account_id, campaign_id, round, step_number, channel, address_hash);
CREATE INDEX messages_due ON messages (profile_id, campaign_id, planned_at, enrolment_id) WHERE state = 'drafted';
CREATE INDEX messages_unwritten ON messages (account_id, planned_at, id) WHERE state = 'scheduled';
CREATE INDEX messages_in_hand ON messages (worker_id) WHERE state IN ('writing', 'claimed', 'sending');
CREATE INDEX messages_of_enrolment ON messages (enrolment_id, step_number);
CREATE INDEX messages_waiting_for_people ON messages (account_id, state, id) WHERE state IN ('held', 'uncertain');

-- A message's text, apart from its state: states change often, texts once.
CREATE TABLE drafts (
    message_id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    -- 'template', 'model', 'offline' or 'hand'.
    writer TEXT NOT NULL,
    -- Model, prompt hash, tokens, attempts.
    writing TEXT NOT NULL DEFAULT '{}',
    created_at BIGINT NOT NULL
);

CREATE TABLE attempts (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    worker_id BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    slot BIGINT NOT NULL,
    state TEXT NOT NULL,
    stage TEXT,
    reply BIGINT,
    detail TEXT,
    intent_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX attempts_of_message ON attempts (message_id, id);
CREATE INDEX attempts_open ON attempts (worker_id) WHERE state = 'sending';

-- Events are inserted unnumbered in the transaction of what happened; the sequencer gives `sequence`.
CREATE TABLE events (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    sequence BIGINT,
    kind TEXT NOT NULL,
    campaign_id BIGINT,
    contact_id BIGINT,
    enrolment_id BIGINT,
    message_id BIGINT,
    data TEXT NOT NULL DEFAULT '{}',
    at BIGINT NOT NULL
);
CREATE UNIQUE INDEX events_by_sequence ON events (account_id, sequence);
CREATE INDEX events_unnumbered ON events (account_id, id) WHERE sequence IS NULL;

CREATE TABLE audits (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    noun TEXT NOT NULL,
    noun_id BIGINT,
    request_id TEXT,
    data TEXT NOT NULL DEFAULT '{}',
    at BIGINT NOT NULL
);
CREATE INDEX audits_by_account ON audits (account_id, id);

CREATE TABLE idempotency_keys (
    account_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    status BIGINT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- A worker process. It lives while `beat` moves, by the observer's own boot-time clock; no instant is compared.
CREATE TABLE workers (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    open_limit BIGINT NOT NULL,
    beat BIGINT NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'alive',
    started_at BIGINT NOT NULL
);
CREATE INDEX workers_alive ON workers (state) WHERE state = 'alive';

-- The captured mailbox of `up` and of test keys: what would have gone out.
CREATE TABLE mailbox (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    attempt_id BIGINT NOT NULL,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    raw TEXT NOT NULL,
    received_at BIGINT NOT NULL
);
CREATE INDEX mailbox_by_account ON mailbox (account_id, id);
