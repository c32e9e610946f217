"""`liftlock path`, and plans that go down: in a workspace of files alone, without a host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e.harbour import Ran, run

STOP = 'stop: {when: "npm in facts.features", settled: background-jobs}\n'
BLOCK = 'blocked: [{from: "==1.5.*", reason: loses bookings, url: "https://example.com/7"}]\n'


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A new workspace whose 1.4.0 is a stop for some hosts, and whose 1.6.0 nobody can reach."""
    root = tmp_path / "work"
    assert run("init", str(root), cwd=tmp_path).code == 0
    releases = root / "releases" / "boathouse"
    for version, more in (("1.4.0", STOP), ("1.6.0", BLOCK)):
        manifest = releases / f"{version}.yaml"
        manifest.write_text(manifest.read_text() + more)
    needs = releases / "1.5.0.yaml"
    needs.write_text(needs.read_text().replace('requires: ">=1.4,<1.6"', 'requires: ">=1.3,<1.6"'))
    inventory = root / "inventories" / "example.yaml"
    inventory.write_text(inventory.read_text().replace('"1.4.0"', '"1.5.0"'))
    return root


def path(workspace: Path, *words: str, code: int = 0) -> Ran:
    ran = run("path", "boathouse", *words, cwd=workspace)
    assert ran.code == code, ran
    return ran


def test_a_path_is_explained_hop_by_hop_for_the_facts_that_are_given(workspace: Path) -> None:
    words = path(workspace, "1.3.0", "1.5.0", "--facts", "features=npm+ldap,colour=red").stdout
    assert "boathouse from 1.3.0 to 1.5.0: 2 hops" in words
    assert "required stop, because `npm in facts.features` (features: ldap, npm)" in words
    assert "then the gate background-jobs must pass" in words
    assert "Conditions ask for facts of the host: features=npm+ldap" in words
    assert "No condition asks for: colour" in words
    told = json.loads(path(workspace, "1.3.0", "1.5.0", "--json").stdout)
    assert [hop["to_version"] for hop in told["hops"]] == ["1.5.0"]
    assert (told["asked"], told["facts"], told["reason"]) == (["features"], {}, "")


def test_a_dead_end_ends_with_exit_3_and_says_how_far_one_gets_and_what_cuts_the_way(workspace: Path) -> None:
    words = path(workspace, "1.4.0", "1.6.0", code=3).stdout
    assert "boathouse from 1.4.0 to 1.6.0: no path" in words
    assert "Nearest reachable: 1.5.0" in words
    assert "1.6.0 is blocked from 1.5.0: loses bookings (https://example.com/7)" in words
    told = json.loads(path(workspace, "1.4.0", "1.6.0", "--json", code=3).stdout)
    assert told["hops"] == []
    assert told["nearest"] == ["1.5.0"]
    assert told["cuts"][0]["url"] == "https://example.com/7"
    assert "downgrades are not planned" in path(workspace, "1.6.0", "1.5.0", code=3).stdout
    assert "nothing to do" in path(workspace, "1.5", "1.5.0").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["1.3.0", "9.9.9"], "boathouse has no release 9.9.9"),
        (["1.3.0", "1.5.0", "--facts", "npm"], "--facts takes such as features=npm+ldap"),
        (["1.3.0", "1.5.0", "--facts", "a=x,a=y"], "--facts gives a twice"),
        (["1.3.0", "--json"], "to_version"),
    ],
)
def test_wrong_words_are_refused_with_exit_2(workspace: Path, words: list[str], said: str) -> None:
    assert said in path(workspace, *words, code=2).stderr


def test_a_plan_goes_down_only_with_a_reason(workspace: Path) -> None:
    refused = run("plan", "boathouse", "1.4.0", "--no-look", "--downgrade", cwd=workspace)
    assert (refused.code, refused.stderr) == (2, "liftlock: --downgrade needs --reason: it is recorded\n")
    plain = json.loads(run("plan", "boathouse", "1.4.0", "--no-look", "--json", cwd=workspace).stdout)
    assert (plain["hosts"], plain["downgrade"]) == ([], "")
    words = ("--no-look", "--downgrade", "--reason", "1.5.0 loses bookings", "--json")
    down = json.loads(run("plan", "boathouse", "1.4.0", *words, cwd=workspace).stdout)
    assert down["downgrade"] == "1.5.0 loses bookings"
    assert {host["name"] for host in down["hosts"]} == {"np-1", "np-2", "hx-1"}
    assert {hop["rule"] for host in down["hosts"] for hop in host["hops"]} == {"downgrade"}
