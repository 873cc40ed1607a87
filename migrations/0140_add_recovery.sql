-- What a campaign was before a restored backup held it; it is that again once it is released.
ALTER TABLE campaigns ADD COLUMN held_from TEXT;
