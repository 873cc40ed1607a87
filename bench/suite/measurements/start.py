"""The start of a campaign of very many people: how long until the first message, and what memory it takes."""

import time

from .. import people
from ..installation import Installation
from ..machine import Receiver, wait_for
from ..processes import Watch

NAME = "start"
ON = ["postgres", "sqlite"]
OPTIONS = {
    "people": (1_000_000, 5_000, "people in the campaign"),
    "seconds": (60, 5, "for how long it is watched"),
}
COLUMNS = {"people": "people", "answer ms": "answer_ms", "first message ms": "first_ms", "messages": "messages",
           "a second": "rate", "MiB before": "before_mib", "MiB after 10 s": "early_mib", "MiB at the end": "end_mib",
           "MiB at most": "most_mib"}


def measure(machine, on, options):
    machine.needs(4e-6 * options.people)
    with Receiver(machine) as receiver, Installation(machine, on, receiver) as installation:
        installation.start_api()
        campaign = installation.campaign()
        installation.enrol(campaign, 1)
        installation.stop()
        people.copy(installation.database, options.people - 1)
        installation.start_api()
        installation.start_work()
        time.sleep(3)  # What a start itself takes is over, and the lanes rest.
        with Watch(installation.process("worker-1" if on == "postgres" else "up")) as watch:
            begun = time.time()
            installation.post(f"/campaigns/{campaign}/start", {})
            answered = time.time()
            wait_for(lambda: receiver.counts()["messages"] > 0, 120, "the first message")
            wait_for(lambda: time.time() > begun + options.seconds
                     or receiver.counts()["messages"] >= options.people, options.seconds + 5, "the time to pass")
            arrivals, end = receiver.arrivals(), time.time()
    first = min(at for at, _ in arrivals)
    return [{"people": options.people, "answer_ms": 1000 * (answered - begun), "first_ms": 1000 * (first - begun),
             "messages": len(arrivals), "rate": round(len(arrivals) / (end - first)), "before_mib": watch.at(begun),
             "early_mib": watch.at(begun + 10), "end_mib": watch.at(end), "most_mib": watch.most()}]


def headlines(rows):
    row = rows[0]
    return {f"ms from the start of a campaign of {row['people']:,} to its first message": row["first_ms"],
            "MiB of the sending process, before and at most": f"{row['before_mib']:.0f} / {row['most_mib']:.0f}"}
