"""Connections to real sshd: which host keys pass, which errors come out, and that nothing hangs or is shared."""

from __future__ import annotations

import base64
import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from liftlock.adapters.connection import load_key, open_connection, run
from liftlock.adapters.known_hosts import KnownHosts, known_name, read_known_hosts
from liftlock.demo.sshd import LoopbackFleet
from liftlock.errors import AuthenticationError, HostKeyError, InputError, LinkLostError, UnreachableError
from liftlock.settings import SshSettings

MakeFleet = Callable[..., LoopbackFleet]


def recorded_as(ssh: SshSettings, text: str) -> SshSettings:
    """The settings with another known_hosts file."""
    path = ssh.known_hosts.with_name("other_known_hosts")
    path.write_text(text, encoding="ascii")
    return replace(ssh, known_hosts=path)


def test_a_recorded_key_connects_and_a_command_gives_its_status_and_both_streams(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    with open_connection(fleet.hosts["host-1"].as_host(), fleet.settings()) as connection:
        status, out, err = run(connection, "printf out; printf err >&2; exit 3", 10)
        transport = connection.transport
        assert (transport.local_cipher, transport.remote_cipher) == ("aes128-gcm@openssh.com",) * 2
    assert (status, out) == (3, b"out")
    assert err.endswith(b"err")  # after whatever the user's shell start-up files say
    assert not transport.is_active()


def test_an_unknown_host_key_is_refused_before_authentication(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    host = fleet.hosts["host-1"]
    ssh = recorded_as(fleet.settings(), "")
    with pytest.raises(HostKeyError) as refused:
        open_connection(host.as_host(), ssh)
    assert refused.value.cause == "host key unknown"
    assert fingerprint(host.directory / "host_key.pub") in refused.value.detail
    assert "liftlock trust" in refused.value.detail
    assert "Accepted" not in host.log.read_text()
    assert not ssh.known_hosts.read_text(), "nothing is trusted on first use"


def test_a_changed_host_key_is_refused_before_authentication(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    host = fleet.hosts["host-1"]
    before = fingerprint(host.directory / "host_key.pub")
    ssh = fleet.settings()
    fleet.replace_host_key("host-1")
    with pytest.raises(HostKeyError) as refused:
        open_connection(host.as_host(), ssh)
    assert refused.value.cause == "host key changed"
    assert before in refused.value.detail
    assert fingerprint(host.directory / "host_key.pub") in refused.value.detail
    log = host.log.read_text()
    assert "Accepted" not in log
    assert "Failed" not in log


def test_a_revoked_key_is_refused_even_where_it_is_recorded(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    key = fleet.known_hosts_lines().split(maxsplit=1)[1]
    ssh = recorded_as(fleet.settings(), f"{fleet.known_hosts_lines()}@revoked * {key}")
    with pytest.raises(HostKeyError) as refused:
        open_connection(fleet.hosts["host-1"].as_host(), ssh)
    assert refused.value.cause == "host key revoked"


def test_any_of_several_recorded_keys_passes_and_authority_lines_of_others_do_no_harm(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    name, key_type, key, *_ = fleet.known_hosts_lines().split()
    other = base64.b64encode(paramiko.ECDSAKey.generate().asbytes()).decode()
    old = base64.b64encode(base64.b64decode(key)[:-1] + b"x").decode()
    text = f"@cert-authority *.example.com {key_type} {old}\n{name} ecdsa-sha2-nistp256 {other}\n"
    text += f"{name} {key_type} {old}\n{name} {key_type} {key}\n"
    with open_connection(fleet.hosts["host-1"].as_host(), recorded_as(fleet.settings(), text)) as connection:
        assert run(connection, "echo hello", 10)[1] == b"hello\n"


def test_a_host_that_only_an_authority_vouches_for_is_unknown_and_says_why(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    key = fleet.known_hosts_lines().split(maxsplit=1)[1]
    ssh = recorded_as(fleet.settings(), f"@cert-authority * {key}")
    with pytest.raises(HostKeyError, match="@cert-authority") as refused:
        open_connection(fleet.hosts["host-1"].as_host(), ssh)
    assert refused.value.cause == "host key unknown"


def test_a_host_that_does_not_accept_the_key_is_an_authentication_error(make_fleet: MakeFleet, tmp_path: Path) -> None:
    fleet = make_fleet()
    stranger = tmp_path / "stranger"
    paramiko.ECDSAKey.generate().write_private_key_file(str(stranger))
    with pytest.raises(AuthenticationError) as refused:
        open_connection(fleet.hosts["host-1"].as_host(), replace(fleet.settings(), key=stranger))
    assert refused.value.cause == "authentication refused"


def test_a_closed_port_and_an_unknown_name_are_unreachable(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    host = fleet.hosts["host-1"].as_host()
    fleet.stop_host("host-1")
    with pytest.raises(UnreachableError) as refused:
        open_connection(host, fleet.settings())
    assert refused.value.cause == "connection refused"
    with pytest.raises(UnreachableError) as unknown:
        open_connection(replace(host, address="no-such-host.invalid"), fleet.settings())
    assert unknown.value.cause == "name not found"


def test_a_port_that_never_greets_is_unreachable(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    ssh = replace(fleet.settings(), connect_timeout=timedelta(seconds=0.3))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = replace(fleet.hosts["host-1"].as_host(), port=silent.getsockname()[1])
        with pytest.raises(UnreachableError) as refused:
            open_connection(host, ssh)
    assert refused.value.cause == "connection timed out"


def test_a_busy_sshd_that_drops_the_first_connection_is_tried_again(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    real = fleet.hosts["host-1"]
    with socket.create_server(("127.0.0.1", 0)) as front:
        port = front.getsockname()[1]
        relay = threading.Thread(target=drop_one_then_relay, args=(front, real.port))
        relay.start()
        key = fleet.known_hosts_lines().split(maxsplit=1)[1]
        ssh = recorded_as(fleet.settings(), f"[127.0.0.1]:{port} {key}")
        with open_connection(replace(real.as_host(), port=port), ssh) as connection:
            assert run(connection, "echo through", 10)[1] == b"through\n"
    relay.join(10)
    assert not relay.is_alive()


def drop_one_then_relay(front: socket.socket, port: int) -> None:
    """What MaxStartups does: close the first connection without a greeting; pass the second one on."""
    front.accept()[0].close()
    client, _ = front.accept()
    server = socket.create_connection(("127.0.0.1", port))
    back = threading.Thread(target=copy, args=(server, client))
    back.start()
    copy(client, server)
    back.join(10)
    client.close()
    server.close()


def copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the client hangs up without a word
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def test_many_threads_share_nothing(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(3)
    ssh = fleet.settings()
    hosts = [host.as_host() for host in fleet.hosts.values()]

    def echo(number: int) -> bytes:
        with open_connection(hosts[number % 3], ssh) as connection:
            return run(connection, f"echo {number}", 30)[1]

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(echo, range(20))) == [b"%d\n" % number for number in range(20)]


def test_a_command_that_outlives_its_deadline_is_a_lost_link(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    host = fleet.hosts["host-1"].as_host()
    with open_connection(host, fleet.settings()) as connection:
        for command in ("sleep 60", "exec >&- 2>&-; sleep 60", "while :; do echo noise; done"):
            with pytest.raises(LinkLostError) as lost:
                run(connection, command, 0.5)
            assert lost.value.cause == "deadline passed"


def test_a_host_that_dies_under_a_command_is_a_lost_link(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    with open_connection(fleet.hosts["host-1"].as_host(), fleet.settings()) as connection:
        threading.Timer(0.3, fleet.stop_host, ("host-1",)).start()
        with pytest.raises(LinkLostError) as lost:
            run(connection, "echo begun; sleep 60", 30)
        assert lost.value.cause == "connection lost"
        with pytest.raises(UnreachableError):
            run(connection, "true", 5)


class NeverReplies(paramiko.ServerInterface):
    """A host that lets everybody in and then leaves the request to run a program unanswered."""

    def __init__(self) -> None:
        self.enough = threading.Event()

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        return self.enough.wait(30)


def test_a_host_that_never_replies_is_hung_up_on(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    behaviour = NeverReplies()
    key = paramiko.ECDSAKey.generate()
    with socket.create_server(("127.0.0.1", 0)) as front:
        port = front.getsockname()[1]

        def serve() -> None:
            server = paramiko.Transport(front.accept()[0])
            server.add_server_key(key)
            server.start_server(server=behaviour)

        serving = threading.Thread(target=serve)
        serving.start()
        ssh = recorded_as(fleet.settings(), f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
        with open_connection(replace(fleet.hosts["host-1"].as_host(), port=port), ssh) as connection:
            with pytest.raises(LinkLostError) as lost:
                run(connection, "true", 0.3)
            assert lost.value.cause == "deadline passed"
        behaviour.enough.set()
        serving.join(10)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_keys_of_every_kind_are_loaded_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)
    key = load_key(path)
    assert key.fingerprint == fingerprint(path.with_suffix(".pub"))
    assert load_key(path) is key


def test_a_key_that_is_missing_encrypted_or_none_is_an_input_error(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(locked)], check=True)
    garbage = tmp_path / "garbage"
    garbage.write_text("not a key")
    for path, complaint in ((tmp_path / "none", "does not exist"), (locked, "encrypted"), (garbage, "cannot be read")):
        with pytest.raises(InputError, match=complaint):
            load_key(path)


def test_hashed_names_written_by_ssh_keygen_are_found(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    key = f"ssh-ed25519 {base64.b64encode(b'key').decode()}"
    path.write_text(f"[10.0.0.1]:2222 {key}\nweb.example.com {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True)
    assert "example" not in path.read_text()
    known = read_known_hosts(path)
    assert [found.blob for found in known.keys("10.0.0.1", 2222)] == [b"key"]
    assert [found.blob for found in known.keys("WEB.example.com", 22)] == [b"key"]
    assert known.keys("10.0.0.1", 22) == known.keys("web.example.com", 2222) == []


def test_a_changed_known_hosts_file_is_read_again_and_a_missing_one_trusts_nobody(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    assert read_known_hosts(path).keys("a", 22) == []
    path.write_text("a ssh-ed25519 AAAA\n")
    assert len(read_known_hosts(path).keys("a", 22)) == 1
    path.write_text("b ssh-ed25519 AAAA AAAA\n")
    assert read_known_hosts(path).keys("a", 22) == []


def test_every_line_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("# fine\na ssh-ed25519 AAAA\nhost key\n\n@weird a ssh-ed25519 AAAA\na ssh-ed25519 A!\n")
    with pytest.raises(InputError) as refused:
        read_known_hosts(path)
    assert [problem.line for problem in refused.value.problems] == [3, 5, 6]


def test_patterns_match_as_sshd_says() -> None:
    known = KnownHosts("*.example.com,!bad.example.com,[10.0.0.?]:2222 ssh-ed25519 AAAA\n")
    assert known.keys("good.example.com", 22)
    assert known.keys("10.0.0.7", 2222)
    assert not known.keys("bad.example.com", 22)
    assert not known.keys("10.0.0.77", 2222)
    assert not known.keys("xexample.com", 22)


names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)


@given(st.lists(st.tuples(names, st.integers(1, 65535), st.binary(min_size=1, max_size=20)), max_size=20))
def test_a_host_gets_exactly_its_own_keys(lines: list[tuple[str, int, bytes]]) -> None:
    text = "".join(f"{known_name(name, port)} t {base64.b64encode(key).decode()}\n" for name, port, key in lines)
    known = KnownHosts(text)
    for name, port, _ in lines:
        assert [key.blob for key in known.keys(name, port)] == [
            key for other, its_port, key in lines if (other, its_port) == (name, port)
        ]


def fingerprint(public_key: Path) -> str:
    """As ssh-keygen tells it."""
    told = subprocess.run(["ssh-keygen", "-l", "-f", str(public_key)], check=True, capture_output=True, text=True)
    return told.stdout.split()[1]
