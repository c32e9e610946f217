from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta

from liftlock.model import Hop, PlannedHost
from world import START, WINDOW


def test_a_placed_host_differs_from_itself_in_nothing_but_its_place() -> None:
    host = PlannedHost(
        "m1/db",
        "mill",
        1,
        "1.0",
        (Hop("1.0", "1.1", "up"),),
        WINDOW,
        "note",
        timedelta(minutes=9),
        "s",
        "r",
        2,
        3,
        "db",
        timedelta(minutes=4),
    )
    assert all(getattr(host, field.name) for field in fields(PlannedHost)), "every field is told apart here"
    later = replace(WINDOW, end=START + timedelta(hours=9))
    assert host.placed(4, later, "other") == replace(host, wave=4, window=later, note="other")
