"""Real hosts for the tests of adapters and of whole rollouts."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from liftlock.demo.sshd import LoopbackFleet

# What a script starts in the background ignores Ctrl-C, and so would the processes that tests interrupt.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def make_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LoopbackFleet]]:
    """A factory of fleets of real sshd: `make_fleet(3)` has the hosts `host-1` to `host-3`, ended after the test.

    Without an OpenSSH server the test fails with the name of the package to install; it never skips.
    """
    with contextlib.ExitStack() as fleets:

        def make(count: int = 1) -> LoopbackFleet:
            names = [f"host-{number}" for number in range(1, count + 1)]
            return fleets.enter_context(LoopbackFleet(tmp_path_factory.mktemp("fleet"), names))

        yield make
