#!/usr/bin/env python3
"""A redis-server of one's own on the loopback, in a directory of its own.

  tools/private_redis.py start DIRECTORY [--port N] [SETTING VALUE]…   prints its URL
  tools/private_redis.py url DIRECTORY                                 of the one that runs there
  tools/private_redis.py stop DIRECTORY

What it keeps is synced before every answer, unless the settings say otherwise: any words of
redis.conf, such as `appendfsync everysec` or `appendonly no`. MILLRACE_REDIS_SERVER names the
program; the default is redis-server. It is stopped by the process id that DIRECTORY keeps.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

PROGRAM = os.environ.get("MILLRACE_REDIS_SERVER", "redis-server")
START_SECONDS = 30
STOP_SECONDS = 30
# Somebody else may take a free port before the server does.
ATTEMPTS = 5


class RedisFailed(Exception):
    """It does not start or does not end; says why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    """Whether a Redis that has loaded its data answers there."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


class PrivateRedis:
    """Started and stopped as often as one likes; the data and the port stay the same."""

    def __init__(self, directory, settings=None, port=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.settings = {"appendonly": "yes", "appendfsync": "always", "save": "",
                         **(settings or {})}
        self.port = port
        self.process = None

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self):
        if shutil.which(PROGRAM) is None:
            raise RedisFailed(f"{PROGRAM} is not here: tools/setup --for run --engine redis")
        if self.port is not None:
            self._start_on_port()
            return
        for attempt in range(ATTEMPTS):
            self.port = free_port()
            try:
                self._start_on_port()
                return
            except RedisFailed:
                if attempt + 1 == ATTEMPTS:
                    raise

    def _start_on_port(self):
        words = [PROGRAM, "--port", str(self.port), "--bind", "127.0.0.1",
                 "--dir", str(self.directory.resolve()), "--daemonize", "no"]
        for name, value in self.settings.items():
            words += [f"--{name}", value]
        log_path = self.directory / "redis.log"
        with open(log_path, "ab") as log:
            # Not in our process group: Ctrl-C is for us, who stop it when all others are done.
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        end = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < end:
            if answers(self.port):
                return
            time.sleep(0.01)
        ended = self.process.poll()
        self.kill()
        why = log_path.read_text(errors="replace").strip().splitlines()[-3:]
        raise RedisFailed(f"{PROGRAM} on port {self.port} "
                          + ("does not answer" if ended is None else f"ended with {ended}")
                          + "".join(f"\n  {line}" for line in why))

    def kill(self):
        """As a crash would end it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RedisFailed(f"{PROGRAM} did not end within {STOP_SECONDS} s") from None
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


def state_of(directory):
    """The process id and the port of the server that runs there, if one does."""
    try:
        pid, port = map(int, (directory / "running").read_text().split())
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    # The id may have gone to another program since.
    return (pid, port) if b"redis" in command or b"valkey" in command else None


def start(directory, words):
    if state_of(directory) is not None:
        raise RedisFailed(f"one runs in {directory} already; "
                          f"to end it: tools/private_redis.py stop {directory}")
    port = None
    if words[:1] == ["--port"]:
        port, words = int(words[1]), words[2:]
        if answers(port):
            raise RedisFailed(f"a Redis listens on port {port} already; choose another")
    if len(words) % 2:
        raise RedisFailed(f"the setting {words[-1]} has no value")
    redis = PrivateRedis(directory, dict(zip(words[::2], words[1::2])), port)
    redis.start()
    (directory / "running").write_text(f"{redis.process.pid} {redis.port}\n")
    print(redis.url)


def stop(directory):
    state = state_of(directory)
    if state is None:
        return
    pid = state[0]
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while state_of(directory) is not None:
        if time.monotonic() > end:
            raise RedisFailed(f"process {pid} did not end within {STOP_SECONDS} s")
        time.sleep(0.02)
    (directory / "running").unlink()


def main(words):
    if len(words) < 2 or words[0] not in ("start", "url", "stop"):
        sys.exit(__doc__)
    verb, directory = words[0], pathlib.Path(words[1])
    try:
        if verb == "start":
            start(directory, words[2:])
        elif verb == "stop":
            stop(directory)
        else:
            state = state_of(directory)
            if state is None:
                raise RedisFailed(f"no Redis runs in {directory}")
            print(f"redis://127.0.0.1:{state[1]}")
    except RedisFailed as failure:
        sys.exit(f"private_redis: {failure}")


if __name__ == "__main__":
    main(sys.argv[1:])
