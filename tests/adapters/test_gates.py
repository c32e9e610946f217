from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gates.test_ready_for_upgrade import size
from liftlock.adapters.gates import REQUEST, SETTLED, SLICE, GateRequest, PytestGates
from liftlock.demo.sshd import LoopbackFleet
from liftlock.model import Artifact, Health, Host, Product, Release, ReleaseKind, Verdict

SAMPLE_SUITE = Path(__file__).parents[1] / "gates" / "test_ready_for_upgrade.py"

PRODUCT = Product("boathouse", {"en": "Boathouse"}, Health(url="http://127.0.0.1:{{ port }}/health"))
RELEASE = Release("boathouse", "2.0", ReleaseKind.UPGRADE, Artifact("boathouse-2.0.tar.gz", "0" * 64, 1000))
NAMES = [f"web-{number:02}" for number in range(1, 13)]


@pytest.fixture(scope="module")
def gate_fleet(tmp_path_factory):
    with LoopbackFleet(tmp_path_factory.mktemp("gate-fleet"), NAMES) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def service_port():
    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(b'{"version": "1.0"}')

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def hosts(gate_fleet, service_port):
    """Every host healthy and ready for the upgrade."""
    for loopback in gate_fleet.hosts.values():
        for folder in ("releases/1.0", "data"):
            (loopback.base / folder).mkdir(parents=True, exist_ok=True)
        (loopback.base / "current").unlink(missing_ok=True)
        (loopback.base / "current").symlink_to("releases/1.0")
        (loopback.base / "data/last-backup").touch()
        (loopback.base / "data/maintenance").unlink(missing_ok=True)
    return [host.as_host(variables={"port": str(service_port)}) for host in gate_fleet.hosts.values()]


@pytest.fixture
def suites(tmp_path):
    folder = tmp_path / "work space/tests/gates"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def judge_with(gate_fleet, suites):
    """Write a suite, run it, and return the results by host; `told` are those that on_result was told."""

    def run(hosts, source=None, told=None, **options):
        if source is not None:
            (suites / "test_gate_suite.py").write_text(source)
        options = {"ssh": options.get("ssh") or gate_fleet.settings()} | options
        told = [] if told is None else told
        results = PytestGates(suites, product=PRODUCT, release=RELEASE, **options).run(hosts, told.append)
        assert [result.host for result in results] == [host.name for host in hosts]
        assert sorted(told, key=repr) == sorted(results, key=repr)
        return {result.host: result for result in results}

    return run


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_sample_suite_passes_ready_hosts_and_says_what_the_others_lack(hosts, judge_with, suites):
    hosts = hosts[:8]
    base = {host.name: Path(host.base) for host in hosts}
    old = time.time() - 51 * 3600 - 30
    os.utime(base["web-02"] / "data/last-backup", (old, old))
    (base["web-03"] / "data/maintenance").touch()
    (base["web-04"] / "data/last-backup").unlink()
    (base["web-04"] / "data/maintenance").touch()
    (base["web-05"] / "current").unlink()
    (base["web-05"] / "current").mkdir()
    hosts[5] = replace(hosts[5], variables={"port": "1"})
    hosts[6] = replace(hosts[6], variables={})
    results = judge_with(hosts, SAMPLE_SUITE.read_text())
    (base["web-05"] / "current").rmdir()

    assert (results["web-01"].verdict, results["web-01"].tests) == (Verdict.PASSED, 5)
    assert results["web-08"].verdict is Verdict.PASSED
    assert {results[f"web-0{number}"].verdict for number in range(2, 7)} == {Verdict.FAILED}
    assert (
        results["web-02"].reason
        == "test_recent_backup: the last backup is 51 h old, at most 24 h allowed: run bin/backup"
    )
    assert results["web-03"].reason == (
        f"test_no_maintenance: an operator has put this host into maintenance ({base['web-03']}/data/maintenance): "
        "finish that first, then remove the file"
    )
    assert results["web-04"].reason == (
        f"test_recent_backup: no backup has been made yet ({base['web-04']}/data/last-backup is missing): "
        "run bin/backup (and 1 more)"
    )
    assert "is not a link to a release" in results["web-05"].reason
    assert "the service does not answer healthy on http://127.0.0.1:1/health (" in results["web-06"].reason
    assert results["web-07"].verdict is Verdict.ERROR
    assert results["web-07"].reason == "test_service_is_healthy: KeyError: 'port'"


