"""Many refits of one structure: batches over processes, the same under any number of workers."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msc.convergence import THRESHOLDS, convergence
from bayes_msc.errors import ModelError, one_of
from bayes_msc.importance import EFFORT, Effort, Importance
from bayes_msc.model import Model
from bayes_msc.monte_carlo import errors_of
from bayes_msc.processes import gather, local_pool, progress_bar
from bayes_msc.sampler import ENGINES, Sampler, Settings, why_not_trusted
from bayes_msc.trial import Trial

Numbers = Mapping[str, NDArray[np.float64]]
Row = dict[str, Any]

#: Refits handed to a worker at once: enough to make the hand-over cheap, few enough that the bar
#: moves and that little is lost when the run is stopped.
CHUNK = 25
#: Seconds of work left at which other processes pay: each has to start and to compile.
_WORTH_PROCESSES = 10.0
#: A sampler holds the numbers of the refit at hand: the threads of a process take their turn.
TURN = Lock()
_MASS = 0.95


@dataclass(frozen=True)
class Job:
    """One refit: the numbers that go into a compiled structure, and a seed.

    Attributes
    ----------
    numbers : mapping of str to ndarray
        From ``bayes_msc.graph.data_of``.
    seed : int
    effort : Effort
        Of the fast engine, where that is the one.
    """

    numbers: Numbers
    seed: int
    effort: Effort = EFFORT


class Stopped(KeyboardInterrupt):
    """A run that was stopped; ``finished`` is the table of the refits that were done."""

    def __init__(self, finished: pd.DataFrame) -> None:
        super().__init__(f"stopped after {len(finished)} refits")
        self.finished = finished


def refit_many(
    pairs: Sequence[tuple[Model, Trial]],
    *,
    engine: str = "auto",
    thresholds: Sequence[float] = THRESHOLDS,
    seed: int = 1,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Fit many models to many trials, each in milliseconds where the fast engine may be used.

    Parameters
    ----------
    pairs : sequence of (Model, Trial)
        They may differ in structure; each structure is compiled once in each process.
    engine : str
        ``"auto"`` or ``"fast"``: importance sampling, and NUTS where its weights cannot be trusted
        (with ``"fast"`` a model of sampled effects is refused); ``"nuts"``: NUTS.
    thresholds : sequence of float
        Rate ratios c for which P(rate ratio < c) is wanted.
    seed : int
        Fixes the draws of every refit, whatever the number of workers and their order.
    executor : concurrent.futures.Executor, optional
        Where to run: for example ``dask.distributed.Client(...).get_executor()``. By default this
        process, joined by others of this machine where enough work is left to be worth their start.
    workers : int, optional
        Number of those processes; by default as many as there are cores.
    progress : bool, optional
        Whether to show a progress bar; by default where there is a terminal to show it on.

    Returns
    -------
    DataFrame
        One row a refit, in the order of ``pairs``: ``refit`` (its place), ``median``, ``mean``,
        ``lower`` and ``upper`` (95 % equal-tailed) of the rate ratio, ``log_mean`` and ``log_sd``
        of its logarithm, ``prob_below_<c>`` and ``mcse_below_<c>`` for every threshold,
        ``log_marginal_likelihood`` and its standard error (NaN from NUTS), ``pareto_k``,
        ``effective_size``, ``engine``, ``note`` (why NUTS took over) and ``ok`` (whether the
        checks passed).

    Raises
    ------
    ModelError
        If a model does not fit its trial.
    Stopped
        If the run was interrupted: what is finished is kept in it.
    """
    one_of(engine, ENGINES, "engine", ModelError)
    batches = _batches(pairs, engine, tuple(thresholds), seed)
    total = len(pairs)
    finished: list[tuple[int, Row]] = []
    try:
        with progress_bar(total, progress, "refits") as advance:
            for rows in _run(batches, executor, workers or os.cpu_count() or 1):
                finished.extend(rows)
                advance(len(rows))
    except KeyboardInterrupt:
        raise Stopped(_table(finished)) from None
    return _table(finished)


@dataclass(frozen=True)
class _Batch:
    """Some jobs of one structure, with all that a worker needs."""

    model: Model
    trial: Trial
    engine: str
    thresholds: tuple[float, ...]
    jobs: tuple[tuple[int, Job], ...]


def _batches(
    pairs: Sequence[tuple[Model, Trial]], engine: str, thresholds: tuple[float, ...], seed: int
) -> list[_Batch]:
    from bayes_msc.graph import data_of
    from bayes_msc.sampler import structure

    groups: dict[tuple[Any, ...], list[tuple[int, Job]]] = {}
    first: dict[tuple[Any, ...], tuple[Model, Trial]] = {}
    for index, (model, trial) in enumerate(pairs):
        key = structure(model, trial)
        first.setdefault(key, (model, trial))
        job = Job(data_of(model, trial), seed_of(seed, index))
        groups.setdefault(key, []).append((index, job))
    return [
        _Batch(*first[key], engine, thresholds, tuple(jobs[start : start + CHUNK]))
        for key, jobs in groups.items()
        for start in range(0, len(jobs), CHUNK)
    ]


