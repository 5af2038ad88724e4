"""Run a plan into a folder, or go on with a run that was stopped."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from bayes_msc.errors import DesignError
from bayes_msc.simulation.cell import Cell
from bayes_msc.simulation.chunk import COLUMNS, Task, do
from bayes_msc.simulation.plan import Plan
from bayes_msc.simulation.rules import PValueRule
from bayes_msc.simulation.running import run_cells
from bayes_msc.simulation.storage import RunFolder, run_folder
from bayes_msc.simulation.summary import NEEDED, calibrated_thresholds, summarise_parts
from bayes_msc.simulation.workers import Workers

SUMMARY = "summary.csv"
#: Trials of each cell in the pilot of a dry run.
PILOT = 8


def simulate(
    plan: Plan | str | Path,
    folder: str | Path,
    *,
    trials: int | None = None,
    precision: float | None = None,
    max_trials: int | None = None,
    workers: int | None = None,
    executor: Any = None,
    scheduler: str = "",
    timeout: float = 30.0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Run a plan into a folder of Parquet chunks; the same call goes on where it was stopped.

    Parameters
    ----------
    plan : Plan, str or Path
        A plan, or the TOML file that says it.
    folder : str or Path
        New, empty, or of the same plan. It may have been run to fewer or to more trials.
    trials, precision, max_trials : optional
        Instead of the plan's own: see ``bayes_msc.simulation.running.Effort``. Trials are rounded
        up to whole chunks.
    workers : int, optional
        Processes of this machine; by default as many as there are cores.
    executor : concurrent.futures.Executor or dask.distributed.Client, optional
        Where to run instead.
    scheduler : str
        Address of a Dask scheduler, such as ``"tcp://host:8786"``, to use instead.
    timeout : float
        Seconds to wait for that scheduler.
    progress : bool, optional
        Whether to show a progress bar; by default where there is a terminal.

    Returns
    -------
    DataFrame
        The summary, as ``summary.csv`` in the folder has it: see
        ``bayes_msc.simulation.summary.summarise``.

    Raises
    ------
    DesignError
        If the plan cannot be read or has an impossible cell.
    OutputError
        If the folder belongs to another plan, another process is running in it, or it cannot be
        written to.
    WorkersError
        If the scheduler does not answer, or workers are lost again and again.
    """
    chosen = with_effort(plan, trials, precision, max_trials)
    hands = Workers(workers, executor, scheduler, timeout)
    with run_folder(Path(folder), chosen.manifest()) as store:
        cells, effort = chosen.cells, chosen.effort
        chunks = run_cells(cells, effort, store, hands, chosen.seed, progress, whole=True)
        table = summarise_parts(store.parts(chunks, NEEDED))
        table.to_csv(store.folder / SUMMARY, index=False, float_format="%.6g", lineterminator="\n")
    return table


def with_effort(
    plan: Plan | str | Path, trials: int | None, precision: float | None, max_trials: int | None
) -> Plan:
    """Return the plan with other numbers of trials where they are given."""
    known = plan if isinstance(plan, Plan) else Plan.load(plan)
    given = {"trials": trials, "precision": precision, "max_trials": max_trials}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return replace(known, effort=replace(known.effort, **changes))


def read_trials(folder: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read the simulated trials of a run, all that are there without a gap before them.

    Parameters
    ----------
    folder : str or Path
    columns : list of str, optional
        Only these of ``bayes_msc.simulation.chunk.COLUMNS``.

    Raises
    ------
    OutputError
        If there is no run in the folder.
    """
    store, chunks = _finished(folder)
    if not any(chunks.values()):
        return pd.DataFrame(columns=columns or list(COLUMNS))
    return store.read(chunks, columns)


def _finished(folder: str | Path) -> tuple[RunFolder, dict[str, int]]:
    """The run in a folder, and how many chunks of each cell are there without a gap."""
    store = RunFolder(Path(folder))
    return store, {key: _without_gap(store.done(key)) for key in store.plan["cells"]}


def _without_gap(done: set[int]) -> int:
    return next(k for k in range(len(done) + 1) if k not in done)


def summary_of(folder: str | Path) -> pd.DataFrame:
    """Summarise what a run has so far, reading no more columns than needed, a part at a time."""
    store, chunks = _finished(folder)
    if not any(chunks.values()):
        return summarise_parts([pd.DataFrame(columns=list(NEEDED))])
    return summarise_parts(store.parts(chunks, NEEDED))


def thresholds_of_run(folder: str | Path, *, type_one_error: float = 0.05) -> pd.DataFrame:
    """Find the probability to ask for from the null trials of a run."""
    needed = [*(n for n in NEEDED if n != "success"), "kind", "statistic"]
    return calibrated_thresholds(read_trials(folder, needed), type_one_error=type_one_error)


def estimate_cost(plan: Plan | str | Path, *, workers: int = 1, pilot: int = PILOT) -> pd.DataFrame:
    """Estimate what a plan costs from a few trials of each cell, writing nothing.

    Parameters
    ----------
    plan : Plan, str or Path
    workers : int
        Processes that the run would have.
    pilot : int
        Trials of each cell to time.

    Returns
    -------
    DataFrame
        One line a cell and one for all: ``cell``, ``trials``, ``rows``, ``seconds_per_trial`` on
        one core, ``start_seconds`` (compilation, once in each process) and ``hours`` on so many
        workers.

    Raises
    ------
    DesignError
        If a number is impossible.
    """
    if workers < 1 or pilot < 1:
        raise DesignError(f"workers ({workers}) and pilot ({pilot}) must be 1 or more")
    known = plan if isinstance(plan, Plan) else Plan.load(plan)
    effort = known.effort
    total = effort.trials if effort.precision is None else effort.max_trials
    trials = effort.chunks(total) * effort.size
    lines = []
    for cell in known.cells:
        start = _seconds(cell, known.seed, 1)
        each = _seconds(cell, known.seed, pilot) / pilot
        lines.append(
            {
                "cell": cell.name,
                "trials": trials,
                "rows": trials * _rows_of_trial(cell),
                "seconds_per_trial": each,
                "start_seconds": max(start - each, 0.0),
            }
        )
    table = pd.DataFrame(lines)
    table["hours"] = (
        table["trials"] * table["seconds_per_trial"] / workers + table["start_seconds"]
    ) / 3600
    sums = table[["trials", "rows", "start_seconds", "hours"]].sum()
    mean = (table["trials"] * table["seconds_per_trial"]).sum() / table["trials"].sum()
    table.loc[len(table)] = {"cell": "all", "seconds_per_trial": mean, **sums}
    return table.astype({"trials": int, "rows": int})


def _seconds(cell: Cell, seed: int, count: int) -> float:
    begin = time.perf_counter()
    do(Task(cell, seed, 0, count, count))
    return time.perf_counter() - begin


def _rows_of_trial(cell: Cell) -> int:
    classical = sum(isinstance(rule, PValueRule) for rule in cell.rules.values())
    return classical + (len(cell.rules) - classical) * len(cell.analyses)


def cost_words(table: pd.DataFrame, workers: int) -> str:
    """Say a cost estimate in one sentence."""
    last = table.iloc[-1]
    hours = float(last["hours"])
    amount = f"{hours:.1f} hours" if hours >= 1 else f"{max(1, math.ceil(60 * hours))} minutes"
    plural = "process" if workers == 1 else "processes"
    return (
        f"at most {last['trials']:,} trials and {last['rows']:,} rows, about {amount} with "
        f"{workers} {plural} of this machine"
    )
