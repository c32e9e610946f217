"""The host program, run by real shells against real directories, a real product and its real HTTP answers."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from liftlock.adapters import program
from liftlock.adapters.program import Answers, command

NONCE = "c0ffee" * 4
OLD, NEW = "1.5.0", "1.6.0"

SERVER = """
import http.server, json, sys, time
from pathlib import Path
version, mode = Path("VERSION").read_text(), Path("MODE").read_text()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = "9.9.9" if mode == "other" else version
        body = json.dumps({"store": {"version": "15"}, "note": 'a "version": "0"', "version": told}, indent=1).encode()
        self.send_response(500 if mode == "broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for byte in body if mode == "trickle" else ():
            self.wfile.write(bytes([byte]))
            time.sleep(0.2)
        if mode != "trickle":
            self.wfile.write(body)

    def log_message(self, *args):
        pass

while True:
    try:
        http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
    except OSError:
        time.sleep(0.02)
"""
RESTART = """
echo "starting $LIFTLOCK_VERSION instead of ${LIFTLOCK_PREVIOUS:-nothing}"
[ ! -f "$LIFTLOCK_BASE/pid" ] || kill "$(cat "$LIFTLOCK_BASE/pid")"
"$PYTHON" -S server.py "$PORT" &
echo $! >"$LIFTLOCK_BASE/pid"
"""


def release_files(version: str, mode: str = "well") -> dict[str, str]:
    return {"VERSION": version, "MODE": mode, "server.py": SERVER, "restart.sh": RESTART}


def archive(version: str, mode: str = "well", compression: str = "gz") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{compression}") as tar:
        for name, text in release_files(version, mode).items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid, member.gid = len(text.encode()), 0o666, 12345, 12345
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


class Box:
    """One host: a base directory, the shell and the tools it has, and the settings of a sound upgrade."""

    def __init__(self, base: Path, shell: list[str], path: str) -> None:
        self.base, self.shell, self.path = base, shell, path
        self.artifact = archive(NEW)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/health"
        self.settings = {
            "LL_NONCE": NONCE,
            "LL_BASE": str(base),
            "LL_FROM": OLD,
            "LL_TO": NEW,
            "LL_ARCHIVE": "boathouse.tar.gz",
            "LL_PLAN": "3f2a",
            "LL_ATTEMPT": "1",
            "LL_FENCE": "7",
            "LL_RESTART": "sh restart.sh",
            "LL_HEALTH_URL": self.url,
            "LL_HEALTH_TIMES": "2",
            "LL_HEALTH_INTERVAL": "0.05",
            "LL_HEALTH_DEADLINE": "5",
            "LL_PHASE_TIMEOUT": "30",
            "LL_ENV_PORT": str(self.port),
            "LL_ENV_PYTHON": sys.executable,
        }

    def start(self, phase: str, **changes: str) -> subprocess.Popen[bytes]:
        artifact = {"LL_SHA256": hashlib.sha256(self.artifact).hexdigest(), "LL_LENGTH": str(len(self.artifact))}
        text = shlex.split(command(phase, self.settings | artifact | changes))[2]
        return subprocess.Popen(
            [*self.shell, "-c", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": self.path, "LANG": "C.UTF-8"},
            cwd=self.base.parent,
            start_new_session=True,
        )

    def run(self, phase: str, upload: bytes | None = None, **changes: str) -> Answers:
        """Run a phase to its end, giving it the artifact (or `upload`) when it asks."""
        answers = Answers(NONCE)
        with self.start(phase, **changes) as process:
            watchdog = threading.Timer(60, process.kill)
            watchdog.start()
            while data := os.read(process.stdout.fileno(), 65536):
                answers.feed(data)
                if answers.wants is not None and not process.stdin.closed:
                    with contextlib.suppress(BrokenPipeError):
                        process.stdin.write(self.artifact if upload is None else upload)
                        process.stdin.close()
            watchdog.cancel()
        assert answers.complete, answers.noise
        assert answers.noise == []
        return answers

    def install(self, version: str, mode: str = "well") -> None:
        """Put a release on the host by hand, and start it."""
        release = self.base / "releases" / version
        release.mkdir(parents=True)
        for name, text in release_files(version, mode).items():
            (release / name).write_text(text)
        (self.base / "current").symlink_to(f"releases/{version}")
        environment = {"LIFTLOCK_BASE": str(self.base), "PORT": str(self.port), "PYTHON": sys.executable}
        subprocess.run(["sh", "restart.sh"], cwd=release, env=environment, check=True, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while self.answering() is None and time.monotonic() < deadline:
            time.sleep(0.01)

    def answering(self) -> bytes | None:
        """The product's answer to a health request, None when there is none."""
        try:
            with urllib.request.urlopen(self.url, timeout=5) as response:
                return response.read()
        except OSError:
            return None

    @property
    def pid(self) -> int:
        return int((self.base / "pid").read_text())

    @property
    def current(self) -> str:
        return str((self.base / "current").readlink())

    @property
    def journal(self) -> list[str]:
        return (self.base / ".liftlock" / "journal").read_text().splitlines()

    def contents(self) -> dict[str, str]:
        """Every path of the base without our own, with the file's text or the link's target."""
        return {
            str(path.relative_to(self.base)): str(path.readlink())
            if path.is_symlink()
            else path.read_text()
            if path.is_file()
            else ""
            for path in sorted(self.base.rglob("*"))
            if ".liftlock" not in path.parts
        }

    def stop(self) -> None:
        if (self.base / "pid").exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def links_to(folder: Path, tools: Iterable[Path]) -> str:
    """A folder of links to these tools, to be a PATH; of two with one name the first."""
    folder.mkdir()
    for tool in tools:
        if not (folder / tool.name).is_symlink():
            (folder / tool.name).symlink_to(tool)
    return str(folder)


def all_but(path: str, *missing: str) -> list[Path]:
    """Every tool of a PATH but some."""
    folders = [Path(folder) for folder in path.split(":") if Path(folder).is_dir()]
    return [tool for folder in folders for tool in sorted(folder.iterdir()) if tool.name not in missing]


SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]