def test_the_sample_suite_wants_space_for_the_release(hosts, suites, gate_fleet):
    (suites / SAMPLE_SUITE.name).write_text(SAMPLE_SUITE.read_text())
    huge = replace(RELEASE, artifact=replace(RELEASE.artifact, length=10**18))
    [result] = PytestGates(suites, gate_fleet.settings(), PRODUCT, huge).run(hosts[:1], lambda result: None)
    assert result.verdict is Verdict.FAILED
    assert result.reason.startswith("test_space_for_the_new_release: only ")
    assert "3000000000.0 GB needed (3 x the artifact): make room" in result.reason


def test_hosts_that_cannot_be_reached_or_trusted_are_errors_even_when_no_test_looks(hosts, judge_with, gate_fleet):
    settings = gate_fleet.settings()
    gate_fleet.stop_host("web-01")
    gate_fleet.replace_host_key("web-02")
    try:
        results = judge_with(hosts[:3], "def test_nothing(): pass\ndef test_still_nothing(): pass", ssh=settings)
    finally:
        gate_fleet.start_host("web-01")
    assert results["web-01"].verdict is Verdict.ERROR
    assert "connection refused" in results["web-01"].reason
    assert results["web-02"].verdict is Verdict.ERROR
    assert "host key changed" in results["web-02"].reason
    assert results["web-01"].tests == results["web-02"].tests == 0
    assert results["web-03"].verdict is Verdict.PASSED


EVERYTHING_IS_OURS = """
import os, sys
import pytest
from gate_words import GREETING  # a module beside the suite

testinfra_hosts = ["local://"]  # testinfra's own way to choose hosts has no say
CONNECTIONS = set()

def test_fixtures(host, liftlock_host, product, release, conftest_speaks):
    assert conftest_speaks == liftlock_host.name
    assert (product.name, release.version, GREETING) == ("boathouse", "2.0", "ahoy")
    assert host.backend.get_pytest_id() == f"liftlock://{liftlock_host.name}"
    assert host.file(liftlock_host.base).is_directory
    assert not host.service("surely-no-such-service").is_running
    assert host.check_output("printf %s", "a 'quoted' $word") == "a 'quoted' $word"
    assert host.run("printf '\\\\377'").stdout == "\\\\xff"
    assert not [name for name in os.environ if "PYTEST_ADDOPTS" in name or "PASSWORD" in name]

@pytest.mark.parametrize("turn", [1, 2, 3])
def test_one_connection_serves_all_tests_of_a_host(host, liftlock_host, turn):
    CONNECTIONS.add((liftlock_host.name, host.check_output("echo $SSH_CONNECTION")))
    assert len([name for name, _ in CONNECTIONS if name == liftlock_host.name]) == 1

class TestMethods:
    def test_are_run_too(self, liftlock_host):
        assert liftlock_host.port

def test_may_be_skipped_beside_others():
    pytest.skip("not here")
"""

CONFTEST = """
import pytest
pytest_plugins = ["testinfra.plugin"]

@pytest.fixture
def conftest_speaks(host):
    return host.backend.hostname
"""


