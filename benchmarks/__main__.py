"""Run the benchmarks: ``python -m benchmarks [--quick] [--only NAME] [--out FOLDER]``.

What is installed is run, what is not is skipped and named. The table is kept from run to run: the
rows of a benchmark that runs again are replaced, the others stay.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

from benchmarks.measures import Measure, as_table, machine, merged, read, write

PAGES = Path(__file__).parents[1] / "docs" / "_static"
#: In the order in which they run: the cheap ones first.
NAMES = (
    "compile",
    "refits",
    "speed",
    "sensitivity",
    "simulation",
    "growth",
    "memory",
    "accuracy",
)


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny, to see that everything runs")
    parser.add_argument(
        "--only", action="append", choices=NAMES, help="this one; may be given more than once"
    )
    parser.add_argument("--trials", type=int, help="number of hard trials of accuracy (300)")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of the table and the figure (docs/_static; with --quick: results-benchmarks)",
    )
    parser.add_argument("--tables", action="store_true", help="run nothing, write from the table")
    chosen = parser.parse_args(words)
    chosen.out = chosen.out or (Path("results-benchmarks") if chosen.quick else PAGES)
    return chosen


def runner(name: str, trials: int | None) -> Callable[[bool], list[Measure]]:
    """Function that runs one benchmark."""
    run: Callable[..., list[Measure]] = import_module(f"benchmarks.{name}").run
    return partial(run, trials=trials) if name == "accuracy" else run


def write_all(measures: list[Measure], folder: Path) -> None:
    """Put measures into the table of a folder; write the table, the goals and the figure."""
    from benchmarks.figure import draw
    from benchmarks.goals import verdicts

    path = folder / "benchmarks.csv"
    table = merged(read(path), as_table(measures))
    write(table, path)
    # read again, so that the goals are judged by the digits that are printed
    table = read(path)
    write(verdicts(table), folder / "benchmarks-goals.csv")
    draw(table, folder / "benchmarks.svg")


def main(words: Sequence[str]) -> None:
    """Run, and write after every benchmark, so that a run that is stopped keeps what it has."""
    from benchmarks.engines import peer_versions
    from benchmarks.goals import verdicts

    chosen = arguments(words)
    write_all([] if chosen.tables else machine(peer_versions()), chosen.out)
    names = () if chosen.tables else [n for n in NAMES if n in (chosen.only or NAMES)]
    for name in names:
        print(f"{name} ...", flush=True)
        start = time.perf_counter()
        write_all(runner(name, chosen.trials)(chosen.quick), chosen.out)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    print(verdicts(read(chosen.out / "benchmarks.csv")).to_string(index=False))
    print(f"written to {chosen.out}")


if __name__ == "__main__":
    main(sys.argv[1:])
