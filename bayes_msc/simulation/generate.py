"""Simulated trials, thousands at once."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msc.counts import FAMILIES
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.truth import AnyTruth, Parameters
from bayes_msc.trial import Trial

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trials:
    """Many simulated trials of one design.

    Attributes
    ----------
    design : Design
    count : ndarray of int, shape (trials, patients, rows)
        Counts; 0 where the patient had left.
    seen : ndarray of bool, shape (trials, patients, rows)
        Whether the scan was made.
    baseline : ndarray of int, shape (trials, patients), optional
    parameters : dict of str to ndarray, shape (trials,)
        The truth of each trial.
    """

    design: Design
    count: Counts
    seen: NDArray[np.bool_]
    baseline: Counts | None
    parameters: Parameters

    def __len__(self) -> int:
        """Number of trials."""
        return len(self.count)

    def trial(self, index: int) -> Trial:
        """Return one of them as a `Trial`.

        The design was checked once, for all of them: only the counts are put into it.
        """
        blank = self.design.blank
        table = blank.data
        table["count"] = np.where(self.seen[index], self.count[index], np.nan).ravel()
        if self.baseline is not None:
            table["baseline"] = np.repeat(self.baseline[index], self.design.rows).astype(float)
        new = copy.copy(blank)
        # what was computed of the blank trial's counts goes
        new.__dict__.pop("sha256", None)
        object.__setattr__(new, "_table", table)
        object.__setattr__(new, "name", f"simulated trial {index + 1}")
        return new


def generate(design: Design, truth: AnyTruth, trials: int, rng: np.random.Generator) -> Trials:
    """Simulate trials.

    Parameters
    ----------
    design : Design
    truth : Truth or UncertainTruth
    trials : int
    rng : numpy.random.Generator

    Returns
    -------
    Trials
        ``log mean = log exposure + log_rate + (log_rate_ratio + treatment_sd * own) * treated +
        period_effect * [period 2] + carryover_effect * carry + patient_sd * z``, as in the models;
        the carryover effect is ``carryover_fraction * log_rate_ratio`` where it is not drawn.
    """
    columns = design.columns()
    values = truth.parameters(trials, rng)
    at = {name: value[:, None, None] for name, value in values.items()}
    shape = (trials, design.patients, 1)
    patient = at["patient_sd"] * rng.normal(size=shape)
    if truth.outlier != 1.0:
        who = rng.integers(0, design.patients, trials)
        patient[np.arange(trials), who, 0] += np.log(truth.outlier)
    base = np.log(design.exposure) + at["log_rate"] + patient
    ratio = at["log_rate_ratio"]
    if np.any(values["treatment_sd"] > 0):
        ratio = ratio + at["treatment_sd"] * rng.normal(size=shape)
    carried = at["carryover_fraction"] * at["log_rate_ratio"]
    log_mean = (
        base
        + ratio * columns["treated"]
        + at["period_effect"] * columns["second"]
        + at.get("carryover_effect", carried) * columns["carry"]
    )
    zero = at["zero_inflation"] + at["zero_overdispersion"]
    draw = FAMILIES[truth.family].random
    count = draw(rng, np.exp(log_mean), at["overdispersion"], zero).astype(np.int64)
    baseline = None
    if design.baseline:
        # the scan before treatment has the exposure 1
        mean = np.exp(base - np.log(design.exposure))
        baseline = draw(rng, mean, at["overdispersion"], zero)[:, :, 0].astype(np.int64)
    seen = _still_there(design, count, columns["treated"], rng)
    return Trials(design, np.where(seen, count, 0), seen, baseline, values)


def _still_there(
    design: Design, count: Counts, treated: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Whether each scan was made: every patient has the first, and nobody comes back."""
    if design.drop_out is None:
        return np.ones(count.shape, dtype=bool)
    chance = design.drop_out.chance(count[:, :, :-1], treated[:, :-1])
    stays = rng.random(chance.shape) >= chance
    first = np.ones((*count.shape[:2], 1), dtype=bool)
    return np.concatenate([first, np.logical_and.accumulate(stays, axis=2)], axis=2)
