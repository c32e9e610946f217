"""A network that goes down under an upload: a namespace with a sshd of its own, and a slow link to it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from e2e.harbour import within
from faults.checker import Tally, check, finish
from faults.controllers import Controller, Controllers
from faults.fault_fleet import PATIENCE, FaultFleet, Try, environment
from faults.results import record
from faults.watcher import watching
from liftlock.demo.sshd import LoopbackFleet, find_sshd

HERE, THERE = "10.199.77.1", "10.199.77.2"
SPEED = "800kbit"
"""So slow that an upload takes several seconds."""

pytestmark = pytest.mark.needs("root", "ip", "tc")


class Cable:
    """A pair of interfaces: one here, one in the namespace."""

    def __init__(self) -> None:
        self.space = f"ll{os.getpid()}"
        self.near, self.far = f"lla{os.getpid()}", f"llb{os.getpid()}"

    def plug(self) -> None:
        for command in (
            f"ip netns add {self.space}",
            f"ip link add {self.near} type veth peer name {self.far} netns {self.space}",
            f"ip addr add {HERE}/30 dev {self.near}",
            f"ip link set {self.near} up",
            f"ip -n {self.space} addr add {THERE}/30 dev {self.far}",
            f"ip -n {self.space} link set {self.far} up",
        ):
            subprocess.run(command.split(), check=True)

    def slow_down(self) -> None:
        subprocess.run(
            f"tc qdisc add dev {self.near} root tbf rate {SPEED} burst 16kb latency 400ms".split(), check=True
        )

    def switch(self, state: str) -> None:
        """`up` or `down`."""
        subprocess.run(["ip", "link", "set", self.near, state], check=True)

    def pull(self) -> None:
        subprocess.run(["ip", "link", "del", self.near], check=False)
        subprocess.run(["ip", "netns", "del", self.space], check=False)


@contextmanager
def sshd_there(cable: Cable, directory: Path, port: int) -> Iterator[None]:
    """The host's sshd once more, inside the namespace."""
    config = directory / "sshd_config.there"
    settings = (directory / "sshd_config").read_text().replace("ListenAddress 127.0.0.1", f"ListenAddress {THERE}")
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


@pytest.fixture
def far_away(tmp_path: Path) -> Iterator[tuple[FaultFleet, Cable]]:
    """One host at the other end of a cable."""
    with ExitStack() as ends:
        cable = Cable()
        ends.callback(cable.pull)
        cable.plug()
        controllers = Controllers(environment())
        ends.callback(controllers.close)
        sshd = ends.enter_context(LoopbackFleet(tmp_path / "hosts", ["raft-1"]))
        host = sshd.hosts["raft-1"]
        ends.enter_context(sshd_there(cable, host.directory, host.port))
        fleet = FaultFleet(tmp_path, sshd, controllers, place=(THERE, host.port), phase_timeout="40s")
        ends.callback(fleet.close)
        cable.slow_down()
        yield fleet, cable


def begin_an_upload(one: Try) -> Controller:
    """A rollout whose artifact is on its way."""
    first = one.start()
    incoming = one.hosts["raft-1"] / ".liftlock" / "incoming"
    assert within(lambda: any(part.stat().st_size > 20_000 for part in incoming.glob(".part.*"))), first.output
    return first


@pytest.mark.long
@pytest.mark.parametrize("seconds", [2, None], ids=["for_a_moment", "until_it_is_given_up"])
def test_a_network_that_goes_down_in_mid_upload_loses_nothing(
    far_away: tuple[FaultFleet, Cable], seconds: float | None
) -> None:
    """After a moment the upload goes on. Down for good, the host is given up at the deadline, and tried again."""
    fleet, cable = far_away
    tally = Tally()
    with watching(fleet.bases.values()) as watcher, fleet.new_try() as one:
        first = begin_an_upload(one)
        cable.switch("down")
        first.wait(seconds or 2 * PATIENCE)
        cable.switch("up")
        assert first.code == (5 if seconds is None else None), first.output
        first.wait(PATIENCE)
        wrong = finish(one, tally) + check(one, tally)
        assert not wrong, "\n".join(wrong)
        seen = watcher.seen()
    record(f"`ip link down` in mid-upload, {'until it is given up' if seconds is None else f'for {seconds} s'}",
           tally.seen(), tally, seen)  # fmt: skip
    assert (seen.broken, set(tally.ends)) == (0, {"succeeded"}), seen.told
