"""What must be refused is refused while every host is still untouched, with the reason and what would free it."""

from __future__ import annotations

import io
import tarfile

import pytest

from e2e.conftest import MakeHarbour
from e2e.harbour import WAIVED, Harbour, files_below


def nobody_was_touched(harbour: Harbour) -> bool:
    return not any(seen.touched for seen in harbour.all_seen().values())


def test_a_changed_or_unknown_host_key_is_refused_and_the_other_hosts_succeed(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1", "hx-1", "lh-1")
    plan = harbour.announced()
    harbour.fleet.replace_host_key("hx-1")
    known_hosts = harbour.workspace / ".liftlock" / "known_hosts"
    port = f":{harbour.hosts['lh-1'].sshd.port} "
    lines = known_hosts.read_text().splitlines(keepends=True)
    known_hosts.write_text("".join(line for line in lines if port not in line))

    refused = harbour.liftlock("rollout", plan, code=3)
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    outcomes = {line["host"]: (line["outcome"], line["cause"]) for line in standing["hosts"]}
    assert outcomes == {
        "np-1": ("succeeded", ""),
        "hx-1": ("refused", "host key changed"),
        "lh-1": ("refused", "host key unknown"),
    }
    assert "liftlock trust" in refused.stdout
    assert not harbour.seen("hx-1").touched
    assert not harbour.seen("lh-1").touched
    details = {host["host"]: host["detail"] for host in harbour.ask("report", "--plan", plan).told["hosts"]}
    assert "SHA256:" in details["hx-1"]
    assert "liftlock trust" in details["lh-1"]

    partly = harbour.ask("trust", "--yes", code=3).told
    assert partly["recorded"] == ["lh-1"], "a changed key is not recorded by the way"
    assert harbour.ask("trust", "--yes", "--replace").told["recorded"] == ["hx-1"]
    assert set(harbour.ask("rollout", plan).outcomes.values()) == {"succeeded"}
    assert harbour.versions() == harbour.all_on("1.5.0")


def test_keys_are_shown_but_not_recorded_without_a_yes(quiet_harbour: Harbour) -> None:
    known_hosts = quiet_harbour.workspace / ".liftlock" / "known_hosts"
    recorded = known_hosts.read_bytes()
    known_hosts.unlink()
    shown = quiet_harbour.liftlock("trust", code=2)
    assert shown.stdout.count("SHA256:") == 3
    assert "--yes" in shown.stderr
    assert not known_hosts.exists()
    known_hosts.write_bytes(recorded)
    assert {host["state"] for host in quiet_harbour.ask("trust").told["hosts"]} == {"same"}


def tar_with(name: str) -> bytes:
    """An archive with a harmless member, and one of this name."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for member in ("VERSION", name):
            tar.addfile(tarfile.TarInfo(member))
    return content.getvalue()


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        pytest.param(lambda content: content[:-1] + b"!", "has the sha256", id="another sha256"),
        pytest.param(lambda content: content + b"\0" * 512, "bytes long, but the release manifest says", id="longer"),
        pytest.param(lambda content: content[:-512], "bytes long, but the release manifest says", id="shorter"),
    ],
)
def test_an_artifact_that_is_not_what_its_manifest_says_is_refused(quiet_harbour: Harbour, tamper, said) -> None:
    artifact = quiet_harbour.releases / "artifacts" / "boathouse-1.5.0.tar"
    whole = artifact.read_bytes()
    plan = quiet_harbour.plan()
    artifact.write_bytes(tamper(whole))
    refused = quiet_harbour.liftlock("rollout", plan, *WAIVED, code=2)
    artifact.write_bytes(whole)
    assert said in refused.stderr
    assert "boathouse-1.5.0.tar" in refused.stderr
    assert nobody_was_touched(quiet_harbour)


def test_an_archive_with_a_member_that_would_leave_its_folder_is_refused_by_name(quiet_harbour: Harbour) -> None:
    places = quiet_harbour.releases / "1.5.0.yaml", quiet_harbour.releases / "artifacts" / "boathouse-1.5.0.tar"
    whole = [place.read_bytes() for place in places]
    quiet_harbour.replace_artifact("1.5.0", tar_with("../escape"))
    plan = quiet_harbour.plan()
    refused = quiet_harbour.liftlock("rollout", plan, *WAIVED, code=2)
    problem = quiet_harbour.ask("rollout", plan, *WAIVED, code=2).told["error"]["problems"]
    for place, content in zip(places, whole, strict=True):
        place.write_bytes(content)
    assert "'../escape'" in refused.stderr
    assert "climbs" in problem[0]["message"]
    assert nobody_was_touched(quiet_harbour)


@pytest.mark.parametrize("name", ["inventories/demo.yaml", "releases/boathouse/1.5.0.yaml"])
def test_a_plan_whose_inputs_changed_is_refused_naming_the_file(quiet_harbour: Harbour, name: str) -> None:
    plan = quiet_harbour.plan()
    place = quiet_harbour.workspace / name
    before = place.read_bytes()
    place.write_bytes(before + b"# a remark\n")
    refused = quiet_harbour.liftlock("rollout", plan, *WAIVED, code=3)
    place.write_bytes(before)
    assert name in refused.stderr
    assert "plan again" in refused.stderr
    assert nobody_was_touched(quiet_harbour)


def test_without_notice_and_gate_every_host_is_refused_with_the_reason(quiet_harbour: Harbour) -> None:
    plan = quiet_harbour.plan()
    untold = quiet_harbour.ask("rollout", plan, code=3)
    assert set(untold.outcomes.values()) == {"refused"}
    assert all(cause.startswith("notice: ") for cause in untold.causes.values())
    quiet_harbour.liftlock("notify", plan)
    ungated = quiet_harbour.ask("rollout", plan, code=3)
    assert set(ungated.outcomes.values()) == {"refused"}
    assert set(ungated.causes.values()) == {"no gate was run on it for this plan"}
    (refused,) = quiet_harbour.ask("report", "--plan", plan).told["not_attempted"]
    assert (refused["outcome"], refused["count"]) == ("refused", 3)
    assert nobody_was_touched(quiet_harbour)


def test_a_notice_counts_for_its_own_plan_only_and_not_before_its_lead(quiet_harbour: Harbour) -> None:
    told = quiet_harbour.announced()
    another = quiet_harbour.plan("1.5.0", "--hosts", "np-1")
    assert quiet_harbour.ask("rollout", another, code=3).causes["np-1"].startswith("notice: ")

    quiet_harbour.set_policy(notice_lead="{upgrade: 72h}")
    early = quiet_harbour.announced()
    refused = quiet_harbour.ask("rollout", early, code=3)
    quiet_harbour.set_policy()
    assert early != told
    assert all(cause.startswith("notice: ") for cause in refused.causes.values())
    assert nobody_was_touched(quiet_harbour)


def test_a_host_that_fails_its_gate_is_refused_with_the_gates_own_words(quiet_harbour: Harbour) -> None:
    marker = quiet_harbour.hosts["hx-1"].base / "data" / "maintenance"
    marker.touch()
    plan = quiet_harbour.plan("1.5.0", "--hosts", "hx-1")
    judged = quiet_harbour.ask("gate", plan, code=3)
    marker.unlink()
    (result,) = judged.told["results"]
    assert result["verdict"] == "failed"
    assert "maintenance" in result["reason"]
    quiet_harbour.liftlock("notify", plan)
    refused = quiet_harbour.ask("rollout", plan, code=3)
    assert "maintenance" in refused.causes["hx-1"]
    assert nobody_was_touched(quiet_harbour)


def test_rules_are_waived_with_a_reason_that_the_record_keeps(make_harbour: MakeHarbour) -> None:
    harbour = make_harbour("np-1")
    plan = harbour.plan()
    recorded = files_below(harbour.workspace / ".liftlock")
    assert "--reason" in harbour.liftlock("rollout", plan, "--waive", "notice,gate", code=2).stderr
    assert "nonsense" in harbour.liftlock("rollout", plan, "--waive", "nonsense", "--reason", "x", code=2).stderr
    assert not harbour.seen("np-1").touched
    assert files_below(harbour.workspace / ".liftlock").keys() == recorded.keys()

    ended = harbour.ask("rollout", plan, "--waive", "notice,gate", "--reason", "a hole is open")
    assert ended.outcomes == {"np-1": "succeeded"}
    (standing,) = harbour.ask("status", "--plan", plan).told["plans"]
    waived = {(one["rule"], one["reason"]) for one in standing["waived"]}
    assert waived == {("notice", "a hole is open"), ("gate", "a hole is open")}
    assert all("@" in one["by"] for one in standing["waived"])
