"""How a host is asked whether it is well: the status, a text, a port, and answers that come slowly or by turns."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.host_box import NEW, OLD, SHELLS, Box, all_but, links_to, running_box


@pytest.fixture(params=SHELLS)
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    with running_box(request.param, tmp_path) as box:
        yield box


@contextlib.contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A port that treats each connection in its own way; yields host:port."""
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as opened:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = opened.enter_context(listening.accept()[0])
                    threading.Thread(target=lambda it=connection: serve(it), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join()


def say_nothing(connection: socket.socket) -> None:
    pass


def trickle(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.recv(4096)
        for byte in b"HTTP/1.0 200 OK\r\n\r\n" + b" " * 60:
            connection.sendall(bytes([byte]))
            time.sleep(1)


@pytest.mark.parametrize("serve", [say_nothing, trickle])
@pytest.mark.parametrize("missing", [[], ["curl"], ["curl", "wget"]])
def test_an_answer_that_never_ends_is_none_at_the_deadline(box: Box, tmp_path: Path, serve, missing: list[str]):
    box.path = links_to(tmp_path / "few", all_but(box.path, *missing))
    box.run("stage")
    with server(serve) as place:
        answers = box.run(
            "switch", LL_HEALTH_DEADLINE="2", LL_HEALTH_URL=f"http://{place}/", LL_HEALTH_TIMES="1", LL_RESTART=""
        )
    assert answers.values["cause"] == "health: no answer"
    assert answers.values["detail"].startswith("the way back: health: no answer")
    assert box.current == f"releases/{OLD}"


CONNECTING = ["python3", "nc", "bash", "curl"]
WAYS_TO_CONNECT = [tool for tool in CONNECTING if shutil.which(tool)]


def connects_by(box: Box, way: str, folder: Path) -> str:
    """A PATH whose only tool for connecting is this one."""
    others = [tool for tool in CONNECTING if tool != way]
    path = links_to(folder, [*all_but(box.path, *others), *all_but(os.environ["PATH"], *others)])
    if way == "python3":  # the system's may be a script that needs bash
        (folder / way).unlink()
        (folder / way).symlink_to(sys.executable)
    return path


@pytest.mark.parametrize("way", WAYS_TO_CONNECT)
def test_a_port_must_accept_connections_besides(box: Box, tmp_path: Path, way: str):
    box.path = connects_by(box, way, tmp_path / "few")
    with server(say_nothing) as place:
        assert box.run("probe", LL_HEALTH_TCP=place).values["healthy"] == "1"
    closed = box.run("probe", LL_HEALTH_TCP=place).values
    assert (closed["healthy"], closed["running"]) == ("0", OLD)
    assert closed["cause"] == f"health: {place} accepts no connection"


@pytest.mark.parametrize("way", WAYS_TO_CONNECT)
def test_a_port_that_keeps_idle_connections_open_takes_no_time_from_the_deadline(box: Box, tmp_path: Path, way: str):
    box.path = connects_by(box, way, tmp_path / "few")
    with server(say_nothing) as place:
        answers = box.run("upgrade", LL_HEALTH_TCP=place, LL_HEALTH_TIMES="4", LL_HEALTH_DEADLINE="8")
    assert (answers.values["result"], answers.values["cause"]) == ("switched", "")


def test_a_text_must_appear_in_the_answer(box: Box):
    assert box.run("probe", LL_HEALTH_BODY='"store": {').values["healthy"] == "1"
    values = box.run("probe", LL_HEALTH_BODY='"queue": "up \\d"').values
    assert (values["healthy"], values["cause"]) == ("0", "health: the expected text is missing")
    by_command = {"LL_HEALTH_URL": "", "LL_HEALTH_COMMAND": "echo ready; cat VERSION"}
    assert box.run("probe", **by_command, LL_HEALTH_BODY="ready").values["healthy"] == "1"
    assert box.run("probe", **by_command, LL_HEALTH_BODY="steady").values["healthy"] == "0"


def test_another_status_may_be_the_healthy_one(box: Box):
    assert box.run("probe", LL_HEALTH_STATUS="204").values["cause"] == "health: HTTP 200"
    assert box.run("upgrade", LL_HEALTH_STATUS="20x").values["cause"] == "bad setting"


def test_answers_well_and_bad_by_turns_are_not_steady(box: Box):
    by_turns = (
        "cat VERSION; case $LIFTLOCK_VERSION in 1.5*) exit 0 ;; esac; "
        "n=$(cat ../../n || echo 0); echo $((n + 1)) >../../n; exit $((n % 2))"
    )
    changes = {"LL_HEALTH_URL": "", "LL_HEALTH_COMMAND": by_turns, "LL_HEALTH_DEADLINE": "2"}
    answers = box.run("upgrade", **changes)
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", "health: not steady")
    assert "== health: well" in answers.log


def test_what_was_well_once_and_then_died_is_told_as_dead(box: Box):
    dies = (
        "cat VERSION; case $LIFTLOCK_VERSION in 1.5*) exit 0 ;; esac; [ ! -e ../../died ] || exit 7; touch ../../died"
    )
    changes = {"LL_HEALTH_URL": "", "LL_HEALTH_COMMAND": dies, "LL_HEALTH_DEADLINE": "1"}
    assert box.run("upgrade", **changes).values["cause"] == "health: exit 7"


def test_the_same_bad_answer_stands_once_in_the_log_with_its_count(box: Box):
    slow = (
        "case $LIFTLOCK_VERSION in 1.6*) (sleep 2; sh restart.sh) & ;; *) sh restart.sh ;; esac; "
        'kill "$(cat ../../pid)"'
    )
    answers = box.run("upgrade", LL_RESTART=slow)
    assert answers.values["result"] == "switched", answers.log
    lines = [line for line in answers.log.splitlines() if "no answer" in line]
    assert len(lines) == 1
    assert lines[0].endswith(" times)")
    assert box.current == f"releases/{NEW}"
