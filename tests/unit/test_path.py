from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from liftlock.condition import Facts
from liftlock.errors import ExitCode, InputError
from liftlock.model import Artifact, BlockedEdge, Catalogue, Channel, Health, Hop, Product, Release, ReleaseKind
from liftlock.path import Cut, NoPathError, find_path, find_release, relevant_facts

BUG = "https://example.com/bugs/7"


def release(version: str, requires: str = "", stop: bool = False, **more: Any) -> Release:
    artifact = Artifact(path=f"{version}.tar.gz", sha256="0" * 64, length=1)
    plain = Release("gate", version, ReleaseKind.PATCH, artifact, requires=requires, stop=stop)
    return replace(plain, **more)


def catalogue(*releases: Release) -> Catalogue:
    return Catalogue(Product("gate", {"en": "Gate"}, Health(command="true")), releases)


def steps(offered: Catalogue, observed: str, wanted: str, **facts: str | tuple[str, ...]) -> list[tuple[str, str]]:
    return [(hop.to_version, hop.rule) for hop in find_path(offered, observed, wanted, facts)]


def refused(offered: Catalogue, observed: str, wanted: str, facts: Facts, **how: bool) -> NoPathError:
    with pytest.raises(NoPathError) as caught:
        find_path(offered, observed, wanted, facts, **how)
    return caught.value


def test_one_hop_is_enough_when_nothing_stands_in_between() -> None:
    offered = catalogue(release("1.1.0"), release("1.2.0"), release("1.3.0"))
    assert steps(offered, "1.0.0", "1.3.0") == [("1.3.0", "wanted release")]


def test_a_requirement_is_met_by_the_newest_release_that_meets_it() -> None:
    offered = catalogue(release("1.4.0"), release("1.5.0"), release("1.5.3"), release("2.0.0", ">=1.5"))
    assert steps(offered, "1.2.0", "2.0.0") == [("1.5.3", "2.0.0 requires >=1.5"), ("2.0.0", "wanted release")]
    assert steps(offered, "1.5.1", "2.0.0") == [("2.0.0", "wanted release")]


def test_a_stop_is_taken_at_the_newest_patch_of_its_line() -> None:
    offered = catalogue(release("1.4.0", stop=True), release("1.4.7"), release("1.5.0", stop=True), release("1.6.0"))
    assert steps(offered, "1.3.0", "1.6.0") == [
        ("1.4.7", "required stop 1.4.0, at its newest patch"),
        ("1.5.0", "required stop"),
        ("1.6.0", "wanted release"),
    ]
    assert [to for to, _ in steps(offered, "1.4.0", "1.6.0")] == ["1.5.0", "1.6.0"]


def test_an_older_patch_of_a_stops_line_is_taken_only_where_no_way_as_short_goes_round_it() -> None:
    stop = release("1.4.0", stop=True)
    round_it = catalogue(release("1.2.5"), stop, release("1.4.3", ">=1.2"), release("2.0.0", ">=1.4.3"))
    assert steps(round_it, "1.0.0", "2.0.0") == [
        ("1.2.5", "1.4.3 requires >=1.2"),
        ("1.4.3", "required stop 1.4.0, at its newest patch"),
        ("2.0.0", "wanted release"),
    ]
    through = catalogue(release("1.2.5"), stop, release("1.4.3", ">=1.4.0"), release("2.0.0", ">=1.4.3"))
    assert [to for to, _ in steps(through, "1.0.0", "2.0.0")] == ["1.4.0", "1.4.3", "2.0.0"]


def test_a_stop_in_the_line_of_the_wanted_release_is_met_by_the_wanted_release() -> None:
    offered = catalogue(release("1.4.0", stop=True), release("1.4.2"), release("1.4.9"))
    assert steps(offered, "1.3.0", "1.4.2") == [("1.4.2", "wanted release")]
    tried = catalogue(release("1.4.0", stop=True), release("1.4.1rc1"), release("1.4.1rc2"))
    assert steps(tried, "1.3.0", "1.4.1rc2") == [("1.4.1rc2", "wanted release")]


def test_a_pre_release_is_only_taken_when_it_is_wanted_or_the_only_way_to_take_a_stop() -> None:
    offered = catalogue(release("1.5.0rc1"), release("1.5.0"), release("1.6.0rc1"), release("1.7.0", ">=1.5"))
    assert [to for to, _ in steps(offered, "1.0.0", "1.7.0")] == ["1.5.0", "1.7.0"]
    assert [to for to, _ in steps(offered, "1.0.0", "1.6.0rc1")] == ["1.6.0rc1"]
    stopping = catalogue(release("1.5.0rc1", stop=True), release("1.6.0"))
    assert [to for to, _ in steps(stopping, "1.0.0", "1.6.0")] == ["1.5.0rc1", "1.6.0"]
    with pytest.raises(NoPathError, match="no other release can be reached"):
        find_path(catalogue(release("1.6.0rc1"), release("1.7.0", ">=1.5")), "1.0.0", "1.7.0")


