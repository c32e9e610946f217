"""The decisions of a rollout, judged by its rules: what comes first, what may start, what stops it, how it ends."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from liftlock import ledger
from liftlock.errors import ExitCode
from liftlock.ledger import Fact
from liftlock.model import (
    Action,
    NoticeState,
    Outcome,
    Plan,
    PlannedCustomer,
    Policy,
    ReleaseKind,
    RollbackScope,
    Verdict,
    Window,
)
from liftlock.progress import Progress
from liftlock.rollout import (
    Bake,
    Done,
    Halt,
    LeaveOut,
    Pause,
    Reconcile,
    RollBack,
    Step,
    Upgrade,
    Wait,
    exit_code,
    next_step,
)
from liftlock.stops import stop_reason
from world import START, announced, ended, fold, judged, opened, plan_of, started, switched

NO_LEAD = dict.fromkeys(ReleaseKind, timedelta(0))
BAKE = timedelta(minutes=5)
ABORTED = ledger.Aborted(reason="the customer called", by="ann")


def policy(**changes: object) -> Policy:
    return Policy(**{"bake": BAKE, "notice_lead": NO_LEAD, "gates_after": False, **changes})


def ready(plan: Plan, *facts: Fact) -> Progress:
    """Everybody was told, every gate passed, a controller is at it; then these facts."""
    gates = [judged(host.name) for host in plan.hosts]
    customers = {host.customer for host in plan.hosts}
    return fold(plan, *map(announced, sorted(customers)), *gates, opened(), *facts)


def succeed(*hosts: str) -> list[Fact]:
    return [fact for name in hosts for fact in (started(name), switched(name), ended(name, Outcome.SUCCEEDED))]


def fail(*hosts: str, outcome: Outcome = Outcome.ROLLED_BACK) -> list[Fact]:
    return [fact for name in hosts for fact in (started(name), ended(name, outcome, cause="health: HTTP 500"))]


def back(host: str) -> list[Fact]:
    return [started(host, 2, Action.ROLL_BACK), ended(host, Outcome.ROLLED_BACK, 2)]


def names(count: int, wave: int = 1, first: int = 0) -> list[str]:
    return [f"w{wave}h{number}" for number in range(first, first + count)]


def step(plan: Plan, *facts: Fact, now: datetime = START) -> Step:
    return next_step(plan, ready(plan, *facts), now)


def waiting(plan: Plan, *facts: Fact, waive: str = "") -> Progress:
    """A controller is at it, and nothing but these facts speaks for the hosts."""
    waived = [ledger.Waived(rule=waive, reason="a fire", by="ann")] if waive else []
    return fold(plan, *facts, *waived, opened())


# ---- rule 1: what is not known comes first


@pytest.mark.parametrize(
    "around",
    [
        [],
        fail("w2h0"),
        [ABORTED],
        [started("w2h1")],
    ],
    ids=["free hosts", "the budget is spent", "aborted", "a host in hand"],
)
def test_a_lost_host_is_looked_at_before_anything_else_begins(around):
    lost = [started("w1h0"), ended("w1h0", Outcome.UNKNOWN, cause="connection lost")]
    assert step(plan_of((2, 3)), *lost, *around) == Reconcile(("w1h0",))


def test_a_host_known_to_be_ailing_does_not_wait_until_a_lost_one_is_found():
    facts = [started("w1h0"), started("w1h1"), ended("w1h0", Outcome.UNKNOWN, cause="connection lost")]
    ailing = [*facts, ledger.Ailing(host="w1h1", cause="health")]
    decision = step(plan_of((2, 3)), *ailing)
    assert isinstance(decision, RollBack)
    assert decision.hosts == ("w1h1",)
    assert step(plan_of((2, 3)), *ailing, started("w1h1", 2, Action.ROLL_BACK)) == Reconcile(("w1h0",))


def test_an_attempt_that_an_earlier_controller_left_open_is_looked_at_first():
    plan = plan_of((2, 3))
    assert step(plan, started("w1h1"), started("w1h0")) == Wait()
    assert step(plan, started("w1h1"), started("w1h0"), opened("s2")) == Reconcile(("w1h0", "w1h1"))


def test_an_attempt_that_another_controller_began_is_not_in_our_hands():
    assert step(plan_of((2,)), started("w1h0", session="another")) == Reconcile(("w1h0",))


# ---- rule 2: ailing hosts go back at once


@pytest.mark.parametrize(
    "around", [[], fail("w1h1"), [ABORTED], [started("w1h1")]], ids=["free", "spent", "aborted", "in hand"]
)
def test_an_ailing_host_goes_back_before_anything_new(around):
    found = [started("w1h0"), ledger.Ailing(host="w1h0", cause="health: HTTP 500")]
    decision = step(plan_of((2, 3)), *found, *around)
    assert isinstance(decision, RollBack)
    assert decision.hosts == ("w1h0",)


def test_a_recalled_host_goes_back_though_it_had_succeeded_and_the_rollout_was_aborted():
    decision = step(plan_of((1, 1)), *succeed("w1h0"), ABORTED, ledger.Recalled(host="w1h0", reason="a bug"))
    assert isinstance(decision, RollBack)
    assert decision.hosts == ("w1h0",)


def test_a_host_on_its_way_back_is_waited_for():
    recalled = [*succeed("w1h0"), ABORTED, ledger.Recalled(host="w1h0", reason="a bug")]
    assert step(plan_of((1, 1)), *recalled, started("w1h0", 2, Action.ROLL_BACK)) == Wait()
    assert isinstance(step(plan_of((1, 1)), *recalled, *back("w1h0")), Halt)


# ---- rule 3: the budget, and what becomes of the others


@pytest.mark.parametrize(
    ("hosts", "max_failures", "allowed"),
    [
        (1, None, 0),
        (12, None, 0),
        (49, None, 0),
        (50, None, 1),
        (99, None, 1),
        (100, None, 2),
        (149, None, 2),
        (20, 3, 3),
        (100, 0, 0),
        (100, 5, 5),
    ],
)
def test_the_budget_is_what_the_target_allows_and_one_failure_more_stops(hosts, max_failures, allowed):
    plan = plan_of((hosts,), policy(max_failures=max_failures, concurrency=1000))
    assert plan.allowed_failures == allowed
    well = succeed(*names(hosts - allowed - 2, first=allowed + 2))  # so many that the evidence is not against it
    within, beyond = ready(plan, *well, *fail(*names(allowed))), ready(plan, *well, *fail(*names(allowed + 1)))
    assert stop_reason(plan, within) == ""
    if allowed < hosts:
        assert re.match("(budget|limit): ", stop_reason(plan, beyond))
        assert isinstance(next_step(plan, beyond, START), Halt)
    if allowed + 1 < hosts:
        assert next_step(plan, within, START) == Upgrade(tuple(names(2, first=allowed)))


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.ROLLED_BACK, Outcome.UNREACHABLE])
def test_every_attempt_that_did_not_succeed_uses_the_budget(outcome):
    plan = plan_of((3,))
    assert "budget: 1 of 3 planned hosts failed" in stop_reason(plan, ready(plan, *fail("w1h0", outcome=outcome)))


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if not outcome.attempted])
def test_hosts_that_were_not_attempted_use_no_budget(outcome):
    plan = plan_of((3,))
    left = ledger.LeftOut(host="w1h0", outcome=outcome, reason="why")
    assert stop_reason(plan, ready(plan, left)) == ""
    assert stop_reason(plan, ready(plan, started("w1h0"), ended("w1h0", outcome))) == ""


def test_stop_reasons_say_which_rule_how_many_and_of_how_many():
    budget, limit = plan_of((100,)), plan_of((100,), policy(max_failures=1))
    failed = fail(*names(3))
    assert stop_reason(budget, ready(budget, *failed)) == "budget: 3 of 100 planned hosts failed, 98 % allows 2"
    assert stop_reason(limit, ready(limit, *failed)) == "limit: 3 of 100 planned hosts failed, the policy allows 1"
    strict = plan_of((100,), policy(target_percent=100))
    assert stop_reason(strict, ready(strict, *fail("w1h0"))).endswith("1 of 100 planned hosts failed, 100 % allows 0")
    assert stop_reason(budget, ready(budget, *failed, ABORTED)) == "aborted: the customer called"


@pytest.mark.parametrize("stopping", [fail("w1h0"), [ABORTED]], ids=["budget", "aborted"])
def test_once_stopped_nothing_starts_and_hosts_in_hand_finish(stopping):
    plan = plan_of((4,), policy(concurrency=4))
    in_hand = [started("w1h1"), started("w1h2")]
    assert step(plan, *in_hand, *stopping) == Wait()
    assert step(plan, *in_hand, *stopping, switched("w1h1")) == Wait()
    watched = step(plan, *in_hand, *stopping, switched("w1h1"), switched("w1h2"))
    assert watched == Bake(1, ("w1h1", "w1h2"), None)
    through = [*succeed("w1h1", "w1h2"), *stopping]
    assert isinstance(step(plan, *through), Halt)


def test_once_stopped_a_voided_host_is_not_tried_again():
    plan = plan_of((2,))
    voided = [started("w1h1"), ledger.Voided(host="w1h1", attempt=1, cause="connection lost")]
    assert isinstance(step(plan, *voided, *fail("w1h0")), Halt)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (RollbackScope.HOST, ()),
        (RollbackScope.WAVE, ("w2h1", "w2h2")),
        (RollbackScope.ALL, ("w1h0", "w2h1", "w2h2")),
    ],
)
def test_upgraded_hosts_go_back_as_far_as_the_policy_says(scope, expected):
    plan = plan_of((1, 4, 2), policy(rollback=scope, concurrency=4))
    facts = [*succeed("w1h0", "w2h1"), started("w2h2"), switched("w2h2"), started("w2h3"), *fail("w2h0")]
    assert step(plan, *facts) == Wait(), "hosts in hand finish first"
    decision = step(plan, *facts, *fail("w2h3"))
    if not expected:
        assert decision == Bake(2, ("w2h2",), None), "what is not brought back is watched to its end"
        return
    assert isinstance(decision, RollBack)
    assert decision.hosts == expected
    assert "budget: 2 of 7" in decision.reason
    done = [fact for name in expected for fact in back(name)]
    end = step(plan, *facts, *fail("w2h3"), *done)
    assert isinstance(end, Halt), "hosts of waves that did not fail stay, untried hosts stay untried"
    assert "budget: 2 of 7" in end.reason, "hosts brought back are no further failures"


@pytest.mark.parametrize("recalled", [True, False])
def test_no_more_hosts_go_back_at_once_than_the_policy_allows(recalled):
    plan = plan_of((6,), policy(rollback=RollbackScope.ALL, concurrency=2))
    up = names(5)
    sent = [ledger.Recalled(host=name, reason="a bug") for name in up] if recalled else fail("w1h5")
    facts = [*succeed(*up), *([ABORTED] if recalled else []), *sent]
    first = step(plan, *facts)
    assert isinstance(first, RollBack)
    assert first.hosts == ("w1h0", "w1h1")
    going = [*facts, *(started(name, 2, Action.ROLL_BACK) for name in first.hosts)]
    assert step(plan, *going) == Wait()
    one_back = step(plan, *going, ended("w1h1", Outcome.ROLLED_BACK, 2))
    assert isinstance(one_back, RollBack), "the next does not wait for the slowest"
    assert one_back.hosts == ("w1h2",)
    assert isinstance(step(plan, *facts, *(fact for name in up for fact in back(name))), Halt)


def test_an_operator_who_aborts_brings_nothing_back_but_what_is_recalled():
    plan = plan_of((3,), policy(rollback=RollbackScope.ALL))
    upgraded = [*succeed("w1h0"), started("w1h1"), switched("w1h1"), ABORTED]
    assert step(plan, *upgraded) == Bake(1, ("w1h1",), None)


def test_a_host_brought_back_stays_so_when_its_way_back_was_interrupted():
    plan = plan_of((4, 1), policy(rollback=RollbackScope.ALL))
    sent = [*succeed("w1h0", "w1h1", "w1h2"), *fail("w1h3"), started("w1h0", 2, Action.ROLL_BACK)]
    found = [opened("s2"), ledger.Ailing(host="w1h0", cause="rollback interrupted")]
    again = [started("w1h0", 3, Action.ROLL_BACK, "s2"), ended("w1h0", Outcome.ROLLED_BACK, 3)]
    assert "budget: 1 of 5" in stop_reason(plan, ready(plan, *sent, *found, *again))


# ---- rule 4: waves in order


def test_a_wave_begins_when_every_host_of_the_one_before_has_an_outcome():
    plan = plan_of((2, 1), policy(concurrency=5, max_failures=9))
    assert step(plan) == Upgrade(("w1h0", "w1h1"))
    assert step(plan, *succeed("w1h0")) == Upgrade(("w1h1",))
    assert step(plan, *succeed("w1h0"), started("w1h1")) == Wait()
    assert step(plan, *succeed("w1h0"), started("w1h1"), switched("w1h1")) == Bake(1, ("w1h1",), None)
    assert step(plan, *succeed("w1h0", "w1h1")) == Upgrade(("w2h0",))
    assert step(plan, *succeed("w1h0"), *fail("w1h1")) == Upgrade(("w2h0",))
    left = ledger.LeftOut(host="w1h1", outcome=Outcome.DEFERRED, reason="its window ended")
    assert step(plan, *succeed("w1h0"), left) == Upgrade(("w2h0",))
    assert step(plan, *succeed("w1h0", "w1h1", "w2h0")) == Done()


def test_a_voided_host_is_tried_again_before_the_next_wave():
    plan = plan_of((2, 1))
    voided = [started("w1h0"), ledger.Voided(host="w1h0", attempt=1, cause="connection lost")]
    assert step(plan, *succeed("w1h1"), *voided) == Upgrade(("w1h0",))


# ---- concurrency


def test_no_more_hosts_are_in_hand_than_the_policy_allows_over_many_calls():
    plan = plan_of((5,), policy(concurrency=2))
    progress, started_so_far = ready(plan), []
    for _ in range(5):
        decision = next_step(plan, progress, START)
        if isinstance(decision, Upgrade):
            started_so_far += decision.hosts
            progress = fold(plan, *map(started, decision.hosts), onto=progress)
        in_hand = [name for name in started_so_far if progress.host(name).outcome is None]
        assert len(in_hand) <= 2
        assert next_step(plan, progress, START) == Wait()
        progress = fold(plan, switched(in_hand[0]), ended(in_hand[0], Outcome.SUCCEEDED), onto=progress)
    assert started_so_far == names(5)
    assert next_step(plan, progress, START) == Done()


def test_a_host_that_is_left_out_takes_nobody_s_place():
    plan = plan_of((4,), policy(concurrency=2))
    failed = judged("w1h0", Verdict.FAILED, "no space")
    progress = fold(plan, failed, onto=ready(plan))
    decision = next_step(plan, progress, START)
    assert decision == LeaveOut((("w1h0", Outcome.REFUSED, "gate failed: no space"),))
    left = ledger.LeftOut(host="w1h0", outcome=Outcome.REFUSED, reason="gate failed: no space")
    assert next_step(plan, fold(plan, left, onto=progress), START) == Upgrade(("w1h1", "w1h2"))


# ---- rule 5: notices


def led(lead: timedelta) -> Plan:
    return plan_of((1,), policy(notice_lead={**NO_LEAD, ReleaseKind.UPGRADE: lead}))


def test_a_customer_who_was_never_told_is_not_touched():
    plan = led(timedelta(hours=24))
    decision = next_step(plan, waiting(plan, judged("w1h0")), START)
    assert isinstance(decision, LeaveOut)
    ((host, outcome, reason),) = decision.hosts
    assert (host, outcome) == ("w1h0", Outcome.REFUSED)
    assert reason.startswith("notice: acme ")


@pytest.mark.parametrize(
    ("ago", "free"),
    [
        (timedelta(0), False),
        (timedelta(hours=24) - timedelta(microseconds=1), False),
        (timedelta(hours=24), True),
        (timedelta(days=30), True),
    ],
)
def test_a_customer_is_owed_the_whole_promised_lead(ago, free):
    plan = led(timedelta(hours=24))
    told = fold(plan, announced(), at=START - ago)
    decision = next_step(plan, fold(plan, judged("w1h0"), opened(), onto=told), START)
    assert (decision == Upgrade(("w1h0",))) == free
    assert isinstance(decision, LeaveOut) != free


@pytest.mark.parametrize("state", [state for state in NoticeState if state is not NoticeState.SENT])
def test_a_notice_that_may_not_have_arrived_told_nobody(state):
    plan = plan_of((1,))
    letter = replace(announced(), state=state)
    assert isinstance(next_step(plan, waiting(plan, letter, judged("w1h0")), START), LeaveOut)


def test_the_first_notice_to_a_customer_counts_and_only_for_this_customer():
    plan = led(timedelta(hours=24))
    other = replace(plan.hosts[0], name="w1h1", customer="globex")
    plan = replace(plan, hosts=(*plan.hosts, other))
    early = fold(plan, announced("acme"), at=START - timedelta(hours=24))
    later = fold(plan, announced("acme"), announced("globex"), at=START - timedelta(hours=1), onto=early)
    decision = next_step(plan, fold(plan, judged("w1h0"), judged("w1h1"), opened(), onto=later), START)
    assert isinstance(decision, LeaveOut)
    assert [(host, outcome) for host, outcome, _ in decision.hosts] == [("w1h1", Outcome.REFUSED)]
    assert "globex" in decision.hosts[0][2]


def test_a_customer_that_was_told_that_it_is_off_is_left_alone_unless_the_notice_is_waived():
    plan = led(timedelta(0))
    off = ledger.Sending(message_id="<2@x>", calls_off="acme")
    known = (announced(), judged("w1h0"))
    assert next_step(plan, waiting(plan, *known, replace(off, calls_off="globex")), START) == Upgrade(("w1h0",))
    ((_, outcome, why),) = next_step(plan, waiting(plan, *known, off), START).hosts
    assert (outcome, "nothing more comes of plan" in why) == (Outcome.REFUSED, True)
    waived = ledger.Waived(rule="notice", reason="they rang", by="ana")
    assert next_step(plan, waiting(plan, *known, off, waived), START) == Upgrade(("w1h0",))


def test_the_lead_is_that_of_the_release_kind():
    leads = {
        ReleaseKind.PATCH: timedelta(hours=72),
        ReleaseKind.SECURITY: timedelta(0),
        ReleaseKind.UPGRADE: timedelta(days=7),
    }
    for kind, free in [(ReleaseKind.PATCH, False), (ReleaseKind.SECURITY, True), (ReleaseKind.UPGRADE, False)]:
        plan = replace(plan_of((1,), policy(notice_lead=leads)), kind=kind)
        assert isinstance(next_step(plan, ready(plan), START), Upgrade) == free


# ---- rule 5: gates


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (None, "no gate was run"),
        (Verdict.FAILED, "gate failed: why"),
        (Verdict.ERROR, "gate error: why"),
        (Verdict.INCONCLUSIVE, "gate inconclusive: why"),
    ],
)
def test_only_a_passed_gate_lets_a_host_go(verdict, words):
    plan = plan_of((1,))
    verdicts = [judged("w1h0", verdict, "why")] if verdict else []
    decision = next_step(plan, waiting(plan, announced(), *verdicts), START)
    assert isinstance(decision, LeaveOut)
    ((host, outcome, reason),) = decision.hosts
    assert (host, outcome) == ("w1h0", Outcome.REFUSED)
    assert words in reason


def test_the_last_verdict_counts():
    plan = plan_of((1,))
    better = waiting(plan, announced(), judged("w1h0", Verdict.FAILED), judged("w1h0"))
    worse = waiting(plan, announced(), judged("w1h0"), judged("w1h0", Verdict.ERROR))
    assert next_step(plan, better, START) == Upgrade(("w1h0",))
    assert isinstance(next_step(plan, worse, START), LeaveOut)


# ---- rule 5: windows


def windowed(*windows: Window) -> Plan:
    plan = plan_of((len(windows),))
    hosts = (replace(host, window=window) for host, window in zip(plan.hosts, windows, strict=True))
    return replace(plan, hosts=tuple(hosts))


def in_hours(start: float, end: float) -> Window:
    return Window(START + timedelta(hours=start), START + timedelta(hours=end))


def test_a_rollout_pauses_until_the_earliest_window_opens():
    plan = windowed(in_hours(5, 6), in_hours(2, 3), in_hours(4, 8))
    decision = next_step(plan, ready(plan), START)
    assert isinstance(decision, Pause)
    assert decision.until == START + timedelta(hours=2)
    assert next_step(plan, ready(plan), decision.until) == Upgrade(("w1h1",))


def test_a_window_is_open_from_its_start_until_right_before_its_end():
    plan = windowed(in_hours(1, 2))
    hour, instant = timedelta(hours=1), timedelta(microseconds=1)
    assert isinstance(next_step(plan, ready(plan), START + hour - instant), Pause)
    assert next_step(plan, ready(plan), START + hour) == Upgrade(("w1h0",))
    assert next_step(plan, ready(plan), START + 2 * hour - instant) == Upgrade(("w1h0",))
    decision = next_step(plan, ready(plan), START + 2 * hour)
    assert isinstance(decision, LeaveOut)
    assert decision.hosts[0][:2] == ("w1h0", Outcome.DEFERRED)


def test_a_host_starts_only_while_its_upgrade_and_the_way_back_fit_before_its_window_ends():
    plan = windowed(in_hours(0, 2))
    plan = replace(plan, hosts=(replace(plan.hosts[0], needed=timedelta(minutes=45)),))
    last = START + timedelta(minutes=75)
    assert next_step(plan, ready(plan), last) == Upgrade(("w1h0",))
    decision = next_step(plan, ready(plan), last + timedelta(microseconds=1))
    why = "its window ends 2026-11-22 00:00 UTC, too soon: upgrade and way back may need 45 min"
    assert decision == LeaveOut((("w1h0", Outcome.DEFERRED, why),))
    ended = next_step(plan, ready(plan), START + timedelta(hours=2))
    assert ended == LeaveOut((("w1h0", Outcome.DEFERRED, "its window ended 2026-11-22 00:00 UTC"),))
    waived = fold(plan, ledger.Waived(rule="window", reason="a fire", by="ann"), onto=ready(plan))
    assert next_step(plan, waived, last + timedelta(minutes=1)) == Upgrade(("w1h0",))


def test_an_open_window_is_used_while_others_are_still_closed_or_over():
    plan = windowed(in_hours(3, 4), in_hours(-3, -2), in_hours(-1, 1))
    decision = next_step(plan, ready(plan), START)
    assert isinstance(decision, LeaveOut)
    assert [host for host, *_ in decision.hosts] == ["w1h1"]
    left = ledger.LeftOut(host="w1h1", outcome=Outcome.DEFERRED, reason="its window ended")
    assert step(plan, left) == Upgrade(("w1h2",))
    assert step(plan, left, started("w1h2")) == Wait()
    assert isinstance(step(plan, left, *succeed("w1h2")), Pause)


def test_a_host_that_must_not_start_is_refused_before_its_window_opens():
    plan = windowed(in_hours(1, 2))
    assert isinstance(next_step(plan, waiting(plan, announced()), START), LeaveOut)


# ---- rule 5: waived rules


@pytest.mark.parametrize(
    ("rule", "plan", "facts"),
    [
        ("notice", plan_of((1,)), [judged("w1h0")]),
        ("gate", plan_of((1,)), [announced()]),
        ("gate", plan_of((1,)), [announced(), judged("w1h0", Verdict.FAILED)]),
        ("window", windowed(in_hours(1, 2)), [announced(), judged("w1h0")]),
        ("window", windowed(in_hours(-2, -1)), [announced(), judged("w1h0")]),
    ],
    ids=["never told", "no gate", "failed gate", "window not open", "window over"],
)
def test_waiving_a_rule_sets_this_rule_aside_and_no_other(rule, plan, facts):
    for waived in ["notice", "gate", "window"]:
        decision = next_step(plan, waiting(plan, *facts, waive=waived), START)
        assert (decision == Upgrade(("w1h0",))) == (waived == rule), waived


def test_a_plan_made_with_the_notice_waived_needs_no_second_waiver():
    plan = replace(led(timedelta(hours=24)), waived=("notice",))
    assert next_step(plan, waiting(plan, judged("w1h0")), START) == Upgrade(("w1h0",))
    assert isinstance(next_step(plan, waiting(plan), START), LeaveOut), "its gates are still asked"


def test_a_customer_is_owed_the_lead_that_the_plan_promised_it():
    promise = PlannedCustomer("acme", START - timedelta(hours=4), START, START + timedelta(hours=6))
    plan = replace(led(timedelta(hours=24)), customers=(promise,))
    for ago, free in ((3, False), (4, True)):
        told = fold(plan, announced(), at=START - timedelta(hours=ago))
        decision = next_step(plan, fold(plan, judged("w1h0"), opened(), onto=told), START)
        assert (decision == Upgrade(("w1h0",))) == free


# ---- rule 6: the bake


def test_a_bake_begins_when_all_are_through_continues_and_begins_anew_with_a_new_controller():
    plan = plan_of((2, 1))
    through = ready(plan, started("w1h0"), started("w1h1"), switched("w1h0"), switched("w1h1"))
    hosts = ("w1h0", "w1h1")
    assert next_step(plan, through, START) == Bake(1, hosts, None)
    begun = START + timedelta(minutes=1)
    baking = fold(plan, ledger.Baking(wave=1, session="s1"), at=begun, onto=through)
    for now in (begun, begun + BAKE, begun + timedelta(hours=1)):
        assert next_step(plan, baking, now) == Bake(1, hosts, begun + BAKE)
    after_a_crash = fold(plan, opened("s2"), onto=baking)
    assert next_step(plan, after_a_crash, begun + BAKE) == Bake(1, hosts, None)
    stranger = fold(plan, ledger.Baking(wave=1, session="s1"), at=begun, onto=after_a_crash)
    assert next_step(plan, stranger, begun + BAKE) == Bake(1, hosts, None), "another controller watched, not this one"


def test_a_bake_of_one_wave_is_not_that_of_the_next():
    plan = plan_of((1, 1))
    facts = [ledger.Baking(wave=1, session="s1"), *succeed("w1h0"), started("w2h0"), switched("w2h0")]
    assert step(plan, *facts) == Bake(2, ("w2h0",), None)


def test_a_host_upgraded_again_during_the_bake_gets_a_whole_bake():
    plan = plan_of((2,))
    baking = ready(plan, started("w1h0"), started("w1h1"), switched("w1h0"), switched("w1h1"))
    baking = fold(plan, ledger.Baking(wave=1, session="s1"), onto=baking)
    late = START + timedelta(minutes=4)
    again = [
        ended("w1h0", Outcome.UNKNOWN),
        ledger.Voided(host="w1h0", attempt=1, cause="connection lost"),
        started("w1h0", 2),
        switched("w1h0", 2),
    ]
    decision = next_step(plan, fold(plan, *again, at=late, onto=baking), late)
    assert isinstance(decision, Bake)
    assert decision.until is None or decision.until >= late + BAKE


def test_when_stopped_every_wave_with_switched_hosts_is_watched_earliest_first():
    plan = plan_of((2, 2), policy(max_failures=0))
    reconciled = [started("w1h0"), switched("w1h0"), started("w2h0"), switched("w2h0"), *fail("w2h1")]
    assert step(plan, *reconciled) == Bake(1, ("w1h0",), None)
    assert step(plan, *reconciled, ended("w1h0", Outcome.SUCCEEDED)) == Bake(2, ("w2h0",), None)


# ---- next_step is a function


def test_deciding_twice_decides_the_same_and_changes_nothing():
    plan = plan_of((2, 3))
    progress = ready(plan, started("w1h0"))
    assert next_step(plan, progress, START) == next_step(plan, progress, START)
    assert progress == ready(plan, started("w1h0"))


# ---- exit codes


def end_of(plan: Plan, *facts: Fact, now: datetime = START) -> tuple[type, ExitCode]:
    progress = ready(plan, *facts)
    last = next_step(plan, progress, now)
    return type(last), exit_code(plan, progress, last)


def left_out(host: str, outcome: Outcome) -> Fact:
    return ledger.LeftOut(host=host, outcome=outcome, reason="why")


@pytest.mark.parametrize(
    ("failed", "ending"),
    [(0, (Done, ExitCode.DONE)), (1, (Done, ExitCode.DONE)), (2, (Halt, ExitCode.STOPPED))],
)
def test_49_of_50_meet_the_target_and_48_of_50_do_not(failed, ending):
    plan = plan_of((50,))
    assert end_of(plan, *fail(*names(failed)), *succeed(*names(50 - failed, first=failed))) == ending


def test_a_rollout_that_its_policy_let_finish_below_the_target_is_not_done_well():
    plan = plan_of((50,), policy(max_failures=5))
    assert end_of(plan, *fail(*names(2)), *succeed(*names(48, first=2))) == (Done, ExitCode.STOPPED)


def test_the_rate_counts_only_attempted_hosts():
    plan = plan_of((50,), policy(max_failures=1))
    current = [left_out(name, Outcome.ALREADY_CURRENT) for name in names(1, first=49)]
    assert end_of(plan, *fail("w1h0"), *succeed(*names(48, first=1)), *current) == (Done, ExitCode.STOPPED)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.FAILED, ExitCode.NEEDS_A_PERSON),
        (Outcome.UNREACHABLE, ExitCode.NEEDS_A_PERSON),
        (Outcome.ROLLED_BACK, ExitCode.STOPPED),
    ],
)
def test_a_stopped_rollout_says_whether_a_host_needs_a_person(outcome, code):
    assert end_of(plan_of((3,)), *succeed("w1h1"), *fail("w1h0", outcome=outcome)) == (Halt, code)


def test_a_failed_host_needs_a_person_even_when_the_target_is_met():
    plan = plan_of((50,))
    assert end_of(plan, *fail("w1h0", outcome=Outcome.FAILED), *succeed(*names(49, first=1))) == (
        Done,
        ExitCode.NEEDS_A_PERSON,
    )


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.REFUSED, ExitCode.REFUSED),
        (Outcome.DEFERRED, ExitCode.REFUSED),
        (Outcome.UNREACHABLE_BEFORE, ExitCode.NEEDS_A_PERSON),
        (Outcome.ALREADY_CURRENT, ExitCode.DONE),
        (Outcome.SKIPPED, ExitCode.DONE),
    ],
)
def test_a_host_that_was_left_out_shows_in_the_exit_code(outcome, code):
    assert end_of(plan_of((2,)), *succeed("w1h0"), left_out("w1h1", outcome)) == (Done, code)


def test_a_rollout_that_waits_for_a_window_was_refused_by_it():
    assert end_of(windowed(in_hours(1, 2))) == (Pause, ExitCode.REFUSED)


def test_an_aborted_rollout_was_stopped():
    plan = plan_of((2,))
    assert end_of(plan, ABORTED) == (Halt, ExitCode.STOPPED)
    assert end_of(plan, *succeed("w1h0"), ABORTED) == (Halt, ExitCode.STOPPED)
    recalled = [*succeed("w1h0"), ABORTED, ledger.Recalled(host="w1h0", reason="a bug")]
    assert end_of(plan, *recalled, *back("w1h0")) == (Halt, ExitCode.STOPPED)
    stuck = [started("w1h0", 2, Action.ROLL_BACK), ended("w1h0", Outcome.FAILED, 2)]
    assert end_of(plan, *recalled, *stuck) == (Halt, ExitCode.NEEDS_A_PERSON)


def test_hosts_brought_back_in_a_halt_are_on_a_known_good_release():
    plan = plan_of((3,), policy(rollback=RollbackScope.ALL))
    assert end_of(plan, *succeed("w1h1"), *fail("w1h0"), *back("w1h1")) == (Halt, ExitCode.STOPPED)


def test_a_voided_attempt_left_its_host_on_a_known_good_release():
    """The link broke, then the host was seen healthy on the release before: nobody needs to look at it."""
    lost = [started("w1h1"), ended("w1h1", Outcome.UNKNOWN, cause="connection lost")]
    voided = ledger.Voided(host="w1h1", attempt=1, cause="connection lost")
    assert end_of(plan_of((2,)), *lost, voided, *fail("w1h0")) == (Halt, ExitCode.STOPPED)
