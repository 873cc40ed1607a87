-- A run: what somebody asked of a whole campaign, and how far it is. `reached` is the last enrolment that was taken
-- on, `upto` the last one there was; `before` what had become of the round's messages by then.
CREATE TABLE runs (
    id BIGINT PRIMARY KEY,
    account_id BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    round BIGINT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    total BIGINT NOT NULL DEFAULT 0,
    already BIGINT NOT NULL DEFAULT 0,
    reached BIGINT NOT NULL DEFAULT 0,
    upto BIGINT NOT NULL,
    before TEXT NOT NULL DEFAULT '{}',
    counts TEXT,
    created_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX runs_by_account ON runs (account_id, created_at, id);
CREATE INDEX runs_open ON runs (campaign_id, id) WHERE state = 'running';

-- A text that a run asked for is planned and written from `write_at` on, however far its instant lies ahead.
ALTER TABLE enrolments ADD COLUMN run_id BIGINT;
CREATE INDEX enrolments_of_run ON enrolments (campaign_id, next_run_at, id) WHERE run_id IS NOT NULL;
ALTER TABLE messages ADD COLUMN run_id BIGINT;
ALTER TABLE messages ADD COLUMN write_at BIGINT;
CREATE INDEX messages_of_run ON messages (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX messages_written_early ON messages (account_id, write_at, id)
    WHERE state = 'scheduled' AND write_at IS NOT NULL;
