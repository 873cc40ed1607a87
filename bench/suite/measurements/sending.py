"""A campaign handed over whole, as the hand-over's measurements need it."""

import sys
import time

from ..installation import Installation
from ..machine import Receiver, wait_for

WRITTEN = "SELECT COUNT(*) FROM messages WHERE state = 'drafted'"


def enrolled(installation, messages, start):
    """So many people in a campaign that is scheduled for `start`, unix seconds."""
    campaign = installation.campaign("ahead", start)
    installation.enrol(campaign, messages, "ahead")
    installation.post(f"/campaigns/{campaign}/start", {})


def written(installation, messages, start):
    """Waits until all texts are, or the instant has come: then planning and writing are in the time too, and it says so."""
    def count():
        return int(installation.database.rows(WRITTEN)[0][0])
    wait_for(lambda: time.time() > start or count() >= messages, start - time.time() + 60, "the texts to be written")
    if time.time() > start:
        print(f"{count()} of {messages} texts wait at the instant of their campaign", file=sys.stderr)


def until(start):
    while time.time() < start:
        time.sleep(0.005)


def planned(installation, messages, ahead, workers=1):
    """Has a campaign that begins `ahead` seconds on planned and written; at its instant, gives that, unix seconds."""
    start = int(time.time()) + ahead  # People schedule by the clock on the wall, in whole seconds at least.
    enrolled(installation, messages, start)
    installation.start_work(workers)
    written(installation, messages, start)
    until(start)
    return start


def send(machine, on, messages, ahead, workers=1, seconds=300):
    """A fresh installation hands over a campaign that was planned ahead; seconds and rate, from its instant on."""
    with Receiver(machine) as receiver, Installation(machine, on, receiver) as installation:
        installation.start_api()
        start = planned(installation, messages, ahead, workers)
        return arrived(receiver, messages, start, seconds)


def arrived(receiver, messages, start, seconds):
    """Waits for all messages and reckons from the instant `start`."""
    receiver.has(messages, seconds, "Sendwright to send all")
    took = max(at for at, _ in receiver.arrivals()) - start
    return {"messages": messages, "seconds": took, "rate": round(messages / took)}
