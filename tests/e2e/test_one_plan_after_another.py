"""Plans that follow one another, as customers see them: in their mail and in their calendar. We set the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import icalendar
import pytest

from e2e.harbour import run
from liftlock.app import telling
from liftlock.app.planning import plan_release
from liftlock.app.scaffold import create_workspace
from liftlock.app.steering import abort
from liftlock.app.telling import Told
from liftlock.app.workspace import SystemClock, Workspace
from liftlock.demo.mailbox import mailbox
from liftlock.ledger import Ended, Fact, Halted, Started
from liftlock.model import Action, Outcome, Plan

MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ANNA = "anna.brandt@northpier.example"


class SetClock(SystemClock):
    """A clock that somebody sets; each look at it takes a second, as no two things happen at once."""

    def __init__(self) -> None:
        super().__init__()
        self.at = MONDAY

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


class Office:
    """A release manager's desk, and the mail that leaves it."""

    def __init__(self, root: Path, port: int, mail: Path) -> None:
        create_workspace(root)
        settings = root / "liftlock.yaml"
        settings.write_text(settings.read_text(encoding="utf-8").replace("2525", str(port)), encoding="utf-8")
        self.inventory, self.mail, self.clock = root / "inventories" / "example.yaml", mail, SetClock()
        self.root, self.read = root, 0

    @property
    def workspace(self) -> Workspace:
        """Opened anew, as each task does."""
        made = Workspace(self.root)
        made.clock = self.clock
        return made

    def edit(self, old: str, new: str) -> None:
        text = self.inventory.read_text(encoding="utf-8")
        assert old in text
        self.inventory.write_text(text.replace(old, new), encoding="utf-8")

    def plan(self, *hosts: str, version: str = "1.5.0") -> Plan:
        return plan_release(self.workspace, "boathouse", version, hosts=hosts, look=False)[0]

    def notify(self, plan: Plan) -> Told:
        return telling.notify(self.workspace, plan)

    def told(self, plan: Plan) -> list[tuple[str, str]]:
        """Whom `notify` told what, for good."""
        return [(one.customer, str(one.kind)) for one in self.notify(plan).delivered if one.state == "sent"]

    def record(self, plan: Plan, *facts: Fact) -> None:
        with self.workspace.ledger() as ledger:
            ledger.append_all(plan.id, facts, self.clock.now())

    def ended(self, plan: Plan, host: str, outcome: Outcome) -> None:
        version = "1.5.0" if outcome is Outcome.SUCCEEDED else "1.4.0"
        start = Started(
            host=host, attempt=1, action=Action.UPGRADE, from_version="1.4.0", to_version="1.5.0", session="s"
        )
        self.record(plan, start, Ended(host=host, attempt=1, outcome=outcome, version=version))

    def letters(self, recipient: str = ANNA) -> list[EmailMessage]:
        """What came for somebody since this was last asked, in order."""
        files = sorted(self.mail.glob("*.eml"))
        new, self.read = files[self.read :], len(files)
        found = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in new if recipient in file.name]
        return [letter for letter in found if isinstance(letter, EmailMessage)]


def text_of(letter: EmailMessage) -> str:
    body = letter.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def calendar_of(letters: list[EmailMessage]) -> dict[str, str]:
    """Where the windows stand, by their hosts, in a calendar that took every file of these letters."""
    events: dict[str, icalendar.Event] = {}
    for letter in letters:
        for part in letter.walk():
            if part.get_filename("").endswith(".ics"):
                calendar = icalendar.Calendar.from_ical(part.get_payload(decode=True))
                (event,) = calendar.walk("VEVENT")
                known = events.get(str(event["UID"]))
                if known is None or known["SEQUENCE"] < event["SEQUENCE"]:
                    events[str(event["UID"])] = event
    there = [event for event in events.values() if event.get("STATUS") != "CANCELLED"]
    return {str(event["LOCATION"]): f"{event['DTSTART'].dt:%d %b %H:%M}" for event in there}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with mailbox(tmp_path / "mail") as port:
        yield Office(tmp_path / "workspace", port, tmp_path / "mail")


