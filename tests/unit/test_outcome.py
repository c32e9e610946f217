"""What an answer or a look proves: nothing is a success that was not seen, and the unknown is never taken as told."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from liftlock.errors import AuthenticationError, HostKeyError, LinkLostError, UnreachableError
from liftlock.ledger import Ailing, Ended, Switched, Voided
from liftlock.model import Action, HostAnswer, HostResult, Observation, Outcome, Policy
from liftlock.outcome import (
    WENT_BACK,
    after_bake,
    after_error,
    after_look,
    after_roll_back,
    after_upgrade,
    never_seen_again,
    runs,
)
from liftlock.progress import HostProgress, Standing
from world import START, plan_of

OLD, MIDDLE, NEW, FOREIGN = "1.4.0", "1.4.5", "1.5.0", "1.3.0"
PLAN = plan_of((1,), Policy(max_attempts=2))
PLANNED = PLAN.hosts[0]
LONG = plan_of((1,), Policy(max_attempts=2), (OLD, MIDDLE, NEW))
WELL = Observation("w1h0", START, True, NEW, NEW, True)
WELL_OLD = replace(WELL, installed=OLD, running=OLD)
UPGRADE = HostProgress(Standing.LOST, attempt=1, origin=OLD, cause="connection lost", lost_links=1)
ROLL_BACK = replace(UPGRADE, action=Action.ROLL_BACK, attempt=2, cause="health: HTTP 500")

NOT_PROVEN = {
    "another release is installed": replace(WELL, installed=OLD),
    "another release answers": replace(WELL, running=OLD),
    "nothing answers": replace(WELL, running=None, healthy=False),
    "it answers, but unhealthy": replace(WELL, healthy=False),
    "health could not be told": replace(WELL, healthy=None),
    "what is installed could not be told": replace(WELL, installed=None),
    "nothing could be told": Observation("w1h0", START, True),
    "the release before is installed and healthy": WELL_OLD,
    "it was not reached": Observation("w1h0", START, False, cause="connection refused"),
}
not_proven = pytest.mark.parametrize("seen", NOT_PROVEN.values(), ids=NOT_PROVEN.keys())


def answer(result: HostResult, version: str | None = NEW, cause: str = "", seconds: float = 4.5) -> HostAnswer:
    return HostAnswer(result, version, cause, "three lines", seconds)


# ---- runs


def test_a_version_runs_only_where_it_is_installed_answers_and_is_healthy():
    for installed, running, healthy in product([NEW, OLD, None], [NEW, OLD, None], [True, False, None]):
        seen = Observation("w1h0", START, True, installed, running, healthy)
        assert runs(seen, NEW) == ((installed, running, healthy) == (NEW, NEW, True))


# ---- after an upgrade


def test_a_switch_that_a_fresh_look_confirms_is_a_switch_and_not_yet_a_success():
    fact = after_upgrade("w1h0", 3, NEW, answer(HostResult.SWITCHED), WELL)
    assert fact == Switched(host="w1h0", attempt=3, version=NEW, seconds=4.5)


@not_proven
def test_a_switch_that_the_fresh_look_does_not_confirm_goes_back(seen):
    fact = after_upgrade("w1h0", 1, NEW, answer(HostResult.SWITCHED), seen)
    assert isinstance(fact, Ailing)
    assert fact.cause


def test_a_switch_that_nobody_looked_at_goes_back():
    assert isinstance(after_upgrade("w1h0", 1, NEW, answer(HostResult.SWITCHED), None), Ailing)


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (HostResult.ROLLED_BACK, Outcome.ROLLED_BACK),
        (HostResult.REFUSED, Outcome.REFUSED),
        (HostResult.ALREADY_CURRENT, Outcome.ALREADY_CURRENT),
    ],
)
@pytest.mark.parametrize("seen", [None, WELL])
def test_an_upgrade_that_did_not_switch_ends_as_the_host_says(result, outcome, seen):
    fact = after_upgrade("w1h0", 2, NEW, answer(result, OLD, "health: HTTP 500"), seen)
    assert fact == Ended(
        host="w1h0",
        attempt=2,
        outcome=outcome,
        version=OLD,
        cause="health: HTTP 500",
        detail="three lines",
        seconds=4.5,
    )


def test_a_host_whose_own_way_back_failed_is_rolled_back_once_more():
    fact = after_upgrade("w1h0", 2, NEW, answer(HostResult.FAILED, None, "health: HTTP 500"), None)
    assert fact == Ailing(host="w1h0", attempt=2, cause="health: HTTP 500", detail="three lines")


def test_a_host_that_refuses_a_later_hop_was_attempted():
    refused = answer(HostResult.REFUSED, None, "not enough space")
    fact = after_upgrade("w1h0", 1, NEW, refused, None, moved_to=MIDDLE)
    assert isinstance(fact, Ended)
    assert (fact.outcome, fact.version, fact.cause) == (Outcome.FAILED, MIDDLE, "not enough space")


# ---- after a rollback


@pytest.mark.parametrize("result", HostResult)
@pytest.mark.parametrize("version", [OLD, NEW, None])
def test_a_host_is_back_only_when_it_says_so_on_the_release_it_came_from(result, version):
    fact = after_roll_back("w1h0", 2, OLD, answer(result, version), "health: HTTP 500")
    proven = result in {HostResult.SWITCHED, HostResult.ALREADY_CURRENT} and version == OLD
    assert (fact.outcome, fact.version) == (Outcome.ROLLED_BACK if proven else Outcome.FAILED, version)
    assert (fact.attempt, fact.cause, fact.seconds) == (2, "health: HTTP 500", 4.5)


def test_why_a_sick_host_was_sent_back_stays_its_cause_and_the_way_back_is_told_beside_it():
    stuck = answer(HostResult.FAILED, None, "restart: exit 1")
    fact = after_roll_back("w1h0", 2, OLD, stuck, "health: HTTP 500")
    assert (fact.outcome, fact.cause) == (Outcome.FAILED, "health: HTTP 500")
    assert fact.detail == "the way back: restart: exit 1 | three lines"
    of_the_well = after_roll_back("w1h0", 2, OLD, stuck, "the customer asked", well=True)
    assert (of_the_well.outcome, of_the_well.cause) == (Outcome.FAILED, "restart: exit 1")
    back = after_roll_back("w1h0", 2, OLD, answer(HostResult.SWITCHED, OLD), "the customer asked", well=True)
    assert (back.outcome, back.cause) == (Outcome.ROLLED_BACK, "the customer asked")


# ---- after an error


@pytest.mark.parametrize(
    ("error", "untouched"),
    [
        (UnreachableError("connection refused"), Outcome.UNREACHABLE_BEFORE),
        (HostKeyError("the host key changed"), Outcome.REFUSED),
        (AuthenticationError("the key is not accepted"), Outcome.REFUSED),
        (LinkLostError("connection lost"), Outcome.UNKNOWN),
    ],
)
def test_an_error_leaves_a_host_untouched_only_when_nothing_was_done_before(error, untouched):
    before = after_error("w1h0", 1, error, touched=False)
    after = after_error("w1h0", 1, error, touched=True)
    assert (before.outcome, before.version, before.cause) == (untouched, None, error.cause)
    assert after.outcome is Outcome.UNKNOWN


# ---- a look at a lost upgrade


@pytest.mark.parametrize(
    ("journal", "is_whole"),
    [
        (f"{PLAN.id} 1 upgrade begin {OLD} {NEW}", False),
        (f"{PLAN.id} 1 switch begin {OLD} {NEW}", False),
        (f"{PLAN.id} 1 upgrade begin", False),
        (f"{PLAN.id} 0 unlock done", False),
        (f"{PLAN.id} 1 upgrade switched", True),
        (f"{PLAN.id} 1 confirm done", True),
        (f"{PLAN.id} 0 prune done", True),
    ],
)
def test_a_switch_that_was_cut_off_proves_nothing_where_a_command_of_the_release_comes_after_it(
    journal: str, is_whole: bool
) -> None:
    seen = replace(WELL, journal=journal)
    fact = after_look(PLAN, PLANNED, UPGRADE, seen, hooked=[NEW])
    assert isinstance(fact, Switched if is_whole else Ailing)
    assert isinstance(after_look(PLAN, PLANNED, UPGRADE, seen), Switched), "without one, a look and the bake prove it"


def test_a_lost_host_on_the_wanted_version_has_switched_and_is_still_to_be_watched():
    assert after_look(PLAN, PLANNED, UPGRADE, WELL) == Switched(host="w1h0", attempt=1, version=NEW)


@pytest.mark.parametrize(
    "seen",
    [
        replace(WELL, running=OLD),
        replace(WELL, running=None, healthy=False),
        replace(WELL, healthy=False),
        replace(WELL, healthy=None),
    ],
)
def test_a_lost_host_with_the_wanted_version_installed_but_not_proven_is_ailing(seen):
    fact = after_look(PLAN, PLANNED, UPGRADE, seen)
    assert isinstance(fact, Ailing)
    assert fact.cause


@pytest.mark.parametrize("part", [UPGRADE, ROLL_BACK], ids=["upgrade", "rollback"])
@pytest.mark.parametrize("seen", [WELL, WELL_OLD, replace(WELL, healthy=False)])
def test_a_busy_host_proves_nothing_yet(part, seen):
    assert after_look(PLAN, PLANNED, part, replace(seen, busy=True)) is None


def test_a_lost_host_well_on_the_release_before_may_be_tried_again():
    fact = after_look(PLAN, PLANNED, UPGRADE, WELL_OLD)
    assert fact == Voided(host="w1h0", attempt=1, cause="connection lost")
    crashed = replace(UPGRADE, cause="", lost_links=0)
    assert isinstance(after_look(PLAN, PLANNED, crashed, WELL_OLD), Voided)


def test_a_lost_host_is_tried_no_more_often_than_the_policy_says():
    fact = after_look(PLAN, PLANNED, replace(UPGRADE, attempt=2, lost_links=2), WELL_OLD)
    assert isinstance(fact, Ended)
    assert (fact.outcome, fact.version, fact.cause) == (Outcome.ROLLED_BACK, OLD, "connection lost")


@pytest.mark.parametrize(
    "journal",
    [
        f"{PLAN.id} 1 upgrade rolled_back",
        f"{PLAN.id} 1 switch rolled_back",
        f"{PLAN.id} 1 upgrade switched",
    ],
)
def test_a_host_that_switched_and_is_back_has_rolled_back_and_is_not_tried_again(journal):
    """`switched` and yet on the release before: somebody, or the host itself, took it back."""
    fact = after_look(PLAN, PLANNED, UPGRADE, replace(WELL_OLD, journal=journal))
    assert isinstance(fact, Ended)
    assert (fact.outcome, fact.version) == (Outcome.ROLLED_BACK, OLD)


@pytest.mark.parametrize(
    "journal",
    [
        "",
        f"{'q' * 64} 1 upgrade rolled_back",
        f"{PLAN.id} 2 upgrade rolled_back",
        f"{PLAN.id} 11 upgrade rolled_back",
        f"{PLAN.id} 1 upgrade begin",
        f"{PLAN.id} 1 upgrade",
        f"{PLAN.id} 1 upgrade rolled_back and more",
        "cut off by a cra",
    ],
)
def test_a_journal_that_does_not_speak_of_this_attempt_s_end_is_not_taken_as_its_end(journal):
    assert isinstance(after_look(PLAN, PLANNED, UPGRADE, replace(WELL_OLD, journal=journal)), Voided)


UNWELL = [
    replace(WELL_OLD, healthy=False),
    replace(WELL_OLD, healthy=None),
    replace(WELL_OLD, running=NEW),
    replace(WELL_OLD, running=None),
]


@pytest.mark.parametrize("seen", UNWELL)
@pytest.mark.parametrize("state", ["rolled_back", "begin", "failed"])
def test_a_lost_host_found_half_way_goes_back(seen, state):
    fact = after_look(PLAN, PLANNED, UPGRADE, replace(seen, journal=f"{PLAN.id} 1 upgrade {state}"))
    assert isinstance(fact, Ailing)


@pytest.mark.parametrize("state", ["rolled_back", "begin", "failed"])
def test_a_lost_host_without_any_release_needs_a_person(state):
    seen = replace(WELL_OLD, installed=None, running=None, journal=f"{PLAN.id} 1 upgrade {state}")
    fact = after_look(PLAN, PLANNED, UPGRADE, seen)
    assert isinstance(fact, Ended)
    assert fact.outcome is Outcome.FAILED


@pytest.mark.parametrize("lost_links", [0, 1, 2])
@pytest.mark.parametrize("journal", ["", f"{PLAN.id} 1 upgrade rolled_back"])
def test_a_lost_host_on_a_release_off_its_path_has_not_gone_back(lost_links, journal):
    seen = replace(WELL, installed=FOREIGN, running=FOREIGN, journal=journal)
    fact = after_look(PLAN, PLANNED, replace(UPGRADE, lost_links=lost_links), seen)
    assert isinstance(fact, Ended)
    assert (fact.outcome, fact.version) == (Outcome.FAILED, FOREIGN)


def test_a_host_lost_on_its_way_may_go_on_from_where_it_stands():
    seen = replace(WELL, installed=MIDDLE, running=MIDDLE, journal=f"{LONG.id} 1 upgrade switched")
    assert isinstance(after_look(LONG, LONG.hosts[0], UPGRADE, seen), Voided)
    gone_back = replace(seen, journal=f"{LONG.id} 1 upgrade rolled_back")
    fact = after_look(LONG, LONG.hosts[0], UPGRADE, gone_back)
    assert isinstance(fact, Ended)
    assert (fact.outcome, fact.version) == (Outcome.ROLLED_BACK, MIDDLE)


@pytest.mark.parametrize(
    ("journal", "is_whole"),
    [
        (f"{LONG.id} 1 upgrade begin {OLD} {MIDDLE}", False),
        (f"{LONG.id} 0 unlock done", False),
        (f"{LONG.id} 1 upgrade switched", True),
        (f"{LONG.id} 1 upgrade begin {MIDDLE} {NEW}", True),
    ],
)
def test_a_host_whose_first_hop_was_cut_off_before_its_last_command_does_not_go_on(
    journal: str, is_whole: bool
) -> None:
    seen = replace(WELL, installed=MIDDLE, running=MIDDLE, journal=journal)
    fact = after_look(LONG, LONG.hosts[0], UPGRADE, seen, hooked=[MIDDLE])
    assert isinstance(fact, Voided if is_whole else Ailing)


# ---- a look at a lost rollback


def test_a_lost_rollback_is_proven_by_the_release_it_came_from_running_healthy():
    fact = after_look(PLAN, PLANNED, ROLL_BACK, WELL_OLD)
    assert isinstance(fact, Ended)
    assert (fact.outcome, fact.version, fact.attempt, fact.cause) == (Outcome.ROLLED_BACK, OLD, 2, "health: HTTP 500")


@pytest.mark.parametrize(
    "seen", [WELL, replace(WELL, healthy=False), replace(WELL_OLD, healthy=False), replace(WELL_OLD, healthy=None)]
)
def test_a_lost_rollback_that_did_not_come_through_is_tried_again_but_not_for_ever(seen):
    facts = [after_look(PLAN, PLANNED, replace(ROLL_BACK, ways_back=tries), seen) for tries in range(1, 40)]
    assert isinstance(facts[0], Ailing)
    given_up = facts[-1]
    assert isinstance(given_up, Ended)
    assert given_up.outcome is Outcome.FAILED
    assert not any(isinstance(fact, Switched) for fact in facts), "on its way back nothing is an upgrade any more"


# ---- a host that does not come back


@pytest.mark.parametrize("part", [UPGRADE, ROLL_BACK, replace(UPGRADE, cause="")])
def test_a_host_that_was_not_seen_again_is_unreachable(part):
    fact = never_seen_again(PLANNED, part, UnreachableError("connection refused"))
    assert (fact.outcome, fact.version, fact.attempt) == (Outcome.UNREACHABLE, None, part.attempt)
    assert fact.cause == (part.cause or "connection refused")


# ---- in the bake


def test_a_healthy_host_has_succeeded_when_the_bake_is_over_and_not_before():
    part = HostProgress(Standing.SWITCHED, attempt=2, origin=OLD)
    assert after_bake(PLANNED, part, WELL, over=False) is None
    assert after_bake(PLANNED, part, WELL, over=True) == Ended(
        host="w1h0", attempt=2, outcome=Outcome.SUCCEEDED, version=NEW
    )


@not_proven
@pytest.mark.parametrize("over", [False, True])
def test_a_host_that_is_not_proven_in_the_bake_goes_back(seen, over):
    fact = after_bake(PLANNED, HostProgress(Standing.SWITCHED, attempt=1, origin=OLD), seen, over=over)
    assert isinstance(fact, Ailing)
    assert fact.cause


# ---- everything at once


def test_no_look_makes_a_success_of_what_is_not_running_healthy_on_the_wanted_version():
    versions = [None, OLD, NEW, FOREIGN]
    journals = [
        "",
        f"{PLAN.id} 1 upgrade switched",
        f"{PLAN.id} 1 upgrade rolled_back",
        f"{PLAN.id} 2 roll_back switched",
    ]
    for installed, running, healthy, journal in product(versions, versions, [True, False, None], journals):
        seen = Observation("w1h0", START, True, installed, running, healthy, journal=journal)
        switched = after_upgrade("w1h0", 1, NEW, answer(HostResult.SWITCHED), seen)
        looks = [after_look(PLAN, PLANNED, part, seen) for part in (UPGRADE, ROLL_BACK)]
        baked = after_bake(PLANNED, UPGRADE, seen, over=True)
        if not runs(seen, NEW):
            assert not any(isinstance(fact, Switched) for fact in (switched, *looks))
            assert isinstance(baked, Ailing)
        for fact in looks:
            if isinstance(fact, Ended):
                assert fact.outcome is not Outcome.SUCCEEDED
                assert fact.outcome is not Outcome.ROLLED_BACK or runs(seen, OLD)
            if isinstance(fact, Voided):
                assert runs(seen, OLD)


# ---- the dead man's switch


def test_a_switch_that_could_not_be_confirmed_is_unknown_until_it_is():
    waiting = replace(WELL, unconfirmed=True)
    fact = after_upgrade("w1h0", 1, NEW, answer(HostResult.SWITCHED), waiting)
    assert isinstance(fact, Ended)
    assert (fact.outcome, fact.cause) == (Outcome.UNKNOWN, "could not be confirmed")
    assert after_look(PLAN, PLANNED, UPGRADE, waiting) is None, "it would go back by itself"
    assert isinstance(after_look(PLAN, PLANNED, UPGRADE, WELL), Switched)


@pytest.mark.parametrize("cause", ["", "connection timed out"])
def test_a_host_that_went_back_by_itself_says_so(cause):
    part = replace(UPGRADE, cause=cause)
    fact = after_look(PLAN, PLANNED, part, replace(WELL_OLD, journal=f"{PLAN.id} 1 auto rolled_back"))
    assert isinstance(fact, Ended)
    assert fact.outcome is Outcome.ROLLED_BACK
    assert fact.cause == "not confirmed in time: it went back by itself"


def test_a_host_that_went_back_by_itself_before_the_controller_came_to_confirm_says_so_too():
    gone_back = replace(WELL_OLD, journal=f"{PLAN.id} 1 auto rolled_back")
    fact = after_upgrade("w1h0", 1, NEW, answer(HostResult.SWITCHED), gone_back)
    assert isinstance(fact, Ended)
    assert (fact.outcome, fact.version, fact.cause) == (Outcome.ROLLED_BACK, OLD, WENT_BACK)
    for seen in (replace(gone_back, healthy=False), replace(gone_back, journal=f"{PLAN.id} 2 auto rolled_back")):
        assert isinstance(after_upgrade("w1h0", 1, NEW, answer(HostResult.SWITCHED), seen), Ailing)


def test_a_rollback_that_meets_a_phase_at_work_is_unknown_and_looked_at():
    fact = after_roll_back("w1h0", 2, OLD, answer(HostResult.REFUSED, NEW, "busy"), "health: HTTP 500")
    assert (fact.outcome, fact.cause) == (Outcome.UNKNOWN, "health: HTTP 500")
