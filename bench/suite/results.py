"""What measurements found: a JSON file for each measurement and database, so that each can be run by itself."""

import json
import os
import platform
import re
import subprocess
from datetime import datetime, timezone

from .machine import ROOT, read

PLACE = ROOT / "bench" / "results"


def machine():
    """What a figure depends on besides the program."""
    cpu = re.search(r"model name\s*: (.*)", read("/proc/cpuinfo"))
    memory = re.search(r"MemTotal:\s*(\d+)", read("/proc/meminfo"))
    return {"cpu": cpu.group(1) if cpu else platform.machine(), "cores": os.cpu_count(),
            "memory_gib": round(int(memory.group(1)) / 2**20) if memory else None,
            "system": f"{platform.system()} {platform.release()}"}


def commit():
    """Of the tree that measures, marked where it is changed."""
    said = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=ROOT, capture_output=True, text=True)
    return said.stdout.strip() or "unknown"


def made(name, on, settings, seconds, rows):
    """What was found, with all it depends on; `rows` are dicts of one measurement on one database."""
    return {"measurement": name, "on": on, "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
              "commit": commit(), "machine": machine(), "settings": settings, "took_seconds": round(seconds),
              "load": os.getloadavg()[0], "rows": rows}


def keep(result):
    PLACE.mkdir(exist_ok=True)
    (PLACE / f"{result['measurement']}.{result['on']}.json").write_text(json.dumps(result, indent=1) + "\n")


def latest(name):
    """The results of a measurement by database."""
    files = sorted(PLACE.glob(f"{name}.*.json"))
    return {found["on"]: found for found in (json.loads(file.read_text()) for file in files)}
