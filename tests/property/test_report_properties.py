from __future__ import annotations

from datetime import timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from liftlock.ledger import Ailing, Entry, Fact, Voided
from liftlock.model import Action, Exclusion, Outcome, Plan, ReleaseKind
from liftlock.progress import Standing
from liftlock.report import Part, Rate, as_json, make_report
from property.test_rollout_properties import Run, worlds
from unit.report_ledger import START, Book, ended, left_out, make_plan, planned_host, started, switched

HOSTS = ("h1", "h2", "h3", "h4")
NOT_ATTEMPTED = [outcome for outcome in Outcome if not outcome.attempted]

hosts = st.sampled_from(HOSTS)
facts: st.SearchStrategy[Fact] = st.one_of(
    st.builds(started, hosts, st.integers(1, 3), st.sampled_from(Action)),
    st.builds(switched, hosts),
    st.builds(ended, hosts, st.sampled_from(Outcome), cause=st.sampled_from(["", "disk full", "health"])),
    st.builds(left_out, hosts, st.sampled_from(NOT_ATTEMPTED), st.just("why")),
    st.builds(Voided, host=hosts, attempt=st.just(1), cause=st.just("lost")),
    st.builds(Ailing, host=hosts, cause=st.just("health")),
)


@st.composite
def rollouts(draw: st.DrawFn, id_: str) -> tuple[Plan, list[Fact]]:
    """A plan and any facts at all about its hosts, sensible or not."""
    plan = make_plan(
        id_,
        [planned_host(name, draw(st.sampled_from(["acme", "birch"])), draw(st.integers(1, 3))) for name in HOSTS],
        product=draw(st.sampled_from(["kanal", "schleuse"])),
        version=draw(st.sampled_from(["4.2.0", "4.10.0"])),
        kind=draw(st.sampled_from(ReleaseKind)),
        created_at=START + timedelta(days=draw(st.integers(0, 400))),
        exclusions=[Exclusion("x", "acme", draw(st.sampled_from(NOT_ATTEMPTED)), "left out")],
    )
    return plan, draw(st.lists(facts, max_size=20))


def entries_of(plan: Plan, written: list[Fact]) -> list[Entry]:
    return Book(now=plan.created_at).planned(plan).write(plan, *written).entries


@given(rollouts("p1"), rollouts("p2"))
def test_every_breakdown_adds_up_to_the_whole(first: tuple[Plan, list[Fact]], second: tuple[Plan, list[Fact]]) -> None:
    report = make_report(entries_of(*first) + entries_of(*second))
    left_out_hosts = sum(len(group.records) for groups in report.not_attempted.values() for group in groups)
    unknown = sum(len(group.records) for group in report.unknown)
    failed = sum(len(group.records) for group in report.failures)

    def total(parts: tuple[Part, ...]) -> tuple[int, ...]:
        rates = [part.rate for part in parts]
        counts = (sum(rate.succeeded for rate in rates), sum(rate.attempted for rate in rates))
        return (
            *counts,
            *(sum(column) for column in zip(*((p.unknown, p.not_attempted, p.pending) for p in parts), strict=True)),
        )

    whole = (report.overall.succeeded, report.overall.attempted, unknown, left_out_hosts, report.pending)
    for parts in (report.by_release, report.by_customer, report.by_wave, report.by_kind, report.by_period):
        assert total(parts) == whole
    assert 0 <= report.overall.succeeded <= report.overall.attempted
    assert report.overall.succeeded + failed + unknown == report.overall.attempted
    assert report.overall.attempted + left_out_hosts + report.pending == len(report.records) == 2 * (len(HOSTS) + 1)


@given(rollouts("p1"), rollouts("p2"), st.randoms(use_true_random=False))
def test_the_order_of_unrelated_plans_does_not_matter(
    first: tuple[Plan, list[Fact]], second: tuple[Plan, list[Fact]], chance: Random
) -> None:
    queues = [entries_of(*first), entries_of(*second)]
    expected = as_json(make_report([*queues[0], *queues[1]]))
    mixed = []
    while any(queues):
        mixed.append(chance.choice([queue for queue in queues if queue]).pop(0))
    assert as_json(make_report(mixed)) == expected


@given(rollouts("p1"), hosts, st.sampled_from(NOT_ATTEMPTED))
def test_leaving_a_host_out_never_improves_the_rate(
    rollout: tuple[Plan, list[Fact]], host: str, outcome: Outcome
) -> None:
    plan, written = rollout
    before = make_report(entries_of(plan, written)).overall
    assert make_report(entries_of(plan, [*written, left_out(host, outcome, "why")])).overall == before


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(1, 100))
def test_a_rate_lies_in_its_interval_and_its_rounded_form_never_flatters(counts: tuple[int, int], target: int) -> None:
    rate = Rate(*counts)
    assert rate.interval is not None
    assert rate.interval_percent is not None
    assert rate.percent is not None
    low, high = rate.interval
    assert 0 <= low <= rate.succeeded / rate.attempted <= high <= 1
    assert rate.interval_percent[0] <= rate.percent <= rate.interval_percent[1]
    assert (rate.percent >= target) == rate.meets(target)


@settings(max_examples=50, deadline=None)
@given(worlds(), st.integers(10, 60))
def test_the_report_counts_what_the_engine_counts_even_after_a_crash(
    world: tuple[Plan, dict[str, dict[str, object]]], dies_at: int
) -> None:
    run = Run(*world)
    run.store.dies_at = dies_at
    run.go()
    progress, entries = run.progress(), Book().planned(run.plan).entries + list(run.store.entries())
    report = make_report(entries)
    unknown = (Standing.IN_HAND, Standing.LOST, Standing.SWITCHED, Standing.AILING)
    assert report.overall.succeeded == progress.count(Standing.SUCCEEDED)
    assert sum(group.size for group in report.failures) == sum(
        progress.count(standing) for standing in (Standing.FAILED, Standing.BROUGHT_BACK)
    )
    assert sum(group.size for group in report.unknown) == sum(progress.count(standing) for standing in unknown)
    assert report.budgets[0].used == progress.count(Standing.FAILED)
