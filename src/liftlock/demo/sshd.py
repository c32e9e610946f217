"""A fleet of real OpenSSH servers on 127.0.0.1, run by the current user; a host is one sshd and one directory.

Each host has its own port, host key and base directory; one client key opens them all. Nothing outside
`root` is written (but for the empty /run/sshd that sshd demands of root).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from liftlock.errors import LiftlockError
from liftlock.model import Host
from liftlock.settings import SshSettings

ADDRESS = "127.0.0.1"
SERVER = "sshd"
_START_TIMEOUT = 15.0
_STOP_TIMEOUT = 5.0

# Ends the servers when this process dies without close(): its end of the pipe closes then. The directory in
# the command line proves that a process number still belongs to a server of this fleet.
_WATCH = """\
servers=
while read -r server; do servers="$servers $server"; done
for server in $servers; do grep -qsF -- "$1" "/proc/$server/cmdline" && kill "$server"; done
"""

_CONFIG = """\
ListenAddress {address}:{port}
HostKey {directory}/host_key
PidFile {directory}/sshd.pid
AuthorizedKeysFile {authorized_keys}
AuthenticationMethods publickey
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
StrictModes no
PrintMotd no
PrintLastLog no
PermitUserRC no
SetEnv HOME={directory}
X11Forwarding no
MaxStartups 500
MaxSessions 100
Subsystem sftp internal-sftp
"""


def find_sshd() -> Path:
    """The absolute path of the OpenSSH server. Raises LiftlockError naming the package when there is none."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(SERVER, path=places)
    if found is None:
        raise LiftlockError(
            "the loopback fleet needs the OpenSSH server (sshd), which is not installed: "
            "install the package openssh-server (Debian, Fedora) or openssh (Arch, Alpine)"
        )
    return Path(found).absolute()


@dataclass(slots=True)
class LoopbackHost:
    """One sshd: where it listens, its product's directory, its process (None while stopped) and its log."""

    name: str
    address: str
    port: int
    base: Path
    log: Path
    directory: Path
    reserved: socket.socket
    pid: int | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def as_host(self, customer: str = "loopback", variables: Mapping[str, str] | None = None) -> Host:
        """The same as a host of an inventory."""
        return Host(
            name=self.name,
            customer=customer,
            address=self.address,
            port=self.port,
            base=str(self.base),
            variables=variables or {},
        )


