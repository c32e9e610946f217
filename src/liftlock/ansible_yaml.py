"""Ansible inventories in YAML: text -> groups, hosts and variables, each with its place. Pure.

They are read as Ansible's own plugin reads them: every name at the top is a group with `hosts`, `vars` and
`children`; the same group or host may be declared in several places; a host's name may be a range
(`web[01:20]`) and carry a port; merge keys are followed. Scalars have the types of `liftlock.document`, so `yes`
stays text. What Ansible only warns about (a name written twice, a field of a group that it does not know) is
refused.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from typing import Any

import yaml

from liftlock import wording
from liftlock.ansible import ENCRYPTED, OURS, AnsibleGroup, AnsibleHost, AnsibleInventory, Variable, Variables
from liftlock.document import SCALARS, Path, compose, garbage_collection_resting, value_of
from liftlock.errors import InputError, Problem

_VAULT_FILE = "$ANSIBLE_VAULT;"
_VAULT_TAGS = ("!vault", "!vault-encrypted")
_INI = re.compile(r"^\[[^\[\],{}]+\]\s*$", re.MULTILINE)
_ELSEWISE = "for any other inventory use `program: [ansible-inventory, -i, FILE, --list]`"
_SECTIONS = "a group has `hosts`, `vars` and `children`"
_RANGE = re.compile(r"\[([0-9]+|[A-Za-z])?:([0-9]+|[A-Za-z])(?::([1-9][0-9]{0,8}))?\]")
_MOST_IN_RANGE = 100_000


def read_yaml(text: str, file: str) -> AnsibleInventory:
    """The inventory that an Ansible YAML file declares. Raises InputError with every problem and its place."""
    if _INI.search(text):
        raise InputError([Problem(file, f"is an INI inventory, and only YAML is read here; {_ELSEWISE}")])
    with garbage_collection_resting():
        reader = _Yaml(file)
        reader.groups(compose(text, file))
        reader.refuse_mistakes()
        return reader.inventory


def read_variables(text: str, file: str) -> Variables | None:
    """The variables of a file in group_vars/ or host_vars/; None when Ansible Vault encrypted it whole.

    Raises InputError with every problem and its place.
    """
    if text.startswith(_VAULT_FILE):
        return None
    reader = _Yaml(file)
    root = compose(text, file)
    variables = {} if root is None or _is_null(root) else reader.variables(root, ())
    reader.refuse_mistakes()
    return variables


def expand(pattern: str) -> tuple[list[str], int | None]:
    """The host names that a name in a YAML inventory stands for, and the port written behind it.

    Raises ValueError for a range that cannot be counted.
    """
    found = re.fullmatch(r"((?:[^\[\]:]|\[[^\]]*\])+)(?::([0-9]{1,5}))?", pattern)
    name, port = (found[1], found[2]) if found else (pattern, None)
    return list(_names(name)), int(port) if port else None


def _names(pattern: str) -> Iterator[str]:
    if "[" not in pattern:
        yield pattern
        return
    found = _RANGE.search(pattern)
    if not found or "[" in pattern[: found.start()]:
        raise ValueError(f"`{pattern[:60]}` is not a range: write `web[01:20]`, `web[a:f]` or `web[01:20:2]`")
    rest = list(_names(pattern[found.end() :]))
    for part in _counted(pattern, *found.groups()):
        for end in rest:
            yield f"{pattern[: found.start()]}{part}{end}"


def _counted(pattern: str, first: str | None, last: str, step: str | None) -> list[str]:
    first, stride, letters = first or "0", int(step or 1), string.ascii_letters
    if first.isdigit() != last.isdigit():
        raise ValueError(f"`{pattern[:60]}` counts from a digit to a letter")
    if not first.isdigit():
        counted = list(letters[letters.index(first) : letters.index(last) + 1 : stride])
    elif len(first) > 1 and first[0] == "0" and len(first) != len(last):
        raise ValueError(f"`{pattern[:60]}` has leading zeros, so both ends must be of equal length")
    elif (int(last) - int(first)) // stride > _MOST_IN_RANGE:
        raise ValueError(f"`{pattern[:60]}` is more than {_MOST_IN_RANGE} hosts")
    else:
        width = len(first) if first[0] == "0" else 0
        counted = [f"{number:0{width}d}" for number in range(int(first), int(last) + 1, stride)]
    if not counted:
        raise ValueError(f"`{pattern[:60]}` ends before it begins")
    return counted


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


class _Yaml:
    """Reads one YAML file, and keeps what is wrong until the end."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.inventory = AnsibleInventory()
        self.mistakes: list[Problem] = []
        self._walked: set[tuple[str, int]] = set()  # groups under aliases: read once, whatever their nesting
        self._tagged: list[tuple[yaml.Node, str]] = []

    def refuse_mistakes(self) -> None:
        for node, message in self._tagged:
            self._mistake(node, (), message)
        if self.mistakes:
            raise InputError(sorted(self.mistakes, key=lambda problem: (problem.line, problem.column)))

    def groups(self, root: yaml.Node | None) -> None:
        if not isinstance(root, yaml.MappingNode):
            message = f"is not an Ansible inventory in YAML, a mapping of groups; {_ELSEWISE}"
            self.mistakes.append(Problem(self.file, message, line=1, column=1))
            return
        for key, node in self._fields(root, ()):
            if key.value == "plugin":
                self._mistake(key, (), f"is the configuration of an inventory plugin, not an inventory; {_ELSEWISE}")
            else:
                self._group(key, node, (key.value,))

    def variables(self, node: yaml.Node, path: Path) -> Variables:
        if not isinstance(node, yaml.MappingNode):
            self._mistake(node, path, "expected a mapping of `name: value`")
            return {}
        return {
            key.value: Variable(self._value(value, key.value), self._place(value, (*path, key.value)))
            for key, value in self._fields(node, path)
        }

    def _group(self, name: yaml.Node, node: yaml.Node, path: Path) -> None:
        group = self.inventory.groups.setdefault(name.value, AnsibleGroup(self._place(name, path)))
        if _is_null(node) or (name.value, id(node)) in self._walked:
            return
        self._walked.add((name.value, id(node)))
        if not isinstance(node, yaml.MappingNode):
            self._mistake(node, path, f"expected a mapping: {_SECTIONS}")
            return
        for key, section in self._fields(node, path):
            inside = (*path, key.value)
            if key.value not in ("hosts", "vars", "children"):
                self._mistake(key, inside, f"unknown field: {_SECTIONS}")
            elif _is_null(section):
                continue
            elif key.value == "vars":
                group.variables.update(self.variables(section, inside))
            elif key.value == "hosts":
                for host, variables in self._named(section, inside):
                    self._hosts(group, host, variables, (*inside, host.value))
            else:
                for child, body in self._named(section, inside):
                    group.children[child.value] = None
                    self._group(child, body, (*inside, child.value))

    def _hosts(self, group: AnsibleGroup, pattern: yaml.Node, body: yaml.Node, path: Path) -> None:
        place = self._place(pattern, path)
        variables = {} if _is_null(body) else self.variables(body, path)
        try:
            names, port = expand(pattern.value)
        except ValueError as error:
            self._mistake(pattern, path, str(error))
            return
        for name in names:
            group.hosts[name] = None
            host = self.inventory.hosts.setdefault(name, AnsibleHost(place))
            if port is not None:
                host.variables.setdefault("ansible_port", Variable(port, place))
            host.variables.update(variables)

    def _named(self, node: yaml.Node, path: Path) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """The names in a section with what stands under each; a single name may stand alone."""
        if isinstance(node, yaml.ScalarNode):
            yield node, yaml.ScalarNode("tag:yaml.org,2002:null", "")
        elif isinstance(node, yaml.MappingNode):
            yield from self._fields(node, path)
        else:
            self._mistake(node, path, "expected a mapping: write `name:`, not `- name`")

    def _fields(
        self, node: yaml.MappingNode, path: Path, around: tuple[yaml.Node, ...] = ()
    ) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """The pairs of a mapping; those merged in with `<<` come first, and only where the mapping has none."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._mistake(key, path, "a name must be text")
            elif key.value == "<<":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif key.value in own:
                self._mistake(key, (*path, key.value), "is written twice in the same mapping")
            else:
                own[key.value] = (key, value)
        for source in merged:
            if isinstance(source, yaml.MappingNode) and source not in (node, *around):
                pairs = self._fields(source, path, (node, *around))
                own = {**{key.value: (key, value) for key, value in pairs}, **own}
        yield from own.values()

    def _value(self, node: yaml.Node, name: str) -> Any:
        """A variable's value. Of those that say nothing to liftlock, lists and mappings are passed by (None), and
        numbers stay as they are written."""
        if node.tag in _VAULT_TAGS:
            return ENCRYPTED
        if isinstance(node, yaml.ScalarNode):
            plain = SCALARS.get(node.tag, str)(node.value)
            return node.value if isinstance(plain, float) and not name.startswith(OURS) else plain
        return value_of(node, {}, self._tagged) if name.startswith(OURS) else None

    def _place(self, node: yaml.Node, path: Path) -> Problem:
        mark = node.start_mark
        return Problem(self.file, "", wording.printable(wording.dotted(path)), mark.line + 1, mark.column + 1)

    def _mistake(self, node: yaml.Node, path: Path, message: str) -> None:
        mark, where = node.start_mark, wording.printable(wording.dotted(path))
        self.mistakes.append(Problem(self.file, wording.printable(message), where, mark.line + 1, mark.column + 1))
