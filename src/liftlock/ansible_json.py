"""Ansible inventories in JSON: what `ansible-inventory --list` and inventory scripts print -> groups, hosts, variables.

Groups stand under their names, with `hosts`, `children` and perhaps `vars`, or as a bare list of hosts; the hosts'
variables stand under `_meta.hostvars`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liftlock import wording
from liftlock.ansible import ENCRYPTED, AnsibleGroup, AnsibleHost, AnsibleInventory, Variable, Variables
from liftlock.document import Path
from liftlock.errors import InputError, Problem


def read_json(document: Any, source: str) -> AnsibleInventory:
    """The inventory in the JSON of `ansible-inventory --list`; `source` is the file or program it came from.

    Raises InputError with every problem and its path.
    """
    reader = _Json(source)
    reader.groups(document)
    if reader.mistakes:
        raise InputError(reader.mistakes)
    return reader.inventory


class _Json:
    """Reads one JSON document, and keeps what is wrong until the end."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.inventory = AnsibleInventory()
        self.mistakes: list[Problem] = []

    def groups(self, document: Any) -> None:
        groups = self._mapping(document, ())
        meta = self._mapping(groups.get("_meta"), ("_meta",))
        variables = self._mapping(meta.get("hostvars"), ("_meta", "hostvars"))
        for name, body in groups.items():
            if name != "_meta":
                self._group(name, {"hosts": body} if isinstance(body, list) else body)
        for name, host in self.inventory.hosts.items():
            host.variables = self._variables(variables.get(name), ("_meta", "hostvars", name))

    def _group(self, name: str, body: Any) -> None:
        group = self.inventory.groups.setdefault(name, AnsibleGroup(self._place((name,))))
        for key, section in self._mapping(body, (name,)).items():
            if key == "vars":
                group.variables = self._variables(section, (name, key))
            elif key == "hosts":
                group.hosts = dict.fromkeys(self._texts(section, (name, key)))
                for host in group.hosts:
                    self.inventory.hosts.setdefault(host, AnsibleHost(self._place(("_meta", "hostvars", host))))
            elif key == "children":
                group.children = dict.fromkeys(self._texts(section, (name, key)))
            else:
                self._mistake((name, key), "unknown field: a group has `hosts`, `vars` and `children`")

    def _variables(self, section: Any, path: Path) -> Variables:
        return {
            name: Variable(_plain(value), self._place((*path, name)))
            for name, value in self._mapping(section, path).items()
        }

    def _mapping(self, value: Any, path: Path) -> Mapping[str, Any]:
        if value is None or isinstance(value, dict):
            return value or {}
        self._mistake(path, "expected a mapping of `name: value`")
        return {}

    def _texts(self, value: Any, path: Path) -> list[str]:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
        self._mistake(path, "expected a list of names")
        return []

    def _place(self, path: Path) -> Problem:
        return Problem(self.source, "", wording.printable(wording.dotted(path)))

    def _mistake(self, path: Path, message: str) -> None:
        self.mistakes.append(Problem(self.source, wording.printable(message), wording.dotted(path)))


def _plain(value: Any) -> Any:
    """A JSON value without what Ansible wraps around strings that are encrypted or not to be evaluated."""
    if isinstance(value, dict):
        if "__ansible_vault" in value:
            return ENCRYPTED
        return value.get("__ansible_unsafe", value)
    return value
