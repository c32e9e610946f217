"""A plan as it is announced: boathouse 1.6.0 for an English and a Chinese customer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from liftlock.adapters import letters as desk
from liftlock.adapters.manual import Manual, Writer, attachments
from liftlock.adapters.manual_pdf import Press
from liftlock.adapters.rendering import environment
from liftlock.case import Before, Case
from liftlock.ledger import Delivered, Entry, Fact, Planned, Queued, Sending
from liftlock.model import (
    Artifact,
    Catalogue,
    Contact,
    Customer,
    Fleet,
    Health,
    Hop,
    Host,
    NoticeKind,
    NoticeState,
    Plan,
    PlannedHost,
    Policy,
    Product,
    Release,
    ReleaseKind,
    Window,
)
from liftlock.notice import Letter, customers, share
from liftlock.outbox import message_id
from liftlock.owed import Debt, addressed, owed
from liftlock.plan_document import to_document
from liftlock.settings import Vendor

CHAPTERS = Path(__file__).parents[2] / "manuals"
VENDOR = Vendor(name="Quayside Software", email="support@quayside.example", phone="+49 30 1234567")
SENDER = "Quayside Software <releases@quayside.example>"

_ARTIFACT = Artifact(path="boathouse.tar.gz", sha256="0" * 64, length=1)
CATALOGUE = Catalogue(
    product=Product(
        name="boathouse",
        title={"en": "Boathouse", "zh-CN": "船坞预订"},
        health=Health(url="http://127.0.0.1:{{ port }}/health"),
        backup="./backup",
    ),
    releases=(
        Release(
            product="boathouse",
            version="1.5.0",
            kind=ReleaseKind.PATCH,
            artifact=_ARTIFACT,
            stop=True,
            expected=timedelta(minutes=10),
            downtime=timedelta(seconds=30),
            summary={"en": "Waiting lists, and three defects fixed.", "zh-CN": "新增候补功能，修复三处缺陷。"},
        ),
        Release(
            product="boathouse",
            version="1.6.0",
            kind=ReleaseKind.UPGRADE,
            artifact=_ARTIFACT,
            backup=True,
            expected=timedelta(minutes=15),
            downtime=timedelta(minutes=1),
            confirm_within=timedelta(minutes=10),
            summary={"en": "A page with reports on the use of boats.", "zh-CN": "新增船只使用情况报表。"},
        ),
    ),
)

ADA = Contact(name="Ada Lovelace", email="ada@harbour.example")
GRACE = Contact(name="Grace Hopper", email="grace@harbour.example")
WANG = Contact(name="王芳", email="wang.fang@lake.example")

HARBOUR = Customer(
    name="harbour",
    title="Harbour Rowing Club",
    language="en",
    timezone="Europe/Berlin",
    contacts=(ADA, GRACE),
    windows=(),
)
LAKE = Customer(
    name="lake", title="东湖赛艇俱乐部", language="zh-CN", timezone="Asia/Shanghai", contacts=(WANG,), windows=()
)
FLEET = Fleet(
    name="clubs",
    customers={"harbour": HARBOUR, "lake": LAKE, "idle": Customer("idle", "Idle", "en", "UTC", (ADA,), ())},
    hosts=tuple(
        Host(name=name, customer=customer, address="127.0.0.1")
        for name, customer in (
            ("harbour-1", "harbour"),
            ("harbour-2", "harbour"),
            ("lake-1", "lake"),
            ("idle-1", "idle"),
        )
    ),
)

FIRST = Window(datetime(2026, 11, 28, 14, tzinfo=UTC), datetime(2026, 11, 28, 20, tzinfo=UTC))
SECOND = Window(datetime(2026, 11, 29, 1, tzinfo=UTC), datetime(2026, 11, 29, 3, 30, tzinfo=UTC))
_LAST_HOP = Hop("1.5.0", "1.6.0", "target")
_BOTH_HOPS = (Hop("1.4.2", "1.5.0", "stop"), _LAST_HOP)

PLAN = Plan(
    id="3f9c2a71b0de" + "4" * 52,
    product="boathouse",
    version="1.6.0",
    kind=ReleaseKind.UPGRADE,
    fleet="clubs",
    created_at=datetime(2026, 11, 16, 8, 30, tzinfo=UTC),
    policy=Policy(),
    hosts=(
        PlannedHost("lake-1", "lake", 1, "1.5.0", (_LAST_HOP,), FIRST),
        PlannedHost("harbour-1", "harbour", 2, "1.4.2", _BOTH_HOPS, FIRST),
        PlannedHost("harbour-2", "harbour", 3, "1.5.0", (_LAST_HOP,), SECOND),
    ),
    exclusions=(),
    inputs={},
)


def written(customer: Customer, plan: Plan = PLAN, chapters: Path = CHAPTERS) -> Manual:
    return Writer(chapters, VENDOR, environment()).write(share(plan, customer, FLEET, CATALOGUE))


def manual_of(customer: Customer, plan: Plan = PLAN) -> bytes:
    return Writer(CHAPTERS, VENDOR, environment()).page(written(customer, plan))


@cache
def pdf_of(customer: str) -> bytes:
    return Press(CHAPTERS, environment()).pdf(written(FLEET.customers[customer]))


def sent(
    kind: NoticeKind,
    customer: str,
    *contacts: Contact,
    state: NoticeState = NoticeState.SENT,
    number: int = 0,
    plan: Plan = PLAN,
    **more: Any,
) -> list[Fact]:
    """What is on record when a letter went to these; `more` is what its sending noted."""
    facts: list[Fact] = []
    for contact in contacts:
        message = message_id(plan.id, customer, kind, contact.recipient, number=number)
        facts += [
            Queued(message_id=message, customer=customer, kind=kind, recipient=contact.recipient),
            Sending(message_id=message, **more),
        ]
        if state is not NoticeState.SENDING:
            recipient = contact.recipient
            facts.append(Delivered(message_id=message, customer=customer, kind=kind, recipient=recipient, state=state))
    return facts


def announced(plan: Plan = PLAN) -> list[Fact]:
    """Both customers were told of the plan."""
    kind = NoticeKind.ANNOUNCED
    return [*sent(kind, "lake", WANG, plan=plan), *sent(kind, "harbour", ADA, GRACE, plan=plan)]


def debt_of(of: Case, kind: NoticeKind, customer: str = "harbour", at: datetime = PLAN.created_at) -> Debt:
    """What a customer is owed of that kind at that moment; it must be."""
    (debt,) = [one for one in owed(of, at, timedelta(days=1)) if (one.kind, one.customer) == (kind, customer)]
    return debt


def before(of: Case) -> tuple[Before, ...]:
    """The plan of that case as the one that customers go by, when a later one takes over all of it."""
    return (Before(of, frozenset(host.name for host in of.plan.hosts)),)


def entries(plan: Plan, *facts: Fact, at: datetime | None = None) -> tuple[Entry, ...]:
    """The record of a plan: that it was made, and these facts, a minute apart from `at` on."""
    begun = at or plan.created_at
    recorded: list[Fact] = [Planned(document=to_document(plan)), *facts]
    return tuple(
        Entry(seq, begun + timedelta(minutes=seq), plan.id, fact, "", "") for seq, fact in enumerate(recorded, start=1)
    )


def case(plan: Plan = PLAN, *facts: Fact, fleet: Fleet = FLEET, **more: Any) -> Case:
    return Case(plan, entries(plan, *facts), {one.name: one for one in customers(plan, fleet)}, **more)


def writer(of: Case, fleet: Fleet = FLEET, templates: Path | None = None) -> desk.Writer:
    manuals = {
        one.name: attachments(written(one), manual_of(one), pdf_of(one.name))[:1] for one in customers(PLAN, FLEET)
    }
    return desk.Writer(of, fleet, [CATALOGUE], VENDOR, SENDER, environment(templates), manuals)


def letters_of(of: Case, debts: Iterable[Debt], fleet: Fleet = FLEET, templates: Path | None = None) -> list[Letter]:
    """The letters of these debts, as they are sent."""
    made, found = writer(of, fleet, templates), addressed(of, debts, "quayside.example")
    return [made.letter(identity, debt, contact) for identity, (debt, contact) in found.items()]


def letters(plan: Plan = PLAN, fleet: Fleet = FLEET, templates: Path | None = None) -> list[Letter]:
    """The announcements of a plan."""
    of = case(plan, fleet=fleet)
    return letters_of(of, owed(of, plan.created_at, timedelta(hours=24)), fleet, templates)
