-- The ledger of consent is a chain for every address on every channel: each line has its place, from 1, and the hash of
-- the line before it. Lines from before the chain keep an order of their own and belong to none.
ALTER TABLE consents ADD COLUMN place BIGINT NOT NULL DEFAULT 0;
ALTER TABLE consents ADD COLUMN wording TEXT;
ALTER TABLE consents ADD COLUMN previous TEXT NOT NULL DEFAULT '';
ALTER TABLE consents ADD COLUMN hash TEXT NOT NULL DEFAULT '';
UPDATE consents SET place = -id;
DROP INDEX consents_by_address;
CREATE UNIQUE INDEX consents_by_place ON consents (account_id, channel, address_hash, place);

-- Where each chain ends.
ALTER TABLE consent_states ADD COLUMN place BIGINT NOT NULL DEFAULT 0;
ALTER TABLE consent_states ADD COLUMN hash TEXT NOT NULL DEFAULT '';
INSERT INTO consent_states (account_id, channel, address_hash, state, at)
    SELECT account_id, channel, address_hash, 'opt_out', created_at FROM suppressions WHERE why = 'opt_out';

-- What consent_states say of a contact's number, the strictest of its channels, kept beside whatever writes them: lists
-- and counts by consent are read from an index.
ALTER TABLE contacts ADD COLUMN consent TEXT;
CREATE INDEX contacts_by_consent ON contacts (account_id, consent, created_at, id)
    WHERE phone_key IS NOT NULL AND state <> 'deleted';
CREATE INDEX contacts_with_phone ON contacts (account_id, created_at, id)
    WHERE phone_key IS NOT NULL AND state <> 'deleted';
CREATE INDEX inbound_by_contact ON inbound (account_id, contact_id, received_at) WHERE contact_id IS NOT NULL;
