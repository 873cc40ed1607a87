-- What the planner did without a message: `explain` reads it by enrolment. Partial, so that the events of
-- hand-overs pay nothing for it.
CREATE INDEX events_of_planning ON events (enrolment_id) WHERE kind IN ('step.skipped', 'enrolment.stopped');
