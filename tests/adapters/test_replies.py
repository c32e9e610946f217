"""Saved replies as mail programs write them: the score from the subject, the customer's own first words, no quotes."""

from __future__ import annotations

import base64
import quopri
from email.header import Header
from pathlib import Path

import pytest

from liftlock.adapters.replies import replies_in
from liftlock.errors import InputError
from liftlock.feedback import Answer

CODE = "K7QM-4TZC-2AXB"


def mail(subject: str, body: str, kind: str = "text/plain", transfer: str = "8bit", charset: str = "utf-8") -> bytes:
    raw = body.encode(charset)
    coded = {"8bit": raw, "base64": base64.encodebytes(raw), "quoted-printable": quopri.encodestring(raw)}[transfer]
    head = f"From: Li <li@huaxin.example>\nSubject: {subject}\nMIME-Version: 1.0\n"
    head += f"Content-Type: {kind}; charset={charset}\nContent-Transfer-Encoding: {transfer}\n\n"
    return head.encode() + coded


GMAIL = f"""<html><head><style>p {{color: red}}</style></head>
<body><div dir="ltr">Quick, and nobody noticed.<div><br></div></div>
<div class="gmail_quote"><div>On Fri, 20 Nov 2026 at 10:00, Boathouse wrote:</div>
<blockquote>{CODE} 5</blockquote></div>
</body></html>"""
OUTLOOK_PAGE = """<body><p class=MsoNormal>Quick, and nobody<br>noticed.</p><p class=MsoNormal>&nbsp;</p>
<p>Anna</p><div id="divRplyFwdMsg"><b>From:</b> Boathouse</div><p>How was it?</p></body>"""
OUTLOOK = """Hello Boathouse team,

Quick, and nobody
noticed.

Regards
Anna

________________________________
From: Boathouse Software <releases@boathouse.example>
Sent: Friday, November 20, 2026 10:00
How was it?"""


@pytest.mark.parametrize(
    "saved",
    [
        pytest.param(mail(f"{CODE} 4", "Quick, and nobody noticed."), id="plain"),
        pytest.param(mail(f"{CODE} 4", "Quick, and nobody noticed.\n", transfer="base64"), id="base64"),
        pytest.param(mail(f"{CODE} 4", "Quick, and nobody noticed.", transfer="quoted-printable"), id="printable"),
        pytest.param(mail(f"Re: {CODE} 4", GMAIL, "text/html", "quoted-printable"), id="Gmail, as a page alone"),
        pytest.param(mail(f"AW: {CODE} 4", OUTLOOK_PAGE, "text/html", "base64"), id="Outlook, as a page alone"),
        pytest.param(mail(f"AW: {CODE} 4", OUTLOOK), id="Outlook, above what it quotes"),
        pytest.param(
            mail(f"{CODE} 4", "> How was it?\n\nQuick, and nobody\nnoticed.\n-- \nAnna"), id="below what is quoted"
        ),
    ],
)
def test_a_reply_is_read_however_a_program_wrote_it(tmp_path: Path, saved: bytes) -> None:
    (tmp_path / "reply.eml").write_bytes(saved)
    (reply,), _ = replies_in(tmp_path / "reply.eml")
    assert reply.answer == Answer(CODE, 4, "Quick, and nobody noticed.")


@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
@pytest.mark.parametrize("subject", [f"回复：{CODE} 5", f"回复{CODE} 5分", "回复：Ｋ７ＱＭ－４ＴＺＣ－２ＡＸＢ　５"])
def test_a_chinese_reply_is_read(tmp_path: Path, subject: str, charset: str) -> None:
    body = "您好！\n\n很快，没有影响业务。\n\n在 2026年11月20日，Boathouse 写道：\n您的评价"
    (tmp_path / "reply.eml").write_bytes(mail(Header(subject, charset).encode(), body, "text/plain", "base64", charset))
    (reply,), _ = replies_in(tmp_path)
    assert reply.answer == Answer(CODE, 5, "很快，没有影响业务。")


def test_what_is_only_quoted_is_no_sentence(tmp_path: Path) -> None:
    for number, body in enumerate(
        (
            "On Fri, 20 Nov 2026 at 10:00, Boathouse\n<releases@boathouse.example> wrote:\n> How was it?",
            "-----Original Message-----\nFrom: Boathouse\nHow was it?",
            "发件人：Boathouse\n主题：升级完成",
            "Sent from my phone",
            "",
        )
    ):
        (tmp_path / f"{number}.eml").write_bytes(mail(f"Re: {CODE} 3", body))
    assert [reply.answer for reply in replies_in(tmp_path)[0]] == [Answer(CODE, 3)] * 5


def test_other_mail_in_a_folder_is_passed_over_and_a_file_that_is_no_mail_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.eml").write_bytes(mail("Your invoice", f"{CODE} 5"))
    with pytest.raises(InputError, match=r"no answer in 1 saved replies \(\.eml\): its subject"):
        replies_in(tmp_path)
    (tmp_path / "2.eml").write_bytes(mail(f"{CODE} 5", "fine"))
    found, passed_over = replies_in(tmp_path)
    assert ([reply.file.name for reply in found], [file.name for file in passed_over]) == (["2.eml"], ["1.eml"])
    (tmp_path / "3.eml").write_bytes(b"\xff\xfe\x00" * 99)
    (tmp_path / "4.eml").write_bytes(mail(f"{CODE} 5", "x").replace(b"utf-8", b"klingon"))
    with pytest.raises(InputError, match=r"4\.eml: cannot be read as mail: .*klingon"):
        replies_in(tmp_path)
    with pytest.raises(InputError, match=r"gone\.eml: cannot be read: No such file"):
        replies_in(tmp_path / "gone.eml")
