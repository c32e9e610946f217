"""From a rollout to its review: the letter that tells a customer that all is done brings its answer back."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from urllib.parse import unquote

from e2e.conftest import MakeHarbour
from e2e.harbour import Harbour


def letter(harbour: Harbour, to: str, subject: str) -> EmailMessage:
    """The one letter to them that the mail server got, with that in its subject."""
    saved = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in harbour.mail.glob("*.eml")]
    (found,) = [one for one in saved if to in str(one["To"]) and subject in str(one["Subject"])]
    assert isinstance(found, EmailMessage)
    return found


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def test_customers_answer_the_completed_letter_and_the_review_counts_it(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    harbour.ask("rollout", harbour.announced())

    english = letter(harbour, "northpier", "1.5.0: done")
    (five,) = re.findall(r'href="(mailto:[^"]*%205)"', part(english, "html"))
    to, subject = re.fullmatch(r"mailto:([^?]*)\?subject=(.*)", five).groups()  # type: ignore[union-attr]
    reply = EmailMessage()
    reply["From"], reply["To"], reply["Subject"] = english["To"], to, f"Re: {unquote(subject)}"
    reply.set_content("很快，没有影响业务。", cte="base64")
    replies = harbour.workspace / "replies"
    replies.mkdir()
    (replies / "1.eml").write_bytes(reply.as_bytes())
    (replies / "2.eml").write_bytes(b"Subject: AAAA-BBBB-CCCC 1\n\nnever a customer")
    (replies / "3.eml").write_bytes(b"Subject: thank you\n\nall well")
    heard = harbour.ask("feedback", "--mail", "replies", code=3).told
    assert heard["passed_over"] == ["replies/3.eml"]
    assert [(one["customer"], one["score"], one["comment"]) for one in heard["answers"]] == [
        ("northpier", 5, "很快，没有影响业务。")
    ]
    assert [(one["file"], "was not given out" in one["why"]) for one in heard["unknown"]] == [("replies/2.eml", True)]

    chinese = part(letter(harbour, "huaxin", "已完成"), "plain")
    (code,) = re.findall(r"^ {4}([A-Z2-7-]{14}) 5\s*$", chinese, re.MULTILINE)
    harbour.ask("feedback", "--code", code.lower(), "--score", "3")
    assert not harbour.ask("feedback", "--code", code, "--score", "3").told["answers"][0]["recorded"]
    assert "was not given out" in harbour.liftlock("feedback", "--code", f"{code[:-1]}!", "--score", "3", code=2).stderr
    assert "from 1 to 5" in harbour.liftlock("feedback", "--code", code, "--score", "6", code=2).stderr

    review = harbour.ask("report", "--quarter", "now").told
    measures = {one["name"]: one["trend"][-1] for one in review["measures"]}
    assert (measures["satisfaction"]["part"], measures["satisfaction"]["whole"]) == (1, 2)
    assert (measures["success"]["part"], measures["success"]["whole"]) == (2, 2)
    assert review["comments"] == [["northpier", "boathouse 1.5.0", 5, "很快，没有影响业务。"]]
