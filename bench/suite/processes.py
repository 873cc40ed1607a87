"""What processes take: processor seconds and memory, with all their children."""

import os
import threading
import time
from pathlib import Path

from .machine import read

TICKS = os.sysconf("SC_CLK_TCK")


def family(pid):
    """A process and whoever descends from it."""
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in read(children).split()]
    return found


def processor(pid):
    """Seconds of it that a process has had, those of its children that ended included."""
    total = 0
    for one in family(pid):
        stat = read(f"/proc/{one}/stat")
        if stat:
            total += sum(int(ticks) for ticks in stat.rsplit(")", 1)[1].split()[11:15])
    return total / TICKS


def memory(pid):
    """MiB that a process has in memory."""
    found = [line for line in read(f"/proc/{pid}/status").splitlines() if line.startswith("VmRSS")]
    return int(found[0].split()[1]) / 1024 if found else 0


class Spent:
    """Processor seconds of several processes since it was made, by their parts; workers count as one."""

    def __init__(self, processes):
        self.processes, self.begun = processes, time.monotonic()
        self.before = {name: processor(pid) for name, pid in processes.items()}

    def seconds(self):
        total = {}
        for name, pid in self.processes.items():
            part = name.split("-")[0]
            total[part] = total.get(part, 0) + processor(pid) - self.before[name]
        return total

    def elapsed(self):
        return time.monotonic() - self.begun


class Watch(threading.Thread):
    """The memory of a process between the start and the end of a block, in MiB."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.seen, self.over = pid, [], threading.Event()

    def __enter__(self):
        self.first = memory(self.pid)
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.wait(0.1):
            self.seen.append((time.time(), memory(self.pid)))

    def most(self):
        return max((now for _, now in self.seen), default=self.first)

    def at(self, instant):
        """The last that was seen before an instant."""
        return next((now for when, now in reversed(self.seen) if when <= instant), self.first)
