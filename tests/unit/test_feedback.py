"""Codes that only the vendor can make, and answers as people write them."""

from __future__ import annotations

from email.message import EmailMessage
from urllib.parse import unquote

import pytest

from liftlock.errors import InputError
from liftlock.feedback import Answer, code_of, find, links, read_reply, read_score

KEY = b"k" * 32
GIVEN_OUT = [("p1", "acme"), ("p1", "huaxin"), ("p2", "acme")]


def test_a_code_stands_for_one_plan_and_customer_and_needs_the_key() -> None:
    codes = {code_of(KEY, *each) for each in GIVEN_OUT}
    assert len(codes) == len(GIVEN_OUT)
    assert find(KEY, code_of(KEY, "p1", "huaxin"), GIVEN_OUT) == ("p1", "huaxin")
    assert find(KEY, f" {code_of(KEY, 'p2', 'acme').lower()} ", GIVEN_OUT) == ("p2", "acme")
    with pytest.raises(InputError, match="was not given out"):
        find(b"other key", code_of(KEY, "p1", "acme"), GIVEN_OUT)


def test_customers_and_plans_do_not_run_together() -> None:
    assert code_of(KEY, "p1", "1acme") != code_of(KEY, "p11", "acme")


def test_a_link_answers_with_code_and_score_in_one_click() -> None:
    code = code_of(KEY, "p1", "acme")
    made = links(code, "support@vendor.example")
    assert len(made) == 5
    to, _, query = made[4].partition("?subject=")
    assert to == "mailto:support@vendor.example"
    assert read_reply(unquote(query), "") == Answer(code, 5)


def test_a_reply_gives_its_first_own_paragraph_as_the_sentence() -> None:
    code = code_of(KEY, "p1", "acme")
    reply = EmailMessage()
    reply["Subject"] = f"Re: AW: {code.lower()} 4"
    reply.set_content("> How was it?\n\n  Quick,\x1b[31m and \n quiet. \n> On Friday you wrote\n\nMore")
    body = reply.get_content()
    assert read_reply(str(reply["Subject"]), body) == Answer(code, 4, "Quick, [31m and quiet.")


@pytest.mark.parametrize(
    "subject",
    ["", "Re: your upgrade", "ABCD-EFGH 5", "ABCD-EFGH-IJKL 6", "ABCD-EFGH-IJKL", "ABCD-EFGH-IJKL 4.5"],
)
def test_other_mail_is_no_answer(subject: str) -> None:
    assert read_reply(subject, "5") is None


@pytest.mark.parametrize("text", ["0", "6", "five", "", "4.5", "-1", "٣"])
def test_a_score_is_a_whole_number_from_one_to_five(text: str) -> None:
    with pytest.raises(InputError, match="from 1 to 5"):
        read_score(text)
    assert read_score("3") == 3
