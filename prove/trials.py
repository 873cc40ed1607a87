"""Runs trials test by test and seed by seed, each a process of its own with servers of its own, and bounded in time."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor, as_completed

from kept import ROOT


def build():
    """Builds what is tried once; the path of the test binary."""
    words = ["cargo", "test", "--test", "it", "--no-run", "--message-format", "json-render-diagnostics"]
    built = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    messages = (json.loads(line) for line in built.stdout.splitlines() if line.startswith("{"))
    paths = [message["executable"] for message in messages
             if message["reason"] == "compiler-artifact" and message["target"]["name"] == "it" and message["executable"]]
    return paths[-1]


def tests(binary, wanted):
    """The tests of the binary that are wanted, in its order."""
    listed = subprocess.run([binary, "--list", "--format", "terse"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    names = [line.removesuffix(": test") for line in listed.stdout.splitlines() if line.endswith(": test")]
    return [name for name in names if wanted(name)]


class Trials:
    """The runs that are still to come, and how they go."""

    def __init__(self, binary, kept, patience):
        self.binary, self.kept, self.patience = binary, kept, patience
        self.running, self.stopping, self.lock = set(), False, threading.Lock()

    def run(self, runs, threads, minutes):
        """Runs them, so many at a time, and starts none after so many minutes; those that broke."""
        until = time.monotonic() + 60 * minutes if minutes else None
        broken, done = [], 0
        with ThreadPoolExecutor(threads) as pool:
            futures = [pool.submit(self.one, test, seed, until) for test, seed in runs]
            try:
                for future in as_completed(futures):
                    if (ended := future.result()) is None:
                        continue
                    done += 1
                    print(f"[{done} of {len(runs)}] {ended.line()}", file=sys.stderr)
                    if ended.broken:
                        print(ended.story(), file=sys.stderr)
                        broken.append(ended)
            except BaseException:
                self.stop()
                raise
        return broken

    def one(self, test, seed, until):
        """One run, kept; None where its time has not come."""
        if self.stopping or (until and time.monotonic() > until):
            return None
        words = [self.binary, "--exact", test, "--nocapture", "--test-threads", "1"]
        begun = time.monotonic()
        with self.lock:
            process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
                                       env=os.environ | {"SENDWRIGHT_SEEDS": "1", "SENDWRIGHT_FIRST_SEED": str(seed)})
            self.running.add(process)
        try:
            output, late = process.communicate(timeout=self.patience)[0], False
        except subprocess.TimeoutExpired:
            end(process)
            output, late = process.communicate()[0], True
        with self.lock:
            self.running.discard(process)
        if self.stopping:
            return None
        ended = Ended(test, seed, output, process.returncode, late, time.monotonic() - begun)
        self.kept.add(ended.lines())
        return ended

    def stop(self):
        """Ends what runs; its servers end with it."""
        with self.lock:
            self.stopping = True
            for process in self.running:
                end(process)


def end(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Ended:
    """How one run of a test under a seed ended."""

    def __init__(self, test, seed, output, code, late, seconds):
        self.test, self.seed, self.output, self.seconds = test, seed, output, seconds
        self.told = [json.loads(match[1]) for match in re.finditer(r"(?:^|\.\.\. )proof (\{.*\})$", output, re.MULTILINE)]
        self.plan = re.findall(r"(?:^|\.\.\. )plan (.*)$", output, re.MULTILINE)
        self.broken = f"ended by us after {seconds:.0f} s" if late else self.panic() if code else None

    def panic(self):
        where_and_what = r"^thread '.*' .*panicked at (.*)\n((?:(?!stack backtrace:|note: ).*\n){0,20})"
        said = re.search(where_and_what, self.output, re.MULTILINE)
        return " ".join(f"{said[1]} {said[2]}".split())[:2_000] if said else self.output[-2_000:]

    def lines(self):
        """A line for each thing that it told, and one if it told none."""
        about = {"test": self.test, "seed": self.seed, "run": uuid.uuid4().hex, "took": round(self.seconds, 1),
                 "broken": self.broken, "plan": self.plan}
        return [told | about for told in self.told] or [about]

    def line(self):
        return f"{self.test}, seed {self.seed}: {'BROKEN' if self.broken else 'held'} in {self.seconds:.0f} s"

    def story(self):
        """What was broken when, what came of it, and the command that does it again."""
        plan = "".join(f"    {step}\n" for step in self.plan) or "    it said none\n"
        return (f"  {self.broken}\n  what was done, and when:\n{plan}  the end of what it said:\n"
                + "".join(f"    | {line}\n" for line in self.output.splitlines()[-60:])
                + f"  again: prove/run --only {self.test} --first {self.seed} --seeds 1 --again\n"
                f"  or:    SENDWRIGHT_FIRST_SEED={self.seed} cargo test --test it -- --exact {self.test} --nocapture")
