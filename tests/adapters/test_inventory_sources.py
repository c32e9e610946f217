"""Hosts from an Ansible inventory, from its JSON, and from programs, as a user's workspace holds them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from liftlock.adapters import files, inventory_sources
from liftlock.errors import InputError
from liftlock.inventory import Source
from liftlock.model import Fleet, Host

ANSIBLE = Path(__file__).parent / "ansible_fleet"
STUB = """\
fleet: river
source: {source}
customers:
  northpier:
    title: North Pier
    language: en
    timezone: Europe/Berlin
    contacts: [{name: Anna, email: anna@northpier.example}]
    windows: [always]
    groups: {night: {}}
defaults: {base: /srv/boathouse, facts: {edition: free, os: linux}, variables: {color: blue, http_port: 80}}
"""
PROGRAM = """\
#!/bin/sh
{body}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for folder in ("inventories", "releases", "bin"):
        (tmp_path / folder).mkdir()
    shutil.copytree(ANSIBLE, tmp_path / "ansible")
    return tmp_path


def stub(workspace: Path, source: str) -> None:
    (workspace / "inventories/river.yaml").write_text(STUB.replace("{source}", source))


def program(workspace: Path, body: str) -> None:
    path = workspace / "bin/inventory"
    path.write_text(PROGRAM.replace("{body}", body))
    path.chmod(0o755)
    stub(workspace, "{program: [./bin/inventory, --prod]}")


def load(workspace: Path) -> Fleet:
    return files.load_fleet(workspace, "river")


def refusal(workspace: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        load(workspace)
    return str(caught.value).splitlines()


def printing(document: object) -> str:
    return f"cat <<'END'\n{json.dumps(document)}\nEND"


def test_an_ansible_inventory_gives_its_hosts_with_what_groups_and_files_say(workspace: Path) -> None:
    stub(workspace, "{ansible: ../ansible/hosts.yml}")
    hosts = {host.name: host for host in load(workspace).hosts}
    assert list(hosts) == ["dba", "dbb", "lonely", *(f"web0{n}.example.com" for n in (1, 2, 3))]
    assert hosts["dba"] == Host(
        "dba",
        "northpier",
        "dba",
        port=2200,
        user="deploy",
        base="/srv/boathouse",
        variables={
            "color": "blue",
            "http_port": "8081",
            "depth": "deeper",
            "from_file": "all",
            "tie": "all in a file",
            "late": "alpha",
            "quiet": "true",
        },
        labels={"site": "berlin"},
        redundancy="pair-a",
        role="database",
        products=("boathouse",),
        facts={
            "edition": "free",
            "os": "debian",
            "features": ("npm", "ldap"),
            "groups": ("alpha", "berlin", "berlin_db", "zeta"),
        },
    )
    assert hosts["lonely"].address == "192.0.2.99"
    assert {name: host.variables["depth"] for name, host in hosts.items()} == {
        "dba": "deeper",
        "dbb": "deeper",
        "lonely": "all",
        "web01.example.com": "file of the host",
        "web02.example.com": "deeper",
        "web03.example.com": "web",
    }
    assert hosts["web03.example.com"].variables["from_file"] == "second of web"
    assert hosts["web03.example.com"].variables["http_port"] == "9000"


def test_what_ansible_itself_makes_of_the_inventory_gives_the_same_hosts(workspace: Path) -> None:
    stub(workspace, "{ansible: ../ansible/hosts.yml}")
    read = load(workspace)
    stub(workspace, "{ansible_json: ../ansible/listed.json}")
    assert load(workspace) == read
    program(workspace, "cat ansible/listed.json")
    assert load(workspace) == read


def test_a_program_may_print_an_inventory_of_our_own_form(workspace: Path) -> None:
    hosts = [
        {"name": "np-1", "customer": "northpier", "address": "192.0.2.1", "facts": {"os": "debian"}, "group": "night"}
    ]
    program(workspace, printing({"hosts": hosts}))
    (host,) = load(workspace).hosts
    assert host.facts == {"edition": "free", "os": "debian"}
    assert (host.base, host.group, host.variables["http_port"]) == ("/srv/boathouse", "night", "80")
    weir = {
        "title": "Weir",
        "language": "en",
        "timezone": "UTC",
        "contacts": [{"name": "W", "email": "w@weir.example"}],
        "windows": ["always"],
    }
    hosts[0]["customer"] = "weir"
    program(workspace, printing({"fleet": "river", "customers": {"weir": weir}, "hosts": hosts}))
    assert refusal(workspace) == ["program ./bin/inventory --prod: hosts[0].group: `weir` has no group `night`"]
    del hosts[0]["group"]
    program(workspace, printing({"fleet": "river", "customers": {"weir": weir}, "hosts": hosts}))
    assert list(load(workspace).customers) == ["weir", "northpier"]


def test_a_program_runs_in_the_workspace_with_its_arguments_and_a_clean_environment(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFTLOCK_SMTP_PASSWORD", "secret")
    names = 'env | cut -d= -f1 | grep -vx "_\\|PWD\\|SHLVL\\|OLDPWD" | sort | tr "\\n" " " >&2'
    program(workspace, f'{names}; pwd >&2; cat >&2; echo "$@" >&2; exit 3')
    (told,) = refusal(workspace)
    assert told == f"program ./bin/inventory --prod: ended with status 3: HOME LANG PATH {workspace} | --prod"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("echo broken", "is not JSON: expected value at line 1 column 1"),
        ("echo '[]'", "expected a mapping of `name: value`, found a list"),
        ("echo '{}'", "hosts: is missing"),
        ("kill -9 $$", "was ended by signal 9"),
        ("printf 'a\\033[31mb' >&2; exit 1", "ended with status 1: ab"),
        ("echo '{\"fleet\": \"sea\", \"hosts\": []}'", "fleet: `sea` is not river, the fleet that names this source"),
        ("echo '{\"_meta\": {}, \"web\": {\"hosts\": \"h1\"}}'", "web.hosts: expected a list of names"),
    ],
)  # fmt: skip
def test_what_a_program_gets_wrong_is_told_with_its_command_line(workspace: Path, body: str, told: str) -> None:
    program(workspace, body)
    assert refusal(workspace) == [f"program ./bin/inventory --prod: {told}"]


