"""Enrolment over the API at fixed rates, from light to more than it can take."""

import json
import subprocess

from ..installation import Installation
from ..machine import RELEASE, Receiver
from ..processes import Spent

NAME = "enrolment"
ON = ["postgres", "sqlite"]
OPTIONS = {
    "first": (50.0, 50.0, "requests a second, the lightest load; each step doubles it until it is not kept up with"),
    "most": (12_800.0, 200.0, "requests a second, the heaviest load"),
    "seconds": (8.0, 2.0, "for how long requests begin, at each rate"),
    "connections": (256, 256, "most requests under way at once"),
    "beside": (["nothing", "sending"],) * 2 + ("what goes on beside it",),
}
COLUMNS = {"beside it": "beside", "asked for a second": "asked", "answered a second": "rate", "p50 ms": "p50",
           "p99 ms": "p99", "p99.9 ms": "p999", "max ms": "max", "without answer": "unanswered",
           "processor ms a request": "cpu_ms"}
KEPT = 0.95


def measure(machine, on, options):
    return [row for beside in options.beside for row in steps(machine, on, options, beside)]


def steps(machine, on, options, beside):
    """One fresh installation, asked more and more of."""
    with Receiver(machine) as receiver, Installation(machine, on, receiver) as installation:
        installation.start_api()
        if beside == "sending":
            installation.start_work()
        campaign = installation.campaign()
        if beside == "sending":  # Whoever is enrolled is written to at once.
            installation.post(f"/campaigns/{campaign}/start", {})
        rate = options.first
        while rate <= options.most:
            row = step(installation, campaign, rate, options) | {"beside": beside}
            yield row
            if row["rate"] < KEPT * rate:
                return
            rate *= 2


def step(installation, campaign, rate, options):
    spent = Spent(installation.processes())
    load = [RELEASE / "enrol-load", "--api", f"127.0.0.1:{installation.port}", "--key", installation.key,
            "--campaign", campaign, "--rate", rate, "--seconds", options.seconds, "--patience", options.seconds,
            "--connections", options.connections, "--name", f"load{rate:.0f}"]
    found = json.loads(subprocess.check_output([str(word) for word in load]))
    if found["refused"]:
        raise SystemExit(f"{found['refused']} of {found['offered']} enrolments were refused at {rate} a second")
    cpu = sum(spent.seconds().values())
    return found | {"asked": rate, "cpu_ms": 1000 * cpu / max(found["answered"], 1)}


def headlines(rows):
    told = {}
    for beside in dict.fromkeys(row["beside"] for row in rows):
        own = [row for row in rows if row["beside"] == beside]
        words = "" if beside == "nothing" else f", {beside} beside it"
        told[f"enrolments answered a second at most{words}"] = max(row["rate"] for row in own)
        kept = [row for row in own if row["rate"] >= KEPT * row["asked"]]
        light = kept[len(kept) // 2] if kept else own[0]
        told[f"p50 / p99 / p99.9 ms of an enrolment, half-way to that{words}"] = (
            f"{light['p50']:.1f} / {light['p99']:.1f} / {light['p999']:.1f} at {light['asked']:.0f} a second")
    return told
