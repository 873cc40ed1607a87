"""Very many enrolments asleep: what they cost while nothing is due, and what it takes to find who wakes."""

import time

from .. import people
from ..database import due_statement, statement
from ..installation import Installation
from ..machine import Receiver, wait_for
from ..processes import Spent
from .latency import late

NAME = "sleepers"
ON = ["postgres", "sqlite"]
OPTIONS = {
    "people": (10_000_000, 20_000, "people asleep"),
    "waking": (200, 20, "of them, who wake one after another while it is watched"),
    "idle": (30, 5, "seconds for which nothing is due"),
}
COLUMNS = {"": "what", "people": "people", "value": "value", "unit": "unit", "plan": "plan"}
DAYS = 30
DAY = 86_400_000
# How long the campaign's step waits, in milliseconds.
WAIT = 20_000
# What a sweep and an idle plan lane ask, by file and function of the store.
ASKED = {
    "which campaigns have somebody due": ("planning.rs", "campaigns_with_due", lambda now, campaign: [now]),
    "when is somebody due next": ("planning.rs", "next_look", lambda now, campaign: []),
    "how many are due": ("planning.rs", "count_due", lambda now, campaign: [campaign, now, 500, True]),
    "is a campaign through": ("due.rs", "campaigns_through", lambda now, campaign: []),
}


def measure(machine, on, options):
    machine.needs(1.7e-6 * options.people)
    with Receiver(machine) as receiver, Installation(machine, on, receiver) as installation:
        campaign = asleep(installation)
        rows = idle(installation, 1, options)
        begun = time.monotonic()
        people.copy(installation.database, options.people - 1, DAYS * DAY // options.people)
        rows.append(row("filling by SQL", options.people, time.monotonic() - begun, "s"))
        rows.append(row("on disk", options.people, installation.database.size() / 1e6, "MB"))
        rows += asked(installation.database, campaign, options)
        rows += idle(installation, options.people, options)
        return rows + woken(installation, receiver, options)


def asleep(installation):
    """A running campaign whose only step waits, and one person whom the planner has put to sleep until tomorrow."""
    database = installation.database
    installation.start_api()
    installation.start_work()
    campaign = installation.campaign(delay_seconds=WAIT // 1000)
    installation.enrol(campaign, 1)
    installation.post(f"/campaigns/{campaign}/start", {})
    sleeping = f"SELECT COUNT(*) FROM enrolments WHERE next_run_at > {int(1000 * time.time()) + WAIT // 2}"
    wait_for(lambda: int(database.rows(sleeping)[0][0]) == 1, 30, "the planner to look")
    wait_for(lambda: not database.rows("SELECT id FROM events WHERE sequence IS NULL"), 30, "the sequencer")
    installation.stop()
    database.rows(f"UPDATE enrolments SET base_at = base_at + {DAY}, next_run_at = next_run_at + {DAY}")
    return int(database.rows("SELECT id FROM campaigns")[0][0])


def row(what, count, value, unit, plan=None):
    return {"what": what, "people": count, "value": value, "unit": unit, "plan": plan}


def idle(installation, count, options):
    """What all processes take together while they only ask."""
    installation.start_api()
    installation.start_work()
    time.sleep(3)
    spent = Spent(installation.processes())
    time.sleep(options.idle)
    seconds = spent.seconds()
    per_minute = {part: 60 * taken / spent.elapsed() for part, taken in seconds.items()}
    installation.stop()
    parts = ", ".join(f"{part} {taken:.2f}" for part, taken in per_minute.items())
    return [row("processor for a minute of nothing due", count, sum(per_minute.values()), "s", parts)]


def asked(database, campaign, options):
    now, rows = int(1000 * time.time()), []
    texts = {what: (statement(file, function), values(now, campaign))
             for what, (file, function, values) in ASKED.items()}
    texts["who is due"] = (due_statement(), [campaign, now, 500, True])
    for what, (text, values) in texts.items():
        plan, took = database.explain(text, values)
        rows.append(row(f"asking: {what}", options.people, took, "ms", told(plan)))
    return rows


def told(plan):
    """The tables and indexes that a plan goes by."""
    words = ("Scan", "SEARCH", "SCAN", "using")
    lines = (line.strip().removeprefix("->").strip().split("  (")[0] for line in plan)
    return "; ".join(dict.fromkeys(line.split(" (actual")[0] for line in lines if any(word in line for word in words)))


def woken(installation, receiver, options):
    """Some have slept enough, one every tenth of a second from a few seconds on; none before the campaign's start."""
    database, gap = installation.database, 100
    started = int(database.rows("SELECT started_at FROM campaigns")[0][0])
    first = max(int(1000 * time.time()) + 8_000, started + WAIT + 1_000)
    ids = [int(found) for found, in database.rows(f"SELECT id FROM enrolments ORDER BY id LIMIT {options.waking}")]
    database.script(*(f"UPDATE enrolments SET base_at = {first + place * gap - WAIT}, "
                      f"next_run_at = {first + place * gap - 5_000} WHERE id = {number}" for place, number in enumerate(ids)))
    installation.start_api()
    installation.start_work()
    wait_for(lambda: receiver.counts()["messages"] >= options.waking, 300, "all who wake to be written to")
    found = late(database, receiver.arrivals())
    return [row(f"from due to accepted, {part}", options.people, found[part], "ms") for part in ("p50", "p99", "max")]


def headlines(rows):
    found = {row["what"]: row for row in rows}
    many = found["on disk"]["people"]
    told = {f"MB on disk, {many:,} asleep": found["on disk"]["value"],
            "ms to find that nobody is due": found["asking: which campaigns have somebody due"]["value"]}
    for row in rows:
        if row["what"].startswith("processor"):
            told[f"processor seconds for a minute of nothing due, {row['people']:,} asleep"] = row["value"]
    told[f"ms from due to accepted, p50 / p99, out of {many:,}"] = (
        f"{found['from due to accepted, p50']['value']:.0f} / {found['from due to accepted, p99']['value']:.0f}")
    return told
