"""How cost grows: the same work with ten and a hundred times as many people, messages and events there before."""

import time

from .. import people
from ..installation import Installation
from ..machine import Receiver, wait_for
from . import enrolment, sending
from .sleepers import idle

NAME = "growth"
ON = ["postgres", "sqlite"]
OPTIONS = {
    "before": ([10_000, 100_000, 1_000_000], [500, 5_000], "people who were written to before, each measured by itself"),
    "messages": (10_000, 500, "messages handed over on top of them"),
    "rate": (100.0, 50.0, "enrolments a second on top of them"),
    "seconds": (8.0, 2.0, "for how long"),
    "connections": (64, 64, "most enrolments under way at once"),
    "ahead": (25, 10, "seconds between the start of a campaign and its instant"),
    "idle": (10, 3, "seconds for which nothing is due"),
}
COLUMNS = {"people before": "before", "on disk MB": "disk_mb", "messages a second": "rate", "enrolment p50 ms": "p50",
           "p99 ms": "p99", "analytics ms": "analytics_ms", "leads' page ms": "leads_ms",
           "processor s for an idle minute": "idle_s"}
DONE = "SELECT COUNT(*) FROM events WHERE kind = 'email.sent' AND sequence IS NOT NULL"


def measure(machine, on, options):
    machine.needs(1e-5 * max(options.before))
    return [grown(machine, on, options, before) for before in options.before]


def grown(machine, on, options, before):
    """One installation with so many people of the past in it."""
    with Receiver(machine) as receiver, Installation(machine, on, receiver) as installation:
        campaign = told(installation)
        installation.stop()
        people.copy(installation.database, before - 1)
        idle_s = idle(installation, before, options)[0]["value"]
        size = installation.database.size() / 1e6
        installation.start_api()
        analytics = timed(lambda: installation.ask(f"/campaigns/{campaign}/analytics"))
        leads = timed(lambda: installation.ask("/leads?limit=100"))
        fresh = installation.campaign("enrolled")
        step = enrolment.step(installation, fresh, options.rate, options)
        seen = receiver.counts()["messages"]
        start = sending.planned(installation, options.messages, options.ahead)
        sent = sending.arrived(receiver, seen + options.messages, start, 300)
    return {"before": before, "disk_mb": size, "rate": round(options.messages / sent["seconds"]), "p50": step["p50"],
            "p99": step["p99"], "analytics_ms": analytics, "leads_ms": leads, "idle_s": idle_s}


def told(installation):
    """One person who was written to, with everything that is kept of it."""
    installation.start_api()
    installation.start_work()
    campaign = installation.campaign("before")
    installation.post(f"/campaigns/{campaign}/start", {})
    installation.enrol(campaign, 1)
    wait_for(lambda: int(installation.database.rows(DONE)[0][0]) == 1, 30, "the first message")
    wait_for(lambda: not installation.database.rows("SELECT id FROM events WHERE sequence IS NULL"), 30, "the sequencer")
    return campaign


def timed(ask):
    """The middle of five, in milliseconds."""
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        ask()
        took.append(1000 * (time.perf_counter() - begun))
    return sorted(took)[2]


def headlines(rows):
    few, many = rows[0], rows[-1]
    times = round(many["before"] / few["before"])
    return {f"messages a second with {times} times the data, against {few['before']:,} people":
            f"{many['rate']:,} / {few['rate']:,}",
            f"enrolment p99 ms with {times} times the data": f"{many['p99']:.1f} / {few['p99']:.1f}"}
