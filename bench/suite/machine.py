"""What all contenders stand on: a directory, PostgreSQL and Redis, private and on free ports of 127.0.0.1."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RELEASE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"

# Its input ends when this program lets go of it or dies; then it ends the server.
WATCHDOG = 'cat; kill -INT "$1"; for _ in $(seq 300); do kill -0 "$1" || exit; sleep 0.1; done; kill -KILL "$1"'


class Machine:
    """Servers that are started once somebody asks for them, and end with the block of `stack`."""

    def __init__(self, stack):
        self.stack, self.databases = stack, 0
        self.home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sendwright-bench-")))
        self.postgres = self.redis = None

    def start_postgres(self):
        """PostgreSQL as it comes, so every commit waits for the disk. What statements take is only counted where a
        measurement asks for it."""
        self.postgres_port = free_port()
        self.programs = directory_of("initdb", sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))
        data, place = self.home / "postgres", {"cwd": self.home}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root.
            shutil.chown(self.home, "postgres", "postgres")
            place |= {"user": "postgres", "group": "postgres", "extra_groups": []}
        initdb = [self.programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **place)
        settings = ["fsync=on", "synchronous_commit=on", "max_connections=200"]
        if (self.programs.parent / "lib" / "pg_stat_statements.so").exists():
            settings += ["shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track=none"]
        self.postgres = self.stack.enter_context(self.serve(
            "postgres",
            [self.programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(self.postgres_port), "-k", self.home,
             *(word for setting in settings for word in ("-c", setting))],
            lambda: "ready" in read(data / "postmaster.pid"), **place))

    def start_redis(self):
        """Redis with an append-only file, as a queue needs."""
        self.redis_port = free_port()
        self.redis = self.stack.enter_context(self.serve(
            "redis",
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.redis_port), "--dir", self.home,
             "--save", "", "--appendonly", "yes", "--databases", "200"],
            lambda: is_open(self.redis_port)))

    def stores(self):
        """The URLs of an empty PostgreSQL database and an empty Redis database."""
        if self.postgres is None:
            self.start_postgres()
            self.start_redis()
        self.databases += 1
        name = f"bench{self.databases}"
        self.psql("postgres", f"CREATE DATABASE {name}")
        return {"DATABASE_URL": f"postgres://postgres@127.0.0.1:{self.postgres_port}/{name}",
                "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/{self.databases}"}

    def psql(self, database, script):
        """What a script prints, without ornament."""
        words = [self.programs / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-F", "\x1f", "-h", "127.0.0.1",
                 "-p", str(self.postgres_port), "-U", "postgres", database]
        done = subprocess.run(words, input=script, text=True, capture_output=True)
        return done.stdout if done.returncode == 0 else sys.exit(f"{script[:200]}: {done.stderr}")

    def needs(self, gigabytes):
        """Ends here where the disk has less room than that."""
        free = shutil.disk_usage(self.home).free / 1e9
        if free < gigabytes:
            sys.exit(f"{self.home} has {free:.0f} GB free, and this needs {gigabytes:.0f}: take a smaller size")

    @contextmanager
    def serve(self, name, command, ready, **place):
        """Runs a server, from when it is ready to the end of the block."""
        log = self.home / f"{name}.log"
        with open(log, "w") as output:
            server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **place)
        watchdog = subprocess.Popen(["sh", "-c", WATCHDOG, "watchdog", str(server.pid)], stdin=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_for(lambda: ready() or server.poll() is not None, 60, f"{name} to be ready")
            if server.poll() is not None:
                sys.exit(f"{name} did not start:\n{log.read_text()[-2000:]}")
            yield server
        finally:
            watchdog.stdin.close()
            server.wait()
            watchdog.wait()


class Receiver:
    """A fresh receiving server: the one judge of how many messages arrived, how often, when, and how fast."""

    def __init__(self, machine):
        self.log = machine.home / f"arrivals{time.monotonic_ns()}"

    def __enter__(self):
        self.process = subprocess.Popen([RELEASE / "smtp-sink", "--seconds", "3600", "--arrivals", self.log],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        addresses = json.loads(self.process.stdout.readline())
        self.smtp, (host, port) = addresses["smtp"], addresses["stats"].split(":")
        self.stats = (host, int(port))
        return self

    def __exit__(self, *_):
        self.process.stdin.close()  # It ends with its input.
        self.process.wait()
        self.log.unlink(missing_ok=True)

    def counts(self):
        """Messages, duplicates among them, and the seconds from the first to the last."""
        with socket.create_connection(self.stats, timeout=10) as stream:
            return json.loads(stream.makefile().readline())

    def arrivals(self):
        """The instant of each message in unix seconds, with its Message-ID."""
        self.counts()  # The file is whole after it.
        return [(int(at) / 1e6, name) for at, name in (line.split(" ", 1) for line in read(self.log).splitlines())]

    def has(self, messages, seconds, what):
        """Waits until so many arrived, then as long as a duplicate needs to show itself; ends where one did."""
        wait_for(lambda: self.counts()["messages"] >= messages, seconds, what)
        time.sleep(2)
        counts = self.counts()
        if counts["messages"] != messages or counts["duplicates"]:
            sys.exit(f"not every message was handed over once: {counts}")
        return counts


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited {seconds} seconds for {what}")
        time.sleep(0.05)


def directory_of(program, elsewhere):
    found = shutil.which(program)
    places = [Path(found).resolve().parent] if found else [place for place in elsewhere if (place / program).exists()]
    return places[0] if places else sys.exit(f"no {program} here: .ci/servers installs it")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def read(path):
    try:
        return Path(path).read_text()
    except OSError:
        return ""
