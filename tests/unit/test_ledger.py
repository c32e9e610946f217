from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.errors import LedgerError
from liftlock.ledger import GENESIS, Entry, Fact, Halted, decode, encode, link, verify_chain

KINDS = get_args(Fact)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=10,
)


def values_of(kind: type[Any], name: str) -> st.SearchStrategy[Any]:
    if name == "document":
        return st.dictionaries(st.text(), json_values, max_size=5)
    hint = get_type_hints(kind)[name]
    return st.floats(min_value=0, allow_infinity=False) if hint is float else st.from_type(hint)


def facts_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{part.name: values_of(kind, part.name) for part in fields(kind)})


facts = st.one_of([facts_of(kind) for kind in KINDS])
times = st.builds(
    lambda elapsed, zone: (datetime(1970, 1, 2, tzinfo=UTC) + elapsed).astimezone(zone),
    st.timedeltas(timedelta(0), timedelta(days=80_000)),
    st.just(UTC) | st.timezones(),
)


def chain(contents: Sequence[tuple[datetime, str, Fact]]) -> list[Entry]:
    entries: list[Entry] = []
    for seq, (at, plan, fact) in enumerate(contents, start=1):
        previous = entries[-1].hash if entries else GENESIS
        entries.append(Entry(seq, at, plan, fact, previous, link(previous, at, plan, encode(fact))))
    return entries


chains = st.lists(st.tuples(times, st.text(), facts), min_size=2, max_size=6).map(chain)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_every_fact_reads_back_as_it_was_written(kind: type[Any], data: st.DataObject) -> None:
    fact = data.draw(facts_of(kind))
    assert decode(encode(fact)) == fact
    assert encode(decode(encode(fact))) == encode(fact)


def test_every_fact_has_its_own_name() -> None:
    assert len({get_args(get_type_hints(kind)["fact"])[0] for kind in KINDS}) == len(KINDS)


def test_the_stored_form_does_not_depend_on_the_order_of_keys() -> None:
    planned = '{"document":{"b":1,"a":"锁"},"fact":"planned"}'
    assert encode(decode(planned)) == '{"document":{"a":"锁","b":1},"fact":"planned"}'


@pytest.mark.parametrize(
    "stored",
    [
        '{"fact":"sending","message_id":"<1@x>"}',
        '{"customer":"acme","fact":"queued","kind":"announced","message_id":"<1@x>","recipient":"a@x"}',
    ],
)
def test_an_entry_from_before_a_fact_had_more_fields_keeps_its_hash(stored: str) -> None:
    assert encode(decode(stored)) == stored


@pytest.mark.parametrize("text", ["", "{", "[]", '{"fact":"unheard-of"}', '{"fact":"halted"}', '{"reason":"x"}'])
def test_text_that_is_no_fact_is_a_ledger_error(text: str) -> None:
    with pytest.raises(LedgerError, match="cannot read"):
        decode(text)


@given(chains)
def test_an_untouched_chain_holds_whole_and_from_any_entry_on(entries: list[Entry]) -> None:
    assert verify_chain(entries) == len(entries)
    assert verify_chain(entries[1:], previous=entries[0].hash) == len(entries) - 1


@given(chains, facts, st.data())
def test_a_changed_entry_is_found(entries: list[Entry], other: Fact, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(entries) - 1))
    entry = entries[at]
    changes = [replace(entry, plan=entry.plan + "x"), replace(entry, at=entry.at + timedelta(microseconds=1))]
    if encode(other) != encode(entry.fact):
        changes.append(replace(entry, fact=other))
    for changed in changes:
        with pytest.raises(LedgerError, match=f"entry {entry.seq} "):
            verify_chain([*entries[:at], changed, *entries[at + 1 :]])


@given(chains, st.data())
def test_a_changed_entry_is_found_even_when_its_own_hash_was_made_anew(
    entries: list[Entry], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(entries) - 2))
    entry = entries[at]
    forged = replace(
        entry, plan=entry.plan + "x", hash=link(entry.previous, entry.at, entry.plan + "x", encode(entry.fact))
    )
    with pytest.raises(LedgerError, match=f"entry {entry.seq + 1} "):
        verify_chain([*entries[:at], forged, *entries[at + 1 :]])


@given(chains, st.data())
def test_a_removed_entry_is_found_unless_it_is_the_last(entries: list[Entry], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(entries) - 2))
    with pytest.raises(LedgerError, match="removed"):
        verify_chain([*entries[:at], *entries[at + 1 :]])
    assert verify_chain(entries[:-1]) == len(entries) - 1


@given(chains, st.data())
def test_two_swapped_entries_are_found(entries: list[Entry], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(entries) - 2))
    swapped = [*entries[:at], entries[at + 1], entries[at], *entries[at + 2 :]]
    with pytest.raises(LedgerError, match="does not follow"):
        verify_chain(swapped)


@given(chains, facts, st.data())
def test_an_inserted_entry_is_found(entries: list[Entry], fact: Fact, data: st.DataObject) -> None:
    before = data.draw(st.integers(0, len(entries) - 1))
    next_one = entries[before]
    hash_ = link(next_one.previous, next_one.at, next_one.plan, encode(fact))
    inserted = replace(next_one, fact=fact, hash=hash_)
    with pytest.raises(LedgerError, match="inserted"):
        verify_chain([*entries[:before], inserted, *entries[before:]])


@given(times, st.integers(-23, 23))
def test_the_link_depends_on_the_moment_and_not_on_the_zone_it_is_told_in(at: datetime, hours: int) -> None:
    elsewhere = at.astimezone(timezone(timedelta(hours=hours)))
    assert link(GENESIS, at, "plan", "{}") == link(GENESIS, elsewhere, "plan", "{}")


def test_a_link_says_what_the_format_promises() -> None:
    entry = chain([(datetime(2026, 3, 1, 22, 0, 0, 5, tzinfo=UTC), "p1", Halted(reason="budget"))])[0]
    # printf '%s\n' 000...0 2026-03-01T22:00:00.000005+00:00 p1 '{"fact":"halted","reason":"budget"}' | sha256sum
    assert entry.hash == "7e815cccc4695ef5b433b4c0e991ea71b1e7874c1eb7a381f5150546e0be4cb3"
