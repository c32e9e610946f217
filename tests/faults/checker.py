"""After a fault: run the same command again until it ends, then hold the record against what the hosts are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from faults import raft
from faults.controllers import Controller
from faults.fault_fleet import DEADLINE, PATIENCE, Try
from faults.watcher import Watched
from liftlock import ledger
from liftlock.ledger import Entry, verify_chain
from liftlock.model import Action, Outcome

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
    ends: Counter[str] = field(default_factory=Counter)

    def figures(self) -> dict[str, int]:
        """As the results file has them."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}

    def seen(self) -> str:
        """In words: how often the plans ended in which way."""
        return ", ".join(f"{count} x {end}" for end, count in sorted(self.ends.items())) or "nothing"


def finish(one: Try, tally: Tally, ended: frozenset[int] = ENDED, faulted_within: float = DEADLINE) -> list[str]:
    """Run the rollout again until it ends; what is wrong with that, and with the runs before.

    Those, which the fault struck, must have ended within `faulted_within` seconds, and 5 more; the others within the
    deadline and 5 more.
    """
    wrong = [words for run in one.started for words in _untimely(run, tally, faulted_within)]
    if any(not run.over.is_set() for run in one.started):
        return wrong
    for _ in range(MOST_RUNS):
        again = one.start()
        wrong += _untimely(again, tally, DEADLINE)
        if not again.over.is_set():
            return wrong
        if "Traceback" in again.output:
            wrong.append(again.output)
        if again.code in ended:
            return wrong
    return [*wrong, f"after {MOST_RUNS} more runs it still ends with {again.code}:\n{again.output}"]


def _untimely(run: Controller, tally: Tally, within: float) -> list[str]:
    """Wait for the end of a run; that it came too late, or not at all. A run is timed once."""
    if run.timed:
        return []
    run.timed = True
    has_ended = run.wait(max(0.0, PATIENCE - run.seconds)) is not None
    if run.seconds <= within + 5:
        return []
    tally.stalls += 1
    how = f"took {run.seconds:.1f} s" if has_ended else f"has not ended in {run.seconds:.1f} s"
    return [f"a run {how}, {within:.0f} s and 5 s are allowed:\n{run.output}"]


def check(one: Try, tally: Tally, *, person: bool = False, watched: Watched | None = None) -> list[str]:
    """What contradicts what; empty when record and hosts agree. Counts into `tally`.

    A host may have failed, and need a person, only where `person` says so; the record must then tell what runs, or say
    that it does not know. `watched` is what was seen of the hosts since the try began.
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
        complaint = _complaint(final, afloat, one.way, person) if was_tried else _touched(base, afloat)
        if watched and not complaint:
            complaint = _strayed(watched.moves[str(base)], one.way, afloat, is_back=_went_back(entries, name))
        tally.agreeing += not complaint
        if complaint:
            wrong.append(f"{name}: {complaint}; it is {afloat}\n" + _story(entries, name))
        tally.failed += bool(final) and final[-1].outcome is Outcome.FAILED
        tally.ends[_end_in_words(final, one.way)] += 1
        leftovers = [path.name for path in (base / "releases").iterdir() if path.name.startswith(".")]
        if leftovers:
            wrong.append(f"{name}: {', '.join(leftovers)} was left behind")
    return wrong


def _end_in_words(final: list[ledger.Ended], way: Sequence[str]) -> str:
    """How a host ended; one that went back on a way of several hops also to which version."""
    if not final:
        return "not tried"
    is_told = final[-1].outcome is Outcome.ROLLED_BACK and len(way) > 2
    return f"{final[-1].outcome} to {final[-1].version}" if is_told else f"{final[-1].outcome}"


def _final_ends(entries: Iterable[Entry], host: str) -> list[ledger.Ended]:
    return [
        entry.fact
        for entry in entries
        if isinstance(entry.fact, ledger.Ended) and entry.fact.host == host and entry.fact.outcome not in OPEN
    ]


def _one_attempt_each(entries: Iterable[Entry]) -> list[str]:
    begun = Counter((e.fact.host, e.fact.attempt) for e in entries if isinstance(e.fact, ledger.Started))
    return [f"{host}: attempt {attempt} begun {count} times" for (host, attempt), count in begun.items() if count > 1]


def _went_back(entries: Iterable[Entry], host: str) -> bool:
    """Whether the record tells of a way back of this host: of one that was begun, or that it went by itself."""
    return any(
        (isinstance(fact, ledger.Started) and fact.host == host and fact.action is Action.ROLL_BACK)
        or (isinstance(fact, ledger.Ended) and fact.host == host and fact.outcome is Outcome.ROLLED_BACK)
        for fact in (entry.fact for entry in entries)
    )


def _strayed(seen: Sequence[str], way: Sequence[str], afloat: raft.Afloat, *, is_back: bool) -> str:
    """What is wrong with the versions that a host was seen on, one after the other."""
    told = f"it was seen on {' -> '.join(seen) or 'nothing'}"
    if not set(seen) <= set(way):
        return f"{told}, its way is {' -> '.join(way)}"
    if not is_back and any(way.index(later) < way.index(before) for before, later in pairwise(seen)):
        return f"{told}, and no way back is on record"
    return "" if seen and seen[-1] == afloat.installed else told


def _complaint(final: list[ledger.Ended], afloat: raft.Afloat, way: Sequence[str], person: bool) -> str:
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
    ends = way[-1:] if last.outcome is Outcome.SUCCEEDED else way[:-1]
    if last.version not in ends or afloat != raft.Afloat(last.version, last.version, last.version, whole=True):
        return f"the record says {last.outcome} on {last.version}"
    return ""


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
