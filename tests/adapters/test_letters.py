from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from icalendar import Calendar

from adapters.announced_plan import (
    CATALOGUE,
    FIRST,
    FLEET,
    HARBOUR,
    LAKE,
    PLAN,
    SECOND,
    SENDER,
    VENDOR,
    WANG,
    letters,
)
from liftlock.adapters.letters import make_letters
from liftlock.adapters.rendering import environment, local_time, local_window, render, span
from liftlock.errors import InputError
from liftlock.model import Contact, Window
from liftlock.notice import Letter

ENGLISH, CHINESE = "en", "zh-CN"
MOMENT = datetime(2026, 11, 28, 14, tzinfo=UTC)


def letter_to(address: str) -> Letter:
    return next(letter for letter in letters() if letter.recipient.email == address)


def test_times_stand_in_the_zone_and_manner_of_the_reader() -> None:
    assert local_time(MOMENT, "Asia/Shanghai", ENGLISH) == "Sat 28 Nov 2026, 22:00 (UTC+08:00, Asia/Shanghai)"
    assert local_time(MOMENT, "Asia/Shanghai", CHINESE) == "2026年11月28日（星期六）22:00（UTC+08:00，Asia/Shanghai）"
    assert local_time(MOMENT, "America/St_Johns", ENGLISH) == "Sat 28 Nov 2026, 10:30 (UTC-03:30, America/St_Johns)"


def test_a_window_names_day_and_zone_once_unless_they_differ() -> None:
    same_day = Window(MOMENT, MOMENT + timedelta(hours=1))
    assert local_window(same_day, "UTC", CHINESE) == "2026年11月28日（星期六）14:00 至 15:00（UTC+00:00，UTC）"
    clocks_change = Window(datetime(2026, 10, 24, 20, tzinfo=UTC), datetime(2026, 10, 25, 3, tzinfo=UTC))
    assert local_window(clocks_change, "Europe/Berlin", ENGLISH) == (
        "Sat 24 Oct 2026, 22:00 (UTC+02:00, Europe/Berlin) to Sun 25 Oct 2026, 04:00 (UTC+01:00, Europe/Berlin)"
    )


def test_spans_are_words() -> None:
    assert span(timedelta(minutes=90), ENGLISH) == "1 hour 30 minutes"
    assert span(timedelta(days=2, seconds=1), ENGLISH) == "2 days 1 second"
    assert span(timedelta(minutes=90), CHINESE) == "1 小时 30 分钟"
    assert span(timedelta(0), ENGLISH) == "0 minutes"


def test_a_variable_nobody_gives_is_refused_with_template_and_line(tmp_path: Path) -> None:
    notices = tmp_path / "templates" / "notices"
    notices.mkdir(parents=True)
    (notices / "mine.txt.j2").write_text("first line\nDear {{ contact.nickname }}\n")
    with pytest.raises(InputError, match=r"^notices/mine\.txt\.j2:2:.*nickname"):
        render(environment(tmp_path), "notices/mine.txt.j2", contact=WANG)


def test_a_broken_or_missing_template_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "broken.txt.j2").write_text("fine\n{% if %}\n")
    with pytest.raises(InputError, match=r"^broken\.txt\.j2:2:"):
        render(environment(tmp_path), "broken.txt.j2")
    with pytest.raises(InputError, match=r"absent\.txt\.j2: no such template"):
        render(environment(tmp_path), "absent.txt.j2")


def test_a_template_of_the_workspace_wins_over_the_one_that_comes_with_liftlock(tmp_path: Path) -> None:
    notices = tmp_path / "templates" / "notices"
    notices.mkdir(parents=True)
    (notices / "announced.en.subject.j2").write_text("Ours: {{ plan.version }}\n")
    made = make_letters(
        PLAN, FLEET, CATALOGUE, vendor=VENDOR, sender=SENDER, manuals={}, templates=environment(tmp_path)
    )
    assert [letter.subject for letter in made][1:] == ["Ours: 1.6.0", "Ours: 1.6.0"]
    assert made[0].subject.startswith("船坞预订 1.6.0 版本升级通知")


def test_the_english_letter_says_what_when_how_long_how_back_and_whom_to_call() -> None:
    letter = letter_to("ada@harbour.example")
    assert (
        letter.subject == "Boathouse 1.6.0: upgrade of 2 hosts from Sat 28 Nov 2026, 15:00 (UTC+01:00, Europe/Berlin)"
    )
    for part in (letter.text, letter.html):
        for promise in (
            "Dear Ada Lovelace",
            "Sat 28 Nov 2026, 15:00 to 21:00 (UTC+01:00, Europe/Berlin)",
            "Sun 29 Nov 2026, 02:00 to 04:30 (UTC+01:00, Europe/Berlin)",
            "harbour-1",
            "25 minutes",
            "1 minute 30 seconds",
            "backup",
            "by itself",
            "+49 30 1234567",
            "support@quayside.example",
            "boathouse-1.6.0-harbour.en.html",
            "3f9c2a71",
        ):
            assert promise in part
        assert "lake-1" not in part
    assert "1.4.2 -> 1.5.0 -> 1.6.0" in letter.text


