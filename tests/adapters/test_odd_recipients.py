"""Names and addresses as the world has them, through a real mail server: a correct letter, or a clear word why not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from adapters.announced_plan import ADA, FLEET, HARBOUR, PLAN, SENDER, case, letters_of
from liftlock.adapters.smtp import SmtpMailer
from liftlock.demo.mailbox import mailbox
from liftlock.errors import InputError
from liftlock.inventory import read_fleet
from liftlock.model import Contact, NoticeKind, NoticeState
from liftlock.notice import Delivery
from liftlock.owed import Debt
from liftlock.settings import MailSecurity, SmtpSettings

INVENTORY = """\
fleet: clubs
customers:
  harbour:
    title: {title}
    language: {language}
    timezone: {zone}
    contacts: [{{name: {name}, email: {email}}}]
    manager: {{name: {manager}, phone: {phone}}}
    freezes: [{{name: {freeze}, from: "2027-06-04 00:00", until: "2027-06-07 00:00"}}]
    windows: [always]
hosts:
  - name: h-1
    customer: harbour
    address: 192.0.2.1
    hold: {hold}
    variables: {{port: {port}}}
    labels: {{site: {site}}}
    facts: {{os: {os}}}
"""
GIVEN = {
    "title": "Harbour",
    "language": "en",
    "zone": "UTC",
    "name": "Ada",
    "email": "ada@harbour.example",
    "manager": "Mary",
    "phone": "+49 30 99",
    "freeze": "regatta",
    "hold": "sold",
    "port": "8080",
    "site": "kiel",
    "os": "debian",
}
LONG = "H" * 2_000_000


def send(folder: Path, *contacts: Contact) -> tuple[list[Delivery], list[EmailMessage]]:
    """Tell these contacts that all is done; what the mailer said, and what arrived."""
    harbour = replace(HARBOUR, contacts=contacts)
    fleet = replace(FLEET, customers={**FLEET.customers, "harbour": harbour})
    of = case(PLAN, fleet=fleet)
    written = letters_of(of, [Debt(NoticeKind.ANNOUNCED, "harbour", contacts)], fleet)
    with mailbox(folder) as port:
        settings = SmtpSettings(host="127.0.0.1", port=port, sender=SENDER, security=MailSecurity.NONE)
        said = list(SmtpMailer(settings, None, pause=timedelta(milliseconds=1)).send(written))
    arrived = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(folder.glob("*.eml"))]
    return said, arrived


@pytest.mark.parametrize(
    "name",
    [
        "محمد بن راشد",
        "דוד לוי",
        "Zoë 🚣‍♀️ O'Hara-Łuk",
        "王芳（总经理）",
        '"Ada" <b>Lovelace</b> & Co.',
        "Ada <eve@evil.example>",
        "{{ 7 * 7 }} {% for x in y %}",
        "x" * 200,
    ],
)
def test_a_name_arrives_as_it_is_written_and_addresses_nobody_else(tmp_path: Path, name: str) -> None:
    (said,), (letter,) = send(tmp_path, Contact(name, "ada@harbour.example"))
    assert said.state is NoticeState.SENT
    (to,) = letter["To"].addresses
    assert (to.display_name, to.addr_spec) == (name, "ada@harbour.example")
    assert f"Dear {name}," in letter.get_body(("plain",)).get_content()
    html = letter.get_body(("html",)).get_content()
    assert "<b>Lovelace" not in html
    assert "<eve@" not in html


@pytest.mark.parametrize(
    ("contact", "said"),
    [
        (Contact("Ada\r\nBcc: all@harbour.example", "ada@harbour.example"), "line break"),
        (Contact("Ada\u2028Bcc: all@harbour.example", "ada@harbour.example"), "line break"),
        (Contact("Ada", "ada@harbour.example\nBcc: all@harbour.example"), "line break"),
        (Contact("Ada", "ada@harbour.example, all@harbour.example"), "not a mail address"),
        (Contact("Ada", "ada@hárbour.example"), "not a mail address"),
        (Contact("Ada", "no address"), "not a mail address"),
        (Contact("Ada", ""), "mail address"),
        (Contact("A" * 2_000_000, "ada@harbour.example"), "2000000 characters"),
    ],
)
def test_a_recipient_that_cannot_be_addressed_is_refused_and_the_others_get_theirs(
    tmp_path: Path, contact: Contact, said: str
) -> None:
    (bad, good), arrived = send(tmp_path, contact, replace(ADA, email="grace@harbour.example"))
    assert bad.state is NoticeState.REFUSED
    assert said in bad.detail
    assert len(bad.detail) < 1_000
    assert good.state is NoticeState.SENT
    assert [[one.addr_spec for one in letter["To"].addresses] for letter in arrived] == [["grace@harbour.example"]]
    assert all(letter["Bcc"] is None for letter in arrived)


@pytest.mark.parametrize(
    ("wrong", "place", "most"),
    [
        ({"title": LONG}, "4:12: customers.harbour.title", 200),
        ({"name": LONG}, "7:23: customers.harbour.contacts[0].name", 200),
        ({"email": f"ada@{'harbour.' * 40}example"}, "7:35: customers.harbour.contacts[0].email", 254),
        ({"manager": LONG}, "8:21: customers.harbour.manager.name", 200),
        ({"phone": LONG}, "8:34: customers.harbour.manager.phone", 200),
        ({"freeze": LONG}, "9:22: customers.harbour.freezes[0].name", 200),
        ({"hold": LONG}, "15:11: hosts[0].hold", 2000),
        ({"port": LONG}, "16:23: hosts[0].variables.port", 10000),
        ({"site": LONG}, "17:20: hosts[0].labels.site", 10000),
        ({"os": LONG}, "18:17: hosts[0].facts.os", 2000),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_an_inventory_with_a_line_of_two_megabytes_is_refused_where_it_is_read(
    wrong: dict[str, str], place: str, most: int
) -> None:
    with pytest.raises(InputError) as refused:
        read_fleet(INVENTORY.format(**(GIVEN | wrong)), "inventories/clubs.yaml")
    (told,) = refused.value.problems
    long = next(value for value in wrong.values() if len(value) > most)
    at = f"inventories/clubs.yaml:{place}"
    assert str(told) == f"{at}: has {len(long)} characters, {most} at most: shorten it"


def test_a_title_of_two_megabytes_is_refused_where_it_would_be_a_subject() -> None:
    long = replace(HARBOUR, title="H" * 2_000_000)
    fleet = replace(FLEET, customers={**FLEET.customers, "harbour": long})
    with pytest.raises(InputError, match="500 at most"):
        letters_of(case(fleet=fleet), [Debt(NoticeKind.COMPLETED, "harbour", (ADA,))], fleet)
    broken = replace(HARBOUR, title="Harbour\r\nBcc: all@harbour.example")
    fleet = replace(FLEET, customers={**FLEET.customers, "harbour": broken})
    with pytest.raises(InputError, match="line break"):
        letters_of(case(fleet=fleet), [Debt(NoticeKind.COMPLETED, "harbour", (ADA,))], fleet)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"language": "de"}, "must be `en` or `zh-CN`, found the text `de`"),
        ({"zone": "Europe/Berlim"}, "did you mean `Europe/Berlin`?"),
        ({"name": '"Ada\\nBcc: x"'}, "one line without control characters"),
        ({"email": "ada@harbour@x"}, "must be an e-mail address"),
    ],
)
def test_an_inventory_that_names_them_wrongly_is_refused_with_the_place(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=r"inventories/clubs\.yaml:\d+:\d+: customers\.harbour") as refused:
        read_fleet(INVENTORY.format(**(GIVEN | wrong)), "inventories/clubs.yaml")
    assert said in str(refused.value)
