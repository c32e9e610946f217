"""The success rate: two counts, compared with the target in integers, and how sure one can be of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, sqrt

_Z_95 = 1.959963984540054  # the 97.5 % point of the standard normal distribution


@dataclass(frozen=True, slots=True)
class Rate:
    """A success rate that keeps its numerator and denominator."""

    succeeded: int
    attempted: int

    def meets(self, target_percent: int) -> bool | None:
        """Whether the rate reaches the target, compared in integers; None when nothing was attempted."""
        return 100 * self.succeeded >= target_percent * self.attempted if self.attempted else None

    @property
    def percent(self) -> float | None:
        """In percent, rounded down to one decimal, so that no rate below 98 reads 98.0; None for no data."""
        return 1000 * self.succeeded // self.attempted / 10 if self.attempted else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The Wilson score interval at 95 %, as shares in [0, 1]; None for no data.

        E. B. Wilson (1927), JASA 22:209-212; recommended for small and extreme samples by Brown, Cai
        and DasGupta (2001), Statistical Science 16:101-133.
        """
        if not self.attempted:
            return None
        n, share, square = self.attempted, self.succeeded / self.attempted, _Z_95**2
        centre = (share + square / (2 * n)) / (1 + square / n)
        half = _Z_95 * sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
        # At the ends the formula gives exactly 0 and 1, floating point only nearly so.
        low = 0.0 if self.succeeded == 0 else centre - half
        high = 1.0 if self.succeeded == n else centre + half
        return low, high

    @property
    def interval_percent(self) -> tuple[float, float] | None:
        """The interval in percent, rounded outwards to one decimal; None for no data."""
        if (interval := self.interval) is None:
            return None
        return floor(interval[0] * 1000) / 10, ceil(interval[1] * 1000) / 10
