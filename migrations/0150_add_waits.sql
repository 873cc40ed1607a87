-- The state of a message for as long as it waits to be found by it; empty from its intent on. What finds those rows names
-- this column, so that an acceptance, which changes `state` alone, makes no entry in any index on Postgres.
ALTER TABLE messages ADD COLUMN waits TEXT GENERATED ALWAYS AS (CASE WHEN state IN ('scheduled', 'writing', 'drafted',
    'claimed', 'held', 'uncertain') THEN state END) STORED;
DROP INDEX messages_due;
DROP INDEX messages_unwritten;
DROP INDEX messages_written_early;
DROP INDEX messages_in_hand;
DROP INDEX messages_waiting_for_people;
CREATE INDEX messages_due ON messages (profile_id, campaign_id, planned_at, enrolment_id) WHERE waits = 'drafted';
CREATE INDEX messages_unwritten ON messages (account_id, planned_at, id) WHERE waits = 'scheduled';
CREATE INDEX messages_written_early ON messages (account_id, write_at, id)
    WHERE waits = 'scheduled' AND write_at IS NOT NULL;
-- Those whose hand-over is under way are found by their open attempts.
CREATE INDEX messages_in_hand ON messages (worker_id) WHERE waits IN ('writing', 'claimed');
CREATE INDEX messages_waiting_for_people ON messages (account_id, waits, id) WHERE waits IN ('held', 'uncertain');
