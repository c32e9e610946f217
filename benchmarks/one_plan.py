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
    """Seconds, the growth of the process's memory in bytes at its peak, and how many hosts were planned."""
    fleet, (own, *also) = fleets.fleet(hosts), fleets.targets(hosts)
    policy = Policy(concurrency=hosts, bake=timedelta(0))  # as few as possible are late: those cost least
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak so far is not the plan's
    before, began = _memory("VmRSS"), time.perf_counter()
    plan = make_plan(own, fleet, policy, {"large.yaml": "0" * 64}, fleets.NOW, also=also)
    took = time.perf_counter() - began
    print(json.dumps({"seconds": took, "bytes": _memory("VmHWM") - before, "planned": len(plan.hosts)}))


def _memory(name: str) -> int:
    status = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main(int(sys.argv[1]))
