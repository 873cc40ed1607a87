-- Where a profile's text messages may go: two-letter countries, a JSON list. Empty: the process's own list.
ALTER TABLE sending_profiles ADD COLUMN allowed_countries TEXT;

-- An uncertain message whose provider can be asked: when it is, and how often it was.
ALTER TABLE messages ADD COLUMN look_at BIGINT;
ALTER TABLE messages ADD COLUMN looks BIGINT NOT NULL DEFAULT 0;
CREATE INDEX messages_to_look_for ON messages (look_at, id) WHERE look_at IS NOT NULL;

-- What goes with a text message beside its text: a content template of the provider's with its variables, and media.
ALTER TABLE steps ADD COLUMN content_sid TEXT;
ALTER TABLE steps ADD COLUMN content_variables TEXT;
ALTER TABLE steps ADD COLUMN media_urls TEXT;

-- The same as it goes to one person: rendered once, and the same for every attempt.
ALTER TABLE drafts ADD COLUMN enclosed TEXT;