def test_dash_is_among_the_shells_of_these_tests():
    assert "dash" in SHELLS


@pytest.fixture(params=SHELLS)
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    """A host that runs the old release; with busybox, all its tools are busybox's where it has them."""
    shell, path = [request.param], os.environ["PATH"]
    if request.param == "bash":
        shell = ["bash", "--posix"]
    if request.param == "busybox":
        applets = tmp_path / "applets"
        applets.mkdir()
        subprocess.run(["busybox", "--install", "-s", applets], check=True)
        path = links_to(tmp_path / "tools", [*applets.iterdir(), Path(shutil.which("flock")), Path(sys.executable)])
        shell = [shutil.which("busybox"), "ash"]
    base = tmp_path / "boat house"
    base.mkdir()
    box = Box(base, shell, path)
    box.install(OLD)
    yield box
    box.stop()


def test_an_upgrade_ends_with_the_new_version_current_and_answering(box: Box):
    answers = box.run("upgrade")
    assert answers.values["result"] == "switched", answers.log
    assert answers.values["version"] == NEW
    assert answers.values["cause"] == ""
    assert answers.wants == len(box.artifact)
    assert box.current == f"releases/{NEW}"
    assert f'"version": "{NEW}"' in box.answering().decode()
    assert box.journal == ["3f2a 1 upgrade begin", "3f2a 1 upgrade switched"]
    assert "starting 1.6.0 instead of 1.5.0" in answers.log
    assert sorted(path.name for path in (box.base / "releases").iterdir()) == [OLD, NEW]
    assert (box.base / ".liftlock").stat().st_mode & 0o777 == 0o700
    assert list((box.base / ".liftlock" / "incoming").iterdir()) == []
    unpacked = (box.base / "releases" / NEW / "VERSION").stat()
    assert (unpacked.st_mode & 0o777, unpacked.st_uid) == (0o644, os.getuid())
    assert (box.base / "releases" / NEW).stat().st_mode & 0o777 == 0o755


