from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from liftlock.gate import REASON_LIMIT, Finding, explain_exit, judge, one_line, weightiest
from liftlock.model import Verdict

PASSED = Finding("test_disk", Verdict.PASSED)
FAILED = Finding("test_backup", Verdict.FAILED, "the last backup is 51 h old")
BROKEN = Finding("test_health", Verdict.ERROR, "KeyError: 'port'")
SKIPPED = Finding("test_raid", Verdict.INCONCLUSIVE)

findings = st.lists(st.builds(Finding, st.text(max_size=20), st.sampled_from(Verdict), st.text()), max_size=6)


def test_a_host_passes_on_tests_that_really_ran():
    result = judge("web-1", [PASSED, SKIPPED, PASSED], seconds=1.5)
    assert (result.host, result.verdict, result.reason, result.tests) == ("web-1", Verdict.PASSED, "", 2)
    assert result.seconds == 1.5


def test_a_failed_test_is_the_reason_and_further_ones_are_counted():
    result = judge("web-1", [PASSED, BROKEN, FAILED, FAILED])
    assert (result.verdict, result.tests) == (Verdict.FAILED, 3)
    assert result.reason == "test_backup: the last backup is 51 h old (and 2 more)"


def test_a_broken_test_could_not_be_measured():
    result = judge("web-1", [PASSED, BROKEN], trouble="the tests took longer than 60 s")
    assert (result.verdict, result.reason) == (Verdict.ERROR, "test_health: KeyError: 'port'")


def test_a_failure_stands_even_when_the_run_was_stopped_later():
    assert judge("web-1", [FAILED], trouble="pytest was ended by signal 9").verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("found", "trouble", "reason"),
    [
        ([], "", "no test ran"),
        ([SKIPPED, SKIPPED], "", "all tests were skipped"),
        ([PASSED], "pytest was ended by signal 9", "pytest was ended by signal 9"),
    ],
)
def test_what_was_not_measured_never_passes(found, trouble, reason):
    result = judge("web-1", found, trouble)
    assert (result.verdict, result.reason) == (Verdict.ERROR, reason)


@given(findings, st.text())
def test_a_pass_rests_on_nothing_but_passed_tests(found, trouble):
    result = judge("web-1", found, trouble)
    verdicts = {finding.verdict for finding in found}
    passed = Verdict.PASSED in verdicts and not verdicts & {Verdict.FAILED, Verdict.ERROR} and not trouble
    assert (result.verdict is Verdict.PASSED) == passed
    assert (result.verdict is Verdict.FAILED) == (Verdict.FAILED in verdicts)


def test_of_one_test_the_worst_part_decides():
    assert weightiest([PASSED, SKIPPED]) is PASSED
    assert weightiest([SKIPPED, BROKEN, PASSED]) is BROKEN
    assert weightiest([BROKEN, FAILED]) is FAILED


@given(st.text())
@example("\x1b[31mred\x1b[0m")
@example("\x1b]0;title\x07")
@example("\u202egnp.exe")
@example("a\x9b31m")
def test_a_reason_is_one_short_printable_line(text):
    line = one_line(text)
    assert line.isprintable()
    assert line == line.strip()
    assert len(line) <= REASON_LIMIT


def test_a_reason_keeps_the_words_and_loses_the_colours():
    assert one_line("\n \n\x1b[1;31m5 MB\x1b[0m free,\t9 MB  needed\nassert 5 > 9") == "5 MB free, 9 MB needed"
    assert one_line("磁盘空间不足") == "磁盘空间不足"
    assert one_line("x" * 1000).endswith("x…")


def test_the_exit_of_pytest_is_put_in_words():
    assert explain_exit(5) == "the suite holds no test"
    assert explain_exit(-9) == "pytest was ended by signal 9"
    assert explain_exit(4, "SyntaxError: '(' was never closed").endswith("suite: SyntaxError: '(' was never closed")
    assert explain_exit(77) == "pytest ended with status 77"
