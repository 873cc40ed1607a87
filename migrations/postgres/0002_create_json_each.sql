-- Rows go into a statement as one JSON array parameter. SQLite has json_each(text) built in; this is the same
-- function for Postgres, so that one SQL text serves both.
CREATE FUNCTION json_each(rows TEXT) RETURNS TABLE (key BIGINT, value JSON)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 64 AS
$$ SELECT ordinality - 1, value FROM json_array_elements(rows::json) WITH ORDINALITY $$;

-- Lease time: the database's own clock, in milliseconds; the only now() in SQL.
CREATE FUNCTION database_millis() RETURNS BIGINT
LANGUAGE sql VOLATILE AS $$ SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) $$;
