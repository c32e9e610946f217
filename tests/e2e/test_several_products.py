"""Two products on the same machines: one plan, the database first, each recorded and reported as what it is."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from e2e.conftest import MakeHarbour
from e2e.harbour import WAIVED, Harbour, names_in

DATABASE = "boathouse-db"
OLD, NEW = "5.1.0", "5.2.1"
RUNS = {"np-1": ("boathouse", DATABASE), "hx-1": ("boathouse",), "hx-3": (DATABASE,)}


def base_of(harbour: Harbour, name: str) -> Path:
    """Where the database lives on a host."""
    return harbour.hosts[name].base.parent / f"{name}-database"


def with_databases(harbour: Harbour) -> Harbour:
    """Declare the database as a second product, and have 5.1.0 of it on the hosts that run it."""
    folder = harbour.workspace / "releases" / DATABASE
    folder.mkdir()
    (folder / "product.yaml").write_text(
        f"product: {DATABASE}\ntitle: {{en: Boathouse Database, zh-CN: 船坞数据库}}\n"
        "health: {command: cat VERSION, times: 1, interval: 10ms}\n",
        encoding="utf-8",
    )
    for version in (OLD, NEW):
        offer(folder, version)
    needs(harbour, "boathouse", "1.5.0", "{boathouse-db: '>=5.2'}")
    for name, products in RUNS.items():
        if DATABASE in products:
            install(base_of(harbour, name))
    lines = [
        said.replace("variables:", f"{own(harbour, name)}, variables:") if (name := named(said)) else said
        for said in harbour.inventory.read_text(encoding="utf-8").splitlines()
    ]
    harbour.inventory.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for language in ("en", "zh-CN"):
        chapter = harbour.workspace / "manuals" / DATABASE / f"{NEW}.{language}.md"
        chapter.parent.mkdir(exist_ok=True)
        like = harbour.workspace / "manuals" / "boathouse" / f"1.5.0.{language}.md"
        chapter.write_text(like.read_text(encoding="utf-8"), encoding="utf-8")
    return harbour


def named(line: str) -> str:
    return next((name for name in RUNS if f"{{name: {name}," in line), "")


def own(harbour: Harbour, name: str) -> str:
    """What the inventory says of the products of a host."""
    products = f"products: [{', '.join(RUNS[name])}]"
    if DATABASE not in RUNS[name]:
        return products
    return f"{products}, per_product: {{{DATABASE}: {{base: {base_of(harbour, name)}}}}}"


def offer(folder: Path, version: str) -> None:
    """A release of the database: a file that says its version."""
    content, text = io.BytesIO(), f"{version}\n".encode()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo("VERSION")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    (folder / f"{version}.tar").write_bytes(content.getvalue())
    (folder / f"{version}.yaml").write_text(
        f'version: "{version}"\nkind: upgrade\nsummary: {{en: Faster., zh-CN: 更快。}}\nexpected: 1m\n'
        f"artifact: {{path: {version}.tar, sha256: {hashlib.sha256(content.getvalue()).hexdigest()}, "
        f"length: {len(content.getvalue())}}}\n",
        encoding="utf-8",
    )


def install(base: Path) -> None:
    release = base / "releases" / OLD
    release.mkdir(parents=True)
    (release / "VERSION").write_text(f"{OLD}\n")
    (base / "current").symlink_to(Path("releases") / OLD)
    (base / "data").mkdir()
    (base / "data" / "last-backup").touch()


def needs(harbour: Harbour, product: str, version: str, said: str) -> None:
    """Say what a release needs of other products."""
    manifest = harbour.workspace / "releases" / product / f"{version}.yaml"
    written = [line for line in manifest.read_text(encoding="utf-8").splitlines() if not line.startswith("needs:")]
    manifest.write_text("\n".join([*written, f"needs: {said}"]) + "\n", encoding="utf-8")


def databases(harbour: Harbour) -> dict[str, str]:
    """What is installed of the database, by host."""
    return {
        name: (base_of(harbour, name) / "current" / "VERSION").read_text().strip()
        for name, products in RUNS.items()
        if DATABASE in products
    }


@pytest.fixture
def both(make_harbour: MakeHarbour) -> Harbour:
    return with_databases(make_harbour(*RUNS))


def test_alone_a_release_that_needs_another_product_is_refused_with_what_to_do(both: Harbour) -> None:
    told = both.ask("plan", "boathouse", "1.5.0").told
    assert told["hosts"] == []
    assert {left["host"]: (left["outcome"], left["reason"]) for left in told["exclusions"]} == {
        "np-1": (
            "refused",
            "1.5.0 needs boathouse-db >=5.2, np-1 has 5.1.0: plan it along with --also boathouse-db=5.2.1",
        ),
        "hx-1": (
            "refused",
            "1.5.0 needs boathouse-db >=5.2, hx-3 has 5.1.0: plan it along with --also boathouse-db=5.2.1",
        ),
    }
    assert f"releases/{DATABASE}/5.2.1.yaml" in told["inputs"]


def test_one_plan_brings_both_products_database_first_and_the_report_tells_them_apart(both: Harbour) -> None:
    shown = both.liftlock("plan", "boathouse", "1.5.0", "--also", f"{DATABASE}={NEW}").stdout
    assert "boathouse 1.5.0, boathouse-db 5.2.1 (upgrade) for fleet demo" in shown
    told = both.ask("plan", "boathouse", "1.5.0", "--also", f"{DATABASE}={NEW}").told
    plan = told["id"][:8]
    assert told["also"] == {DATABASE: NEW}
    assert {(host["name"], host["rank"]) for host in told["hosts"]} == {
        ("np-1/boathouse-db", 0),
        ("hx-3/boathouse-db", 0),
        ("np-1", 1),
        ("hx-1", 1),
    }

    gates = both.ask("gate", plan).told["results"]
    assert {result["host"]: result["verdict"] for result in gates} == dict.fromkeys(
        ("np-1/boathouse-db", "hx-3/boathouse-db", "np-1", "hx-1"), "passed"
    )
    both.liftlock("notify", plan)
    letters = [path.read_text(encoding="utf-8", errors="replace") for path in both.mail.rglob("*") if path.is_file()]
    assert any("Boathouse 1.5.0, Boathouse Database 5.2.1" in letter for letter in letters)

    said = both.liftlock("rollout", plan).stdout.splitlines()
    starts = [line.split(": ")[0].split()[-1] for line in said if ", attempt 1" in line]
    for app, database in (("np-1", "np-1/boathouse-db"), ("hx-1", "hx-3/boathouse-db")):
        assert starts.index(database) < starts.index(app)
    assert databases(both) == {"np-1": NEW, "hx-3": NEW}
    assert {name: both.seen(name).version for name in both.hosts} == {"np-1": "1.5.0", "hx-1": "1.5.0", "hx-3": "1.4.0"}
    assert names_in(base_of(both, "np-1") / "releases") == (OLD, NEW)

    report = both.ask("report").told
    rates = {part["name"]: (part["succeeded"], part["attempted"]) for part in report["by_release"]}
    assert rates == {"boathouse 1.5.0": (2, 2), "boathouse-db 5.2.1": (2, 2)}
    assert {(line["product"], line["host"], line["version"]) for line in report["hosts"] if line["outcome"]} >= {
        (DATABASE, "np-1/boathouse-db", NEW),
        ("boathouse", "np-1", "1.5.0"),
    }
    assert both.ask("report", "--product", DATABASE).told["overall"]["attempted"] == 2
    (standing,) = both.ask("status", "--plan", plan).told["plans"]
    assert (standing["also"], standing["state"]) == ({DATABASE: NEW}, "finished")
    assert both.ask("rollout", plan).told["end"] == "verified"
    lifecycle = both.ask("lifecycle").told
    assert lifecycle["sources"] == {"look": 4}
    again = both.ask("plan", "boathouse", "1.5.0", "--also", f"{DATABASE}={NEW}").told
    assert {left["host"]: left["outcome"] for left in again["exclusions"]} == dict.fromkeys(
        ("np-1/boathouse-db", "hx-3/boathouse-db", "np-1", "hx-1"), "already_current"
    )


def test_a_database_that_fails_keeps_its_customers_application_from_going(both: Harbour) -> None:
    both.set_policy(max_failures="9")
    manifest = both.workspace / "releases" / DATABASE / f"{NEW}.yaml"
    refuses = """before_switch: 'case "$LIFTLOCK_BASE" in *hx-3*) exit 1 ;; esac'\n"""
    manifest.write_text(manifest.read_text(encoding="utf-8") + refuses, encoding="utf-8")
    plan = str(both.ask("plan", "boathouse", "1.5.0", "--also", f"{DATABASE}={NEW}").told["id"])[:8]
    told = both.ask("rollout", plan, *WAIVED, code=3)
    assert told.outcomes["hx-3/boathouse-db"] != "succeeded"
    assert told.outcomes["hx-1"] == "refused"
    assert "hx-3/boathouse-db comes first" in told.causes["hx-1"]
    assert told.outcomes["np-1"] == "succeeded"
    assert databases(both) == {"np-1": NEW, "hx-3": OLD}


def test_what_cannot_be_is_said_before_any_host_is_bothered(both: Harbour) -> None:
    also = ("--also", f"{DATABASE}={NEW}")
    needs(both, DATABASE, NEW, "{boathouse: '>=1.5'}")
    circle = both.liftlock("plan", "boathouse", "1.5.0", *also, code=2).stderr
    assert "boathouse 1.5.0 needs boathouse-db, boathouse-db 5.2.1 needs boathouse" in circle
    needs(both, DATABASE, NEW, "{boathose: '>=1.5'}")
    unknown = both.liftlock("plan", "boathouse", "1.5.0", *also, code=2).stderr
    assert "needs.boathose: there is no other product `boathose`" in unknown
    needs(both, DATABASE, NEW, "{boathouse-db: '>=1.5'}")
    itself = both.liftlock("plan", "boathouse", "1.5.0", *also, code=2).stderr
    assert "needs.boathouse-db: `boathouse-db` cannot need itself" in itself
    for words, why in (
        ("boathouse-db", "--also takes PRODUCT=VERSION such as acme-db=5.2.1, not 'boathouse-db'"),
        ("boathouse=1.5.0", "--also is for further products; boathouse is the plan's own"),
        ("boathouse-db=5.2.1,boathouse-db=5.1.0", "--also names boathouse-db twice"),
        ("boathouse-dp=5.2.1", "releases/boathouse-dp: there is no such product"),
    ):
        assert why in both.liftlock("plan", "boathouse", "1.5.0", "--also", words, code=2).stderr
    needs(both, DATABASE, NEW, "{}")
    down = ("--downgrade", "--reason", "back")
    assert "one product at a time" in both.liftlock("plan", "boathouse", "1.4.0", *also, *down, code=2).stderr
    assert "5.9.9" in both.liftlock("plan", "boathouse", "1.5.0", "--also", f"{DATABASE}=5.9.9", code=2).stderr
    assert json.loads(both.ask("status").stdout) == {"plans": []}
