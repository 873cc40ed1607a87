-- What the provider says of messages on their way, as it comes, until a worker has acted on it: then the row is gone.
CREATE TABLE callbacks (
    id BIGINT PRIMARY KEY,
    -- The attempt that the called URL was signed for.
    attempt_id BIGINT,
    -- What the provider calls the message.
    provider_id TEXT NOT NULL,
    status TEXT NOT NULL,
    code BIGINT,
    -- The form as it was posted.
    raw TEXT NOT NULL,
    -- The profiles whose token it was signed with, a JSON list; 0 is the process's own token.
    proof TEXT NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    -- When a worker looks at it, or looks again.
    look_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL
);
CREATE INDEX callbacks_waiting ON callbacks (look_at, id);
