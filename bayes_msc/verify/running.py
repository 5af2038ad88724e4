"""The whole of ``verify``: look at the inputs, run again, compare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from bayes_msc.analysis_plan.progress import shown
from bayes_msc.analysis_plan.steps import Step
from bayes_msc.report import Results, read_results
from bayes_msc.verify import inputs as read
from bayes_msc.verify import numbers
from bayes_msc.verify.again import Again, run_again, steps
from bayes_msc.verify.outcome import Verification
from bayes_msc.verify.words import COLUMNS as WORDS
from bayes_msc.verify.words import words_of


def steps_of_folder(folder: str | Path, *, sensitivity: bool = True) -> list[Step]:
    """Say what ``verify`` would run, and how long that should take, without running it.

    Parameters
    ----------
    folder : str or Path
    sensitivity : bool
        As in ``verify``.

    Returns
    -------
    list of Step
        With ``name``, ``what``, ``fits`` and ``seconds`` (a guide, from times on two cores).

    Raises
    ------
    OutputError
        As ``verify``.
    """
    folder = Path(folder)
    return steps(read_results(folder), folder, moves=sensitivity)


def verify(
    folder: str | Path,
    *,
    cores: int | None = None,
    sensitivity: bool = True,
    progress: bool | None = None,
) -> Verification:
    """Run the analysis of a folder of results again, from what is stored in it, and compare.

    Parameters
    ----------
    folder : str or Path
        What ``bayes-msc fit``, ``reanalyze`` or ``run`` wrote.
    cores : int, optional
        Chains and processes that run at once.
    sensitivity : bool
        Whether to make the analyses of sensitivity of a plan again, which take longest.
    progress : bool, optional
        Whether to show progress with the time left; by default where there is a terminal.

    Returns
    -------
    Verification
        Which inputs have changed, and which numbers agree: bit for bit, or within Monte Carlo
        error (four standard errors of both runs; where numbers are exact, six digits). Where a
        table came out bit for bit on the same versions but for a few numbers, these differ.

    Raises
    ------
    OutputError
        If the folder lacks what it takes to run the analysis again.
    """
    folder = Path(folder)
    results = read_results(folder)
    wanted = steps(results, folder, moves=sensitivity)
    with shown(wanted, progress) as begin:
        again = run_again(results, folder, begin, cores=cores, moves=sensitivity)
    versions = read.other_versions(results)
    stored = _tables(results, folder)
    made = {**again.results.tables, **_prefixed(again.sensitivity)}
    exact = results.recipe.get("method") == "quadrature"
    lost = results.recipe.get("beside", {}).get("lost", {})
    # sentences and checklists speak of a part that cannot be made again
    words = [] if lost else list(words_of(results, again.results))
    setting = numbers.Setting(exact, versions.empty)
    found = [
        row
        for name, frame in stored.items()
        if name in made
        for row in numbers.compared(name, frame, made[name], setting)
    ]
    return Verification(
        pd.DataFrame(list(_inputs(results, folder, again, versions)), columns=list(read.COLUMNS)),
        pd.DataFrame(found, columns=list(numbers.COLUMNS)),
        pd.DataFrame(words, columns=list(WORDS)),
        versions,
        tuple(name for name in stored if name not in made),
        tuple(f"{name}: {why}" for name, why in lost.items()),
    )


def _tables(results: Results, folder: Path) -> dict[str, pd.DataFrame]:
    return {**results.tables, **_prefixed(read.sensitivity_tables(folder))}


def _prefixed(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {f"sensitivity, {name}": frame for name, frame in tables.items()}


def _inputs(
    results: Results, folder: Path, again: Again, versions: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    yield from read.file_rows(results, folder)
    yield from read.copy_rows(results, folder)
    yield from read.fit_rows(results, folder)
    yield from read.manifest_rows(results, again.results)
    if versions.empty:
        # another version may lay out the same page in another way
        yield from read.written_rows(results, folder)
