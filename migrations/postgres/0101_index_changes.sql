-- What changed lately is found by the pages that it lies on: reports of the last day read those alone. A few bytes a
-- megabyte, which a hand-over does not write.
CREATE INDEX messages_by_change ON messages USING brin (updated_at) WITH (autosummarize = on);
