from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.announced_plan import (
    CATALOGUE,
    FLEET,
    HARBOUR,
    LAKE,
    PLAN,
    VENDOR,
    WANG,
    announced,
    before,
    case,
    debt_of,
    letters,
    letters_of,
    writer,
)
from liftlock import ledger as record
from liftlock.adapters.rendering import environment, local_time, local_window, render, span
from liftlock.errors import InputError
from liftlock.feedback import code_of
from liftlock.ledger import Fact
from liftlock.model import Action, Manager, NoticeKind, NoticeState, Outcome, Verdict, Window
from liftlock.notice import Letter
from liftlock.outbox import Dispatch
from liftlock.owed import Ask, Debt, What, addressed, owed
from liftlock.owed import asks as owed_asks
from liftlock.settings import Desk

ENGLISH, CHINESE = "en", "zh-CN"
MOMENT = datetime(2026, 11, 28, 14, tzinfo=UTC)


STARTED = record.Started(
    host="harbour-1", attempt=1, action=Action.UPGRADE, from_version="1.4.2", to_version="1.6.0", session="s"
)


def ended(host: str, outcome: Outcome = Outcome.SUCCEEDED, version: str = "1.6.0") -> tuple[Fact, Fact]:
    cause = "health: HTTP 500" if outcome is Outcome.ROLLED_BACK else ""
    end = record.Ended(host=host, attempt=1, outcome=outcome, version=version, cause=cause)
    return replace(STARTED, host=host), end


def begun(host: str) -> tuple[Fact, Fact]:
    return replace(STARTED, host=host), record.Switched(host=host, attempt=1, version="1.6.0")


def letter_to(address: str) -> Letter:
    return next(letter for letter in letters() if letter.recipient.email == address)


def test_times_stand_in_the_zone_and_manner_of_the_reader() -> None:
    assert local_time(MOMENT, "Asia/Shanghai", ENGLISH) == "Sat 28 Nov 2026, 22:00 (UTC+08:00, Asia/Shanghai)"
    assert local_time(MOMENT, "Asia/Shanghai", CHINESE) == "2026年11月28日（星期六）22:00（北京时间）"
    assert local_time(MOMENT, "America/St_Johns", ENGLISH) == "Sat 28 Nov 2026, 10:30 (UTC-03:30, America/St_Johns)"


def test_a_window_names_day_and_zone_once_unless_they_differ() -> None:
    same_day = Window(MOMENT, MOMENT + timedelta(hours=1))
    assert local_window(same_day, "UTC", CHINESE) == "2026年11月28日（星期六）14:00 至 15:00（UTC）"
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
    with pytest.raises(InputError, match=r"^templates/notices/mine\.txt\.j2:2:.*nickname"):
        render(environment(tmp_path), "notices/mine.txt.j2", contact=WANG)
    (notices / "mine.txt.j2").write_text("Dear {{ whom }}\n")
    with pytest.raises(InputError, match=r"mine\.txt\.j2:1:1: 'whom' is undefined; known here: contact, plan"):
        render(environment(tmp_path), "notices/mine.txt.j2", plan=PLAN, contact=WANG)


def test_a_broken_or_missing_template_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "broken.txt.j2").write_text("fine\n{% if %}\n")
    with pytest.raises(InputError, match=r"^templates/broken\.txt\.j2:2:"):
        render(environment(tmp_path), "broken.txt.j2")
    with pytest.raises(InputError, match=r"^templates/absent\.txt\.j2: no such template"):
        render(environment(tmp_path), "absent.txt.j2")


def test_a_template_of_the_workspace_wins_over_the_one_that_comes_with_liftlock(tmp_path: Path) -> None:
    notices = tmp_path / "templates" / "notices"
    notices.mkdir(parents=True)
    (notices / "announced.en.subject.j2").write_text("Ours: {{ plan.version }}\n")
    made = letters(templates=tmp_path)
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
            "boathouse-1.6.0-harbour.en.pdf",
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
            "2026年11月28日（星期六）22:00 至 2026年11月29日（星期日）04:00（北京时间）",
            "lake-1",
            "15 分钟",
            "备份",
            "回退",
            "电话",
            "boathouse-1.6.0-lake.zh-CN.pdf",
        ):
            assert promise in part
        assert "harbour" not in part


