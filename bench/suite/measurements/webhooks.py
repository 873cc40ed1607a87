"""Webhooks from the POST of an event to its delivery, durable, against the bare rate of the receiver; and leads in bulk,
each of them an event."""

import json
import subprocess

from ..installation import Installation
from ..machine import RELEASE

NAME = "webhooks"
ON = ["postgres", "sqlite"]
OPTIONS = {
    "events": (20_000, 500, "events in a round"),
    "connections": (32, 8, "connections that post events"),
    "rounds": (3, 1, "rounds, each with every way in turn"),
}
COLUMNS = {"": "name", "events a second": "rate", "lowest": "lowest", "highest": "highest"}


def blast(options, *more):
    words = [RELEASE / "webhook-blast", "--events", options.events, "--connections", options.connections, *more]
    return json.loads(subprocess.check_output([str(word) for word in words]))["rate"]


def sendwright(machine, on, options, *more):
    with Installation(machine, on, SENDWRIGHT_WEBHOOKS_ALLOW_PRIVATE="1") as installation:
        installation.start_api()
        installation.start_work()
        return blast(options, "--api", f"127.0.0.1:{installation.port}", "--key", installation.key, *more)


def measure(machine, on, options):
    ways = {
        "the receiver alone": lambda: blast(options),
        "one event a POST": lambda: sendwright(machine, on, options),
        "leads in bulk": lambda: sendwright(machine, on, options, "--bulk", 1_000),
    }
    rates = {name: sorted(way() for _ in range(options.rounds)) for name, way in ways.items()}
    return [{"name": name, "rate": found[len(found) // 2], "lowest": found[0], "highest": found[-1]}
            for name, found in rates.items()]


def headlines(rows):
    return {f"webhook events delivered a second, {row['name']}": row["rate"] for row in rows[1:]}
