"""Gates: from what the tests found on a host to one verdict. Pure.

The rules, first match wins:

1. a test failed                            -> failed, with that test's message: a condition does not hold
2. a test broke (fixture, connection, bug)  -> error: a condition could not be measured
3. the run stopped before the host was done -> error, with what stopped it
4. no test really ran (none, or all skipped)-> error: nothing was measured, so nothing is proven
5. otherwise                                -> passed
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from liftlock.model import GateResult, Verdict
from liftlock.wording import printable

REASON_LIMIT = 300

_WEIGHT = {Verdict.INCONCLUSIVE: 0, Verdict.PASSED: 1, Verdict.ERROR: 2, Verdict.FAILED: 3}

_EXIT_REASONS = {
    0: "the suite has no test for this host",
    1: "the suite did not finish on this host",
    2: "the run was interrupted",
    3: "pytest had an internal error",
    4: "pytest could not start with this suite",
    5: "the suite holds no test",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one test found on one host; `inconclusive` is a skipped test, which measured nothing."""

    test: str
    verdict: Verdict
    message: str = ""


def judge(host: str, findings: Iterable[Finding], trouble: str = "", seconds: float = 0.0) -> GateResult:
    """The verdict on one host by the rules above; `trouble` says why its tests did not all run, if so.

    `tests` of the result counts those that really measured something: passed or failed. Where tests did not pass and
    others were not run, `not_passed` also holds the trouble: nobody knows what it hides.
    """
    found = tuple(findings)
    passed, failed, broken = (
        [finding for finding in found if finding.verdict is verdict]
        for verdict in (Verdict.PASSED, Verdict.FAILED, Verdict.ERROR)
    )
    not_passed = {finding.test for finding in (*failed, *broken)}
    if not_passed and trouble:
        not_passed.add(one_line(trouble))
    if failed:
        verdict, reason = Verdict.FAILED, _first_and_count([*failed, *broken])
    elif broken:
        verdict, reason = Verdict.ERROR, _first_and_count(broken)
    elif trouble:
        verdict, reason = Verdict.ERROR, one_line(trouble)
    elif not passed:
        verdict, reason = Verdict.ERROR, "all tests were skipped" if found else "no test ran"
    else:
        verdict, reason = Verdict.PASSED, ""
    return GateResult(
        host=host,
        verdict=verdict,
        reason=reason,
        tests=len(passed) + len(failed),
        seconds=seconds,
        not_passed=tuple(sorted(not_passed)),
    )


def blamed(before: Collection[str], after: GateResult) -> str:
    """What a look after the work found that stood well `before`, in words; empty when nothing.

    `before` are the tests that did not pass already then: those are not blamed on the work. A look that could not
    be measured proves nothing, and is blamed, too.
    """
    if after.verdict is Verdict.PASSED:
        return ""
    new = [test for test in after.not_passed if test not in before]
    if after.not_passed and not new:
        return ""
    reason = after.reason if len(new) == len(after.not_passed) else f"{', '.join(new)} passed before"
    return f"gate {after.verdict}: {one_line(reason)}"


def weightiest(findings: Iterable[Finding]) -> Finding:
    """Of the findings about one test (its setup, parts and teardown) the one that decides; ValueError when none."""
    return max(findings, key=lambda finding: _WEIGHT[finding.verdict])


def explain_exit(status: int, said: str = "") -> str:
    """Why hosts have no verdict when pytest ended with this status (negative: by a signal); `said` is its own word."""
    reason = (
        f"pytest was ended by signal {-status}"
        if status < 0
        else _EXIT_REASONS.get(status, f"pytest ended with status {status}")
    )
    return f"{reason}: {said}" if said else reason


def one_line(text: str) -> str:
    """The first line that says something, fit for a terminal, a page and the ledger: printable and short."""
    lines = (" ".join(printable(line, " ").split()) for line in text.splitlines())
    line = next(filter(None, lines), "")
    return line if len(line) <= REASON_LIMIT else line[: REASON_LIMIT - 1] + "…"


def _first_and_count(findings: Sequence[Finding]) -> str:
    first, further = findings[0], len(findings) - 1
    reason = one_line(f"{first.test}: {first.message or 'no message'}")
    return f"{reason} (and {further} more)" if further else reason