def test_the_commands_run_in_order_where_they_belong_with_the_products_environment(box: Box):
    tell = 'echo "$(basename "$(pwd -P)") $LIFTLOCK_PREVIOUS-$LIFTLOCK_VERSION $MOTTO" >>"$LIFTLOCK_BASE/told"; '
    commands = {
        "LL_BACKUP": f"{tell}echo backup >>../../told",
        "LL_BEFORE": f"{tell}echo before >>../../told",
        "LL_RESTART": f"{tell}sh restart.sh",
        "LL_AFTER": f"{tell}[ -z \"$(cat)\" ] && ! env | grep '^LL_'",
        "LL_ENV_MOTTO": 'it\'s $HOME; `id` "x"',
    }
    answers = box.run("upgrade", **commands)
    assert answers.values["result"] == "switched", answers.log
    motto = '1.5.0-1.6.0 it\'s $HOME; `id` "x"'
    assert (box.base / "told").read_text().splitlines() == [
        f"{OLD} {motto}", "backup", f"{NEW} {motto}", "before", f"{NEW} {motto}", f"{NEW} {motto}",
    ]  # fmt: skip


def test_what_was_staged_before_is_switched_without_an_upload(box: Box):
    staged = box.run("stage")
    assert (staged.values["result"], staged.wants) == ("staged", len(box.artifact))
    assert box.current == f"releases/{OLD}"
    again = box.run("stage")
    assert (again.values["have"], again.wants) == ("1", None)
    switched = box.run("switch")
    assert (switched.values["result"], switched.wants) == ("switched", None)
    assert box.run("upgrade").values["result"] == "already_current"


def test_an_upload_that_is_there_is_used_and_a_half_made_release_is_replaced(box: Box):
    box.run("stage")
    (box.base / ".liftlock" / "staged" / NEW).unlink()
    (box.base / "releases" / NEW / "server.py").unlink()
    (box.base / "releases" / NEW / "remains").touch()
    (box.base / "releases" / ".unpack.crashed").mkdir()
    answers = box.run("upgrade")
    assert (answers.values["have"], answers.values["result"]) == ("1", "switched")
    assert sorted(path.name for path in (box.base / "releases" / NEW).iterdir()) == sorted(release_files(NEW))
    assert not (box.base / "releases" / ".unpack.crashed").exists()


@pytest.mark.parametrize(("compression", "ending"), [("", "tar"), ("gz", "tgz"), ("xz", "tar.xz")])
def test_archives_are_unpacked_by_their_name(box: Box, compression: str, ending: str):
    box.artifact = archive(NEW, compression=compression)
    assert box.run("stage", LL_ARCHIVE=f"boathouse.{ending}").values["result"] == "staged"
    assert (box.base / "releases" / NEW / "VERSION").read_text() == NEW


@pytest.mark.parametrize(
    ("mode", "cause"),
    [
        ("broken", "health: HTTP 500"),
        ("other", "health: version 9.9.9 answered, expected 1.6.0"),
        ("trickle", "health: no answer"),
    ],
)
def test_a_release_that_is_not_well_is_rolled_back_and_the_old_one_answers(box: Box, mode: str, cause: str):
    box.artifact = archive(NEW, mode)
    answers = box.run("upgrade", LL_HEALTH_DEADLINE="2")
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", cause), answers.log
    assert answers.values["version"] == OLD
    assert box.current == f"releases/{OLD}"
    assert OLD in box.answering().decode()
    assert box.journal[-1] == "3f2a 1 upgrade rolled_back"
    assert "starting 1.5.0 instead of 1.6.0" in answers.log


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"LL_BACKUP": "echo no space >&2; exit 2"}, "backup: exit 2"),
        ({"LL_BEFORE": "false"}, "before_switch: exit 1"),
        ({"LL_RESTART": "exit 3"}, "restart: exit 3"),
        ({"LL_RESTART": "sleep 50", "LL_PHASE_TIMEOUT": "1"}, "restart: timed out"),
    ],
)
def test_a_failing_command_is_rolled_back_without_disturbing_the_old_version(
    box: Box, changes: dict[str, str], cause: str
):
    box.run("stage")
    before = box.pid
    answers = box.run("switch", **changes)
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", cause), answers.log
    assert (box.current, box.pid, answers.values["version"]) == (f"releases/{OLD}", before, OLD)
    assert OLD in box.answering().decode()
    assert "no space" in answers.log or "BACKUP" not in str(changes)
    assert cause in answers.values["detail"]