def test_a_line_of_two_megabytes_is_refused_wherever_it_comes_from(workspace: Path) -> None:
    long = "H" * 2_000_000
    weir = {
        "title": long,
        "language": "en",
        "timezone": "UTC",
        "contacts": [{"name": long, "email": "w@weir.example"}],
        "windows": ["always"],
    }
    host = {"name": "w-1", "customer": long, "address": "192.0.2.1"}
    program(workspace, "cat printed.json")
    (workspace / "printed.json").write_text(json.dumps({"customers": {"weir": weir, long: weir}, "hosts": [host]}))
    said, asked = "has 2000000 characters, 200 at most: shorten it", "program ./bin/inventory --prod: customers"
    assert refusal(workspace) == [
        f"{asked}.weir.title: {said}",
        f"{asked}.weir.contacts[0].name: {said}",
        f"{asked}.{long[:200]}: `{long[:60]}` must be 1 to 63 lower-case letters, digits and dashes",
        f"{asked}.{long[:200]}.title: {said}",
        f"{asked}.{long[:200]}.contacts[0].name: {said}",
    ]
    (workspace / "printed.json").write_text(json.dumps({"hosts": [host]}))
    (told,) = refusal(workspace)
    assert told.endswith(f"hosts[0].customer: there is no customer `{long[:60]}`")
    stub(workspace, "{ansible: ../ansible/hosts.yml}")
    inventory = f"all: {{hosts: {{h1: {{liftlock_customer: northpier, liftlock_hold: {long}}}}}}}\n"
    (workspace / "ansible/hosts.yml").write_text(inventory)
    said = "has 2000000 characters, 2000 at most: shorten it"
    assert refusal(workspace) == [f"ansible/hosts.yml:1:65: all.hosts.h1.liftlock_hold: {said}"]


def test_a_program_that_cannot_be_run_or_does_not_end_is_told(workspace: Path) -> None:
    stub(workspace, "{program: [./bin/none]}")
    assert refusal(workspace) == ["program ./bin/none: cannot be run: No such file or directory"]
    program(workspace, "echo asking >&2; sleep 60 & wait")
    with pytest.raises(InputError, match=r"did not end within 0\.2 s: asking$"):
        inventory_sources.fetch(Source(program=["./bin/inventory"]), workspace, workspace, seconds=0.2)


def test_a_program_that_prints_too_much_is_told(workspace: Path) -> None:
    program(workspace, "head -c 3000000 /dev/zero")
    with pytest.raises(InputError, match="printed more than 100,000 bytes"):
        inventory_sources.fetch(Source(program=["./bin/inventory"]), workspace, workspace, most=100_000)


