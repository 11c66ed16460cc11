#!/usr/bin/python3
"""RQ on the Redis of PORT, in the shape of our own measurement.

    rq_bench.py PORT JOBS CALLERS

Prints one JSON line a figure. Every job is counted: a run that lost or doubled one fails.
"""

import logging
import sys

import redis
import rq

import peer

KEPT = "status; no result kept; a crash fails the running job"


def connect_to(port, name):
    store = redis.Redis(port=port)

    def connect():
        queue = rq.Queue(name, connection=store)
        text = peer.text_of()

        def send(first, last):
            if last - first == 1:
                queue.enqueue(peer.handle, first, text, result_ttl=0)
                return
            queue.enqueue_many([rq.Queue.prepare_data(peer.handle, (number, text), result_ttl=0)
                                for number in range(first, last)])
        return send
    return connect


def work(port):
    logging.getLogger("rq.worker").setLevel(logging.ERROR)
    store = redis.Redis(port=port)
    # Without a process of its own for each job, which is what costs most.
    worker = rq.SimpleWorker([rq.Queue("bench", connection=store)], connection=store)
    worker.work(burst=False, logging_level="ERROR")


def main():
    port, jobs, callers = peer.arguments()
    store = redis.Redis(port=port)
    single = peer.enqueue_rate(connect_to(port, "bench"), jobs, 1, callers)
    if store.llen("rq:queue:bench") != jobs:
        sys.exit(f"rq: {store.llen('rq:queue:bench')} of {jobs} jobs are waiting")
    peer.begin_counting(jobs)
    drained = peer.drain_rate(lambda: peer.several(work, port), jobs)
    left = (store.llen("rq:queue:bench") + store.zcard("rq:wip:bench")
            + store.zcard("rq:failed:bench"))
    if left:
        sys.exit(f"rq: {left} jobs were left behind")
    peer.report_throughput("RQ", single, drained, KEPT)

    many = peer.enqueue_rate(connect_to(port, "bulk"), jobs, peer.BULK, callers)
    if store.llen("rq:queue:bulk") != jobs:
        sys.exit(f"rq: {store.llen('rq:queue:bulk')} of {jobs} jobs of the bulk calls are waiting")
    peer.report("RQ", f"enqueue, {peer.BULK} a call", many, "jobs/s", KEPT)

    def connect_idle():
        queue = rq.Queue("bench", connection=store)
        return lambda text: queue.enqueue(peer.arrive, text, result_ttl=0)

    peer.report_pickup("RQ", lambda: [peer.forked(work, port)], connect_idle,
                       "enqueue called → handler started")


if __name__ == "__main__":
    main()
