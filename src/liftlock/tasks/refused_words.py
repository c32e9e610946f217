"""Words that invoke cannot parse, told in our own words, with what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from invoke import ParseError
from invoke.parser import ParserContext

_UNKNOWN = re.compile(r"No idea what (['\"])(?P<word>.*)\1 is!", re.DOTALL)
_FLAG = re.compile(r"Flag <Argument: (?P<name>[\w-]+).*> (?P<what>needed value|doesn't take)")


def in_our_words(error: ParseError, tasks: Iterable[str]) -> str:
    """What is wrong with the words, in one line; `tasks` are the names there are."""
    said, context = str(error), error.context
    task = context if context is not None and context.name else None
    if unknown := _UNKNOWN.fullmatch(said):
        return _unknown(unknown["word"], task, tasks)
    if flag := _FLAG.match(said):
        return f"--{flag['name']} {'needs a value' if flag['what'] == 'needed value' else 'takes no value'}"
    if task and task.missing_positional_args:
        missing = " and ".join(str(word.name) for word in task.missing_positional_args)
        return f"{task.name} is missing its {missing}: liftlock {usage(task)}"
    return said


def usage(task: ParserContext) -> str:
    """The task and the words it needs, in their order."""
    return " ".join([str(task.name), *(str(word.name).upper() for word in task.positional_args)])


def _unknown(word: str, task: ParserContext | None, tasks: Iterable[str]) -> str:
    if task is None and word.startswith("-"):
        return f"{word} stands before a task: say liftlock TASK [words] [--options]"
    if task is None:
        return f"there is no task {word}{_meant(word, tasks) or '; liftlock --help lists them'}"
    if word.startswith("-"):
        hint = _meant(word, (flag for flag in task.flags if flag.startswith("--")))
        return f"{task.name} knows no {word}{hint or f'; liftlock {task.name} --help lists its options'}"
    return f"{task.name} has no place for {word!r}: liftlock {usage(task)} [--options]"


def _meant(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, sorted(known))
    return f"; did you mean {' or '.join(near)}?" if near else ""