def test_a_letter_says_that_its_manual_has_something_to_prepare_for_each_release_on_the_way() -> None:
    english, chinese = letter_to("ada@harbour.example"), letter_to("wang.fang@lake.example")
    for part in (english.text, english.html):
        assert "in the attached manual; there is one for each release: 1.5.0, 1.6.0." in part
    for part in (chinese.text, chinese.html):
        assert "升级手册中“升级前的准备”一节做好准备" in part, "it has one release"
    there = replace(FLEET, customers={**FLEET.customers, "harbour": replace(HARBOUR, language="zh-CN")})
    _, both, _ = letters(fleet=there)
    for part in (both.text, both.html):
        assert "“升级前的准备”一节（1.5.0、1.6.0 各有一节）做好准备" in part


def test_no_letter_promises_an_interruption_that_will_not_happen() -> None:
    calm = replace(CATALOGUE, releases=tuple(replace(release, downtime=timedelta(0)) for release in CATALOGUE.releases))
    of = case()
    desk = replace(writer(of), catalogues=[calm], manuals={})
    found = addressed(of, owed(of, PLAN.created_at, timedelta(hours=24)), "quayside.example")
    made = [desk.letter(message, debt, contact) for message, (debt, contact) in found.items()]
    assert "about the interruption" not in made[1].text
    assert "without interruption" in made[1].text
    assert "服务不中断" in made[0].text
    assert "短暂中断" not in made[0].text


def test_a_way_back_that_loses_data_is_said_in_every_letter_that_tells_of_it() -> None:
    *before, last = CATALOGUE.releases
    of = case()
    desk = replace(writer(of), manuals={})
    found = addressed(of, owed(of, PLAN.created_at, timedelta(hours=24)), "quayside.example")
    for releases, said in (((*before, replace(last, reversible=False)), True), (CATALOGUE.releases, False)):
        one = replace(desk, catalogues=[replace(CATALOGUE, releases=releases)])
        lake, harbour, *_ = [one.letter(message, debt, contact) for message, (debt, contact) in found.items()]
        for english, chinese in ((harbour.text, lake.text), (harbour.html, lake.html)):
            assert ("what was entered since the switch is lost" in " ".join(english.split())) is said
            assert ("切换之后录入的内容将会丢失" in chinese) is said


def test_a_digest_names_the_letters_that_wait_for_a_word() -> None:
    desk = writer(case())
    message = "<" + "5d1f00c2ab31" * 3 + "@quayside.example>"
    refused = Dispatch(message, "lake", NoticeKind.ANNOUNCED, "x@y", NoticeState.REFUSED, MOMENT, MOMENT, "550 no")
    letter = desk.letter("<d@q>", Debt(NoticeKind.DIGEST, "", (WANG,), letters=(refused,)), WANG)
    assert "--settle 5d1f00c2ab31=sent" in letter.text
    assert "--settle 5d1f00c2ab31=sent" in letter.html


def test_values_cannot_become_html_and_the_plain_text_keeps_them_as_they_are() -> None:
    fleet = replace(FLEET, customers={**FLEET.customers, "harbour": replace(HARBOUR, title="<b>Row & Sons</b>")})
    letter = letters(fleet=fleet)[1]
    assert "<b>Row & Sons</b>" in letter.text
    assert "<b>Row" not in letter.html
    assert "&lt;b&gt;Row &amp; Sons&lt;/b&gt;" in letter.html


def test_the_same_plan_makes_the_same_letters_byte_by_byte() -> None:
    assert letters() == letters()


NEWS: dict[NoticeKind, tuple[Fact, ...]] = {
    NoticeKind.STARTED: (*begun("harbour-1"), *begun("lake-1")),
    NoticeKind.COMPLETED: tuple(fact for name in ("harbour-1", "harbour-2", "lake-1") for fact in ended(name)),
    NoticeKind.ROLLED_BACK: (
        *ended("harbour-1", Outcome.ROLLED_BACK, "1.4.2"),
        *ended("harbour-2"),
        *ended("lake-1", Outcome.ROLLED_BACK, "1.5.0"),
    ),
    NoticeKind.CANCELLED: (record.Aborted(reason="the build server broke", by="bob"),),
}


