"""The pytest plugin inside a gate process: runs every test once for every host, over one connection a host.

Suites may ask for these fixtures:

- `host`: testinfra's Host (`host.file(...)`, `host.run(...)`, ...) over the open connection; a command may
  take COMMAND_TIMEOUT seconds, or `host.run(..., timeout=seconds)`
- `liftlock_host`: the `Host` of the inventory (`variables`, `base`, `labels`, ...)
- `product` and `release`: what is about to be installed

Loaded by `adapters/gates.py` only, which describes what is written to the pipe.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host as TestinfraHost

from liftlock.adapters.connection import StrictConnection, open_connection, run
from liftlock.adapters.gates import REQUEST, GateRequest
from liftlock.errors import LiftlockError, LinkLostError
from liftlock.gate import Finding, one_line, weightiest
from liftlock.model import Host, Product, Release, Verdict

COMMAND_TIMEOUT = 60.0
"""Seconds a command on a host may take unless the test says otherwise."""

_REQUEST = pytest.StashKey[GateRequest]()


class OpenConnectionBackend(BaseBackend):
    """testinfra's way to run commands, over a connection that is already open."""

    NAME = "liftlock"

    def __init__(self, name: str, connection: StrictConnection) -> None:
        super().__init__(name)
        self._encoding = "utf-8"
        self._connection = connection
        self._lost: LinkLostError | None = None

    def run(self, command: str, *args: str, timeout: float = COMMAND_TIMEOUT, **_: Any) -> CommandResult:
        """Run the command with its arguments quoted. Raises HostError; once the link is lost, at once."""
        if self._lost is not None:
            raise self._lost
        full = self.get_command(command, *args)
        try:
            status, out, err = run(self._connection, full, timeout)
        except LinkLostError as error:
            self._lost = error
            raise
        return self.result(status, full.encode(), out, err)

    def decode(self, data: bytes) -> str:
        """Text of any host: bytes that are no UTF-8 are shown as such instead of ending the test."""
        return data.decode("utf-8", errors="backslashreplace")


@pytest.fixture(scope="session")
def liftlock_host(request: pytest.FixtureRequest) -> Host:
    """The host under test as the inventory knows it."""
    host: Host = request.param
    return host


@pytest.fixture(scope="session")
def host(liftlock_host: Host, pytestconfig: pytest.Config) -> Iterator[TestinfraHost]:
    """The host under test as testinfra's Host, over its one connection."""
    with open_connection(liftlock_host, pytestconfig.stash[_REQUEST].ssh) as connection:
        backend = OpenConnectionBackend(liftlock_host.name, connection)
        testinfra_host = TestinfraHost(backend)
        backend.set_host(testinfra_host)
        yield testinfra_host


@pytest.fixture(scope="session")
def product(pytestconfig: pytest.Config) -> Product:
    """The product that is about to be upgraded."""
    return pytestconfig.stash[_REQUEST].product


@pytest.fixture(scope="session")
def release(pytestconfig: pytest.Config) -> Release:
    """The release that is about to be installed."""
    return pytestconfig.stash[_REQUEST].release


@pytest.fixture(scope="session", autouse=True)
def _every_test_reaches_its_host(host: TestinfraHost) -> None:
    """A test that looks at nothing must not let a host pass that cannot even be reached."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the request is read and the findings go."""
    group = parser.getgroup("liftlock")
    group.addoption("--liftlock-request", type=Path, required=True)
    group.addoption("--liftlock-results", type=int, required=True)


def pytest_configure(config: pytest.Config) -> None:
    """Read the request and begin to listen."""
    request = REQUEST.validate_json(config.getoption("--liftlock-request").read_bytes())
    config.stash[_REQUEST] = request
    results: int = config.getoption("--liftlock-results")
    os.set_inheritable(results, False)
    config.pluginmanager.register(_Reporter(results), "liftlock-reporter")


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One run of every test for every host; the host's name comes first in the test's id."""
    hosts = metafunc.config.stash[_REQUEST].hosts
    metafunc.parametrize("liftlock_host", hosts, ids=[host.name for host in hosts], indirect=True, scope="session")


class _Reporter:
    """Writes to the pipe what each test found, when a host is through, and what stops the run."""

    def __init__(self, results: int) -> None:
        self._results = results
        self._of_this_test: list[Finding] = []
        self._host = ""
        self._since = 0.0

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write(trouble=f"{report.nodeid}: {_errors(report.longreprtext)[-1]}")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if not _is_bound_to_a_host(item):
                reason = "cannot be run for each host: gate tests are plain functions, or methods of plain classes"
                self._write(trouble=f"{item.name}: {reason}")
                raise pytest.UsageError(f"{item.nodeid} {reason}")
        order = {host.name: place for place, host in enumerate(items[0].config.stash[_REQUEST].hosts)} if items else {}
        items.sort(key=lambda item: order[_host_of(item)])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        host = _host_of(item)
        if host != self._host:
            self._host, self._since = host, time.monotonic()
        self._of_this_test = []
        done = yield
        finding = weightiest(self._of_this_test)
        self._write(host=host, test=finding.test, verdict=finding.verdict, message=finding.message)
        if nextitem is None or _host_of(nextitem) != host:
            self._write(host=host, seconds=round(time.monotonic() - self._since, 3))
        return done

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "call" or not report.passed:
            self._of_this_test.append(_finding(item, call, report))
        return report

    def pytest_internalerror(self, excrepr: object) -> None:
        self._write(trouble=f"pytest had an internal error: {_errors(str(excrepr))[-1]}")

    def _write(self, **message: object) -> None:
        os.write(self._results, json.dumps(message).encode() + b"\n")


def _finding(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> Finding:
    """What one part of a test (setup, call, teardown, subtest) found."""
    name = _name_of(item)
    if report.passed:
        return Finding(name, Verdict.PASSED)
    if report.skipped:
        return Finding(name, Verdict.INCONCLUSIVE)
    error = call.excinfo.value if call.excinfo else None
    if report.when == "call" and isinstance(error, AssertionError | pytest.fail.Exception | None):
        return Finding(name, Verdict.FAILED, one_line(str(error or report.longreprtext)))
    message = str(error) if isinstance(error, LiftlockError) else _errors(report.longreprtext)[0]
    return Finding(name, Verdict.ERROR, one_line(message))


def _errors(account: str) -> list[str]:
    """The lines of pytest's account of an error that say what went wrong (never empty)."""
    marked = [line[1:].strip() for line in account.splitlines() if line.startswith("E  ")]
    return marked or account.strip().splitlines()[-1:] or ["no message"]


def _is_bound_to_a_host(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and hasattr(item, "callspec") and "liftlock_host" in item.callspec.params


def _host_of(item: pytest.Item) -> str:
    assert isinstance(item, pytest.Function)
    host = item.callspec.params["liftlock_host"]
    assert isinstance(host, Host)
    return host.name


def _name_of(item: pytest.Item) -> str:
    """The test's name without its host: `test_disk`, or `test_disk[/var]` of a test with own parameters."""
    assert isinstance(item, pytest.Function)
    parameters = item.callspec.id.removeprefix(_host_of(item)).removeprefix("-")
    return f"{item.originalname}[{parameters}]" if parameters else item.originalname
