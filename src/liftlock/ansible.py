"""Ansible inventories -> hosts in the form of our own inventory. Pure.

What applies to a host is merged as Ansible does it, each of these overriding the ones before:

1. the variables of its groups where the inventory declares them: `all`, then parents before children (the deeper
   group wins, counted by its longest way from `all`), among equals by `ansible_group_priority`, then by name;
2. group_vars/all, then the other groups' files of group_vars/ in the same order;
3. the host's own variables in the inventory, then its files of host_vars/.

A variable is replaced as a whole, never joined. `ansible_host`, `ansible_port`, `ansible_user` and the
`liftlock_...` variables become fields (FIELDS), the names of its groups the fact `groups`; all other one-line texts,
numbers and yes-or-no values become variables. Other `ansible_...` variables are Ansible's own and stay out, and so
does what cannot stand in a variable: lists, mappings, several lines, very long ones, encrypted values, and Jinja
expressions, which are not evaluated here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from liftlock.document import Path
from liftlock.errors import InputError, Problem
from liftlock.fields import LONGEST_SETTING
from liftlock.gathered import Gathered
from liftlock.wording import did_you_mean

ENCRYPTED = object()
"""Stands for a value that Ansible Vault encrypted."""
OURS = ("ansible_", "liftlock_")
"""How the variables begin that say something to Ansible or liftlock, not to the product."""

FIELDS = {
    "ansible_ssh_host": "address",
    "ansible_host": "address",
    "ansible_ssh_port": "port",
    "ansible_port": "port",
    "ansible_ssh_user": "user",
    "ansible_user": "user",
    "liftlock_customer": "customer",
    "liftlock_base": "base",
    "liftlock_expected_version": "expected_version",
    "liftlock_group": "group",
    "liftlock_redundancy": "redundancy",
    "liftlock_role": "role",
    "liftlock_products": "products",
    "liftlock_hold": "hold",
    "liftlock_facts": "facts",
    "liftlock_site": "labels",
}
"""The field of a host that each variable becomes; of two for the same field the later in this list counts."""
_VARIABLES = {field: variable for variable, field in FIELDS.items()}
_NOT_KINDS = ("all", "ungrouped")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_JINJA = re.compile(r"\{\{|\{%")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable's value and its place (a Problem without a message)."""

    value: Any
    place: Problem


Variables = dict[str, Variable]


@dataclass(slots=True)
class AnsibleGroup:
    """One group: its variables, and the names of its hosts and child groups."""

    place: Problem
    variables: Variables = field(default_factory=dict)
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class AnsibleHost:
    """One host: where it is declared first, and its own variables."""

    place: Problem
    variables: Variables = field(default_factory=dict)


@dataclass(slots=True)
class AnsibleInventory:
    """Groups and hosts by name, as declared; nothing is merged yet."""

    groups: dict[str, AnsibleGroup] = field(default_factory=dict)
    hosts: dict[str, AnsibleHost] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VariableFiles:
    """What stands beside an inventory: the variables in group_vars/ and host_vars/ by name, each file's in order.

    `unread` are the files that Ansible Vault encrypted.
    """

    groups: Mapping[str, list[Variables]] = field(default_factory=dict)
    hosts: Mapping[str, list[Variables]] = field(default_factory=dict)
    unread: tuple[Problem, ...] = ()


def gather(inventory: AnsibleInventory, beside: VariableFiles | None = None) -> Gathered:
    """The hosts of an Ansible inventory as a document in our own form, `{hosts: [...]}`, by name.

    Raises InputError, each with its place: groups that contain each other, a variable `liftlock_...` that there is
    not, and one that a field is made from and that is encrypted or a Jinja expression.
    """
    beside = beside or VariableFiles()
    merged = _Merged(inventory, beside)
    hosts, variables, problems = [], [], []
    for name in sorted(inventory.hosts):
        groups, inherited = merged.of(name)
        own = dict(inherited)
        for more in (inventory.hosts[name].variables, *beside.hosts.get(name, ())):
            own.update(more)
        problems += _problems(own)
        hosts.append(_host(name, groups, own))
        variables.append(own)
    if problems:
        raise InputError([*dict.fromkeys(problems), *beside.unread])
    places = [inventory.hosts[host["name"]].place for host in hosts]

    def locate(path: Path) -> Problem:
        number, part = path[1], path[2] if len(path) > 2 else "name"
        assert isinstance(number, int)
        if part == "name":
            return places[number]
        names = [str(path[3])] if part == "variables" else [name for name, field in FIELDS.items() if field == part]
        given = [variables[number][name] for name in names if name in variables[number]]
        if given:
            return given[-1].place
        return replace(places[number], path=f"{places[number].path}.{_VARIABLES.get(str(part), part)}")

    return Gathered({"hosts": hosts}, locate, beside.unread)


