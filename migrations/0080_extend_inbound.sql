-- Text messages that people send stand beside the mail that comes back: `raw` is the form as it was posted,
-- `provider_id` what the provider calls the message, which is kept once. `profile_id` is the sender it was addressed to.
ALTER TABLE inbound ADD COLUMN channel TEXT NOT NULL DEFAULT 'email';
ALTER TABLE inbound ADD COLUMN provider_id TEXT;
ALTER TABLE inbound ADD COLUMN recipient TEXT;
ALTER TABLE inbound ADD COLUMN body TEXT;
CREATE UNIQUE INDEX inbound_by_provider_id ON inbound (provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX inbound_of_phones ON inbound (account_id, received_at, id) WHERE channel IN ('sms', 'whatsapp');

-- A person has asked in words of their own to be left alone: what is sent to them next waits for somebody to decide.
ALTER TABLE enrolments ADD COLUMN asked_at BIGINT;

-- Whom a number's answer belongs to, and what waits to be sent to it.
CREATE INDEX messages_to_phones ON messages (account_id, address_hash) WHERE channel IN ('sms', 'whatsapp');
