"""The servers of events that are measured beside each other, each started anew for each measurement."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from measuring.programs import PEERS, ROOT, need, text_of

FIX = "tools/setup --for bench"
NCHAN_MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
NGINX = """
load_module {module};
worker_processes {workers};
worker_rlimit_nofile 30000;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 12000; use epoll; multi_accept on; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  nchan_shared_memory_size 256M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /events {{ nchan_subscriber eventsource; nchan_channel_id bench; }}
    location = /publish {{
      nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 10000;
    }}
  }}
}}
"""


class Running:
    """A server that answers, where its routes are, and what it takes."""

    def __init__(self, port, pids, subscribe, publish):
        self.port, self.pids, self.subscribe, self.publish = port, pids, subscribe, publish

    def memory_kb(self):
        """What its processes take, with what they share counted once."""
        total = 0
        for pid in self.pids():
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE).group(1))
        return total


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until_it_answers(url):
    for _ in range(500):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"{url} does not answer")


@contextlib.contextmanager
def millrace(threads):
    with tempfile.TemporaryDirectory(prefix="millrace-sse-") as folder:
        process = subprocess.Popen(
            [ROOT / "build" / "millrace", "serve", "--listen", "127.0.0.1:0", "--data", folder,
             "--log-level", "warning", "--threads", str(threads)],
            stdout=subprocess.PIPE, text=True)
        try:
            port = None
            for line in process.stdout:
                found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
                if found:
                    port = int(found.group(1))
                    break
            if port is None:
                sys.exit("millrace serve did not start")
            yield Running(port, lambda: [process.pid], "/v1/events/bench/live", "/v1/events/bench")
        finally:
            end(process)


@contextlib.contextmanager
def nchan(workers):
    from private_redis import free_port
    with tempfile.TemporaryDirectory(prefix="nchan-") as folder:
        # Its workers are of another user.
        os.chmod(folder, 0o755)
        port = free_port()
        config = pathlib.Path(folder) / "nginx.conf"
        config.write_text(NGINX.format(module=NCHAN_MODULE, workers=workers, folder=folder,
                                       port=port))
        process = subprocess.Popen(["nginx", "-c", config, "-g", "daemon off;"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until_it_answers(f"http://127.0.0.1:{port}/publish")
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
            yield Running(port, lambda: children.read_text().split(), "/events", "/publish")
        finally:
            end(process)


@contextlib.contextmanager
def node():
    process = subprocess.Popen(["node", PEERS / "sse_node.js"], stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline())
        yield Running(port, lambda: [process.pid], "/events", "/publish")
    finally:
        end(process)


def prepare(names):
    if any(name.startswith("nchan") for name in names):
        need(["nginx"], FIX)
        if not NCHAN_MODULE.exists():
            sys.exit(f"nchan is not installed: {FIX}")
    if "node" in names:
        need(["node"], FIX)


def versions(names):
    found = {}
    if any(name.startswith("nchan") for name in names):
        found["nchan"] = text_of(["dpkg-query", "-W", "-f=${Version}", "libnginx-mod-nchan"])
    if "node" in names and shutil.which("node"):
        found["node"] = text_of(["node", "--version"]).strip()
    return found


KEPT = "kept, synced before the publisher is answered; resumes"
MEMORY = "kept in memory; resumes"
SYSTEMS = {
    "millrace": (lambda: millrace(2), "millrace", f"2 threads, {KEPT}"),
    "nchan": (lambda: nchan(2), "nchan", f"2 workers, {MEMORY}"),
    "millrace-1": (lambda: millrace(1), "millrace", f"1 thread, {KEPT}"),
    "nchan-1": (lambda: nchan(1), "nchan", f"1 worker, {MEMORY}"),
    "node": (node, "node", "1 thread, nothing is kept"),
}
