"""What a result was made from and with: versions, command, time."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import bayes_msc


def made_with(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of bayes_msc, Python and the packages named."""
    found = {"bayes_msc": bayes_msc.__version__, "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in packages}


def stamp(command: str) -> dict[str, Any]:
    """Return command and time (UTC, to the second) for a manifest."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"command": command or "called from Python", "time": now}
