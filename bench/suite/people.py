"""Many people at once: copies of one that the product itself made, with all its rows, in whatever form they have."""

from .database import without_indexes

# Which tables a person is in, with the column that names what the row belongs to.
TABLES = {
    "contacts": ("contacts", "id"),
    "contact_values": ("contacts", "contact_id"),
    "enrolments": ("contacts", "contact_id"),
    "messages": ("contacts", "contact_id"),
    "events": ("contacts", "contact_id"),
    "drafts": ("messages", "message_id"),
    "attempts": ("messages", "message_id"),
}
REFERENCES = {"contact_id": "contacts", "enrolment_id": "enrolments", "message_id": "messages"}


def copy(database, count, apart=0):
    """Makes `count` copies of the only contact, its rows in every table with new ids, addresses and event numbers. The
    planner looks at each `apart` milliseconds later than at the one before."""
    model = {table: [int(row) for row, in database.rows(model_rows(table))] for table in TABLES if table != "contact_values"}
    if len(model["contacts"]) != 1:
        raise ValueError(f"one contact is copied, and there are {len(model['contacts'])}")
    start = {table: next_id(database, table) for table in model}
    last = int(database.rows("SELECT COALESCE(MAX(sequence), 0) FROM events")[0][0])
    before, after, inserts = [], [], []
    for table in TABLES:
        rows = model.get(table, [None])
        if not rows:
            continue
        dropped, made = without_indexes(database, table)
        before, after = before + dropped, after + made
        inserts += [insert(database, table, model, start, (place, last), count, apart) for place in range(len(rows))]
    ends = [f"UPDATE id_blocks SET next = {start[table] + count * len(rows)} WHERE name = '{table}'"
            for table, rows in model.items() if rows and table != "drafts"]
    told = f"UPDATE event_counters SET last = {last + count * len(model['events'])}" if last else "SELECT 1"
    database.script(*before, *inserts, *after, *ends, told)
    database.settle()


def model_rows(table):
    key = "message_id" if table == "drafts" else "id"
    return f"SELECT {key} FROM {table} ORDER BY {key}"


def next_id(database, table):
    found = database.rows(f"SELECT next FROM id_blocks WHERE name = '{table}'")
    return int(found[0][0]) if found else 1


def insert(database, table, model, start, order, count, apart):
    """One statement: the row of the model at a place, so many times over."""
    place, last = order
    rows = model.get(table)

    def copied(of, at):
        """The id of the copy of the model's row `at` of a table."""
        return f"{start[of]} + (n.i - 1) * {len(model[of])} + {at}"

    address = "'copy' || CAST(n.i AS TEXT) || '@bench.example'"
    ours = {
        "email": address, "email_key": address, "address": address,
        "email_hash": database.hash_of(address), "address_hash": database.hash_of(address),
        "company": "CAST(n.i AS TEXT)", "created_at": "m.created_at + n.i / 1000",
        "sequence": f"CASE WHEN m.sequence IS NULL THEN NULL ELSE {last} + (n.i - 1) * {len(model['events'])} + {place} + 1 END",
        "text": "CASE WHEN m.name = 'company' THEN CAST(n.i AS TEXT) ELSE m.text END",
    }
    if table == "enrolments":
        ours |= {column: f"m.{column} + n.i * {apart}" for column in ("base_at", "next_run_at")}
    if table == "drafts":
        ours["message_id"] = copied("messages", place)
    elif rows:
        ours["id"] = copied(table, place)
    for column, of in REFERENCES.items():
        if (table, column) != ("drafts", "message_id") and model[of]:
            ours.setdefault(column, f"CASE WHEN m.{column} IS NULL THEN NULL ELSE {copied(of, 0)} END")
    columns = database.columns(table)
    values = ", ".join(ours.get(column, f"m.{column}") for column in columns)
    key = "message_id" if table == "drafts" else "id"
    which = f"m.{key} = {rows[place]}" if rows else f"m.contact_id = {model['contacts'][0]}"
    return (f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} m, {database.numbers(count)} "
            f"WHERE {which}")
