"""What the measurements of the queues for Python have in common.

Callers are threads of several processes, since threads of one share an interpreter lock; so are
workers. What the handler saw is counted in memory that all of them share.
"""

import json
import mmap
import os
import signal
import struct
import sys
import threading
import time

PROCESSES = 2
BULK = 50
PATIENCE_SECONDS = 300
PICKUPS = 500
PICKUPS_UNCOUNTED = 50
# Made before the processes that share them; the handlers find them here in each of them.
seen = None
arrivals = None


def arguments():
    """PORT JOBS CALLERS"""
    if len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} PORT JOBS CALLERS")
    return tuple(int(word) for word in sys.argv[1:])


def text_of():
    """With its number, 100 bytes as JSON, as in all the other measurements."""
    return "x" * 80


def handle(number, _text):
    seen[number] += 1


def arrive(_text):
    os.write(arrivals[1], struct.pack("d", time.monotonic()))


def begin_counting(jobs):
    global seen
    seen = mmap.mmap(-1, jobs)


def handled():
    return len(seen) - seen[:].count(0)


def check_counts():
    for number, runs in enumerate(seen[:]):
        if runs != 1:
            sys.exit(f"{sys.argv[0]}: job {number} ran {runs} times")


def report(system, metric, value, unit, guarantee):
    print(json.dumps({"system": system, "metric": metric, "value": value, "unit": unit,
                      "guarantee": guarantee}, ensure_ascii=False), flush=True)


def report_throughput(system, enqueued, done, guarantee):
    """A job is first enqueued and later done, one after the other."""
    report(system, "enqueue", enqueued, "jobs/s", guarantee)
    report(system, "take → done", done, "jobs/s", guarantee)
    report(system, "enqueue → done", 1 / (1 / enqueued + 1 / done), "jobs/s", "one after the other")


def forked(run, *given):
    """The id of a process that runs this and ends with 0, or with 1 after an exception."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        run(*given)
        code = 0
    except Exception as failure:
        print(f"{sys.argv[0]}: {failure!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def several(run, *given):
    return [forked(run, *given) for _ in range(PROCESSES)]


def join(children):
    for child in children:
        _, status = os.waitpid(child, 0)
        if status != 0:
            sys.exit(f"{sys.argv[0]}: a process ended with status {status}")


def stop(children):
    """Asks them to end, whatever they answer."""
    for child in children:
        os.kill(child, signal.SIGTERM)
    for child in children:
        os.waitpid(child, 0)


def _send_in_threads(connect, first, last, per_call, threads, ready, go):
    send = connect()
    os.write(ready, b".")
    os.read(go, 1)
    numbers = iter(range(first, last, per_call))
    failures = []

    def caller():
        try:
            # next() of a range is one step of the interpreter: no two threads get the same.
            for number in numbers:
                send(number, min(number + per_call, last))
        except Exception as failure:
            failures.append(failure)

    callers = [threading.Thread(target=caller) for _ in range(threads)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    if failures:
        raise failures[0]


def enqueue_rate(connect, jobs, per_call, callers):
    """Jobs a second; `connect()` gives a process its `send(first, last)`, safe from any thread."""
    share = -(-jobs // PROCESSES)
    ready, tell_ready = os.pipe()
    go, tell_go = os.pipe()
    senders = [forked(_send_in_threads, connect, first, min(first + share, jobs), per_call,
                      max(1, callers // PROCESSES), tell_ready, go)
               for first in range(0, jobs, share)]
    # Their imports and connections are not what is measured.
    for _ in senders:
        os.read(ready, 1)
    begun = time.monotonic()
    os.write(tell_go, b"." * len(senders))
    join(senders)
    return jobs / (time.monotonic() - begun)


def drain_rate(start_workers, jobs):
    """Jobs a second from the first one handled to the last; the workers stop afterwards."""
    workers = start_workers()
    end = time.monotonic() + PATIENCE_SECONDS
    while (before := handled()) == 0:
        _wait_a_little(end)
    begun = time.monotonic()
    while handled() < jobs:
        _wait_a_little(end)
    rate = (jobs - before) / (time.monotonic() - begun)
    stop(workers)
    check_counts()
    return rate


def report_pickup(system, start_workers, connect, guarantee):
    """From the call that enqueues to the handler, when nothing else is going on.

    `connect()` gives a `send(text)` of a job that calls `arrive`.
    """
    global arrivals
    arrivals = os.pipe()
    workers = start_workers()
    send, millis = connect(), []
    for turn in range(PICKUPS_UNCOUNTED + PICKUPS):
        # Long enough for the worker to wait again.
        time.sleep(0.003)
        begun = time.monotonic()
        send(text_of())
        arrived = struct.unpack("d", os.read(arrivals[0], 8))[0]
        if turn >= PICKUPS_UNCOUNTED:
            millis.append((arrived - begun) * 1000)
    stop(workers)
    millis.sort()
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        report(system, f"pickup when idle {name}", millis[int(len(millis) * share)], "ms",
               guarantee)


def _wait_a_little(end):
    if time.monotonic() > end:
        sys.exit(f"{sys.argv[0]}: {len(seen) - handled()} jobs did not arrive")
    time.sleep(0.002)