@pytest.mark.parametrize(
    ("observed", "requires", "meets"),
    [
        ("1.5.0rc1", ">=1.4", True),
        ("1.5.0rc1", ">=1.5", False),
        ("1.5.0rc1", "<1.5", False),
        ("1.4.2+hot5", "==1.4.2", True),
        ("1.4.2+hot5", "<=1.4.2", True),
        ("1.4.2-1", ">=1.4.2", True),
        ("1.4.2-1", "==1.4.2", False),
    ],
)
def test_requirements_judge_unusual_versions_by_the_written_policy(observed: str, requires: str, meets: bool) -> None:
    offered = catalogue(release("2.0.0", requires))
    if meets:
        assert len(find_path(offered, observed, "2.0.0")) == 1
    else:
        with pytest.raises(NoPathError):
            find_path(offered, observed, "2.0.0")


def test_no_hop_is_needed_to_the_version_a_host_already_has() -> None:
    assert find_path(catalogue(release("1.5.0")), "1.5", "1.5.0") == ()


@pytest.mark.parametrize("observed", ["1.6.0", "1.5.0+hot5", "1!0.1"])
def test_a_downgrade_is_refused(observed: str) -> None:
    with pytest.raises(NoPathError, match=r"newer than 1\.5\.0; downgrades are not planned") as refused:
        find_path(catalogue(release("1.5.0"), release("1.6.0")), observed, "1.5.0")
    assert refused.value.exit_code is ExitCode.REFUSED


@pytest.mark.parametrize("observed", ["4.2.1.SP1", "1:2.3-4", "unknown", ""])
def test_a_version_that_cannot_be_ordered_is_refused_with_the_reason(observed: str) -> None:
    with pytest.raises(NoPathError, match="cannot be ordered"):
        find_path(catalogue(release("5.0.0")), observed, "5.0.0")


def test_a_dead_end_names_what_bars_the_way_and_how_far_one_gets() -> None:
    offered = catalogue(release("1.1.0"), release("1.2.0"), release("2.0.0", ">=1.9", stop=True), release("2.1.0"))
    with pytest.raises(NoPathError) as refused:
        find_path(offered, "1.0.0", "2.1.0")
    assert refused.value.reason == (
        "no path from 1.0.0 to 2.1.0: the required stop 2.0.0 requires >=1.9; nearest reachable: 1.2.0, 1.1.0"
    )
    assert refused.value.nearest == ("1.2.0", "1.1.0")


def test_an_unknown_release_is_refused_with_the_versions_there_are() -> None:
    offered = catalogue(release("1.1.0"), release("1.2.0"))
    with pytest.raises(InputError, match=r"gate has no release 1\.2; there are: 1\.1\.0, 1\.2\.0"):
        find_path(offered, "1.0.0", "1.2")
    assert find_release(offered, "1.2.0").version == "1.2.0"


def test_a_stop_with_a_condition_binds_only_hosts_whose_facts_meet_it() -> None:
    npm = release("1.4.0", stop=True, stop_when="npm in facts.features")
    offered = catalogue(npm, release("1.4.3"), release("1.5.0"))
    assert steps(offered, "1.3.0", "1.5.0", features=("npm", "ldap")) == [
        ("1.4.3", "required stop 1.4.0, at its newest patch, because `npm in facts.features` (features: ldap, npm)"),
        ("1.5.0", "wanted release"),
    ]
    assert steps(offered, "1.3.0", "1.5.0", features="ldap") == [("1.5.0", "wanted release")]
    assert steps(offered, "1.3.0", "1.5.0") == [("1.5.0", "wanted release")]


def test_a_condition_without_an_answer_is_no_path_and_says_where_it_stands() -> None:
    old = BlockedEdge(">=1.0", "needs a newer database", when='facts.db < "12"')
    offered = catalogue(release("1.4.0", blocked=(old,)), release("1.5.0"))
    assert steps(offered, "1.3.0", "1.5.0", db="11") == [("1.5.0", "wanted release")]
    assert refused(offered, "1.3.0", "1.5.0", {}).reason == (
        '1.4.0: `facts.db < "12"` cannot be judged on this host: facts.db is empty, which is not one version'
    )


def test_a_blocked_hop_is_never_taken_and_the_way_around_says_why() -> None:
    loses = BlockedEdge(">=1.4,<1.4.3", "loses bookings", BUG)
    offered = catalogue(
        release("1.4.2"), release("1.4.3"), release("1.4.4", ">=1.4.3"), release("1.6.0", blocked=(loses,))
    )
    assert steps(offered, "1.4.1", "1.6.0") == [
        ("1.4.3", f"1.6.0 is blocked from 1.4.1: loses bookings ({BUG})"),
        ("1.6.0", "wanted release"),
    ]
    assert steps(offered, "1.4.4", "1.6.0") == [("1.6.0", "wanted release")]
    assert steps(offered, "1.3.9", "1.6.0") == [("1.6.0", "wanted release")]


