"""Hosts that reboot, lose their sessions, are stormed with connections, or come back with another key."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from e2e.harbour import within
from faults import raft
from faults.checker import Tally, check, finish
from faults.controllers import Controllers
from faults.fault_fleet import PATIENCE, FaultFleet, Try, environment
from faults.results import ROUNDS, record
from faults.watcher import Watcher, watching
from liftlock.demo.sshd import LoopbackFleet, descendants

ROUNDS_HERE = max(1, ROUNDS)


def hold_in_mid_switch(one: Try, name: str) -> None:
    """Come back when this host's `current` has moved and its product has not restarted yet; it waits there."""
    base = one.hosts[name]
    (base / "hold").touch()
    one.start()
    assert within(lambda: raft.is_held(base), PATIENCE), one.started[-1].output


def let_go(one: Try, name: str) -> None:
    (one.hosts[name] / "hold").unlink()


def sessions(fleet: FaultFleet, name: str) -> list[int]:
    """The sshd processes that serve connections of a host."""
    listener = fleet.fleet.hosts[name].pid
    assert listener is not None
    return [pid for pid in descendants(listener) if Path(f"/proc/{pid}/comm").read_text().startswith("sshd")]


def reboot(fleet: FaultFleet, one: Try, name: str, *, product_starts: bool) -> None:
    """All of a host's processes die at once; then it is back."""
    fleet.fleet.stop_host(name)
    for process in Path("/proc").glob("[0-9]*"):  # what outlived its session, too
        with suppress(OSError):
            if str(one.hosts[name]).encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
    let_go(one, name)
    if product_starts:
        raft.boot(one.hosts[name])
    fleet.fleet.start_host(name)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_a_host_whose_ssh_session_ends_in_mid_switch_finishes_alone(
    fleet: FaultFleet, watcher: Watcher, number: signal.Signals
) -> None:
    tally = Tally()
    for _ in range(ROUNDS_HERE):
        with fleet.new_try() as one:
            hold_in_mid_switch(one, "raft-2")
            for pid in sessions(fleet, "raft-2"):
                os.kill(pid, number)
            let_go(one, "raft-2")
            one.started[0].wait(PATIENCE)
            wrong = finish(one, tally) + check(one, tally)
            assert not wrong, "\n".join(wrong)
            journal = (one.hosts["raft-2"] / ".liftlock" / "journal").read_text()
            assert journal.count("upgrade begin") == 1, journal
    seen = watcher.seen()
    record(f"Sshd session ended in mid-switch ({number.name})", tally.seen(), tally, seen)
    assert seen.broken == 0, seen.told
    assert set(tally.ends) == {"succeeded"}


@pytest.mark.parametrize("product_starts", [True, False], ids=["and_starts_its_product", "and_starts_nothing"])
def test_a_host_that_reboots_in_mid_switch_ends_on_a_verified_release(
    fleet: FaultFleet, watcher: Watcher, product_starts: bool
) -> None:
    tally = Tally()
    for _ in range(ROUNDS_HERE):
        with fleet.new_try() as one:
            hold_in_mid_switch(one, "raft-2")
            reboot(fleet, one, "raft-2", product_starts=product_starts)
            one.started[0].wait(PATIENCE)
            wrong = finish(one, tally) + check(one, tally)
            assert not wrong, "\n".join(wrong)
    seen = watcher.seen()
    boots = "starts its product" if product_starts else "does not start its product"
    record(f"Host rebooted in mid-switch, it {boots}", tally.seen(), tally, seen)
    assert seen.broken == 0, seen.told


def test_a_host_with_another_key_than_when_it_was_planned_is_refused_and_untouched(
    fleet: FaultFleet, watcher: Watcher
) -> None:
    tally = Tally()
    key = fleet.fleet.hosts["raft-3"].directory / "host_key"
    kept = key.read_bytes(), key.with_suffix(".pub").read_bytes()
    with fleet.new_try() as one:
        try:
            fleet.fleet.replace_host_key("raft-3")
            first = one.run()
            assert first.code in {3, 5}, first.output
            assert "host key changed" in first.output
            assert not (one.hosts["raft-3"] / ".liftlock").exists()
            assert raft.look_at(one.hosts["raft-3"]).running == raft.OLD
        finally:
            fleet.fleet.stop_host("raft-3")
            key.write_bytes(kept[0])
            key.with_suffix(".pub").write_bytes(kept[1])
            fleet.fleet.start_host("raft-3")
        wrong = finish(one, tally) + check(one, tally)
        assert not wrong, "\n".join(wrong)
    seen = watcher.seen()
    record("Host key changed between plan and rollout", "refused, untouched; " + tally.seen(), tally, seen)
    assert (seen.broken, set(tally.ends)) == (0, {"succeeded"})


def test_a_storm_of_connections_on_an_sshd_that_drops_them_reaches_every_host(tmp_path: Path) -> None:
    """Twelve hosts behind one sshd that lets two connections in at a time and drops the others."""
    tally = Tally()
    with ExitStack() as ends:
        controllers = Controllers(environment())
        ends.callback(controllers.close)
        sshd = ends.enter_context(LoopbackFleet(tmp_path / "hosts", ["quay"]))
        bases = {f"raft-{number}": tmp_path / f"base-{number}" for number in range(1, 13)}
        for base in bases.values():
            base.mkdir()
        fleet = FaultFleet(tmp_path, sshd, controllers, bases, concurrency="12", waves='["100%"]')
        ends.callback(fleet.close)
        config = sshd.hosts["quay"].directory / "sshd_config"
        config.write_text(config.read_text().replace("MaxStartups 500", "MaxStartups 2:100:2"))
        sshd.stop_host("quay")
        sshd.start_host("quay")
        watcher = ends.enter_context(watching(fleet.bases.values()))
        for _ in range(ROUNDS_HERE):
            with fleet.new_try() as one:
                wrong = finish(one, tally) + check(one, tally)
                assert not wrong, "\n".join(wrong)
        seen = watcher.seen()
        dropped = sshd.hosts["quay"].log.read_text().count("drop connection")
    record("12 hosts at once behind an sshd with MaxStartups 2:100:2", tally.seen(), tally, seen)
    assert dropped > 0
    assert (seen.broken, set(tally.ends)) == (0, {"succeeded"})
