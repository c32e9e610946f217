from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.errors import InputError
from liftlock.ledger import Consented, Delivered, Entry, Fact, Finished, Queued, Sending, Settled
from liftlock.model import NoticeKind, NoticeState
from liftlock.outbox import Told, find, identity, message_id, sort_out, standing

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ANNOUNCED = NoticeKind.ANNOUNCED
SENT, FAILED, REFUSED = NoticeState.SENT, NoticeState.FAILED, NoticeState.REFUSED
QUEUED, SENDING, AMBIGUOUS = NoticeState.QUEUED, NoticeState.SENDING, NoticeState.AMBIGUOUS


def record(*facts: Fact) -> list[Entry]:
    """One entry an hour, from noon on."""
    return [Entry(seq, NOON + timedelta(hours=seq), "p", fact, "", "") for seq, fact in enumerate(facts)]


def queued(message: str = "<a@x>", kind: NoticeKind = ANNOUNCED) -> Queued:
    return Queued(message_id=message, customer="harbour", kind=kind, recipient="ada@harbour.example")


def delivered(state: NoticeState, message: str = "<a@x>", kind: NoticeKind = ANNOUNCED) -> Delivered:
    return Delivered(message_id=message, customer="harbour", kind=kind, recipient="ada@harbour.example", state=state)


def settled(state: NoticeState, message: str = "<a@x>") -> Settled:
    return Settled(message_id=message, state=state, reason="she rang", by="mei")


SENDS = Sending(message_id="<a@x>")

text = st.text(max_size=20)


@given(text, text, text, text)
def test_a_message_identity_is_stable_and_differs_with_each_part(
    plan: str, customer: str, mail: str, other: str
) -> None:
    made = message_id(plan, customer, ANNOUNCED, mail, "quayside.example")
    assert made == message_id(plan, customer, ANNOUNCED, mail, "quayside.example")
    assert made.isascii()
    assert made.endswith("@quayside.example>")
    assert identity(made) == identity(message_id(plan, customer, ANNOUNCED, mail, "moved.example"))
    assert made != message_id(plan, customer, NoticeKind.COMPLETED, mail, "quayside.example")
    assert made != message_id(plan, customer, ANNOUNCED, mail, "quayside.example", number=2)
    if other != plan:
        assert made != message_id(other, customer, ANNOUNCED, mail, "quayside.example")
    if other.casefold() != mail.casefold():
        assert made != message_id(plan, customer, ANNOUNCED, other, "quayside.example")
    if other != customer:
        assert made != message_id(plan, other, ANNOUNCED, mail, "quayside.example")


@pytest.mark.parametrize(
    ("facts", "state", "hours"),
    [
        pytest.param([queued()], QUEUED, 0, id="decided, not begun"),
        pytest.param([queued(), SENDS], SENDING, 1, id="begun, no end"),
        pytest.param([queued(), SENDS, delivered(SENT)], SENT, 2, id="sent"),
        pytest.param([queued(), SENDS, delivered(SENT), SENDS, delivered(FAILED)], SENT, 2, id="sent stays sent"),
        pytest.param([queued(), SENDS, delivered(FAILED), SENDS], SENDING, 3, id="begun once more"),
        pytest.param([queued(), SENDS, settled(SENT)], SENT, 1, id="settled as sent since its sending began"),
        pytest.param([queued(), SENDS, settled(FAILED)], FAILED, 2, id="settled to be sent again"),
        pytest.param([delivered(REFUSED), Finished()], REFUSED, 0, id="of a record that queued nothing"),
    ],
)
def test_where_a_letter_stands_and_since_when(facts: list[Fact], state: NoticeState, hours: int) -> None:
    letter = standing(record(*facts))["a"]
    assert (letter.state, letter.at) == (state, NOON + timedelta(hours=hours))


@pytest.mark.parametrize(
    ("state", "pile"),
    [
        (None, "to_send"),
        (QUEUED, "to_send"),
        (FAILED, "to_send"),
        (SENDING, "ambiguous"),
        (AMBIGUOUS, "ambiguous"),
        (REFUSED, "refused"),
        (SENT, "sent"),
    ],
)
def test_only_what_surely_did_not_arrive_is_sent_again(state: NoticeState | None, pile: str) -> None:
    facts: dict[NoticeState | None, list[Fact]] = {None: [], QUEUED: [queued()], SENDING: [queued(), SENDS]}
    letters = standing(record(*(facts[state] if state in facts else [queued(), delivered(state)])))
    piles = sort_out(["<a@another.domain>"], letters)
    assert {name: getattr(piles, name) for name in ("to_send", "ambiguous", "refused", "sent")} == {
        name: ("<a@another.domain>",) if name == pile else () for name in ("to_send", "ambiguous", "refused", "sent")
    }


def test_a_letter_in_doubt_is_found_by_the_beginning_of_its_id_and_no_other() -> None:
    names = ("<abcdef12@x>", "<abcdef34@x>", "<fedcba98@x>")
    begun = [fact for name in names for fact in (queued(name), Sending(message_id=name))]
    letters = standing(record(*begun, delivered(SENT, "<fedcba98@x>")))
    assert find("<abcdef12@x>", letters).message_id == find("abcdef1", letters).message_id == "<abcdef12@x>"
    for wrong, said in (("abcdef", "2 letters"), ("abc", "letters"), ("nothing", "no letters"), ("fedcba98", "sent")):
        with pytest.raises(InputError, match=said):
            find(wrong, letters)


def told(*facts: Fact) -> Told:
    known = Told()
    for entry in record(*facts):
        if not isinstance(entry.fact, Finished):
            known = known.with_fact(entry.fact, entry.at)
    return known


def test_a_customer_is_told_since_the_first_letter_that_announced_the_plan_or_that_it_is_another() -> None:
    again = NoticeKind.RESCHEDULED
    assert dict(told(queued(), SENDS, delivered(FAILED)).since) == {}
    reminder = NoticeKind.REMINDER
    assert dict(told(queued(kind=reminder), delivered(SENT, kind=reminder)).since) == {}
    assert dict(told(queued(), delivered(SENT), delivered(SENT, "<b@x>")).since) == {
        "harbour": NOON + timedelta(hours=1)
    }
    assert dict(told(queued(kind=again), delivered(SENT, kind=again)).since) == {"harbour": NOON + timedelta(hours=1)}
    assert dict(told(queued(), SENDS, Finished(), settled(SENT)).since) == {"harbour": NOON + timedelta(hours=1)}
    assert dict(told(queued(), SENDS, settled(FAILED)).since) == {}
    assert told(Consented(customer="harbour", by="Ada")).consented == {"harbour"}


def test_a_customer_is_called_off_since_the_first_letter_that_may_have_told_it_so() -> None:
    off = Sending(message_id="<c@x>", calls_off="harbour")
    assert dict(told(queued(), SENDS, delivered(SENT)).called_off) == {}
    assert dict(told(queued(), SENDS, off, off).called_off) == {"harbour": NOON + timedelta(hours=2)}


def test_a_letter_tells_what_was_on_record_when_it_was_written_last() -> None:
    first, again = (replace(SENDS, as_of=seq) for seq in (1, 3))
    (letter,) = standing(record(queued(), first, delivered(FAILED), again)).values()
    assert (letter.as_of, letter.calls_off) == (3, False)
    (letter,) = standing(record(queued(), SENDS)).values()
    assert letter.as_of == 1, "a record from before that was noted: all that stands before it"
