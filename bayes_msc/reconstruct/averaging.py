"""From reconstructed data sets to an answer: the likelihood averaged over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.convergence import THRESHOLDS
from bayes_msc.errors import ReconstructionError
from bayes_msc.model import Model
from bayes_msc.notebook import banner, block, heading
from bayes_msc.notebook import table as notebook_table
from bayes_msc.reconstruct.group import LABEL
from bayes_msc.reconstruct.whole import Reconstruction
from bayes_msc.refits import refit_many
from bayes_msc.trial import Trial

Numbers = NDArray[np.float64]
#: Log rate ratios at which the mixture's distribution is known; between them it is interpolated.
GRID = np.concatenate(
    [np.linspace(-8, -4, 9)[:-1], np.linspace(-4, 4, 161), np.linspace(4, 8, 9)[1:]]
)
MOST_REFITS = 5000
_TAILS = (0.5, 0.025, 0.975)


@dataclass(frozen=True, eq=False)
class Averaged:
    """The answer of a model, averaged over reconstructed data sets: a reconstruction, not data.

    Attributes
    ----------
    summary : DataFrame
        One row a way of weighting: ``weights`` (``"model"``: every data set by its marginal
        likelihood and its number of named orders; ``"uniform"``: every data set of named patients
        alike), ``median``, ``lower``, ``upper`` (95 %), ``log_sd``, ``share_not_having_data`` (of
        the variance of the log rate ratio, what lies between data sets), ``effective_sets``,
        ``without_evidence`` (data sets that only NUTS could fit, which gives no marginal
        likelihood: they get the middle of the others'), ``label``.
    probabilities : DataFrame
        ``weights``, ``threshold``, ``probability`` of a rate ratio below it, ``mcse``, ``label``.
    refits : DataFrame
        One row a data set: ``candidate``, ``orders``, ``weight``, ``uniform``, ``median``,
        ``lower``, ``upper``, ``log_mean``, ``log_sd``, ``log_marginal_likelihood``, ``pareto_k``,
        ``engine``, ``ok``, ``label``.
    curve : DataFrame
        ``log_rate_ratio``, and P(below) under ``model`` and ``uniform`` weights.
    """

    summary: pd.DataFrame
    probabilities: pd.DataFrame
    refits: pd.DataFrame
    curve: pd.DataFrame
    label: str = LABEL

    def __repr__(self) -> str:
        """Return the label and the summary."""
        return f"{self.label.upper()}\n{self.summary.to_string(index=False)}"

    def _repr_html_(self) -> str:
        title = f"Averaged over {len(self.refits)} data sets"
        parts = [banner(self.label), heading(title), notebook_table(self.summary)]
        return block(*parts, notebook_table(self.probabilities))


def average_reconstruction(
    reconstruction: Reconstruction,
    model: Model | str,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    seed: int = 1,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> Averaged:
    """Fit a model to every reconstructed data set, and average.

    Only one of the data sets can be right, and nobody knows which: the likelihood of the printed
    numbers is the sum of the likelihoods of all data sets of named patients that fit them. Each
    one's posterior therefore counts by its marginal likelihood under the model, times the number
    of ways in which patients' names fit it.

    Parameters
    ----------
    reconstruction : Reconstruction
        From ``reconstruct``; all its data sets are used, or those drawn.
    model : Model or str
        For the trial's design.
    thresholds : sequence of float
        Rate ratios c of P(rate ratio < c).
    seed, executor, workers, progress
        See ``refit_many``.

    Returns
    -------
    Averaged

    Raises
    ------
    ReconstructionError
        If nothing was reconstructed, or there are too many data sets.

    Notes
    -----
    Weights by the model are conditional on the baselines, whose distribution is not modelled:
    between data sets with other baselines every set of baselines counts alike. The prior of a
    card's ``log_rate`` is centred on each data set's pooled rate, which hardly differs between sets
    with the same printed mean.
    """
    if not reconstruction.possible:
        raise ReconstructionError(f"there is nothing to average. {reconstruction.why}")
    trials = reconstruction.trials()
    orders = reconstruction.orders if reconstruction.complete else [1] * len(trials)
    return average_trials(
        trials, orders, model, thresholds=thresholds, seed=seed, executor=executor,
        workers=workers, progress=progress,
    )  # fmt: skip


def average_trials(
    trials: Sequence[Trial],
    orders: Sequence[float],
    model: Model | str,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    seed: int = 1,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> Averaged:
    """Average over trials of which one is right; ``orders`` is how often each would be drawn.

    See ``average_reconstruction``.
    """
    if not trials:
        raise ReconstructionError("there is no data set to average over")
    if len(trials) > MOST_REFITS:
        hours = 0.03 * len(trials) / 3600
        raise ReconstructionError(
            f"{len(trials):,} data sets would take {hours:.1f} hours: reconstruct with "
            f"listed={MOST_REFITS} or fewer, so that some are drawn"
        )
    card = Model.load(model) if isinstance(model, str) else model
    asked = [float(c) for c in thresholds]
    cuts = [*np.exp(GRID).tolist(), *asked]
    table = refit_many(
        [(card, trial) for trial in trials], thresholds=list(dict.fromkeys(cuts)), seed=seed,
        executor=executor, workers=workers, progress=progress,
    )  # fmt: skip
    below = np.column_stack([_column(table, "prob", c) for c in cuts])
    errors = np.column_stack([_column(table, "mcse", c) for c in asked])
    weights = _weights(table, np.asarray(orders, float))
    label = LABEL if any(trial.label for trial in trials) else "data"
    return _assembled(table, below, errors, weights, asked, orders, label)


def _column(table: pd.DataFrame, what: str, threshold: float) -> Numbers:
    return table[f"{what}_below_{threshold:g}"].to_numpy(float)


def _weights(table: pd.DataFrame, orders: Numbers) -> dict[str, Numbers]:
    evidence = table["log_marginal_likelihood"].to_numpy(float)
    known = np.isfinite(evidence)
    # a data set that only NUTS could fit gets the middle of the others' evidence
    middle = float(np.median(evidence[known])) if known.any() else 0.0
    filled = np.where(known, evidence, middle)
    mass = orders * np.exp(filled - filled.max())
    return {"model": mass / mass.sum(), "uniform": orders / orders.sum()}


def _assembled(
    table: pd.DataFrame, below: Numbers, errors: Numbers, weights: dict[str, Numbers],
    asked: list[float], orders: Sequence[float], label: str,
) -> Averaged:  # fmt: skip
    mean, sd = table["log_mean"].to_numpy(float), table["log_sd"].to_numpy(float)
    curve = pd.DataFrame({"log_rate_ratio": GRID})
    blind = int((~np.isfinite(table["log_marginal_likelihood"].to_numpy(float))).sum())
    summary, probabilities = [], []
    for name, weight in weights.items():
        mixture = weight @ below
        curve[name] = np.maximum.accumulate(mixture[: len(GRID)])
        centre = float(weight @ mean)
        between = float(weight @ (mean - centre) ** 2)
        within = float(weight @ sd**2)
        quantiles = [math.exp(_quantile(curve[name].to_numpy(), tail)) for tail in _TAILS]
        summary.append(
            (name, *quantiles, math.sqrt(between + within), between / (between + within),
             float(1 / (weight**2).sum()), blind, label)
        )  # fmt: skip
        for k, threshold in enumerate(asked):
            error = float(np.sqrt((weight**2) @ (errors[:, k] ** 2)))
            probability = float(mixture[len(GRID) + k])
            probabilities.append((name, threshold, probability, error, label))
    kept = ["median", "lower", "upper", "log_mean", "log_sd", "log_marginal_likelihood",
            "pareto_k", "engine", "ok"]  # fmt: skip
    refits = table[kept].assign(label=label)
    refits.insert(0, "uniform", weights["uniform"])
    refits.insert(0, "weight", weights["model"])
    refits.insert(0, "orders", list(orders))
    refits.insert(0, "candidate", np.arange(1, len(table) + 1))
    columns = ["weights", "median", "lower", "upper", "log_sd", "share_not_having_data",
               "effective_sets", "without_evidence", "label"]  # fmt: skip
    asked_columns = ["weights", "threshold", "probability", "mcse", "label"]
    return Averaged(
        pd.DataFrame(summary, columns=columns),
        pd.DataFrame(probabilities, columns=asked_columns),
        refits,
        curve.assign(label=label),
        label,
    )


def _quantile(curve: Numbers, tail: float) -> float:
    """Return the log rate ratio below which a share of the mixture lies, on a probit scale."""
    from scipy.interpolate import PchipInterpolator
    from scipy.stats import norm

    inside = (curve > 1e-6) & (curve < 1 - 1e-6)
    if inside.sum() < 2:
        return float(GRID[int(np.searchsorted(curve, tail).clip(0, len(GRID) - 1))])
    probits, at = norm.ppf(curve[inside]), GRID[inside]
    rising = np.concatenate([[True], np.diff(probits) > 1e-12])
    probits, at = probits[rising], at[rising]
    wanted = float(np.clip(norm.ppf(tail), probits[0], probits[-1]))
    return float(PchipInterpolator(probits, at)(wanted))
