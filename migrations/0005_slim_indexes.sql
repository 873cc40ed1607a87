-- Every index of a row is written again whenever the row moves on: the hot tables carry what is asked and no more.
-- A contact's enrolments are found by the unique index, a campaign's by one for every state of theirs.
DROP INDEX enrolments_of_contact;
DROP INDEX enrolments_by_contact;
DROP INDEX enrolments_active;
CREATE UNIQUE INDEX enrolments_by_contact ON enrolments (account_id, contact_id, campaign_id, round);
CREATE INDEX enrolments_by_campaign ON enrolments (campaign_id, round, state);
-- Events are born unnumbered.
DROP INDEX events_by_sequence;
CREATE UNIQUE INDEX events_by_sequence ON events (account_id, sequence) WHERE sequence IS NOT NULL;
