"""docs/PROOF.md, from everything that is kept."""

import re
from collections import defaultdict

from kept import ROOT

FILE = ROOT / "docs" / "PROOF.md"
HEAD = """# Proof

Written by `make prove` from every trial that it has kept: {dates}, commit {commits}; {machine}, a build without
optimisation; lease 5 s, D = 16 a worker.
"""
HISTORIES = """## Histories

Crashes, partitions, opt-outs and pauses drawn from a seed, against the rules on a store in memory: never twice, never after
an opt-out, never in quiet hours, never over a limit, always to an end. Seven flaws that are put in are all found out
(`histories`' own tests). The same acts on the real store come to the same rows after each.
"""
PROCESSES = """
## Real processes

The witness is the receiving server's own log, joined with the database by Message-ID at the end of each run. *Lost* has no
state that ends or shows, *doubled* arrived twice, *uncertain* is named by `GET /api/v1/messages?state=uncertain`, turned out
not to have left, or (texts) was until the provider said how it had ended. *Through after* counts from when the last thing was broken or mended. A trial is repeated by
`prove/run --only TEST --first SEED --seeds 1 --again`; one that fails prints what was done to whom, and when.
"""
STARTS = """
## Starts, versions, clocks

What no such figures tell of: what was looked at, and held in every run. Clocks are put off by libfaketime, which leaves the
monotonic and the boot-time clock alone, or in the database's own function. There is one program here: the newer one is
played by its rows, columns and versions.

| fault | what happens | mode | runs (seeds) | what held |
|---|---|---|---|---|"""

DELIVERIES = """
## Webhooks

The witness is the receivers' own log of what they answered with a 2xx. *Repeated* came more than once, under the same
`webhook-id`, as at least once means; *given up* had come to the end of a schedule, was listed, and arrived when it was
replayed.
"""


def write(kept, others):
    """Writes it; how many runs it counts."""
    trials = kept.latest()
    FILE.write_text("\n".join(text(trials, kept.trials(), kept.histories(), others)) + "\n")
    return len({trial["run"] for trial in trials})


def text(trials, ever, histories, others):
    told = [trial for trial in trials if "fault" in trial and not trial["broken"]]
    yield HEAD.format(dates=span(trial["date"][:10] for trial in told), commits=listed(trial["commit"] for trial in told),
                      machine="; ".join(sorted({trial["machine"] for trial in told})))
    if histories:
        yield HISTORIES
        yield from (f"- {sentence}" for sentence in histories["said"])
    yield PROCESSES
    yield from table([trial for trial in told if "messages" in trial])
    yield STARTS
    yield from looks([trial for trial in told if "held" in trial])
    yield DELIVERIES
    yield from table_of_deliveries([trial for trial in told if "deliveries" in trial])
    yield from broken(trials, ever)
    yield "\n## Not shown\n"
    yield from (f"- {fault}: {what}" for fault, what in others.items())


def rows_of(told):
    """The runs of every row of the matrix, of what was done in it, and where."""
    rows = defaultdict(list)
    for trial in told:
        rows[trial["fault"], trial["what"], trial["mode"]].append(trial)
    return sorted(rows.items(), key=lambda row: (number(row[0][0]), row[0]))


def table(told):
    yield ("| fault | what breaks | mode | runs (seeds) | messages | lost | doubled | uncertain (most a run, bound) "
           "| through after, s: median (most) |")
    yield "|---|---|---|---|---|---|---|---|---|"
    for (fault, what, mode), runs in rows_of(told):
        total = lambda name: sum(run[name] for run in runs)
        doubtful = [run["uncertain"] + run["overtaken"] for run in runs]
        yield (f"| {fault} | {what} | {mode} | {len(runs)} ({seeds(run['seed'] for run in runs)}) | {total('messages'):,} "
               f"| {total('lost')} | {total('doubled')} | {sum(doubtful)} ({max(doubtful)}, {bounds(runs)}) "
               f"| {seconds(runs)} |")


def table_of_deliveries(told):
    yield ("| fault | what breaks | mode | runs (seeds) | deliveries | missing | repeated | given up, then replayed "
           "| through after, s: median (most) |")
    yield "|---|---|---|---|---|---|---|---|---|"
    for (fault, what, mode), runs in rows_of(told):
        total = lambda name: sum(run[name] for run in runs)
        yield (f"| {fault} | {what} | {mode} | {len(runs)} ({seeds(run['seed'] for run in runs)}) | {total('deliveries'):,} "
               f"| {total('missing')} | {total('repeated')} | {total('dead')} | {seconds(runs)} |")


def seconds(runs):
    """Half of them took no longer than the first, none longer than the second."""
    took = sorted(run["seconds"] for run in runs)
    return f"{took[len(took) // 2]} ({took[-1]})"


def looks(told):
    """A line for every row of the matrix that is no matter of counts."""
    rows = defaultdict(list)
    for trial in told:
        rows[trial["fault"], trial["what"], trial["mode"], trial["held"]].append(trial["seed"])
    for (fault, what, mode, held), of in sorted(rows.items(), key=lambda row: (number(row[0][0]), row[0])):
        yield f"| {fault} | {what} | {mode} | {len(of)} ({seeds(of)}) | {held} |"


def broken(trials, ever):
    """The runs that failed: those that stand, and those that held when they were run again."""
    standing = {trial["run"]: trial for trial in trials if trial["broken"]}
    mended = {trial["run"]: trial for trial in ever if trial["broken"] and trial["run"] not in standing}
    for name, runs in (("Broken", standing), ("Broken once, and held when run again", mended)):
        if runs:
            yield f"\n## {name}\n"
            yield from (f"- `{run['test']}`, seed {run['seed']}, {run['date'][:10]}, commit {run['commit']}: "
                        f"{cell(run['broken'])}" for run in runs.values())


def cell(words):
    short = words[:300].replace("`", "'").replace("\n", " ")
    return f"`{short}`"


def number(fault):
    return int(re.search(r"\d+", fault)[0])


def bounds(runs):
    return span_of(sorted({run["bound"] for run in runs}))


def seeds(of):
    """`1 to 20`, or what there is of it."""
    of = sorted(set(of))
    whole = len(of) == of[-1] - of[0] + 1
    return span_of(of) if whole else ", ".join(map(str, of))


def span_of(sorted_numbers):
    first, last = sorted_numbers[0], sorted_numbers[-1]
    return str(first) if first == last else f"{first} to {last}"


def span(words):
    words = sorted(set(words))
    return "nothing yet" if not words else words[0] if len(words) == 1 else f"{words[0]} to {words[-1]}"


def listed(words):
    return ", ".join(f"`{word}`" for word in dict.fromkeys(words)) or "none"
