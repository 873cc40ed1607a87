"""Where the time goes: what each stage of a message costs, by process and by statement."""

import re
import time

from ..installation import Installation
from ..machine import Receiver
from ..processes import Spent
from . import sending

NAME = "stages"
ON = ["postgres", "sqlite"]
OPTIONS = {
    "messages": (20_000, 500, "messages"),
    "ahead": (30, 12, "seconds between the start of the campaign and its instant"),
    "statements": (8, 3, "statements shown of each stage, those that take the longest"),
}
COLUMNS = {"stage": "stage", "what": "what", "seconds per 1,000 messages": "seconds", "calls": "calls", "rows": "rows",
           "WAL KiB": "wal_kib"}
STATEMENTS = """SELECT regexp_replace(query, '\\s+', ' ', 'g'), total_exec_time / 1000, calls, rows, wal_bytes / 1024
    FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid WHERE d.datname = current_database()
    ORDER BY total_exec_time DESC"""


class Stages:
    """Reads what was spent whenever one stage ends and the next begins."""

    def __init__(self, installation, receiver, options):
        self.installation, self.receiver, self.options, self.rows = installation, receiver, options, []

    def begin(self):
        if self.installation.on == "postgres":
            self.installation.database.rows("SELECT pg_stat_statements_reset()")
        self.spent = Spent(self.installation.processes() | {"receiver": self.receiver.process.pid})

    def end(self, stage):
        elapsed, per = self.spent.elapsed(), 1000 / self.options.messages
        parts = self.spent.seconds()
        self.rows += [{"stage": stage, "what": f"process {part}", "seconds": seconds * per}
                      for part, seconds in sorted(parts.items(), key=lambda item: -item[1])]
        self.rows.append({"stage": stage, "what": "by the clock", "seconds": elapsed * per})
        if self.installation.on == "postgres":
            self.rows += self.statements(stage, per)

    def statements(self, stage, per):
        found = self.installation.database.rows(STATEMENTS)
        numbers = [(text, *(float(number) * per for number in rest)) for text, *rest in found]
        rows = [dict(zip(("what", "seconds", "calls", "rows", "wal_kib"), one)) | {"stage": stage} for one in numbers]
        total = {key: sum(row[key] for row in rows) for key in ("seconds", "calls", "rows", "wal_kib")}
        shown = [row | {"what": f"`{brief(row['what'])}`"} for row in rows[:self.options.statements]]
        return [{"stage": stage, "what": "all statements, begun to ended"} | total, *shown]


def measure(machine, on, options):
    """Enrolling; planning and writing, in the time before the campaign's instant; handing over, from it on."""
    with Receiver(machine) as receiver, Installation(machine, on, receiver) as installation:
        if on == "postgres":
            installation.database.track("top")
        installation.start_api()
        stages = Stages(installation, receiver, options)
        stages.begin()
        start = int(time.time()) + options.ahead
        sending.enrolled(installation, options.messages, start)
        stages.end("enrol")
        installation.start_work()
        stages.begin()
        sending.written(installation, options.messages, start)
        stages.end("plan and write")
        sending.until(start)
        stages.begin()
        receiver.has(options.messages, 300, "Sendwright to send all")
        stages.end("hand over and record")
        return stages.rows


def brief(text):
    """A statement's beginning, without what SQL has to say."""
    text = re.sub(r"\(SELECT .*|\s*json_each.*", "…", text)
    return text[:88].replace("|", "\\|")


def headlines(rows):
    cpu = {}
    for row in rows:
        if row["what"].startswith("process "):
            cpu[row["stage"]] = cpu.get(row["stage"], 0) + row["seconds"]
    return {f"processor seconds per 1,000 messages: {stage}": seconds for stage, seconds in cpu.items()}