def news(kind: NoticeKind, customer: str, *asks: Ask, **more: Any) -> Letter:
    """One letter of that kind, as if it had come to that."""
    known = announced() if kind is NoticeKind.CANCELLED else ()
    of = case(PLAN, *known, *NEWS.get(kind, ()), **more)
    debt = debt_of(of, kind, customer) if kind in NEWS else Debt(kind, customer, FLEET.customers[customer].contacts)
    (letter, *_) = letters_of(of, [replace(debt, asks=asks)])
    return letter


@pytest.mark.parametrize("customer", ["harbour", "lake"])
@pytest.mark.parametrize("kind", sorted(set(NoticeKind) - {NoticeKind.DIGEST, NoticeKind.INCIDENT}))
def test_every_kind_is_written_in_both_languages_for_the_customer_alone(kind: NoticeKind, customer: str) -> None:
    old = replace(PLAN, id="8" * 64)
    known = before(case(old, *announced(old))) if kind is NoticeKind.RESCHEDULED else ()
    letter = news(kind, customer, Ask(What.CONSENT), before=known)
    other, own = {"harbour": ("lake", "harbour-1"), "lake": ("harbour", "lake-1")}[customer]
    chinese = re.compile(r"[\u4e00-\u9fff]")
    for part in (letter.subject, letter.text, letter.html):
        assert bool(chinese.search(part)) is (customer == "lake"), part
        assert other not in part
        assert "1.6.0" in part
    assert letter.language == {"harbour": "en", "lake": "zh-CN"}[customer]
    assert "+49 30 1234567" in letter.text
    if kind is not NoticeKind.ACTION_NEEDED:
        assert own in letter.text


def test_what_went_back_says_what_runs_now_and_what_happens_next_and_not_why_in_our_words() -> None:
    letter = news(NoticeKind.ROLLED_BACK, "harbour")
    assert "harbour-1: runs 1.4.2 again" in letter.text
    assert "harbour-2: runs 1.6.0, checked and healthy" in letter.text
    assert "WHAT HAPPENS NEXT" in letter.text
    assert "HTTP 500" not in letter.text
    cancelled = news(NoticeKind.CANCELLED, "harbour")
    assert "build server" not in cancelled.text + cancelled.html


def taken_back(*hosts: str) -> list[Fact]:
    """These were upgraded, well, and an operator had them back."""
    facts: list[Fact] = [fact for host in hosts for fact in ended(host)]
    facts.append(record.Aborted(reason="the manual was wrong", by="me"))
    for host in hosts:
        back = replace(STARTED, host=host, attempt=2, action=Action.ROLL_BACK)
        end = record.Ended(host=host, attempt=2, outcome=Outcome.ROLLED_BACK, version="1.5.0")
        facts += [record.Recalled(host=host, reason="the manual was wrong"), back, end]
    return facts


def test_hosts_that_an_operator_took_back_are_said_to_be_well_and_not_to_have_failed() -> None:
    of = case(PLAN, *taken_back("harbour-1", "harbour-2", "lake-1"))
    back = [debt for debt in owed(of, MOMENT, timedelta(hours=1)) if debt.kind is NoticeKind.ROLLED_BACK]
    chinese, english, _ = letters_of(of, back)
    for part in (english.text, english.html):
        assert "We have taken back the upgrade" in part
        assert "Nothing was found wrong with them" in part
        for untrue in ("not successful", "with the others", "find out why", "sorry", "the manual was wrong"):
            assert untrue not in part
    for part in (chinese.text, chinese.html):
        assert "没有发现任何问题" in part
        assert "非常抱歉" not in part
        assert "随其他主机" not in part
    failed = [*ended("harbour-2", Outcome.ROLLED_BACK, "1.5.0"), *taken_back("harbour-1")]
    of = case(PLAN, *failed)
    (mixed, *_) = letters_of(of, [Debt(NoticeKind.ROLLED_BACK, "harbour", HARBOUR.contacts)])
    assert "was not successful on 1 of 2 hosts" in mixed.text
    assert "harbour-1: runs 1.5.0 again, checked and healthy: nothing was wrong with it, we took" in mixed.text