def test_a_failing_after_switch_hook_is_rolled_back_with_a_restart(box: Box):
    answers = box.run("upgrade", LL_AFTER="exit 4")
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", "after_switch: exit 4")
    assert box.current == f"releases/{OLD}"
    assert OLD in box.answering().decode()


def test_when_the_old_version_does_not_come_back_the_host_needs_a_person(box: Box):
    (box.base / "releases" / OLD / "MODE").write_text("broken")
    answers = box.run("upgrade", LL_AFTER="exit 4", LL_HEALTH_DEADLINE="1")
    assert (answers.values["result"], answers.values["cause"]) == ("failed", "after_switch: exit 4")
    assert answers.values["detail"].startswith("the way back: health: HTTP 500")
    assert answers.values["version"] == OLD
    assert box.current == f"releases/{OLD}"
    assert box.journal[-1] == "3f2a 1 upgrade failed"


def make_current_a_directory(box: Box) -> None:
    (box.base / "current").unlink()
    (box.base / "current").mkdir()


def point_current_at(target: str):
    def point(box: Box) -> None:
        (box.base / "current").unlink()
        (box.base / "current").symlink_to(target)

    return point


def forget_the_base(box: Box) -> None:
    box.settings["LL_BASE"] += "/nowhere"


def know_a_newer_controller(box: Box) -> None:
    assert box.run("stage", LL_FENCE="8").values["result"] == "staged"


def spoil_the_archive(box: Box) -> None:
    box.artifact = box.artifact[:-40] + bytes(40)


def no_change(box: Box) -> None:
    pass


@pytest.mark.parametrize(
    ("prepare", "changes", "cause"),
    [
        (no_change, {"LL_SHA256": "0" * 64}, "sha256 does not match"),
        (no_change, {"LL_FROM": "1.4.0"}, "another version is installed"),
        (no_change, {"LL_LENGTH": "9" * 15}, "not enough space"),
        (no_change, {"LL_ARCHIVE": "boathouse.zip"}, "unknown archive type"),
        (no_change, {"LL_BASE": "relative"}, "bad setting"),
        (no_change, {"LL_HEALTH_URL": ""}, "bad setting"),
        (spoil_the_archive, {}, "unpack failed"),
        (know_a_newer_controller, {}, "stale fence"),
        (forget_the_base, {}, "base missing"),
        (make_current_a_directory, {}, "current is not a link"),
        (point_current_at("releases/1.4.0"), {}, "current is dangling"),
        (point_current_at("/etc"), {}, "current points outside releases"),
        (point_current_at("releases/../../x"), {}, "current points outside releases"),
    ],
)
def test_an_upgrade_that_cannot_be_right_is_refused_with_nothing_changed(box: Box, prepare, changes, cause):
    prepare(box)
    before = box.contents()
    answers = box.run("upgrade", **changes)
    assert (answers.values["result"], answers.values["cause"]) == ("refused", cause), answers.values
    assert {path: text for path, text in box.contents().items() if path != "releases"} == {
        path: text for path, text in before.items() if path != "releases"
    }
    assert OLD in box.answering().decode()
    assert list((box.base / ".liftlock" / "incoming").glob(".part.*")) == []


