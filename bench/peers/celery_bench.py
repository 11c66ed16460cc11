#!/usr/bin/python3
"""Celery on the Redis of PORT, in the shape of our own measurement.

    celery_bench.py PORT JOBS CALLERS

Prints one JSON line a figure. Every job is counted: a run that lost or doubled one fails.
"""

import os
import sys

import celery
import redis

import peer

KEPT = "no status, no result; acknowledged before it runs: a crash loses it"


def make_app(port):
    app = celery.Celery("bench", broker=f"redis://127.0.0.1:{port}/0")
    # What its documentation advises for many short tasks.
    app.conf.update(task_ignore_result=True, task_acks_late=False, worker_prefetch_multiplier=100,
                    task_compression=None, task_serializer="json", broker_pool_limit=64,
                    worker_disable_rate_limits=True, worker_send_task_events=False,
                    broker_transport_options={"health_check_interval": 0})
    app.task(peer.handle, name="handle")
    app.task(peer.arrive, name="arrive")
    return app


def work(port):
    # Its greeting would stand among the figures.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    app = make_app(port)
    # The pool without a second process behind it is the fastest for tasks as short as these.
    app.worker_main(["worker", "--pool", "solo", "--hostname", f"{os.getpid()}@%h",
                     "--without-gossip", "--without-mingle", "--without-heartbeat",
                     "--loglevel", "error"])


def main():
    port, jobs, callers = peer.arguments()

    def connect():
        task = make_app(port).tasks["handle"]
        text = peer.text_of()

        def send(first, last):
            for number in range(first, last):
                task.apply_async((number, text))
        return send

    single = peer.enqueue_rate(connect, jobs, 1, callers)
    store = redis.Redis(port=port)
    if store.llen("celery") != jobs:
        sys.exit(f"celery: {store.llen('celery')} of {jobs} jobs are waiting")
    peer.begin_counting(jobs)
    drained = peer.drain_rate(lambda: peer.several(work, port), jobs)
    left = store.llen("celery") + store.hlen("unacked")
    if left:
        sys.exit(f"celery: {left} jobs were left behind")
    peer.report_throughput("Celery", single, drained, KEPT)

    def connect_idle():
        task = make_app(port).tasks["arrive"]
        return lambda text: task.apply_async((text,))

    peer.report_pickup("Celery", lambda: [peer.forked(work, port)], connect_idle,
                       "apply_async called → handler started")


if __name__ == "__main__":
    main()
