"""The loopback fleet itself: real servers that come, go, and never stay behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from liftlock.adapters.connection import execute, exit_status, open_connection, run
from liftlock.demo.sshd import LoopbackFleet, find_sshd
from liftlock.errors import HostError, LiftlockError, LinkLostError

MakeFleet = Callable[..., LoopbackFleet]


def gone(pid: int) -> bool:
    """Whether the process has ended (or is about to: a zombie)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def within_seconds(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_dozen_hosts_each_have_their_own_port_key_and_directory(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(12)
    ssh = fleet.settings()
    assert len({host.port for host in fleet.hosts.values()}) == 12
    assert len({line.split()[2] for line in fleet.known_hosts_lines().splitlines()}) == 12
    for host in fleet.hosts.values():
        with open_connection(host.as_host(), ssh) as connection:
            assert run(connection, f"cd {host.base} && pwd", 10)[1].decode() == f"{host.base}\n"


def test_a_stopped_host_loses_its_sessions_and_comes_back_with_the_same_port_and_key(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(2)
    ssh = fleet.settings()
    host = fleet.hosts["host-1"]
    with open_connection(host.as_host(), ssh) as connection:
        with execute(connection, "echo $$; exec sleep 600", time.monotonic() + 10) as channel:
            session = int(channel.recv(20))
            first = host.pid
            assert first is not None
            fleet.stop_host("host-1")
        assert within_seconds(lambda: gone(session) and gone(first))
        assert within_seconds(lambda: not connection.transport.is_active())
    assert host.pid is None
    with pytest.raises(HostError):
        open_connection(host.as_host(), ssh)
    with open_connection(fleet.hosts["host-2"].as_host(), ssh) as other:
        assert run(other, "echo untouched", 10)[1] == b"untouched\n"
    fleet.start_host("host-1")
    with open_connection(host.as_host(), ssh) as again:
        assert run(again, "echo back", 10)[1] == b"back\n"


def test_a_cut_session_is_lost_to_us_but_its_program_and_the_host_live_on(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    host = fleet.hosts["host-1"]
    program = f"trap '' HUP PIPE; echo begun; sleep 0.5; echo done >{host.base}/result"
    until = time.monotonic() + 10
    with (
        open_connection(host.as_host(), fleet.settings()) as connection,
        execute(connection, program, until) as channel,
    ):
        assert channel.recv(20) == b"begun\n"
        fleet.cut_sessions("host-1")
        with pytest.raises(LinkLostError):
            exit_status(channel, until)
    assert within_seconds((host.base / "result").exists)
    with open_connection(host.as_host(), fleet.settings()) as again:
        assert run(again, "echo back", 10)[1] == b"back\n"


def test_a_closed_fleet_leaves_no_process(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(2)
    pids = [host.pid for host in fleet.hosts.values() if host.pid]
    assert len(pids) == 2
    fleet.close()
    fleet.close()
    assert all(gone(pid) for pid in pids)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_servers_die_with_the_process_that_started_them(tmp_path: Path, how: signal.Signals) -> None:
    program = """
        import sys, time, pathlib
        from liftlock.demo.sshd import LoopbackFleet
        with LoopbackFleet(pathlib.Path(sys.argv[1]), ["a", "b"]) as fleet:
            print(*[host.pid for host in fleet.hosts.values()], flush=True)
            time.sleep(600)
    """
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(gone(pid) for pid in pids)
        owner.send_signal(how)
        owner.wait(10)
    assert within_seconds(lambda: all(gone(pid) for pid in pids))


def test_a_server_that_cannot_start_shows_its_own_words(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    host = fleet.hosts["host-1"]
    fleet.stop_host("host-1")
    with (host.directory / "sshd_config").open("a") as config:
        config.write("NoSuchOption yes\n")
    with pytest.raises(LiftlockError, match="NoSuchOption"):
        fleet.start_host("host-1")


def test_sshd_is_found_outside_the_path_and_a_missing_one_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert os.access(find_sshd(), os.X_OK)
    monkeypatch.setattr("liftlock.demo.sshd.SERVER", "sshd-that-is-not-installed")
    with pytest.raises(LiftlockError, match="openssh-server"):
        find_sshd()
