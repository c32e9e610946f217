"""The host program as text: its command line, and the parser of its answers."""

from __future__ import annotations

import itertools
import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftlock.adapters.program import MAX_KEPT, MAX_LOG, MAX_VALUE, Answers, command
from liftlock.errors import InputError

NONCE = "5f" * 16
FRAME = f"LL1 {NONCE} ".encode()


def fed(data: bytes) -> Answers:
    answers = Answers(NONCE)
    answers.feed(data)
    return answers


def test_the_command_is_one_sh_program_that_fits_well_into_one_argument():
    asked = {"LL_HEALTH_URL": "http://127.0.0.1:8080/health", "LL_HEALTH_TCP": "127.0.0.1:8080"}
    text = command("upgrade", {"LL_NONCE": NONCE, "LL_BASE": "/opt/boathouse", **asked})
    words = shlex.split(text)
    assert words[:4] == ["sh", "-c", 'eval "$1"', "liftlock"]
    assert len(words) == 5
    assert "LL_PHASE=upgrade\n" in words[4]
    assert "\n#" not in words[4]
    assert len(text) < 29 * 1024, "an SSH server need take no packet above 35 000 bytes (RFC 4253)"


def test_a_program_holds_only_the_ways_in_which_its_product_is_asked_how_it_is():
    by_command = command("confirm", {"LL_NONCE": NONCE, "LL_HEALTH_COMMAND": "cat VERSION"})
    by_url = command("confirm", {"LL_NONCE": NONCE, "LL_HEALTH_URL": "http://127.0.0.1/health"})
    assert "ask_url()" not in by_command
    assert "ask_url()" in by_url
    assert "accepts()" not in by_url
    assert "accepts()" in command("confirm", {"LL_NONCE": NONCE, "LL_HEALTH_TCP": "127.0.0.1:80"})
    assert "ask_product()" not in command("prune", {"LL_NONCE": NONCE})


@settings(deadline=None)  # each example starts a shell
@given(value=st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_value_reaches_the_host_as_it_is(value):
    text = command("probe", {"LL_NONCE": NONCE, "LL_BASE": value, "LL_ENV_MOTTO": value})
    assignments = shlex.split(text)[4].partition("set -u\n")[0].partition("method_tools() {")[0]
    show = assignments + 'product_environment; printf "%s\\0" "$LL_BASE" "$MOTTO"'
    seen = subprocess.run(["dash", "-c", show], capture_output=True, check=True).stdout
    assert seen == f"{value}\0{value}\0".encode()


@pytest.mark.parametrize(
    ("phase", "given_settings", "method"),
    [
        ("destroy", {"LL_NONCE": NONCE}, "archive"),
        ("probe", {}, "archive"),
        ("probe", {"LL_NONCE": "x; touch pwned"}, "archive"),
        ("probe", {"LL_NONCE": NONCE, "LL_TOO": "1"}, "archive"),
        ("probe", {"LL_NONCE": NONCE, "LL_TO=1;touch pwned;A": "1"}, "archive"),
        ("probe", {"LL_NONCE": NONCE, "LL_ENV_A=1;touch pwned;B": "1"}, "archive"),
        ("probe", {"LL_NONCE": NONCE, "LL_ENV_9": "1"}, "archive"),
        ("probe", {"LL_NONCE": NONCE, "LL_BASE": "/opt\0/x"}, "archive"),
        ("probe", {"LL_NONCE": NONCE}, "../host"),
        ("probe", {"LL_NONCE": NONCE}, "none_such"),
    ],
)
def test_what_the_host_program_does_not_know_is_refused_before_it_is_sent(phase, given_settings, method):
    with pytest.raises(InputError):
        command(phase, given_settings, method)


def test_only_frames_with_the_nonce_are_answers():
    answers = fed(
        b"Welcome to db-3!\nLL1 " + b"00" * 16 + b" result=switched\nLL1 result=switched\n"
        b" " + FRAME + b"result=switched\n" + FRAME + b"re sult=switched\n" + FRAME + b"result=refused\n"
        b"result=switched\n" + FRAME + b"end=1\n"
    )
    assert answers.values == {"result": "refused"}
    assert answers.complete
    assert answers.noise[0] == "Welcome to db-3!"
    assert len(answers.noise) == 6


@given(cuts=st.lists(st.integers(0, 120), max_size=8))
def test_an_answer_is_the_same_however_it_is_cut(cuts):
    data = b"hello\n" + FRAME + b"need=1024\r\n" + FRAME + b"cause=a=b\n" + FRAME + b"end=1\n"
    answers = Answers(NONCE)
    edges = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        answers.feed(data[start:end])
    assert answers.wants == 1024
    assert answers.values == {"need": "1024", "cause": "a=b"}
    assert answers.complete


def test_without_its_closing_frame_an_answer_is_not_complete():
    answers = fed(FRAME + b"result=switched\n" + FRAME + b"end=1")
    assert answers.values["result"] == "switched"
    assert not answers.complete


def test_nothing_counts_after_the_closing_frame():
    answers = fed(FRAME + b"result=failed\n" + FRAME + b"end=1\n" + FRAME + b"result=switched\nbye\n")
    assert answers.values == {"result": "failed"}
    assert answers.noise == []


@pytest.mark.parametrize("asked", [b"-1", b"1e9", b"", b"9" * 16, "٣".encode()])
def test_a_length_that_is_no_length_is_not_wanted(asked):
    assert fed(FRAME + b"need=" + asked + b"\n").wants is None


def test_control_bytes_never_leave_the_parser():
    answers = fed(FRAME + b"cause=a\x1b[31m\x00\x07b\xc2\x9b\xff\tc\n" + b"\x1b]0;title\x07\n")
    assert answers.values["cause"] == "a[31mb\N{REPLACEMENT CHARACTER} c"
    assert answers.noise == ["]0;title"]


@given(data=st.binary(max_size=300), repeat=st.integers(1, 400))
def test_whatever_a_host_sends_little_is_kept(data, repeat):
    answers = Answers(NONCE)
    for number in range(repeat):
        answers.feed(data + FRAME + b"log=" + b"\xff" * 5000 + b"\n" + FRAME + b"k%d=" % number + data + b"\n")
    kept = [*answers.values.values(), *answers.noise]
    assert sum(len(value.encode()) for value in kept) <= 2 * MAX_KEPT
    assert all(len(value.encode()) <= MAX_VALUE for value in answers.values.values())
    assert len(answers.log.encode()) <= MAX_LOG


def test_a_long_log_is_kept_to_a_limit_and_a_flood_does_not_hide_the_end():
    answers = Answers(NONCE)
    for number in range(200_000):
        answers.feed(FRAME + b"log=line %d\n" % number)
    assert answers.log.startswith("line 0\nline 1\n")
    assert MAX_LOG - 20 < len(answers.log) <= MAX_LOG
    for _ in range(100):
        answers.feed(FRAME + b"detail=" + b"x" * MAX_VALUE + b"\n")
    answers.feed(b"y" * 1_000_000 + b"\n" + FRAME + b"result=switched\n" + FRAME + b"end=1\n")
    assert answers.complete
    assert "result" not in answers.values
