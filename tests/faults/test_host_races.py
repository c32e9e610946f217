"""Eight controllers race to the same hosts: one switches each of them, and whoever was outdated is refused there."""

from __future__ import annotations

import multiprocessing
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from faults import host_racer, raft
from faults.checker import Tally, check, finish
from faults.controllers import Controllers
from faults.fault_fleet import PATIENCE, FaultFleet, Try, environment
from faults.host_racer import Racer, Visit
from faults.ledger_writers import often
from faults.results import record
from faults.watcher import Watched, watching
from liftlock.app.workspace import Workspace
from liftlock.demo.sshd import LoopbackFleet
from liftlock.ledger import Started, verify_chain
from liftlock.model import Action

CONTROLLERS = 8
HOSTS = ("raft-1", "raft-2")
AGAIN = 0


@pytest.fixture(scope="module")
def quay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultFleet]:
    """Two hosts behind one sshd, so that eight controllers share no more with it than they have to."""
    root = tmp_path_factory.mktemp("races")
    with ExitStack() as ends:
        controllers = Controllers(environment())
        ends.callback(controllers.close)
        sshd = ends.enter_context(LoopbackFleet(root / "hosts", ["quay"]))
        bases = {name: root / name for name in HOSTS}
        for base in bases.values():
            base.mkdir()
        place = ("127.0.0.1", sshd.hosts["quay"].port)
        # Nobody waits for a confirmation here: no host may go back by itself in the middle of a race.
        fleet = FaultFleet(root, sshd, controllers, bases, confirm_within=3600, place=place)
        ends.callback(fleet.close)
        yield fleet


class Race:
    """Eight controllers at the start, and one that brings the hosts back between the rounds."""

    def __init__(self, one: Try, racing: Sequence[Connection], referee: Racer) -> None:
        self._one, self._racing, self._referee = one, racing, referee
        self.attempt = 0
        self._before: Mapping[str, int] = {}

    def run(self) -> list[dict[str, Visit]]:
        """A round: from the old release, every earlier claim outdated, all race; what each found out, by host."""
        self._referee.bring_back(self.attempt + 1)
        self._before = {name: len(self._journal(name)) for name in HOSTS}
        self.attempt += 2
        return self._order(self.attempt)

    def run_again(self) -> list[dict[str, Visit]]:
        """Everybody goes to the hosts once more, with what they came with."""
        return self._order(AGAIN)

    def _order(self, order: int) -> list[dict[str, Visit]]:
        for racer in self._racing:
            racer.send(order)
        return [hear(racer) for racer in self._racing]

    def fence(self, name: str) -> int:
        """The fence below which the host refuses."""
        return max(map(int, (self._one.hosts[name] / ".liftlock" / "fence").read_text().split()))

    def assert_switched_once(self, name: str) -> None:
        """In this round the host was switched once and in one piece, whoever came, and nothing else was done."""
        assert self._journal(name)[self._before[name] :] == [
            f"{self.attempt} upgrade begin {raft.OLD} {raft.NEW} irreversible",
            f"{self.attempt} upgrade switched",
        ]
        assert raft.look_at(self._one.hosts[name]) == raft.Afloat(raft.NEW, raft.NEW, raft.NEW, whole=True)

    def _journal(self, name: str) -> list[str]:
        """What the host itself has noted, without the plan's id."""
        lines = (self._one.hosts[name] / ".liftlock" / "journal").read_text().splitlines()
        return [line.partition(" ")[2] for line in lines]


def hear(racer: Connection) -> dict[str, Visit]:
    assert racer.poll(PATIENCE), "a racer is silent"
    told: dict[str, Visit] = racer.recv()
    return told


