-- What is pruned is found by its age. Deliveries have no such index: it would cost every one of them, and their numbers are
-- in the order of time.
CREATE INDEX hits_judged ON hits (at, id) WHERE judged IS NOT NULL;
CREATE INDEX inbound_whole ON inbound (received_at, id) WHERE length(raw) > 0;
