"""A calendar with everything in it: a conflict, notice and approvals missing, a missed window, odd zones and names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from liftlock.maintenance import Calendar, make_calendar
from liftlock.model import Customer, Hop, Plan, PlannedHost, Policy, ReleaseKind, Window
from liftlock.progress import Progress
from world import announced, fold

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
EVIL = "Rowing <script>alert(1)</script> & Sons"
CUSTOMERS = {
    ("example", name): Customer(name, title, "en", zone, (), ())
    for name, title, zone in (
        ("northpier", EVIL, "Europe/Berlin"),
        ("huaxin", "华信水上运动", "Asia/Shanghai"),
        ("lordhowe", "Lord Howe Island Marina", "Australia/Lord_Howe"),
        ("harbour", "Harbour Trust", "UTC"),
    )
}


def night(zone: str, month: int, day: int, hour: int, hours: int) -> Window:
    start = datetime(2026, month, day, hour, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return Window(start, start + timedelta(hours=hours))


def plan(id_: str, product: str, hosts: list[tuple[str, str, Window]], approvals: int = 0) -> Plan:
    planned = tuple(PlannedHost(name, c, 1, "1.4.0", (Hop("1.4.0", "1.5.0", "r"),), w) for name, c, w in hosts)
    return Plan(
        id=id_,
        product=product,
        version="1.5.0",
        kind=ReleaseKind.UPGRADE,
        fleet="example",
        created_at=NOW - timedelta(days=5),
        policy=Policy(),
        hosts=planned,
        exclusions=(),
        inputs={},
        approvals=approvals,
    )


def booked(weeks: int = 4, now: datetime = NOW) -> Calendar:
    saturday = night("Europe/Berlin", 11, 21, 22, 6)
    first = plan(
        "3fa9c1d2" * 8,
        "boathouse",
        [
            *((f"np-{number}", "northpier", saturday) for number in (1, 2, 3)),
            ("hx-1", "huaxin", night("Asia/Shanghai", 11, 24, 23, 6)),
            ("lh-1", "lordhowe", night("Australia/Lord_Howe", 12, 7, 1, 3)),
            ("ht-1", "harbour", night("UTC", 12, 30, 1, 3)),
        ],
    )
    second = plan("8ab01234" * 8, "harbour-db", [("np-1", "northpier", saturday)], approvals=2)
    missed = plan("77aa77aa" * 8, "mast", [("np-1", "northpier", night("Europe/Berlin", 11, 14, 22, 6))])
    told = fold(first, announced("northpier"), announced("huaxin"), announced("lordhowe"))
    return make_calendar(
        [(first, told), (second, Progress.of(second)), (missed, Progress.of(missed))], CUSTOMERS, now, weeks
    )
