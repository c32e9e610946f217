"""Harbours: fresh ones for tests that change the hosts, one for a whole file where tests only look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from e2e.harbour import Harbour, harbour

MakeHarbour = Callable[..., Harbour]


@pytest.fixture
def make_harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeHarbour]:
    """A factory of harbours: `make_harbour("np-1", "hx-1")` has these hosts; all of it ends with the test."""
    with ExitStack() as harbours:
        yield lambda *names: harbours.enter_context(harbour(tmp_path_factory.mktemp("harbour"), names))


@pytest.fixture(scope="module")
def quiet_harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    """Three hosts on 1.4.0 that the tests of a file share: none may touch them, and every one makes sure."""
    with harbour(tmp_path_factory.mktemp("harbour"), ("np-1", "hx-1", "lh-1")) as shared:
        yield shared
        assert shared.versions() == shared.all_on("1.4.0")