def test_suites_use_testinfra_over_one_connection_whatever_the_workspace_says_about_pytest(
    hosts, judge_with, suites, monkeypatch
):
    hostile = '[tool.pytest.ini_options]\naddopts = "--no-such-option -k nothing"\ntestpaths = ["nowhere"]\n'
    for folder in (suites, suites.parent, suites.parents[1]):
        (folder / "pyproject.toml").write_text(hostile)
    (suites.parents[1] / "pytest.ini").write_text("[pytest]\naddopts = -x --no-such-option\n")
    (suites.parent / "conftest.py").write_text("raise RuntimeError('not a conftest.py of the gates')")
    (suites / "conftest.py").write_text(CONFTEST)
    (suites / "gate_words.py").write_text("GREETING = 'ahoy'")
    monkeypatch.chdir(suites.parents[1])
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
    monkeypatch.setenv("LIFTLOCK_SMTP_PASSWORD", "secret")
    results = judge_with(hosts[:3], EVERYTHING_IS_OURS)
    assert {(result.verdict, result.reason, result.tests) for result in results.values()} == {(Verdict.PASSED, "", 5)}
    assert {path.name for path in suites.iterdir()} == {
        "pyproject.toml",
        "conftest.py",
        "gate_words.py",
        "test_gate_suite.py",
    }


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def test_x(:\n", "test_gate_suite.py: SyntaxError: invalid syntax"),
        ("import no_such_module", "test_gate_suite.py: ModuleNotFoundError: No module named 'no_such_module'"),
        ("import pytest\ndef test_x(): pytest.skip('no')", "all tests were skipped"),
        ("import pytest\n@pytest.mark.xfail\ndef test_x(): assert 0", "all tests were skipped"),
        ("def test_x(no_such_fixture): pass", "test_x: fixture 'no_such_fixture' not found"),
        ("import pytest\n@pytest.fixture\ndef f(): assert 0, 'no'\ndef test_x(f): pass", "test_x: AssertionError: no"),
        ("def test_x(): raise ValueError('what\\nnow')", "test_x: ValueError: what"),
        ("import os\ndef test_x(): os.kill(os.getpid(), 9)", "pytest was ended by signal 9"),
        ("import pytest\ndef test_x(): pytest.exit('enough')", "the run was interrupted"),
        (
            "import unittest\nclass T(unittest.TestCase):\n  def test_x(self): pass",
            "test_x: cannot be run for each host",
        ),
        ("", "the suite holds no test"),
        (None, "the suite holds no test"),
    ],
)
def test_what_could_not_be_measured_is_an_error_on_every_host(hosts, judge_with, source, reason):
    results = judge_with(hosts[:2], source, processes=1)
    assert {result.verdict for result in results.values()} == {Verdict.ERROR}
    assert {result.tests for result in results.values()} == {0}
    for result in results.values():
        assert result.reason.startswith(reason)


def test_a_broken_conftest_is_an_error_that_names_the_mistake(hosts, judge_with, suites):
    (suites / "conftest.py").write_text("import no_such_module")
    results = judge_with(hosts[:1], "def test_x(): pass")
    assert results["web-01"].verdict is Verdict.ERROR
    assert results["web-01"].reason.endswith("ModuleNotFoundError: No module named 'no_such_module'")


def test_a_missing_folder_is_an_error_and_no_hosts_are_no_trouble(hosts, gate_fleet, tmp_path):
    gates = PytestGates(tmp_path / "gates", gate_fleet.settings(), PRODUCT, RELEASE)
    [result] = gates.run(hosts[:1], lambda result: None)
    assert (result.verdict, result.reason) == (Verdict.ERROR, "there is no folder gates with gate suites")
    (tmp_path / "gates").mkdir()
    assert gates.run([], lambda result: None) == []


COLOURFUL = """
import sys

def test_colours(host):
    said = host.check_output(r"printf '\\033[31mdisk\\033[0m is\\007 \\033]0;owned\\007full\\nreally'")
    assert host.run("true").failed, said

def test_parts(host, subtests):
    for part in ("left", "right"):
        with subtests.test(part):
            print("\\033[2J")
            assert part == "left", f"the {part} part is wrong"
"""


def test_control_characters_of_a_host_reach_neither_reason_nor_log(hosts, judge_with, tmp_path):
    results = judge_with(hosts[:1], COLOURFUL, log_dir=tmp_path / "logs")
    assert results["web-01"].verdict is Verdict.FAILED
    assert results["web-01"].reason == "test_colours: disk is full (and 1 more)"
    [log] = (tmp_path / "logs").glob("gates-*.log")
    text = log.read_text()
    assert "the right part is wrong" in text
    assert all(line.isprintable() for line in text.split("\n"))
    assert log.stat().st_mode & 0o077 == 0


