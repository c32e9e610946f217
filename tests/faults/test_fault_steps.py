"""The host's program dies, or the disk fails it, at each step of an upgrade and of the way back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults import raft
from faults.checker import OR_NEEDS_A_PERSON, Tally, check, finish
from faults.fault_fleet import PATIENCE, FaultFleet, Try, fault_fleet
from faults.results import record
from faults.steps import CHANGES, FAULTS, Steps
from faults.watcher import watching

pytestmark = pytest.mark.needs("strace")
SHORT = {"in": ("mv",), "EIO": ("mv -fT",)}
"""For the short selection: the fault, and the tools at whose steps it strikes."""
Call = tuple[str, int]
"""A system call by its name, and which of that name in its step it is."""
ANY: Call = (CHANGES, 1)
WORDS = {
    "before": "Host program killed (SIGKILL) before each step",
    "in": "Host program killed at every system call that changes anything",
    "EIO": "System calls of each step fail with EIO",
    "ENOSPC": "System calls of each step fail with ENOSPC",
}


@pytest.fixture(scope="module")
def quay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultFleet, Steps]]:
    """One host whose program can be failed at every step."""
    with fault_fleet(tmp_path_factory.mktemp("steps"), ["raft-1"]) as fleet:
        yield fleet, Steps(fleet.fleet, "raft-1")


def try_step(
    fleet: FaultFleet, steps: Steps, tally: Tally, step: int, fault: str, ill: tuple[str, ...], call: Call = ANY
) -> list[str]:
    """A rollout that fails at this step, the same command again until it ends, and what is wrong then."""
    with fleet.new_try(*ill) as one:
        steps.want(step, fault, *call)
        one.start().wait(PATIENCE)
        assert len(steps.passed()) >= step
        assert steps.has_struck() or fault != "in", f"step {step} had no {call} this time"
        if not fault.startswith("E"):
            return finish(one, tally) + check(one, tally)
        # A disk that fails the way back, too, is for a person, who brings the host back once the disk is well.
        wrong = finish(one, tally, OR_NEEDS_A_PERSON) + check(one, tally, person=True)
        return wrong + bring_back(one) if one.started[-1].code == 5 else wrong


def bring_back(one: Try) -> list[str]:
    """What a person does about hosts that could not go back by themselves; what is wrong then."""
    back = one.run("rollback", one.plan, "--reason", "the disk is well again")
    afloat = raft.look_at(one.hosts["raft-1"])
    if (back.code, afloat) == (0, raft.Afloat(raft.OLD, raft.OLD, raft.OLD, whole=True)):
        return []
    return [f"rollback ended with {back.code}, and the host is {afloat}:\n{back.output}"]


def steps_of(fleet: FaultFleet, steps: Steps, ill: tuple[str, ...]) -> list[tuple[str, list[Call]]]:
    """The steps of a whole rollout, each with those of its system calls that change anything."""
    with fleet.new_try(*ill) as one:
        steps.count()
        ended = one.run()
        assert ended.code in {0, 4}, ended.output
        return list(zip(steps.passed(), steps.counted(), strict=True))


@pytest.mark.parametrize("fault", SHORT)
def test_a_fault_of_the_host_when_something_gets_its_name_loses_nothing(
    quay: tuple[FaultFleet, Steps], fault: str
) -> None:
    """Each rename of an upgrade: the artifact's, the release's, the link's, and those of the host's own notes."""
    fleet, steps = quay
    tally = Tally()
    with watching(fleet.bases.values()) as watcher:
        for number, (step, _) in enumerate(steps_of(fleet, steps, ()), start=1):
            if step.startswith(SHORT[fault]):
                wrong = try_step(fleet, steps, tally, number, fault, ())
                assert not wrong, f"{fault} at step {number}, {step}: " + "\n".join(wrong)
        seen = watcher.seen()
    assert seen.broken == 0, seen.told
    assert tally.tries >= 1
    assert set(tally.ends) <= {"succeeded", "rolled_back"}


@pytest.mark.long
@pytest.mark.parametrize("ill", [(), ("raft-1",)], ids=["sound", "ill"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_host_at_every_step_loses_nothing(
    quay: tuple[FaultFleet, Steps], subtests: pytest.Subtests, fault: str, ill: tuple[str, ...]
) -> None:
    fleet, steps = quay
    tally, taken = Tally(), steps_of(fleet, steps, ill)
    with watching(fleet.bases.values()) as watcher:
        for number, (step, calls) in enumerate(taken, start=1):
            for call in calls if fault == "in" else [ANY]:
                with subtests.test(step=f"{number} {step}", call=call):
                    wrong = try_step(fleet, steps, tally, number, fault, ill, call)
                    assert not wrong, "\n".join(wrong)
        seen = watcher.seen()
    release = "the release cannot run" if ill else "a sound release"
    back = ", brought back by an operator" if tally.ends["failed"] else ""
    record(f"{WORDS[fault]}, {len(taken)} steps, {release}", tally.seen() + back, tally, seen)
    assert seen.broken == 0, seen.told