def went_back(*hosts: str, brought_back: Collection[str] = ()) -> tuple[Letter, Letter]:
    """The letter after these hosts went back, those `brought_back` well, because others did; in English and Chinese."""
    facts: list[Fact] = []
    for host in hosts:
        if host in brought_back:
            facts += ended(host)
            back = replace(STARTED, host=host, attempt=2, action=Action.ROLL_BACK)
            facts += [back, record.Ended(host=host, attempt=2, outcome=Outcome.ROLLED_BACK, version="1.5.0")]
        else:
            facts += ended(host, Outcome.ROLLED_BACK, "1.5.0")
    made = []
    for language in (ENGLISH, CHINESE):
        harbour = replace(HARBOUR, language=language)
        fleet = replace(FLEET, customers={**FLEET.customers, "harbour": harbour})
        of = case(PLAN, *facts, fleet=fleet)
        made += letters_of(of, [Debt(NoticeKind.ROLLED_BACK, "harbour", harbour.contacts[:1])], fleet)
    english, chinese = made
    return english, chinese


@pytest.mark.parametrize(
    ("hosts", "well", "said", "in_chinese"),
    [
        (
            ("harbour-1", "harbour-2"),
            (),
            "was not successful on any of 2 hosts",
            "2 台主机升级到“船坞预订 1.6.0”均未能成功",
        ),
        (("harbour-1",), (), "was not successful on 1 of 2 hosts", "2 台主机中，有 1 台升级到"),
        (("harbour-1", "harbour-2"), ("harbour-2",), "was not successful on 1 of 2 hosts", "2 台主机中，有 1 台升级到"),
    ],
)
def test_a_letter_counts_the_hosts_on_which_the_upgrade_was_not_successful(
    hosts: tuple[str, ...], well: tuple[str, ...], said: str, in_chinese: str
) -> None:
    english, chinese = went_back(*hosts, brought_back=well)
    assert all(said in " ".join(part.split()) for part in (english.text, english.html))
    assert all(in_chinese in part for part in (chinese.text, chinese.html))


@pytest.mark.parametrize("hosts", [("harbour-1", "harbour-2"), ("harbour-1",)])
def test_hosts_that_were_well_and_went_back_with_others_are_not_said_to_have_failed(hosts: tuple[str, ...]) -> None:
    english, chinese = went_back(*hosts, brought_back=hosts)
    for part in (english.text, english.html):
        assert "because it did not go as planned on other hosts" in part
        assert f"Nothing was found wrong with {'it' if len(hosts) == 1 else 'them'}." in part
        assert ("1.6.0 on harbour-1, because" in part) is (len(hosts) == 1)
        assert "not successful" not in part
    for part in (chinese.text, chinese.html):
        assert "由于其他主机的升级未能按计划完成" in part
        assert "主机本身没有发现任何问题" in part
        assert "未能成功" not in part


@pytest.mark.parametrize("kind", sorted(set(NoticeKind) - {NoticeKind.DIGEST, NoticeKind.INCIDENT}))
def test_no_subject_or_heading_parts_two_chinese_words_with_a_space(kind: NoticeKind) -> None:
    old = replace(PLAN, id="8" * 64)
    letter = news(kind, "lake", before=before(case(old, *announced(old))) if kind is NoticeKind.RESCHEDULED else ())
    apart = r"[\u4e00-\u9fff”“，。：]\ +[\u4e00-\u9fff”“，。：]"
    assert not re.search(apart, letter.subject.replace(" 至 ", ""))
    assert not re.search(apart, letter.text.replace(" 至 ", ""))


