"""One, two and four workers; one process on SQLite."""

from . import sending

NAME = "workers"
ON = ["postgres", "sqlite"]
OPTIONS = {
    "messages": (20_000, 500, "messages handed over"),
    "workers": ([1, 2, 4], [1, 2], "worker processes on PostgreSQL; on SQLite there is one"),
    "rounds": (3, 1, "rounds, each with every number of workers in turn; the median counts"),
    "ahead": (25, 10, "seconds between the start of a campaign and its instant"),
}
COLUMNS = {"workers": "workers", "messages": "messages", "messages a second": "rate", "lowest": "lowest",
           "highest": "highest"}


def measure(machine, on, options):
    numbers = options.workers if on == "postgres" else [1]
    rates = {workers: [] for workers in numbers}
    for _ in range(options.rounds):
        for workers in numbers:
            rates[workers].append(sending.send(machine, on, options.messages, options.ahead, workers)["rate"])
    return [{"workers": workers, "messages": options.messages, "rate": sorted(found)[len(found) // 2],
             "lowest": min(found), "highest": max(found)} for workers, found in rates.items()]


def headlines(rows):
    return {f"messages a second, {row['workers']} worker{'s' * (row['workers'] > 1)}": row["rate"] for row in rows}
