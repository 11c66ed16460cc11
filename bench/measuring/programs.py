"""Runs what is measured: one program for each figure, and servers of its own for each run."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PEERS = ROOT / "bench" / "peers"
RELEASE = ROOT / "build" / "release" / "bench"
PATIENCE_SECONDS = 600


def say(text):
    print(text, flush=True)


def figure(system, metric, value, unit, guarantee=""):
    return {"system": system, "metric": metric, "value": value, "unit": unit,
            "guarantee": guarantee}


def text_of(command, seconds=PATIENCE_SECONDS, **options):
    """What a program prints; one that fails or does not end makes the whole measurement fail."""
    words = [str(word) for word in command]
    shown = " ".join(os.path.relpath(word, ROOT) if word.startswith("/") else word[:40]
                     for word in words[:6])
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False,
                              stdin=subprocess.DEVNULL, **options)
    except subprocess.TimeoutExpired:
        sys.exit(f"{shown} did not end within {seconds} s")
    if done.returncode != 0:
        why = (done.stderr or done.stdout).strip()[-2000:]
        sys.exit(f"{shown} failed ({done.returncode}):\n{why}")
    return done.stdout


def json_lines(command, **options):
    """The figures a measuring program prints, one JSON object a line."""
    found = [json.loads(line) for line in text_of(command, **options).splitlines()
             if line.startswith("{")]
    if not found:
        sys.exit(f"{command[0]} printed no figure")
    return found


def need(programs, fix):
    """Ends with what to do when one of these is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed: {fix}")


def install_node_peers():
    """What package-lock.json names, once for every version of it."""
    lock, mark = PEERS / "package-lock.json", PEERS / "node_modules" / ".installed"
    if mark.exists() and mark.read_bytes() == lock.read_bytes():
        return
    say("installing the peers that come from npm")
    done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=PEERS, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        sys.exit(f"npm ci in bench/peers failed:\n{done.stdout[-2000:]}")
    mark.write_bytes(lock.read_bytes())


def versions_of(sources, chosen):
    """Of the systems that are measured; `sources` names the package of each in npm or Debian."""
    found = {}
    for system, (kind, package) in sources.items():
        if system not in chosen:
            continue
        if kind == "npm":
            facts = PEERS / "node_modules" / package / "package.json"
            found[system] = json.loads(facts.read_text())["version"]
        else:
            found[system] = text_of(["dpkg-query", "-W", "-f=${Version}", package])
    return found


class Server:
    """`millrace serve` in a directory of its own."""

    def __init__(self, directory, settings=None):
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [ROOT / "build" / "millrace", "serve", "--listen", "127.0.0.1:0", "--data", directory,
             "--log-level", "warning"], stdout=subprocess.PIPE, text=True,
            env={**os.environ, **(settings or {})})
        self.url = None
        for line in self.process.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                self.url = found.group(0)
                break
        if self.url is None:
            sys.exit("millrace serve did not start")
        self.ready_ms = (time.monotonic() - self.started) * 1000

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def resident_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.stdout.read()
        if self.process.wait(timeout=20) != 0:
            sys.exit("millrace serve did not end cleanly")