def test_a_mistake_in_an_ansible_inventory_is_told_with_the_place_where_it_stands(workspace: Path) -> None:
    stub(workspace, "{ansible: ../ansible/hosts.yml}")
    inventory = workspace / "ansible/hosts.yml"
    text = inventory.read_text()
    inventory.write_text(text.replace("ansible_port: 2222", "ansible_port: 70000").replace("192.0.2.99", "192.0.2.300"))
    assert refusal(workspace) == [
        "ansible/hosts.yml:10:28: all.hosts.lonely.ansible_host: `192.0.2.300` is not an IP address",
        "ansible/hosts.yml:15:25: all.children.web.hosts.web[01:03].example.com.ansible_port: must be at most 65535",
    ]
    inventory.write_text(text.replace("liftlock_customer: northpier", "liftlock_customer: northpeer"))
    assert refusal(workspace) == [
        "ansible/hosts.yml:6:24: all.vars.liftlock_customer: "
        "there is no customer `northpeer`; did you mean `northpier`?"
    ]
    inventory.write_text(text)
    (workspace / "ansible/group_vars/web/b.yaml").write_text("liftlock_expected_version: 1.4\n")
    told = "liftlock_expected_version: must be a quoted string: 1.4 was read as a number"
    assert refusal(workspace) == [f"ansible/group_vars/web/b.yaml:1:28: {told}"]


def test_a_missing_field_is_told_at_the_host_and_so_are_the_encrypted_files_that_may_hold_it(workspace: Path) -> None:
    stub(workspace, "{ansible: ../ansible/hosts.yml}")
    inventory = workspace / "ansible/hosts.yml"
    inventory.write_text("all: {hosts: {h1: {liftlock_customer: northpier}, h2: }}\n")
    (workspace / "ansible/group_vars/all.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n3330\n")
    assert refusal(workspace) == [
        "ansible/hosts.yml:1:51: all.hosts.h2.liftlock_customer: is missing",
        "ansible/group_vars/all.yml: is encrypted with Ansible Vault and was not read",
    ]
    inventory.write_text("all: {hosts: {h1: {liftlock_customer: northpier}}}\n")
    assert [host.name for host in load(workspace).hosts] == ["h1"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{ansible: ../ansible/none.yml}", "ansible/none.yml: cannot be read: No such file or directory"),
        ("{ansible: ../ansible}", "ansible: cannot be read: Is a directory"),
        ("{ansible_json: ../ansible/hosts.yml}", "ansible/hosts.yml: is not JSON: expected value at line 1 column 1"),
        ("{}", "inventories/river.yaml:2:9: source: needs just one of `ansible`, `ansible_json` and `program`"),
        (
            "{ansible: a.yml, program: [b]}",
            "inventories/river.yaml:2:9: source: needs just one of `ansible`, `ansible_json` and `program`",
        ),
        ("{ansibel: a.yml}", "inventories/river.yaml:2:10: source.ansibel: unknown field; did you mean `ansible`?"),
        ("{program: []}", "inventories/river.yaml:2:19: source.program: the number of entries must be at least 1"),
    ],
)
def test_a_source_that_is_not_there_or_not_clear_is_told(workspace: Path, source: str, told: str) -> None:
    stub(workspace, source)
    assert refusal(workspace) == [told]


def test_the_hashes_cover_every_file_that_was_read_and_what_a_program_printed(workspace: Path) -> None:
    (workspace / "releases/boathouse").mkdir()
    (workspace / "releases/boathouse/product.yaml").touch()

    def hashed(name: str) -> str:
        return hashlib.sha256((workspace / name).read_bytes()).hexdigest()

    stub(workspace, "{ansible: ../ansible/hosts.yml}")
    read = (
        "ansible/group_vars/all.yml",
        "ansible/group_vars/web/a.yml",
        "ansible/group_vars/web/b.yaml",
        "ansible/host_vars/web01.example.com.json",
        "ansible/hosts.yml",
        "inventories/river.yaml",
        "releases/boathouse/product.yaml",
    )
    hashes = files.input_hashes(workspace, ["boathouse"], "river")
    assert hashes == {name: hashed(name) for name in read}
    assert list(hashes) == sorted(hashes)
    program(workspace, 'echo >> ran; echo "{\\"hosts\\": []}"')
    fleet, of_fleet = files.load_fleet_with_hashes(workspace, "river")
    assert fleet.hosts == ()
    assert of_fleet == {
        "inventories/river.yaml": hashed("inventories/river.yaml"),
        "program ./bin/inventory --prod": hashlib.sha256(b'{"hosts": []}\n').hexdigest(),
    }
    hashes = files.input_hashes(workspace, ["boathouse"], "river", of_fleet)
    assert (workspace / "ran").read_text() == "\n", "the hash is that of the one run that the fleet was read from"
    assert hashes == files.input_hashes(workspace, ["boathouse"], "river")