def test_a_plan_made_anew_says_what_changes_from_what_and_the_first_falls_silent(office: Office) -> None:
    first = office.plan()
    assert office.told(first) == [("northpier", "announced"), ("huaxin", "announced")]
    office.edit("sat 22:00-sun 04:00", "sun 22:00-mon 04:00")
    second = office.plan()
    silent = office.notify(first)
    assert (silent.delivered, silent.gave_way_to) == ((), (second.id,)), "it says so before anybody hears of the second"
    assert office.told(second) == [("northpier", "rescheduled"), ("huaxin", "rescheduled")]
    letters = office.letters()
    changed = text_of(letters[-1])
    assert "The time. Before it was:\n    Sat 28 Nov 2026, 22:00 to Sun 29 Nov 2026, 04:00" in changed
    assert "Sun 29 Nov 2026, 22:00 to Mon 30 Nov 2026, 04:00 (UTC+01:00, Europe/Berlin)" in changed
    assert calendar_of(letters) == {"np-1, np-2": "29 Nov 22:00"}
    office.clock.at = datetime(2026, 11, 28, 9, tzinfo=UTC)
    assert office.told(first) == []
    office.clock.at += DAY
    assert ("northpier", "reminder") in office.told(second)
    office.clock.at += 30 * DAY
    assert office.told(first) == [], "it is for the second to say that it is off"
    assert ("northpier", "cancelled") in office.told(second)
    assert calendar_of([*letters, *office.letters()]) == {}


def test_a_plan_that_was_only_a_look_and_is_ended_silences_nobody(office: Office) -> None:
    first, look = office.plan(), office.plan()
    abort(office.workspace, look, "only a look")
    assert office.told(look) == []
    assert ("northpier", "announced") in office.told(first)


def test_a_new_plan_for_one_host_moves_that_host_alone(office: Office) -> None:
    first = office.plan()
    office.told(first)
    office.edit("np-2, customer: northpier,", "np-2, customer: northpier, group: docks,")
    docks = 'groups: {docks: {windows: ["sun 20:00-mon 02:00"]}}'
    office.edit('["sat 22:00-sun 04:00"]', f'["sat 22:00-sun 04:00"]\n    {docks}')
    second = office.plan("np-2")
    assert office.told(second) == [("northpier", "rescheduled")]
    letters = office.letters()
    assert "What we announced before for np-2 no longer holds" in text_of(letters[-1])
    assert "What we announced for np-1 still holds." in text_of(letters[-1])
    office.clock.at = datetime(2026, 11, 28, 9, tzinfo=UTC)
    assert ("northpier", "reminder") in office.told(first)
    reminder = text_of(office.letters()[-1])
    assert "np-1: 1.4.0" in reminder
    assert "np-2" not in reminder
    abort(office.workspace, first, "the wrong week")
    assert ("northpier", "cancelled") in office.told(first)
    letters += office.letters()
    assert "np-2" not in text_of(letters[-1])
    assert calendar_of(letters) == {"np-2": "29 Nov 20:00"}


def test_two_open_plans_of_one_release_do_not_touch_each_others_dates(office: Office) -> None:
    one, other = office.plan("np-1"), office.plan("np-2")
    assert office.told(one) == office.told(other) == [("northpier", "announced")]
    letters = office.letters()
    assert calendar_of(letters) == {"np-1": "28 Nov 22:00", "np-2": "28 Nov 22:00"}
    abort(office.workspace, one, "x")
    assert office.told(one) == [("northpier", "cancelled")]
    letters += office.letters()
    assert letters[-1]["Subject"] == "Cancelled: Boathouse 1.5.0 on np-1 at North Pier Rowing"
    assert calendar_of(letters) == {"np-2": "28 Nov 22:00"}


def test_a_plan_that_cannot_be_announced_in_time_any_more_says_for_whom_and_is_to_be_made_again(office: Office) -> None:
    plan = office.plan()
    office.clock.at = datetime(2026, 11, 22, 9, tzinfo=UTC)
    late = office.notify(plan)
    assert [one.customer for one in late.delivered] == ["huaxin"], "its window is a day later"
    assert (late.too_late, late.complete) == (("northpier",), False)
    assert office.letters() == []
    again = office.plan()
    assert office.told(again) == [("northpier", "announced"), ("huaxin", "rescheduled")]
    assert office.notify(plan).complete, "the later plan speaks for them"


