"""The answer over a whole map of priors: every mean and every width of the log rate ratio's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import BayesMSCError
from bayes_msc.importance import MOST_K
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.published import Published
from bayes_msc.refits import refit_many
from bayes_msc.routes import Effect
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.integrated import integrated_likelihood
from bayes_msc.sensitivity.stance_table import stance_priors
from bayes_msc.sensitivity.subject import (
    Subject,
    benefit_of,
    check_subject,
    effect_of,
    label_of,
    mcse_column,
    model_for,
    no_model,
    prob_column,
    rule_for,
    thresholds_for,
)
from bayes_msc.trial import Trial

Array = NDArray[np.float64]

#: Prior medians of the rate ratio from a fifth to double; prior SDs from near certainty to vague.
MEANS = tuple(np.linspace(math.log(0.2), math.log(2.0), 41).tolist())
SDS = tuple(np.geomspace(0.1, 2.5, 41).tolist())
#: Below this effective size, or above this error of a probability, a cell is fitted anew.
LEAST_SIZE = 400.0
MOST_ERROR = 0.005
#: A heavy tail matters where one point holds more than this share. Within the reach of the pooled
#: fits the weights are bounded, and k above 0.7 may be a steep shoulder with nothing behind it.
LARGEST_WEIGHT = 0.01


@dataclass(frozen=True, eq=False)
class PriorMap:
    """Answers over a grid of normal priors of the log rate ratio.

    Attributes
    ----------
    cells : DataFrame
        One row a prior: ``prior_mean``, ``prior_sd`` (log scale), ``prior_ratio`` (the prior's
        median rate ratio), ``median``, ``lower``, ``upper`` of the rate ratio,
        ``prob_below_<c>`` and ``mcse_below_<c>`` for every threshold, ``effective_size``,
        ``pareto_k``, ``largest_weight``, ``how`` (``"reweighted"``, ``"refitted"`` or
        ``"exact"``), ``ok``.
    stances : DataFrame
        Where the known stances lie: ``stance``, ``prior_mean``, ``prior_sd``, ``exact_place``
        (whether the prior is normal; else it stands at its mean and SD).
    rule : Rule
    note : str
        How the cells were computed and how large the Monte Carlo error is.
    label : str
        What the counts are if they are not data.
    """

    cells: pd.DataFrame
    stances: pd.DataFrame
    rule: Rule
    note: str
    label: str

    def __str__(self) -> str:
        """Return how the map was made and how much of it meets the rule."""
        column = prob_column(self.rule.threshold, self.rule.benefit)
        share = float((self.cells[column] >= self.rule.probability).mean())
        return f"{self.rule.words()}: met in {share:.0%} of the map. {self.note}"


def prior_map(
    subject: Subject,
    model: Model | str | Path | None = None,
    *,
    means: Sequence[float] | None = None,
    sds: Sequence[float] | None = None,
    own: Prior | Mapping[str, Prior] | None = None,
    external: Prior | Sequence[str | Published] | None = None,
    analysis: str | None = None,
    rule: Rule | None = None,
    thresholds: Sequence[float] | None = None,
    seed: int = 1,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> PriorMap:
    """Give the answer for every mean and every width of a normal prior of the log rate ratio.

    Parameters
    ----------
    subject : Trial or Published
    model : Model, str or Path, optional
        For a Trial; by default the negative binomial card of its design.
    means, sds : sequence of float, optional
        Prior means and standard deviations, log scale; by default 41 means from log 0.2 to log 2
        (mirrored where a higher rate is better) and 41 widths from 0.1 to 2.5.
    own, external, analysis, rule, thresholds
        See ``stance_table``; the stances are marked on the map.
    seed, executor, workers, progress
        See ``bayes_msc.refit_many``.

    Returns
    -------
    PriorMap

    Raises
    ------
    BayesMSCError
        If a mean or a width is impossible, or as ``stance_table`` does.

    Notes
    -----
    From printed numbers every cell is exact. From the counts of every patient some twenty fits
    under priors that lie side by side give the likelihood of the rate ratio with everything else
    integrated out (``bayes_msc.sensitivity.integrated``); a cell is this likelihood times its
    prior. The result is the same as that of a fit of the cell, up to a Monte Carlo error which is
    given. Cells whose weights cannot be trusted are fitted themselves: Pareto k above 0.7 with more
    than 1 % of the weight on one point, an effective size below 400, or an error of a probability
    above 0.005.
    """
    check_subject(subject)
    rule, benefit = rule_for(subject, rule), benefit_of(subject)
    limits = thresholds_for(subject, thresholds, rule)
    grid = _grid(means, sds, benefit)
    if isinstance(subject, Trial):
        card = model_for(subject, model)
        priors = stance_priors(subject, card, own=own, external=external)
        cells = _of_counts(
            subject,
            card,
            grid,
            limits,
            seed=seed,
            executor=executor,
            workers=workers,
            progress=progress,
        )
    else:
        no_model(model)
        priors = stance_priors(subject, own=own, external=external)
        cells = _of_estimate(effect_of(subject, analysis), grid, limits, benefit)
    return PriorMap(cells, _places(priors), rule, _note(cells), label_of(subject))


def _grid(
    means: Sequence[float] | None, sds: Sequence[float] | None, benefit: str
) -> tuple[Array, Array]:
    """Means and SDs of all cells, row after row of the same SD."""
    if means is None:
        means = MEANS if benefit == "lower" else tuple(-m for m in reversed(MEANS))
    across = np.asarray(means, dtype=float)
    up = np.asarray(SDS if sds is None else sds, dtype=float)
    for name, values in (("means", across), ("sds", up)):
        if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
            raise BayesMSCError(f"{name} must be a list of one or more finite numbers")
        if np.any(np.diff(values) <= 0):
            raise BayesMSCError(f"{name} must rise: {', '.join(f'{v:g}' for v in values[:4])} ...")
    if up.min() <= 0:
        raise BayesMSCError(f"a prior SD is {up.min():g}: it must be above 0")
    mean, sd = np.meshgrid(across, up)
    return mean.ravel(), sd.ravel()


def _of_estimate(
    effect: Effect, grid: tuple[Array, Array], limits: Sequence[float], benefit: str
) -> pd.DataFrame:
    """Normal prior times normal likelihood."""
    from scipy import stats

    mean, sd = grid
    precision = 1 / sd**2 + 1 / effect.se**2
    centre = (mean / sd**2 + effect.log_rate_ratio / effect.se**2) / precision
    width = 1 / np.sqrt(precision)
    reach = stats.norm.ppf(0.975) * width
    cells = _frame(grid) | {
        "median": np.exp(centre),
        "lower": np.exp(centre - reach),
        "upper": np.exp(centre + reach),
    }
    sign = 1 if benefit == "lower" else -1
    for c in limits:
        cells[prob_column(c, benefit)] = stats.norm.cdf(sign * (math.log(c) - centre) / width)
        cells[mcse_column(c, benefit)] = np.zeros_like(mean)
    return pd.DataFrame(cells).assign(
        effective_size=math.inf, pareto_k=-math.inf, largest_weight=0.0, how="exact", ok=True
    )


def _frame(grid: tuple[Array, Array]) -> dict[str, Array]:
    return {"prior_mean": grid[0], "prior_sd": grid[1], "prior_ratio": np.exp(grid[0])}


def _of_counts(
    trial: Trial,
    model: Model,
    grid: tuple[Array, Array],
    limits: Sequence[float],
    *,
    seed: int,
    executor: Executor | None,
    workers: int | None,
    progress: bool | None,
) -> pd.DataFrame:
    mean, sd = grid
    likelihood = integrated_likelihood(
        trial,
        model,
        low=float(mean.min()),
        high=float(mean.max()),
        widest=max(float(sd.max()), 1.0),
        seed=seed,
    )
    cells = likelihood.normal(mean, sd, limits).drop(columns=["log_mean", "log_sd"])
    cells = pd.concat([pd.DataFrame(_frame(grid)), cells], axis=1).assign(how="reweighted", ok=True)
    weak = np.flatnonzero(_untrusted(cells, limits))
    if len(weak):
        pairs = [
            (model.with_prior("log_rate_ratio", Prior.normal(mean[i], sd[i])), trial) for i in weak
        ]
        fitted = refit_many(
            pairs,
            thresholds=limits,
            seed=seed,
            executor=executor,
            workers=workers,
            progress=progress,
        ).assign(how="refitted")
        cells.loc[weak, "largest_weight"] = np.nan
        for name in [n for n in cells if n in fitted]:
            cells.loc[weak, name] = fitted[name].to_numpy()
    return cells


def _untrusted(cells: pd.DataFrame, limits: Sequence[float]) -> NDArray[np.bool_]:
    error = cells[[mcse_column(c, "lower") for c in limits]].max(axis=1)
    fine = (
        ((cells["pareto_k"] <= MOST_K) | (cells["largest_weight"] <= LARGEST_WEIGHT))
        & (cells["effective_size"] >= LEAST_SIZE)
        & (error <= MOST_ERROR)
    )
    return np.asarray(~fine)


def _places(priors: Mapping[str, Prior]) -> pd.DataFrame:
    frozen = {name: prior.frozen() for name, prior in priors.items()}
    return pd.DataFrame(
        {
            "stance": list(priors),
            "prior_mean": [float(one.mean()) for one in frozen.values()],
            "prior_sd": [float(one.std()) for one in frozen.values()],
            "exact_place": [prior.distribution == "normal" for prior in priors.values()],
        }
    )


def _note(cells: pd.DataFrame) -> str:
    count = cells["how"].value_counts()
    if "exact" in count:
        return f"All {len(cells)} cells are exact."
    again = int(count.get("refitted", 0))
    error = float(cells.filter(regex="^mcse_").to_numpy(float).max())
    words = f"{len(cells) - again} cells from the integrated likelihood, {again} fitted anew"
    return f"{words}; the largest Monte Carlo error of a probability is {error:.4f}."
