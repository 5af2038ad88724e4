"""Could the model have made these counts? Statistics and frequencies of counts drawn from a fit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msc.convergence import EXTREME
from bayes_msc.errors import ModelError, one_of
from bayes_msc.fit import model_of, trial_of
from bayes_msc.predictive import simulate_rows
from bayes_msc.predictor import draws_of
from bayes_msc.rows import arrange

Array = NDArray[np.float64]
Statistic = Callable[[NDArray[Any]], Array]

INTERVAL = (0.025, 0.975)
#: Whose counts are drawn: those of patients never seen, or again those of the trial's own.
PATIENTS = ("new", "same")
CHECK_COLUMNS = (
    "patients",
    "group",
    "rows",
    "statistic",
    "observed",
    "median",
    "lower",
    "upper",
    "p",
    "flag",
)
SINGLE_COUNTS = 11


def _dispersion(counts: NDArray[Any]) -> Array:
    """Variance over mean; not a number where every count is 0."""
    variance, mean = counts.var(axis=-1), counts.mean(axis=-1)
    nothing = np.full_like(mean, np.nan)
    return np.asarray(np.divide(variance, mean, out=nothing, where=mean > 0))


STATISTICS: Mapping[str, Statistic] = {
    "mean": lambda y: np.asarray(y.mean(axis=-1)),
    "variance": lambda y: np.asarray(y.var(axis=-1)),
    "variance / mean": _dispersion,
    "share of zeros": lambda y: np.asarray((y == 0).mean(axis=-1)),
    "maximum": lambda y: np.asarray(y.max(axis=-1), dtype=float),
}


def predictive_checks(
    fit: xr.DataTree, *, patients: Sequence[str] = PATIENTS, seed: int = 1
) -> pd.DataFrame:
    """Compare the observed counts with counts drawn from the fitted model.

    Counts are drawn in two ways, and each sees what the other cannot.

    ``"new"`` draws a trial of the same design with patients never seen (same arms, exposures and
    baselines; patient effects from their normal distribution). Everything the model says is on
    trial here, also how patients differ. But with few patients the next nine may be anything, the
    intervals are wide, and only gross misfit shows.

    ``"same"`` draws new counts for the trial's own patients, each with the effect that was
    estimated from its counts. The intervals are narrower: too many zeros, too large a maximum or
    an arm or period that is off show sooner. It cannot see whether the patients were rightly
    taken as normally distributed, for it takes them as they are.

    Parameters
    ----------
    fit : xarray.DataTree
        From ``bayes_msc.fit``.
    patients : sequence of str
        ``"new"``, ``"same"`` or both.
    seed : int
        For the counts of the same patients; those of new patients are the fit's own.

    Returns
    -------
    DataFrame
        One row for each kind of draw, group of rows and statistic. Columns ``patients``;
        ``group`` (``"all"``, each arm, each period, each arm in each period); ``rows`` (how many
        counts the group has); ``statistic`` (mean, variance with divisor n, variance / mean,
        share of zeros, maximum of the rows' counts); ``observed``; ``median``, ``lower``,
        ``upper`` (95 % of the drawn trials); ``p`` (share of drawn trials whose statistic exceeds
        the observed one, ties counted half); ``flag`` (empty, or in which direction the observed
        value is one that the model hardly ever makes: p at most 0.01 or at least 0.99).

    Raises
    ------
    ModelError
        If ``patients`` names another kind.

    Notes
    -----
    Posterior predictive p-values (Gelman, Meng & Stern 1996). The data are used twice, to fit and
    to check, so that p is drawn towards 0.5: a flag means more than its 0.01 says, and no flag
    means less (Bayarri & Berger 2000). On the other hand the table has many rows. Variance over
    mean is left out of draws in which every count is 0, and has no p where the observed ones are.
    """
    observed = _observed(fit)
    groups = row_groups(fit)
    rows = [
        {"patients": kind, "group": group, "rows": int(mask.sum()), **row}
        for kind in patients
        for drawn in (replicates(fit, kind, seed),)
        for group, mask in groups.items()
        for row in compare(observed[mask], drawn[:, mask])
    ]
    return pd.DataFrame(rows, columns=list(CHECK_COLUMNS))


def compare(observed: NDArray[Any], drawn: NDArray[Any]) -> list[dict[str, Any]]:
    """Place each statistic of the observed counts among those of the drawn ones.

    Parameters
    ----------
    observed : ndarray, shape (rows,)
    drawn : ndarray, shape (draws, rows)

    Returns
    -------
    list of dict
        One a statistic: ``statistic``, ``observed``, ``median``, ``lower``, ``upper``, ``p``,
        ``flag``.
    """
    return [_placed(name, STATISTICS[name], observed, drawn) for name in STATISTICS]


def _placed(
    name: str, statistic: Statistic, observed: NDArray[Any], drawn: NDArray[Any]
) -> dict[str, Any]:
    here, there = float(statistic(observed)), statistic(drawn)
    there = there[np.isfinite(there)]
    lower, median, upper = (
        np.quantile(there, [INTERVAL[0], 0.5, INTERVAL[1]]) if len(there) else [np.nan] * 3
    )
    p = _share_above(here, there)
    flag = "higher than the model makes" if p <= EXTREME else ""
    flag = "lower than the model makes" if p >= 1 - EXTREME else flag
    values = (name, here, float(median), float(lower), float(upper), p, flag)
    return dict(zip(CHECK_COLUMNS[3:], values, strict=True))


def _share_above(here: float, there: Array) -> float:
    """Share of values above one, ties half; not a number where there is nothing to compare."""
    if not (len(there) and np.isfinite(here)):
        return float("nan")
    # a variance summed in another order differs in its last digit
    tied = np.isclose(there, here, rtol=1e-9, atol=1e-12)
    return float(((there > here) & ~tied).mean() + 0.5 * tied.mean())


def replicates(fit: xr.DataTree, patients: str = "new", seed: int = 1) -> NDArray[np.int64]:
    """Counts drawn from a fit, one trial a posterior draw.

    Parameters
    ----------
    fit : xarray.DataTree
    patients : str
        ``"new"``: the fit's group ``posterior_predictive``. ``"same"``: drawn here, given
        ``patient_effect`` of the posterior.
    seed : int
        For ``"same"``.

    Returns
    -------
    ndarray of int, shape (draws, observations)

    Raises
    ------
    ModelError
        If ``patients`` is neither.
    """
    one_of(patients, PATIENTS, "kind of patients", ModelError)
    if patients == "new":
        drawn = fit["posterior_predictive"]["count"].to_numpy()
        return np.asarray(drawn.reshape(-1, drawn.shape[-1]))
    return _same_patients(fit, np.random.default_rng(seed))


def _same_patients(fit: xr.DataTree, rng: np.random.Generator) -> NDArray[np.int64]:
    model = model_of(fit)
    rows = arrange(trial_of(fit), model)
    draws = draws_of(fit)
    sd, effect = draws["patient_sd"][:, None], draws["patient_effect"]
    z = np.divide(effect, sd, out=np.zeros_like(effect), where=sd > 0)
    return rows.flat(simulate_rows(model, rows, draws, z, rng)).astype(np.int64)


def _observed(fit: xr.DataTree) -> NDArray[np.int64]:
    return np.asarray(fit["observed_data"]["count"].to_numpy())


def arm_groups(fit: xr.DataTree) -> dict[str, NDArray[np.bool_]]:
    """Rows of the whole trial and of each arm, as masks over the observations."""
    trial = trial_of(fit)
    treated = fit["constant_data"]["treated"].to_numpy().astype(bool)
    groups = {"all": np.ones_like(treated), trial.control: ~treated, trial.active: treated}
    return {name: mask for name, mask in groups.items() if mask.any()}


def row_groups(fit: xr.DataTree) -> dict[str, NDArray[np.bool_]]:
    """Rows of the whole trial, each arm, each period, each arm in each period, as masks."""
    groups = arm_groups(fit)
    constant = fit["constant_data"].dataset
    if "period" not in constant:
        return groups
    period = constant["period"].to_numpy()
    known = np.unique(period[np.isfinite(period)])
    if len(known) < 2:
        return groups
    periods = {f"period {value:g}": period == value for value in known}
    arms = [(name, mask) for name, mask in groups.items() if name != "all"]
    both = {
        f"{arm}, {name}": mask & of_period
        for (arm, mask), (name, of_period) in itertools.product(arms, periods.items())
    }
    return {**groups, **periods, **{name: mask for name, mask in both.items() if mask.any()}}


def rootogram(fit: xr.DataTree, *, patients: str = "new", seed: int = 1) -> pd.DataFrame:
    """Count how often each value occurs in the data, and in trials drawn from the fit.

    Parameters
    ----------
    fit : xarray.DataTree
        From ``bayes_msc.fit``.
    patients : str
        ``"new"`` or ``"same"``, as in ``predictive_checks``.
    seed : int
        For the counts of the same patients.

    Returns
    -------
    DataFrame
        One row for each group (``"all"`` and each arm) and count. Columns ``group``; ``count``
        (one value, or a range as text: single values up to 10, then widening, the last one open);
        ``observed`` (rows of the data with this count); ``expected`` (mean over the drawn
        trials); ``lower``, ``upper`` (95 % of them; a quantile of the square root is the square
        root of the quantile, so the interval serves on either scale).

    Raises
    ------
    ModelError
        If ``patients`` is neither kind.

    Notes
    -----
    ``bayes_msc.plots.rootogram`` draws it as a hanging rootogram (Tukey 1972; Kleiber & Zeileis
    2016, The American Statistician 70:296).
    """
    observed, drawn = _observed(fit), replicates(fit, patients, seed)
    edges = count_edges(float(observed.max()), drawn)
    tables = [
        _frequency_table(observed[mask], drawn[:, mask], edges).assign(group=group)
        for group, mask in arm_groups(fit).items()
    ]
    table = pd.concat(tables, ignore_index=True)
    return table[["group", "count", "observed", "expected", "lower", "upper"]]


def _frequency_table(observed: NDArray[Any], drawn: NDArray[Any], edges: Array) -> pd.DataFrame:
    in_draws = _frequencies(drawn, edges)
    lower, upper = np.quantile(in_draws, INTERVAL, axis=0)
    return pd.DataFrame(
        {
            "count": _labels(edges),
            "observed": _frequencies(observed[None, :], edges)[0],
            "expected": in_draws.mean(axis=0),
            "lower": lower,
            "upper": upper,
        }
    )


def _frequencies(counts: NDArray[Any], edges: Array) -> NDArray[np.int64]:
    """How often each bin is hit in each data set, shape (data sets, bins)."""
    bins = np.digitize(counts, edges) - 1
    size = len(edges) - 1
    offset = bins + size * np.arange(len(bins))[:, None]
    return np.bincount(offset.ravel(), minlength=size * len(bins)).reshape(len(bins), size)


def count_edges(highest: float, drawn: NDArray[Any]) -> Array:
    """Edges of the bins: single counts up to 10, then widening, the last one open.

    Parameters
    ----------
    highest : float
        Highest count observed.
    drawn : ndarray
        Drawn counts; the last bin begins no later than their 99th percentile or at the highest
        count observed, whichever is more.
    """
    top = max(highest, float(np.quantile(drawn, 0.99)))
    edges = list(np.arange(0.0, min(top, SINGLE_COUNTS - 1) + 1))
    following, width = float(SINGLE_COUNTS), 2.0
    while following <= top:
        edges.append(following)
        following, width = following + width, float(np.ceil(1.4 * width))
    edges.append(np.inf)
    return np.asarray(edges)


def _labels(edges: Array) -> list[str]:
    names = []
    for left, right in itertools.pairwise(edges):
        if np.isinf(right):
            names.append(f"{left:.0f}+")
        else:
            names.append(f"{left:.0f}" if right - left == 1 else f"{left:.0f}–{right - 1:.0f}")
    return names