def test_each_of_many_hosts_gets_exactly_one_verdict_as_soon_as_it_falls(hosts, judge_with):
    many = [replace(hosts[number % 12], name=f"host-{number:02}") for number in range(2 * SLICE + 5)]
    told = []
    results = judge_with(
        many, "def test_x(host, liftlock_host): assert host.run('true').succeeded", told=told, processes=2
    )
    assert {result.verdict for result in results.values()} == {Verdict.PASSED}
    assert len(told) == len(many) == len(results)
    assert max(result.seconds for result in results.values()) > 0


CRASH = """
import os

def test_first(liftlock_host):
    assert liftlock_host.name != "web-02", "not this one"

def test_second(liftlock_host):
    if liftlock_host.name in ("web-02", "web-04"):
        os.kill(os.getpid(), 11)
"""


def test_a_crash_costs_its_slice_the_unfinished_hosts_and_nothing_that_was_known(hosts, judge_with):
    results = judge_with(hosts[:6], CRASH, processes=2)
    assert [result.verdict for result in results.values()] == [
        Verdict.PASSED,
        Verdict.FAILED,
        Verdict.ERROR,
        Verdict.ERROR,
        Verdict.ERROR,
        Verdict.ERROR,
    ]
    assert results["web-02"].reason == "test_first: not this one"
    assert results["web-03"].reason == "pytest was ended by signal 11"


SLEEPY = """
import os, pathlib, subprocess

def test_x(liftlock_host):
    if liftlock_host.name != "web-01":
        child = subprocess.Popen(["sleep", "600"])
        pathlib.Path(__file__).with_name("pids").write_text(f"{os.getpid()} {child.pid}\\n")
        child.wait()
"""


def test_a_timeout_ends_the_processes_and_keeps_the_verdicts_that_fell(hosts, judge_with, suites):
    results = judge_with(hosts[:3], SLEEPY, processes=1, timeout=timedelta(seconds=8))
    assert results["web-01"].verdict is Verdict.PASSED
    for name in ("web-02", "web-03"):
        assert (results[name].verdict, results[name].reason) == (Verdict.ERROR, "the tests took longer than 8 s")
    pids = (suites / "pids").read_text().split()
    assert [pid for pid in pids if is_running(int(pid))] == []


def test_told_to_stop_they_end_with_what_they_started_and_keep_the_verdicts_that_fell(hosts, judge_with, suites):
    stop, told = threading.Event(), []

    def stop_once_asleep():
        while not (suites / "pids").exists() or not (suites / "pids").read_text().endswith("\n"):
            time.sleep(0.05)
        stop.set()

    waiting = threading.Thread(target=stop_once_asleep)
    waiting.start()
    many = [hosts[0], *(replace(hosts[1], name=f"web-{number:02}") for number in range(2, 30))]
    results = judge_with(many, SLEEPY, told=told, processes=1, stop=stop)
    waiting.join()
    assert results["web-01"].verdict is Verdict.PASSED
    told_to_stop = (Verdict.ERROR, "told to stop before its tests were through")
    assert {(results[host.name].verdict, results[host.name].reason) for host in many[1:]} == {told_to_stop}
    pids = (suites / "pids").read_text().split()
    assert [pid for pid in pids if is_running(int(pid))] == []


def test_a_command_that_outlasts_its_time_is_an_error_and_ends_the_host_s_tests(hosts, judge_with):
    source = "def test_x(host): host.run('sleep 20', timeout=0.5)\ndef test_y(host): host.run('true')"
    results = judge_with(hosts[:1], source)
    assert results["web-01"].verdict is Verdict.ERROR
    assert results["web-01"].reason.startswith("test_x: deadline passed: ")
    assert results["web-01"].reason.endswith("(and 1 more)")


CONTROLLER = """
import sys
from pathlib import Path
from liftlock.adapters.gates import REQUEST, PytestGates

request = REQUEST.validate_json(Path(sys.argv[1]).read_bytes())
gates = PytestGates(Path(sys.argv[2]), request.ssh, request.product, request.release)
gates.run(request.hosts, lambda result: None)
"""


