"""Medians, spread and ratios, as a table and as JSON."""

import json
import os
import statistics

from measuring.programs import say

OURS = "millrace"
# With the engine on the event loop of its callers, as the clients of Node always are; and staying
# awake for its answers.
ALL_OURS = (OURS, f"{OURS}, loop", f"{OURS}, loop, awake")


class Samples:
    """The figures of all runs; one system may have several limits for one metric."""

    def __init__(self):
        self.values = {}
        self.units = {}

    def add(self, one):
        key = (one["metric"], one["system"], one["guarantee"])
        self.values.setdefault(key, []).append(one["value"])
        self.units[key] = one["unit"]

    def rows(self):
        order = {"limit": 2, **{ours: at / 10 for at, ours in enumerate(ALL_OURS)}}
        rows = [{"metric": metric, "system": system, "median": statistics.median(numbers),
                 "min": min(numbers), "max": max(numbers), "runs": len(numbers),
                 "unit": self.units[metric, system, guarantee], "guarantee": guarantee}
                for (metric, system, guarantee), numbers in self.values.items()]
        # What is only a limit comes last.
        measured = {row["metric"] for row in rows if row["system"] != "limit"}
        rows.sort(key=lambda row: (row["metric"] not in measured, row["metric"],
                                   order.get(row["system"], 1),
                                   -row["median"] if row["unit"].endswith("/s") else row["median"]))
        return rows


def digits(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3f}"


def print_table(rows):
    wide = max(len(row["metric"]) for row in rows)
    name_wide = max(len(row["system"]) for row in rows)
    say(f"\n{'METRIC':<{wide}} {'SYSTEM':<{name_wide}} {'MEDIAN':>10} {'MIN':>10} {'MAX':>10}  "
        "UNIT   GUARANTEE")
    for row in rows:
        numbers = " ".join(f"{digits(row[name]):>10}" for name in ("median", "min", "max"))
        say(f"{row['metric']:<{wide}} {row['system']:<{name_wide}} {numbers}  "
            f"{row['unit']:<6} {row['guarantee']}")


def comparison(row, ours):
    """How many times as good the median of ours is, whatever the unit."""
    if row["unit"].endswith("/s"):
        return ours / row["median"]
    return row["median"] / ours


def print_ratios(rows):
    peers, limits = [], []
    for mine in ALL_OURS:
        ours = {row["metric"]: row["median"] for row in rows if row["system"] == mine}
        suffix = mine.removeprefix(OURS)
        for row in rows:
            metric, system = row["metric"], row["system"]
            if metric not in ours or system in ALL_OURS:
                continue
            times = comparison(row, ours[metric])
            if system == "limit":
                limits.append(f"  {metric}{suffix}: {100 * times:.0f} % of {row['guarantee']}")
            else:
                peers.append(f"  {metric}{suffix}: {times:.2f} x {system}")
    if peers:
        say("\nRatio of medians, ours to theirs (more than 1 is better):\n" + "\n".join(peers))
    if limits:
        say("\nOur share of the limit:\n" + "\n".join(limits))


def write_json(target, rows, facts):
    target.write_text(json.dumps({"cores": os.cpu_count(), **facts, "rows": rows}, indent=1,
                                 ensure_ascii=False) + "\n")
