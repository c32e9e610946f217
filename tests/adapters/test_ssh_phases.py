"""Staging, confirming, pruning and unlocking over real sshd, and a release that cuts its controller off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.test_ssh import PRODUCT, make_release, make_transport, ticket, wait_for
from liftlock.adapters.ssh import SshTransport
from liftlock.demo.sshd import LoopbackFleet
from liftlock.errors import InputError, UnreachableError
from liftlock.model import HostResult

MakeFleet = Callable[..., LoopbackFleet]


def test_a_release_that_cuts_off_its_own_ssh_access_undoes_itself(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    machine = fleet.hosts["host-1"]
    # The old release lets sshd answer, the new one stops it: as a wrong firewall rule does, for everybody new.
    network = 'case $LIFTLOCK_VERSION in 2.0) kill -STOP "$SSHD" ;; *) kill -CONT "$SSHD" ;; esac'
    product = replace(PRODUCT, restart=network, environment={"SSHD": "{{ sshd }}"})
    host = machine.as_host(variables={"sshd": str(machine.pid)})
    settings = replace(fleet.settings(), connect_timeout=timedelta(seconds=1))
    transport = SshTransport(product, settings, make_transport(fleet)._now)
    assert transport.upgrade(host, "", make_release(tmp_path, "1.0"), ticket(1)).result is HostResult.SWITCHED
    release = replace(make_release(tmp_path, "2.0"), confirm_within=timedelta(seconds=4))
    assert transport.upgrade(host, "1.0", release, ticket(2)).result is HostResult.SWITCHED
    with pytest.raises(UnreachableError):
        transport.confirm(host, ticket(2))

    journal = machine.base / ".liftlock" / "journal"
    wait_for(lambda: journal.read_text().endswith("plan 2 auto rolled_back\n"))
    found = transport.probe(host)
    assert (found.installed, found.running, found.healthy) == ("1.0", "1.0", True)
    assert (found.unconfirmed, found.journal) == (False, "plan 2 auto rolled_back")


def test_that_output_cannot_be_kept_is_said_once_and_stops_nobody(
    make_fleet: MakeFleet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = make_fleet()
    host, logs = fleet.hosts["host-1"].as_host(), tmp_path / "a file" / "logs"
    logs.parent.write_text("")
    transport = SshTransport(PRODUCT, fleet.settings(), make_transport(fleet)._now, log_dir=logs)
    for before, version, attempt in (("", "1.0", 1), ("1.0", "2.0", 2)):
        release = replace(make_release(tmp_path, version), after_switch="echo moored")
        assert transport.upgrade(host, before, release, ticket(attempt)).output.count("moored") == 1
    said = [entry.getMessage() for entry in caplog.records if entry.name == "liftlock"]
    assert said == [f"what hosts print is not kept in {logs}: Not a directory"]


def test_a_controller_that_comes_through_confirms_and_the_host_stays(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    host = fleet.hosts["host-1"].as_host()
    transport = make_transport(fleet)
    transport.upgrade(host, "", make_release(tmp_path, "1.0"), ticket(1))
    release = replace(make_release(tmp_path, "2.0"), confirm_within=timedelta(seconds=3))
    transport.upgrade(host, "1.0", release, ticket(2))
    fleet.cut_sessions("host-1")
    assert transport.probe(host).unconfirmed
    seen = transport.confirm(host, ticket(2))
    assert (seen.unconfirmed, seen.running, seen.healthy, seen.journal) == (False, "2.0", True, "plan 2 confirm done")
    time.sleep(4)
    assert transport.probe(host).installed == "2.0"


def test_a_staged_release_is_switched_to_without_an_upload_and_old_ones_are_pruned(
    make_fleet: MakeFleet, tmp_path: Path
) -> None:
    fleet = make_fleet()
    host = fleet.hosts["host-1"].as_host()
    transport = make_transport(fleet, replace(PRODUCT, keep=0))
    transport.upgrade(host, "", make_release(tmp_path, "1.0"), ticket(1))
    staged = make_release(tmp_path, "2.0")
    answer = transport.stage(host, staged, ticket(0))
    assert (answer.result, answer.cause) == (HostResult.REFUSED, "stale fence")
    assert transport.stage(host, staged, replace(ticket(0), fence=5)).result is HostResult.STAGED
    found = transport.probe(host)
    assert (found.installed, sorted(found.staged)) == ("1.0", ["1.0", "2.0"])
    Path(staged.artifact.path).write_bytes(b"x" * staged.artifact.length)
    assert transport.upgrade(host, "1.0", staged, ticket(6)).result is HostResult.SWITCHED
    transport.upgrade(host, "2.0", make_release(tmp_path, "3.0"), ticket(7))
    assert transport.prune(host, ["1.0"], ticket(8)).detail == "removed: nothing"
    pruned = transport.prune(host, [], ticket(8))
    assert (pruned.result, pruned.detail) == (HostResult.DONE, "removed: 1.0")
    assert sorted(transport.probe(host).staged) == ["2.0", "3.0"]
    Path(staged.artifact.path).unlink()
    with pytest.raises(InputError):
        transport.stage(host, staged, ticket(9))


def test_a_hanging_phase_is_ended_by_unlock_and_tells_who_held_the_host(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    machine = fleet.hosts["host-1"]
    transport = make_transport(fleet)
    hanging = replace(make_release(tmp_path, "1.0"), before_switch="touch ../../hangs; sleep 300; true")

    def upgrade_and_be_cut_off() -> None:
        with pytest.raises(Exception, match="exit status"):
            transport.upgrade(machine.as_host(), "", hanging, ticket(1))

    hung = threading.Thread(target=upgrade_and_be_cut_off)
    hung.start()
    wait_for((machine.base / "hangs").exists)
    busy = transport.upgrade(machine.as_host(), "", make_release(tmp_path, "1.0"), ticket(2))
    assert (busy.result, busy.cause) == (HostResult.REFUSED, "busy")
    assert busy.detail.startswith("upgrade of plan plan, attempt 1, since 20")
    answer = transport.unlock(machine.as_host(), ticket(3))
    hung.join()
    assert (answer.result, answer.detail) == (HostResult.DONE, f"held: {busy.detail}")
    assert not transport.probe(machine.as_host()).busy
    assert (
        transport.upgrade(machine.as_host(), "", make_release(tmp_path, "1.0"), ticket(4)).result is HostResult.SWITCHED
    )


def test_a_failpoint_strikes_only_under_test_and_only_on_the_host_that_is_named(
    make_fleet: MakeFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = make_fleet(2)
    first, second = (machine.as_host() for machine in fleet.hosts.values())
    transport, release = make_transport(fleet), make_release(tmp_path, "1.0")
    monkeypatch.setenv("LIFTLOCK_HOST_FAILPOINT", "staged:kill:host-1")
    assert transport.stage(first, release, ticket(1)).result is HostResult.STAGED
    monkeypatch.setenv("LIFTLOCK_TEST_FAILPOINTS", "1")
    assert transport.stage(second, release, ticket(1)).result is HostResult.STAGED
    with pytest.raises(Exception, match="without an exit status"):
        transport.stage(first, make_release(tmp_path, "2.0"), ticket(2))
    monkeypatch.setenv("LIFTLOCK_HOST_FAILPOINT", "nowhere:kill")
    with pytest.raises(InputError, match="nowhere:kill"):
        transport.probe(first)
