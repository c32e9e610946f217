"""Letters into rooms, end to end: an inventory that names a channel, the environment that holds its address."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters import webhook_server
from adapters.webhook_server import SECRET, TOKEN, Reply, Service, serving
from e2e.conftest import MakeHarbour
from e2e.harbour import Harbour, files_below

CHANNELS = "channels:\n  np-room: {kind: dingtalk, url_env: NP_URL, secret_env: NP_SECRET, retry_for: 1s}\n"


def with_room(harbour: Harbour, channel: str = "np-room") -> None:
    """Give the first customer a room beside its mailbox."""
    settings = harbour.workspace / "liftlock.yaml"
    settings.write_text(settings.read_text(encoding="utf-8") + CHANNELS, encoding="utf-8")
    inventory = harbour.inventory.read_text(encoding="utf-8")
    before, contacts, after = inventory.partition("contacts: [")
    harbour.inventory.write_text(
        f"{before}{contacts}{{name: Operations, channel: {channel}}}, {after}", encoding="utf-8"
    )


def reached(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the way to the room into the environment."""
    monkeypatch.setenv("NP_URL", f"http://127.0.0.1:{service.port}/robot/send?access_token={TOKEN}")
    monkeypatch.setenv("NP_SECRET", SECRET)


def test_a_room_is_told_as_a_mailbox_is_once_and_its_secrets_stay_in_the_environment(
    make_harbour: MakeHarbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour = make_harbour("np-1")
    with_room(harbour)
    trouble = Reply(500, f"no room for access_token={TOKEN}".encode())
    with serving(webhook_server.dingtalk, trouble) as service:
        reached(service, monkeypatch)
        plan = harbour.plan()
        first = harbour.ask("notify", plan, code=3)
        assert len(list(harbour.mail.glob("*.eml"))) >= 1, "a room in trouble stops no mailbox"
        again, third = harbour.ask("notify", plan), harbour.ask("notify", plan)
        asked = len(service.asked)
    markdown = service.asked[1].document["markdown"]
    assert "Boathouse" in markdown["title"]
    assert "np-1" in markdown["text"]
    assert asked == 2
    said = first.stdout + first.stderr + again.stdout + again.stderr + third.stdout + third.stderr
    assert "channel:np-room" in first.stdout
    assert "HTTP 500: no room for" in first.stdout
    assert TOKEN not in said
    assert SECRET not in said
    kept = b"".join(files_below(harbour.workspace).values())
    assert b"channel:np-room" in kept
    assert TOKEN.encode() not in kept
    assert SECRET.encode() not in kept


def test_what_a_channel_lacks_is_told_by_the_doctor_and_before_any_letter(
    make_harbour: MakeHarbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour = make_harbour("np-1")
    with_room(harbour, channel="np-rooms")
    plan = harbour.plan()
    with serving(webhook_server.dingtalk) as service:
        unwell = {one["subject"]: one for one in harbour.ask("doctor", code=3).told["findings"] if not one["well"]}
        assert "set NP_URL in the environment" in unwell["channel np-room"]["detail"]
        (customer,) = unwell.keys() - {"channel np-room"}
        assert "names channel `np-rooms`, which liftlock.yaml lacks" in unwell[customer]["detail"]
        told = harbour.liftlock("notify", plan, code=2).stderr
        assert "liftlock.yaml has no channel `np-rooms`; did you mean `np-room`?" in told

        harbour.inventory.write_text(harbour.inventory.read_text(encoding="utf-8").replace("np-rooms", "np-room"))
        told = harbour.liftlock("notify", harbour.plan(), code=2).stderr
        assert "channel np-room: set NP_URL in the environment" in told
        assert list(harbour.mail.glob("*.eml")) == []

        reached(service, monkeypatch)
        findings = {one["subject"]: one for one in harbour.ask("doctor").told["findings"]}
        assert findings["channel np-room"]["detail"] == "dingtalk, NP_URL and NP_SECRET are set"
        assert service.asked == [], "the doctor calls nobody"


def test_a_contact_has_a_mailbox_or_a_room_and_not_both(make_harbour: MakeHarbour, tmp_path: Path) -> None:
    harbour = make_harbour("np-1")
    with_room(harbour, channel="np-room, email: ops@northpier.example")
    told = harbour.liftlock("plan", "boathouse", "1.5.0", code=2).stderr
    assert "contacts[0]: needs just one of `email` and `channel`" in told