def test_a_host_on_hold_is_not_said_to_wait_for_the_customer_when_the_vendor_may_hold_it() -> None:
    of = case(held={"harbour-9": "harbour", "lake-9": "lake"})
    for kind in (NoticeKind.ANNOUNCED, NoticeKind.REMINDER, NoticeKind.ACTION_NEEDED):
        asks = {name: (Ask(What.HELD, f"{name}-9"),) for name in ("harbour", "lake")}
        debts = [Debt(kind, one.name, one.contacts[:1], asks=asks[one.name]) for one in (HARBOUR, LAKE)]
        english, chinese = letters_of(of, debts)
        for part in (english.text, english.html):
            assert "harbour-9" in part
            assert "If you asked for that, tell us when it may be upgraded." in part
        for part in (chinese.text, chinese.html):
            assert "lake-9" in part
            assert "如果是应贵方要求暂停的，可以升级时请告知我们。" in part


def test_a_plan_that_ended_with_hosts_through_is_not_said_to_be_cancelled_for_them() -> None:
    of = case(PLAN, *announced(), *ended("harbour-1"), record.Aborted(reason="x", by="me"))
    (letter, *_) = letters_of(of, [debt_of(of, NoticeKind.CANCELLED)])
    assert letter.subject == "Ended early: Boathouse 1.6.0 on harbour-2 at Harbour Rowing Club"
    for part in (letter.text, letter.html):
        assert "has ended before it was through" in part
        assert "will not take place" not in part
    assert "harbour-1: runs 1.6.0, checked and healthy" in letter.text
    assert "Sun 29 Nov 2026, 02:00 to 04:30 (UTC+01:00, Europe/Berlin): harbour-2" in letter.text
    assert "This host stays as it is." in letter.text
    assert len(letter.attachments) == 1, "only the window that is still ahead leaves the calendar"


def test_a_reminder_names_those_hosts_alone_that_may_still_start() -> None:
    of = case(PLAN, *announced())
    debt = Debt(NoticeKind.REMINDER, "harbour", HARBOUR.contacts, coming=("harbour-2",))
    (letter, *_) = letters_of(of, [debt])
    assert letter.subject == "Reminder: Boathouse 1.6.0 from Sun 29 Nov 2026, 02:00 (UTC+01:00, Europe/Berlin)"
    for part in (letter.text, letter.html):
        assert "harbour-2" in part
        assert "harbour-1" not in part


def test_a_new_plan_does_not_say_that_a_window_stayed_when_it_begins_later_than_was_told() -> None:
    cut = replace(PLAN, id="8" * 64, created_at=PLAN.created_at - timedelta(days=1))
    hosts = tuple(replace(h, window=Window(h.window.start - timedelta(hours=1), h.window.end)) for h in PLAN.hosts)
    for old, promise in ((replace(cut, hosts=hosts), "The time. Before it was"), (cut, "Nothing for you")):
        of = case(PLAN, before=before(case(old, *announced(old))))
        (letter, *_) = letters_of(of, [Debt(NoticeKind.RESCHEDULED, "harbour", HARBOUR.contacts)])
        for part in (letter.text, letter.html):
            assert promise in part
            assert ("as we announced them" in part) is (promise == "Nothing for you")


def test_what_is_asked_for_is_said_in_the_gates_words_without_their_control_characters() -> None:
    asks = (Ask(What.GATE, "harbour-1", "test_backup: 9 days old"), Ask(What.CONSENT), Ask(What.HELD, "harbour-9"))
    letter = news(NoticeKind.ACTION_NEEDED, "harbour", *asks)
    for promise in ("Our check test_backup says: “9 days old”", "We need your consent", "harbour-9 is on hold"):
        assert promise in letter.text
    judged = record.Judged(host="harbour-1", verdict=Verdict.FAILED, reason="\x1b[31mred\x1b[0m\r\nBcc: x", tests=1)
    (ask,) = owed_asks(case(PLAN, judged), "harbour")
    assert ask.words == "red  Bcc: x"


def test_a_chinese_letter_quotes_the_checks_own_words_as_such() -> None:
    words = "test_disk_space: 1.2 GB free: 4 GB needed (and 2 more)"
    letter = news(NoticeKind.ACTION_NEEDED, "lake", Ask(What.GATE, "lake-1", words), Ask(What.GATE, "lake-1", "rot"))
    for part in (letter.text, letter.html):
        assert "检查项 test_disk_space 未通过。该检查的原始输出为：“1.2 GB free: 4 GB needed”。" in part
        assert "另有 2 项检查未通过。" in part
        assert "检查项未通过。该检查的原始输出为：“rot”。" in part
        assert "more" not in part
    letter = news(NoticeKind.ACTION_NEEDED, "harbour", Ask(What.GATE, "harbour-1", words))
    assert "Our check test_disk_space says: “1.2 GB free: 4 GB needed”; 2 more checks did not pass" in letter.text


