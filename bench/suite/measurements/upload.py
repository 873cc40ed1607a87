"""Bulk imports: rows a second, and the most memory that the process which takes them ever has."""

import http.client
import json
import subprocess
import time

from ..installation import PROGRAM, Installation
from ..machine import Receiver
from ..processes import Spent, Watch

NAME = "upload"
ON = ["postgres", "sqlite"]
OPTIONS = {
    "rows": ([100_000, 1_000_000], [5_000], "rows in a file, each measured by itself"),
    "ways": (["import"],) * 2 + ("import: `leads import` of a CSV; csv, json: users uploaded over HTTP",),
}
COLUMNS = {"by": "way", "rows": "rows", "rows a second": "rate", "processor s per 1,000": "cpu_s",
           "MiB before": "first_mib", "MiB at most": "most_mib"}
BOUNDARY = "----a-boundary"
HEAD = (f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"users\"\r\n"
        "Content-Type: application/octet-stream\r\n\r\n").encode()
END = f"\r\n--{BOUNDARY}--\r\n".encode()
CITIES = ["San Francisco", "Austin", "New York", "Denver", "Portland"]
PIECE = 2_000


def measure(machine, on, options):
    return [one(machine, on, way, rows) for way in options.ways for rows in options.rows]


def one(machine, on, way, rows):
    """One fresh installation, one file."""
    with Receiver(machine) as receiver, Installation(machine, on, receiver) as installation:
        installation.start_api()
        take = (lambda: imported(installation, rows)) if way == "import" else (lambda: uploaded(installation, way, rows))
        spent = Spent(installation.processes())
        begun = time.monotonic()
        first, most, own = take()
        took = time.monotonic() - begun
        cpu = own + sum(spent.seconds().values())
    return {"way": way, "rows": rows, "rate": round(rows / took), "cpu_s": 1000 * cpu / rows, "first_mib": first,
            "most_mib": most}


def imported(installation, rows):
    """The command reads from a pipe; its memory before and at most, and its processor seconds."""
    campaign = installation.campaign()
    command = [PROGRAM, "leads", "import", "--campaign", campaign, "-"]
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=installation.environment, cwd=installation.machine.home)
    spent = Spent({"command": process.pid})
    process.stdin.write(b"email,first_name,company,city,tier\n")
    time.sleep(0.5)
    with Watch(process.pid) as watch:
        for first in range(0, rows, PIECE):
            process.stdin.write("".join(lead(number) for number in range(first, min(rows, first + PIECE))).encode())
            process.stdin.flush()
            last = spent.seconds()["command"]
        process.stdin.close()
        while process.poll() is None:
            last = max(last, spent.seconds()["command"])
            time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"leads import ended with {process.returncode}")
    return watch.first, watch.most(), last


def lead(number):
    return f"lead{number}@bench.example,Name {number},{number},{CITIES[number % 5]},{'premium' if number % 2 else 'standard'}\n"


def person(number):
    tier = "premium" if number % 2 else "standard"
    return f"+1{2_000_000_000 + number}", f"Name {number}", CITIES[number % 5], tier, str(number % 80)


def csv(first, last):
    head = "phone_e164,name,city,tier,age,consent_state\n" if first == 0 else ""
    return head + "".join(",".join(person(number)) + ",OPT_IN\n" for number in range(first, last))


def lines(first, last):
    names = ["phone_e164", "name", "city", "tier", "age"]
    rows = (dict(zip(names, person(number))) | {"consent_state": "OPT_IN"} for number in range(first, last))
    return "".join(json.dumps(row) + "\n" for row in rows)


def form(rows, write):
    """The body in pieces: no file of it ever is in memory here either."""
    yield HEAD
    for first in range(0, rows, PIECE):
        yield write(first, min(rows, first + PIECE)).encode()
    yield END


def uploaded(installation, way, rows):
    """Users over HTTP; the memory of whatever takes them before and at most."""
    connection = http.client.HTTPConnection("127.0.0.1", installation.port, timeout=3_600)
    headers = {"X-API-Key": installation.key, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    with Watch(installation.process("api" if installation.on == "postgres" else "up")) as watch:
        body = form(rows, {"csv": csv, "json": lines}[way])
        connection.request("POST", "/api/v1/users/bulk/upload", body=body, headers=headers, encode_chunked=True)
        answer = connection.getresponse()
        told = json.loads(answer.read())
    if answer.status != 200 or told["created"] + told["updated"] != rows or told["errors"]:
        raise SystemExit(f"{answer.status}: {told}")
    return watch.first, watch.most(), 0


def headlines(rows):
    words = {"import": "leads import of a CSV", "csv": "users uploaded as CSV", "json": "users uploaded as JSON lines"}
    largest = {row["way"]: row for row in sorted(rows, key=lambda row: row["rows"])}
    return {f"{words[way]}, {row['rows']:,} rows: rows a second, MiB at most": f"{row['rate']:,}, {row['most_mib']:.0f}"
            for way, row in largest.items()}
