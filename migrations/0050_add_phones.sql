-- People by phone. A contact has one row, whatever channels reach it; its number is unique in the account, as its
-- address is. `phone` stays as it was given; `phone_key` is E.164 and `phone_hash` what suppressions and messages carry.
ALTER TABLE contacts ADD COLUMN phone_key TEXT;
ALTER TABLE contacts ADD COLUMN phone_hash TEXT;
CREATE UNIQUE INDEX contacts_by_phone ON contacts (account_id, phone_key) WHERE phone_key IS NOT NULL;
CREATE INDEX contacts_by_phone_hash ON contacts (account_id, phone_hash) WHERE phone_hash IS NOT NULL;

-- What the ledger of consent comes to, now: 'opt_in', 'opt_out' or 'stop', by address. Outlives the contact, as
-- suppressions do; whatever is not 'opt_in' there is suppressed as well. SMS and WhatsApp need 'opt_in', e-mail does not.
CREATE TABLE consent_states (
    account_id BIGINT NOT NULL,
    channel TEXT NOT NULL,
    address_hash TEXT NOT NULL,
    state TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (account_id, channel, address_hash)
);

-- A sending profile serves one channel. 'twilio' has its own account, sealed; 'default' follows TWILIO_*.
ALTER TABLE sending_profiles ADD COLUMN channel TEXT NOT NULL DEFAULT 'email';
ALTER TABLE sending_profiles ADD COLUMN from_phone TEXT;
ALTER TABLE sending_profiles ADD COLUMN messaging_service_sid TEXT;
ALTER TABLE sending_profiles ADD COLUMN twilio_account_sid TEXT;
ALTER TABLE sending_profiles ADD COLUMN twilio_sealed TEXT;
CREATE INDEX sending_profiles_by_phone ON sending_profiles (from_phone) WHERE from_phone IS NOT NULL;
CREATE INDEX sending_profiles_by_twilio ON sending_profiles (twilio_account_sid) WHERE twilio_account_sid IS NOT NULL;

-- What sends a campaign's steps of the other channels; `profile_id` sends its e-mail.
ALTER TABLE campaigns ADD COLUMN sms_profile_id BIGINT;
ALTER TABLE campaigns ADD COLUMN whatsapp_profile_id BIGINT;
CREATE INDEX campaigns_by_sms_profile ON campaigns (sms_profile_id, state) WHERE sms_profile_id IS NOT NULL;
CREATE INDEX campaigns_by_whatsapp_profile ON campaigns (whatsapp_profile_id, state)
    WHERE whatsapp_profile_id IS NOT NULL;

-- 'handlebars' or 'brace'.
ALTER TABLE steps ADD COLUMN syntax TEXT NOT NULL DEFAULT 'handlebars';

-- What the provider calls an attempt (Twilio's SID), and how far it says the message came.
ALTER TABLE attempts ADD COLUMN provider_id TEXT;
CREATE INDEX attempts_by_provider_id ON attempts (provider_id) WHERE provider_id IS NOT NULL;
ALTER TABLE messages ADD COLUMN provider_status TEXT;
ALTER TABLE messages ADD COLUMN provider_code BIGINT;
ALTER TABLE messages ADD COLUMN delivered_at BIGINT;
