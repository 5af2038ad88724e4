"""Run cells until there are enough trials, or until their errors are small enough."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bayes_msc.errors import DesignError
from bayes_msc.processes import progress_bar
from bayes_msc.simulation.cell import Cell
from bayes_msc.simulation.chunk import NAMES, SIZE, Task, do
from bayes_msc.simulation.storage import Store
from bayes_msc.simulation.summary import share_error
from bayes_msc.simulation.workers import Workers


@dataclass(frozen=True)
class Effort:
    """How many trials to simulate in each cell.

    Attributes
    ----------
    trials : int
        Trials of each cell; with a precision, the fewest.
    precision : float, optional
        Largest Monte Carlo standard error that the probability of success may have, for every
        model, prior and rule of a cell.
    max_trials : int
        Most trials of a cell, whatever its precision.
    size : int
        Trials of a chunk. Where a chunk is not filled, the last one is cut short.

    Raises
    ------
    DesignError
        If a number is impossible.
    """

    trials: int = 1000
    precision: float | None = None
    max_trials: int = 100_000
    size: int = SIZE

    def __post_init__(self) -> None:
        for name in ("trials", "max_trials", "size"):
            if getattr(self, name) < 1:
                raise DesignError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if self.precision is not None and not 0 < self.precision < 0.5:
            raise DesignError(
                f"the precision is {self.precision:g}: a standard error between 0 and 0.5, such as "
                "0.01"
            )

    @property
    def first(self) -> int:
        """Trials of each cell that are always simulated."""
        return self.trials if self.precision is None else min(self.trials, self.max_trials)

    def chunks(self, trials: int) -> int:
        """Chunks that hold so many trials."""
        return math.ceil(trials / self.size)


def run_cells(
    cells: Sequence[Cell],
    effort: Effort,
    store: Store,
    workers: Workers,
    seed: int,
    progress: bool | None = None,
    *,
    whole: bool = False,
) -> dict[str, int]:
    """Simulate what is not in the store yet.

    How far a cell goes depends on its own first trials alone: the answer is the same for any number
    of workers, in any order, however often the run was stopped.

    Parameters
    ----------
    cells : sequence of Cell
    effort : Effort
    store : Store
    workers : Workers
    seed : int
    progress : bool, optional
        Whether to show a bar; by default where there is a terminal.
    whole : bool
        Whether the last chunk is filled too, so that a larger run can go on from it.

    Returns
    -------
    dict of str to int
        Chunks of each cell, by its key.
    """
    wanted = {cell.key: effort.first for cell in cells}
    with progress_bar(0, progress, "trials") as advance, workers.kept() as hands:
        while True:
            tasks = _missing(cells, effort, store, seed, wanted, whole)
            advance(0, sum(task.keep for task in tasks))
            size = {task.place: task.keep for task in tasks}
            for place, rows in hands.run(do, tasks, "place"):
                store.put(place, rows)
                advance(size[place])
            chunks = {key: effort.chunks(trials) for key, trials in wanted.items()}
            further = {} if effort.precision is None else _further(store, chunks, effort)
            if not further:
                return chunks
            wanted |= further


def _missing(
    cells: Sequence[Cell],
    effort: Effort,
    store: Store,
    seed: int,
    wanted: Mapping[str, int],
    whole: bool,
) -> list[Task]:
    """Chunks that are not in the store yet."""
    return [
        Task(cell, seed, chunk, effort.size, _kept(effort, wanted[cell.key], chunk, whole))
        for cell in cells
        for chunk in sorted(set(range(effort.chunks(wanted[cell.key]))) - store.done(cell.key))
    ]


def _kept(effort: Effort, trials: int, chunk: int, whole: bool) -> int:
    # with a precision further trials may follow, so that no chunk but a full one will do
    if whole or effort.precision is not None:
        return effort.size
    return min(effort.size, trials - chunk * effort.size)


def _further(store: Store, chunks: Mapping[str, int], effort: Effort) -> dict[str, int]:
    """Trials that the cells need whose precision is not reached."""
    most = effort.chunks(effort.max_trials)
    found = {}
    for key, count in chunks.items():
        if count >= most:
            continue
        hits = store.read({key: count}, [*NAMES, "success"])
        needed = _needed(hits, float(effort.precision or 0.0))
        if needed > count * effort.size:
            # at least one chunk more, at most twice as many: the estimate moves along
            further = min(max(effort.chunks(needed), count + 1), 2 * count, most)
            found[key] = further * effort.size
    return found


def _needed(rows: pd.DataFrame, precision: float) -> int:
    """Trials that the widest of the shares needs; no more than there are if all are narrow."""
    groups = rows.groupby(list(NAMES), observed=True)["success"]
    hits, n = groups.sum().to_numpy(float), groups.size().to_numpy(float)
    error = share_error(hits, n)
    return math.ceil(float((n * (error / precision) ** 2).max())) if error.max() > precision else 0
