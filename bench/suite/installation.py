"""Sendwright as a user would run it: on PostgreSQL and Redis a process for each role, on SQLite one for all."""

import json
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from datetime import datetime, timezone

from .database import Postgres, Sqlite
from .machine import RELEASE, free_port

PROGRAM = RELEASE / "sendwright"
TEXT = "All work and no play makes a dull benchmark.\n" * 14


class Installation:
    """One that is fresh, with a key without limits. Its roles end with the block, or one by one."""

    def __init__(self, machine, on, receiver=None, **settings):
        self.machine, self.on, self.roles, self.port = machine, on, {}, free_port()
        self.home = machine.home / f"sendwright{self.port}"
        self.environment = {
            "PATH": os.environ["PATH"], "RUST_LOG": "warn", "SENDWRIGHT_BIND": f"127.0.0.1:{self.port}",
            "SENDWRIGHT_DATA": str(self.home), "SENDWRIGHT_SECRET": secrets.token_hex(32), **settings,
        }
        if receiver:
            self.environment |= {"SMTP_URL": f"smtp://{receiver.smtp}", "SMTP_FROM": "sender@bench.example"}
        if on == "postgres":
            self.environment |= machine.stores()
            self.database = Postgres(machine, self.environment["DATABASE_URL"].rsplit("/", 1)[1])
        else:
            self.database = Sqlite(self.home)

    def __enter__(self):
        if self.on == "postgres":
            self.command("migrate")
        self.key = self.command("key", "create", "--name", "bench", "--tier", "unlimited")
        return self

    def __exit__(self, *_):
        self.stop(*reversed(list(self.roles)))

    def command(self, *words, text=None):
        """What a command prints; `text` is its standard input."""
        done = subprocess.run([PROGRAM, *words], text=True, input=text or "", capture_output=True,
                              env=self.environment, cwd=self.machine.home)
        return done.stdout.strip() if done.returncode == 0 else sys.exit(f"{words}: {done.stderr}")

    def start(self, *names):
        """Starts roles, under names such as `worker` and `worker-2`; each has a directory of its own on PostgreSQL."""
        for name in names:
            role = name.split("-")[0]
            environment = dict(self.environment)
            if self.on == "postgres":
                environment["SENDWRIGHT_DATA"] = str(self.home / name)
            self.roles[name] = stack = ExitStack()
            ready = self.is_ready if role in ("api", "up") else lambda: True
            stack.process = stack.enter_context(self.machine.serve(
                f"{self.home.name}-{name}", [PROGRAM, role], ready, env=environment, cwd=self.machine.home))

    def start_api(self):
        """Whatever answers requests here: all roles on SQLite."""
        self.start("api" if self.on == "postgres" else "up")

    def start_work(self, workers=1):
        """Whatever plans and sends, where the API does not do so itself."""
        if self.on == "postgres":
            self.start("scheduler", *(f"worker-{number + 1}" for number in range(workers)))

    def stop(self, *names):
        """Ends roles in good order; all of them without a name."""
        for name in names or list(self.roles):
            self.roles.pop(name).close()

    def process(self, name):
        return self.roles[name].process.pid

    def processes(self):
        """Every process that works for it, by its part."""
        own = {name: self.process(name) for name in self.roles}
        if self.on == "sqlite":
            return own
        return own | {"postgres": self.machine.postgres.pid, "redis": self.machine.redis.pid}

    def post(self, path, body):
        return self.ask(path, json.dumps(body).encode())

    def ask(self, path, body=None):
        """Posts where there is a body."""
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/v1{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            sys.exit(f"{path} was answered {error.code}: {error.read().decode()}")

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return True
        except OSError:
            return False

    def campaign(self, name="bench", start=None, **step):
        """A campaign of one templated e-mail, by its own sending profile without a rate; scheduled for `start`."""
        return self.post("/campaigns", {
            "name": name, "timezone": "UTC", **({"schedule_time": clock(start)} if start else {}),
            "sending_profile": {"name": name, "smtp_url": self.environment["SMTP_URL"],
                                "from_email": self.environment["SMTP_FROM"]},
            "steps": [{"step_number": 1, "delay_days": 0, "subject": "Number {{company}}", "template": TEXT, **step}],
        })["id"]

    def enrol(self, campaign, people, name="lead"):
        """New people, ten thousand a request."""
        leads = [{"email": f"{name}{number}@bench.example", "company": str(number), "campaign_id": campaign}
                 for number in range(people)]
        for first in range(0, people, 10_000):
            self.post("/leads/bulk", leads[first:first + 10_000])


def clock(instant):
    return datetime.fromtimestamp(instant, timezone.utc).isoformat()