def test_a_block_with_a_condition_binds_only_hosts_whose_facts_meet_it() -> None:
    loses = BlockedEdge(">=1.0", "loses packages", when="npm in facts.features")
    offered = catalogue(release("1.5.0", blocked=(loses,)))
    assert steps(offered, "1.4.0", "1.5.0") == [("1.5.0", "wanted release")]
    told = refused(offered, "1.4.0", "1.5.0", {"features": "npm"})
    assert told.reason == (
        "no path from 1.4.0 to 1.5.0: 1.5.0 is blocked from 1.4.0: loses packages; no other release can be reached"
    )


def test_a_dead_end_names_every_release_that_would_lead_on_and_what_bars_it() -> None:
    broken = BlockedEdge(">=1.0,<1.3", "breaks the queue", BUG)
    offered = catalogue(
        release("1.1.0"),
        release("1.2.0"),
        release("1.5.0", blocked=(broken,)),
        release("1.6.0", ">=1.7"),
        release("2.0.0", ">=1.5"),
    )
    told = refused(offered, "1.0.0", "2.0.0", {})
    assert told.cuts == (
        Cut("2.0.0", ("1.2.0", "1.1.0", "1.0.0"), requires=">=1.5"),
        Cut("1.5.0", ("1.2.0", "1.1.0", "1.0.0"), reason="breaks the queue", url=BUG),
        Cut("1.6.0", ("1.2.0", "1.1.0", "1.0.0"), requires=">=1.7"),
    )
    assert told.reason == (
        "no path from 1.0.0 to 2.0.0: 2.0.0 requires >=1.5; 1.5.0 is blocked from 1.2.0, 1.1.0, 1.0.0: "
        f"breaks the queue ({BUG}); 1.6.0 requires >=1.7; nearest reachable: 1.2.0, 1.1.0"
    )


def test_a_hop_that_leaves_work_behind_names_the_gate_for_the_next_hop() -> None:
    offered = catalogue(
        release("1.4.0", stop=True, settled_gate="background-jobs"),
        release("1.4.3"),
        release("1.5.0", stop=True, settled_gate="reindexed"),
    )
    assert [hop.settled_gate for hop in find_path(offered, "1.3.0", "1.5.0")] == ["background-jobs", ""]
    assert [hop.settled_gate for hop in find_path(offered, "1.3.0", "1.4.3")] == [""]


def test_a_candidate_is_only_taken_when_it_is_wanted_or_on_the_way_to_one_of_its_own_line() -> None:
    offered = catalogue(
        release("1.4.0", stop=True),
        release("1.4.1", channel=Channel.CANDIDATE),
        release("1.5.0", channel=Channel.CANDIDATE, stop=True),
        release("1.6.0"),
        release("1.6.1", ">=1.4", channel=Channel.CANDIDATE),
        release("1.6.2", ">=1.6.1", channel=Channel.CANDIDATE),
    )
    assert [to for to, _ in steps(offered, "1.3.0", "1.6.0")] == ["1.4.0", "1.6.0"]
    assert [to for to, _ in steps(offered, "1.3.0", "1.5.0")] == ["1.4.0", "1.5.0"]
    assert [to for to, _ in steps(offered, "1.3.0", "1.6.2")] == ["1.4.0", "1.6.1", "1.6.2"]


def test_a_downgrade_that_is_asked_for_is_one_hop_straight_to_the_release() -> None:
    offered = catalogue(release("1.4.0", ">=1.3,<1.4"), release("1.5.0", stop=True), release("1.6.0"))
    assert find_path(offered, "1.6.0", "1.4.0", downgrade=True) == (Hop("1.6.0", "1.4.0", "downgrade"),)
    assert find_path(offered, "1.4.0+hot5", "1.4.0", downgrade=True) == (Hop("1.4.0+hot5", "1.4.0", "downgrade"),)
    upwards = find_path(offered, "1.4.0", "1.6.0", downgrade=True)
    assert upwards == find_path(offered, "1.4.0", "1.6.0")
    with pytest.raises(InputError):
        find_path(offered, "1.6.0", "1.4.9", downgrade=True)


def test_a_release_can_block_downgrades_to_itself() -> None:
    rewritten = BlockedEdge(">=1.6", "1.6 rewrites the database: restore a backup", BUG)
    offered = catalogue(release("1.5.0", blocked=(rewritten,)), release("1.6.0"))
    told = refused(offered, "1.6.0", "1.5.0", {}, downgrade=True)
    assert told.reason == (
        f"no downgrade: 1.5.0 is blocked from 1.6.0: 1.6 rewrites the database: restore a backup ({BUG})"
    )
    assert told.cuts == (Cut("1.5.0", ("1.6.0",), reason=rewritten.reason, url=BUG),)


def test_a_catalogue_names_the_facts_that_its_conditions_ask_for() -> None:
    edge = BlockedEdge(">=1", "no", when="facts.db < '12' and npm in facts.features")
    offered = catalogue(release("1.4.0", stop=True, stop_when="facts.edition == free", blocked=(edge,)))
    assert relevant_facts(offered) == ("db", "edition", "features")
    assert relevant_facts(catalogue(release("1.4.0"))) == ()
