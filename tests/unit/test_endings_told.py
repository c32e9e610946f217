"""What `rollout` and `status` say of hosts and of an end, and `incident` of spans: nothing that is no longer true."""

from __future__ import annotations

from datetime import timedelta

import pytest

from liftlock import ledger
from liftlock.adapters.review_page import incident_words
from liftlock.app.reporting import ending_document, host_lines
from liftlock.app.rolling import Ending
from liftlock.errors import ExitCode
from liftlock.incident import Incident, told_span
from liftlock.ledger import Fact
from liftlock.model import Outcome
from liftlock.rollout import Halt, Step
from world import START, ended, fold, opened, plan_of, started

LEFT_OUT = ledger.LeftOut(host="w1h0", outcome=Outcome.REFUSED, reason="acme has not been sent the notice")


def ending(*facts: Fact, step: Step | None = None) -> Ending:
    plan = plan_of((1,))
    return Ending(plan, step, fold(plan, opened(), *facts), ExitCode.DONE, {})


def test_a_host_that_is_pending_again_shows_no_cause_and_one_with_an_outcome_does() -> None:
    (line,) = host_lines(ending(LEFT_OUT))
    assert (line["outcome"], line["cause"]) == ("refused", "acme has not been sent the notice")
    (line,) = host_lines(ending(LEFT_OUT, opened("s2")))
    assert (line["outcome"], line["cause"]) == ("pending", "")
    (line,) = host_lines(ending(started("w1h0"), ended("w1h0", Outcome.FAILED, cause="it burns")))
    assert (line["outcome"], line["cause"]) == ("failed", "it burns")


def test_an_end_by_an_operator_is_not_a_halt_by_a_rule() -> None:
    by_rule = Halt("budget: 1 of 1 planned hosts failed")
    assert ending_document(ending(step=by_rule))["end"] == "halt"
    aborted = ledger.Aborted(reason="wrong week", by="ana")
    told = ending_document(ending(aborted, step=Halt("aborted: wrong week")))
    assert (told["end"], told["reason"]) == ("aborted", "aborted: wrong week")


@pytest.mark.parametrize("seconds", [0.2, 59.6, 360.3, 390.0, 419.9, 7300.0])
def test_the_service_review_and_the_incident_say_the_same_minutes(seconds: float) -> None:
    span = timedelta(seconds=seconds)
    words = incident_words(Incident(START, "it burns", START + span, "ana", START + span))
    assert words["acknowledged"] == words["recovered"] == told_span(span)
