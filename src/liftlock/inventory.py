"""Text -> Fleet: the customers and hosts of one `inventories/<fleet>.yaml` (docs/files.md shows one). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from liftlock.document import Path, Shape, garbage_collection_resting, read, refusal
from liftlock.fields import (
    Address,
    Base,
    Email,
    HostName,
    Label,
    Line,
    Name,
    Port,
    Setting,
    User,
    Variable,
    Version,
    Zone,
)
from liftlock.model import Contact, Customer, Fleet, Freeze, Host
from liftlock.weekly import in_utc, local_time, weekly_windows
from liftlock.wording import did_you_mean


def _window(text: str) -> str:
    weekly_windows(text)
    return text


def _local_time(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("must be a quoted local time such as `2026-12-20 00:00`")  # noqa: TRY004 - pydantic's way
    return local_time(value)


class _Contact(Shape):
    name: Line
    email: Email


class _Freeze(Shape):
    name: Line
    start: Annotated[datetime, BeforeValidator(_local_time)] = Field(alias="from")
    end: Annotated[datetime, BeforeValidator(_local_time)] = Field(alias="until")
    zone: Zone | None = None


class _Customer(Shape):
    title: Line
    language: Literal["en", "zh-CN"]
    timezone: Zone
    contacts: Annotated[list[_Contact], Field(min_length=1)]
    windows: Annotated[list[Annotated[str, AfterValidator(_window)]], Field(min_length=1)]
    freezes: list[_Freeze] = Field(default_factory=list)
    tier: Name = "standard"


class _Host(Shape):
    name: HostName
    customer: str
    address: Address
    port: Port = 22
    user: User | None = None
    base: Base | None = None
    expected_version: Version | None = None
    variables: dict[Variable, Setting] = Field(default_factory=dict)
    labels: dict[Label, Setting] = Field(default_factory=dict)
    hold: Line | None = None


class _Fleet(Shape):
    fleet: Name
    customers: dict[Name, _Customer]
    hosts: list[_Host]
    freezes: list[_Freeze] = Field(default_factory=list)


@garbage_collection_resting()
def read_fleet(text: str, file: str) -> Fleet:
    """The fleet that an inventory declares; freezes become UTC by their own zone, else the customer's, else UTC;
    where clocks change they cover both readings.

    Raises InputError with every problem and its place.
    """
    shape = read(text, file, _Fleet)
    findings = [*_host_findings(shape), *_freeze_findings(shape)]
    if findings:
        raise refusal(text, file, findings)
    return Fleet(
        name=shape.fleet,
        customers={name: _customer(name, customer) for name, customer in shape.customers.items()},
        hosts=tuple(Host(**dict(host)) for host in shape.hosts),
        freezes=tuple(_freeze(freeze, "UTC") for freeze in shape.freezes),
    )


def _host_findings(shape: _Fleet) -> Iterator[tuple[Path, str]]:
    first: dict[str, int] = {}
    for index, host in enumerate(shape.hosts):
        if first.setdefault(host.name, index) != index:
            yield ("hosts", index, "name"), f"`{host.name}` is already the name of hosts[{first[host.name]}]"
        if host.customer not in shape.customers:
            nearest = did_you_mean(host.customer, shape.customers)
            yield ("hosts", index, "customer"), f"there is no customer `{host.customer}`{nearest}"


def _freeze_findings(shape: _Fleet) -> Iterator[tuple[Path, str]]:
    lists: list[tuple[Path, list[_Freeze]]] = [(("freezes",), shape.freezes)]
    lists += [(("customers", name, "freezes"), customer.freezes) for name, customer in shape.customers.items()]
    for path, freezes in lists:
        for index, freeze in enumerate(freezes):
            if freeze.end <= freeze.start:
                yield (*path, index, "until"), "must be later than `from`"


def _customer(name: str, shape: _Customer) -> Customer:
    return Customer(
        name=name,
        title=shape.title,
        language=shape.language,
        timezone=shape.timezone,
        contacts=tuple(Contact(contact.name, contact.email) for contact in shape.contacts),
        windows=tuple(window for text in shape.windows for window in weekly_windows(text)),
        freezes=tuple(_freeze(freeze, shape.timezone) for freeze in shape.freezes),
        tier=shape.tier,
    )


def _freeze(shape: _Freeze, zone: str) -> Freeze:
    earliest, _ = in_utc(shape.start, shape.zone or zone)
    _, latest = in_utc(shape.end, shape.zone or zone)
    return Freeze(shape.name, earliest, latest)
