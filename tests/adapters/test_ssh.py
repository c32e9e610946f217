"""The transport against real sshd and the real host program: phases, lost links, large artifacts, hostile values."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from liftlock.adapters.ssh import SshTransport, check_host
from liftlock.demo.sshd import LoopbackFleet
from liftlock.errors import HostKeyError, InputError, LinkLostError, UnreachableError
from liftlock.model import Artifact, Health, HostResult, Product, Release, ReleaseKind, Ticket

MakeFleet = Callable[..., LoopbackFleet]
NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
HEALTH = Health(command="cat version", times=2, interval=timedelta(seconds=0.05), deadline=timedelta(seconds=3))
PRODUCT = Product(name="boathouse", title={"en": "Boathouse"}, health=HEALTH)
MEBIBYTE = 1024 * 1024


def make_release(folder: Path, version: str, answers: str | None = None, ballast: bytes = b"") -> Release:
    """A release whose health check tells `answers` (its own version, unless it is a broken one)."""
    path = folder / f"boathouse-{version}.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in (("version", f"{answers or version}\n".encode()), ("ballast", ballast)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    content = path.read_bytes()
    artifact = Artifact(str(path), hashlib.sha256(content).hexdigest(), len(content))
    return Release("boathouse", version, ReleaseKind.PATCH, artifact)


def make_transport(
    fleet: LoopbackFleet, product: Product = PRODUCT, phase_timeout: timedelta = timedelta(minutes=1)
) -> SshTransport:
    return SshTransport(product, replace(fleet.settings(), phase_timeout=phase_timeout), lambda: NOW)


def ticket(attempt: int = 1) -> Ticket:
    return Ticket(plan="plan", attempt=attempt, fence=attempt)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_host_is_upgraded_observed_and_rolled_back(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    host = fleet.hosts["host-1"].as_host()
    transport = make_transport(fleet)
    before = transport.probe(host)
    assert (before.reachable, before.installed, before.running, before.healthy) == (True, None, None, False)
    assert (before.at, before.busy, before.missing_tools) == (NOW, False, ())
    assert before.free_bytes

    for attempt, (previous, version) in enumerate((("", "1.0"), ("1.0", "2.0")), 1):
        answer = transport.upgrade(host, previous, make_release(tmp_path, version), ticket(attempt))
        assert (answer.result, answer.version, answer.cause) == (HostResult.SWITCHED, version, "")
        assert answer.seconds > 0
    after = transport.probe(host)
    assert (after.installed, after.running, after.healthy) == ("2.0", "2.0", True)
    assert after.journal == "plan 2 upgrade switched"

    again = transport.upgrade(host, "1.0", make_release(tmp_path, "2.0"), ticket(3))
    assert again.result is HostResult.ALREADY_CURRENT
    other = transport.upgrade(host, "1.5", make_release(tmp_path, "3.0"), ticket(3))
    assert (other.result, other.cause) == (HostResult.REFUSED, "another version is installed")
    elsewhere = SshTransport(PRODUCT, fleet.settings(), lambda: NOW, ways={"host-1": {"1.0", "1.5"}})
    kept = elsewhere.roll_back(host, "1.0", ticket(4))
    assert (kept.result, kept.installed, kept.cause) == (HostResult.REFUSED, "2.0", "another version is installed")
    assert kept.version is None, "nobody asked what runs"
    back = transport.roll_back(host, "1.0", ticket(4))
    assert (back.result, back.version) == (HostResult.SWITCHED, "1.0")
    assert transport.probe(host).running == "1.0"


def test_a_release_that_is_not_what_it_says_goes_back_and_leaves_its_words(
    make_fleet: MakeFleet, tmp_path: Path
) -> None:
    fleet = make_fleet()
    host = fleet.hosts["host-1"].as_host()
    product = replace(PRODUCT, restart=r"printf 'restarted\033[2J {{ name }}\n'")
    logs = tmp_path / "logs"
    transport = SshTransport(product, fleet.settings(), lambda: NOW, logs)
    transport.upgrade(host, "", make_release(tmp_path, "1.0"), ticket(1))
    broken = replace(PRODUCT.health, deadline=timedelta(seconds=1))
    transport = SshTransport(replace(product, health=broken), fleet.settings(), lambda: NOW, logs)
    answer = transport.upgrade(host, "1.0", make_release(tmp_path, "2.0", answers="1.9"), ticket(2))
    assert (answer.result, answer.version) == (HostResult.ROLLED_BACK, "1.0")
    assert answer.cause == "health: version 1.9 answered, expected 2.0"
    assert "restarted[2J host-1" in answer.output
    log = logs / "host-1.log"
    assert log.read_text().count("== 2030-01-02T03:04:05+00:00 upgrade") == 2
    assert answer.output in log.read_text()
    assert "\033" not in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_an_artifact_that_the_host_has_is_not_sent_again(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    host = fleet.hosts["host-1"].as_host()
    transport = make_transport(fleet, replace(PRODUCT, health=replace(HEALTH, deadline=timedelta(seconds=1))))
    transport.upgrade(host, "", make_release(tmp_path, "1.0"), ticket(1))
    release = make_release(tmp_path, "2.0", answers="wrong")
    assert transport.upgrade(host, "1.0", release, ticket(2)).result is HostResult.ROLLED_BACK
    Path(release.artifact.path).write_bytes(b"x" * release.artifact.length)
    assert transport.upgrade(host, "1.0", release, ticket(3)).cause == "health: version wrong answered, expected 2.0"
    other = make_release(tmp_path, "3.0")
    Path(other.artifact.path).write_bytes(b"x" * other.artifact.length)
    assert transport.upgrade(host, "1.0", other, ticket(4)).cause == "sha256 does not match"


def test_a_large_artifact_is_streamed_from_disk(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    release = make_release(tmp_path, "1.0", ballast=os.urandom(64 * MEBIBYTE))
    transport = make_transport(fleet)
    tracemalloc.start()
    try:
        answer = transport.upgrade(fleet.hosts["host-1"].as_host(), "", release, ticket())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.result is HostResult.SWITCHED
    assert peak < 16 * MEBIBYTE


def test_a_host_that_dies_during_the_upload_is_a_lost_link_and_can_be_tried_again(
    make_fleet: MakeFleet, tmp_path: Path
) -> None:
    fleet = make_fleet()
    machine = fleet.hosts["host-1"]
    release = make_release(tmp_path, "1.0", ballast=os.urandom(64 * MEBIBYTE))
    incoming = machine.base / ".liftlock" / "incoming"

    def die_while_receiving() -> None:
        wait_for(lambda: any(part.stat().st_size for part in incoming.glob(".part.*")))
        fleet.stop_host("host-1")

    transport = make_transport(fleet)
    death = threading.Thread(target=die_while_receiving)
    death.start()
    with pytest.raises(LinkLostError) as lost:
        transport.upgrade(machine.as_host(), "", release, ticket(1))
    death.join()
    assert lost.value.cause == "connection lost"
    with pytest.raises(UnreachableError):
        transport.probe(machine.as_host())
    fleet.start_host("host-1")
    assert transport.probe(machine.as_host()).installed is None
    assert transport.upgrade(machine.as_host(), "", release, ticket(2)).result is HostResult.SWITCHED


def test_a_host_whose_link_is_cut_during_the_switch_completes_it_alone(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    machine = fleet.hosts["host-1"]
    transport = make_transport(fleet, replace(PRODUCT, restart="echo >../restarting; sleep 1"))

    def cut_while_restarting() -> None:
        wait_for((machine.base / "releases" / "restarting").exists)
        fleet.cut_sessions("host-1")

    cut = threading.Thread(target=cut_while_restarting)
    cut.start()
    with pytest.raises(LinkLostError) as lost:
        transport.upgrade(machine.as_host(), "", make_release(tmp_path, "1.0"), ticket())
    cut.join()
    assert lost.value.cause == "connection lost"
    wait_for(lambda: not transport.probe(machine.as_host()).busy)
    found = transport.probe(machine.as_host())
    assert (found.installed, found.healthy, found.journal) == ("1.0", True, "plan 1 upgrade switched")


def test_a_phase_that_outlives_its_deadline_is_a_lost_link(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    transport = make_transport(fleet, phase_timeout=timedelta(seconds=1.5))
    with pytest.raises(LinkLostError) as lost:
        transport.upgrade(fleet.hosts["host-1"].as_host(), "", make_release(tmp_path, "1.0", answers="0"), ticket())
    assert lost.value.cause == "deadline passed"


def test_a_host_that_runs_something_else_gives_no_answer(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    keys = fleet.client_key.with_name("authorized_keys")
    keys.write_text(f'command="echo LL1 0000 end=1; echo account closed; exit 7" {keys.read_text()}')
    with pytest.raises(LinkLostError, match=r"status 7.*account closed") as lost:
        make_transport(fleet).probe(fleet.hosts["host-1"].as_host())
    assert lost.value.cause == "no answer"


def test_a_changed_host_key_stops_a_phase_before_it_begins(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    transport = make_transport(fleet)
    fleet.replace_host_key("host-1")
    with pytest.raises(HostKeyError):
        transport.upgrade(fleet.hosts["host-1"].as_host(), "", make_release(tmp_path, "1.0"), ticket())
    assert not list(fleet.hosts["host-1"].base.iterdir())


def test_many_hosts_are_upgraded_at_once_through_one_transport(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet(6)
    hosts = [machine.as_host() for machine in fleet.hosts.values()]
    release = make_release(tmp_path, "1.0", ballast=os.urandom(MEBIBYTE))
    transport = make_transport(fleet)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda host: transport.upgrade(host, "", release, ticket()), hosts))
        found = list(pool.map(transport.probe, hosts))
    assert {answer.result for answer in answers} == {HostResult.SWITCHED}
    assert [(look.host, look.running) for look in found] == [(host.name, "1.0") for host in hosts]


def test_hostile_values_reach_the_product_as_data(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    machine = fleet.hosts["host-1"]
    base = machine.base / 'it\'s $(touch pwned); `touch pwned` "base"'
    base.mkdir()
    hostile = "'; touch pwned; $(touch pwned) `touch pwned` \\ \"\n{{ name }} 升级"
    host = replace(machine.as_host(variables={"greeting": hostile}), base=str(base))
    product = replace(
        PRODUCT,
        environment={"GREETING": "{{ greeting }}", "WHERE": "{{ base }}"},
        restart='printf %s "$GREETING" >greeting; printf %s "$WHERE" >where',
    )
    answer = make_transport(fleet, product).upgrade(host, "", make_release(tmp_path, "1.0"), ticket())
    assert answer.result is HostResult.SWITCHED, answer
    assert (base / "current" / "greeting").read_text() == hostile
    assert (base / "current" / "where").read_text() == str(base)
    assert not list(machine.directory.rglob("pwned"))
    assert not (Path.home() / "pwned").exists()


def test_variables_that_are_missing_or_unfit_for_a_shell_are_all_named_before_anything_is_touched(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet()
    product = replace(
        PRODUCT,
        health=Health(url="http://127.0.0.1:{{ port }}/health"),
        restart="systemctl restart {{ unit }}",
        environment={"ZONE": "{{ zone }}"},
    )
    host = replace(fleet.hosts["host-1"].as_host(variables={"unit": "a; reboot"}), base="relative")
    with pytest.raises(InputError) as refused:
        check_host(product, host)
    complaints = [str(problem) for problem in refused.value.problems]
    assert [complaint.split(": ")[0] for complaint in complaints] == ["host host-1"] * 4
    for complaint, part in zip(complaints, ("relative", "'port' is undefined", "'a; reboot'", "'zone'"), strict=True):
        assert part in complaint
    with pytest.raises(InputError):
        make_transport(fleet, product).probe(host)
    assert "Accepted" not in fleet.hosts["host-1"].log.read_text()
    check_host(product, replace(host, base="/srv/app", variables={"unit": "app@1", "port": "80", "zone": "a b"}))


def test_a_missing_artifact_is_found_before_the_host_is_touched(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    release = make_release(tmp_path, "1.0")
    Path(release.artifact.path).unlink()
    with pytest.raises(InputError, match=r"boathouse 1\.0"):
        make_transport(fleet).upgrade(fleet.hosts["host-1"].as_host(), "", release, ticket())
    assert "Accepted" not in fleet.hosts["host-1"].log.read_text()