def test_ctrl_c_leaves_no_process_behind(hosts, suites, gate_fleet, tmp_path):
    (suites / "test_gate_suite.py").write_text(SLEEPY)
    request = tmp_path / "request.json"
    request.write_bytes(REQUEST.dump_json(GateRequest((hosts[1],), gate_fleet.settings(), PRODUCT, RELEASE)))
    command = [sys.executable, "-c", CONTROLLER, str(request), str(suites)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as controller:
        while not (suites / "pids").exists() or not (suites / "pids").read_text().endswith("\n"):
            assert controller.poll() is None
            time.sleep(0.05)
        controller.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in controller.communicate(timeout=30)[1]
    pids = (suites / "pids").read_text().split()
    assert [pid for pid in pids if is_running(int(pid))] == []


def test_an_exception_of_the_listener_ends_the_processes_too(hosts, suites, gate_fleet):
    (suites / "test_gate_suite.py").write_text(SLEEPY)

    def refuse(result):
        while not (suites / "pids").exists() or not (suites / "pids").read_text().endswith("\n"):
            time.sleep(0.05)
        raise OSError("the record is full")

    with pytest.raises(OSError, match="the record is full"):
        PytestGates(suites, gate_fleet.settings(), PRODUCT, RELEASE, processes=1).run(hosts[:2], refuse)
    pids = (suites / "pids").read_text().split()
    assert [pid for pid in pids if is_running(int(pid))] == []


def test_a_request_survives_its_file():
    host = Host("web-1", "north", "127.0.0.1", variables={"port": "80"})
    settings_of = {"key": "/keys/id", "known_hosts": "/keys/known_hosts", "connect_timeout": 3, "phase_timeout": 90}
    request = REQUEST.validate_python({"hosts": (host,), "ssh": settings_of, "product": PRODUCT, "release": RELEASE})
    assert REQUEST.validate_json(REQUEST.dump_json(request)) == request


def test_the_gates_that_stops_name_run_only_when_they_are_named(gate_fleet, suites, judge_with, hosts):
    settled = suites / SETTLED / "jobs"
    settled.mkdir(parents=True)
    (settled / "test_jobs.py").write_text("def test_no_job_runs(host):\n    assert False, '3 jobs still run'\n")
    host = hosts[0]
    ready = judge_with([host], "def test_ready(host):\n    assert host.run('true').rc == 0\n")
    assert (ready[host.name].verdict, ready[host.name].tests) == (Verdict.PASSED, 1)
    named = PytestGates(settled, gate_fleet.settings(), PRODUCT, RELEASE).run([host], lambda _result: None)
    assert [(result.verdict, result.reason) for result in named] == [
        (Verdict.FAILED, "test_no_job_runs: 3 jobs still run")
    ]


# ---- a controller without room


def test_suites_that_cannot_be_started_are_an_error_on_every_host(hosts, gate_fleet, suites, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(suites / "no such folder"))
    told = []
    results = PytestGates(suites, gate_fleet.settings(), PRODUCT, RELEASE).run(hosts[:2], told.append)
    assert results == told
    assert {(result.verdict, result.reason) for result in results} == {
        (Verdict.ERROR, "the suites could not be run: No such file or directory")
    }


def test_a_log_that_cannot_be_kept_takes_nothing_from_the_verdicts(hosts, gate_fleet, suites, tmp_path):
    (suites / "test_fine.py").write_text("def test_fine(host): assert True\n")
    (tmp_path / "logs").write_text("where the folder was to be")
    gates = PytestGates(suites, gate_fleet.settings(), PRODUCT, RELEASE, log_dir=tmp_path / "logs")
    assert [result.verdict for result in gates.run(hosts[:1], lambda _: None)] == [Verdict.PASSED]


@pytest.mark.parametrize(
    ("octets", "words"), [(0, "0 bytes"), (30_720, "30.7 kB"), (4_500_000, "4.5 MB"), (2e12, "2000.0 GB")]
)
def test_the_sample_suite_tells_space_in_a_unit_that_fits(octets: float, words: str) -> None:
    assert size(octets) == words
