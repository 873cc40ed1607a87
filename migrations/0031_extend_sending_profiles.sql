-- What a sending profile knows beyond its server: how it signs, where answers come in, whether it tracks.
ALTER TABLE sending_profiles ADD COLUMN reply_domain TEXT;
ALTER TABLE sending_profiles ADD COLUMN dkim_domain TEXT;
ALTER TABLE sending_profiles ADD COLUMN dkim_selector TEXT;
ALTER TABLE sending_profiles ADD COLUMN dkim_sealed TEXT;
ALTER TABLE sending_profiles ADD COLUMN imap_sealed TEXT;
ALTER TABLE sending_profiles ADD COLUMN track_opens BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE sending_profiles ADD COLUMN track_clicks BOOLEAN NOT NULL DEFAULT FALSE;

-- Where the reading of a profile's mailbox stands. One worker reads it at a time, while `held_until` has not come.
CREATE TABLE imap_cursors (
    profile_id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    uid_validity BIGINT NOT NULL DEFAULT 0,
    last_uid BIGINT NOT NULL DEFAULT 0,
    fence BIGINT NOT NULL DEFAULT 0,
    held_until BIGINT NOT NULL DEFAULT 0,
    next_at BIGINT NOT NULL DEFAULT 0,
    failures BIGINT NOT NULL DEFAULT 0,
    why TEXT
);