def seed_of(seed: int, index: int) -> int:
    """Seed of one refit of a run: it depends on its place, not on who computes it when."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def _run(
    batches: Sequence[_Batch], executor: Executor | None, workers: int
) -> Iterator[list[tuple[int, Row]]]:
    if executor is not None:
        yield from gather(executor, _work, batches)
        return
    waiting = list(batches)
    while waiting:
        start = time.perf_counter()
        yield _work(waiting.pop(0))
        left = (time.perf_counter() - start) * len(waiting)
        begun = len(batches) - len(waiting)
        # the first batch compiles, so that it says little of those to come
        if workers > 1 and len(waiting) > 1 and begun > 1 and left > _WORTH_PROCESSES:
            break
    if waiting:
        with local_pool(workers) as pool:
            yield from gather(pool, _work, waiting)


def _work(batch: _Batch) -> list[tuple[int, Row]]:
    """Do the jobs of one batch, in whichever process this is."""
    with TURN:
        sampler = Sampler.of(batch.model, batch.trial)
        return [
            (index, refit(sampler, batch.model, job, batch.engine, batch.thresholds))
            for index, job in batch.jobs
        ]


def refit(
    sampler: Sampler, model: Model, job: Job, engine: str, thresholds: Sequence[float]
) -> Row:
    """Do one refit; hold ``TURN`` meanwhile.

    Returns
    -------
    dict of str to value
        The columns of ``refit_many`` but ``refit``.
    """
    note = ""
    if engine == "fast" or (engine == "auto" and model.patient_effect == "integrated"):
        try:
            found = sampler.fast(job.numbers, job.seed, job.effort)
        except ModelError as error:
            if model.patient_effect == "sampled":
                raise
            note = f"importance sampling: {error}"
        else:
            note = why_not_trusted(found)
            if not note:
                return _of_points(found, thresholds)
    # one process a core already: the chains of a refit run one after another
    trace = sampler.nuts(job.numbers, Settings(), job.seed, cores=1)
    return _of_chains(trace, thresholds, note)


def _of_points(found: Importance, thresholds: Sequence[float]) -> Row:
    """Summarise weighted points."""
    value = found.points[:, found.interest]
    order = np.argsort(value, kind="stable")
    # the share of the weight below a point, half of its own counted in
    below = np.cumsum(found.weights[order]) - 0.5 * found.weights[order]
    quantiles = np.interp([(1 - _MASS) / 2, 0.5, (1 + _MASS) / 2], below, value[order])
    mean = found.mean(value)
    row = _statements(quantiles, found.mean(np.exp(value)), mean, value, found.weights)
    for c in thresholds:
        row[f"prob_below_{c:g}"], row[f"mcse_below_{c:g}"] = found.probability_below(math.log(c))
    return {
        **row,
        "log_marginal_likelihood": found.log_marginal,
        "log_marginal_likelihood_se": found.log_marginal_se,
        "pareto_k": found.pareto_k,
        "effective_size": found.ess,
        "engine": "fast",
        "note": "",
        "ok": True,
    }


def _of_chains(trace: xr.DataTree, thresholds: Sequence[float], note: str) -> Row:
    """Summarise chains of NUTS."""
    value = trace["posterior"]["log_rate_ratio"].to_numpy()
    errors = errors_of(trace)
    quantiles = np.quantile(value, [(1 - _MASS) / 2, 0.5, (1 + _MASS) / 2])
    equal = np.full(value.size, 1.0 / value.size)
    row = _statements(quantiles, float(np.exp(value).mean()), value.mean(), value.ravel(), equal)
    for c in thresholds:
        below = value < math.log(c)
        row[f"prob_below_{c:g}"] = float(below.mean())
        row[f"mcse_below_{c:g}"] = errors.of_probability(below)
    checks = convergence(trace)
    size = checks.loc[checks["check"] == "bulk ESS", "value"].iloc[0]
    return {
        **row,
        "log_marginal_likelihood": math.nan,
        "log_marginal_likelihood_se": math.nan,
        "pareto_k": math.nan,
        "effective_size": float(size),
        "engine": "nuts",
        "note": note,
        "ok": bool(checks["ok"].all()),
    }


def _statements(
    quantiles: NDArray[np.float64],
    ratio: float,
    mean: float,
    value: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Row:
    lower, median, upper = np.exp(quantiles)
    return {
        "median": float(median),
        "mean": float(ratio),
        "lower": float(lower),
        "upper": float(upper),
        "log_mean": float(mean),
        "log_sd": float(np.sqrt(weights @ (value - mean) ** 2)),
    }


def _table(finished: Iterable[tuple[int, Row]]) -> pd.DataFrame:
    rows = [{"refit": index, **row} for index, row in finished]
    if not rows:
        return pd.DataFrame()
    return pd.DataFrame(rows).sort_values("refit", ignore_index=True)
