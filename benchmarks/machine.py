"""The facts about this machine without which a figure means nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime


def facts() -> str:
    """One line: date, usable cores, load, Python, OpenSSH."""
    openssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.split(",")[0].strip()
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {len(os.sched_getaffinity(0))} cores (load {load():.1f} "
        f"before), Python {platform.python_version()}, {openssh}"
    )


def load() -> float:
    """How many processes ran or wanted to, over the last minute."""
    return os.getloadavg()[0]
