"""Plans of two hops, 1.0.0 -> 1.1.0 -> 1.2.0: faults in the first, between both, in the second, and on the way back.

A host whose second hop is unhealthy goes back to the stop by itself. Is that way back cut off, too, the controller
brings it back to where it came from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from faults import raft
from faults.checker import Tally, check, finish
from faults.fault_fleet import FaultFleet, fault_fleet
from faults.raft import NEW, NEWEST, OLD
from faults.results import ROUNDS, record
from faults.strikes import FAULTS, OF_CONTROLLER, OF_PROGRAM, strike_controller, strike_program
from faults.watcher import Watcher, watching


class Strike(NamedTuple):
    """A failpoint, the pass of it at which a fault strikes, and the release that is current on the host then."""

    point: str
    nth: int
    current: str


FIRST, BETWEEN, SECOND = "in the first hop", "between the hops", "in the second hop"
CONTROLLER = {
    FIRST: (Strike("append.after.started", 1, OLD), Strike("upgrade.before", 1, OLD)),
    BETWEEN: (
        Strike("upgrade.after", 1, NEW),
        Strike("confirm.before", 1, NEW),
        Strike("confirm.after", 1, NEW),
        Strike("upgrade.before", 2, NEW),
    ),
    SECOND: (
        Strike("upgrade.after", 2, NEWEST),
        Strike("confirm.before", 2, NEWEST),
        Strike("append.before.switched", 1, NEWEST),
        Strike("append.before.ended", 1, NEWEST),
    ),
}
"""With raft-1 in hand, the only host of the first wave."""
PROGRAM = {
    FIRST: (
        Strike("received", 1, OLD),
        Strike("linked", 1, OLD),
        Strike("restarted", 1, NEW),
        Strike("verified", 1, NEW),
        Strike("journal_end", 1, NEW),
    ),
    BETWEEN: (Strike("confirmed", 1, NEW), Strike("locked", 2, NEW)),
    SECOND: (
        *(Strike(point, 2, NEW) for point in ("received", "staged", "backed_up", "irreversible", "linked")),
        *(Strike(point, 2, NEWEST) for point in ("switched", "restarted", "verified", "marked", "journal_end")),
    ),
}
"""Of raft-2, the only host of the second wave."""
ILL = "raft-2"
CONTROLLER_BACK = (
    Strike("upgrade.after", 4, NEWEST),
    Strike("append.before.ended", 2, NEWEST),
    Strike("append.after.ended", 2, NEWEST),
    Strike("roll_back.before", 1, NEWEST),
    Strike("roll_back.after", 1, OLD),
    Strike("append.before.ended", 3, OLD),
)
"""From when raft-2 is back on the stop until raft-1, which was well, is back where it came from."""
TO_THE_STOP = (
    Strike("before_rollback", 1, NEWEST),
    Strike("linked", 3, NEWEST),
    Strike("rolled_back", 1, NEW),
    Strike("restored", 1, NEW),
    Strike("restarted_back", 1, NEW),
    Strike("journal_end", 2, NEW),
)
HALF_WAY = ("before_rollback", "linked", "rolled_back", "restored")
"""Who dies here is not yet well on the stop, or does not know it, and is brought back over both hops."""
OVER_BOTH = tuple(
    Strike(point, nth, OLD if place > 1 else NEWEST)
    for place, (point, nth) in enumerate(
        [("before_rollback", 1), ("linked", 3), ("rolled_back", 1), ("restored", 1), ("journal_end", 3)]
    )
)


@pytest.fixture(scope="module")
def canal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultFleet]:
    """Two hosts, a wave each, and a plan that leads over a stop."""
    with fault_fleet(tmp_path_factory.mktemp("hops"), ["raft-1", ILL], wanted=NEWEST) as fleet:
        (plan,) = (json.loads(path.read_text()) for path in (fleet.workspace / "plans").glob("*.json"))
        assert [[hop["to_version"] for hop in host["hops"]] for host in plan["hosts"]] == [[NEW, NEWEST]] * 2
        yield fleet


@pytest.fixture
def watcher(canal: FaultFleet) -> Iterator[Watcher]:
    with watching(canal.bases.values()) as made:
        yield made


def try_controller(fleet: FaultFleet, watcher: Watcher, tally: Tally, strike: Strike, fault: str, *ill: str) -> None:
    """One fault of the controller with raft-1 or, after it, raft-2 in hand; the same command again until it ends."""
    with fleet.new_try(*ill) as one:
        watcher.news()
        strike_controller(one, strike.point, strike.nth, fault)
        if fault == "kill":
            assert raft.look_at(one.hosts["raft-1"]).installed == strike.current
        wrong = finish(one, tally) + check(one, tally, watched=watcher.news())
        assert not wrong, "\n".join(wrong)
        if ill:
            assert [raft.look_at(base).installed for base in one.hosts.values()] == [OLD, NEW]


def try_program(
    fleet: FaultFleet, watcher: Watcher, tally: Tally, host: str, strike: Strike, fault: str, *ill: str
) -> None:
    """The same with the fault in this host's program."""
    with fleet.new_try(*ill) as one:
        watcher.news()
        found: list[str] = []
        strike_program(
            one, host, strike.point, strike.nth, fault, lambda base: found.append(raft.look_at(base).installed)
        )
        assert found == [strike.current], f"{strike} was not reached, or elsewhere:\n{one.started[0].output}"
        wrong = finish(one, tally) + check(one, tally, watched=watcher.news())
        assert not wrong, "\n".join(wrong)
        if ill:
            is_half_way = host in ill and fault != "cut" and strike.point in HALF_WAY
            ends = [raft.look_at(base).installed for base in one.hosts.values()]
            assert ends == [OLD, OLD if is_half_way else NEW]


