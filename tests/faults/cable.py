"""Hosts at the other end of a cable: network namespaces with a sshd of their own, and what can happen on the way."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from e2e.harbour import within
from faults.controllers import Controllers
from faults.fault_fleet import FaultFleet, environment
from liftlock.demo.sshd import LoopbackFleet, find_sshd

NET = f"10.199.{os.getpid() % 250}"
"""Another one for each run of the tests: they share the machine's routes."""
HERE = f"{NET}.1"


class Cable:
    """A pair of interfaces: one here, one in the host's namespace."""

    there = f"{NET}.2"

    def __init__(self) -> None:
        self.space = f"ll{os.getpid()}"
        self.near, self.far = f"lla{os.getpid()}", f"llb{os.getpid()}"

    def plug(self) -> None:
        """Make it, up at both ends."""
        _ip(f"netns add {self.space}")
        _ip(f"link add {self.near} type veth peer name {self.far} netns {self.space}")
        _ip(f"addr add {HERE}/30 dev {self.near}")
        _ip(f"link set {self.near} up")
        _ip(f"-n {self.space} addr add {self.there}/30 dev {self.far}")
        _ip(f"-n {self.space} link set {self.far} up")

    def slow_down(self, speed: str) -> None:
        """Let it carry so much to the host, as tc says it."""
        queue = f"tc qdisc add dev {self.near} root tbf rate {speed} burst 16kb latency 400ms"
        subprocess.run(queue.split(), check=True)

    def switch(self, state: str) -> None:
        """`up` or `down`."""
        _ip(f"link set {self.near} {state}")

    def pull(self) -> None:
        """End it, as far as it was made."""
        _ip(f"link del {self.near}", check=False)
        _ip(f"netns del {self.space}", check=False)


class RoutedCable(Cable):
    """The same with a router between, which can have a black hole: it drops what it should carry, and says nothing.

    At either end such a route would tell the sender at once.
    """

    there = f"{NET}.6"

    def __init__(self) -> None:
        super().__init__()
        self.router = f"llr{os.getpid()}"

    def plug(self) -> None:
        """Make it, up at all ends."""
        for space in (self.space, self.router):
            _ip(f"netns add {space}")
        _ip(f"link add {self.near} type veth peer name near netns {self.router}")
        _ip(f"-n {self.router} link add far type veth peer name {self.far} netns {self.space}")
        _ip(f"addr add {HERE}/30 dev {self.near}")
        _ip(f"-n {self.router} addr add {NET}.2/30 dev near")
        _ip(f"-n {self.router} addr add {NET}.5/30 dev far")
        _ip(f"-n {self.space} addr add {self.there}/30 dev {self.far}")
        _ip(f"link set {self.near} up")
        _ip(f"-n {self.router} link set near up")
        _ip(f"-n {self.router} link set far up")
        _ip(f"-n {self.space} link set {self.far} up")
        _ip(f"route add {NET}.4/30 via {NET}.2 dev {self.near}")
        _ip(f"-n {self.space} route add default via {NET}.5")
        _ip(f"netns exec {self.router} sh -c", "echo 1 >/proc/sys/net/ipv4/ip_forward")

    def swallow(self, way: str) -> None:
        """Drop all that goes `there`, to the host, or `back` from it."""
        _ip(f"-n {self.router} route add blackhole {self._end(way)}/32")

    def carry(self, way: str) -> None:
        """Carry it again."""
        _ip(f"-n {self.router} route del blackhole {self._end(way)}/32")

    def _end(self, way: str) -> str:
        return {"there": self.there, "back": HERE}[way]

    def pull(self) -> None:
        """End it, as far as it was made."""
        super().pull()
        _ip(f"netns del {self.router}", check=False)


def _ip(words: str, *more: str, check: bool = True) -> None:
    subprocess.run(["ip", *words.split(), *more], check=check)


@contextmanager
def far_fleet(root: Path, cable: Cable, phase_timeout: str) -> Iterator[FaultFleet]:
    """One host, raft-1, at the other end of the cable, which is plugged in here and pulled at the end."""
    with ExitStack() as ends:
        ends.callback(cable.pull)
        cable.plug()
        controllers = Controllers(environment())
        ends.callback(controllers.close)
        sshd = ends.enter_context(LoopbackFleet(root / "hosts", ["raft-1"]))
        host = sshd.hosts["raft-1"]
        ends.enter_context(_sshd_there(cable, host.directory, host.port))
        fleet = FaultFleet(root, sshd, controllers, place=(cable.there, host.port), phase_timeout=phase_timeout)
        ends.callback(fleet.close)
        yield fleet


@contextmanager
def _sshd_there(cable: Cable, directory: Path, port: int) -> Iterator[None]:
    """The host's sshd once more, inside the namespace."""
    config = directory / "sshd_config.there"
    settings = (directory / "sshd_config").read_text()
    settings = settings.replace("ListenAddress 127.0.0.1", f"ListenAddress {cable.there}")
    config.write_text(settings.replace(f"{directory}/sshd.pid", f"{directory}/there.pid"))
    words = ["ip", "netns", "exec", cable.space, str(find_sshd()), "-D", "-e", "-f", str(config)]
    with (directory / "there.log").open("wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
    try:
        assert within(lambda: "listening" in (directory / "there.log").read_text()), port
        yield
    finally:
        process.kill()
        process.wait()
