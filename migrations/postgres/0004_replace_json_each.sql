-- The same function, read once into JSONB instead of once for every field, and said to give one row: a statement
-- that was planned while its tables were small would otherwise walk a whole index for ever after (docs/decisions/0001).
-- PL/pgSQL, because an SQL function is inlined and its ROWS forgotten.
DROP FUNCTION json_each(TEXT);
CREATE FUNCTION json_each(rows TEXT) RETURNS TABLE (key BIGINT, value JSONB)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 1 AS
$$
BEGIN
    RETURN QUERY SELECT place - 1, element FROM jsonb_array_elements(rows::jsonb) WITH ORDINALITY AS t (element, place);
END
$$;
