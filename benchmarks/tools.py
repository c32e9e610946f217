"""Other tools for the rollout, each in a virtual environment of its own, made when it is first asked for.

They live in the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`), named after the versions that
`contenders/requirements-<tool>.txt` pins, so that new pins make a new one.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CONTENDERS = Path(__file__).with_name("contenders")
TOOLS = ("ansible", "pyinfra", "pssh")


def commands(requirements: Path, say: Callable[[str], None]) -> Path:
    """The folder of the commands that the pinned packages bring, `python` among them.

    Raises CalledProcessError when they cannot be installed; the next call then starts anew.
    """
    pins = hashlib.sha256(requirements.read_bytes() + platform.python_version().encode()).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "liftlock-benchmarks"
    home = cache / f"{requirements.stem}-{pins[:12]}"
    whole = home / "whole"
    if not whole.exists():
        say(f"{requirements.stem}: installing into {home}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--quiet"]
        subprocess.run([*pip, "--requirement", str(requirements)], check=True)
        whole.touch()
    return home / "bin"