def test_an_upload_that_ends_early_leaves_nothing_behind(box: Box):
    before = box.contents()
    answers = box.run("upgrade", upload=box.artifact[:-1])
    assert (answers.values["result"], answers.values["cause"]) == ("refused", "upload incomplete")
    assert answers.values["detail"] == f"{len(box.artifact) - 1} of {len(box.artifact)} bytes"
    assert box.contents() == before
    assert list((box.base / ".liftlock" / "incoming").iterdir()) == []


def test_an_upload_that_never_comes_is_given_up(box: Box):
    with box.start("upgrade", LL_PHASE_TIMEOUT="1") as process:
        answers = Answers(NONCE)
        while data := os.read(process.stdout.fileno(), 65536):
            answers.feed(data)
    assert answers.values["cause"] == "upload incomplete"


def test_only_what_was_staged_is_switched_to(box: Box):
    assert box.run("switch").values["cause"] == "not staged"
    box.run("stage")
    assert box.run("switch", LL_SHA256="0" * 64).values["cause"] == "not staged"
    assert box.current == f"releases/{OLD}"


def test_a_host_on_the_wanted_version_that_is_not_well_is_refused_and_not_touched(box: Box):
    os.kill(box.pid, signal.SIGKILL)
    before = box.contents()
    answers = box.run("upgrade", LL_TO=OLD, LL_HEALTH_DEADLINE="1")
    assert (answers.values["result"], answers.values["cause"]) == ("refused", "installed but not healthy")
    assert (answers.values["detail"], answers.values["version"]) == ("health: no answer", "")
    assert box.run("stage", LL_TO=OLD).values["cause"] == "the release is current"
    assert box.contents() == before


def test_while_one_phase_runs_another_is_refused_and_a_probe_says_so(box: Box):
    box.run("stage")
    assert box.run("probe").values["busy"] == "0"
    with subprocess.Popen(["flock", "-o", box.base / ".liftlock" / "lock", "cat"], stdin=subprocess.PIPE) as holder:
        while box.run("probe").values["busy"] != "1":
            assert holder.poll() is None
        answers = box.run("upgrade", LL_FROM="1.4.0")
        holder.stdin.close()
    assert (answers.values["result"], answers.values["cause"]) == ("refused", "busy")
    assert answers.values["detail"].startswith("3f2a 1 stage 20")
    assert box.current == f"releases/{OLD}"


def test_a_probe_tells_what_is_there_and_changes_nothing(box: Box):
    before = box.contents()
    values = box.run("probe").values
    assert (values["installed"], values["running"], values["healthy"]) == (OLD, OLD, "1")
    assert (values["busy"], values["journal"], values["missing_tools"], values["cause"]) == ("0", "", "", "")
    assert int(values["free_bytes"]) > 0
    assert values["free_inodes"].isdecimal() or values["free_inodes"] == ""
    assert box.contents() == before
    assert not (box.base / ".liftlock").exists()


def test_a_probe_names_what_is_wrong(box: Box):
    os.kill(box.pid, signal.SIGKILL)
    values = box.run("probe").values
    assert (values["installed"], values["healthy"], values["running"]) == (OLD, "0", "")
    assert values["cause"] == "health: no answer"
    point_current_at("releases/gone")(box)
    assert box.run("probe").values["cause"] == "current is dangling"
    make_current_a_directory(box)
    assert box.run("probe").values["cause"] == "current is not a link"
    forget_the_base(box)
    values = box.run("probe").values
    assert (values["cause"], values["installed"], int(values["free_bytes"]) > 0) == ("base missing", "", True)


def test_a_probe_shows_the_last_phase_and_its_end(box: Box):
    box.run("upgrade", LL_AFTER="false")
    with (box.base / ".liftlock" / "journal").open("a") as journal:
        journal.write("cut off by a cra")
    assert box.run("probe").values["journal"] == "cut off by a cra"
    box.run("upgrade")
    assert box.journal[2:] == ["cut off by a cra", "3f2a 1 upgrade begin", "3f2a 1 upgrade switched"]
    assert box.run("probe").values["journal"] == "3f2a 1 upgrade switched"


