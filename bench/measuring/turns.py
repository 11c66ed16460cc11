"""Takes what is measured in turns, so that nobody has the machine at its best or worst alone."""

import time

from measuring import report
from measuring.programs import say


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def measure(parts, runs, work):
    """The figures of every part, each called with `work` once a run."""
    samples = report.Samples()
    began = time.monotonic()
    total = runs * len(parts)
    for run in range(runs):
        # Whoever is first in a run meets another machine than whoever is last.
        turns = list(parts.items())[::1 if run % 2 == 0 else -1]
        for at, (name, part) in enumerate(turns):
            passed, done = time.monotonic() - began, run * len(parts) + at
            left = f", about {clock(passed / done * (total - done))} left" if run else ""
            say(f"run {run + 1} of {runs}: {name} ({at + 1} of {len(turns)}), "
                f"{clock(passed)} elapsed{left}")
            for one in part(work):
                samples.add(one)
    return samples.rows()
