"""The fleet of these tests; and what a test needs that this machine may lack, told at the end of the run.

`@pytest.mark.needs("root", "strace")` names a tool, or root. A test whose needs are not met does not run, does not
count as passed, and is listed in a section of its own. `@pytest.mark.long` tests run in `make faults` alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.fault_fleet import FaultFleet, fault_fleet
from faults.results import ROUNDS, record
from faults.watcher import Watcher, watching

NOT_HERE = pytest.StashKey[list[str]]()
LIBFAKETIME = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*what): tools, or root, without which the test is not run but listed")
    config.addinivalue_line("markers", "long: a part of `make faults`, and of nothing else")
    config.stash[NOT_HERE] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    run: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        missing = [need for mark in item.iter_markers("needs") for need in mark.args if not is_here(need)]
        if missing:
            config.stash[NOT_HERE].append(f"{item.nodeid}: needs {', '.join(missing)}")
            record(item.name.removeprefix("test_").replace("_", " "), f"needs {', '.join(missing)}", tries=0)
        is_left = bool(missing) or (not ROUNDS and item.get_closest_marker("long") is not None)
        (left if is_left else run).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = run


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several test processes hands its list to the one that prints the summary."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["not_here"] = session.config.stash[NOT_HERE]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    told: list[str] = node.config.stash[NOT_HERE]
    told += [line for line in getattr(node, "workeroutput", {}).get("not_here", ()) if line not in told]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[NOT_HERE]:
        terminalreporter.section("faults that were not tried here")
        for line in config.stash[NOT_HERE]:
            terminalreporter.line(line)


def is_here(need: str) -> bool:
    """Whether this machine has it: `root`, `libfaketime`, or a tool of that name."""
    if need == "root":
        return os.geteuid() == 0
    if need == "libfaketime":
        return find_libfaketime() is not None
    return shutil.which(need, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") is not None


def find_libfaketime() -> Path | None:
    """Where libfaketime is, None when it is not."""
    return next((path for place in LIBFAKETIME for path in Path("/").glob(place[1:])), None)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultFleet]:
    """Three hosts for the tests of a file; each of their tries begins from the old release."""
    with fault_fleet(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.fixture
def watcher(fleet: FaultFleet) -> Iterator[Watcher]:
    """A watcher of the fleet's hosts while the test runs."""
    with watching(fleet.bases.values()) as made:
        yield made