def test_a_missing_tool_is_named_before_anything_is_touched(box: Box, tmp_path: Path):
    box.path = links_to(tmp_path / "few", all_but(box.path, "flock", "curl", "wget", "python3"))
    assert box.run("probe").values["missing_tools"] == "flock curl"
    answers = box.run("upgrade")
    assert (answers.values["cause"], answers.values["detail"]) == ("missing tools", "flock curl")
    assert not (box.base / ".liftlock").exists()


@pytest.mark.parametrize("missing", [["curl"], ["curl", "wget"]])
def test_health_is_asked_with_whatever_the_host_has(box: Box, tmp_path: Path, missing: list[str]):
    box.path = links_to(tmp_path / "few", all_but(box.path, *missing))
    assert box.run("probe").values["running"] == OLD
    box.artifact = archive(NEW, "trickle")
    assert box.run("upgrade", LL_HEALTH_DEADLINE="2").values["cause"] == "health: no answer"
    box.artifact = archive(NEW, "broken")
    assert box.run("upgrade", LL_HEALTH_DEADLINE="2").values["cause"] == "health: HTTP 500"
    box.artifact = archive(NEW)
    assert box.run("upgrade").values["result"] == "switched"


def test_health_can_be_a_command_whose_last_line_is_the_version(box: Box):
    by_command = {"LL_HEALTH_URL": "", "LL_HEALTH_DEADLINE": "1"}
    says = "echo looking; cat VERSION; echo; echo"
    assert box.run("probe", **by_command, LL_HEALTH_COMMAND=says).values["running"] == OLD
    well_when_old = "cat VERSION; ! grep -q 1.6 VERSION || exit 5"
    answers = box.run("upgrade", **by_command, LL_HEALTH_COMMAND=well_when_old)
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", "health: exit 5")
    endless = "cat VERSION; ! grep -q 1.6 VERSION || yes"
    answers = box.run("upgrade", **by_command, LL_HEALTH_COMMAND=endless)
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", "health: answer too long")
    assert box.run("upgrade", **by_command, LL_HEALTH_COMMAND=says).values["result"] == "switched"


def test_roll_back_makes_the_old_release_current_and_verifies_it(box: Box):
    box.run("upgrade")
    back = {"LL_FROM": NEW, "LL_TO": OLD, "LL_SHA256": "", "LL_LENGTH": "", "LL_ATTEMPT": "2"}
    answers = box.run("roll_back", **back)
    assert (answers.values["result"], answers.values["version"]) == ("switched", OLD)
    assert box.current == f"releases/{OLD}"
    assert OLD in box.answering().decode()
    assert box.journal[-2:] == ["3f2a 2 roll_back begin", "3f2a 2 roll_back switched"]
    before = box.pid
    assert box.run("roll_back", **back).values["result"] == "switched"
    assert box.pid == before


def test_roll_back_refuses_what_is_not_there_and_never_goes_forward_again(box: Box):
    box.run("upgrade")
    gone = box.run("roll_back", LL_FROM=NEW, LL_TO="1.4.0")
    assert (gone.values["result"], gone.values["cause"]) == ("refused", "the release is not on the host")
    assert box.run("roll_back", LL_FROM="1.7.0", LL_TO=OLD).values["cause"] == "another version is installed"
    (box.base / "releases" / OLD / "MODE").write_text("broken")
    answers = box.run("roll_back", LL_FROM=NEW, LL_TO=OLD, LL_HEALTH_DEADLINE="1")
    assert (answers.values["result"], answers.values["cause"]) == ("failed", "health: HTTP 500")
    assert box.current == f"releases/{OLD}"
    assert box.journal[-1] == "3f2a 1 roll_back failed"


def test_roll_back_repairs_a_dangling_current(box: Box):
    point_current_at("releases/gone")(box)
    assert box.run("roll_back", LL_FROM="", LL_TO=OLD).values["result"] == "switched"
    assert box.current == f"releases/{OLD}"


