"""Tables that only the report on a fit needs: patients, checks, counts against the fit."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msc.trial import Trial

MASS = (0.025, 0.5, 0.975)
SINGLE_COUNTS = 11
MANY = ("MCSE of probability", "Pareto k")


def patient_table(fit: xr.DataTree, trial: Trial) -> pd.DataFrame:
    """Give each patient's rate as a multiple of the typical patient's.

    Returns
    -------
    DataFrame
        Columns patient, events (seen), share (of all events), fold, lower, upper.
    """
    effect = fit["posterior"]["patient_effect"]
    lower, fold, upper = np.exp(effect.quantile(MASS, dim=("chain", "draw")).to_numpy())
    names = [str(name) for name in effect["patient"].to_numpy()]
    events = trial.data.groupby("patient", sort=False)["count"].sum().reindex(names).to_numpy()
    return pd.DataFrame(
        {
            "patient": names,
            "events": events,
            "share": events / max(float(np.nansum(events)), 1.0),
            "fold": fold,
            "lower": lower,
            "upper": upper,
        }
    )


def shown_checks(diagnostics: pd.DataFrame) -> pd.DataFrame:
    """Keep of checks that have a row for every patient or statement only the worst and the failed.

    Parameters
    ----------
    diagnostics : DataFrame
        What ``diagnose`` returned.

    Returns
    -------
    DataFrame
        Some of its rows, in its order.
    """
    many = diagnostics["check"].isin(MANY)
    worst = diagnostics[many].groupby("check", sort=False)["value"].idxmax()
    kept = ~many | ~diagnostics["ok"].astype(bool) | diagnostics.index.isin(worst)
    return diagnostics[kept].reset_index(drop=True)


def rootogram_table(fit: xr.DataTree) -> pd.DataFrame:
    """Count how often each value occurs in the data and in data simulated from the fit.

    Returns
    -------
    DataFrame
        Columns count (one value, or a range as text), observed, expected (mean over simulated
        data sets), lower, upper (95 % of them).
    """
    observed = np.asarray(fit["observed_data"]["count"].to_numpy(), dtype=float)
    drawn = np.asarray(fit["posterior_predictive"]["count"].to_numpy(), dtype=float)
    simulated = drawn.reshape(-1, len(observed))
    edges = count_edges(float(observed.max()), simulated)
    in_data = np.histogram(observed, edges)[0]
    in_fits = _frequencies(simulated, edges)
    lower, upper = np.quantile(in_fits, [MASS[0], MASS[2]], axis=0)
    return pd.DataFrame(
        {
            "count": _labels(edges),
            "observed": in_data,
            "expected": in_fits.mean(axis=0),
            "lower": lower,
            "upper": upper,
        }
    )


def _frequencies(simulated: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """How often each bin is hit in each simulated data set, shape (data sets, bins)."""
    bins = np.digitize(simulated, edges) - 1
    size = len(edges) - 1
    offset = bins + size * np.arange(len(bins))[:, None]
    return np.bincount(offset.ravel(), minlength=size * len(bins)).reshape(len(bins), size)


def count_edges(highest: float, simulated: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges of the bins: single counts up to 10, then widening, the last one open.

    Parameters
    ----------
    highest : float
        Highest count observed.
    simulated : ndarray
        Simulated counts; the last bin begins no later than their 99th percentile or at the
        highest count observed, whichever is more.
    """
    top = max(highest, float(np.quantile(simulated, 0.99)))
    edges = list(np.arange(0.0, min(top, SINGLE_COUNTS - 1) + 1))
    following, width = float(SINGLE_COUNTS), 2.0
    while following <= top:
        edges.append(following)
        following, width = following + width, float(np.ceil(1.4 * width))
    edges.append(np.inf)
    return np.asarray(edges)


def _labels(edges: NDArray[np.float64]) -> list[str]:
    names = []
    for left, right in itertools.pairwise(edges):
        if np.isinf(right):
            names.append(f"{left:.0f}+")
        else:
            names.append(f"{left:.0f}" if right - left == 1 else f"{left:.0f}–{right - 1:.0f}")
    return names
