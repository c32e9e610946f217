"""A host of its own for each test: a directory, a real product that answers HTTP, a shell and its tools."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
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
        self.noisy = False  # shells complain in their own words when the disk is full
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
        words = shlex.split(command(phase, self.settings | artifact | changes))
        return subprocess.Popen(
            [*self.shell, *words[1:]],
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
        assert self.noisy or set(answers.noise) <= {"Terminated"}  # busybox says so of what its timeout ends
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
        except (OSError, http.client.HTTPException):  # it may be ended while it answers
            return None

    def point_current_at(self, target: str) -> None:
        (self.base / "current").unlink()
        (self.base / "current").symlink_to(target)

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


SHELLS = [name for name in ("dash", "busybox") if shutil.which(name)]


@contextlib.contextmanager
def running_box(shell: str, folder: Path) -> Iterator[Box]:
    """A host that runs the old release; with busybox, all its tools are busybox's where it has them."""
    words, path = [shell], os.environ["PATH"]
    if shell == "bash":
        words = ["bash", "--posix"]
    if shell == "busybox":
        applets = folder / "applets"
        applets.mkdir()
        subprocess.run(["busybox", "--install", "-s", applets], check=True)
        path = links_to(folder / "tools", [*applets.iterdir(), Path(shutil.which("flock")), Path(sys.executable)])
        words = [shutil.which("busybox"), "ash"]
    base = folder / "boat house"
    base.mkdir()
    box = Box(base, words, path)
    try:
        box.install(OLD)
        yield box
    finally:
        box.stop()
