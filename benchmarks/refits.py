"""Refits a second by the fast engine over two processes, beside rstanarm's.

Every refit has another prior of the rate ratio, so that each has a posterior of its own. The rate
is taken with workers that have compiled already, from the first batch that is handed to them to the
last result. Beside it stand the whole call, in which the trials are first laid out as arrays, and
the whole run, in which the processes also start and compile.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.refits import CHUNK, refit_many
from bayes_msc.trial import Trial
from benchmarks.engines import question, start_peer
from benchmarks.measures import Measure, repeated, skipped
from benchmarks.peer import PeerError
from benchmarks.speed import ASK

NAME = "refits"
RATE, RATIO, CASE = "fast refits a second", "fast refits over rstanarm's", "2 workers"
REFITS, QUICK, WORKERS = 1000, 100, 2
REPETITIONS = 3


def pairs(model: Model, trial: Trial, count: int) -> list[tuple[Model, Trial]]:
    """As many models as wanted, each with another width of the prior of the rate ratio."""
    widths = np.geomspace(0.2, 2.0, count)
    priors = [Prior.normal(0.0, float(width), why="a width to try") for width in widths]
    return [(model.with_prior("log_rate_ratio", prior), trial) for prior in priors]


class Watched(Executor):
    """An executor that notes when the first work is handed over and when the last is done."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self.first = math.inf
        self.last = -math.inf

    def submit[**P, T](
        self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Hand work to the other executor."""
        self.first = min(self.first, time.perf_counter())
        future = self._inner.submit(work, *args, **kwargs)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[Any]) -> None:
        self.last = max(self.last, time.perf_counter())


def run(quick: bool = False) -> list[Measure]:
    """Time the refits."""
    model, trial = question()
    count = QUICK if quick else REFITS
    wanted = pairs(model, trial, count)
    start = time.perf_counter()
    refit_many(wanted, workers=WORKERS, progress=False)
    with_start = count / (time.perf_counter() - start)
    rates, whole, table = _warm(wanted, 1 if quick else REPETITIONS)
    slow = int((table["engine"] != "fast").sum())
    note = f"{count} refits, {slow} of them by NUTS because the weights were not trusted"
    return [
        repeated(NAME, RATE, CASE, rates, "a second", note),
        repeated(NAME, "the same with laying out the trials", CASE, whole, "a second"),
        Measure(NAME, "the same with start and compiling", CASE, with_start, unit="a second"),
        *_beside_rstanarm(float(np.median(rates)), quick),
    ]


def _warm(
    wanted: list[tuple[Model, Trial]], repetitions: int
) -> tuple[list[float], list[float], pd.DataFrame]:
    """Refits a second of workers that have compiled, those of whole calls, the last table."""
    rates, whole = [], []
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        _warm_up(pool, wanted)
        for _ in range(repetitions):
            watched = Watched(pool)
            start = time.perf_counter()
            table = refit_many(wanted, executor=watched, progress=False)
            whole.append(len(wanted) / (time.perf_counter() - start))
            rates.append(len(wanted) / (watched.last - watched.first))
    return rates, whole, table


def _warm_up(pool: Executor, wanted: Iterable[tuple[Model, Trial]]) -> None:
    """Give every worker batches enough that it compiles."""
    refit_many(list(wanted)[:1] * (4 * WORKERS * CHUNK), executor=pool, progress=False)


def _beside_rstanarm(rate: float, quick: bool) -> list[Measure]:
    """Ours over rstanarm's rate, with its chains on all cores or a refit on each core."""
    measure = "rstanarm's refits a second"
    model, trial = question()
    with ExitStack() as stack:
        try:
            [engine] = start_peer("rstanarm", model, trial, stack)
            rates = []
            for seed in range(1 if quick else REPETITIONS):
                ask = replace(ASK, seed=seed, chains=2 if quick else ASK.chains)
                together = engine.run(replace(ask, cores=WORKERS)).seconds
                alone = engine.run(replace(ask, cores=1)).seconds
                rates.append(max(1.0 / together, WORKERS / alone))
        except PeerError as error:
            why = str(error)
            return [skipped(NAME, measure, CASE, why), skipped(NAME, RATIO, CASE, why)]
    note = (
        f"{ASK.chains} chains of {ASK.tune} + {ASK.draws}; the better of chains on all cores and "
        "of one refit on each core, the latter as if neither slowed the other"
    )
    ratio = rate / float(np.median(rates))
    return [
        repeated(NAME, measure, CASE, rates, "a second", note),
        Measure(NAME, RATIO, CASE, ratio, unit="times"),
    ]
