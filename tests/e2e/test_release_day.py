"""One release from plan to proof on four real hosts, asked of the hosts, the letters and the record."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pypdfium2
import pytest

from e2e.harbour import Harbour, Ran, Seen, harbour, run
from liftlock.model import NoticeKind

HOSTS = ("np-1", "hx-1", "ls-1", "lh-1")
"""In rollout order: the low tier first, the key customer last."""
BROKEN_BY_1_6 = "ls-1"


@dataclass(frozen=True)
class ReleaseDay:
    """What each command of the main job said, and the hosts before and after."""

    harbour: Harbour
    before: dict[str, Seen]
    plan: Ran
    gate: Ran
    notify: Ran
    rollout: Ran
    after: dict[str, Seen]

    @property
    def id(self) -> str:
        return str(self.plan.told["id"])


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseDay]:
    with harbour(tmp_path_factory.mktemp("harbour"), HOSTS) as made:
        before = made.all_seen()
        plan = made.ask("plan", "boathouse", "1.5.0")
        id_ = plan.told["id"][:8]
        gate, notify, rollout = made.ask("gate", id_), made.ask("notify", id_), made.ask("rollout", id_)
        yield ReleaseDay(made, before, plan, gate, notify, rollout, made.all_seen())


@pytest.fixture(scope="module")
def letters(day: ReleaseDay) -> dict[str, EmailMessage]:
    """What arrived at the mail server when the release was announced, by customer."""
    return arrived(day.harbour, day.notify.told["delivered"])


def arrived(made: Harbour, delivered: list[dict[str, str]]) -> dict[str, EmailMessage]:
    """The letters of which a task said that they were sent, by customer."""
    wanted, found = {one["message_id"] for one in delivered}, dict[str, EmailMessage]()
    for path in sorted(made.mail.glob("*.eml")):
        letter = message_from_bytes(path.read_bytes(), policy=policy.default)
        if letter["Message-ID"] in wanted:
            found[letter["To"].addresses[0].domain.removesuffix(".example")] = letter
    return found


def test_a_planned_gated_and_announced_release_reaches_every_host(day: ReleaseDay) -> None:
    assert {name: seen.version for name, seen in day.before.items()} == dict.fromkeys(HOSTS, "1.4.0")
    assert {result["host"]: result["verdict"] for result in day.gate.told["results"]} == dict.fromkeys(HOSTS, "passed")
    assert day.rollout.told["end"] == "done"
    assert day.rollout.outcomes == dict.fromkeys(HOSTS, "succeeded")
    for name, seen in day.after.items():
        assert (seen.link, seen.version, seen.status) == ("releases/1.5.0", "1.5.0", "ok")
        assert seen.releases == ("1.4.0", "1.5.0"), "the release before stays: it is the way back"
        assert seen.pid != day.before[name].pid
        assert seen.incoming == ()


def test_the_plan_is_a_json_file_that_says_who_when_and_by_which_path(day: ReleaseDay) -> None:
    file = Path(day.plan.told["file"])
    assert file.parent == day.harbour.workspace / "plans"
    plan = json.loads(file.read_text(encoding="utf-8"))
    assert (plan["product"], plan["version"], plan["fleet"], plan["id"]) == ("boathouse", "1.5.0", "demo", day.id)
    assert [(host["name"], host["wave"]) for host in plan["hosts"]] == [
        (name, min(2, place + 1)) for place, name in enumerate(HOSTS)
    ]
    assert all([hop["to_version"] for hop in host["hops"]] == ["1.5.0"] for host in plan["hosts"])
    assert all(host["window"]["start"] < host["window"]["end"] for host in plan["hosts"])
    assert sorted(plan["inputs"]) == sorted(
        ["inventories/demo.yaml", "liftlock.yaml"]
        + [f"releases/boathouse/{name}.yaml" for name in ("1.4.0", "1.5.0", "1.6.0", "product")]
    )
    assert day.plan.told["allowed_failures"] == 0


def test_the_same_rollout_again_touches_nothing(day: ReleaseDay) -> None:
    journals = {name: day.harbour.journal(name) for name in HOSTS}
    before = day.harbour.all_seen()
    again = day.harbour.ask("rollout", day.id)
    assert again.outcomes == dict.fromkeys(HOSTS, "already_current")
    assert day.harbour.all_seen() == before
    assert {name: day.harbour.journal(name) for name in HOSTS} == journals
    assert "touched none" in day.harbour.liftlock("rollout", day.id).stdout


def test_a_new_plan_for_the_release_everybody_has_plans_nothing(day: ReleaseDay) -> None:
    before = day.harbour.all_seen()
    plan = day.harbour.ask("plan", "boathouse", "1.5.0").told
    assert plan["id"] != day.id
    assert plan["hosts"] == []
    assert {left["host"]: left["outcome"] for left in plan["exclusions"]} == dict.fromkeys(HOSTS, "already_current")
    assert day.harbour.ask("rollout", plan["id"][:8]).told["hosts"] == []
    assert day.harbour.all_seen() == before


def test_status_and_report_need_the_record_alone(day: ReleaseDay, tmp_path: Path) -> None:
    shutil.copy(day.harbour.workspace / "liftlock.yaml", tmp_path)
    shutil.copytree(day.harbour.workspace / ".liftlock", tmp_path / ".liftlock")
    status = run("status", "--plan", day.id[:8], "--json", cwd=tmp_path)
    report = run("report", "--plan", day.id[:8], "--html", "out/report.html", "--json", cwd=tmp_path)
    assert (status.code, report.code) == (0, 0)
    (standing,) = status.told["plans"]
    assert (standing["state"], standing["outcomes"]) == ("finished", {"succeeded": 4})
    assert {line["host"]: line["attempts"] for line in standing["hosts"]} == dict.fromkeys(HOSTS, 1)
    told = report.told
    assert (told["overall"]["succeeded"], told["overall"]["attempted"], told["target"]) == (4, 4, "met")
    assert {part["name"]: part["attempted"] for part in told["by_wave"]} == {"wave 1": 1, "wave 2": 3}
    assert len(told["by_customer"]) == 4
    assert "4 of 4" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_every_customer_gets_one_letter_in_their_language_with_text_html_invite_and_manual(
    letters: dict[str, EmailMessage],
) -> None:
    assert set(letters) == {"northpier", "huaxin", "lakeside", "lianhu"}
    for customer, letter in letters.items():
        parts = [part.get_content_type() for part in letter.walk() if not part.is_multipart()]
        assert {"text/plain", "text/html", "text/calendar"} <= set(parts)
        text = letter.get_body(("plain",)).get_content()
        html = letter.get_body(("html",)).get_content()
        chinese = customer in {"huaxin", "lianhu"}
        assert ("升级" in text, "升级" in html, "升级" in letter["Subject"]) == (chinese,) * 3
        assert "1.5.0" in text
        assert "1.5.0" in html
        assert letter["Message-ID"].startswith("<")


def test_the_invite_and_the_manual_in_a_letter_are_the_customers_own(letters: dict[str, EmailMessage]) -> None:
    own = {"northpier": "np-1", "huaxin": "hx-1", "lakeside": "ls-1", "lianhu": "lh-1"}
    for customer, letter in letters.items():
        invite = next(part for part in letter.walk() if part.get_content_type() == "text/calendar").get_content()
        assert "METHOD:REQUEST" in invite
        assert "DTSTART" in invite
        attached = {part.get_filename(): part for part in letter.iter_attachments()}
        (manual,) = [part.get_content() for name, part in attached.items() if name and name.endswith(".pdf")]
        pages = "".join(page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(manual))
        assert [host for host in own.values() if host in pages] == [own[customer]]
        assert ("升级概览" in pages) == (customer in {"huaxin", "lianhu"})


def test_when_all_is_proven_every_customer_is_told_so_once_in_their_language(day: ReleaseDay) -> None:
    notices = day.rollout.told["notices"]
    assert {one["state"] for one in notices["delivered"]} == {"sent"}
    assert {one["kind"] for one in notices["delivered"]} == {"started", "completed"}
    completed = [one for one in notices["delivered"] if one["kind"] == "completed"]
    told = arrived(day.harbour, completed)
    assert set(told) == {"northpier", "huaxin", "lakeside", "lianhu"}
    assert len(completed) == 4
    for customer, letter in told.items():
        chinese = customer in {"huaxin", "lianhu"}
        assert ("已完成" if chinese else "done at") in letter["Subject"]
        assert "1.5.0" in letter.get_body(("plain",)).get_content()


def test_notify_again_sends_nothing(day: ReleaseDay, letters: dict[str, EmailMessage]) -> None:
    before = sorted(day.harbour.mail.iterdir())
    again = day.harbour.ask("notify", day.id).told
    assert (again["delivered"], again["already_sent"], again["complete"]) == ([], 4, True)
    assert sorted(day.harbour.mail.iterdir()) == before
    assert len(day.notify.told["delivered"]) == len(letters) == 4


def test_manual_writes_a_pdf_and_a_page_for_each_customer(day: ReleaseDay) -> None:
    written = [Path(path) for path in day.harbour.ask("manual", day.id).told["manuals"]]
    starts = {".pdf": b"%PDF-", ".html": b"<!doctype html"}
    assert [path.suffix for path in written] == [".pdf", ".html"] * 4
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in written)
    assert all("huaxin" in one for one in day.harbour.ask("manual", day.id, "--customer", "huaxin").told["manuals"])


def test_a_preview_writes_the_letters_and_sends_none(day: ReleaseDay) -> None:
    before = sorted(day.harbour.mail.iterdir())
    written = [Path(path) for path in day.harbour.ask("notify", day.id, "--preview").told["files"]]
    assert sorted(day.harbour.mail.iterdir()) == before
    samples = [path for path in written if "samples" in path.parts and path.name == "notice.html"]
    assert {path.parts[-3] for path in samples} == {kind.value for kind in NoticeKind}
    index = day.harbour.workspace / "out" / day.id[:8] / "notices" / "index.html"
    assert all(path.relative_to(index.parent).as_posix() in index.read_text(encoding="utf-8") for path in samples)


def test_a_release_broken_on_one_host_goes_back_everywhere_and_halts(day: ReleaseDay) -> None:
    made = day.harbour
    plan = made.announced("1.6.0")
    ended = made.ask("rollout", plan, code=4)
    assert ended.told["end"] == "halt"
    assert "budget: 1 of 4" in ended.told["reason"]
    assert ended.outcomes == dict.fromkeys(HOSTS, "rolled_back")
    assert ended.causes[BROKEN_BY_1_6] == "health: HTTP 500"
    told = arrived(made, [one for one in ended.told["notices"]["delivered"] if one["kind"] == "rolled_back"])
    assert set(told) == {"northpier", "huaxin", "lakeside", "lianhu"}
    assert "1.5.0" in told["northpier"].get_body(("plain",)).get_content()
    assert made.versions() == made.all_on("1.5.0")

    report = made.ask("report", "--plan", plan).told
    assert (report["overall"]["succeeded"], report["overall"]["attempted"], report["target"]) == (0, 4, "missed")
    (budget,) = report["budgets"]
    assert (budget["allowed"], budget["used"]) == (0, 1)
    broken = next(group for group in report["failures"] if group["cause"] == "health: HTTP 500")
    assert [host["host"] for host in broken["hosts"]] == [BROKEN_BY_1_6]
    both = made.ask("report").told["overall"]
    assert (both["succeeded"], both["attempted"]) == (4, 8)

    again = made.ask("rollout", plan, code=4)
    assert again.outcomes == ended.outcomes
    assert made.versions() == made.all_on("1.5.0")
