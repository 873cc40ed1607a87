"""From the instant a message is due to its acceptance by the receiver, where nothing else goes on."""

import random
import time

from ..installation import Installation
from ..machine import Receiver, wait_for

NAME = "latency"
ON = ["postgres", "sqlite"]
OPTIONS = {
    "messages": (300, 20, "messages of each kind, one at a time"),
    "pause": (0.3, 0.3, "seconds between them, on average"),
}
COLUMNS = {"due": "due", "messages": "messages", "p50 ms": "p50", "p90 ms": "p90", "p99 ms": "p99", "max ms": "max"}
SLEEP = 20


def measure(machine, on, options):
    """Due at once: the person is enrolled in a running campaign. Asleep: the same with a step that waits."""
    with Receiver(machine) as receiver, Installation(machine, on, receiver) as installation:
        installation.start_api()
        installation.start_work()
        kinds = {"at once, when the API enrols": {}, f"after {SLEEP} s of sleep": {"delay_seconds": SLEEP}}
        return [kind(installation, receiver, words, step, options) for words, step in kinds.items()]


def kind(installation, receiver, words, step, options):
    campaign = installation.campaign(words, **step)
    installation.post(f"/campaigns/{campaign}/start", {})
    before, dice = receiver.counts()["messages"], random.Random(1)
    for number in range(options.messages):
        email = f"{len(words)}-{number}@bench.example"
        installation.post("/leads", {"email": email, "company": str(number), "campaign_id": campaign})
        time.sleep(dice.uniform(0, 2 * options.pause))
    wait_for(lambda: receiver.counts()["messages"] >= before + options.messages, 60 + SLEEP, words)
    return {"due": words, "messages": options.messages} | late(installation.database, receiver.arrivals()[before:])


def late(database, arrivals):
    """How long after its due instant each message was accepted, in milliseconds."""
    due = {int(message): int(at) for message, at in database.rows("SELECT id, planned_at FROM messages")}
    took = sorted(1000 * at - due[number(name)] for at, name in arrivals)
    return {f"p{part}": took[min(len(took) - 1, len(took) * part // 100)] for part in (50, 90, 99)} | {"max": took[-1]}


def number(message_id):
    """The message's row, which its Message-ID has: <m-7.epoch@domain>."""
    return int(message_id.split("-", 1)[1].split(".", 1)[0])


def headlines(rows):
    return {f"ms from due to accepted, p50 / p99, {row['due']}": f"{row['p50']:.0f} / {row['p99']:.0f}" for row in rows}
