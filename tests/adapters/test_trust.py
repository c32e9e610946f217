"""Host keys on record: looking, comparing and recording against real sshd."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from liftlock.adapters.connection import open_connection, run
from liftlock.adapters.trust import compare, record, scan
from liftlock.demo.sshd import LoopbackFleet
from liftlock.errors import InputError, UnreachableError

MakeFleet = Callable[..., LoopbackFleet]


def test_a_scanned_key_is_new_then_recorded_then_changed(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet(2)
    known_hosts = tmp_path / "deep" / "known_hosts"
    ssh = replace(fleet.settings(), known_hosts=known_hosts)
    first, second = (host.as_host() for host in fleet.hosts.values())

    keys = [scan(first, 5), scan(second, 5)]
    assert [compare(known_hosts, key) for key in keys] == ["new", "new"]
    record(known_hosts, keys)
    assert [compare(known_hosts, key) for key in keys] == ["same", "same"]
    assert stat.S_IMODE(known_hosts.stat().st_mode) == 0o600
    with open_connection(first, ssh) as connection:
        assert run(connection, "echo trusted", 10)[1] == b"trusted\n"

    fleet.replace_host_key("host-1")
    changed = scan(first, 5)
    assert changed.fingerprint != keys[0].fingerprint
    assert compare(known_hosts, changed) == "changed"
    record(known_hosts, [changed])
    assert known_hosts.read_text().splitlines() == [keys[1].line, changed.line]
    with open_connection(first, ssh) as connection:
        assert run(connection, "echo trusted again", 10)[1] == b"trusted again\n"


def test_scanning_does_not_authenticate_and_shows_the_fingerprint_ssh_keygen_shows(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    host = fleet.hosts["host-1"]
    key = scan(host.as_host(), 5)
    public = host.directory / "host_key.pub"
    told = subprocess.run(["ssh-keygen", "-l", "-f", str(public)], check=True, capture_output=True, text=True)
    assert key.fingerprint == told.stdout.split()[1]
    assert f"{key.line} host-1\n" == fleet.known_hosts_lines()
    assert "publickey" not in host.log.read_text()


def test_a_host_that_does_not_answer_cannot_be_scanned(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    fleet.stop_host("host-1")
    with pytest.raises(UnreachableError) as refused:
        scan(fleet.hosts["host-1"].as_host(), 5)
    assert refused.value.cause == "connection refused"


def test_recording_takes_only_its_own_hosts_names_out(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    key = scan(fleet.hosts["host-1"].as_host(), 5)
    name, port = f"[{key.address}]:{key.port}", key.port
    known_hosts = tmp_path / "known_hosts"
    hashed = tmp_path / "hashed"
    hashed.write_text(f"{name} ssh-rsa AAAA\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(hashed)], check=True)
    known_hosts.write_text(
        f"# ours\n{name},other ssh-rsa AAAA old\n{key.address} ssh-rsa AAAA\n@revoked {name} ssh-rsa AAAA\n"
        f"{hashed.read_text()}[10.0.0.9]:{port} ssh-rsa AAAA\n"
    )
    record(known_hosts, [key])
    assert known_hosts.read_text().splitlines() == [
        "# ours",
        "other ssh-rsa AAAA old",
        f"{key.address} ssh-rsa AAAA",
        f"@revoked {name} ssh-rsa AAAA",
        f"[10.0.0.9]:{port} ssh-rsa AAAA",
        key.line,
    ]


def test_a_broken_record_is_refused_and_left_as_it_is(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("half a-line\n")
    with pytest.raises(InputError, match=r"known_hosts:1:1"):
        record(known_hosts, [scan(fleet.hosts["host-1"].as_host(), 5)])
    assert known_hosts.read_text() == "half a-line\n"
    assert list(tmp_path.iterdir()) == [known_hosts]
