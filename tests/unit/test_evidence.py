"""Waves by evidence from end to end of the core: priors, sizes, words, what the record keeps, and when it stops."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from math import exp, fsum, inf, log

import pytest

from liftlock import ledger
from liftlock.evidence import (
    HEAVIEST_HISTORY,
    evidence_against,
    largest_wave,
    overrun_probability,
    posterior,
    prior_from,
    refutes_target,
)
from liftlock.ledger import Entry, Fact
from liftlock.model import Action, Outcome, Plan, Policy, Prior, RollbackScope, Verdict
from liftlock.plan_document import to_document
from liftlock.progress import Progress
from liftlock.records import read_records, track_record
from liftlock.rollout import Bake, Done, Halt, LeaveOut, OpenWave, RollBack, Upgrade, next_step
from liftlock.stops import stop_reason
from liftlock.waves import budget_words, in_waves, next_wave
from world import START, announced, ended, fold, judged, opened, plan_of, started, switched

NEXT_TO_NOTHING = prior_from(0, 0)
EVIDENCE = {"waves": ("evidence",), "concurrency": 1000, "notice_lead": plan_of().policy.notice_lead}


def plan_by_evidence(hosts: int, prior: Prior | None = None, **policy: object) -> Plan:
    plan = replace(plan_of((hosts,), Policy(**{**EVIDENCE, "gates_after": False, **policy})), prior=prior)
    return replace(plan, hosts=tuple(in_waves(plan)))


def sizes(plan: Plan) -> list[int]:
    waves = [host.wave for host in plan.hosts]
    return [waves.count(wave) for wave in sorted(set(waves))]


def ready(plan: Plan, *facts: Fact) -> Progress:
    return fold(plan, announced(), *(judged(host.name) for host in plan.hosts), opened(), *facts)


def wave_opened(wave: int, *hosts: str) -> Fact:
    return ledger.WaveOpened(wave=wave, hosts=hosts)


def hosts(*numbers: int) -> list[str]:
    return [f"w1h{number}" for number in range(*numbers)]


def succeed(*names: str) -> list[Fact]:
    return [fact for name in names for fact in (started(name), switched(name), ended(name, Outcome.SUCCEEDED))]


def fail(*names: str) -> list[Fact]:
    return [fact for name in names for fact in (started(name), ended(name, Outcome.ROLLED_BACK))]


# ---- what is known before


def test_history_counts_a_tenth_and_never_more_than_25_hosts():
    assert prior_from(0, 0) == Prior(0.5, 0.5, "no earlier upgrade on record, so next to nothing")
    few, many = prior_from(90, 10), prior_from(9_900, 100)
    assert (few.alpha, few.beta) == pytest.approx((1.5, 9.5))
    assert (many.alpha, many.beta) == pytest.approx((0.75, 25.25))
    assert few.basis == "10 of 100 earlier upgrades on record failed, counted as 10 hosts"
    assert many.basis == "100 of 10000 earlier upgrades on record failed, counted as 25 hosts"
    whole = prior_from(15, 5, discount=1.0)
    assert (whole.alpha, whole.beta) == (5.5, 15.5)
    assert sum((many.alpha, many.beta)) == pytest.approx(1 + HEAVIEST_HISTORY)


def test_the_hosts_of_this_rollout_count_in_full():
    known = posterior(prior_from(90, 10), 20, 3)
    assert (known.alpha, known.beta) == pytest.approx((4.5, 29.5))


# ---- how large a wave may be


def test_a_budget_as_large_as_the_wave_cannot_be_overrun_and_one_below_none_always_is():
    assert overrun_probability(NEXT_TO_NOTHING, 5, 5) == 0.0
    assert overrun_probability(NEXT_TO_NOTHING, 0, 0) == 0.0
    assert overrun_probability(NEXT_TO_NOTHING, 5, -1) == 1.0


@pytest.mark.parametrize(
    ("alpha", "beta", "number", "budget", "chance"),
    [
        (1.0, 1.0, 9, 3, 0.6),  # uniform: each count from 0 to 9 is as likely as any other
        (0.5, 0.5, 1, 0, 0.5),
        (2.0, 6.0, 1, 0, 0.25),
        (0.5, 1.5, 2, 1, 0.125),
        (1.0, 1.0, 100_000, 49_999, 50_001 / 100_001),
    ],
)
def test_the_chance_of_overrunning_is_that_of_the_beta_binomial(alpha, beta, number, budget, chance):
    assert overrun_probability(Prior(alpha, beta, ""), number, budget) == pytest.approx(chance, rel=1e-7, abs=1e-12)


@pytest.mark.parametrize(("number", "budget"), [(100, 2), (10_000, 200), (100_000, 2_000), (100_000, 60_000)])
def test_the_chance_stays_exact_for_large_fleets(number, budget):
    known = posterior(Prior(1.0, 1.0, ""), 299, 0)
    closed_form = exp(fsum(log((number - i) / (number + known.beta - i)) for i in range(budget + 1)))  # as alpha is 1
    assert overrun_probability(known, number, budget) == pytest.approx(closed_form, rel=1e-9, abs=1e-9)


def test_a_wave_is_never_smaller_than_what_may_be_lost_and_grows_when_little_is_feared():
    assert largest_wave(NEXT_TO_NOTHING, 20, 1000, 0.05) >= 20
    assert largest_wave(posterior(NEXT_TO_NOTHING, 0, 5), 20, 1000, 0.0) == 20
    assert largest_wave(posterior(NEXT_TO_NOTHING, 10_000, 0), 20, 1000, 0.05) == 1000
    assert largest_wave(NEXT_TO_NOTHING, 20, 7, 0.05) == 7


def test_with_nothing_left_to_lose_a_wave_is_bounded_by_breaking_more_than_the_one_that_halts_it():
    known = posterior(NEXT_TO_NOTHING, 10, 0)
    alone, one = largest_wave(known, 0, 100, 0.05), largest_wave(known, 1, 100, 0.05)
    assert alone == one > 1
    assert overrun_probability(known, alone, 1) <= 0.05 < overrun_probability(known, alone + 1, 1)
    assert largest_wave(known, -1, 100, 0.05) == 0
    assert largest_wave(known, 5, 0, 0.05) == 0


def test_a_used_up_budget_is_a_budget_of_nothing_as_planning_md_tells_it():
    known = posterior(NEXT_TO_NOTHING, 58, 2)
    wave = largest_wave(known, 0, 40, 0.05)
    assert wave == 8
    assert overrun_probability(known, wave, 0) == pytest.approx(0.27, abs=0.005)
    assert overrun_probability(known, wave, 1) <= 0.05


# ---- the waves that a plan foretells


@pytest.mark.parametrize(
    ("number", "canaries"), [(1, 1), (20, 1), (49, 1), (100, 1), (240, 3), (1_000, 10), (10_000, 10)]
)
def test_the_first_wave_is_one_host_in_a_hundred_and_at_most_ten(number, canaries):
    plan = plan_by_evidence(number)
    assert sizes(plan)[0] == canaries
    assert sum(sizes(plan)) == number
    assert [host.wave for host in plan.hosts] == sorted(host.wave for host in plan.hosts)


def test_canaries_are_no_more_than_may_be_lost():
    assert sizes(plan_by_evidence(1_000, max_failures=3))[0] == 3
    assert sizes(plan_by_evidence(1_000, max_failures=0))[0] == 1


def test_waves_grow_when_all_succeed_and_a_good_history_makes_them_fewer():
    for number in (20, 49, 240, 1_000):
        alone, known = sizes(plan_by_evidence(number)), sizes(plan_by_evidence(number, prior_from(990, 10)))
        assert len(known) <= len(alone)
        assert all(small <= large for small, large in pairwise(alone[:-1]))
    assert sizes(plan_by_evidence(20)) == [1, 1, 1, 2, 3, 4, 6, 2]
    assert sizes(plan_by_evidence(20, prior_from(995, 5))) == [1, 11, 8]


def test_a_smaller_risk_makes_smaller_waves():
    careful, bold = sizes(plan_by_evidence(240, risk_percent=1)), sizes(plan_by_evidence(240, risk_percent=20))
    assert careful[1] < bold[1]
    assert len(careful) > len(bold)


def test_the_plan_says_its_waves_and_what_they_risk():
    assert budget_words(plan_by_evidence(240, prior_from(412, 8))) == (
        "98 % of 240 hosts allows 4 failures. Waves by evidence: 3 canaries, then 36, 81, 120 while no host fails; "
        "none is more than 5 % likely to overrun what is left. "
        "Known before: 8 of 420 earlier upgrades on record failed, counted as 25 hosts."
    )
    none_to_lose = budget_words(plan_by_evidence(49, risk_percent=10))
    assert none_to_lose.startswith("98 % of 49 hosts allows 0 failures: one failure stops the rollout. Waves")
    assert re.search(
        r"1 canary, then 1, .* while no host fails; none is more than 10 % likely to break more than one "
        r"host. Known before: no earlier upgrade on record, so next to nothing.$",
        none_to_lose,
    )
    many = plan_by_evidence(49, risk_percent=1)
    assert f" and so on, {len(sizes(many))} waves in all while no host fails" in budget_words(many)
    assert "1 canary; none" in budget_words(plan_by_evidence(1))


# ---- the waves that a rollout opens


def test_each_wave_is_opened_in_turn_and_no_host_starts_before_the_canaries_have_baked():
    plan = plan_by_evidence(100)
    assert next_step(plan, ready(plan), START) == OpenWave(1, ("w1h0",))
    first = ready(plan, wave_opened(1, "w1h0"))
    assert next_step(plan, first, START) == Upgrade(("w1h0",))
    baking = fold(plan, started("w1h0"), switched("w1h0"), onto=first)
    assert next_step(plan, baking, START) == Bake(1, ("w1h0",), None)
    proven = fold(plan, ended("w1h0", Outcome.SUCCEEDED), onto=baking)
    assert next_step(plan, proven, START) == OpenWave(2, tuple(hosts(1, 1 + sizes(plan)[1])))


def test_a_rollout_without_failures_opens_the_waves_that_the_plan_foretold():
    plan, opened_waves = plan_by_evidence(240, prior_from(97, 3)), []
    progress = ready(plan)
    while not isinstance(step := next_step(plan, progress, START), Done):
        assert isinstance(step, OpenWave)
        opened_waves += [(name, step.wave) for name in step.hosts]
        progress = fold(plan, wave_opened(step.wave, *step.hosts), *succeed(*step.hosts), onto=progress)
    assert opened_waves == [(host.name, host.wave) for host in plan.hosts]
    assert progress.wave is None


def test_after_a_failure_the_next_wave_is_smaller_than_foretold():
    plan = plan_by_evidence(240)
    seen = ready(plan, wave_opened(1, *hosts(3)), *succeed(*hosts(1, 3)), *fail("w1h0"))
    size = next_wave(plan, remaining=237, succeeded=2, failed=1)
    assert next_step(plan, seen, START) == OpenWave(2, tuple(hosts(3, 3 + size)))
    assert size < sizes(plan)[1]


def test_canaries_that_were_not_attempted_prove_nothing_so_canaries_come_again():
    plan = plan_by_evidence(240)
    left_out = [ledger.LeftOut(host=name, outcome=Outcome.DEFERRED, reason="why") for name in hosts(3)]
    progress = ready(plan, wave_opened(1, *hosts(3)), *left_out)
    assert next_step(plan, progress, START) == OpenWave(2, tuple(hosts(3, 6)))


def test_hosts_that_may_not_start_are_left_out_before_a_wave_is_opened():
    plan = plan_by_evidence(240)
    unproven = fold(plan, judged("w1h1", Verdict.FAILED, "no space"), onto=ready(plan))
    left = LeaveOut((("w1h1", Outcome.REFUSED, "gate failed: no space"),))
    assert next_step(plan, unproven, START) == left
    refused = fold(plan, ledger.LeftOut(host="w1h1", outcome=Outcome.REFUSED, reason="why"), onto=unproven)
    assert next_step(plan, refused, START) == OpenWave(1, ("w1h0", "w1h2", "w1h3"))
    nobody_told = fold(plan, opened())
    everybody = next_step(plan, nobody_told, START)
    assert isinstance(everybody, LeaveOut)
    assert len(everybody.hosts) == 240


def test_hosts_that_were_left_out_join_a_later_wave_when_the_next_controller_takes_over():
    plan = plan_by_evidence(240)
    deferred = ledger.LeftOut(host="w1h1", outcome=Outcome.DEFERRED, reason="why")
    facts = [wave_opened(1, *hosts(3)), *succeed("w1h0", "w1h2"), deferred]
    step = next_step(plan, ready(plan, *facts), START)
    assert isinstance(step, OpenWave)
    assert step.hosts[0] == "w1h3"
    resumed = ready(plan, *facts, opened("s2"))
    assert (resumed.sizes, resumed.wave) == ((2,), 2)
    step = next_step(plan, resumed, START)
    assert isinstance(step, OpenWave)
    assert step.hosts[:2] == ("w1h1", "w1h3")
    again = fold(plan, wave_opened(2, *step.hosts), onto=resumed)
    assert next(again.untried(2)) == "w1h1"
    assert (again.wave_of("w1h1"), again.wave_of("w1h0")) == (2, 1)


def test_a_wave_that_two_controllers_opened_is_one_wave():
    plan = plan_by_evidence(240)
    progress = ready(plan, wave_opened(1, *hosts(3)), wave_opened(1, *hosts(3)))
    assert (progress.sizes, progress.ends, progress.wave) == ((3,), (3,), 1)
    assert list(progress.untried(1)) == hosts(3)


def test_between_two_waves_the_rollout_is_not_over():
    plan = plan_by_evidence(240)
    progress = ready(plan, wave_opened(1, *hosts(3)), *succeed(*hosts(3)))
    assert (progress.sizes, progress.wave) == ((3,), 2)
    resumed = fold(plan, opened("s2"), onto=progress)
    assert next_step(plan, resumed, START) == next_step(plan, progress, START)


def test_a_failing_wave_goes_back_as_it_was_opened_not_as_it_was_foretold():
    plan = plan_by_evidence(100, rollback=RollbackScope.WAVE)
    second = [wave_opened(2, *hosts(1, 7)), *succeed(*hosts(1, 4)), *fail(*hosts(4, 7))]
    facts = [wave_opened(1, "w1h0"), *succeed("w1h0"), *second]
    step = next_step(plan, ready(plan, *facts), START)
    assert isinstance(step, RollBack)
    assert step.hosts == tuple(hosts(1, 4))


def test_the_report_counts_a_host_in_the_wave_that_was_opened():
    plan = plan_by_evidence(100)
    planned = ledger.Planned(document=to_document(plan))
    facts = [planned, wave_opened(1, "w1h0"), *succeed("w1h0"), wave_opened(2, "w1h1"), *fail("w1h1")]
    entries = [Entry(number, START, plan.id, fact, "", "") for number, fact in enumerate(facts)]
    records = {record.host: record for record in read_records(entries).hosts}
    foretold = {host.name: host.wave for host in plan.hosts}
    assert [records[name].wave for name in hosts(2)] == [1, 2]
    assert records["w1h50"].wave == foretold["w1h50"]


def test_the_track_record_counts_what_ended_by_itself_over_all_plans_of_the_product():
    plan = plan_of((9,))
    other = replace(plan, id="q" * 64, product="another")
    back = [started("w1h2", 2, Action.ROLL_BACK), ended("w1h2", Outcome.ROLLED_BACK, 2)]
    lost = [started("w1h5"), ended("w1h5", Outcome.UNKNOWN)]
    out = [ledger.LeftOut(host="w1h6", outcome=Outcome.REFUSED, reason="why")]
    facts = [*succeed(*hosts(3)), *fail("w1h3", "w1h4"), *back, *lost, *out]
    entries = [
        Entry(number, START, one.id, fact, "", "")
        for one in (plan, other)
        for number, fact in enumerate([ledger.Planned(document=to_document(one)), *facts])
    ]
    records = read_records(entries).hosts
    assert track_record(records, "boathouse") == (2, 2)
    assert track_record(records, "nothing") == (0, 0)


# ---- when to give up


def test_one_failure_is_no_evidence_and_two_of_two_are():
    assert not refutes_target(0, 1, 98)
    assert refutes_target(0, 2, 98)
    assert refutes_target(30, 5, 98)
    assert not refutes_target(31, 5, 98)
    assert evidence_against(0, 0, 98) == pytest.approx(1.0)
    assert evidence_against(500, 0, 98) < 0.5
    assert evidence_against(0, 100_000, 98) < inf
    assert (evidence_against(5, 0, 100), evidence_against(5, 1, 100)) == (1.0, inf)


def test_evidence_stops_long_before_a_large_budget_is_used_up():
    plan = plan_of((500,), Policy(**{**EVIDENCE, "waves": ("100%",)}, max_failures=400))
    six = [*succeed(*hosts(6, 40)), *fail(*hosts(6))]
    progress = ready(plan, *six)
    assert stop_reason(plan, progress) == (
        "evidence: 6 failures in 40 make a true rate of 98 % implausible "
        "(a release that has it is stopped so in at most 1 % of rollouts)"
    )
    assert next_step(plan, progress, START) == Halt(stop_reason(plan, progress))
    plenty = ready(plan, *six, *succeed(*hosts(40, 100)))
    assert stop_reason(plan, plenty) == ""


def test_hosts_without_an_end_count_as_well_so_failures_that_show_first_raise_no_alarm():
    plan = plan_of((500,), Policy(**{**EVIDENCE, "waves": ("100%",)}))
    others = hosts(3, 20)
    begun = [*map(started, others), *map(switched, others[:9])]
    assert stop_reason(plan, ready(plan, *fail(*hosts(3)))) != ""
    assert stop_reason(plan, ready(plan, *begun, *fail(*hosts(3)))) == ""
    refused = [ended(name, Outcome.REFUSED) for name in others]
    assert stop_reason(plan, ready(plan, *begun, *fail(*hosts(3)), *refused)) != ""
