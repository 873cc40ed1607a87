"""docs/PROOF.md, from everything that is kept."""

from collections import Counter, defaultdict

from faults import not_shown, numbers
from kept import ROOT

FILE = ROOT / "docs" / "PROOF.md"
HEAD = """# Proof

Written by `make prove` from every trial that it has kept: {dates}; commit {commit}, where a row names no other; {machine}; builds
for development, without optimisation (the processes of `3f93737` with `opt-level = 1`); lease 5 s, D = 16 a worker.
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
not to have left, or (texts) was until the provider said how it had ended. *Through after* counts from when the last thing was
broken or mended. A trial is repeated by `prove/run --only TEST --first SEED --seeds 1 --again`; one that fails prints what was
done to whom, and when.
"""
STARTS = """
## Starts, versions, clocks

What no such figures tell of: what was looked at, and held in every run. Clocks are put off by libfaketime, which leaves the
monotonic and the boot-time clock alone, or in the database's own function. There is one program here: the newer one is
played by its rows, columns and versions.
"""
DELIVERIES = """
## Webhooks

The witness is the receivers' own log of what they answered with a 2xx. *Repeated* came more than once, under the same
`webhook-id`, as at least once means; *given up* had come to the end of a schedule, was listed, and arrived when it was
replayed.
"""
NOT_SHOWN = """
## Not shown

Rows of the matrix of faults of which no run is kept that held, and what else tests them. A run that broke before any of its
test had told a row is named under *Broken* alone.
"""


def write(kept):
    """Writes it; how many runs it counts."""
    trials = kept.latest()
    FILE.write_text("\n".join(text(trials, kept.trials(), kept.histories())) + "\n")
    return len({trial["run"] for trial in trials})


def text(trials, ever, histories):
    told = [trial for trial in trials if "fault" in trial and not trial["broken"]]
    newest = max(told, key=lambda trial: trial["date"])["commit"] if told else None
    yield HEAD.format(dates=span(trial["date"][:10] for trial in told), commit=f"`{newest}`" if told else "none",
                      machine="; ".join(sorted({trial["machine"] for trial in told})))
    if histories:
        yield HISTORIES
        yield from (f"- {sentence}" for sentence in histories["said"])
    yield PROCESSES
    yield from table(MESSAGES, [trial for trial in told if "messages" in trial], newest)
    yield STARTS
    yield from table(LOOKS, [trial for trial in told if "held" in trial], newest)
    yield DELIVERIES
    yield from table(WEBHOOKS, [trial for trial in told if "deliveries" in trial], newest)
    yield from broken(trials, ever)
    yield NOT_SHOWN
    yield from not_shown(told, attributed(trials, ever))


def table(columns, told, newest):
    """A line for every row of the matrix, of what was done in it and where: what its runs come to in each column."""
    rows = defaultdict(list)
    for trial in told:
        rows[trial["fault"], trial["what"], trial["mode"], trial.get("held")].append(trial)
    if not rows:
        yield "No run is kept."
        return
    head = ["fault", "what breaks", "mode", "runs (seeds)", *columns]
    yield line(head)
    yield "|---" * len(head) + "|"
    for (fault, what, mode, held), runs in sorted(rows.items(), key=lambda row: (min(numbers(row[0][0])), row[0])):
        yield line([fault, what, mode, counted(runs, newest), *(column(runs) for column in columns.values())])


def line(cells):
    return f"| {' | '.join(cells)} |"


def total(name):
    return lambda runs: f"{sum(run[name] for run in runs):,}"


def counted(runs, newest):
    """How many, under which seeds, and of which commits where it is not the newest alone."""
    of = Counter(run["commit"] for run in runs)
    others = "".join(f", {count if len(of) > 1 else 'all'} at `{commit}`" for commit, count in of.items() if commit != newest)
    return f"{len(runs)} ({seeds(run['seed'] for run in runs)}){others}"


def uncertain(runs):
    """All of them, the most of a run, and how many it might have been."""
    doubtful = [run["uncertain"] + run["overtaken"] for run in runs]
    return f"{sum(doubtful)} ({max(doubtful)}, {span_of(sorted({run['bound'] for run in runs}))})"


def seconds(runs):
    """Half of them took no longer than the first, none longer than the second."""
    took = sorted(run["seconds"] for run in runs)
    return f"{took[len(took) // 2]} ({took[-1]})"


THROUGH = {"through after, s: median (most)": seconds}
MESSAGES = {"messages": total("messages"), "lost": total("lost"), "doubled": total("doubled"),
            "uncertain (most a run, bound)": uncertain, **THROUGH}
WEBHOOKS = {"deliveries": total("deliveries"), "missing": total("missing"), "repeated": total("repeated"),
            "given up, then replayed": total("dead"), **THROUGH}
LOOKS = {"what held": lambda runs: runs[0]["held"]}


def broken(trials, ever):
    """The runs that failed: those that stand, and those that held when they were run again."""
    standing = {trial["run"]: trial for trial in trials if trial["broken"]}
    mended = {trial["run"]: trial for trial in ever if trial["broken"] and trial["run"] not in standing}
    for name, runs in (("Broken", standing), ("Broken once, and held when run again", mended)):
        if runs:
            yield f"\n## {name}\n"
            yield "What of these was Sendwright's own is told, with what was done, in [DEFECTS](DEFECTS.md).\n"
            yield from (f"- `{run['test']}`, seed {run['seed']}, {run['date'][:10]}, commit {run['commit']}: "
                        f"{cell(run['broken'])}" for run in runs.values())


def cell(words):
    short = words[:300].replace("`", "'").replace("\n", " ")
    return f"`{short}`"


def attributed(trials, ever):
    """The runs that stand broken, each with the row that it told, or that another run of its test did."""
    rows = {trial["test"]: trial["fault"] for trial in ever if "fault" in trial}
    return [{"fault": rows[trial["test"]]} | trial for trial in trials if trial["broken"] and trial["test"] in rows]


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
