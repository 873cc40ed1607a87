-- Texts that campaigns copy when they are saved. What is deleted stays for the campaigns that name it.
CREATE TABLE templates (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    content TEXT NOT NULL,
    subject TEXT,
    -- 'handlebars' or 'brace'.
    syntax TEXT NOT NULL,
    -- What it is made for: 'sms', 'whatsapp' or 'email'.
    channel TEXT NOT NULL,
    -- A JSON list of names.
    variables TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE INDEX templates_by_age ON templates (account_id, created_at, id) WHERE deleted_at IS NULL;

-- Who is meant: a tree of conditions, as it was given.
CREATE TABLE segments (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    description TEXT,
    criteria TEXT NOT NULL,
    -- How many people were in it when it was last evaluated.
    size BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE INDEX segments_by_age ON segments (account_id, created_at, id) WHERE deleted_at IS NULL;

-- What conditions compare: one row a contact and name, kept in the transaction of every write of the contact; a
-- deleted contact has none. Texts are cut at 256 characters; number and instant are there where the text reads as one.
CREATE TABLE contact_values (
    account_id BIGINT NOT NULL,
    contact_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    number DOUBLE PRECISION,
    instant BIGINT,
    PRIMARY KEY (account_id, contact_id, name)
) /* in the order of its key */;
CREATE INDEX contact_values_by_text ON contact_values (account_id, name, text, contact_id);
CREATE INDEX contact_values_by_number ON contact_values (account_id, name, number, contact_id) WHERE number IS NOT NULL;
CREATE INDEX contact_values_by_instant ON contact_values (account_id, name, instant, contact_id)
    WHERE instant IS NOT NULL;

-- Windows of an account's contacts, in the order of their numbers.
CREATE INDEX contacts_by_id ON contacts (account_id, id);

-- What a campaign was made of, and whether those who come to be in its segment while it runs join it: 'snapshot' or
-- 'live'.
ALTER TABLE campaigns ADD COLUMN template_id BIGINT;
ALTER TABLE campaigns ADD COLUMN segment_id BIGINT;
ALTER TABLE campaigns ADD COLUMN audience TEXT;
CREATE INDEX campaigns_by_segment ON campaigns (segment_id) WHERE segment_id IS NOT NULL;

-- A run of kind 'expand' enrols who is in its segment: `reached` and `upto` are contacts there, `criteria` the
-- conditions as they were when it was asked for; a live one looks again from the beginning at `next_at`.
ALTER TABLE runs ADD COLUMN criteria TEXT;
ALTER TABLE runs ADD COLUMN next_at BIGINT;
CREATE INDEX runs_that_expand ON runs (campaign_id, round) WHERE kind = 'expand';