@contextmanager
def at_the_start(one: Try, workspaces: Sequence[Path]) -> Iterator[Race]:
    """A controller for each workspace; one workspace many times is one record that they share."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([host_racer.__name__, "liftlock.adapters.connection", "liftlock.adapters.db"])
    with ExitStack() as ends:
        racing = []
        for number, workspace in enumerate(workspaces):
            ours, theirs = processes.Pipe()
            racer = processes.Process(target=host_racer.main, args=(theirs, workspace, one.plan, f"s{number}"))
            racer.start()
            ends.callback(racer.join)
            ends.callback(racer.kill)
            racing.append(ours)
        assert [hear(racer) for racer in racing] == ["ready"] * len(racing)
        workspace = Workspace(one.workspace)
        with workspace.ledger() as store:
            yield Race(one, racing, Racer(workspace, store, one.plan, "referee"))


def test_the_owner_of_the_claim_switches_the_host_and_outdated_controllers_change_nothing(quay: FaultFleet) -> None:
    """One record: the seven that lost the claim go to the host all the same, with claims from before."""
    rounds, seen = often(2, 300), Counter[str]()
    with quay.new_try() as one, watching(quay.bases.values()) as watcher:
        with at_the_start(one, [one.workspace] * CONTROLLERS) as race:
            for _ in range(rounds):
                visits = race.run()
                for name in HOSTS:
                    here = [visit[name] for visit in visits]
                    [owner] = [visit for visit in here if not visit.refused]
                    assert (owner.told, owner.fence) == ("switched", race.fence(name)), here
                    losers = [visit for visit in here if visit.refused]
                    held = rf"attempt {race.attempt} on host {name} is already held by session s\d since .*"
                    assert all(re.fullmatch(held, visit.refused) for visit in losers), here
                    assert {visit.told for visit in losers} <= {"busy", "stale fence"}, here
                    race.assert_switched_once(name)
                    seen.update(visit.told for visit in losers)
        with one.ledger() as store:
            entries = list(store.entries())
        watched = watcher.seen()
    verify_chain(entries)
    begun = [entry.fact for entry in entries if isinstance(entry.fact, Started)]
    claims = Counter((fact.host, fact.attempt) for fact in begun if fact.action is Action.UPGRADE)
    assert (len(claims), set(claims.values())) == (rounds * len(HOSTS), {1})
    assert seen["stale fence"] > 0
    told = (
        f"one claim of {len(claims)} each, and its owner switched the host; {seen.total()} visits with outdated claims:"
        f" {seen['stale fence']} refused for their fence, {seen['busy']} as busy, 0 else"
    )
    finish_race("8 controllers race to the same hosts, one record", told, rounds, watched)


def test_with_a_record_each_one_controller_switches_the_host_and_every_stale_fence_is_refused(
    quay: FaultFleet,
) -> None:
    """Restored backups, say: each has a claim of its own, and the host alone can tell who may."""
    rounds, seen, stale = often(2, 200), Counter[str](), 0
    with quay.new_try() as one, watching(quay.bases.values()) as watcher:
        workspaces = [one.elsewhere(f"record-{number}").workspace for number in range(CONTROLLERS)]
        with at_the_start(one, workspaces) as race:
            for _ in range(rounds):
                visits = race.run()
                for name in HOSTS:
                    told = Counter(visit[name].told for visit in visits)
                    assert told["switched"] == 1, told
                    assert set(told) <= {"switched", "stale fence", "already_current"}, told
                    race.assert_switched_once(name)
                    seen.update(told)
                    seen["busy"] += sum(visit[name].busy for visit in visits)
                fences = {name: race.fence(name) for name in HOSTS}
                for visit in race.run_again():
                    for name in HOSTS:
                        is_stale = visit[name].fence < fences[name]
                        assert visit[name].told == ("stale fence" if is_stale else "already_current"), visit
                        stale += is_stale
                for name in HOSTS:
                    race.assert_switched_once(name)
                    assert race.fence(name) == fences[name]
        watched = watcher.seen()
    assert stale > 0
    words = (
        f"one switched each of {seen['switched']}; {seen['stale fence']} refused for their fence at once, "
        f"{seen['already_current']} found it done, {seen['busy']} times told to wait (busy); "
        f"{stale} of {stale} stale fences refused afterwards"
    )
    finish_race("8 controllers race to the same hosts, a record each", words, rounds, watched)


def finish_race(fault: str, told: str, rounds: int, watched: Watched) -> None:
    record(fault, told, watched=watched, tries=rounds)
    assert watched.broken == 0, watched.told


def test_of_eight_rollouts_of_one_plan_at_once_one_does_the_work_and_the_others_are_told_who(
    quay: FaultFleet,
) -> None:
    tally, told, rounds = Tally(), Counter[str](), often(1, 10)
    with watching(quay.bases.values()) as watcher:
        for _ in range(rounds):
            with quay.new_try() as one:
                racing = [one.start() for _ in range(CONTROLLERS)]
                for each in racing:
                    assert each.wait(PATIENCE) in {0, 6}, each.output
                holders = set()
                for each in racing:
                    if each.code == 6:
                        found = re.search(r"is being carried out by \S+@\S+ \(pid (\d+)\) since \d{4}-", each.output)
                        assert found, each.output
                        holders.add(int(found[1]))
                assert holders <= {each.pid for each in racing if each.code == 0}
                with one.ledger() as store:
                    begun = [entry.fact for entry in store.entries() if isinstance(entry.fact, Started)]
                assert sorted(fact.host for fact in begun) == sorted(HOSTS)
                assert len({fact.session for fact in begun}) == 1
                told.update("exit 6" if each.code == 6 else "exit 0" for each in racing)
                wrong = finish(one, tally) + check(one, tally)
                assert not wrong, "\n".join(wrong)
        watched = watcher.seen()
    words = f"one did the work each time, {told['exit 6']} told who holds it since when"
    late = told["exit 0"] - rounds
    record("8 rollouts of one plan at once", f"{words}, {late} came later and found nothing to do; {tally.seen()}",
           tally, watched)  # fmt: skip
    assert told["exit 6"] > 0
    assert (watched.broken, set(tally.ends)) == (0, {"succeeded"}), watched.told
