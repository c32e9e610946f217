"""A plan as it is announced: boathouse 1.6.0 for an English and a Chinese customer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from liftlock.adapters.letters import make_letters
from liftlock.adapters.manual import make_manual, manual_attachment
from liftlock.adapters.rendering import environment
from liftlock.model import (
    Artifact,
    Catalogue,
    Contact,
    Customer,
    Fleet,
    Health,
    Hop,
    Host,
    Plan,
    PlannedHost,
    Policy,
    Product,
    Release,
    ReleaseKind,
    Window,
)
from liftlock.notice import Letter, customers
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


def manual_of(customer: Customer, plan: Plan = PLAN) -> bytes:
    return make_manual(plan, customer, FLEET, CATALOGUE, chapters=CHAPTERS, vendor=VENDOR, templates=environment())


def letters(plan: Plan = PLAN, fleet: Fleet = FLEET) -> list[Letter]:
    manuals = {c.name: manual_attachment(plan, c, manual_of(c)) for c in customers(PLAN, FLEET)}
    return make_letters(plan, fleet, CATALOGUE, vendor=VENDOR, sender=SENDER, manuals=manuals, templates=environment())