def record_all(fault: str, tally: Tally, watcher: Watcher) -> None:
    """Write the row, and see to it that no look found a host without a release."""
    seen = watcher.seen()
    record(fault, tally.seen(), tally, seen)
    assert seen.broken == 0, seen.told
    assert tally.tries > 0


SHORT = (("kill", FIRST, 1), ("kill", BETWEEN, 0), ("cut", SECOND, 1))


@pytest.mark.parametrize(("fault", "where", "nth"), SHORT, ids=[f"{fault} {where}" for fault, where, _ in SHORT])
def test_a_fault_of_the_controller_on_a_way_of_two_hops_loses_nothing(
    canal: FaultFleet, watcher: Watcher, fault: str, where: str, nth: int
) -> None:
    try_controller(canal, watcher, Tally(), CONTROLLER[where][nth], fault)
    assert watcher.seen().broken == 0


@pytest.mark.parametrize(("fault", "where", "nth"), [("kill", FIRST, 2), ("term", SECOND, 4)])
def test_a_fault_of_the_host_program_on_a_way_of_two_hops_loses_nothing(
    canal: FaultFleet, watcher: Watcher, fault: str, where: str, nth: int
) -> None:
    try_program(canal, watcher, Tally(), "raft-2", PROGRAM[where][nth], fault)
    assert watcher.seen().broken == 0


@pytest.mark.parametrize("nth", [2, 4], ids=["before_it_is_well", "when_it_is_well"])
def test_a_host_that_dies_on_its_way_back_from_an_unhealthy_second_hop_ends_as_the_record_says(
    canal: FaultFleet, watcher: Watcher, nth: int
) -> None:
    try_program(canal, watcher, Tally(), ILL, TO_THE_STOP[nth], "kill", ILL)
    assert watcher.seen().broken == 0


@pytest.mark.long
@pytest.mark.parametrize("where", CONTROLLER)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_controller_at_each_place_of_two_hops_loses_nothing(
    canal: FaultFleet, watcher: Watcher, subtests: pytest.Subtests, fault: str, where: str
) -> None:
    tally, strikes = Tally(), CONTROLLER[where]
    for strike in strikes * ROUNDS:
        with subtests.test(strike=strike):
            try_controller(canal, watcher, tally, strike, fault)
    record_all(f"Two hops: controller {OF_CONTROLLER[fault]} at {len(strikes)} points {where}", tally, watcher)


@pytest.mark.long
@pytest.mark.parametrize("where", PROGRAM)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_host_program_at_each_place_of_two_hops_loses_nothing(
    canal: FaultFleet, watcher: Watcher, subtests: pytest.Subtests, fault: str, where: str
) -> None:
    tally, strikes = Tally(), PROGRAM[where]
    for strike in strikes * ROUNDS:
        with subtests.test(strike=strike):
            try_program(canal, watcher, tally, "raft-2", strike, fault)
    record_all(f"Two hops: host program {OF_PROGRAM[fault]} at {len(strikes)} points {where}", tally, watcher)


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_controller_after_an_unhealthy_second_hop_loses_nothing(
    canal: FaultFleet, watcher: Watcher, subtests: pytest.Subtests, fault: str
) -> None:
    tally = Tally()
    for strike in CONTROLLER_BACK * ROUNDS:
        with subtests.test(strike=strike):
            try_controller(canal, watcher, tally, strike, fault, ILL)
    what = f"controller {OF_CONTROLLER[fault]} at {len(CONTROLLER_BACK)} points of the way back"
    record_all(f"Two hops, one host is ill after the second: {what}", tally, watcher)


@pytest.mark.long
@pytest.mark.parametrize(
    ("host", "strikes", "way"),
    [(ILL, TO_THE_STOP, "its way back to the stop"), ("raft-1", OVER_BOTH, "a well host's way back over both")],
    ids=["to_the_stop", "over_both"],
)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_host_program_on_the_way_back_from_the_second_hop_loses_nothing(
    canal: FaultFleet,
    watcher: Watcher,
    subtests: pytest.Subtests,
    fault: str,
    host: str,
    strikes: tuple[Strike, ...],
    way: str,
) -> None:
    tally = Tally()
    for strike in strikes * ROUNDS:
        with subtests.test(strike=strike):
            try_program(canal, watcher, tally, host, strike, fault, ILL)
    what = f"host program {OF_PROGRAM[fault]} at {len(strikes)} points of {way}"
    record_all(f"Two hops, one host is ill after the second: {what}", tally, watcher)
