-- Pixels that were loaded and links that were followed, as they came; a worker judges whether that was a person.
CREATE TABLE hits (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    -- 'open' or 'click'.
    kind TEXT NOT NULL,
    url TEXT,
    method TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    address_prefix TEXT NOT NULL,
    -- 'person' or 'scanner', and by what.
    judged TEXT,
    why TEXT,
    at BIGINT NOT NULL
);
CREATE INDEX hits_waiting ON hits (at, id) WHERE judged IS NULL;
CREATE INDEX hits_of_message ON hits (message_id, at);

-- When a person first did.
ALTER TABLE messages ADD COLUMN opened_at BIGINT;
ALTER TABLE messages ADD COLUMN clicked_at BIGINT;