class _Merged:
    """The groups of each host and what they give it; hosts in the same groups share one answer."""

    def __init__(self, inventory: AnsibleInventory, beside: VariableFiles) -> None:
        self._groups, self._files = inventory.groups, beside.groups
        self._parents: dict[str, list[str]] = {name: [] for name in self._groups}
        direct: dict[str, list[str]] = {name: [] for name in inventory.hosts}
        for name, group in self._groups.items():
            for child in group.children:
                self._parents.setdefault(child, []).append(name)
            for host in group.hosts:
                direct[host].append(name)
        # As Ansible has it, who is in no group but `all` is in `ungrouped`.
        alone = ("all", "ungrouped")
        self._direct = {name: tuple(groups) if set(groups) - {"all"} else alone for name, groups in direct.items()}
        self._refuse_circles()
        self._depth = cache(self._depth_of)
        self._given = cache(self._given_by)

    def of(self, host: str) -> tuple[list[str], Variables]:
        """All its groups, parents before children, and the variables they give it."""
        return self._given(self._direct[host])

    def _given_by(self, direct: tuple[str, ...]) -> tuple[list[str], Variables]:
        found, ahead = {"all"}, list(direct)
        while ahead:
            name = ahead.pop()
            if name not in found:
                found.add(name)
                ahead += self._parents.get(name, ())
        groups = sorted(found, key=lambda name: (self._depth(name), self._priority(name), name))
        variables: Variables = {}
        for name in groups:
            variables.update(self._groups[name].variables if name in self._groups else {})
        for name in groups:
            for file in self._files.get(name, ()):
                variables.update(file)
        return groups, variables

    def _depth_of(self, name: str) -> int:
        above = self._parents.get(name, ())
        return 0 if name == "all" else 1 + max((self._depth(parent) for parent in above), default=0)

    def _priority(self, name: str) -> int:
        given = self._groups[name].variables.get("ansible_group_priority") if name in self._groups else None
        return int(given.value) if given and re.fullmatch(r"-?[0-9]{1,9}", str(given.value)) else 1

    def _refuse_circles(self) -> None:
        """Take away groups without parents until none is left; what remains goes round in a circle."""
        above = {name: set(parents) for name, parents in self._parents.items()}
        free = [name for name, parents in above.items() if not parents]
        while free:
            name = free.pop()
            del above[name]
            for child in self._children(name):
                above[child].discard(name)
                if not above[child]:
                    free.append(child)
        while below := [name for name in above if not self._children(name) & set(above)]:
            for name in below:
                del above[name]
        if above:
            place = self._groups[min(above)].place
            raise InputError([replace(place, message=f"groups contain each other: {', '.join(sorted(above))}")])

    def _children(self, name: str) -> set[str]:
        return set(self._groups[name].children) if name in self._groups else set()


def _problems(variables: Variables) -> list[Problem]:
    found = []
    for name, variable in variables.items():
        if not name.startswith(OURS):
            continue
        if name not in FIELDS:
            if name.startswith("liftlock_"):
                near = did_you_mean(name, FIELDS)
                found.append(replace(variable.place, message=f"`{name}` says nothing to liftlock{near}"))
        elif variable.value is ENCRYPTED:
            needed = f"is encrypted with Ansible Vault, and {FIELDS[name]} is made from it: write it in the open"
            found.append(replace(variable.place, message=needed))
        elif _is_expression(variable.value):
            needed = f"is an expression that only Ansible evaluates, and {FIELDS[name]} is made from it"
            found.append(replace(variable.place, message=f"{needed}: write the value itself"))
    return found


def _is_expression(value: Any, depth: int = 3) -> bool:
    if isinstance(value, str):
        return _JINJA.search(value) is not None
    inside: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and any(_is_expression(item, depth - 1) for item in inside)


def _host(name: str, groups: Iterable[str], variables: Variables) -> dict[str, Any]:
    """One host as our inventory writes it; what cannot be right is left for its reader to refuse."""
    host: dict[str, Any] = {"name": name, "address": name}
    for variable, part in FIELDS.items():
        value = variables[variable].value if variable in variables else None
        if value is not None:
            host[part] = _as_field(part, value)
    if isinstance(host.setdefault("facts", {}), dict):
        host["facts"] = {"groups": sorted(set(groups).difference(_NOT_KINDS)), **host["facts"]}
    host["variables"] = {
        name: setting
        for name, variable in variables.items()
        if not name.startswith(OURS) and _NAME.fullmatch(name) and (setting := _setting(variable.value)) is not None
    }
    return host


def _as_field(part: str, value: Any) -> Any:
    if part == "port" and isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value):
        return int(value)
    if part == "products" and isinstance(value, str):
        return re.split(r"\s*,\s*", value)
    return {"site": value} if part == "labels" else value


def _setting(value: Any) -> str | None:
    """The text of a variable; None for what cannot be one."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str) or len(value) > LONGEST_SETTING:
        return None
    return value if value.strip() and value.isprintable() and not _is_expression(value) else None
