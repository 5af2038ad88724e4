"""Time to start: ``import bayes_msc`` and ``bayes-msc --help`` beside ``import numpy``.

Run it as ``python benchmarks/startup.py [repeats]``. Each number is the median over fresh
interpreters, with the time of an empty interpreter shown and kept in.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

REPEATS = 9
#: What is timed, and the largest ratio to ``import numpy`` that is accepted.
COMMANDS: dict[str, tuple[list[str], float | None]] = {
    "python -c pass": (["-c", "pass"], None),
    "import numpy": (["-c", "import numpy"], None),
    "import bayes_msc": (["-c", "import bayes_msc"], 2.0),
    "bayes-msc --help": (["-m", "bayes_msc.cli", "--help"], 4.7),
}


def seconds(arguments: list[str], repeats: int) -> float:
    """Median time of a fresh interpreter."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    # the first run reads the files from the disk and is left out
    return statistics.median(times[1:])


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS
    measured = {name: seconds(arguments, repeats) for name, (arguments, _) in COMMANDS.items()}
    numpy = measured["import numpy"]
    slow = False
    for name, value in measured.items():
        limit = COMMANDS[name][1]
        slow |= limit is not None and value > limit * numpy
        allowed = "" if limit is None else f"   limit {limit:.1f}"
        print(f"{name:18s} {value:6.3f} s   {value / numpy:5.2f} x import numpy{allowed}")
    sys.exit(int(slow))


if __name__ == "__main__":
    main()
