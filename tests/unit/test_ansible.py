"""Ansible inventories: what they declare, how it is merged, and what is told about what cannot be read."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.ansible import VariableFiles, gather
from liftlock.ansible_json import read_json
from liftlock.ansible_yaml import expand, read_variables, read_yaml
from liftlock.errors import InputError

VAULT = "!vault |\n          $ANSIBLE_VAULT;1.1;AES256\n          3330\n"


def hosts(text: str, **files: str) -> dict[str, dict[str, Any]]:
    """By name the hosts of a YAML inventory; `files` are those of group_vars/."""
    beside = {name: [read_variables(content, f"group_vars/{name}") or {}] for name, content in files.items()}
    gathered = gather(read_yaml(text, "hosts.yml"), VariableFiles(groups=beside))
    return {host["name"]: host for host in gathered.value["hosts"]}


def variables(text: str, **files: str) -> dict[str, str]:
    """The variables of the one host of an inventory."""
    (host,) = hosts(text, **files).values()
    found: dict[str, str] = host["variables"]
    return found


def listed(document: Any) -> dict[str, dict[str, Any]]:
    return {host["name"]: host for host in gather(read_json(document, "list.json")).value["hosts"]}


def told(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        hosts(text)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("pattern", "names", "port"),
    [
        ("web.example.com", ["web.example.com"], None),
        ("web:2222", ["web"], 2222),
        ("web[01:03]", ["web01", "web02", "web03"], None),
        ("web[1:5:2].x:22", ["web1.x", "web3.x", "web5.x"], 22),
        ("db-[a:c]", ["db-a", "db-b", "db-c"], None),
        ("[a:b][1:2]", ["a1", "a2", "b1", "b2"], None),
        ("n[:2]", ["n0", "n1", "n2"], None),
        ("n[8:11]", ["n8", "n9", "n10", "n11"], None),
        ("2001:db8::1", ["2001:db8::1"], None),
    ],
)
def test_a_name_stands_for_the_hosts_that_ansible_expands_it_to(pattern, names, port):
    assert expand(pattern) == (names, port)


@pytest.mark.parametrize(
    "pattern", ["web[1:]", "web[]", "web[01:100]", "web[a:9]", "web[5:1]", "w[1:999999999]", "w[1:2"]
)
def test_a_range_that_cannot_be_counted_is_refused_with_its_place(pattern):
    (problem,) = told(f"all:\n  hosts:\n    '{pattern}':\n")
    assert problem.startswith("hosts.yml:3:5: all.hosts.")


def test_groups_override_as_ansible_has_it():
    deep = {"vars": {"v": "deep"}, "hosts": {"h": None}}
    group: dict[str, Any] = {"vars": {"v": "shallow"}, "hosts": {"h": None}}
    as_text = "{{all: {{vars: {{v: all, w: all}}}}, z: {z}, a: {{children: {{b: {b}}}}}}}".format
    assert variables(as_text(z=_flow(group), b=_flow(deep))) == {"v": "deep", "w": "all"}, "the deeper wins"
    same = "{a: {vars: {v: a, ansible_group_priority: %s}, hosts: h}, b: {vars: {v: b}, hosts: h}}"
    assert variables(same % 1)["v"] == "b", "the later name wins"
    assert variables(same % 10)["v"] == "a", "priority comes before the name"
    own = "{all: {hosts: {h: {v: own}}, vars: {v: all}}, g: {hosts: h, vars: {v: g}}}"
    assert variables(own, g="v: file", all="{v: file of all, w: file of all}") == {"v": "own", "w": "file of all"}
    inherited = own.replace("{v: own}", "")
    assert variables(inherited, all="v: file of all")["v"] == "file of all", "files after all that the inventory says"
    assert variables(inherited, all="v: file of all", g="v: file of g")["v"] == "file of g"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    return "null" if value is None else str(value)


def test_a_variable_keeps_what_a_product_can_be_told():
    given = """
        {text: a b, number: 8080, ratio: 1.10, flag: true, no_yes: yes, quoted: "07", list: [1], map: {a: b}, none: ,
         empty: "", lines: "a\\nb", expression: "{{ text }}", not-a-name: x, ansible_become_password: secret}"""
    assert variables(f"all: {{hosts: {{h: {given}}}}}") == {
        "text": "a b",
        "number": "8080",
        "ratio": "1.10",
        "flag": "true",
        "no_yes": "yes",
        "quoted": "07",
    }
    long = f"{{short: {'x' * 10_000}, long: {'x' * 10_001}}}"
    assert list(variables(f"all: {{hosts: {{h: {long}}}}}")) == ["short"]
    encrypted = f"all:\n  hosts:\n    h:\n      token: {VAULT}      kept: x\n      raw: !unsafe text\n"
    assert variables(encrypted) == {"kept": "x", "raw": "text"}


def test_liftlock_variables_become_fields_and_groups_a_fact():
    text = """
        web: {children: {blue: {hosts: {h: {ansible_host: 192.0.2.1, ansible_ssh_host: old, ansible_port: "2222",
          liftlock_products: "a, b", liftlock_site: kiel, liftlock_hold: broken, liftlock_facts: {os: debian}}}}}}"""
    assert hosts(text) == {
        "h": {
            "name": "h",
            "address": "192.0.2.1",
            "port": 2222,
            "products": ["a", "b"],
            "labels": {"site": "kiel"},
            "hold": "broken",
            "facts": {"groups": ["blue", "web"], "os": "debian"},
            "variables": {},
        }
    }


def test_merge_keys_and_aliases_are_followed_however_they_are_nested():
    text = "x: &x {vars: {v: x, w: x}, hosts: {h: }}\ny: {<<: *x, vars: {v: y}}\n"
    assert variables(text) == {"v": "y", "w": "x"}
    bombs = ["a0: &a0 {hosts: {h: }}"]
    bombs += [f"a{n}: &a{n} {{children: {{x: *a{n - 1}, y: *a{n - 1}}}}}" for n in range(1, 40)]
    with pytest.raises(InputError):
        hosts("\n".join(bombs))
    assert hosts("a: &a {<<: *a, hosts: {h: }}").keys() == {"h"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "hosts.yml:1:1: is not an Ansible inventory in YAML, a mapping of groups; for any other inventory use"),
        ("[web]\nh1 ansible_host=x\n", "hosts.yml: is an INI inventory, and only YAML is read here; for any other"),
        ("plugin: aws_ec2\n", "hosts.yml:1:1: is the configuration of an inventory plugin, not an inventory; for any"),
        ("web: {host: {h: }}", "hosts.yml:1:7: web.host: unknown field: a group has `hosts`, `vars` and `children`"),
        ("web: {hosts: [h]}", "hosts.yml:1:14: web.hosts: expected a mapping: write `name:`, not `- name`"),
        ("web: [h]", "hosts.yml:1:6: web: expected a mapping: a group has `hosts`, `vars` and `children`"),
        ("web: {hosts: {h: , h: }}", "hosts.yml:1:20: web.hosts.h: is written twice in the same mapping"),
        ("a: {children: {b: {children: {c: {children: {b: }}}}}}", "groups contain each other: b, c"),
        (
            "web: {hosts: {h: {liftlock_costumer: x}}}",
            "hosts.yml:1:38: web.hosts.h.liftlock_costumer: `liftlock_costumer` says nothing to liftlock; "
            "did you mean `liftlock_customer`?",
        ),
        (
            "web: {hosts: {h: }, vars: {ansible_host: 'h.{{ domain }}'}}",
            "hosts.yml:1:42: web.vars.ansible_host: is an expression that only Ansible evaluates, "
            "and address is made from it: write the value itself",
        ),
        (
            f"web:\n  hosts: h\n  vars:\n    ansible_user: {VAULT}",
            "hosts.yml:4:19: web.vars.ansible_user: is encrypted with Ansible Vault, "
            "and user is made from it: write it in the open",
        ),
        ("a: {hosts: {h: {liftlock_facts: {os: !vault x}}}}", "the tag !vault is not read here: leave it out"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_place(text, wanted):
    (problem,) = told(text)
    assert wanted in problem


def test_the_same_mistake_of_a_group_is_told_once():
    assert len(told("web: {hosts: {'h[1:9]': }, vars: {ansible_host: '{{ x }}'}}")) == 1


def test_an_inventory_script_may_print_bare_lists_and_variables_of_groups():
    document = {
        "_meta": {
            "hostvars": {"h1": {"v": "own", "raw": {"__ansible_unsafe": "x"}, "secret": {"__ansible_vault": "…"}}}
        },
        "web": ["h1", "h2"],
        "all": {"children": ["web"], "vars": {"v": "all", "liftlock_customer": "mill"}},
    }
    found = listed(document)
    assert found["h1"]["variables"] == {"v": "own", "raw": "x"}
    assert found["h2"]["variables"] == {"v": "all"}
    assert found["h2"]["customer"] == "mill"
    assert found["h2"]["facts"] == {"groups": ["web"]}


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ([], "list.json: expected a mapping of `name: value`"),
        ({"web": {"hosts": ["h"], "vars": []}}, "list.json: web.vars: expected a mapping of `name: value`"),
        ({"web": {"hosts": [1]}}, "list.json: web.hosts: expected a list of names"),
        ({"web": {"host": []}}, "list.json: web.host: unknown field: a group has `hosts`, `vars` and `children`"),
        (
            {"web": ["h"], "_meta": {"hostvars": {"h": {"ansible_host": {"__ansible_vault": "x"}}}}},
            "list.json: _meta.hostvars.h.ansible_host: is encrypted with Ansible Vault, "
            "and address is made from it: write it in the open",
        ),
    ],
)
def test_json_that_is_no_inventory_is_told_with_its_path(document, wanted):
    with pytest.raises(InputError) as caught:
        listed(document)
    assert str(caught.value) == wanted


@given(st.text(max_size=60))
def test_no_text_whatever_makes_the_reader_stumble(text: str) -> None:
    for reader in (read_yaml, read_variables):
        with suppress(InputError):  # anything else would be a traceback
            assert reader(text, "x.yml") is not None or text.startswith("$ANSIBLE_VAULT;")
