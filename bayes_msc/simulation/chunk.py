"""One chunk of a cell: simulate some trials, analyse each by every model, apply every rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayes_msc.errors import ModelError
from bayes_msc.importance import QUICK
from bayes_msc.refits import TURN, Job, refit, seed_of
from bayes_msc.sampler import Sampler
from bayes_msc.simulation.cell import Analysis, Cell
from bayes_msc.simulation.generate import Trials
from bayes_msc.simulation.layout import Layout
from bayes_msc.simulation.rules import (
    AnyRule,
    PosteriorRule,
    PValueRule,
    kind_of,
    statistic,
    success,
    thresholds_of,
)

#: Simulated trials that are handed to a worker, and written, at once.
SIZE = 50
COLUMNS = (
    "design",
    "truth",
    "model",
    "prior",
    "rule",
    "trial",
    "true_log_rate_ratio",
    "log_estimate",
    "log_lower",
    "log_upper",
    "log_sd",
    "kind",
    "statistic",
    "success",
    "engine",
    "ok",
)
NAMES = ("design", "truth", "model", "prior", "rule")
_NO_ANSWER = {"engine": "none", "ok": False}


@dataclass(frozen=True, eq=False)
class Task:
    """A chunk that is to be done.

    Attributes
    ----------
    cell : Cell
    seed : int
    chunk : int
        Which one: trials ``chunk * size`` and after.
    size : int
        Trials of a chunk.
    keep : int
        How many of them are wanted.
    """

    cell: Cell
    seed: int
    chunk: int
    size: int = SIZE
    keep: int = SIZE

    @property
    def place(self) -> tuple[str, int]:
        """What tells the task from the others of its run."""
        return self.cell.key, self.chunk


def do(task: Task) -> tuple[tuple[str, int], pd.DataFrame]:
    """Do a task, in whichever process this is.

    Returns
    -------
    place : (str, int)
    rows : DataFrame
        One row a simulated trial, analysis and rule, with the columns ``COLUMNS``. A trial without
        an answer has NaN for numbers and no success.
    """
    cell = task.cell
    trials = cell.trials(task.seed, task.chunk, task.size)
    parts = []
    posterior = {n: r for n, r in cell.rules.items() if not isinstance(r, PValueRule)}
    for analysis in cell.analyses if posterior else ():
        answers = _refitted(task, trials, analysis, posterior)
        for name, rule in posterior.items():
            parts.append(_rows(answers, analysis.name, analysis.prior, name, rule))
    asked: dict[str, pd.DataFrame] = {}
    classical = {n: r for n, r in cell.rules.items() if isinstance(r, PValueRule)}
    for name, test in classical.items():
        if test.method not in asked:
            asked[test.method] = _asked(task, trials, test)
        parts.append(_rows(asked[test.method], test.method, "", name, test))
    first = task.chunk * task.size
    truth = trials.parameters["log_rate_ratio"][: task.keep]
    rows = pd.concat(
        [
            part.assign(
                design=cell.design_name,
                truth=cell.truth_name,
                trial=np.arange(first, first + task.keep),
                true_log_rate_ratio=truth,
            )
            for part in parts
        ],
        ignore_index=True,
    )
    return task.place, rows[list(COLUMNS)]


def _refitted(
    task: Task, trials: Trials, analysis: Analysis, rules: Mapping[str, PosteriorRule]
) -> pd.DataFrame:
    """Answers of one model, one row a trial: the columns of ``refit_many``."""
    cell = task.cell
    thresholds = tuple(sorted({1.0}.union(*(thresholds_of(rule) for rule in rules.values()))))
    layout = Layout(cell.design, analysis.model)
    number = int(cell.source_key[:8], 16) ^ task.seed
    found = []
    with TURN:
        sampler = Sampler.of(analysis.model, cell.design.blank)
        for index in range(task.keep):
            seed = seed_of(number, task.chunk * task.size + index)
            job = Job(layout.numbers(trials, index), seed, QUICK)
            try:
                found.append(refit(sampler, analysis.model, job, cell.engine, thresholds))
            except (ModelError, RuntimeError):
                # no start was found for either engine: counted as a trial without an answer
                found.append(dict(_NO_ANSWER))
    wanted = ["median", "lower", "upper", "log_sd", "engine", "ok"]
    columns = [*wanted, *(f"prob_below_{c:g}" for c in thresholds)]
    return pd.DataFrame(found).reindex(columns=columns).rename(columns={"median": "estimate"})


def _asked(task: Task, trials: Trials, rule: PValueRule) -> pd.DataFrame:
    """Answers of one classical method, one row a trial."""
    found: list[dict[str, Any]] = []
    for index in range(task.keep):
        answer = rule.answer(trials.trial(index))
        numbers = (answer.estimate, answer.lower, answer.upper)
        if "ratio" not in answer.estimand:
            numbers = (np.nan, np.nan, np.nan)
        names = ("estimate", "lower", "upper")
        known = bool(np.isfinite(answer.p_value))
        found.append(
            {
                **dict(zip(names, numbers, strict=True)),
                "p_value": answer.p_value,
                "log_sd": np.nan,
                "engine": "classical" if known else "none",
                "ok": known,
            }
        )
    return pd.DataFrame(found)


def _rows(answers: pd.DataFrame, model: str, prior: str, name: str, rule: AnyRule) -> pd.DataFrame:
    with np.errstate(divide="ignore"):
        logs = np.log(answers[["estimate", "lower", "upper"]].astype(float))
    return pd.DataFrame(
        {
            "model": model,
            "prior": prior,
            "rule": name,
            "log_estimate": logs["estimate"],
            "log_lower": logs["lower"],
            "log_upper": logs["upper"],
            "log_sd": answers["log_sd"].astype(float),
            "kind": kind_of(rule),
            "statistic": statistic(rule, answers).astype(float),
            "success": success(rule, answers).astype(bool),
            "engine": answers["engine"].astype(str),
            "ok": answers["ok"].astype(bool),
        }
    )
