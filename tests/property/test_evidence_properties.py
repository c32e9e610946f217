"""What must hold for every posterior, budget and risk; and what the stop rule does to releases that meet the target."""

from __future__ import annotations

from math import comb, exp, lgamma
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftlock.evidence import (
    FALSE_ALARM,
    evidence_against,
    largest_wave,
    overrun_probability,
    posterior,
    prior_from,
    refutes_target,
)
from liftlock.model import Prior

relaxed = settings(max_examples=200, deadline=None)

shapes = st.floats(0.05, 60.0)
priors = st.builds(lambda alpha, beta: Prior(alpha, beta, ""), shapes, shapes)
counts = st.integers(0, 400)
risks = st.floats(0.01, 0.5)


@relaxed
@given(priors, st.integers(0, 40), st.integers(-1, 41))
def test_the_chance_of_overrunning_is_the_sum_of_the_ways_to_do_so(known: Prior, hosts: int, budget: int) -> None:
    def chance(failures: int) -> float:
        more, fewer = known.alpha + failures, known.beta + hosts - failures
        logs = lgamma(more) + lgamma(fewer) - lgamma(more + fewer)
        logs -= lgamma(known.alpha) + lgamma(known.beta) - lgamma(known.alpha + known.beta)
        return comb(hosts, failures) * exp(logs)

    summed = sum(chance(failures) for failures in range(max(0, budget + 1), hosts + 1)) if budget >= 0 else 1.0
    assert overrun_probability(known, hosts, budget) == pytest.approx(summed, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(priors, st.integers(1, 60), st.data())
def test_the_chance_of_overrunning_is_how_often_it_happens(known: Prior, hosts: int, data: st.DataObject) -> None:
    budget, random, runs = data.draw(st.integers(0, hosts)), Random(data.draw(st.integers(0, 2**16))), 2_000
    overruns = 0
    for _ in range(runs):
        rate = random.betavariate(known.alpha, known.beta)
        overruns += sum(random.random() < rate for _ in range(hosts)) > budget
    assert overruns / runs == pytest.approx(overrun_probability(known, hosts, budget), abs=0.06)  # 5 standard errors


@relaxed
@given(priors, st.integers(0, 100_000), st.integers(-2, 3_000))
def test_the_chance_is_one_and_grows_with_the_wave_and_shrinks_with_the_budget(
    known: Prior, hosts: int, budget: int
) -> None:
    chance = overrun_probability(known, hosts, budget)
    assert 0.0 <= chance <= 1.0
    assert overrun_probability(known, hosts + 1, budget) >= chance - 1e-9
    assert overrun_probability(known, hosts, budget + 1) <= chance + 1e-9
    assert overrun_probability(posterior(known, 0, 1), hosts, budget) >= chance - 1e-9
    assert overrun_probability(posterior(known, 1, 0), hosts, budget) <= chance + 1e-9


@relaxed
@given(priors, counts, st.integers(1, 20_000), risks)
def test_the_largest_wave_is_within_its_risk_and_one_host_more_is_not(
    known: Prior, budget: int, remaining: int, risk: float
) -> None:
    size, bearable = largest_wave(known, budget, remaining, risk), max(1, budget)
    assert min(bearable, remaining) <= size <= remaining
    assert overrun_probability(known, size, bearable) <= risk
    assert size == remaining or overrun_probability(known, size + 1, bearable) > risk


@relaxed
@given(priors, counts, counts, counts, st.integers(0, 20_000), risks, st.floats(0.0, 0.5), st.integers(0, 30))
def test_more_budget_and_more_risk_never_make_a_wave_smaller_and_more_failures_never_larger(
    known: Prior, succeeded: int, failed: int, budget: int, remaining: int, risk: float, bolder: float, more: int
) -> None:
    def wave(*, failed: int = failed, budget: int = budget, risk: float = risk) -> int:
        return largest_wave(posterior(known, succeeded, failed), budget, remaining, risk)

    assert wave(budget=budget + more) >= wave()
    assert wave(risk=risk + bolder) >= wave()
    assert wave(failed=failed + more) <= wave()
    assert wave(failed=failed + more, budget=budget - more) <= wave()


@relaxed
@given(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0.001, 1.0))
def test_history_weighs_what_it_may_and_leans_to_its_own_rate(successes: int, failures: int, discount: float) -> None:
    prior = prior_from(successes, failures, discount=discount)
    weight = prior.alpha + prior.beta - 1.0
    assert 0.0 <= weight <= min(25.0, discount * (successes + failures)) + 1e-9
    if total := successes + failures:
        mean = prior.alpha / (prior.alpha + prior.beta)
        assert min(0.5, failures / total) - 1e-9 <= mean <= max(0.5, failures / total) + 1e-9


@relaxed
@given(st.integers(0, 5_000), st.integers(0, 200), st.integers(1, 99), st.integers(1, 50))
def test_failures_speak_against_the_target_and_successes_for_it(
    succeeded: int, failed: int, target: int, more: int
) -> None:
    evidence = evidence_against(succeeded, failed, target)
    assert evidence >= 0.0
    assert evidence_against(succeeded, failed + more, target) >= evidence
    assert evidence_against(succeeded + more, failed, target) <= evidence


@pytest.mark.parametrize("target", [90, 98, 99])
def test_looked_at_after_every_host_few_releases_that_meet_the_target_are_stopped(target: int) -> None:
    """Rates at the target exactly, the worst that still meet it; 3 000 rollouts of 1 000 hosts each."""
    random, rollouts, alarms = Random(f"false alarms at {target}"), 3_000, 0
    allowed = (100 - target) / 100
    for _ in range(rollouts):
        failures = [host for host in range(1_000) if random.random() < allowed]
        # Between two failures the evidence only falls, so looking at each failure is looking after every host.
        alarms += any(
            refutes_target(host + 1 - failed, failed, target) for failed, host in enumerate(failures, start=1)
        )
    assert 0 < alarms <= FALSE_ALARM * rollouts


def test_a_release_that_fails_on_one_host_in_five_is_found_out_soon() -> None:
    random, needed = Random("one in five"), []
    for _ in range(500):
        hosts = failed = 0
        while not refutes_target(hosts - failed, failed, 98):
            hosts += 1
            failed += random.random() < 0.2
        needed.append(hosts)
    assert sorted(needed)[250] < 25
    assert max(needed) < 150
