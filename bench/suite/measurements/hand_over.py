"""Hand-over over SMTP: the bare rate, BullMQ with nodemailer and PostgreSQL, and Sendwright, in turn."""

import json
import os
import subprocess
import sys
import time

from ..installation import Installation
from ..machine import RELEASE, ROOT, Receiver
from . import sending

NAME = "hand-over"
ON = ["postgres"]
OPTIONS = {
    "messages": (20_000, 500, "messages in a round; the bare rate takes 5 times as many"),
    "rounds": (3, 1, "rounds, each with every contender in turn"),
    "connections": (32, 32, "SMTP connections, and the peer's to PostgreSQL"),
    "concurrency": (64, 64, "jobs the peer works on at once"),
    "ahead": (25, 10, "seconds between the start of a campaign and its instant"),
    "only": (["bare", "peer", "peer-lean", "sendwright", "sendwright-at-once"],) * 2 + ("contenders",),
}
COLUMNS = {"": "name", "a second": "rate", "lowest": "lowest", "highest": "highest", "seconds": "seconds",
           "ratio to the peer": "ratio", "part of bare": "part"}
SECONDS = 300


def bare(options, machine):
    """Ready connections that do nothing but hand over."""
    with Receiver(machine) as receiver:
        blast = [RELEASE / "smtp-blast", "--to", receiver.smtp, "--connections", str(options.connections),
                 "--messages", str(5 * options.messages), "--seconds", str(SECONDS)]
        own = json.loads(subprocess.check_output(blast))
        receiver.has(own["messages"], 10, "the last messages")
        return own


def peer(options, machine, *shape):
    """BullMQ, nodemailer (pooled) and PostgreSQL, in one process."""
    place = ROOT / "bench" / "peer"
    if not (place / "node_modules").is_dir():
        install = ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=place, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    with Receiver(machine) as receiver:
        main = ["node", place / "main.js", "--messages", str(options.messages), "--seconds", str(SECONDS),
                "--concurrency", str(options.concurrency), "--connections", str(options.connections), *shape]
        environment = {**os.environ, **machine.stores(), "SMTP_URL": f"smtp://{receiver.smtp}"}
        own = json.loads(subprocess.check_output(main, env=environment))
        receiver.has(own["messages"], 10, "the last messages")
        return own


def at_once(options, machine):
    """Planning and writing are in the time: it counts from the start of the worker."""
    with Receiver(machine) as receiver, Installation(machine, "postgres", receiver) as installation:
        installation.start_api()
        campaign = installation.campaign()
        installation.enrol(campaign, options.messages)
        installation.post(f"/campaigns/{campaign}/start", {})
        begun = time.time()
        installation.start_work()
        return sending.arrived(receiver, options.messages, begun, SECONDS)


CONTENDERS = {
    "bare": bare,
    "peer": peer,
    "peer-lean": lambda options, machine: peer(options, machine, "--lean"),
    "sendwright": lambda options, machine: sending.send(machine, "postgres", options.messages, options.ahead),
    "sendwright-at-once": at_once,
}


def measure(machine, _on, options):
    """The round of the median rate of each contender."""
    rounds = {name: [] for name in options.only}
    for number in range(options.rounds):
        for name in options.only:
            rounds[name].append(CONTENDERS[name](options, machine))
            print(f"round {number + 1}: {name} {rounds[name][-1]['rate']} a second", file=sys.stderr)
    medians = {name: sorted(runs, key=lambda run: run["rate"])[len(runs) // 2] for name, runs in rounds.items()}
    return [row(name, own, [run["rate"] for run in rounds[name]], medians) for name, own in medians.items()]


def row(name, own, rates, medians):
    def against(other):
        return round(own["rate"] / medians[other]["rate"], 2) if other in medians else None
    return {"name": name, **own, "lowest": min(rates), "highest": max(rates), "ratio": against("peer"),
            "part": against("bare")}


def headlines(rows):
    found = {row["name"]: row for row in rows}
    names = {"bare": "bare SMTP, messages a second", "peer": "BullMQ and nodemailer, messages a second",
             "sendwright": "hand-over of what was planned ahead, messages a second",
             "sendwright-at-once": "the same with planning and writing in the time"}
    told = {words: found[name]["rate"] for name, words in names.items() if name in found}
    if found.get("sendwright", {}).get("ratio"):
        told["times the peer"] = found["sendwright"]["ratio"]
    return told
