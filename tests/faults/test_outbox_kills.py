"""kill -9 around the sending of letters, against a mail server that records what it took.

After each kill `notify` runs again. In the end every recipient has the letter once, or it is listed as in doubt and
a person's word settles it: nothing is missing, nothing arrives twice unasked.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from faults.ledger_writers import often
from faults.post_office import PostOffice, post_office, wait_for
from faults.results import record
from liftlock.app import telling
from liftlock.app.planning import plan_release
from liftlock.app.scaffold import create_workspace
from liftlock.app.telling import Told
from liftlock.app.workspace import Workspace
from liftlock.ledger import Ended, Fact, Planned, Settled, Started
from liftlock.model import Action, NoticeState, Outcome, Plan
from liftlock.outbox import identity, standing
from liftlock.plan_document import plan_id, to_document

PATIENCE = 60.0
CONTACTS = 3


@dataclass
class Vendor:
    """A workspace whose releases are through and whose customers are to be told so, and its mail server."""

    workspace: Workspace
    plan: Plan
    office: PostOffice
    told: Path

    def through(self, number: int) -> Plan:
        """A plan of its own for a round, by whose record every host was upgraded: `completed` is owed."""
        made = replace(self.plan, created_at=self.plan.created_at + timedelta(seconds=number))
        made = replace(made, id=plan_id(made))
        facts: list[Fact] = [Planned(document=to_document(made))]
        for host in made.hosts:
            started = Started(
                host=host.name, attempt=1, action=Action.UPGRADE, from_version="1.4.0", to_version="1.5.0", session="s"
            )
            ended = Ended(host=host.name, attempt=1, outcome=Outcome.SUCCEEDED, version="1.5.0")
            facts += [started, ended]
        with self.workspace.ledger() as ledger:
            ledger.append_all(made.id, facts, made.created_at)
        return made

    def begin(self, work: Callable[[], Told]) -> int:
        """Do the work in a process of its own, which writes down what it told; its id."""
        self.told.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            try:
                told = work()
                self.told.write_text(json.dumps([letter.message_id for letter in told.ambiguous]))
            finally:
                os._exit(not self.told.exists())
        return pid

    def notify(self, plan: Plan, settle: dict[str, str] | None = None) -> set[str]:
        """Run `notify` to its end; the letters that it lists as in doubt, by identity."""
        pid = self.begin(lambda: telling.notify(self.workspace, plan, settle=settle, reason="we asked them"))
        assert wait_for(pid, PATIENCE) == 0
        return {identity(message) for message in json.loads(self.told.read_text())}

    def killed(self, plan: Plan, longest: float) -> bool:
        """Run `notify` and kill it: by the clock, or at one of the letters; whether it was killed before its end."""
        self.office.after.value = random.randint(1, 2 * CONTACTS) if random.random() < 0.7 else 0
        pid = self.begin(lambda: telling.notify(self.workspace, plan))
        self.office.victim.value = pid
        by_clock = self.office.after.value <= 0
        status = wait_for(pid, random.uniform(0, longest) if by_clock else PATIENCE)
        if status is None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            status = wait_for(pid, PATIENCE)
        self.office.after.value = 0
        assert status in {0, -signal.SIGKILL}
        return status != 0

    def states(self, plan: Plan) -> dict[str, NoticeState]:
        """Where the record says that each letter stands."""
        with self.workspace.ledger() as ledger:
            return {name: letter.state for name, letter in standing(ledger.entries(plan.id)).items()}

    def copies(self, names: set[str]) -> dict[str, int]:
        """How many copies of these letters the server has."""
        taken = self.office.taken()
        found = {identity(message): count for message, count in taken.items()}
        return {name: found.get(name, 0) for name in names}


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    folder = tmp_path / "workspace"
    create_workspace(folder)
    with post_office(tmp_path / "taken") as office:
        settings, inventory = folder / "liftlock.yaml", folder / "inventories" / "example.yaml"
        settings.write_text(settings.read_text(encoding="utf-8").replace("2525", str(office.port)), encoding="utf-8")
        text = inventory.read_text(encoding="utf-8")
        for line in [line for line in text.splitlines() if "email:" in line]:
            more = (line.replace("email: ", f"email: {number}.") for number in range(1, CONTACTS))
            text = text.replace(line, "\n".join([line, *more]))
        inventory.write_text(text, encoding="utf-8")
        plan, _ = plan_release(Workspace(folder), "boathouse", "1.5.0", look=False)
        yield Vendor(Workspace(folder), plan, office, tmp_path / "told")


def test_kill_9_around_sends_loses_no_letter_and_doubles_none_unasked(vendor: Vendor) -> None:
    rounds, kills, listed, letters = often(15, 2000), 0, 0, 0
    warm = vendor.through(0)
    telling.notify(vendor.workspace, warm)  # what is imported once need not be imported by every child
    for number in range(1, rounds + 1):
        plan = vendor.through(number)
        kills += vendor.killed(plan, longest=0.25)
        if random.random() < 0.3:
            kills += vendor.killed(plan, longest=0.25)
        doubtful = vendor.notify(plan)
        states = vendor.states(plan)
        assert len(states) == 2 * CONTACTS, "a row is missing"
        copies = vendor.copies(set(states))
        assert {name for name, state in states.items() if state is not NoticeState.SENT} == doubtful, "in doubt, unsaid"
        assert all(copies[name] == 1 for name in states if name not in doubtful), f"missing or doubled: {copies}"
        assert all(copies[name] <= 1 for name in doubtful), f"doubled: {copies}"
        if doubtful:
            settle = {name: "sent" if copies[name] else "resend" for name in doubtful}
            assert vendor.notify(plan, settle) == set()
        assert set(vendor.copies(set(states)).values()) == {1}
        assert vendor.notify(plan) == set()
        assert set(vendor.copies(set(states)).values()) == {1}, "told twice"
        listed, letters = listed + len(doubtful), letters + len(states)
    assert kills > rounds // 2
    seen = f"0 of {letters} letters missing, 0 arrived twice unasked; {listed} in doubt, each listed and then settled"
    record("kill -9 around sends to a recording mail server", seen, tries=kills)


@pytest.mark.parametrize(("policy", "copies"), [("resend", 2), ("assume_sent", 1)])
def test_a_policy_settles_a_letter_in_doubt_and_the_record_says_so(vendor: Vendor, policy: str, copies: int) -> None:
    settings = vendor.workspace.root / "liftlock.yaml"
    settings.write_text(settings.read_text(encoding="utf-8") + f"notices: {{ambiguous: {policy}}}\n", encoding="utf-8")
    for number in range(1, 200):
        plan = vendor.through(number)
        vendor.killed(plan, longest=0.25)
        (*taken,) = (name for name, state in vendor.states(plan).items() if state is NoticeState.SENDING)
        if sum(vendor.copies(set(taken)).values()):  # it was killed when the server had the letter and it did not know
            break
    assert vendor.notify(plan) == set()
    assert set(vendor.states(plan).values()) == {NoticeState.SENT}
    assert vendor.copies(set(taken)) == dict.fromkeys(taken, copies)
    with vendor.workspace.ledger() as ledger:
        said = [entry.fact for entry in ledger.entries(plan.id) if isinstance(entry.fact, Settled)]
    assert [(identity(one.message_id), one.by) for one in said] == [(name, "policy") for name in taken]
