"""The fold of the record: what each fact changes, what a new controller finds, and what folding costs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from liftlock import ledger
from liftlock.ledger import Entry, Fact
from liftlock.model import Action, NoticeKind, NoticeState, Outcome, Plan, Verdict
from liftlock.progress import SETTLED, Progress, Standing
from world import START, MemoryLedger, announced, ended, fold, judged, opened, plan_of, started, switched

PLAN = plan_of((2, 3))
BACK = Action.ROLL_BACK
UPGRADED = [started("w1h0"), switched("w1h0")]
LOST = [started("w1h0"), ended("w1h0", Outcome.UNKNOWN, cause="connection lost")]
SUCCEEDED = [*UPGRADED, ended("w1h0", Outcome.SUCCEEDED)]
RECALLED = ledger.Recalled(host="w1h0", reason="a bug")
AILING = ledger.Ailing(host="w1h0", cause="health: HTTP 500")


def voided(host: str, attempt: int = 1) -> Fact:
    return ledger.Voided(host=host, attempt=attempt, cause="connection lost")


def left_out(host: str, outcome: Outcome, reason: str = "why") -> Fact:
    return ledger.LeftOut(host=host, outcome=outcome, reason=reason)


# ---- what each fact does to its host


@pytest.mark.parametrize(
    ("facts", "standing", "outcome"),
    [
        ([started("w1h0")], Standing.IN_HAND, None),
        ([started("w1h0", session="another")], Standing.LOST, None),
        (UPGRADED, Standing.SWITCHED, None),
        ([started("w1h0"), AILING], Standing.AILING, None),
        ([*UPGRADED, AILING], Standing.AILING, None),
        (SUCCEEDED, Standing.SUCCEEDED, Outcome.SUCCEEDED),
        ([*SUCCEEDED, RECALLED], Standing.AILING, None),
        (LOST, Standing.LOST, Outcome.UNKNOWN),
        ([*UPGRADED, ended("w1h0", Outcome.UNKNOWN)], Standing.LOST, Outcome.UNKNOWN),
        ([*LOST, voided("w1h0")], Standing.FREE, None),
        ([*LOST, switched("w1h0")], Standing.SWITCHED, None),
        ([*LOST, voided("w1h0"), started("w1h0", 2)], Standing.IN_HAND, None),
        ([started("w1h0"), ended("w1h0", Outcome.ROLLED_BACK)], Standing.FAILED, Outcome.ROLLED_BACK),
        ([started("w1h0"), ended("w1h0", Outcome.FAILED)], Standing.FAILED, Outcome.FAILED),
        ([*LOST, ended("w1h0", Outcome.UNREACHABLE)], Standing.FAILED, Outcome.UNREACHABLE),
        ([started("w1h0"), ended("w1h0", Outcome.REFUSED)], Standing.LEFT_OUT, Outcome.REFUSED),
        ([started("w1h0"), ended("w1h0", Outcome.ALREADY_CURRENT)], Standing.LEFT_OUT, Outcome.ALREADY_CURRENT),
        ([started("w1h0"), ended("w1h0", Outcome.UNREACHABLE_BEFORE)], Standing.LEFT_OUT, Outcome.UNREACHABLE_BEFORE),
        ([left_out("w1h0", Outcome.DEFERRED)], Standing.LEFT_OUT, Outcome.DEFERRED),
    ],
)
def test_a_fact_moves_its_host_and_no_other(facts, standing, outcome):
    progress = fold(PLAN, opened(), *facts)
    part = progress.host("w1h0")
    assert (part.standing, part.outcome) == (standing, outcome)
    assert {other for other in Standing if "w1h0" in progress.group(other)} == {standing}
    assert sum(progress.count(other) for other in Standing) == 1
    assert set(progress.hosts) == {"w1h0"}
    assert (part.outcome is not None) or standing not in SETTLED


def test_an_attempt_is_remembered_with_its_number_its_action_and_where_the_host_came_from():
    part = fold(PLAN, opened(), *SUCCEEDED, RECALLED, started("w1h0", 2, BACK)).host("w1h0")
    assert (part.attempt, part.action, part.origin) == (2, BACK, "1.4.0")
    assert part.cause == "a bug", "why it goes back is known until it is back"
    fresh = fold(PLAN, opened()).host("w2h2")
    assert (fresh.attempt, fresh.origin, fresh.outcome) == (0, "1.4.0", None)


def test_a_cause_is_that_of_the_last_fact():
    assert fold(PLAN, opened(), *LOST).host("w1h0").cause == "connection lost"
    assert fold(PLAN, opened(), *LOST, switched("w1h0")).host("w1h0").cause == ""
    assert fold(PLAN, opened(), left_out("w1h0", Outcome.REFUSED, "gate failed")).host("w1h0").cause == "gate failed"


def test_lost_links_are_counted_over_attempts():
    twice = [*LOST, voided("w1h0"), started("w1h0", 2), ended("w1h0", Outcome.UNKNOWN, 2), voided("w1h0", 2)]
    assert fold(PLAN, opened(), *LOST).host("w1h0").lost_links == 1
    assert fold(PLAN, opened(), *twice, started("w1h0", 3), switched("w1h0", 3)).host("w1h0").lost_links == 2


def test_hosts_that_were_well_are_brought_back_and_others_have_failed():
    sick = [*UPGRADED, AILING, started("w1h0", 2, BACK), ended("w1h0", Outcome.ROLLED_BACK, 2)]
    halted = [*SUCCEEDED, started("w1h0", 2, BACK), ended("w1h0", Outcome.ROLLED_BACK, 2)]
    recalled = [*SUCCEEDED, RECALLED, started("w1h0", 2, BACK), ended("w1h0", Outcome.ROLLED_BACK, 2)]
    stuck = [*SUCCEEDED, RECALLED, started("w1h0", 2, BACK), ended("w1h0", Outcome.FAILED, 2)]
    standings = [fold(PLAN, opened(), *facts).host("w1h0").standing for facts in (sick, halted, recalled, stuck)]
    assert standings == [Standing.FAILED, Standing.BROUGHT_BACK, Standing.BROUGHT_BACK, Standing.FAILED]


def test_why_a_host_failed_is_not_forgotten_when_an_operator_takes_it_back():
    failed = [*UPGRADED, AILING, started("w1h0", 2, BACK), ended("w1h0", Outcome.FAILED, 2, cause="health: HTTP 500")]
    assert fold(PLAN, opened(), *failed, RECALLED).host("w1h0").cause == "health: HTTP 500"
    assert fold(PLAN, opened(), *SUCCEEDED, RECALLED).host("w1h0").cause == "a bug"


def test_a_way_back_that_was_given_up_is_tried_anew_at_an_operators_word():
    lost = [*SUCCEEDED, RECALLED, *[started("w1h0", attempt, BACK) for attempt in range(2, 6)]]
    assert fold(PLAN, opened(), *lost).host("w1h0").ways_back == 4
    assert fold(PLAN, opened(), *lost, opened("s2"), RECALLED).host("w1h0").ways_back == 0


def test_hosts_that_were_left_out_are_free_again_unless_the_plan_was_ended():
    refused = [left_out("w1h1", Outcome.REFUSED)]
    assert fold(PLAN, opened(), *refused, opened("s2")).host("w1h1").standing is Standing.FREE
    over = fold(PLAN, opened(), *refused, ledger.Aborted(reason="a bug", by="ann"), opened("s2")).host("w1h1")
    assert (over.standing, over.outcome) == (Standing.LEFT_OUT, Outcome.REFUSED)


# ---- what facts do to the rollout


def test_facts_about_the_rollout_are_kept():
    progress = fold(
        PLAN,
        opened("s7"),
        announced(),
        judged("w1h0", Verdict.FAILED, "no space"),
        judged("w1h1"),
        ledger.Waived(rule="gate", reason="a fire", by="ann"),
        ledger.Waived(rule="window", reason="a fire", by="ann"),
        ledger.Aborted(reason="enough", by="ann"),
        ledger.Baking(wave=2, session="s7"),
    )
    assert (progress.session, progress.aborted, progress.baking) == ("s7", "enough", (2, START))
    assert progress.waived == {"gate", "window"}
    assert dict(progress.announced) == {"acme": START}
    assert progress.unproven_gate("w1h0") == "gate failed: no space"
    assert progress.unproven_gate("w1h1") == ""
    assert progress.unproven_gate("w2h0") != ""


def test_only_the_first_notice_that_was_sent_counts():
    later = START + timedelta(hours=1)
    refused = fold(PLAN, *(_letter(state) for state in NoticeState if state is not NoticeState.SENT))
    assert dict(refused.announced) == {}
    told = fold(PLAN, announced(), at=later, onto=refused)
    again = fold(PLAN, announced(), at=later + timedelta(hours=1), onto=told)
    assert dict(again.announced) == {"acme": later}


def _letter(state: NoticeState) -> Fact:
    sent = announced()
    assert isinstance(sent, ledger.Delivered)
    return ledger.Delivered(
        message_id="<2@x>", customer=sent.customer, kind=sent.kind, recipient=sent.recipient, state=state
    )


@pytest.mark.parametrize(
    "fact",
    [
        ledger.Planned(document={}),
        ledger.Queued(message_id="<1@x>", customer="acme", kind=NoticeKind.COMPLETED, recipient="a@acme.example"),
        ledger.Halted(reason="budget"),
        ledger.Finished(),
    ],
)
def test_facts_that_only_tell_change_nothing(fact):
    before = fold(PLAN, opened(), *SUCCEEDED)
    assert fold(PLAN, fact, onto=before) == before


def test_waves_are_settled_one_after_the_other_and_unsettled_when_a_host_goes_back():
    progress, waves = fold(PLAN, opened()), []
    for host in ["w1h0", "w1h1", "w2h0", "w2h1", "w2h2"]:
        waves.append(progress.wave)
        progress = fold(PLAN, started(host), switched(host), ended(host, Outcome.SUCCEEDED), onto=progress)
    assert waves == [1, 1, 2, 2, 2]
    assert progress.wave is None
    recalled = fold(PLAN, RECALLED, onto=progress)
    assert recalled.wave == 1
    gone_back = fold(PLAN, started("w1h0", 2, BACK), ended("w1h0", Outcome.ROLLED_BACK, 2), onto=recalled)
    assert gone_back.wave is None


def test_untried_hosts_come_in_rollout_order_whatever_order_hosts_end_in():
    progress = fold(PLAN, opened(), started("w2h1"), *[left_out(name, Outcome.REFUSED) for name in ("w2h0", "w1h1")])
    assert list(progress.untried(1)) == ["w1h0"]
    assert list(progress.untried(2)) == ["w2h2"]
    assert set(fold(PLAN, opened("s2"), onto=progress).untried(2)) == {"w2h0", "w2h2"}


# ---- a new controller


def test_a_new_session_loses_what_was_in_hand_and_frees_what_was_merely_prevented():
    plan = plan_of((12,))
    prevented = {
        "w1h0": Outcome.REFUSED,
        "w1h1": Outcome.DEFERRED,
        "w1h2": Outcome.UNREACHABLE_BEFORE,
        "w1h3": Outcome.SKIPPED,
    }
    before = fold(
        plan,
        opened("s1"),
        *[left_out(name, outcome) for name, outcome in prevented.items()],
        left_out("w1h4", Outcome.ALREADY_CURRENT),
        started("w1h5"),
        *[started("w1h6"), switched("w1h6")],
        *[started("w1h7"), ended("w1h7", Outcome.SUCCEEDED)],
        *[started("w1h8"), ended("w1h8", Outcome.ROLLED_BACK)],
        *[started("w1h9"), ended("w1h9", Outcome.UNREACHABLE)],
        *[started("w1h10"), ledger.Ailing(host="w1h10", cause="health")],
        *[started("w1h11", 1, BACK)],
        ledger.Baking(wave=1, session="s1"),
    )
    after = fold(plan, opened("s2"), onto=before)
    assert (after.session, after.baking) == ("s2", None)
    for name in prevented:
        assert (after.host(name).standing, after.host(name).outcome) == (Standing.FREE, None), name
    assert after.host("w1h4").outcome is Outcome.ALREADY_CURRENT
    assert set(after.group(Standing.LOST)) == {"w1h5", "w1h9", "w1h11"}, "in hand, or never seen again: look at them"
    for name in ("w1h4", "w1h6", "w1h7", "w1h8", "w1h10"):
        assert after.host(name) == before.host(name), name
    assert after.host("w1h11").action is BACK


def test_a_new_session_keeps_verdicts_notices_waivers_and_an_abort():
    kept = [announced(), judged("w1h0"), ledger.Waived(rule="gate", reason="a fire", by="ann")]
    before = fold(PLAN, opened("s1"), *kept, ledger.Aborted(reason="enough", by="ann"))
    after = fold(PLAN, opened("s2"), onto=before)
    assert (after.announced, after.verdicts, after.waived, after.aborted) == (
        before.announced,
        before.verdicts,
        before.waived,
        "enough",
    )


def test_a_bake_that_another_session_watches_is_not_ours():
    before = fold(PLAN, opened("s1"), ledger.Baking(wave=1, session="s0"))
    assert before.baking is None
    assert fold(PLAN, ledger.Baking(wave=1, session="s1"), onto=before).baking == (1, START)


def test_the_store_hands_over_the_entries_of_one_plan_only():
    store, other = MemoryLedger(), "q" * 64
    for plan in (other, PLAN.id):
        store.append(plan, opened("s1"), START)
        store.append(plan, started("w1h0"), START)
    store.append(other, ledger.Aborted(reason="enough", by="ann"), START)
    store.append(other, ledger.Waived(rule="gate", reason="a fire", by="ann"), START)
    store.append(other, announced(), START)
    progress = Progress.of(PLAN).with_entries(store.entries(PLAN.id))
    assert (progress.aborted, progress.waived, dict(progress.announced)) == ("", frozenset(), {})
    assert progress.host("w1h0").standing is Standing.IN_HAND


# ---- a value, and what it costs


def test_folding_one_by_one_or_at_once_is_the_same_and_changes_no_earlier_value():
    facts = [opened(), *SUCCEEDED, started("w1h1"), AILING, opened("s2")]
    values = [Progress.of(PLAN)]
    for fact in facts:
        values.append(fold(PLAN, fact, onto=values[-1]))
    assert values[-1] == fold(PLAN, *facts)
    for seen in range(len(facts) + 1):
        assert values[seen] == fold(PLAN, *facts[:seen])


class CountedOrder(tuple[str, ...]):
    """The rollout order; counts how often a place in it is read."""

    reads = 0

    def __getitem__(self, place):
        CountedOrder.reads += 1
        return super().__getitem__(place)


def _calls(work: Callable[[], object]) -> int:
    """How many functions, of Python and of C, were called meanwhile."""
    counted = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


def _many(plan: Plan, hosts: int) -> Iterator[Entry]:
    """Two entries for each of so many hosts; the last hosts of the plan come first."""
    for number, host in enumerate(reversed(plan.hosts[:hosts])):
        yield Entry(2 * number, START, plan.id, started(host.name), "", "")
        yield Entry(2 * number + 1, START, plan.id, ended(host.name, Outcome.SUCCEEDED), "", "")


@pytest.mark.parametrize("turned", [False, True], ids=["rollout order", "last host first"])
def test_folding_20000_entries_costs_as_much_for_the_last_as_for_the_first(turned):
    plan = plan_of((1000, 9000))
    start = fold(plan, opened())
    CountedOrder.reads = 0
    start.lineup.__dict__["order"] = CountedOrder(start.lineup.order)
    entries = list(_many(plan, 10_000))
    if not turned:
        entries = [entry for pair in range(len(entries), 0, -2) for entry in entries[pair - 2 : pair]]
    middle: list[Progress] = []
    first = _calls(lambda: middle.append(start.with_entries(entries[:10_000])))
    second = _calls(lambda: middle.append(middle[0].with_entries(entries[10_000:])))
    assert middle[1].count(Standing.SUCCEEDED) == 10_000
    assert middle[1].wave is None
    assert first < 60 * 10_000
    assert second <= 1.1 * first  # the cursor passes every host once, wherever that falls
    assert CountedOrder.reads <= len(entries) + len(plan.hosts)
