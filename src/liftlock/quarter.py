"""Quarters of a year, in UTC. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from liftlock.errors import InputError


@dataclass(frozen=True, slots=True, order=True)
class Quarter:
    """A quarter of a year, in UTC."""

    year: int
    number: int

    @staticmethod
    def of(moment: datetime) -> Quarter:
        """The quarter in which the moment lies."""
        moment = moment.astimezone(UTC)
        return Quarter(moment.year, (moment.month + 2) // 3)

    @staticmethod
    def read(text: str) -> Quarter:
        """The quarter written as `2026-Q4`. Raises InputError for anything else."""
        if not (found := re.fullmatch(r"(\d{4})-?[Qq]([1-4])", text, re.ASCII)):
            raise InputError(f"a quarter is written as 2026-Q4, not {text!r}")
        return Quarter(int(found[1]), int(found[2]))

    @property
    def before(self) -> Quarter:
        """The quarter before it."""
        return Quarter(self.year, self.number - 1) if self.number > 1 else Quarter(self.year - 1, 4)

    def and_before(self, count: int) -> tuple[Quarter, ...]:
        """So many quarters in all, this one last."""
        return (*self.before.and_before(count - 1), self) if count > 1 else (self,)

    def __str__(self) -> str:
        return f"{self.year}-Q{self.number}"
