"""Conditions on the facts of a host, as releases state them: text -> does it hold here? Pure; nothing is ever executed.

    npm in facts.features
    facts.edition == enterprise and not (ldap in facts.features or facts.db_version < "12")

- `facts.NAME` is a fact of the host. A bare word or a quoted string stands for itself; what is not one word of letters,
  digits and `_` needs quotes (`"background-jobs"`, `"12"`).
- A fact is a set of words; one that holds a single word is the set of it, one that the host does not have is empty, as
  is `""`. `a in b`: a is not empty and every word of it is in b. `==` and `!=` compare the sets.
- `<`, `<=`, `>` and `>=` compare versions (policy: `liftlock.version`). When a fact is not exactly one version there is
  no answer: neither yes nor no would be safe.
- `and`, `or`, `not` and parentheses as in Python, from left to right and no further than needed.

Python's own parser reads the text and a few of its nodes are understood; every other one is refused.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache

from packaging.version import Version

from liftlock.version import parsed

Facts = Mapping[str, str | tuple[str, ...]]
"""What is known of a host, by name: a word or several."""

_Judge = Callable[[Facts], bool]

_LONGEST = 400
_EXAMPLE = "such as `npm in facts.features and facts.edition == enterprise`"
_SETS: dict[type[ast.cmpop], Callable[[frozenset[str], frozenset[str]], bool]] = {
    ast.In: lambda some, others: bool(some) and some <= others,
    ast.NotIn: lambda some, others: not (some and some <= others),
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ORDERS: dict[type[ast.cmpop], Callable[[Version, Version], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class UndecidedError(ValueError):
    """The facts of a host give a condition no answer; the message says which fact and why."""


def check(text: str) -> None:
    """Nothing, when `text` is a condition or empty. Raises ValueError in plain words with the column (from 1)."""
    _read(text.strip())


def holds(text: str, facts: Facts) -> bool:
    """Whether a condition holds on a host with these facts; an empty one always does.

    Raises UndecidedError when a version comparison meets a fact that is not one version, ValueError as `check` does.
    """
    return _read(text.strip())(facts)


@lru_cache(maxsize=4096)
def facts_in(text: str) -> tuple[str, ...]:
    """The names of the facts that a condition asks for, sorted. Raises ValueError as `check` does."""
    check(text)
    nodes = ast.walk(ast.parse(text.strip(), mode="eval")) if text.strip() else ()
    return tuple(sorted({node.attr for node in nodes if isinstance(node, ast.Attribute)}))


def explain(text: str, facts: Facts) -> str:
    """A condition and what it was judged by: ``` `npm in facts.features` (features: ldap, npm) ```."""
    values = (f"{name}: {', '.join(sorted(_words(facts.get(name, '')))) or 'empty'}" for name in facts_in(text))
    return f"`{text.strip()}` ({'; '.join(values)})"


@lru_cache(maxsize=4096)
def _read(source: str) -> _Judge:
    if not source:
        return lambda _: True
    if len(source) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters")
    if strange := re.search(r"[\\\x00-\x1f\x7f]", source):
        raise ValueError(f"column {strange.start() + 1}: a condition holds no backslash and no control character")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's advice on numbers, which are refused below anyway
            tree = ast.parse(source, mode="eval").body
    except SyntaxError as error:
        where = error.offset or len(source) + 1  # none when the text ends too early
        raise ValueError(f"column {where}: cannot be read; write a condition {_EXAMPLE}") from None
    return _judge(tree, source)


def _judge(node: ast.expr, source: str) -> _Judge:
    """What judges the facts of a host by this part of a condition."""
    match node:
        case ast.BoolOp(op=joined, values=values):
            parts = [_judge(value, source) for value in values]
            every = isinstance(joined, ast.And)
            return lambda facts: (all if every else any)(part(facts) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            denied = _judge(operand, source)
            return lambda facts: not denied(facts)
        case ast.Compare(left=left, ops=[compared], comparators=[right]):
            return _comparison(node, left, compared, right, source)
        case ast.Compare():
            raise _refusal(node, source, "compares more than two things: join comparisons with `and`")
        case ast.Name() | ast.Constant() | ast.Attribute():
            raise _refusal(node, source, f"is compared with nothing; write a condition {_EXAMPLE}")
    raise _refusal(node, source, f"cannot stand in a condition; write one {_EXAMPLE}")


def _comparison(node: ast.expr, left: ast.expr, compared: ast.cmpop, right: ast.expr, source: str) -> _Judge:
    first, second = _value(left, source), _value(right, source)
    if isinstance(left, ast.Constant | ast.Name) and isinstance(right, ast.Constant | ast.Name):
        raise _refusal(node, source, "asks for no fact: write facts.NAME for a fact of the host")
    if among := _SETS.get(type(compared)):
        return lambda facts: among(first(facts), second(facts))
    if by_order := _ORDERS.get(type(compared)):
        for side, words in ((left, first), (right, second)):
            if not isinstance(side, ast.Attribute) and _version(words({})) is None:
                raise _refusal(side, source, "is not a version, and `<`, `<=`, `>` and `>=` compare versions")
        return lambda facts: by_order(_decided(left, first(facts)), _decided(right, second(facts)))
    raise _refusal(node, source, "compares with `is`: write `==` or `!=`")


def _value(node: ast.expr, source: str) -> Callable[[Facts], frozenset[str]]:
    """What gives the words of one side of a comparison."""
    match node:
        case ast.Attribute(value=ast.Name(id="facts"), attr=name):
            return lambda facts: _words(facts.get(name, ""))
        case ast.Name(id="facts"):
            raise _refusal(node, source, "names no fact: write facts.NAME")
        case ast.Name(id=word) | ast.Constant(value=str(word)):
            words = _words(word)
            return lambda _: words
        case ast.Attribute():
            raise _refusal(node, source, "is neither a fact (facts.NAME) nor a word; a word with a dot needs quotes")
    raise _refusal(node, source, "is neither a fact (facts.NAME) nor a word; what is not just letters needs quotes")


def _words(value: str | tuple[str, ...]) -> frozenset[str]:
    return frozenset((value,) if isinstance(value, str) else value) - {""}


def _decided(side: ast.expr, words: frozenset[str]) -> Version:
    found = _version(words)
    if found is None:
        has = f"is {', '.join(sorted(words))}" if words else "is empty"
        raise UndecidedError(f"{ast.unparse(side)} {has}, which is not one version")
    return found


def _version(words: frozenset[str]) -> Version | None:
    try:
        (word,) = words
        return parsed(word)
    except ValueError:
        return None


def _refusal(node: ast.expr, source: str, why: str) -> ValueError:
    column = len(source.encode()[: node.col_offset].decode()) + 1
    return ValueError(f"column {column}: `{ast.get_source_segment(source, node)}` {why}")
