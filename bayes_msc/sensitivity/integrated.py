"""What the counts alone say about the rate ratio, everything else integrated out.

The priors of a model are independent. So the posterior of the log rate ratio t is its own prior
times a function of t that no prior of t changes: the integrated likelihood. A few fits under priors
that lie side by side show this function wherever it is wanted, and any other prior of t then needs
one multiplication a point instead of a fit.

Every fit j gives weighted points of its posterior p_j(t) L(t) / Z_j. All of them count, each by the
mixture of all fits (the balance heuristic), in which L cancels:

    weight of a point = n_j w / sum_k n_k p_k(t) / Z_k

with n_j the effective size of fit j. The Z_k are those that the pooled points give back (Shirts &
Chodera 2008, Journal of Chemical Physics 129:124105; Kong et al. 2003, JRSS B 65:585).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import ModelError
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.refits import seed_of
from bayes_msc.sampler import Sampler, Settings, why_not_trusted
from bayes_msc.trial import Trial

Array = NDArray[np.float64]

#: Groups of points that are left out in turn for the Monte Carlo error.
GROUPS = 8
#: Fits along the range of prior means lie about this far apart, in log units.
SPACING = 0.2
_MOST_FITS = 24
_ROUNDS = 5000
_SETTLED = 1e-9
_MASS = 0.95
#: Weights this far below the largest, in log units, belong to no tail.
_NEGLIGIBLE = 50.0
_FEWEST = 25


@dataclass(frozen=True, eq=False)
class Points:
    """Weighted points of the posterior under one prior.

    Attributes
    ----------
    value : ndarray of float, shape (points,)
        Log rate ratio.
    weight : ndarray of float, shape (points,)
        They sum to one.
    group : ndarray of int, shape (points,)
        The part of the Monte Carlo experiment that each belongs to, below ``GROUPS``.
    size : float
        How many independent draws they are worth.
    log_total : float
        Log of the integral Z, as far as it is known: where the search for it starts.
    """

    value: Array
    weight: Array
    group: NDArray[np.int64]
    size: float
    log_total: float = 0.0


@dataclass(frozen=True, eq=False)
class IntegratedLikelihood:
    """Points of the log rate ratio whose weights stand for the likelihood alone.

    Attributes
    ----------
    value : ndarray of float, shape (points,)
        Log rate ratio, rising.
    weight : ndarray of float, shape (points, 1 + GROUPS)
        First all points, then without each group in turn.
    priors : tuple of Prior
        Those of the fits that the points come from.
    engines : tuple of str
        What each fit was made by.
    """

    value: Array
    weight: Array
    priors: tuple[Prior, ...]
    engines: tuple[str, ...]
    _log_weight: Array = field(init=False, repr=False)
    _share: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        with np.errstate(divide="ignore"):
            object.__setattr__(self, "_log_weight", np.log(self.weight[:, 0]))
        whole = np.maximum(self.weight[:, :1], np.finfo(float).tiny)
        object.__setattr__(self, "_share", self.weight / whole)

    @classmethod
    def pooled(
        cls, priors: Sequence[Prior], fits: Sequence[Points], engines: Sequence[str] = ()
    ) -> IntegratedLikelihood:
        """Pool the points of several fits.

        Parameters
        ----------
        priors : sequence of Prior
            Of the log rate ratio, one a fit.
        fits : sequence of Points
        engines : sequence of str
        """
        value = np.concatenate([one.value for one in fits])
        group = np.concatenate([one.group for one in fits])
        share = np.concatenate([one.size * one.weight for one in fits])
        owner = np.repeat(np.arange(len(fits)), [len(one.value) for one in fits])
        size = np.array([one.size for one in fits])
        density = np.stack([prior.pdf(value) for prior in priors])
        start = np.array([one.log_total for one in fits])
        weights = np.zeros((len(value), 1 + GROUPS))
        for column in range(1 + GROUPS):
            kept = share if column == 0 else np.where(group == column - 1, 0.0, share)
            # each fit keeps its say whichever of its points are left out
            kept = kept * (size / np.bincount(owner, kept, len(fits)))[owner]
            weights[:, column], start = _balanced(density, kept, size, start)
        order = np.argsort(value, kind="stable")
        return cls(value[order], weights[order], tuple(priors), tuple(engines))

    def under(self, priors: Sequence[Prior], thresholds: Sequence[float]) -> pd.DataFrame:
        """Posterior of the rate ratio under other priors.

        Returns
        -------
        DataFrame
            One row a prior, with the columns of ``normal``.
        """
        logs = (np.log(np.maximum(prior.pdf(self.value), 1e-300)) for prior in priors)
        return pd.DataFrame([self._row(log_prior, thresholds) for log_prior in logs])

    def normal(self, loc: Array, scale: Array, thresholds: Sequence[float]) -> pd.DataFrame:
        """Posterior of the rate ratio under many normal priors.

        Parameters
        ----------
        loc, scale : ndarray of float, shape (priors,)
        thresholds : sequence of float
            Rate ratios.

        Returns
        -------
        DataFrame
            One row a prior: ``median``, ``lower``, ``upper`` of the rate ratio, ``log_mean`` and
            ``log_sd`` of its logarithm, ``prob_below_<c>`` and ``mcse_below_<c>``, and of
            the weights ``pareto_k``, ``effective_size`` and ``largest_weight``.
        """
        logs = (-0.5 * ((self.value - m) / s) ** 2 for m, s in zip(loc, scale, strict=True))
        return pd.DataFrame([self._row(log_prior, thresholds) for log_prior in logs])

    def _row(self, log_prior: Array, thresholds: Sequence[float]) -> dict[str, float]:
        log_weight = log_prior + self._log_weight
        log_weight -= log_weight.max()
        near = np.flatnonzero(log_weight > -_NEGLIGIBLE)
        # the points lie in order, so that those with any weight are neighbours
        part = slice(near[0], near[-1] + 1)
        value, weight = self.value[part], np.exp(np.maximum(log_weight[part], -2 * _NEGLIGIBLE))
        # one column for all points, then one without each group; without the threads of a linear
        # algebra library, which would wait for each other longer than they compute
        share = weight[:, None] * self._share[part]
        total = np.maximum(share.sum(axis=0), np.finfo(float).tiny)
        below = [share[:n].sum(axis=0) / total for n in np.searchsorted(value, np.log(thresholds))]
        weight = weight / total[0]
        cumulative = np.cumsum(weight) - 0.5 * weight
        ends = np.interp([(1 - _MASS) / 2, 0.5, (1 + _MASS) / 2], cumulative, value)
        lower, median, upper = np.exp(ends)
        mean = float(np.sum(weight * value))
        row = {"median": float(median), "lower": float(lower), "upper": float(upper)}
        row |= {"log_mean": mean, "log_sd": math.sqrt(float(np.sum(weight * (value - mean) ** 2)))}
        for c, shares in zip(thresholds, below, strict=True):
            row[f"prob_below_{c:g}"] = float(np.clip(shares[0], 0.0, 1.0))
            row[f"mcse_below_{c:g}"] = _jackknife_error(shares[1:])
        row["pareto_k"] = _tail_shape(log_weight[near])
        row["effective_size"] = float(1.0 / np.sum(weight**2))
        row["largest_weight"] = float(weight.max())
        return row


def _tail_shape(log_weight: Array) -> float:
    """Pareto shape of the largest weights; infinite where too few points carry any."""
    from arviz_stats.base import array_stats

    if len(log_weight) <= _FEWEST:
        return math.inf
    k = float(array_stats.psislw(-log_weight)[1])
    return k if math.isfinite(k) else math.inf


def _jackknife_error(values: Array) -> float:
    spread = float(np.sum((values - values.mean()) ** 2))
    return math.sqrt(spread * (len(values) - 1) / len(values))


def _balanced(density: Array, share: Array, size: Array, start: Array) -> tuple[Array, Array]:
    """Solve for the integrals of the fits; weights of the points, and the logs of the integrals."""
    log_total = start - start[0]
    for _ in range(_ROUNDS):
        weight = share / ((size * np.exp(-log_total)) @ density)
        new = np.log(density @ weight)
        new -= new[0]
        moved = float(np.abs(new - log_total).max())
        log_total = new
        if moved < _SETTLED:
            break
    return weight / weight.sum(), log_total


def reference_priors(low: float, high: float, widest: float) -> list[Prior]:
    """Priors whose fits together show the likelihood from one prior mean to another.

    Parameters
    ----------
    low, high : float
        Least and greatest prior mean that will be asked for.
    widest : float
        Greatest prior SD.

    Returns
    -------
    list of Prior
        Wide ones, which find the likelihood where it is, and a row of narrow ones.
    """
    count = int(np.clip(math.ceil((high - low) / SPACING) + 1, 3, _MOST_FITS))
    centres = np.linspace(low, high, count)
    width = max((high - low) / (count - 1), SPACING / 2)
    wide = [Prior.normal(float(m), widest) for m in dict.fromkeys((low, (low + high) / 2, high))]
    return [*wide, *(Prior.normal(float(m), width) for m in centres)]


def integrated_likelihood(
    trial: Trial,
    model: Model,
    *,
    low: float = -2.0,
    high: float = 1.0,
    widest: float = 2.5,
    seed: int = 1,
) -> IntegratedLikelihood:
    """Fit a model under priors of the log rate ratio that lie side by side, and pool the fits.

    Parameters
    ----------
    trial : Trial
    model : Model
        Its own prior of ``log_rate_ratio`` plays no part.
    low, high, widest : float
        See ``reference_priors``.
    seed : int

    Returns
    -------
    IntegratedLikelihood

    Raises
    ------
    ModelError
        If the model does not fit the trial, or its rate ratio is set.
    """
    if model.priors["log_rate_ratio"].is_fixed:
        raise ModelError(
            "log_rate_ratio is set in this model: there is no prior to vary; give it one with "
            "model.with_prior('log_rate_ratio', 'weak')"
        )
    priors = reference_priors(low, high, widest)
    fits, engines = [], []
    for index, prior in enumerate(priors):
        points, engine = _fit(
            model.with_prior("log_rate_ratio", prior), trial, seed_of(seed, index)
        )
        fits.append(points)
        engines.append(engine)
    return IntegratedLikelihood.pooled(priors, fits, engines)


def _fit(model: Model, trial: Trial, seed: int) -> tuple[Points, str]:
    """Points by importance sampling where it can be trusted, else by NUTS."""
    from bayes_msc.graph import data_of

    sampler, numbers = Sampler.of(model, trial), data_of(model, trial)
    if model.patient_effect == "integrated":
        found = sampler.fast(numbers, seed)
        if not why_not_trusted(found):
            value = found.points[:, found.interest]
            group = found.replicate % GROUPS
            return Points(value, found.weights, group, found.ess, found.log_marginal), "fast"
    return _of_chains(sampler.nuts(numbers, Settings(), seed, cores=1)), "nuts"


def _of_chains(trace: Any) -> Points:
    """Points of equal weight; consecutive parts of all chains are the groups."""
    import arviz as az

    value = trace["posterior"]["log_rate_ratio"].to_numpy()
    chains, draws = value.shape
    block = np.arange(draws) * 2 // draws
    group = (np.arange(chains)[:, None] * 2 + block) % GROUPS
    size = min(float(az.ess(value)), float(value.size))
    weight = np.full(value.size, 1.0 / value.size)
    return Points(value.ravel(), weight, group.ravel(), size)
