"""The cache: memory of the process, our client of Redis, and entries over HTTP, beside their peers."""

import contextlib
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import urllib.request

from measuring.programs import (PEERS, RELEASE, Server, figure, install_node_peers, json_lines,
                                need, text_of, versions_of)
from private_redis import PROGRAM, PrivateRedis, free_port

FIX = "tools/setup --for bench --engine redis"
IN_FLIGHT = (50, 1000)
CONNECTIONS = 64
VALUE = b'{"id":7,"name":"Ann","roles":["reader","writer"],"active":true,"visits":123456,"since":2026}'
NGINX = """worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  default_type application/json;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 '{body}'; }}
  }}
}}
"""


def memory(work):
    return json_lines([RELEASE / "local_cache_bench", "--json", "1" if work.quick else "3"])


@contextlib.contextmanager
def redis_in_memory():
    """As it is fastest: what a cache holds can be made again."""
    with tempfile.TemporaryDirectory(prefix="redis-bench-") as directory:
        with PrivateRedis(directory, {"appendonly": "no"}) as redis:
            yield redis


def client(work):
    out = []
    with redis_in_memory() as redis:
        for depth in IN_FLIGHT:
            out += json_lines([RELEASE / "redis_client_bench", redis.url, work.requests, depth, 16,
                               "--json"])
    return out


def redis_itself(work):
    """The server's own load generator, over one connection too."""
    out = []
    with redis_in_memory() as redis:
        text_of(["redis-cli", "-p", redis.port, "SET", "bench:key", "x" * 16])
        for depth in IN_FLIGHT:
            text = text_of(["redis-benchmark", "-p", redis.port, "-n", 2 * work.requests, "-c", 1,
                            "-P", depth, "--csv", "GET", "bench:key"])
            rate = float(text.strip().rsplit(",", 7)[1].strip('"'))
            out.append(figure("limit", f"GET, {depth} in flight", rate, "ops/s",
                              f"redis-benchmark, one connection, -P {depth}"))
    return out


def ioredis(work):
    out = []
    with redis_in_memory() as redis:
        for depth in IN_FLIGHT:
            out += json_lines(["node", PEERS / "ioredis_bench.js", redis.port,
                               work.requests // 10, depth], cwd=PEERS)
    return out


@contextlib.contextmanager
def memcached_server():
    port = free_port()
    # It refuses to run as root.
    server = subprocess.Popen(["memcached", "-l", "127.0.0.1", "-p", str(port), "-u", "nobody"],
                              stderr=subprocess.DEVNULL)
    try:
        wait_until_open(port)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=20)


def memcached(work):
    with memcached_server() as port:
        return [row for depth in IN_FLIGHT
                for row in json_lines([RELEASE / "memcached_bench", port, work.requests, depth])]


def policies(quick):
    """The hit ratios of eviction policies on the same requests, as a table for people."""
    return text_of([RELEASE / "cache_policy_bench", "100000" if quick else "1000000"])


def wrk(url, seconds):
    text = text_of(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url], seconds=seconds + 30)
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"wrk: not every request succeeded:\n{text}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))


def put_entry(server):
    request = urllib.request.Request(f"{server.url}/v1/cache/bench?ttl=3600", data=VALUE,
                                     method="PUT", headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30):
        pass


def http(work):
    out = []
    for near, how in (("32MiB", "answered from the server's memory"),
                      ("0", "asked of the engine each time")):
        with tempfile.TemporaryDirectory(prefix="millrace-bench-") as directory:
            server = Server(directory, {"MILLRACE_THREADS": "1", "MILLRACE_CACHE_NEAR_BYTES": near})
            put_entry(server)
            rate = wrk(f"{server.url}/v1/cache/bench", work.seconds)
            server.stop()
        metric = "HTTP cache GET" if near != "0" else "HTTP cache GET, far"
        out.append(figure("millrace", metric, rate, "requests/s", f"one thread, {how}"))
    return out


def nginx(work):
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="nginx-bench-") as directory:
        file = pathlib.Path(directory) / "nginx.conf"
        file.write_text(NGINX.format(directory=directory, port=port, body=VALUE.decode()))
        server = subprocess.Popen(["nginx", "-p", directory, "-c", file],
                                  stderr=subprocess.DEVNULL)
        try:
            wait_until_answered(f"http://127.0.0.1:{port}/")
            rate = wrk(f"http://127.0.0.1:{port}/", work.seconds)
        finally:
            server.terminate()
            server.wait(timeout=20)
    return [figure("nginx", "HTTP cache GET", rate, "requests/s",
                   "one worker, the same bytes from its configuration")]


def wait_until_answered(url):
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nothing answers at {url}")


def wait_until_open(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def parts():
    """What is measured of ours, and what stands beside it, each by its name."""
    return ({"memory": memory, "client": client, "http": http},
            {"redis-benchmark": redis_itself, "ioredis": ioredis, "memcached": memcached,
             "nginx": nginx})


def versions(chosen):
    server = re.search(r"v=(\S+)", text_of([PROGRAM, "--version"])).group(1)
    return {"Redis": server, **versions_of({"ioredis": ("npm", "ioredis"),
                                            "memcached": ("Debian", "memcached"),
                                            "nginx": ("Debian", "nginx")}, chosen)}


def prepare(chosen):
    if {"client", "redis-benchmark", "ioredis"} & set(chosen):
        need(["redis-server", "redis-cli", "redis-benchmark"], FIX)
    if {"http", "nginx"} & set(chosen):
        need(["wrk"], FIX)
    for peer in ("memcached", "nginx"):
        if peer in chosen:
            need([peer], FIX)
    if "ioredis" in chosen:
        need(["node", "npm"], FIX)
        install_node_peers()
