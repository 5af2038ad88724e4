"""The honest test of a prior: what it made of a later trial, from the small trial alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bayes_msc.evidence import tau_posterior
from bayes_msc.exact import as_components, components, log_normal_density, mixture, update
from bayes_msc.prior import Prior
from bayes_msc.published import Published
from bayes_msc.routes import Effect

NO_HETEROGENEITY = "none: one true effect in both trials"
COLUMNS = (
    "stance",
    "external",
    "observed_rate_ratio",
    "predicted_median",
    "predicted_lower",
    "predicted_upper",
    "percentile",
    "log_score",
    "meaning",
    "heterogeneity",
)


def predict(
    prior: Prior, estimate: float, se: float, other_se: float, tau_prior: Prior | None = None
) -> Prior:
    """Prediction of another trial's estimate from this trial alone.

    Parameters
    ----------
    prior : Prior
        Stance on the effect (on the mean effect, if trials may differ).
    estimate, se : float
        This trial's log rate ratio and standard error.
    other_se : float
        Standard error of the other trial.
    tau_prior : Prior, optional
        Of the standard deviation between trials; without it both trials share one true effect.

    Returns
    -------
    Prior
        A mixture of normals: exact for every prior.
    """
    if tau_prior is None:
        weights, locs, scales = as_components(update(prior, estimate, se))
        return mixture(weights, locs, np.hypot(scales, other_se))
    tau, probability = tau_posterior([estimate], [se], prior, tau_prior).nodes()
    keep = probability > 1e-14
    parts = []
    for t, p in zip(tau[keep], probability[keep], strict=True):
        w, m, s = as_components(update(prior, estimate, math.hypot(se, t)))
        seen = w > 1e-14
        noise = math.hypot(t, other_se)
        parts.append(np.stack([p * w[seen], m[seen], np.hypot(s[seen], noise)]))
    weights, locs, scales = np.concatenate(parts, axis=1)
    return mixture(weights, locs, scales)


def prediction_table(
    priors: Mapping[str, Prior],
    effect: Effect,
    others: Sequence[Published],
    other_effects: Sequence[Effect],
    tau_prior: Prior,
) -> pd.DataFrame:
    """Where each other trial fell in the prediction that each stance made from this trial alone.

    Parameters
    ----------
    priors : mapping of str to Prior
        Stances; with heterogeneity they are about the mean effect over trials.
    effect : Effect
        This trial's.
    others, other_effects : sequence
        The other trials and their effects; only their standard errors enter the predictions.
    tau_prior : Prior
        Standard deviation between trials, for the second set of rows.

    Returns
    -------
    DataFrame
        Two rows for each stance and trial: one true effect in both trials, and effects that differ
        between trials. ``percentile`` (0 to 100) is the share of the prediction below the observed
        rate ratio; ``log_score`` is the log predictive density of the observed log rate ratio
        (higher is better).
    """
    rows = []
    for other, seen in zip(others, other_effects, strict=True):
        for words, tau in (
            (NO_HETEROGENEITY, None),
            (f"effects differ between trials, tau ~ {tau_prior}", tau_prior),
        ):
            for name, prior in priors.items():
                forecast = predict(prior, effect.log_rate_ratio, effect.se, seen.se, tau)
                low, middle, high = np.exp(forecast.ppf([0.025, 0.5, 0.975]))
                below = float(forecast.cdf(seen.log_rate_ratio))
                observed = math.exp(seen.log_rate_ratio)
                score = _log_density(forecast, seen.log_rate_ratio)
                row = (name, other.name, observed, middle, low, high, 100 * below, score)
                meaning = _meaning(name, other.short_title, observed, low, high, below)
                rows.append((*row, meaning, words))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _log_density(forecast: Prior, value: float) -> float:
    """Log density of a mixture of normals, far out in the tails too."""
    weights, locs, scales = components(forecast)
    logs = np.log(weights) + log_normal_density(value, locs, scales)
    peak = float(np.max(logs))
    return peak + math.log(float(np.sum(np.exp(logs - peak))))


def _meaning(
    stance: str, other: str, observed: float, low: float, high: float, below: float
) -> str:
    place = (
        "well inside the prediction"
        if 0.25 <= below <= 0.75
        else "inside the 95 % prediction interval, off its centre"
        if 0.025 <= below <= 0.975
        else "outside the 95 % prediction interval"
    )
    side = "below" if below < 0.5 else "above"
    return (
        f"from the small trial alone, the {stance} stance predicted a rate ratio between "
        f"{low:.2f} and {high:.2f} for {other}; it found {observed:.2f}, {side} the median and "
        f"{place}"
    )
