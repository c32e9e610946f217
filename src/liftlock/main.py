"""The `liftlock` command: invoke's own program around the same tasks that `inv` runs.

Invoke answers a word it cannot parse with exit 1, and takes `--help` after a task for the value of
a missing argument; both are put right here, for `liftlock` and, through `before_parsing`, for `inv`.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from io import StringIO

from invoke import Collection, Exit, ParseError, Program
from invoke.parser import Parser, ParserContext

from liftlock import __version__
from liftlock.errors import ExitCode
from liftlock.tasks.declare import print_error
from liftlock.tasks.refused_words import in_our_words, usage

KEPT = {"complete", "debug", "help", "list", "list-depth", "list-format", "print-completion-script", "version"}
"""Invoke's own options that mean something here, and that the help shows."""


class Liftlock(Program):
    """Invoke's program with exit code 2 for words it cannot parse, and a help that shows what means something here."""

    def print_help(self) -> None:
        """Print what `liftlock` and `liftlock --help` say: the tasks in the order of a release's life."""
        print(f"Usage: {self.binary} TASK [words] [--options], and {self.binary} TASK --help\n")
        for name, made in self.collection.tasks.items():
            print(f"  {name:<10}{(inspect.getdoc(made) or '').splitlines()[0]}")
        print("\nOptions:\n")
        shown = [argument for argument in self.core_args() if argument.name in KEPT]
        self.print_columns(ParserContext(args=shown).help_tuples())

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse the words before the first task."""
        _refusing(lambda: super(Liftlock, self).parse_core(argv), self.namespace.tasks if self.namespace else ())

    def parse_tasks(self) -> None:
        """Parse tasks and their arguments."""
        _refusing(super().parse_tasks, self.collection.tasks)

    def parse_cleanup(self) -> None:
        """Answer `--help`, `--list` and the like, and end there."""
        _refusing(super().parse_cleanup, self.collection.tasks)

    def print_task_help(self, name: str) -> None:
        """Print a task's help; its usage line names the words it needs, in their order."""
        with redirect_stdout(StringIO()) as told:
            super().print_task_help(name)
        _, _, rest = told.getvalue().partition("\n")
        print(f"Usage: {self.binary} {usage(self.parser.contexts[name])} [--options]", rest, sep="\n", end="")


def main() -> None:
    """Run the command line; exits with the codes of docs/exit-codes.md."""
    from liftlock.tasks import namespace

    program = Liftlock(version=__version__, namespace=namespace, name="liftlock", binary="liftlock")
    try:
        program.run(understood(sys.argv))
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.DONE)


def before_parsing(namespace: Collection, argv: Sequence[str]) -> None:
    """For a `tasks.py` that `inv` loads: answer `--help` and unparsable words as `liftlock` does.

    Raises Exit(2) for words that cannot be parsed, Exit(0) after printing help; else returns.
    """
    if not argv[0].endswith(("inv", "invoke", "invoke/__main__.py")):
        return
    program = Program()
    words = understood(list(argv))
    if words != list(argv):
        Liftlock(namespace=namespace, name="inv", binary="inv").run(words)
        raise Exit(code=ExitCode.DONE)

    def parse() -> None:
        core = ParserContext(args=[*program.core_args(), *program.task_args()])
        unparsed = Parser(initial=core, ignore_unknown=True).parse_argv(words[1:]).unparsed
        Parser(contexts=namespace.to_contexts()).parse_argv(unparsed)

    _refusing(parse, namespace.tasks)


def _refusing(parse: Callable[[], None], tasks: Iterable[str]) -> None:
    try:
        parse()
    except ParseError as error:
        said = in_our_words(error, tasks)
        if "--json" in sys.argv:
            print_error(said, ExitCode.INPUT_REFUSED)
        raise Exit(f"liftlock: {said}", code=ExitCode.INPUT_REFUSED) from None


def understood(argv: list[str]) -> list[str]:
    """`liftlock plan ... --help` means `liftlock --help plan`, whatever stands between.

    And `manual --check` has no plan, which invoke would insist on: there it is the word `none`.
    """
    task = next((word for word in argv[1:] if not word.startswith("-")), None)
    if task is not None and argv.index(task) == 1 and {"--help", "-h"} & set(argv[2:]):
        return [argv[0], "--help", task]
    if argv[1:2] == ["manual"] and "--check" in argv:
        return [*argv[:2], "--plan", "none", *argv[2:]]
    return argv
