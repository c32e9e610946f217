"""How a task is declared: its errors become one clear message and an exit code of docs/exit-codes.md."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from invoke import Collection, Context, Exit, task

from liftlock.errors import ExitCode, InputError, LiftlockError

namespace = Collection()

Body = Callable[..., ExitCode | None]


def declared(*positional: str, **help_texts: str) -> Callable[[Body], Body]:
    """Make a task of a function and add it to the namespace; `help_texts` are by argument."""

    def decorate(body: Body) -> Body:
        @functools.wraps(body)
        def run(context: Context, **arguments: Any) -> None:
            try:
                for name in positional:
                    if str(arguments[name]).startswith("-"):
                        raise InputError(f"{name.upper()} is missing: {arguments[name]} stands in its place")
                code = body(context, **arguments)
            except LiftlockError as error:
                _fail(error, as_json=arguments.get("json", False))
            except KeyboardInterrupt:
                raise Exit("liftlock: interrupted", code=ExitCode.INTERRUPTED) from None
            else:
                if code:
                    raise Exit(code=code)

        made: Any = task(run, positional=positional, help=help_texts, auto_shortflags=False)
        namespace.add_task(made)
        return body

    return decorate


def _fail(error: LiftlockError, *, as_json: bool) -> None:
    if as_json:
        problems = [asdict(problem) for problem in getattr(error, "problems", ())]
        told = {"message": str(error), "exit_code": int(error.exit_code), "problems": problems}
        print(json.dumps({"error": told}, ensure_ascii=False, indent=2))
    raise Exit("\n".join(f"liftlock: {line}" for line in str(error).splitlines()), code=error.exit_code)


def print_json(value: object) -> None:
    """Print any of our values as JSON, alone on stdout."""
    from pydantic_core import to_jsonable_python

    print(json.dumps(to_jsonable_python(value), ensure_ascii=False, indent=2))
