"""Patience with servers that are busy: pauses that grow at random, and one bound for all letters of a run.

One bound, since a server that asks a thousand letters to come back later would else hold each of them up in turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_result
from tenacity import wait_random_exponential as jittered

Result = TypeVar("Result")
_LONGEST_PAUSES = 15  # of the first one


class Patience:
    """How long all retries of one run may take together; `pause` is how long the first of them waits at most."""

    def __init__(self, lasting: timedelta, pause: timedelta = timedelta(seconds=2)) -> None:
        first = pause.total_seconds()
        self.pauses = jittered(multiplier=first, max=_LONGEST_PAUSES * first)
        self._left = lasting.total_seconds()

    def try_until_settled(
        self,
        attempt: Callable[[], Result],
        busy: Callable[[Result], bool],
        wanted_pause: Callable[[Result], float] = lambda _result: 0.0,
    ) -> Result:
        """The result of the last attempt: the first one that is not `busy`, or where patience ended.

        A server may name the pause it wants, in seconds; when that is longer than what is left nobody waits for it.
        """

        def pause(state: RetryCallState) -> float:
            return max(self.pauses(state), wanted_pause(_last(state)))

        def at_an_end(state: RetryCallState) -> bool:
            return time.monotonic() - began + state.upcoming_sleep > self._left

        began = time.monotonic()
        trying = Retrying(wait=pause, stop=at_an_end, retry=retry_if_result(busy), retry_error_callback=_last)
        result: Result = trying(attempt)
        if trying.statistics["attempt_number"] > 1:
            self._left -= time.monotonic() - began
        return result


def _last(state: RetryCallState) -> Any:
    assert state.outcome is not None
    return state.outcome.result()
