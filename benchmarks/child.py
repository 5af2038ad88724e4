"""Run one of the benchmarks' own functions in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


class ChildError(RuntimeError):
    """A process that failed or took too long."""


def ask_child(
    module: str, *arguments: object, environment: Mapping[str, str] | None = None, limit: float
) -> dict[str, Any]:
    """Run ``python -m benchmarks.<module> ...`` and read the JSON on its last line.

    Parameters
    ----------
    module : str
    *arguments : object
    environment : mapping of str to str, optional
        Set on top of the environment of this process.
    limit : float
        Seconds that it may take.

    Raises
    ------
    ChildError
        If it failed, with its last words, or took longer.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ChildError(f"not finished after {limit:.0f} s") from None
    if done.returncode:
        raise ChildError(f"failed: {done.stderr.strip()[-300:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def peak_megabytes(process: int | str = "self") -> float:
    """Largest memory that this process has held, or on Linux another one, by its number."""
    # what getrusage says on Linux includes the process that started this one
    held = _status("VmHWM", process)
    if held is not None:
        return held
    import resource

    unit = 1.0 if sys.platform == "darwin" else 1024.0  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def megabytes() -> float:
    """Memory that this process holds now, or the most it has held where only that is known."""
    held = _status("VmRSS")
    return peak_megabytes() if held is None else held


def _status(name: str, process: int | str = "self") -> float | None:
    """Read a number of kilobytes that Linux tells about a process, in megabytes."""
    status = Path(f"/proc/{process}/status")
    if not status.is_file():
        return None
    [line] = [line for line in status.read_text().splitlines() if line.startswith(f"{name}:")]
    return float(line.split()[1]) * 1024.0 / 1e6
