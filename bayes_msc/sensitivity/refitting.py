"""Refits of many changed copies of one trial, each different copy fitted once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bayes_msc.convergence import THRESHOLDS
from bayes_msc.model import Model
from bayes_msc.refits import refit_many
from bayes_msc.rule import Rule
from bayes_msc.trial import Trial

Row = dict[str, Any]
#: What every table of this package takes over from a refit, beside its probabilities.
ANSWER = ("median", "lower", "upper")
CHECKS = ("engine", "ok")
#: Fewer refits than this are done before further processes have started and compiled.
WORTH_PROCESSES = 250


@dataclass(frozen=True)
class Question:
    """What is asked of every refit: a rule, thresholds, and how to compute.

    Attributes
    ----------
    rule : Rule
    thresholds : tuple of float
        With that of the rule.
    seed : int
    workers : int or None
    progress : bool or None
        The last three as in ``bayes_msc.refit_many``.
    """

    rule: Rule
    thresholds: tuple[float, ...]
    seed: int = 1
    workers: int | None = None
    progress: bool | None = None

    @classmethod
    def of(
        cls,
        rule: Rule | None,
        thresholds: Sequence[float] = THRESHOLDS,
        seed: int = 1,
        workers: int | None = None,
        progress: bool | None = None,
    ) -> Question:
        """Put a question together; the default rule is P(RR < 1) of 0.95 or more."""
        rule = rule or Rule()
        limits = tuple(dict.fromkeys((*map(float, thresholds), float(rule.threshold))))
        return cls(rule, limits, seed, workers, progress)

    def refit(self, pairs: Sequence[tuple[Model, Trial]]) -> pd.DataFrame:
        """Refit, and say of each refit whether the rule is met.

        Returns
        -------
        DataFrame
            That of ``refit_many``, with ``prob`` and ``mcse`` of the rule's statement and
            ``rule_met``.
        """
        table = refit_many(
            pairs,
            thresholds=self.thresholds,
            seed=self.seed,
            workers=self.workers or (1 if len(pairs) < WORTH_PROCESSES else None),
            progress=self.progress,
        )
        return self.judged(table)

    def judged(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add ``prob``, ``mcse`` and ``rule_met`` to a table of refits."""
        prob = [self.rule.of(p) for p in table[self.rule.column]]
        mcse = table[self.rule.column.replace("prob", "mcse", 1)]
        met = [self.rule.met(p) for p in prob]
        return table.assign(prob=prob, mcse=mcse, rule_met=met)

    @property
    def below(self) -> tuple[str, ...]:
        """Names of the probabilities of a refit, one for each threshold."""
        return tuple(f"prob_below_{c:g}" for c in self.thresholds)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a refit that a reader's table keeps."""
        below = [f"{kind}_below_{c:g}" for c in self.thresholds for kind in ("prob", "mcse")]
        return (*ANSWER, *below, "prob", "mcse", "rule_met", *CHECKS)


@dataclass(eq=False)
class Copies:
    """Changed copies of a trial under one model: a copy that was fitted is not fitted again.

    Two copies are the same to the model if they differ only in which patient, or which scan of a
    patient's period, has which count.

    Attributes
    ----------
    model : Model
    question : Question
    """

    model: Model
    question: Question
    known: dict[tuple[Any, ...], Row] = field(default_factory=dict)

    def refit(self, trials: Sequence[Trial]) -> pd.DataFrame:
        """Refit each copy, in the order given; the table is that of ``Question.refit``."""
        keys = [fingerprint(trial, self.model) for trial in trials]
        new = {key: trial for key, trial in zip(keys, trials, strict=True) if key not in self.known}
        if new:
            found = self.question.refit([(self.model, trial) for trial in new.values()])
            self.known |= dict(zip(new, found.to_dict("records"), strict=True))
        return pd.DataFrame([self.known[key] for key in keys])


def fingerprint(trial: Trial, model: Model) -> tuple[Any, ...]:
    """Return what a model sees of a trial: the same for copies that it cannot tell apart."""
    table = trial.seen
    slots = ["scan", "month"] if "serial" in model.terms_for(trial) else []
    names = ["treatment", "period", "exposure", "baseline", *trial.covariates, *slots, "count"]
    names = [name for name in names if name in table]
    rows = pd.Series(list(table[names].itertuples(index=False, name=None)), index=table.index)
    blocks = rows.groupby(table["patient"], sort=False).apply(lambda block: tuple(sorted(block)))
    found: list[Any] = list(blocks)
    return tuple(sorted(found, key=repr))


def with_count(trial: Trial, row: int, count: float) -> Trial:
    """Return the trial with another count in one row of its table."""
    table = trial.data
    table.loc[row, "count"] = count
    return Trial(table, **trial.meta())


def shown(table: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Return those of the columns that the table has, in order."""
    return table[[name for name in columns if name in table]]


def steady(values: Sequence[float], errors: Sequence[float], direction: float) -> bool:
    """Whether values move one way (``direction`` 1 up, -1 down), up to Monte Carlo error."""
    steps = direction * np.diff(np.asarray(values, dtype=float))
    squares = np.asarray(errors, dtype=float) ** 2
    return bool((steps >= -3.0 * np.sqrt(squares[1:] + squares[:-1])).all())