class LoopbackFleet:
    """Starts one sshd for each name; as a context manager it ends them, too.

    `root` must not be shared with another fleet. Raises LiftlockError when sshd is missing or does not start.
    """

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self._root = root.absolute()
        self._sshd = find_sshd()
        self._prepare()
        self._watch = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", str(self._root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in a terminal is for this process alone, which then closes in order
        )
        self.hosts: dict[str, LoopbackHost] = {}
        atexit.register(self.close)
        try:
            for name in names:
                self.hosts[name] = self._make_host(name)
            for host in self.hosts.values():
                self._launch(host)
            for host in self.hosts.values():
                _await_banner(host)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> LoopbackFleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def client_key(self) -> Path:
        """The private key that every host accepts."""
        return self._root / "client_key"

    def known_hosts_lines(self) -> str:
        """The hosts' present keys, as a known_hosts file has them."""
        return "".join(
            f"[{host.address}]:{host.port} {(host.directory / 'host_key.pub').read_text('ascii')}"
            for host in self.hosts.values()
        )

    def write_known_hosts(self, path: Path) -> None:
        """Write the hosts' present keys to `path`."""
        path.write_text(self.known_hosts_lines(), encoding="ascii")

    def settings(self) -> SshSettings:
        """How these hosts are reached, their present keys recorded in a known_hosts file under `root`."""
        known_hosts = self._root / "known_hosts"
        self.write_known_hosts(known_hosts)
        return SshSettings(key=self.client_key, known_hosts=known_hosts)

    def stop_host(self, name: str) -> None:
        """Kill the host's sshd, its sessions and what runs in them at once; the port stays reserved.

        A product that was started by a session and left it (a daemon) lives on.
        """
        host = self.hosts[name]
        if host.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(host.process.pid, signal.SIGSTOP)  # no new session may begin while they are counted
        for pid in (*descendants(host.process.pid), host.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        host.process.wait(_STOP_TIMEOUT)
        host.process = host.pid = None

    def cut_sessions(self, name: str) -> None:
        """Cut the host's open connections; its sshd, and the programs the connections started, run on."""
        listener = self.hosts[name].pid
        for pid in descendants(listener) if listener else ():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").startswith("sshd"):
                    os.kill(pid, signal.SIGKILL)

    def start_host(self, name: str) -> None:
        """Start a stopped host again: same port, same key. Raises LiftlockError when it does not start."""
        host = self.hosts[name]
        if host.process is None:
            self._launch(host)
            _await_banner(host)

    def replace_host_key(self, name: str) -> None:
        """Give the host another key, as a reinstalled (or an impostor's) host has; it is restarted."""
        host = self.hosts[name]
        self.stop_host(name)
        _write_key(host.directory / "host_key", f"{name} (replaced)")
        self.start_host(name)

    def close(self) -> None:
        """End every host, its sessions and the watch. May be called again."""
        atexit.unregister(self.close)
        self._watch.kill()
        if self._watch.stdin is not None:
            self._watch.stdin.close()
        self._watch.wait(_STOP_TIMEOUT)
        for host in self.hosts.values():
            self.stop_host(host.name)
            host.reserved.close()

    def _prepare(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd separates its privileges there
        _write_key(self.client_key, "liftlock loopback fleet")
        shutil.copyfile(self.client_key.with_suffix(".pub"), self._authorized_keys)
        self._extra_config = self._penalties_off()

    @property
    def _authorized_keys(self) -> Path:
        return self._root / "authorized_keys"

    def _penalties_off(self) -> str:
        """From 9.8 on, sshd shuts out addresses that fail to authenticate; an older one refuses the option."""
        option = "PerSourcePenalties no\n"
        probe = self._root / "probe_config"
        probe.write_text(f"HostKey {self.client_key}\n{option}", encoding="ascii")
        known = subprocess.run([str(self._sshd), "-t", "-f", str(probe)], capture_output=True, check=False)
        return option if known.returncode == 0 else ""

    def _make_host(self, name: str) -> LoopbackHost:
        directory = self._root / "hosts" / name
        base = directory / "base"
        base.mkdir(parents=True)
        _write_key(directory / "host_key", name)
        reserved = _reserve_port()
        host = LoopbackHost(name, ADDRESS, reserved.getsockname()[1], base, directory / "sshd.log", directory, reserved)
        config = _CONFIG.format(
            address=host.address, port=host.port, directory=directory, authorized_keys=self._authorized_keys
        )
        (directory / "sshd_config").write_text(config + self._extra_config, encoding="utf-8")
        return host

    def _launch(self, host: LoopbackHost) -> None:
        with host.log.open("ab") as log:
            host.process = subprocess.Popen(
                [str(self._sshd), "-D", "-e", "-f", str(host.directory / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        host.pid = host.process.pid
        assert self._watch.stdin is not None
        self._watch.stdin.write(b"%d\n" % host.pid)
        self._watch.stdin.flush()


def _reserve_port() -> socket.socket:
    """A socket that keeps a free port from everybody but an sshd: bound, never listening, address reusable."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind((ADDRESS, 0))
    return reserved


def _write_key(path: Path, comment: str) -> None:
    """A new ed25519 key pair at `path` and `path`.pub, in OpenSSH's format, the private one 0600."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(private)
    path.with_suffix(".pub").write_text(f"{public.decode('ascii')} {comment}\n", encoding="utf-8")


def _await_banner(host: LoopbackHost) -> None:
    """Wait until sshd greets. Raises LiftlockError with its log when it ends or keeps silent."""
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        if host.process is None or host.process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection((host.address, host.port), 1) as connection:
            if connection.recv(4) == b"SSH-":
                return
        time.sleep(0.02)
    log = host.log.read_text(encoding="utf-8", errors="replace")
    raise LiftlockError(f"sshd of loopback host {host.name} does not answer on port {host.port}:\n{log}")


def descendants(pid: int) -> list[int]:
    """The processes below `pid`, parents first, as /proc shows them now."""
    parents = dict(_parents())
    found = [pid]
    for parent in found:
        found.extend(child for child, its_parent in parents.items() if its_parent == parent)
    return found[1:]


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # pid (name, which may hold spaces and brackets) state parent ...
            after_name = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
            yield int(entry.name), int(after_name.split()[1])
