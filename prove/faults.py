"""The matrix of faults: every row that is claimed, by its number, and what breaks in it."""

import re

FAULTS = {
    1: "a worker killed at work",
    2: "a crash at each step of a send",
    3: "the API killed amid a bulk",
    4: "the API killed between a commit and its hint",
    5: "the scheduler killed",
    6: "asked to end amid hand-overs",
    7: "told twice to end",
    8: "a worker that stands still beyond its lease",
    9: "the whole machine suspended",
    10: "a panic at a step",
    11: "a template without a bottom",
    12: "memory that runs out",
    13: "garbage in Redis",
    14: "rows of a newer program",
    15: "a deploy over old processes",
    16: "a migration killed, and two at once",
    17: "a program older or newer than its schema",
    18: "two schedulers",
    19: "down over a campaign's start",
    20: "a setting that is wrong",
    21: "a database or Redis that is away at the start",
    22: "passwords and secrets changed at work",
    23: "Redis killed, and back empty",
    24: "Redis flushed",
    25: "no Redis",
    26: "a Redis that stands still",
    27: "a Redis without memory",
    28: "a Redis that throws keys away",
    29: "a Redis that fails over and forgets",
    30: "a Redis that has lost its scripts",
    31: "Redis cut off",
    32: "PostgreSQL killed",
    33: "connections to PostgreSQL ended",
    34: "PostgreSQL failing over to a standby",
    35: "deadlocks and failed serializations",
    36: "tables locked for long",
    37: "no connection to PostgreSQL left",
    38: "the database's disk full",
    39: "no room for journals or logs",
    40: "PostgreSQL cut off after the 250",
    41: "SQLite held by another process",
    42: "syncs that fail",
    43: "an older backup restored",
    44: "workers' clocks that are off",
    45: "clocks that jump",
    46: "clocks that go forward and back for summer",
    47: "quiet hours over midnight, zones that change",
    48: "days that are rare, far or none",
    49: "421 at the greeting",
    50: "450 to a recipient",
    51: "550 to a recipient",
    52: "451 and 554 at the dot",
    53: "the line broken before the dot",
    54: "the line broken between the dot and the 250",
    55: "a server that is silent",
    56: "replies that are slow, endless or no text",
    57: "certificates that are wrong, STARTTLS stripped",
    58: "535 to a login",
    59: "connections closed by the server",
    60: "a provider's daily limit",
    61: "slow wires",
    62: "429 to a text",
    63: "a text created, and no answer of it",
    64: "callbacks doubled, early, late, about nobody",
    65: "a STOP at full load",
    66: "a model that answers badly",
    67: "a model whose answer stalls after its headers",
    68: "a receiver that is slow or silent",
    69: "a receiver's endless answer",
    70: "a receiver that refuses",
    71: "a receiver away beyond the schedule",
    72: "a 2xx that is lost with its process",
    73: "a dead endpoint beside a healthy one",
    74: "all endpoints back at once",
}
# Tests beside the trials, or instead of them.
TESTS = {
    22: "tests/it/webhooks.rs",
    39: "tests/it/journal.rs",
    40: "tests/it/journal.rs",
    **dict.fromkeys(range(49, 61), "tests/it/smtp_outcomes.rs"),
    56: "worker/tests/smtp/connect.rs",
    57: "worker/tests/smtp/connect.rs",
    62: "tests/it/twilio.rs",
    63: "tests/it/twilio_verify.rs",
    64: "tests/it/callbacks.rs",
    66: "worker/tests/ai.rs",
    67: "worker/tests/ai.rs",
    70: "tests/it/webhooks.rs",
    71: "tests/it/webhooks.rs",
}


def numbers(words):
    """Those of a trial, which says `F27, F30` or `F1, F62 to F64`."""
    for first, last in re.findall(r"F(\d+)(?: to F(\d+))?", words):
        yield from range(int(first), int(last or first) + 1)


def not_shown(told, broken):
    """A line for every row of which nothing that held is kept: why, and what else tests it."""
    shown = {number for trial in told for number in numbers(trial["fault"])}
    for number, what in FAULTS.items():
        if number not in shown:
            of = {trial["run"] for trial in broken if number in numbers(trial.get("fault", ""))}
            why = (f"every run that is kept broke ({len(of)})" if of else "no run is kept")
            also = f"; tested in `{TESTS[number]}`" if number in TESTS else ""
            yield f"- F{number}, {what}: {why}{also}"
