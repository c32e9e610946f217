"""After a fault: run the same command again until it ends, then hold the record against what the hosts are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from faults import raft
from faults.fault_fleet import DEADLINE, PATIENCE, Try
from liftlock import ledger
from liftlock.ledger import Entry, verify_chain
from liftlock.model import Outcome

MOST_RUNS = 4
"""So often the same command may be run before it must have ended for good."""
ENDED = frozenset({0, 4})
"""Exit codes of a rollout that has nothing left to do and needs nobody."""
OR_NEEDS_A_PERSON = ENDED | {5}
OPEN = frozenset({Outcome.UNKNOWN, Outcome.UNREACHABLE})
"""Outcomes that a later look may still settle."""


@dataclass
class Tally:
    """What many tries add up to: the figures of docs/reliability.md."""

    tries: int = 0
    outcomes: int = 0
    agreeing: int = 0
    lost: int = 0
    doubled: int = 0
    failed: int = 0
    stalls: int = 0
    samples: int = 0
    broken: int = 0
    ends: Counter[str] = field(default_factory=Counter)

    def figures(self) -> dict[str, int]:
        """As the results file has them."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}

    def seen(self) -> str:
        """In words: how often the plans ended in which way."""
        return ", ".join(f"{count} x {end}" for end, count in sorted(self.ends.items())) or "nothing"


def finish(one: Try, tally: Tally, ended: frozenset[int] = ENDED) -> list[str]:
    """Run the rollout again until it ends; what is wrong with that."""
    wrong = []
    for _ in range(MOST_RUNS):
        again = one.start()
        if again.wait(PATIENCE) is None:
            tally.stalls += 1
            return [f"a run has not ended in {PATIENCE} s:\n{again.output}"]
        if again.seconds > DEADLINE + 5:
            tally.stalls += 1
            wrong.append(f"a run took {again.seconds:.1f} s, {DEADLINE} s and 5 s are allowed:\n{again.output}")
        if "Traceback" in again.output:
            wrong.append(again.output)
        if again.code in ended:
            return wrong
    return [*wrong, f"after {MOST_RUNS} more runs it still ends with {again.code}:\n{again.output}"]


def check(one: Try, tally: Tally, *, person: bool = False) -> list[str]:
    """What contradicts what; empty when record and hosts agree. Counts into `tally`.

    A host may have failed, and need a person, only where `person` says so; the record must then tell what runs, or say
    that it does not know.
    """
    with one.ledger() as store:
        entries = list(store.entries())
    verify_chain(entries)
    entries = [entry for entry in entries if entry.plan.startswith(one.plan)]
    wrong = _one_attempt_each(entries)
    tally.tries += 1
    for name, base in one.hosts.items():
        afloat, final = raft.look_at(base), _final_ends(entries, name)
        was_tried = any(isinstance(entry.fact, ledger.Started) and entry.fact.host == name for entry in entries)
        tally.outcomes += 1
        tally.lost += was_tried and not final
        tally.doubled += any(count > 1 for count in Counter(end.attempt for end in final).values())
        complaint = _complaint(final, afloat, person) if was_tried else _touched(base, afloat)
        tally.agreeing += not complaint
        if complaint:
            wrong.append(f"{name}: {complaint}; it is {afloat}\n" + _story(entries, name))
        tally.failed += bool(final) and final[-1].outcome is Outcome.FAILED
        tally.ends[f"{final[-1].outcome}" if final else "not tried"] += 1
        leftovers = [path.name for path in (base / "releases").iterdir() if path.name.startswith(".")]
        if leftovers:
            wrong.append(f"{name}: {', '.join(leftovers)} was left behind")
    return wrong


def _final_ends(entries: Iterable[Entry], host: str) -> list[ledger.Ended]:
    return [
        entry.fact
        for entry in entries
        if isinstance(entry.fact, ledger.Ended) and entry.fact.host == host and entry.fact.outcome not in OPEN
    ]


def _one_attempt_each(entries: Iterable[Entry]) -> list[str]:
    begun = Counter((e.fact.host, e.fact.attempt) for e in entries if isinstance(e.fact, ledger.Started))
    return [f"{host}: attempt {attempt} begun {count} times" for (host, attempt), count in begun.items() if count > 1]


def _complaint(final: list[ledger.Ended], afloat: raft.Afloat, person: bool) -> str:
    if not final:
        return "no outcome"
    last = final[-1]
    attempted = [end for end in final if end.outcome.attempted]
    if [end.attempt for end in final] != sorted({end.attempt for end in final}):
        return f"attempts ended more than once or out of order: {final}"
    if len([end for end in attempted if end.outcome is Outcome.SUCCEEDED]) > 1:
        return f"succeeded more than once: {final}"
    if last.outcome is Outcome.FAILED and person:
        return "" if last.version in {None, afloat.running} else f"the record says {last.version} runs"
    if last.outcome not in {Outcome.SUCCEEDED, Outcome.ROLLED_BACK}:
        return f"ended {last.outcome}: {last.cause} {last.detail}"
    wanted = raft.NEW if last.outcome is Outcome.SUCCEEDED else raft.OLD
    if afloat != raft.Afloat(wanted, wanted, wanted, whole=True):
        return f"the record says {last.outcome}"
    return "" if last.version == wanted else f"the record says {last.outcome} on {last.version}"


def _touched(base: Path, afloat: raft.Afloat) -> str:
    untouched = (
        afloat == raft.Afloat(raft.OLD, raft.OLD, raft.OLD, whole=True)
        and not (base / ".liftlock" / "journal").exists()
    )
    return "" if untouched else "it was never tried, and yet was touched"


def _story(entries: Iterable[Entry], host: str) -> str:
    """The record of one host, to be read by who looks for the defect."""
    told = [e for e in entries if getattr(e.fact, "host", host) == host and not isinstance(e.fact, ledger.Planned)]
    return "\n".join(f"    {entry.at:%H:%M:%S.%f} {entry.fact}" for entry in told)
