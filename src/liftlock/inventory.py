"""Text -> Fleet: the customers and hosts of one `inventories/<fleet>.yaml` (docs/files.md shows one). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, model_validator

from liftlock.document import Path, Shape, compose, garbage_collection_resting, read, refusal
from liftlock.fields import (
    LONGEST_LINE,
    Address,
    Base,
    Count,
    Email,
    HostName,
    Label,
    Line,
    Name,
    Port,
    Setting,
    ShortLine,
    User,
    Variable,
    Version,
    Zone,
)
from liftlock.gathered import Gathered, accept
from liftlock.gathered import refusal as not_accepted
from liftlock.model import (
    Consent,
    Contact,
    Customer,
    Every,
    Fleet,
    FreezeRule,
    Host,
    HostGroup,
    HostProduct,
    Manager,
    RecurringFreeze,
)
from liftlock.wall_clock import freeze_between
from liftlock.window_text import local_time, recurring_time, window_rules
from liftlock.wording import did_you_mean


def _window(text: str) -> str:
    window_rules(text)
    return text


def _freeze_time(value: object, info: ValidationInfo) -> datetime | str:
    """A local time, or with `every` a day and time of every year, month or week."""
    if not isinstance(value, str):
        raise ValueError("must be a quoted local time such as `2026-12-20 00:00`")  # noqa: TRY004 - pydantic's way
    if "every" not in info.data:  # it is wrong itself, and said to be
        return value
    return recurring_time(value, info.data["every"]) if info.data["every"] else local_time(value)


_Windows = list[Annotated[str, AfterValidator(_window)]]
_FreezeTime = Annotated[datetime | str, PlainValidator(_freeze_time)]


def _fact(value: object) -> str | tuple[str, ...]:
    items: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
    texts = [str(item) if type(item) is int else item for item in items]
    if not all(isinstance(text, str) and text.strip() and text.isprintable() for text in texts):
        raise ValueError("must be a text such as enterprise, or a list of texts such as [npm, ldap]")
    if (length := max((len(str(text)) for text in texts), default=0)) > LONGEST_LINE:
        raise ValueError(f"has {length} characters, {LONGEST_LINE} at most: shorten it")
    return tuple(texts) if isinstance(value, list | tuple) else str(texts[0])


_Fact = Annotated[str | tuple[str, ...], PlainValidator(_fact)]


class _Contact(Shape):
    name: ShortLine
    email: Email | None = None
    channel: Name | None = None

    @model_validator(mode="after")
    def _just_one(self) -> Self:
        if (self.email is None) == (self.channel is None):
            raise ValueError("needs just one of `email` and `channel`")
        return self


class _Manager(Shape):
    name: ShortLine
    email: Email | None = None
    phone: ShortLine | None = None


class _Freeze(Shape):
    name: ShortLine
    every: Every | None = None
    start: _FreezeTime = Field(alias="from")
    end: _FreezeTime = Field(alias="until")
    zone: Zone | None = None
    product: Name | None = None


class _Group(Shape):
    windows: _Windows = Field(default_factory=list)
    freezes: list[_Freeze] = Field(default_factory=list)


class _Customer(Shape):
    title: ShortLine
    language: Literal["en", "zh-CN"]
    timezone: Zone
    contacts: Annotated[list[_Contact], Field(min_length=1)]
    windows: Annotated[_Windows, Field(min_length=1)]
    freezes: list[_Freeze] = Field(default_factory=list)
    tier: Name = "standard"
    groups: dict[Name, _Group] = Field(default_factory=dict)
    at_once: Count | None = None
    consent: Consent = Consent.SILENCE
    manager: _Manager | None = None


class _HostProduct(Shape):
    base: Base | None = None
    expected_version: Version | None = None


class _Defaults(Shape):
    """What hosts may have in common."""

    customer: str | None = None
    port: Port = 22
    user: User | None = None
    base: Base | None = None
    expected_version: Version | None = None
    variables: dict[Variable, Setting] = Field(default_factory=dict)
    labels: dict[Label, Setting] = Field(default_factory=dict)
    hold: Line | None = None
    group: Name | None = None
    redundancy: Name | None = None
    role: Name | None = None
    products: list[Name] = Field(default_factory=list)
    facts: dict[Variable, _Fact] = Field(default_factory=dict)
    per_product: dict[Name, _HostProduct] = Field(default_factory=dict)


class _Host(_Defaults):
    name: HostName
    customer: str
    address: Address


class _Fleet(Shape):
    fleet: Name
    customers: dict[Name, _Customer]
    hosts: list[_Host]
    freezes: list[_Freeze] = Field(default_factory=list)


class Source(Shape):
    """Where hosts come from: an Ansible inventory in YAML, one in JSON, or a program that prints JSON."""

    ansible: Line | None = None
    ansible_json: Line | None = None
    program: Annotated[list[Line], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _just_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("needs just one of `ansible`, `ansible_json` and `program`")
        return self


class _Stub(Shape):
    fleet: Name
    source: Source
    customers: dict[Name, _Customer] = Field(default_factory=dict)
    freezes: list[_Freeze] = Field(default_factory=list)
    defaults: _Defaults = _Defaults()


@dataclass(frozen=True, slots=True)
class Stub:
    """An inventory that names the source of its hosts."""

    source: Source
    shape: _Stub


_SOURCE = re.compile(r"\bsource[\"']?\s*:")  # whether it is worth a look: composing a large inventory twice is not


@garbage_collection_resting()
def read_fleet(text: str, file: str) -> Fleet:
    """The fleet that an inventory declares; freezes of one date become UTC by their own zone, else the customer's,
    else UTC; where clocks change they cover both readings.

    Raises InputError with every problem and its place.
    """
    shape = read(text, file, _Fleet)
    findings = [*_host_findings(shape), *_freeze_findings(shape)]
    if findings:
        raise refusal(text, file, findings)
    return _fleet(shape)


def read_stub(text: str, file: str) -> Stub | None:
    """The inventory whose hosts come from elsewhere; None when the text has no `source`, so lists its hosts itself.

    Raises InputError with every problem and its place.
    """
    root = compose(text, file) if _SOURCE.search(text) else None
    if not isinstance(root, yaml.MappingNode) or all(key.value != "source" for key, _ in root.value):
        return None
    shape = read(text, file, _Stub)
    if findings := list(_freeze_findings(shape)):
        raise refusal(text, file, findings)
    return Stub(shape.source, shape)


@garbage_collection_resting()
def fleet_from(stub: Stub, found: Gathered) -> Fleet:
    """The fleet of an inventory and the hosts found for it, each with the inventory's `defaults` for what it lacks.

    What was found may hold all that an inventory holds; its customers and freezes join the inventory's own.
    Raises InputError with every problem and its place.
    """
    own, document = stub.shape, found.value
    if isinstance(document, dict):
        document = {"fleet": own.fleet, "customers": {}, **document}
        if isinstance(hosts := document.get("hosts"), list):
            defaults = own.defaults.model_dump(exclude_unset=True)
            document["hosts"] = [_with_defaults(host, defaults) for host in hosts]
    shape = accept(replace(found, value=document), _Fleet)
    joined = shape.model_copy(
        update={"customers": {**shape.customers, **own.customers}, "freezes": [*own.freezes, *shape.freezes]}
    )
    findings: list[tuple[Path, str]] = [
        (("customers", name), "is declared in the inventory that names this source, too")
        for name in shape.customers
        if name in own.customers
    ]
    if shape.fleet != own.fleet:
        findings.append((("fleet",), f"`{shape.fleet}` is not {own.fleet}, the fleet that names this source"))
    findings += [*_freeze_findings(shape), *_host_findings(joined)]
    if findings:
        raise not_accepted(found, findings)
    return _fleet(joined)


def _with_defaults(host: Any, defaults: dict[str, Any]) -> Any:
    """A host as written, with the defaults for its fields; variables, labels and facts one by one."""
    if not isinstance(host, dict):
        return host
    joined = {**defaults, **host}
    for part in ("variables", "labels", "facts"):
        if isinstance(own := host.get(part), dict):
            joined[part] = {**defaults.get(part, {}), **own}
    return joined


def _fleet(shape: _Fleet) -> Fleet:
    return Fleet(
        name=shape.fleet,
        customers={name: _customer(name, customer) for name, customer in shape.customers.items()},
        hosts=tuple(_host(host) for host in shape.hosts),
        freezes=tuple(_freeze(freeze, "UTC") for freeze in shape.freezes),
    )


def _host_findings(shape: _Fleet) -> Iterator[tuple[Path, str]]:
    first: dict[str, int] = {}
    places: dict[tuple[object, ...], str] = {}
    for index, host in enumerate(shape.hosts):
        place = (host.address, host.port, host.base, *sorted({*host.products, *host.per_product}))
        if places.setdefault(place, host.name) != host.name:
            yield ("hosts", index, "address"), f"address, port and base are those of `{places[place]}`: one host, twice"
        if first.setdefault(host.name, index) != index:
            yield ("hosts", index, "name"), f"`{host.name}` is already the name of hosts[{first[host.name]}]"
        if host.customer not in shape.customers:
            nearest = did_you_mean(host.customer, shape.customers)
            yield ("hosts", index, "customer"), f"there is no customer `{host.customer[:60]}`{nearest}"
        elif host.group is not None and host.group not in (groups := shape.customers[host.customer].groups):
            nearest = did_you_mean(host.group, groups)
            yield ("hosts", index, "group"), f"`{host.customer}` has no group `{host.group}`{nearest}"
        if len(host.products) > 1:
            yield from _product_findings(host, index)


def _product_findings(host: _Host, index: int) -> Iterator[tuple[Path, str]]:
    """Two products must not share a folder, and one version is that of one product."""
    others = [name for name in host.products if name not in host.per_product]
    for name in ("base", "expected_version"):
        if getattr(host, name) is not None and len(others) > 1:
            yield ("hosts", index, name), f"would be that of {' and '.join(others)}: say each in `per_product`"


def _freeze_findings(shape: _Fleet | _Stub) -> Iterator[tuple[Path, str]]:
    lists: list[tuple[Path, list[_Freeze]]] = [(("freezes",), shape.freezes)]
    for name, customer in shape.customers.items():
        lists.append((("customers", name, "freezes"), customer.freezes))
        lists += [(("customers", name, "groups", own, "freezes"), g.freezes) for own, g in customer.groups.items()]
    for path, freezes in lists:
        for index, freeze in enumerate(freezes):
            if freeze.every and freeze.end == freeze.start:
                yield (*path, index, "until"), "must differ from `from`"
            elif isinstance(freeze.start, datetime) and isinstance(freeze.end, datetime) and freeze.end <= freeze.start:
                yield (*path, index, "until"), "must be later than `from`"


def _host(shape: _Host) -> Host:
    own = {name: HostProduct(one.base, one.expected_version) for name, one in shape.per_product.items()}
    products = dict.fromkeys((*shape.products, *own))
    return Host(**{**dict(shape), "products": tuple(products), "per_product": own})


def _customer(name: str, shape: _Customer) -> Customer:
    return Customer(
        name=name,
        title=shape.title,
        language=shape.language,
        timezone=shape.timezone,
        contacts=tuple(Contact(one.name, one.email or "", one.channel or "") for one in shape.contacts),
        windows=tuple(window for text in shape.windows for window in window_rules(text)),
        freezes=tuple(_freeze(freeze, shape.timezone) for freeze in shape.freezes),
        tier=shape.tier,
        groups={name: _group(name, group, shape.timezone) for name, group in shape.groups.items()},
        at_once=shape.at_once,
        consent=shape.consent,
        manager=_manager(shape.manager) if shape.manager else None,
    )


def _manager(shape: _Manager) -> Manager:
    return Manager(shape.name, shape.email or "", shape.phone or "")


def _group(name: str, shape: _Group, zone: str) -> HostGroup:
    return HostGroup(
        name,
        windows=tuple(window for text in shape.windows for window in window_rules(text)),
        freezes=tuple(_freeze(freeze, zone) for freeze in shape.freezes),
    )


def _freeze(shape: _Freeze, zone: str) -> FreezeRule:
    zone = shape.zone or zone
    if shape.every:
        return RecurringFreeze(shape.name, str(shape.start), str(shape.end), zone, shape.product, shape.every)
    assert isinstance(shape.start, datetime)
    assert isinstance(shape.end, datetime)
    return freeze_between(shape.name, shape.start, shape.end, zone, shape.product)
