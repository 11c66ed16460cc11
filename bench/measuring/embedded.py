"""The embedded engine beside bunqueue and beanstalkd, over HTTP, and its start."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time

from measuring.programs import (PEERS, RELEASE, ROOT, Server, figure, install_node_peers,
                                json_lines, need, versions_of)
from private_redis import free_port

CALLERS = 64
HTTP_SECONDS = 5
FIX = "tools/setup --for bench"


def ours(jobs):
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as directory:
        return json_lines([RELEASE / "embedded_queue_bench", "--once", "--json",
                           "--jobs", jobs, "--callers", CALLERS, "--dir", directory])


def wrk(url, script):
    done = subprocess.run(
        ["wrk", "-t1", f"-c{CALLERS}", f"-d{HTTP_SECONDS}s", "--latency", "-s",
         ROOT / "bench" / script, url], capture_output=True, text=True, timeout=HTTP_SECONDS + 30,
        check=False)
    text = done.stdout
    if "Non-2xx" in text or done.returncode != 0:
        sys.exit(f"wrk: not every request succeeded:\n{text}{done.stderr}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    return rate, requests


def over_http(_jobs):
    out = []
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as directory:
        server = Server(directory)
        for metric, script, per_request in (("HTTP single enqueue", "http_single.lua", 1),
                                            ("HTTP enqueue, 100 a request", "http_batch.lua", 100)):
            queue = "single" if per_request == 1 else "batch"
            rate, requests = wrk(f"{server.url}/v1/queues/{queue}/jobs", script)
            info = server.get(f"/v1/queues/{queue}")
            # wrk forgets the answers that arrive after its time is over; the store may hold more.
            if info["waiting"] < requests * per_request:
                sys.exit(f"{metric}: {requests * per_request} acknowledged, {info['waiting']} kept")
            out.append(figure("millrace", metric, rate * per_request, "jobs/s",
                              "durable: synced before the answer"))
        server.stop()
    return out


def start(_jobs):
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as directory:
        server = Server(directory)
        first = server.ready_ms
        time.sleep(1)
        idle = server.resident_mb()
        server.stop()
        server = Server(directory)
        again = server.ready_ms
        server.stop()
    return [figure("millrace", "start, empty directory", first, "ms"),
            figure("millrace", "start, cleanly closed", again, "ms"),
            figure("millrace", "idle memory", idle, "MB")]


def bunqueue(jobs):
    with tempfile.TemporaryDirectory(prefix="bunqueue-bench-") as directory:
        # A tenth of the jobs: at its speed the run is as long as ours.
        return json_lines([PEERS / "node_modules" / ".bin" / "bun", PEERS / "bunqueue_bench.js",
                           directory, max(jobs // 10, 1000), CALLERS])


def beanstalkd(jobs, callers=CALLERS):
    with tempfile.TemporaryDirectory(prefix="beanstalkd-bench-") as directory:
        port = free_port()
        # It gives up root where it has it, and has to write its log there all the same.
        os.chmod(directory, 0o777)
        server = subprocess.Popen(["beanstalkd", "-l", "127.0.0.1", "-p", str(port),
                                   "-b", directory])
        try:
            wait_for_port(port)
            return json_lines([RELEASE / "beanstalkd_bench", port, jobs, callers])
        finally:
            server.terminate()
            server.wait(timeout=20)


def wait_for_port(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"nothing listens on port {port}")


NAME = "embedded"


def parts(_aof):
    """What is measured of ours, and the peers, each by its name."""
    return ({"embedded": ours, "http": over_http, "start": start},
            {"bunqueue": bunqueue, "beanstalkd": beanstalkd})


def conditions(_aof):
    return "Everything in one directory, synced before every answer"


def versions(chosen):
    return versions_of({"bunqueue": ("npm", "bunqueue"), "beanstalkd": ("Debian", "beanstalkd")},
                       chosen)


def prepare(chosen):
    if "http" in chosen:
        need(["wrk"], FIX)
    if "beanstalkd" in chosen:
        need(["beanstalkd"], FIX)
    if "bunqueue" in chosen:
        install_node_peers()
