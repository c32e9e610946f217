"""The plan as a document: canonical JSON (keys sorted, no spaces, UTF-8 kept, times in ISO 8601).

Its id is the sha256 of that JSON without the id, so the same inputs make the same bytes and an edit shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from datetime import timedelta
from operator import attrgetter
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json as parse_json

from liftlock.errors import InputError, Problem
from liftlock.model import Hop, Plan, PlannedHost, Window

_PLAN: TypeAdapter[Plan] = TypeAdapter(Plan)
_WINDOW, _PATH, _SPAN = TypeAdapter(Window), TypeAdapter(tuple[Hop, ...]), TypeAdapter(timedelta)
_FIELDS = tuple(field.name for field in fields(PlannedHost))
_values = attrgetter(*_FIELDS)


def to_document(plan: Plan) -> dict[str, Any]:
    """The plan as plain values that JSON knows."""
    document: dict[str, Any] = _PLAN.dump_python(replace(plan, hosts=()), mode="json")
    document["hosts"] = list(_hosts(plan))
    return document


def _hosts(plan: Plan) -> Iterator[dict[str, Any]]:
    """The hosts as plain values; hosts are many, their windows, paths and times few, so these are shared."""
    windows: dict[int, Any] = {}
    paths: dict[int, Any] = {}
    spans: dict[timedelta, Any] = {}
    for host in plan.hosts:
        values = dict(zip(_FIELDS, _values(host), strict=True))
        if (window := windows.get(id(host.window))) is None:
            window = windows[id(host.window)] = _WINDOW.dump_python(host.window, mode="json")
        if (path := paths.get(id(host.hops))) is None:
            path = paths[id(host.hops)] = _PATH.dump_python(host.hops, mode="json")
        for span in (host.needed, host.back):
            if span not in spans:
                spans[span] = _SPAN.dump_python(span, mode="json")
        values["window"], values["hops"] = window, path
        values["needed"], values["back"] = spans[host.needed], spans[host.back]
        yield values


def from_document(document: Mapping[str, Any]) -> Plan:
    """The plan that `to_document` made."""
    return _PLAN.validate_python(document)


def to_json(plan: Plan) -> str:
    """The plan as one line of canonical JSON, newline at the end."""
    return f"{_canonical(to_document(plan)).decode()}\n"


def from_json(text: str, file: str) -> Plan:
    """The plan that `to_json` wrote; `file` is named in errors.

    Raises InputError when the text is no plan, or when its content does not match its id.
    """
    try:
        document = parse_json(text)
        plan = from_document(document)
    except ValidationError as error:
        mistakes = error.errors(include_url=False, include_context=False, include_input=False)
        raise InputError(
            Problem(file, f"not a plan: {mistake['msg']}", path=".".join(map(str, mistake["loc"])))
            for mistake in mistakes
        ) from None
    except ValueError as error:
        raise InputError([Problem(file, f"not a plan: not JSON: {error}")]) from None
    if _content_hash(document) != plan.id:
        raise InputError([Problem(file, f"the plan {short_id(plan)} was edited: its content does not match its id")])
    return plan


def plan_id(plan: Plan) -> str:
    """The sha256 (hex) of the plan's canonical JSON without its id."""
    return _content_hash(to_document(plan))


def _content_hash(document: Mapping[str, Any]) -> str:
    content = {key: value for key, value in document.items() if key != "id"}
    return hashlib.sha256(_canonical(content)).hexdigest()


def _canonical(document: Mapping[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def short_id(plan: Plan) -> str:
    """The first eight digits of the id, for people."""
    return plan.id[:8]


def plan_file_name(plan: Plan) -> str:
    """Such as `boathouse-1.5.0-3fa9c1d2.json`: product, version, short id."""
    return f"{plan.product}-{plan.version}-{short_id(plan)}.json"
