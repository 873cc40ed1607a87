"""What a run keeps, so that the next goes on where it stopped: a line for every finished trial, and what the histories said."""

import json
import os
import platform
import subprocess
import threading
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "proof"


class Kept:
    """The files below target/proof; lines are added by several threads."""

    def __init__(self):
        PLACE.mkdir(parents=True, exist_ok=True)
        self.trials_file, self.histories_file = PLACE / "trials.jsonl", PLACE / "histories.json"
        self.lock = threading.Lock()

    def forget(self):
        """Puts what there is aside, under the instant of its last line."""
        for file in (self.trials_file, self.histories_file):
            if file.exists():
                changed = datetime.fromtimestamp(file.stat().st_mtime, timezone.utc)
                file.rename(file.with_suffix(f".{changed:%Y%m%d-%H%M%S}{file.suffix}"))

    def trials(self):
        """Every line, the oldest first; one cut off by a crash is passed over."""
        found = []
        for line in self.trials_file.read_text().splitlines() if self.trials_file.exists() else []:
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return found

    def latest(self):
        """The lines of the last run of each test and seed."""
        runs = {}
        for trial in self.trials():
            key = trial["test"], trial["seed"]
            if key not in runs or runs[key][0]["run"] != trial["run"]:
                runs[key] = []
            runs[key].append(trial)
        return [trial for run in runs.values() for trial in run]

    def held(self):
        """The tests and seeds that need not run again."""
        return {(trial["test"], trial["seed"]) for trial in self.latest() if not trial["broken"]}

    def add(self, trials):
        """The lines of one run of a test under a seed; what it is made of and when is added to each."""
        about = {"date": now(), "commit": COMMIT, "machine": machine()}
        text = "".join(json.dumps(trial | about) + "\n" for trial in trials)
        with self.lock, self.trials_file.open("a") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def tell_histories(self, said):
        self.histories_file.write_text(json.dumps({"said": said, "date": now(), "commit": COMMIT}) + "\n")

    def histories(self):
        """What the histories said at their last run, or None."""
        return json.loads(self.histories_file.read_text()) if self.histories_file.exists() else None


def now():
    return f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def machine():
    return f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"


def commit():
    """What is checked out; a plus says that something has been changed since."""
    def git(*words):
        ran = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
        return ran.stdout.strip() if ran.returncode == 0 else ""
    # The document that a run writes is no change of what was tried.
    changed = git("status", "--short", "--untracked-files=no", "--", ".", ":!docs")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


COMMIT = commit()
