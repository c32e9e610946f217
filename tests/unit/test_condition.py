from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.condition import Facts, UndecidedError, check, explain, facts_in, holds

HOST: Facts = {"features": ("npm", "ldap"), "edition": "enterprise", "db_version": "12.10", "sites": ("a", "b")}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "npm in facts.features",
        "'npm' in facts.features",
        "docker not in facts.features",
        "facts.edition == enterprise",
        'facts.edition != "community"',
        "enterprise in facts.edition",
        "not (docker in facts.features) and facts.edition != community or facts.edition == starter",
        "not docker in facts.features",
        'facts.db_version >= "12.9"',
        '"12.9" < facts.db_version',
        'facts.db_version <= "12.10.0"',
        'facts.absent == ""',
        "not (x in facts.absent)",
        'not ("" in facts.features)',
        "facts.sites in facts.sites",
        'facts.absent == x or facts.db_version > "9"',
        "  facts.edition == enterprise  ",
        "(((facts.edition == enterprise)))",
    ],
)
def test_a_condition_holds_on_a_host_whose_facts_meet_it(text: str) -> None:
    check(text)
    assert holds(text, HOST)


@pytest.mark.parametrize(
    "text",
    [
        "docker in facts.features",
        "enter in facts.edition",  # a whole word, never a part of one
        "facts.features == npm",
        "facts.edition == Enterprise",
        "npm in facts.features and docker in facts.features",
        "not npm in facts.features",
        'facts.db_version < "9"',
        "x in facts.absent",
        "facts.absent == enterprise",
        "facts.absent in facts.features",
        'facts.edition == community and facts.absent > "1"',  # judged no further than needed
    ],
)
def test_a_condition_does_not_hold_on_another(text: str) -> None:
    assert not holds(text, HOST)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('facts.absent > "1"', "facts.absent is empty, which is not one version"),
        ('facts.edition > "1"', "facts.edition is enterprise, which is not one version"),
        ('facts.features > "1"', "facts.features is ldap, npm, which is not one version"),
    ],
)
def test_an_order_of_what_is_no_version_has_no_answer(text: str, why: str) -> None:
    with pytest.raises(UndecidedError, match=re.escape(why)):
        holds(text, HOST)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("npm in features", "column 1: `npm in features` asks for no fact: write facts.NAME"),
        ("npm in facts.features and", "column 26: cannot be read; write a condition such as `npm in facts.features"),
        ("facts.edition = enterprise", "cannot be read"),
        ("facts.a == x and facts.edition == my-edition", "column 35: `my-edition` is neither a fact"),
        ("facts.db_version >= 12.10", "column 21: `12.10` is neither a fact (facts.NAME) nor a word"),
        ("facts.db_version >= twelve", "column 21: `twelve` is not a version"),
        ("facts.edition", "column 1: `facts.edition` is compared with nothing"),
        ("x == facts", "column 6: `facts` names no fact: write facts.NAME"),
        ("host.name == a", "column 1: `host.name` is neither a fact"),
        ("facts.a.b == x", "column 1: `facts.a.b` is neither a fact"),
        ('"1" < facts.v < "2"', "compares more than two things: join comparisons with `and`"),
        ("facts.a is x", "compares with `is`: write `==` or `!=`"),
        ("x in [facts.a]", "column 6: `[facts.a]` is neither a fact"),
        ("船 in facts.a and open('x')", "column 18: `open('x')` cannot stand in a condition"),
        ("facts.a == f'{x}'", "column 12: "),
        ("x in facts.a; y", "column 13: cannot be read"),
        ("facts.a == '\\x41'", "column 13: a condition holds no backslash"),
        ("x in\nfacts.a", "column 5: a condition holds no backslash and no control character"),
        ("not " * 101, "is longer than 400 characters"),
        ("(" * 250 + "a in facts.b" + ")" * 100, "column"),
        ("1or 2", "column 1: `1` is compared with nothing"),
        ("lambda: 1", "column 1: `lambda: 1` cannot stand in a condition"),
        ("__import__('os')", "column 1: `__import__('os')` cannot stand in a condition"),
    ],
)
def test_what_is_no_condition_is_refused_in_plain_words_with_its_column(text: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=re.escape(wanted)):
        check(text)


def test_a_condition_is_explained_by_the_facts_it_asks_for() -> None:
    text = "npm in facts.features and facts.region != cn"
    assert facts_in(text) == ("features", "region")
    assert explain(text, HOST) == f"`{text}` (features: ldap, npm; region: empty)"
    assert facts_in("") == ()


WORDS = st.sampled_from(["a", "b", "c"])
ATOMS = st.tuples(WORDS, st.sampled_from(["in", "not in"]))
TREES = st.recursive(
    ATOMS.map(lambda atom: f"{atom[0]} {atom[1]} facts.x"),
    lambda inner: st.one_of(
        inner.map(lambda text: f"not ({text})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: "({} {} {})".format(*parts)),
    ),
    max_leaves=6,
)


@given(TREES, st.frozensets(WORDS))
def test_and_or_and_not_mean_what_they_mean_in_python(text: str, words: frozenset[str]) -> None:
    by_python = eval(re.sub(r"\b([abc])\b", r"'\1'", text).replace("facts.x", repr(set(words))))
    assert holds(text, {"x": tuple(words)}) is by_python


@given(st.text(alphabet="ab facts.x\"'()=<>!&|1-[]{},:+*é船#\n\\", max_size=40) | st.text(max_size=20))
def test_any_text_is_a_condition_or_is_refused_in_words(text: str) -> None:
    try:
        asked = facts_in(text)
    except ValueError as refused:
        asked, told = (), str(refused)
        assert re.match(r"column [1-9]\d*: ", told)
    assert all(name.isidentifier() for name in asked)
