"""Backups on a host: made and tried before a switch, restored on the way back from what is not reversible."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.host_box import NEW, OLD, SHELLS, Box, archive, running_box

LATER = "1.7.0"
TELL = (
    'echo "{} $(basename "$(pwd -P)") $LIFTLOCK_PREVIOUS-$LIFTLOCK_VERSION $LIFTLOCK_BACKUP" >>"$LIFTLOCK_BASE/told"; '
)
IRREVERSIBLE = {
    "LL_IRREVERSIBLE": "1",
    "LL_BACKUP": TELL.format("backup") + 'cp "$LIFTLOCK_BASE/data" "$LIFTLOCK_BASE/data-$LIFTLOCK_BACKUP"',
    "LL_VERIFY_BACKUP": TELL.format("verify") + 'cmp "$LIFTLOCK_BASE/data" "$LIFTLOCK_BASE/data-$LIFTLOCK_BACKUP"',
    "LL_RESTORE": TELL.format("restore") + 'cp "$LIFTLOCK_BASE/data-$LIFTLOCK_BACKUP" "$LIFTLOCK_BASE/data"',
    "LL_RESTART": TELL.format("restart") + 'sh restart.sh; echo "of $LIFTLOCK_VERSION" >>"$LIFTLOCK_BASE/data"',
}
TO_OLD = {"LL_FROM": "", "LL_TO": OLD}


@pytest.fixture(params=SHELLS)
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    with running_box(request.param, tmp_path) as box:
        (box.base / "data").write_text("first\n")
        box.settings |= IRREVERSIBLE
        yield box


def told(box: Box) -> list[str]:
    return (box.base / "told").read_text().splitlines()


def data(box: Box) -> list[str]:
    return (box.base / "data").read_text().splitlines()


def test_what_cannot_be_reversed_goes_back_with_the_data_that_the_old_version_knows(box: Box):
    answers = box.run("upgrade", LL_AFTER="exit 9")
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", "after_switch: exit 9")
    assert told(box) == [
        f"backup {OLD} {OLD}-{NEW} {OLD}",
        f"verify {OLD} {OLD}-{NEW} {OLD}",
        f"restart {NEW} {OLD}-{NEW} {OLD}",
        f"restore {OLD} {NEW}-{OLD} {OLD}",
        f"restart {OLD} {NEW}-{OLD} {OLD}",
    ]
    assert data(box) == ["first", f"of {OLD}"]
    assert list((box.base / ".liftlock" / "irreversible").iterdir()) == []
    assert box.run("probe").values["healthy"] == "1"


def test_a_backup_that_cannot_be_restored_stops_the_switch(box: Box):
    before = box.pid
    answers = box.run("upgrade", LL_VERIFY_BACKUP="echo it is empty; exit 4")
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", "verify_backup: exit 4")
    assert "it is empty" in answers.values["detail"]
    assert (box.current, box.pid, data(box)) == (f"releases/{OLD}", before, ["first"])


def test_a_reversible_release_goes_back_with_the_data_of_today(box: Box):
    answers = box.run("upgrade", LL_IRREVERSIBLE="", LL_AFTER="exit 9")
    assert answers.values["result"] == "rolled_back"
    assert data(box) == ["first", f"of {NEW}", f"of {OLD}"]


def test_a_hook_before_the_switch_may_have_changed_data_too(box: Box):
    answers = box.run("upgrade", LL_BEFORE='echo half >>"$LIFTLOCK_BASE/data"; exit 3')
    assert (answers.values["result"], answers.values["cause"]) == ("rolled_back", "before_switch: exit 3")
    assert data(box) == ["first", f"of {OLD}"]


def test_a_restore_that_fails_needs_a_person_and_can_be_repeated(box: Box):
    answers = box.run("upgrade", LL_AFTER="exit 9", LL_RESTORE="echo tape missing; exit 5")
    assert (answers.values["result"], answers.values["cause"]) == ("failed", "after_switch: exit 9")
    assert answers.values["detail"].startswith("the way back: restore: exit 5")
    values = box.run("probe").values
    assert (values["installed"], values["healthy"], values["cause"]) == (OLD, "0", "restore is pending")
    assert values["detail"] == f"the backup of {OLD}"
    assert box.run("upgrade", LL_ATTEMPT="2").values["cause"] == "restore is pending"
    again = box.run("roll_back", **TO_OLD, LL_RESTORE="exit 6")
    assert (again.values["result"], again.values["cause"]) == ("failed", "restore: exit 6")
    none = box.run("roll_back", **TO_OLD, LL_RESTORE="")
    assert none.values["cause"] == "restore: the product has no such command"
    assert box.run("roll_back", **TO_OLD).values["result"] == "switched"
    assert data(box) == ["first", f"of {OLD}"]
    assert box.run("probe").values["cause"] == ""


def test_the_way_back_over_several_releases_restores_the_backup_of_the_one_below(box: Box):
    box.run("upgrade")
    box.artifact = archive(LATER)
    assert box.run("upgrade", LL_FROM=NEW, LL_TO=LATER, LL_IRREVERSIBLE="").values["result"] == "switched"
    assert box.run("roll_back", LL_FROM=LATER, LL_TO=NEW).values["result"] == "switched"
    assert data(box) == ["first", f"of {NEW}", f"of {LATER}", f"of {NEW}"]
    box.run("upgrade", LL_FROM=NEW, LL_TO=LATER)
    assert box.run("roll_back", LL_FROM=LATER, LL_TO=OLD).values["result"] == "switched"
    assert told(box)[-2:] == [f"restore {OLD} {LATER}-{OLD} {OLD}", f"restart {OLD} {LATER}-{OLD} {OLD}"]
    assert data(box) == ["first", f"of {OLD}"]
    assert list((box.base / ".liftlock" / "irreversible").iterdir()) == []


def test_an_upgrade_to_something_below_an_irreversible_release_is_refused(box: Box):
    box.run("upgrade")
    answers = box.run("switch", LL_FROM=NEW, LL_TO=OLD)
    assert answers.values["cause"] == "not staged"
    box.artifact = archive(OLD)
    assert box.run("stage", LL_FROM=NEW, LL_TO=OLD).values["result"] == "staged"
    answers = box.run("switch", LL_FROM=NEW, LL_TO=OLD)
    assert (answers.values["result"], answers.values["cause"]) == ("refused", "a release above it is irreversible")
    assert box.current == f"releases/{NEW}"


def test_a_host_killed_between_link_and_restore_tells_so_and_is_repaired(box: Box):
    with box.start("upgrade", LL_AFTER="exit 9", LL_FAILPOINT="rolled_back:kill") as process:
        process.stdin.write(box.artifact)
        process.stdin.close()
        process.stdout.read()
    assert box.current == f"releases/{OLD}"
    assert data(box) == ["first", f"of {NEW}"]
    values = box.run("probe").values
    assert (values["busy"], values["cause"]) == ("0", "restore is pending")
    assert values["journal"] == f"3f2a 1 upgrade begin {OLD} {NEW}"
    assert box.run("roll_back", **TO_OLD, LL_ATTEMPT="2").values["result"] == "switched"
    assert data(box) == ["first", f"of {OLD}"]


def test_a_host_that_goes_back_by_itself_restores_as_well(box: Box):
    box.run("upgrade", LL_CONFIRM_WITHIN="1")
    deadline = time.monotonic() + 30
    while "auto rolled_back" not in box.journal[-1] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert box.journal[-1] == "3f2a 1 auto rolled_back"
    assert data(box) == ["first", f"of {OLD}"]