def test_a_key_customer_sees_their_own_manager_and_the_desk_of_their_tier() -> None:
    key = replace(HARBOUR, tier="key", manager=Manager("Mei Lin", "mei@quayside.example", "+49 30 777"))
    fleet = replace(FLEET, customers={**FLEET.customers, "harbour": key})
    of = case(fleet=fleet)
    desk = replace(writer(of, fleet), vendor=replace(VENDOR, support={"key": Desk(phone="+49 30 111")}), manuals={})
    letter = desk.letter("<1@x>", Debt(NoticeKind.STARTED, "harbour", key.contacts), key.contacts[0])
    for part in (letter.text, letter.html):
        for promise in ("Mei Lin", "+49 30 777", "+49 30 111", "support@quayside.example"):
            assert promise in part
        assert "1234567" not in part


def test_a_training_is_offered_in_the_customers_language_or_else_in_english() -> None:
    offered = tuple(replace(release, training={"en": "Webinar on Monday"}) for release in CATALOGUE.releases)
    of = case()
    desk = replace(writer(of), catalogues=[replace(CATALOGUE, releases=offered)], manuals={})
    for customer in (HARBOUR, LAKE):
        letter = desk.letter(
            "<1@x>", Debt(NoticeKind.ANNOUNCED, customer.name, customer.contacts), customer.contacts[0]
        )
        assert letter.text.count("Webinar on Monday") == 1


def test_a_zone_or_a_language_that_nobody_knows_is_a_clear_error() -> None:
    for wrong, said in (({"timezone": "Mars/Olympus"}, "Mars/Olympus"), ({"language": "tlh"}, "tlh")):
        fleet = replace(FLEET, customers={**FLEET.customers, "harbour": replace(HARBOUR, **wrong)})
        with pytest.raises(InputError, match=said):
            letters(fleet=fleet)


def test_a_digest_and_an_incident_tell_release_managers_what_to_do_in_their_language() -> None:
    halted = (*ended("lake-1", Outcome.ROLLED_BACK, "1.5.0"), record.Halted(reason="budget: 1 of 3"))
    of = case(PLAN, *halted, managers=(WANG,))
    at = PLAN.created_at
    refused = Dispatch("<1@x>", "lake", NoticeKind.ANNOUNCED, "x@lake.example", NoticeState.REFUSED, at, at, "550 no")
    for language in ("en", "zh-CN"):
        desk = replace(writer(of), vendor=replace(VENDOR, language=language))
        digest = desk.letter("<1@x>", Debt(NoticeKind.DIGEST, "", (WANG,), number=1, letters=(refused,)), WANG)
        incident = desk.letter("<2@x>", Debt(NoticeKind.INCIDENT, "", (WANG,)), WANG)
        assert ("未发出" in digest.subject) == (language == "zh-CN")
        assert "x@lake.example" in digest.text
        assert "550 no" in digest.html
        assert "budget" in incident.text
        assert "liftlock incident 3f9c2a71 --ack" in incident.text
        assert "lake-1" in incident.html


def test_what_is_done_asks_for_a_score_that_the_workspace_knows_again() -> None:
    of = case(PLAN, *NEWS[NoticeKind.COMPLETED])
    debt = Debt(NoticeKind.COMPLETED, "harbour", HARBOUR.contacts)
    asking = replace(writer(of), feedback_key=b"k" * 32).letter("<1@x>", debt, HARBOUR.contacts[0])
    code = code_of(b"k" * 32, PLAN.id, "harbour")
    assert f"{code} 5" in asking.text
    assert f"mailto:support@quayside.example?subject={code}%201" in asking.html
    assert "HOW WAS IT" not in writer(of).letter("<1@x>", debt, HARBOUR.contacts[0]).text
