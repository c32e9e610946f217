from __future__ import annotations

import shutil
from pathlib import Path

import pypdfium2
import pytest

from e2e.harbour import INV, run


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    assert run("init", str(tmp_path / "ws"), cwd=tmp_path).code == 0
    return tmp_path / "ws"


def plan(workspace: Path) -> str:
    """The id of a plan that takes the sample's three hosts over two hops."""
    made = run("plan", "boathouse", "1.6.0", "--no-look", "--json", cwd=workspace)
    assert made.code == 0, made.stderr
    identity: str = made.told["id"]
    return identity


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_the_sample_passes_the_check(workspace: Path) -> None:
    checked = run("manual", "--check", "--json", cwd=workspace)
    assert checked.code == 0
    assert checked.told["chapters"] == [
        f"manuals/boathouse/{version}.{language}.md"
        for version in ("1.4.0", "1.5.0", "1.6.0")
        for language in ("en", "zh-CN")
    ]
    assert run("manual", "--check", cwd=workspace, program=INV).code == 0


def test_the_check_tells_every_mistake_at_once_with_file_and_line(workspace: Path) -> None:
    chapters = workspace / "manuals" / "boathouse"
    (chapters / "1.4.0.zh-CN.md").unlink()
    edit(chapters / "1.5.0.en.md", "## Training", "## Trainings")
    edit(chapters / "1.5.0.en.md", "(#known-issues)", "(#unknown-issues)")
    asked = "curl --silent --fail http://127.0.0.1:8080/health"
    edit(chapters / "1.5.0.en.md", asked, f'echo "$({asked} | python3 -m json.tool | grep version)"')
    edit(chapters / "1.6.0.en.md", "{{ plan.id[:8] }}", "{{ plan.number }}")
    edit(chapters / "1.6.0.zh-CN.md", "**导出**", "**导出ᚠ**")
    checked = run("manual", "--check", cwd=workspace)
    assert checked.code == 2
    lines = [line.removeprefix("liftlock: ") for line in checked.stderr.splitlines()]
    starts = [
        "manuals/boathouse/1.4.0.zh-CN.md: there is no such chapter; the manual of huaxin needs it",
        "manuals/boathouse/1.5.0.en.md:24:1: the link `#unknown-issues` leads to no heading of that chapter",
        "manuals/boathouse/1.5.0.en.md:59:1: this line is too long for paper (78 characters)",
        "manuals/boathouse/1.5.0.en.md:79:1: the section `## Training` is missing",
        "manuals/boathouse/1.6.0.en.md:70:1: 'liftlock.model.plan.Plan object' has no attribute 'number'",
        "manuals/boathouse/1.6.0.zh-CN.md:10:1: no font has 'ᚠ' (U+16A0",
    ]
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts


def test_the_check_asks_for_the_languages_of_the_named_fleet_only(workspace: Path) -> None:
    inventory = workspace / "inventories" / "example.yaml"
    text = inventory.read_text(encoding="utf-8").replace("fleet: example", "fleet: home").replace("zh-CN", "en")
    (inventory.parent / "home.yaml").write_text(text, encoding="utf-8")
    (workspace / "manuals" / "boathouse" / "1.5.0.zh-CN.md").unlink()
    assert run("manual", "--check", "--fleet", "home", cwd=workspace).code == 0
    assert run("manual", "--check", cwd=workspace).code == 2


def test_manual_wants_a_plan_or_a_check(workspace: Path) -> None:
    nothing = run("manual", cwd=workspace)
    assert (nothing.code, "manual is missing its plan: liftlock manual PLAN" in nothing.stderr) == (2, True)
    both = run("manual", "3fa9c1d2", "--fleet", "example", cwd=workspace)
    assert (both.code, "--fleet goes with --check" in both.stderr) == (2, True)


def test_each_customer_gets_a_pdf_and_a_page_and_again_the_same_bytes(workspace: Path) -> None:
    identity = plan(workspace)
    written = [Path(path) for path in run("manual", identity, "--json", cwd=workspace).told["manuals"]]
    assert sorted(path.name for path in written) == [
        f"boathouse-1.6.0-{customer}.{ending}"
        for customer in ("huaxin.zh-CN", "northpier.en")
        for ending in ("html", "pdf")
    ]
    contents = {path: path.read_bytes() for path in written}
    shutil.rmtree(workspace / "out")
    assert run("manual", identity, cwd=workspace).code == 0
    assert {path: path.read_bytes() for path in written} == contents
    for path in written:
        if path.suffix == ".pdf":
            text = "".join(page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(path))
            assert identity[:8] in text
            assert "BH-240" in text
            assert "1.4.0 → 1.5.0 → 1.6.0" in text
    (one,) = {
        Path(path).stem
        for path in run("manual", identity, "--customer", "huaxin", "--json", cwd=workspace).told["manuals"]
    }
    assert one == "boathouse-1.6.0-huaxin.zh-CN"


def test_a_plan_whose_chapters_are_wrong_gets_no_manual_and_no_letter(workspace: Path) -> None:
    identity = plan(workspace)
    (workspace / "manuals" / "boathouse" / "1.5.0.en.md").unlink()
    edit(workspace / "manuals" / "boathouse" / "1.6.0.zh-CN.md", "{{ plan.id[:8] }}", "{{ plan_id }}")
    for words in (("manual", identity), ("notify", identity, "--preview")):
        refused = run(*words, cwd=workspace)
        assert refused.code == 2
        assert "manuals/boathouse/1.5.0.en.md: there is no such chapter" in refused.stderr
        assert "manuals/boathouse/1.6.0.zh-CN.md:61:1: 'plan_id' is undefined" in refused.stderr
    assert not (workspace / "out").exists()