def test_notify_names_the_customers_that_it_is_too_late_for_and_ends_with_3(office: Office) -> None:
    office.clock.at = datetime.now(UTC) - 40 * DAY
    plan = office.plan("np-1").id[:8]
    told = run("notify", plan, cwd=office.root)
    assert told.code == 3
    assert f"northpier: not told, it is too late to keep the lead time of plan {plan}; plan again:" in told.stdout
    assert "liftlock plan boathouse 1.5.0 --fleet example --hosts np-1" in told.stdout
    asked = run("notify", plan, "--json", cwd=office.root)
    assert (asked.code, asked.told["too_late"], asked.told["complete"]) == (3, ["northpier"], False)
    assert office.letters() == []


def test_a_halted_rollout_tells_each_customer_once_what_became_of_its_hosts_and_that_the_rest_is_off(
    office: Office,
) -> None:
    plan = office.plan()
    office.told(plan)
    office.ended(plan, "np-1", Outcome.ROLLED_BACK)
    office.record(plan, Halted(reason="budget: 1 of 3 planned hosts failed, 98 % allows 0"))
    letters = office.letters()
    assert office.told(plan) == [("northpier", "rolled_back"), ("huaxin", "cancelled")]
    assert office.told(plan) == []
    (letter,) = office.letters()
    assert "The upgrade has ended here. Cancelled, so that this host stays as it is:" in text_of(letter)
    assert "Sat 28 Nov 2026, 22:00 to Sun 29 Nov 2026, 04:00 (UTC+01:00, Europe/Berlin): np-2" in text_of(letter)
    assert calendar_of([*letters, letter]) == {}
    office.clock.at = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert office.told(plan) == []
    again = office.plan()
    assert office.told(again) == [("northpier", "announced"), ("huaxin", "announced")]
    assert office.told(plan) == []


def test_a_host_that_goes_wrong_later_is_told_in_a_letter_of_its_own(office: Office) -> None:
    settings = office.root / "liftlock.yaml"
    settings.write_text(settings.read_text(encoding="utf-8") + "  max_failures: 3\n", encoding="utf-8")
    plan = office.plan()
    office.told(plan)
    office.ended(plan, "np-1", Outcome.ROLLED_BACK)
    assert office.told(plan) == [("northpier", "rolled_back")]
    assert "Still to come, as announced: np-2" in text_of(office.letters()[-1])
    office.ended(plan, "np-2", Outcome.FAILED)
    assert office.told(plan) == [("northpier", "rolled_back"), ("huaxin", "cancelled")], "2 of 2: it is over"
    (letter,) = office.letters()
    assert letter["Subject"] == "Boathouse 1.5.0 at North Pier Rowing: a host needs our attention"
    assert "np-1: runs 1.4.0 again" in text_of(letter)
    assert office.told(plan) == []


def test_a_customer_that_a_later_plan_leaves_out_is_told_that_it_is_off(office: Office) -> None:
    first = office.plan()
    office.told(first)
    office.edit("hx-1, customer: huaxin,", "hx-1, customer: huaxin, hold: the regatta,")
    second = office.plan()
    assert office.told(second) == [("northpier", "rescheduled")]
    assert "Nothing for you: times and hosts are as we announced them." in text_of(office.letters()[-1])
    assert office.told(first) == [("huaxin", "cancelled")]
    abort(office.workspace, second, "x")
    assert office.told(second) == [("northpier", "cancelled")]
    assert office.told(first) == []


def test_customers_and_hosts_that_left_the_inventory_keep_nobody_else_from_being_told(office: Office) -> None:
    plan = office.plan()
    office.told(plan)
    lines = office.inventory.read_text(encoding="utf-8").splitlines()
    (np_2,) = [line for line in lines if "name: np-2" in line]
    office.edit(f"{np_2}\n", "")
    abort(office.workspace, plan, "np-2 was sold")
    assert office.told(plan) == [("northpier", "cancelled"), ("huaxin", "cancelled")]
    assert "np-1, np-2" in text_of(office.letters()[-1])

    other = office.plan()
    office.told(other)
    text = office.inventory.read_text(encoding="utf-8")
    start, end = text.index("  huaxin:"), text.index("freezes:\n  - {name: year end")
    (hx_1,) = [line for line in lines if "name: hx-1" in line]
    office.inventory.write_text((text[:start] + text[end:]).replace(hx_1, ""), encoding="utf-8")
    abort(office.workspace, other, "huaxin is no customer any more")
    assert office.told(other) == [("northpier", "cancelled")]
