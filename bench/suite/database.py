"""An installation's database, asked and filled directly, with the same words for both."""

import hashlib
import re
import sqlite3
import time

from .machine import ROOT

# Indexes that statements made, and not constraints: they can be dropped and made again.
INDEXES = {
    "postgres": "SELECT i.indexname, i.indexdef FROM pg_indexes i WHERE i.tablename = '{table}' AND NOT EXISTS "
                "(SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)",
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = '{table}' AND sql IS NOT NULL",
}
FAST = "SET maintenance_work_mem = '1GB'; SET synchronous_commit = off;"


class Postgres:
    """A database of the machine's PostgreSQL."""

    on = "postgres"

    def __init__(self, machine, name):
        self.machine, self.name = machine, name

    def rows(self, query):
        return [line.split("\x1f") for line in self.machine.psql(self.name, query).splitlines()]

    def script(self, *statements):
        """For filling: nobody waits for the disk at every commit."""
        self.machine.psql(self.name, FAST + ";\n".join(statements) + ";")

    def columns(self, table):
        found = self.rows("SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' "
                          f"AND table_name = '{table}' AND is_generated = 'NEVER' ORDER BY ordinal_position")
        return [name for name, in found]

    def numbers(self, count):
        return f"generate_series(CAST(1 AS BIGINT), {count}) AS n(i)"

    def hash_of(self, text):
        return f"encode(sha256(CAST({text} AS bytea)), 'hex')"

    def settle(self):
        """As autovacuum would have by the time that somebody asks."""
        self.rows("VACUUM ANALYZE")
        self.rows("CHECKPOINT")

    def size(self):
        return int(self.rows(f"SELECT pg_database_size('{self.name}')")[0][0])

    def explain(self, text, values):
        """The plan of a statement as it is carried out, and its median time in milliseconds."""
        typed = ", ".join("boolean" if isinstance(value, bool) else "bigint" for value in values)
        words = ", ".join(str(value) for value in values)
        prepare = f"{session()} PREPARE asked {f'({typed})' if typed else ''} AS {text};"
        execute = f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) EXECUTE asked {f'({words})' if words else ''};"
        lines = [line for line, in self.rows(prepare + execute * 5)]
        took = sorted(float(line.split()[2]) for line in lines if line.startswith("Execution Time"))
        return lines[:next(n for n, line in enumerate(lines) if line.startswith("Planning"))], took[2]

    def track(self, what):
        """Has statements counted (`top`) or not (`none`), in sessions that begin from now on."""
        if what == "top":
            self.rows("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        self.rows(f"ALTER DATABASE {self.name} SET pg_stat_statements.track = '{what}'")


class Sqlite:
    """The file in a data directory, opened beside or between processes."""

    on = "sqlite"

    def __init__(self, home):
        self.path = home / "sendwright.db"

    def open(self):
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=60)
        connection.create_function("sha256_of", 1, lambda text: hashlib.sha256(text.encode()).hexdigest())
        return connection

    def rows(self, query, values=None):
        connection = self.open()
        try:
            return connection.execute(query, values or {}).fetchall()
        finally:
            connection.close()

    def script(self, *statements):
        """In one transaction that nobody waits for, and that nothing could take back."""
        connection = self.open()
        for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000", "threads = 2"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()

    def columns(self, table):
        return [row[1] for row in self.rows(f"PRAGMA table_info({table})")]

    def numbers(self, count):
        return f"(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n) AS n"

    def hash_of(self, text):
        return f"sha256_of({text})"

    def settle(self):
        """Nothing: the program itself never has statistics gathered, so that its plans are those of an empty file."""

    def size(self):
        return sum(file.stat().st_size for file in self.path.parent.glob(self.path.name + "*"))

    def explain(self, text, values):
        text = text.replace(" FOR UPDATE OF e SKIP LOCKED", "")
        named = {str(number + 1): value for number, value in enumerate(values)}
        connection, took = self.open(), []
        connection.execute("PRAGMA cache_size = -65536")
        for _ in range(5):
            begun = time.perf_counter()
            connection.execute(text, named).fetchall()
            took.append(1000 * (time.perf_counter() - begun))
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", named)]
        connection.close()
        return plan, sorted(took)[2]


def without_indexes(database, table):
    """Statements that drop a table's indexes, and those that make them again."""
    found = database.rows(INDEXES[database.on].format(table=table))
    return [f"DROP INDEX {name}" for name, _ in found], [text for _, text in found]


def session():
    """The settings that the program gives its sessions, as they stand in the source: plans depend on them."""
    source = (ROOT / "store" / "src" / "db.rs").read_text()
    options = source[source.index(".options(["):source.index(".statement_cache_capacity")]
    return " ".join(f"SET {name} = '{value}';" for name, value in re.findall(r'\("(\w+)", "(\w|[\w.]+)"\)', options))


def statement(file, function):
    """The first statement in a function of the store, as it stands in the source: what is explained is what runs."""
    source = (ROOT / "store" / "src" / file).read_text()
    body = source[source.index(f"fn {function}("):]
    return re.search(r'"((?:SELECT|WITH|UPDATE)[^"]*)"', body).group(1)


def due_statement():
    """The look at a campaign's due enrolments, put together as the macro `due_sql!` does for e-mail."""
    source = (ROOT / "store" / "src" / "planning.rs").read_text()
    text = source[source.index('"SELECT e.id, e.contact_id, e.settled') + 1:]
    text = text[:text.index('", $lock)')]
    return text.replace(', ", $columns, "', "").replace('", $joins, "', "") + " FOR UPDATE OF e SKIP LOCKED"
