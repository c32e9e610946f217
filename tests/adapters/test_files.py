from __future__ import annotations

import hashlib
import os
import resource
import shutil
import stat
from pathlib import Path

import pytest

from liftlock.adapters import files
from liftlock.errors import ExitCode, InputError, LiftlockError

PRODUCT = "product: boathouse\ntitle: {en: Boathouse}\nhealth: {command: bin/health}\n"
FLEET = """\
fleet: demo
customers:
  a: {title: A, language: en, timezone: UTC, contacts: [{name: B, email: b@c.example}], windows: [always]}
hosts:
  - {name: h-1, customer: a, address: 127.0.0.1}
"""


def manifest(version: str) -> str:
    artifact = f"{{path: artifacts/{version}.tar, sha256: {'0' * 64}, length: 1}}"
    return f'version: "{version}"\nkind: patch\nartifact: {artifact}\nsummary: {{en: Fixes}}\n'


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for name, content in {
        "releases/boathouse/product.yaml": PRODUCT,
        "releases/boathouse/1.10.0.yaml": manifest("1.10.0"),
        "releases/boathouse/1.9.0.yaml": manifest("1.9.0"),
        "releases/boathouse/1.9.0.yaml.sig": "not a manifest",
        "inventories/demo.yaml": FLEET,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def refusal(call: object, *arguments: object) -> str:
    assert callable(call)
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return str(caught.value)


def test_a_catalogue_is_loaded_oldest_first_with_absolute_artifacts(workspace: Path) -> None:
    assert files.list_products(workspace) == ["boathouse"]
    catalogue = files.load_catalogue(workspace, "boathouse")
    assert [release.version for release in catalogue.releases] == ["1.9.0", "1.10.0"]
    assert catalogue.releases[0].artifact.path == f"{workspace}/releases/boathouse/artifacts/1.9.0.tar"
    assert {release.product for release in catalogue.releases} == {"boathouse"}


def test_a_mistake_that_shows_only_beside_other_files_has_its_place_too(workspace: Path) -> None:
    folder = workspace / "releases/boathouse"
    needing = manifest("1.10.0") + "needs:\n  boathouse: '>=1.9'\n  boathose: '>=1'\n"
    (folder / "1.10.0.yaml").write_text(needing, encoding="utf-8")
    assert refusal(files.load_catalogue, workspace, "boathouse").splitlines() == [
        "releases/boathouse/1.10.0.yaml:6:14: needs.boathouse: `boathouse` cannot need itself: say `requires`",
        "releases/boathouse/1.10.0.yaml:7:13: needs.boathose: there is no other product `boathose`",
    ]
    (folder / "1.10.0.yaml").write_text(manifest("1.10.0") + "backup: true\n", encoding="utf-8")
    (folder / "1.9.yaml").write_text(manifest("1.9"), encoding="utf-8")
    assert refusal(files.load_catalogue, workspace, "boathouse").splitlines() == [
        "releases/boathouse/1.9.yaml:1:10: version: `1.9` is the same version as `1.9.0`: remove one",
        "releases/boathouse/1.10.0.yaml:5:9: backup: product.yaml names no backup command",
    ]


def test_problems_of_all_manifests_come_together(workspace: Path) -> None:
    folder = workspace / "releases/boathouse"
    (folder / "product.yaml").write_text(PRODUCT.replace("product: boathouse", "product: boat"), encoding="utf-8")
    (folder / "1.9.0.yaml").write_text(manifest("1.9.1"), encoding="utf-8")
    (folder / "1.10.0.yaml").write_bytes(b"version: '1.10.0'\nkind: \xff\n")
    (folder / "1.11.0.yaml").mkdir()
    (folder / "1.12.0.yml").touch()
    assert refusal(files.load_catalogue, workspace, "boathouse").splitlines() == [
        "releases/boathouse/product.yaml:1:10: product: `boat` must be the name of its folder, boathouse",
        "releases/boathouse/1.10.0.yaml:2:7: is not UTF-8 text (byte 0xff): save it as UTF-8",
        "releases/boathouse/1.11.0.yaml: cannot be read: Is a directory",
        "releases/boathouse/1.9.0.yaml:1:10: version: `1.9.1` must be the name of its file: 1.9.1.yaml, not 1.9.0.yaml",
        "releases/boathouse/1.12.0.yml: is not read: its name must end in .yaml",
    ]


@pytest.mark.parametrize("name", ["boat", "../boathouse", "", "Boathouse"])
def test_an_unknown_product_is_refused_with_those_there_are(workspace: Path, name: str) -> None:
    assert refusal(files.load_catalogue, workspace, name).endswith("no such product; releases/ has: boathouse")
    assert "releases/ has: boathouse" in refusal(files.input_hashes, workspace, [name], "demo")


def test_a_product_without_its_files_is_refused(workspace: Path) -> None:
    shutil.rmtree(workspace / "releases/boathouse")
    (workspace / "releases/boathouse").mkdir()
    assert refusal(files.load_catalogue, workspace, "boathouse").splitlines() == [
        "releases/boathouse/product.yaml: cannot be read: No such file or directory",
        "releases/boathouse: has no release manifest (<version>.yaml)",
    ]


def test_a_fleet_is_loaded_by_name_or_by_path(workspace: Path) -> None:
    by_name = files.load_fleet(workspace, "demo")
    elsewhere = workspace / "other.yaml"
    shutil.copy(workspace / "inventories/demo.yaml", elsewhere)
    assert files.load_fleet(workspace, str(elsewhere)) == by_name
    assert by_name.hosts[0].name == "h-1"


def test_a_fleet_that_is_not_there_or_has_another_name_is_refused(workspace: Path) -> None:
    missing = "inventories/dmo.yaml: there is no such inventory; inventories/ has: demo"
    assert refusal(files.load_fleet, workspace, "dmo") == missing
    shutil.copy(workspace / "inventories/demo.yaml", workspace / "inventories/copy.yaml")
    assert "inventories/copy.yaml: fleet: `demo` must be the name of its file, copy" in refusal(
        files.load_fleet, workspace, "copy"
    )
    assert "nowhere.yaml: cannot be read" in refusal(files.load_fleet, workspace, str(workspace / "nowhere.yaml"))


def test_settings_are_the_defaults_until_there_is_a_file(workspace: Path) -> None:
    assert files.load_settings(workspace).ledger == f"sqlite:///{workspace}/.liftlock/ledger.db"
    (workspace / "liftlock.yaml").write_text("policy: {concurrency: 3}\n", encoding="utf-8")
    assert files.load_settings(workspace).policy.concurrency == 3
    (workspace / "liftlock.yaml").write_text("policy: {concurency: 3}\n", encoding="utf-8")
    assert "did you mean `concurrency`?" in refusal(files.load_settings, workspace)


def test_the_workspace_is_found_from_any_folder_below(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert files.find_workspace(workspace / "releases/boathouse") == workspace
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert "liftlock init DIR" in refusal(files.find_workspace, elsewhere)
    (elsewhere / "liftlock.yaml").touch()
    assert files.find_workspace(elsewhere) == elsewhere


def test_input_hashes_name_the_exact_bytes_of_every_file_a_plan_is_made_from(workspace: Path) -> None:
    (workspace / "liftlock.yaml").write_text("# ours\n", encoding="utf-8")
    hashes = files.input_hashes(workspace, ["boathouse"], "demo")
    assert hashes == {
        name: hashlib.sha256((workspace / name).read_bytes()).hexdigest()
        for name in (
            "inventories/demo.yaml",
            "liftlock.yaml",
            "releases/boathouse/1.10.0.yaml",
            "releases/boathouse/1.9.0.yaml",
            "releases/boathouse/product.yaml",
        )
    }
    with (workspace / "inventories/demo.yaml").open("a", encoding="utf-8") as inventory:
        inventory.write("\n")
    changed = files.input_hashes(workspace, ["boathouse"], "demo")
    assert {name for name in hashes if hashes[name] != changed[name]} == {"inventories/demo.yaml"}


def test_a_file_is_written_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    files.write_atomically(path, "船坞")
    assert path.read_text(encoding="utf-8") == "船坞"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files.write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["plan.json"], "no temporary file is left"  # noqa: PTH208


def test_when_there_is_no_room_the_old_file_stays_and_the_remedy_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old", encoding="utf-8")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(
            LiftlockError, match=r"plan\.json could not be written: File too large; raise the limit"
        ) as no:
            files.write_atomically(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert no.value.exit_code is ExitCode.NEEDS_A_PERSON
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["plan.json"]  # noqa: PTH208


def test_a_folder_that_is_not_there_is_made_unless_a_file_stands_there(tmp_path: Path) -> None:
    files.write_atomically(tmp_path / "new/deep/plan.json", b"{}")
    assert (tmp_path / "new/deep/plan.json").read_bytes() == b"{}"
    with pytest.raises(LiftlockError, match=r"could not be written: .*; its folder is a file: move that away"):
        files.write_atomically(tmp_path / "new/deep/plan.json/other.json", b"")
