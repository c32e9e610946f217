"""How a task is declared: its errors become one clear message and an exit code of docs/exit-codes.md."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Collection as Several
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from invoke import Collection, Context, Exit, task

from liftlock.errors import ExitCode, InputError, LiftlockError, Problem

namespace = Collection()

JSON = {"json": "Print JSON alone on stdout; what people read goes to stderr."}
FLEET = {"fleet": "Which inventory (its name in inventories/); needed when there are several."}
PLAN = {"plan": "A plan file, or the id that `plan` printed."}
HOSTS = {"hosts": "Only these hosts, separated by commas."}
WHY = {"reason": "Why; needed, and recorded."}
NOTIFY = {"notify": "Tell customers at the end what it means to them (--no-notify leaves it)."}

Body = Callable[..., ExitCode | None]


def declared(*positional: str, **help_texts: str) -> Callable[[Body], Body]:
    """Make a task of a function and add it to the namespace; `help_texts` are by argument.

    To the function `""` is what was not given. A value that is given and empty is refused: it comes of a variable that
    was never set, and would widen what is asked for.
    """

    def decorate(body: Body) -> Body:
        @functools.wraps(body)
        def run(context: Context, **given: Any) -> None:
            arguments: dict[str, Any] = {name: "" if value is None else value for name, value in given.items()}
            try:
                _refuse_empty(given, positional)
                if context.config.run.dry:
                    raise InputError("--dry is no rehearsal: use plan, path, or notify --preview")
                for name in positional:
                    if str(arguments[name]).startswith("-"):
                        raise InputError(f"{name.upper()} is missing: {arguments[name]} stands in its place")
                code = body(context, **arguments)
            except LiftlockError as error:
                _fail(error, as_json=arguments.get("json", False))
            except BrokenPipeError:
                raise
            except OSError as error:
                _fail(LiftlockError(f"{error.filename or 'this machine'}: {error.strerror}"), as_json=False)
            except KeyboardInterrupt:
                if arguments.get("json", False):
                    print_error("interrupted", ExitCode.INTERRUPTED)
                raise Exit("liftlock: interrupted", code=ExitCode.INTERRUPTED) from None
            else:
                if code:
                    raise Exit(code=code)

        run.__signature__ = _telling_given_from_not(body)  # type: ignore[attr-defined]
        made: Any = task(run, positional=positional, help=help_texts, auto_shortflags=False)
        namespace.add_task(made)
        return body

    return decorate


def _telling_given_from_not(body: Body) -> inspect.Signature:
    """The function's signature with None as the default of texts: to a person's `""` they would be equal."""
    signature = inspect.signature(body)
    told = [one.replace(default=None) if one.default == "" else one for one in signature.parameters.values()]
    return signature.replace(parameters=told)


def _refuse_empty(given: Mapping[str, Any], positional: Several[str]) -> None:
    for name, value in given.items():
        if isinstance(value, str) and not value.strip(", "):
            flag = name.upper() if name in positional else f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} needs a value, and {value!r} is empty")


def names(text: str) -> tuple[str, ...]:
    """The names in a flag that takes several, separated by commas; each once, however often it is written."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def print_error(message: str, code: ExitCode, problems: Iterable[Problem] = ()) -> None:
    """Print an error as `--json` promises it; where stdout takes nothing, stderr alone has it."""
    told = {"message": message, "exit_code": int(code), "problems": [asdict(problem) for problem in problems]}
    with suppress(OSError):
        _print({"error": told})


def _fail(error: LiftlockError, *, as_json: bool) -> None:
    if as_json:
        print_error(str(error), error.exit_code, getattr(error, "problems", ()))
    raise Exit("\n".join(f"liftlock: {line}" for line in str(error).splitlines()), code=error.exit_code)


def print_json(value: object) -> None:
    """Print any of our values as JSON, alone on stdout."""
    from pydantic_core import to_jsonable_python

    _print(to_jsonable_python(value))


def _print(value: object) -> None:
    try:
        print(json.dumps(value, ensure_ascii=False, indent=2), flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python tries once more as it ends
        raise