def test_a_first_install_needs_nothing_but_the_base(box: Box):
    box.stop()
    shutil.rmtree(box.base)
    box.base.mkdir()
    answers = box.run("upgrade", LL_FROM="", LL_BACKUP="false")
    assert (answers.values["result"], answers.values["version"]) == ("switched", NEW), answers.log
    assert box.current == f"releases/{NEW}"


def test_a_first_install_that_fails_leaves_nothing_current(box: Box):
    box.stop()
    shutil.rmtree(box.base)
    box.base.mkdir()
    box.artifact = archive(NEW, "broken")
    answers = box.run("upgrade", LL_FROM="", LL_HEALTH_DEADLINE="2")
    assert (answers.values["result"], answers.values["cause"]) == ("failed", "health: HTTP 500")
    assert not (box.base / "current").is_symlink()
    assert box.run("probe").values["installed"] == ""


def test_the_program_completes_when_the_controller_is_gone(box: Box):
    waits = f'while [ ! -e "{box.base}/gone" ]; do sleep 0.05; done; sh restart.sh'
    process = box.start("upgrade", LL_RESTART=waits)
    answers = Answers(NONCE)
    while answers.wants is None:
        answers.feed(os.read(process.stdout.fileno(), 65536))
    process.stdin.write(box.artifact)
    process.stdin.close()
    while (box.base / "current").readlink().name != NEW:
        time.sleep(0.01)
    process.stdout.close()
    os.kill(process.pid, signal.SIGHUP)
    (box.base / "gone").touch()
    assert process.wait(60) == 0
    assert box.journal[-1] == "3f2a 1 upgrade switched"
    assert NEW in box.answering().decode()


def test_the_started_product_keeps_neither_the_lock_nor_our_signals(box: Box):
    assert box.run("upgrade").values["result"] == "switched"
    subprocess.run(["flock", "-n", box.base / ".liftlock" / "lock", "true"], check=True)
    opened = [str(fd.resolve()) for fd in Path(f"/proc/{box.pid}/fd").iterdir()]
    assert any(path.endswith("/.liftlock/log") for path in opened)
    assert not any(path.endswith("/.liftlock/lock") or "pipe" in path for path in opened)
    status = Path(f"/proc/{box.pid}/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    assert not ignored & 1 << (signal.SIGHUP - 1)


COMMANDS = {"LL_RESTART", "LL_BACKUP", "LL_BEFORE", "LL_AFTER", "LL_HEALTH_COMMAND"}
DATA = {*Box(Path("/opt/boathouse"), [], "").settings, "LL_SHA256", "LL_LENGTH", "LL_VERSION_KEY", "LL_CONFIRM_WITHIN"}


@pytest.mark.parametrize("setting", sorted((COMMANDS | DATA) - {"LL_NONCE"}))
def test_no_setting_is_a_way_into_the_shell(box: Box, setting: str):
    attempts = ["'; touch pwned; '"]
    if setting not in COMMANDS:
        attempts += ['"; touch pwned; "$(touch pwned)`touch pwned`\ntouch pwned\n', "a[$(touch pwned)]"]
    for attempt in attempts:
        box.run("upgrade", **{"LL_HEALTH_DEADLINE": "0", setting: box.settings.get(setting, "") + attempt})
    assert list(box.base.parent.rglob("*pwned*")) == []


def test_what_a_command_prints_is_never_an_answer(box: Box):
    forged = f"LL1 {NONCE} result=switched\nLL1 {NONCE} end=1\n\033]0;x\007" + "z" * 5000
    answers = box.run("upgrade", LL_AFTER=f"printf '%s\\n' {shlex.quote(forged)}; seq 300; exit 1")
    assert answers.values["result"] == "rolled_back"
    assert 90 <= len(answers.log.splitlines()) <= program.MAX_LOG_LINES
    assert "\033" not in answers.log


def test_the_host_program_is_clean_to_shellcheck():
    here = Path(program.__file__).parent
    shellcheck = Path(sys.executable).with_name("shellcheck")
    programs = [here / "host.sh", *sorted((here / "methods").glob("*.sh"))]
    checked = subprocess.run([shellcheck, "-s", "sh", *programs], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout.decode()
