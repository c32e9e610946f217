"""The doctor on a real harbour: all well, and then one thing after the other that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2e.conftest import MakeHarbour
from e2e.harbour import Harbour, files_below, run


def unwell(harbour: Harbour) -> dict[str, dict[str, Any]]:
    """What the doctor finds not to be well, by subject; there is something."""
    found = harbour.ask("doctor", code=3).told
    assert found["well"] is False
    return {one["subject"]: one for one in found["findings"] if not one["well"]}


def test_the_doctor_finds_all_well_and_then_names_what_is_not(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1")
    well = harbour.ask("doctor").told
    subjects = [one["subject"] for one in well["findings"]]
    assert well["well"] is True
    assert {"workspace", "product boathouse", "inventory", "ssh key", "disk", "mail server"} < set(subjects)
    assert {"host np-1", "host hx-1"} < set(subjects)
    before = harbour.all_seen()

    harbour.fleet.stop_host("hx-1")
    found = unwell(harbour)
    assert set(found) == {"host hx-1"}
    assert "connection refused" in found["host hx-1"]["detail"]
    assert "start its ssh server" in found["host hx-1"]["remedy"]

    harbour.fleet.start_host("hx-1")
    harbour.fleet.replace_host_key("np-1")
    found = unwell(harbour)
    assert set(found) == {"host np-1"}
    assert "host key changed" in found["host np-1"]["detail"]
    assert "liftlock trust --replace" in found["host np-1"]["remedy"]
    harbour.liftlock("trust", "--yes", "--replace")

    harbour.stop_mail()
    found = unwell(harbour)
    assert set(found) == {"mail server"}
    assert "smtp.host" in found["mail server"]["remedy"]
    assert "if it is down" in found["mail server"]["remedy"]
    assert found["mail server"]["detail"].startswith("127.0.0.1:")

    harbour.stop_boathouse("np-1")
    artifact = harbour.releases / "artifacts" / "boathouse-1.6.0.tar"
    artifact.write_bytes(artifact.read_bytes()[:-1])
    people_read = harbour.liftlock("doctor", code=3).stdout
    assert set(unwell(harbour)) == {"mail server", "host np-1", "product boathouse"}
    assert people_read.count("unwell ") == 3
    assert before["hx-1"] == harbour.seen("hx-1")
    assert not harbour.seen("np-1").touched

    current = harbour.hosts["hx-1"].base / "current"
    current.unlink()
    current.mkdir()
    found = unwell(harbour)
    assert "host hx-1" in found, "a rollout would refuse it"
    assert "current is not a link" in found["host hx-1"]["detail"]
    assert "put the link `current` right" in found["host hx-1"]["remedy"]


def test_the_doctor_sees_a_new_workspace_through_although_its_key_or_settings_are_wrong(tmp_path: Path) -> None:
    made = run("init", ".", "--json", cwd=tmp_path)
    assert made.code == 0
    assert sorted(made.told["files"]) == sorted(files_below(tmp_path))
    settings = tmp_path / "liftlock.yaml"
    settings.write_text("ssh: {key: no-such-key}\n", encoding="utf-8")
    ran = run("doctor", "--json", cwd=tmp_path)
    found = {one["subject"]: one for one in ran.told["findings"]}
    assert ran.code == 3
    assert [subject for subject, one in found.items() if not one["well"]] == ["ssh key"], "one mistake, one finding"
    assert "no-such-key does not exist" in found["ssh key"]["detail"]

    settings.write_text("policy: {bake: tomorrow}\n", encoding="utf-8")
    ran = run("doctor", cwd=tmp_path)
    assert ran.code == 3
    assert "liftlock.yaml:1:16: policy.bake: " in ran.stdout
    assert "well   product boathouse" in ran.stdout
