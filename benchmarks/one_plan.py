"""One plan, made once in a process of its own: `python -m benchmarks.one_plan HOSTS` prints what it took as JSON."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

from benchmarks import fleets
from liftlock.model import Policy
from liftlock.plan import make_plan


def main(hosts: int) -> None:
    """Seconds by the clock and of CPU, memory in bytes, and how many hosts were planned.

    `bytes` is by how much the plan makes the process grow at its peak, `peak` the most that the process ever holds:
    reading the fleet and planning.
    """
    fleet, (own, *also) = fleets.fleet(hosts), fleets.targets(hosts)
    policy = Policy(concurrency=hosts, bake=timedelta(0))  # as few as possible are late: those cost least
    reading = _memory("VmHWM")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak so far is not the plan's
    before, began, working = _memory("VmRSS"), time.perf_counter(), time.process_time()
    plan = make_plan(own, fleet, policy, {"large.yaml": "0" * 64}, fleets.NOW, also=also)
    took, cpu = time.perf_counter() - began, time.process_time() - working
    peak = _memory("VmHWM")
    told = {"seconds": took, "cpu": cpu, "bytes": peak - before, "peak": max(peak, reading), "planned": len(plan.hosts)}
    print(json.dumps(told))


def _memory(name: str) -> int:
    status = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main(int(sys.argv[1]))