def test_the_chinese_letter_says_the_same_in_chinese() -> None:
    letter = letter_to("wang.fang@lake.example")
    assert letter.language == "zh-CN"
    for part in (letter.text, letter.html):
        for promise in (
            "王芳，您好：",
            "2026年11月28日（星期六）22:00 至 2026年11月29日（星期日）04:00（UTC+08:00，Asia/Shanghai）",
            "lake-1",
            "约 15 分钟",
            "备份",
            "回退",
            "电话",
            "boathouse-1.6.0-lake.zh-CN.html",
        ):
            assert promise in part
        assert "harbour" not in part


def test_no_letter_promises_an_interruption_that_will_not_happen() -> None:
    calm = replace(CATALOGUE, releases=tuple(replace(release, downtime=timedelta(0)) for release in CATALOGUE.releases))
    made = make_letters(PLAN, FLEET, calm, vendor=VENDOR, sender=SENDER, manuals={}, templates=environment())
    assert "about the interruption" not in made[1].text
    assert "without interruption" in made[1].text
    assert "服务不中断" in made[0].text
    assert "短暂中断" not in made[0].text


def test_values_cannot_become_html_and_the_plain_text_keeps_them_as_they_are() -> None:
    fleet = replace(FLEET, customers={**FLEET.customers, "harbour": replace(HARBOUR, title="<b>Row & Sons</b>")})
    letter = letters(fleet=fleet)[1]
    assert "<b>Row & Sons</b>" in letter.text
    assert "<b>Row" not in letter.html
    assert "&lt;b&gt;Row &amp; Sons&lt;/b&gt;" in letter.html


def test_each_window_is_one_invite_with_the_plans_times_in_the_customers_zone() -> None:
    letter = letter_to("ada@harbour.example")
    invites = [attachment for attachment in letter.attachments if attachment.name.startswith("invite")]
    assert [invite.name for invite in invites] == ["invite-1.ics", "invite-2.ics"]
    assert {invite.media_type for invite in invites} == {"text/calendar; method=REQUEST"}
    for invite, window, host in zip(invites, (FIRST, SECOND), ("harbour-1", "harbour-2"), strict=True):
        calendar = Calendar.from_ical(invite.content)
        (event,) = calendar.walk("VEVENT")
        assert calendar["METHOD"] == "REQUEST"
        assert [str(zone["TZID"]) for zone in calendar.walk("VTIMEZONE")] == ["Europe/Berlin"]
        assert event["DTSTART"].params["TZID"] == "Europe/Berlin"
        assert (event["DTSTART"].dt, event["DTEND"].dt) == (window.start, window.end)
        assert event["DTSTAMP"].dt == PLAN.created_at
        assert event["SEQUENCE"] == 0
        assert event["LOCATION"] == host
        assert event["ORGANIZER"] == "mailto:releases@quayside.example"
        assert [str(attendee) for attendee in event["ATTENDEE"]] == [
            "mailto:ada@harbour.example",
            "mailto:grace@harbour.example",
        ]


def test_a_new_plan_moves_the_same_calendar_event_but_is_a_new_message() -> None:
    later = replace(
        PLAN,
        id="9" * 64,
        created_at=PLAN.created_at + timedelta(days=1),
        hosts=tuple(
            replace(host, window=Window(host.window.start + timedelta(days=7), host.window.end + timedelta(days=7)))
            for host in PLAN.hosts
        ),
    )
    before, after = letters()[0], letters(later)[0]
    (first,), (second,) = (
        Calendar.from_ical(letter.attachments[0].content).walk("VEVENT") for letter in (before, after)
    )
    assert first["UID"] == second["UID"]
    assert second["DTSTART"].dt - first["DTSTART"].dt == timedelta(days=7)
    assert second["DTSTAMP"].dt > first["DTSTAMP"].dt
    assert before.message_id != after.message_id


def test_the_same_plan_makes_the_same_letters_byte_by_byte() -> None:
    assert letters() == letters()


def test_the_chinese_attendee_survives_the_calendar() -> None:
    (event,) = Calendar.from_ical(letter_to("wang.fang@lake.example").attachments[0].content).walk("VEVENT")
    assert event["ATTENDEE"].params["CN"] == "王芳"
    assert event["SUMMARY"].startswith("船坞预订 1.6.0 版本升级通知：1 台主机")


@pytest.mark.parametrize(
    "contact",
    [
        Contact("Ada\r\nBcc: everyone@harbour.example", "ada@harbour.example"),
        Contact("Ada", "ada@harbour.example\nBcc: everyone@harbour.example"),
        Contact("Ada", "ada@harbour.example, everyone@harbour.example"),
        Contact("Ada", "no address"),
        Contact("Ada", ""),
    ],
)
def test_a_contact_that_would_break_out_of_its_header_is_refused(contact: Contact) -> None:
    fleet = replace(FLEET, customers={**FLEET.customers, "harbour": replace(HARBOUR, contacts=(contact,))})
    with pytest.raises(InputError):
        letters(fleet=fleet)


def test_a_subject_with_a_line_break_is_refused() -> None:
    product = replace(CATALOGUE.product, title={"en": "Boathouse\r\nBcc: everyone@harbour.example"})
    with pytest.raises(InputError, match="line break"):
        make_letters(
            PLAN,
            replace(FLEET, customers={"harbour": HARBOUR, "lake": LAKE}),
            replace(CATALOGUE, product=product),
            vendor=VENDOR,
            sender=SENDER,
            manuals={},
            templates=environment(),
        )
