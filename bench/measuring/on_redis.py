"""The Redis engine beside the queues that also keep their jobs there, and beanstalkd.

Each measurement has a redis-server to itself, empty at first. What Redis can do at most is measured
with redis-benchmark: no queue can be faster than the commands or the script it needs.
"""

import contextlib
import functools
import os
import re
import subprocess
import sys
import tempfile

from measuring import embedded
from measuring.programs import (PEERS, RELEASE, figure, install_node_peers, json_lines, need, say,
                                text_of, versions_of)
from private_redis import PROGRAM, PrivateRedis

CALLERS = 50
FIX = "tools/setup --for bench --engine redis"
OURS = RELEASE / "redis_queue_bench"
DEPTH = 64
BATCH = 50
PAYLOAD = '{"n":"00000000","text":"' + "x" * 74 + '"}'

# A job as small as one can be kept: a number, a field with the payload, a place in the list.
PUSH = """for i = 1, #ARGV do
  local id = redis.call('INCR', KEYS[1])
  redis.call('HSET', KEYS[2], id, ARGV[i])
  redis.call('LPUSH', KEYS[3], id)
end"""
TAKE_ONE = """local id = redis.call('RPOP', KEYS[3])
local data = redis.call('HGET', KEYS[2], id)
redis.call('HDEL', KEYS[2], id)
return data"""
# Ends what the call before took and takes as many again, each with a lease.
TAKE_MANY = """local ended = redis.call('ZPOPMIN', KEYS[4], ARGV[1])
for i = 1, #ended, 2 do redis.call('HDEL', KEYS[2], ended[i]) end
local ids = redis.call('RPOP', KEYS[3], ARGV[1])
local taken = {}
for i, id in ipairs(ids or {}) do
  redis.call('ZADD', KEYS[4], i, id)
  taken[i] = redis.call('HGET', KEYS[2], id)
end
return taken"""


@contextlib.contextmanager
def fresh_redis(aof):
    """An empty redis-server for one measurement."""
    settings = {"appendonly": "no"} if aof == "no" else {"appendfsync": aof}
    with tempfile.TemporaryDirectory(prefix="redis-bench-") as directory:
        with PrivateRedis(directory, settings) as redis:
            yield redis


def ours(aof, jobs):
    with fresh_redis(aof) as redis:
        return json_lines([OURS, "--once", "--json", "--jobs", jobs, "--callers", CALLERS,
                           "--redis", redis.url])


def requests_per_second(redis, count, words, connections=CALLERS):
    text = text_of(["redis-benchmark", "-p", redis.port, "-n", count, "-c", connections,
                    "-P", DEPTH, "--csv", *words])
    # The first of the eight columns is the command itself, with whatever commas it has.
    return float(text.strip().rsplit(",", 7)[1].strip('"'))


def load_script(redis, script):
    return text_of(["redis-cli", "-p", redis.port, "SCRIPT", "LOAD", script]).strip()


def limits(aof, jobs):
    keys = ["4", "{q}:number", "{q}:jobs", "{q}:waiting", "{q}:leases"]
    batches = jobs // BATCH
    many = [PAYLOAD] * BATCH
    out = []

    def add(metric, rate, how):
        out.append(figure("limit", metric, rate, "jobs/s", f"{how}, depth {DEPTH}"))

    with fresh_redis(aof) as redis:
        push, one, more = (load_script(redis, text) for text in (PUSH, TAKE_ONE, TAKE_MANY))
        add("LPUSH", requests_per_second(redis, 5 * jobs, ["LPUSH", "plain", PAYLOAD]), "LPUSH")
        add("enqueue", requests_per_second(redis, jobs, ["EVALSHA", push, *keys, PAYLOAD]),
            "a script a job: INCR, HSET, LPUSH")
        add("take → done", requests_per_second(redis, jobs, ["EVALSHA", one, *keys]),
            "a script a job: RPOP, HGET, HDEL")
        rate = requests_per_second(redis, batches, ["EVALSHA", push, *keys, *many])
        add("enqueue", rate * BATCH, f"{BATCH} jobs a script call")
        # It takes from what the line above has left.
        rate = requests_per_second(redis, batches, ["EVALSHA", more, *keys, str(BATCH)])
        add("take → done", rate * BATCH, f"ack, lease and fetch of {BATCH} a script call")
    return out


def beside(share, command, aof, jobs):
    """A peer with its share of the jobs, so that every measurement takes a similar time."""
    with fresh_redis(aof) as redis:
        return json_lines([*command[:-1], PEERS / command[-1], redis.port,
                           max(int(jobs * share), 1000), CALLERS], cwd=PEERS)


NAME = "Redis"


def parts(aof):
    """What is measured of ours and of the machine, and the peers, each by its name."""
    def peer(share, *command):
        return functools.partial(beside, share, command, aof)

    return ({"limits": functools.partial(limits, aof), "redis": functools.partial(ours, aof)},
            {"bullmq": peer(1 / 4, "node", "bullmq_bench.js"),
             "bee-queue": peer(1 / 2, "node", "bee_queue_bench.js"),
             "sidekiq": peer(1 / 4, "ruby", "sidekiq_bench.rb"),
             # The packages of Debian belong to the python of Debian.
             "celery": peer(1 / 20, "/usr/bin/python3", "celery_bench.py"),
             "rq": peer(1 / 50, "/usr/bin/python3", "rq_bench.py"),
             "beanstalkd": lambda jobs: embedded.beanstalkd(jobs // 2, CALLERS)})


def conditions(aof):
    if aof == "no":
        return "Redis keeps its data in memory only (appendonly no)"
    return f"Redis with appendonly yes, appendfsync {aof}"


def versions(chosen):
    server = re.search(r"v=(\S+)", text_of([PROGRAM, "--version"])).group(1)
    return {"Redis": server, **versions_of({
        "bullmq": ("npm", "bullmq"), "bee-queue": ("npm", "bee-queue"),
        "sidekiq": ("Debian", "ruby-sidekiq"), "celery": ("Debian", "python3-celery"),
        "rq": ("Debian", "python3-rq"), "beanstalkd": ("Debian", "beanstalkd")}, chosen)}


def prepare(chosen):
    need(["redis-server", "redis-cli", "redis-benchmark"], FIX)
    for name, words in (("sidekiq", ["ruby", "-e", "require 'sidekiq'; require 'hiredis'"]),
                        ("celery", ["/usr/bin/python3", "-c", "import celery, redis"]),
                        ("rq", ["/usr/bin/python3", "-c", "import rq"])):
        if name in chosen:
            need(words[:1], FIX)
            if subprocess.run(words, capture_output=True, check=False).returncode != 0:
                sys.exit(f"{name} is not installed: {FIX}")
    if "beanstalkd" in chosen:
        need(["beanstalkd"], FIX)
    if "bullmq" in chosen or "bee-queue" in chosen:
        need(["node", "npm"], FIX)
        install_node_peers()
    if "redis" in chosen and not os.access(OURS, os.X_OK):
        say(f"{OURS.name} has not been built, so that our own figures are missing: "
            "the others run alone")
        chosen.remove("redis")
