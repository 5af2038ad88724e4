"""Operating characteristics from simulated and analysed trials, with Monte Carlo errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bayes_msc.errors import DesignError
from bayes_msc.simulation.chunk import NAMES

Array = NDArray[np.float64]
#: Columns of the trials that a summary reads.
NEEDED = (
    *NAMES,
    "true_log_rate_ratio",
    "log_estimate",
    "log_lower",
    "log_upper",
    "success",
    "engine",
)


def share_error(hits: ArrayLike, trials: ArrayLike) -> Array:
    """Monte Carlo standard error of a share, not 0 where none or all of the trials were hits.

    The posterior standard deviation under Jeffreys' prior, Beta(1/2, 1/2).
    """
    n = np.asarray(trials, dtype=float)
    p = (np.asarray(hits, dtype=float) + 0.5) / (n + 1.0)
    return np.asarray(np.sqrt(p * (1.0 - p) / (n + 2.0)))


def summarise(rows: pd.DataFrame, by: Sequence[str] = NAMES) -> pd.DataFrame:
    """Summarise simulated trials.

    Parameters
    ----------
    rows : DataFrame
        One row a simulated trial, analysis and rule, with the columns ``NEEDED``.
    by : sequence of str
        What tells the lines of the summary apart.

    Returns
    -------
    DataFrame
        One line a design, truth, model, prior and rule; every number with its Monte Carlo standard
        error beside it (``_mcse``):

        ``rate_ratio`` (the true one, or the geometric mean of several); ``trials``, ``unanswered``
        (trials on which no engine or method had an answer: they count as no success and take no
        part in the rest); ``success``: how often the rule was met, the type I error where the truth
        is no effect (``is_null``), averaged over the truths where these differ; ``bias`` and
        ``rmse`` of the estimated log rate ratio (posterior median); ``coverage`` of the 95 %
        interval and its mean ``width`` on the log scale (of the finite ones); ``type_s``: share of
        successes with an estimate on the wrong side of no effect; ``type_m``: mean of |estimate|
        over |truth| among successes, logs (both NaN where the truth is no effect).

    Notes
    -----
    Type S and M errors: Gelman & Carlin 2014, Perspectives on Psychological Science 9:641. Monte
    Carlo errors: Morris, White & Crowther 2019, Statistics in Medicine 38:2074, table 6; those of
    shares as in ``share_error``.
    """
    return summarise_parts([rows], by)


def summarise_parts(parts: Iterable[pd.DataFrame], by: Sequence[str] = NAMES) -> pd.DataFrame:
    """Summarise simulated trials that come in parts, so that one part at a time is in memory.

    Parameters
    ----------
    parts : iterable of DataFrame
        As for ``summarise``; a line of the summary may draw on several of them.
    by : sequence of str

    Returns
    -------
    DataFrame
        See ``summarise``.
    """
    keys = list(by)
    each = pd.concat([_sums(rows, keys) for rows in parts], ignore_index=True)
    sums = each.groupby(keys, sort=False).sum()
    n = sums.pop("n").to_numpy(float)
    table = pd.DataFrame(index=sums.index)
    table["trials"] = n.astype(int)
    table["unanswered"] = n.astype(int) - sums["answered"].astype(int)
    table["rate_ratio"] = np.exp(sums["true_log"] / n)
    table["is_null"] = (sums["effect"] == 0).to_numpy()
    table["success"] = sums["success"] / n
    table["success_mcse"] = share_error(sums["success"], n)
    known = sums["estimated"].to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        _add_errors(table, sums, known)
        _add_interval(table, sums)
        _add_sign_and_size(table, sums)
    return table.reset_index()


def _sums(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """What is added up, one line a group of these rows."""
    work = _measures(rows).assign(n=1.0)
    groups = pd.concat([rows[keys], work], axis=1).groupby(keys, sort=False, observed=True)
    sums = groups[list(work.columns)].sum().reset_index()
    # categories are the part's own
    return sums.astype({key: "str" for key in keys if sums[key].dtype == "category"})


def _measures(rows: pd.DataFrame) -> pd.DataFrame:
    """What is added up over trials: zeros where it does not apply."""
    truth = rows["true_log_rate_ratio"].to_numpy(float)
    estimate = rows["log_estimate"].to_numpy(float)
    lower, upper = (rows[name].to_numpy(float) for name in ("log_lower", "log_upper"))
    success = rows["success"].to_numpy(bool)
    known = np.isfinite(estimate)
    error = np.where(known, estimate - truth, 0.0)
    bounded = ~np.isnan(lower) & ~np.isnan(upper)
    finite = np.isfinite(lower) & np.isfinite(upper)
    width = np.where(finite, np.where(finite, upper, 0.0) - np.where(finite, lower, 0.0), 0.0)
    effect = truth != 0
    shown = success & known & effect
    size = np.where(shown, np.abs(estimate) / np.where(effect, np.abs(truth), 1.0), 0.0)
    columns = {
        "answered": rows["engine"].to_numpy() != "none",
        "success": success,
        "effect": effect,
        "true_log": truth,
        "estimated": known,
        "error": error,
        "error2": error**2,
        "error4": error**4,
        "bounded": bounded,
        "covered": bounded & (lower <= truth) & (truth <= upper),
        "finite": finite,
        "width": width,
        "width2": width**2,
        "shown": shown,
        "wrong": shown & (estimate * truth < 0),
        "size": size,
        "size2": size**2,
    }
    return pd.DataFrame(columns, index=rows.index).astype(float)


def _mean_error(total: Array, squares: Array, n: Array) -> Array:
    """Standard error of a mean from sums of values and of squares."""
    variance = np.maximum(squares - total**2 / n, 0.0) / np.where(n > 1, n - 1, np.nan)
    return np.asarray(np.sqrt(variance / n))


def _add_errors(table: pd.DataFrame, sums: pd.DataFrame, n: Array) -> None:
    table["bias"] = sums["error"] / n
    table["bias_mcse"] = _mean_error(sums["error"].to_numpy(), sums["error2"].to_numpy(), n)
    mean_square = sums["error2"].to_numpy() / n
    table["rmse"] = np.sqrt(mean_square)
    # delta method
    of_square = _mean_error(sums["error2"].to_numpy(), sums["error4"].to_numpy(), n)
    table["rmse_mcse"] = of_square / (2.0 * np.sqrt(mean_square))


def _add_interval(table: pd.DataFrame, sums: pd.DataFrame) -> None:
    bounded, finite = sums["bounded"].to_numpy(), sums["finite"].to_numpy()
    table["coverage"] = sums["covered"].to_numpy() / bounded
    error = share_error(sums["covered"], bounded)
    table["coverage_mcse"] = np.where(bounded > 0, error, np.nan)
    table["width"] = sums["width"].to_numpy() / finite
    table["width_mcse"] = _mean_error(sums["width"].to_numpy(), sums["width2"].to_numpy(), finite)


def _add_sign_and_size(table: pd.DataFrame, sums: pd.DataFrame) -> None:
    shown = sums["shown"].to_numpy()
    table["type_s"] = sums["wrong"].to_numpy() / shown
    table["type_s_mcse"] = np.where(shown > 0, share_error(sums["wrong"], shown), np.nan)
    table["type_m"] = sums["size"].to_numpy() / shown
    table["type_m_mcse"] = _mean_error(sums["size"].to_numpy(), sums["size2"].to_numpy(), shown)


def calibrated_thresholds(rows: pd.DataFrame, *, type_one_error: float = 0.05) -> pd.DataFrame:
    """Find the posterior probability to ask for, so that a rule errs as often as stated.

    Parameters
    ----------
    rows : DataFrame
        Simulated trials; those whose truth is no effect are used.
    type_one_error : float
        How often a trial of no effect may meet the rule.

    Returns
    -------
    DataFrame
        One line a design, truth, model, prior and rule: ``trials``, ``probability`` (the smallest
        threshold that at most this share of the null trials reach), with the ends ``lower`` and
        ``upper`` of its 95 % interval (order statistics), and the ``achieved`` type I error with
        its ``achieved_mcse``. Rules that do not look at a posterior probability are left out.

    Raises
    ------
    DesignError
        If the error is impossible, or no trial has the truth of no effect.
    """
    if not 0 < type_one_error < 1:
        raise DesignError(f"type_one_error is {type_one_error:g}: it must be between 0 and 1")
    null = rows[(rows["true_log_rate_ratio"] == 0) & (rows["kind"] == "probability")]
    if null.empty:
        raise DesignError(
            "no simulated trial has the truth of no effect and a rule on a posterior probability: "
            "simulate a truth with rate_ratio = 1"
        )
    groups = null.groupby(list(NAMES), sort=False, observed=True)
    found = [
        {**dict(zip(NAMES, key, strict=True)), **_threshold(group["statistic"], type_one_error)}
        for key, group in groups
    ]
    return pd.DataFrame(found)


def _threshold(values: pd.Series, level: float) -> dict[str, float]:
    ordered = np.sort(np.nan_to_num(values.to_numpy(float), nan=-np.inf))[::-1]
    n = len(ordered)

    def just_above(count: int) -> float:
        """Smallest threshold that no more than ``count`` trials reach."""
        return float(np.nextafter(ordered[min(count, n - 1)], np.inf))

    few, many = stats.binom.ppf([0.025, 0.975], n, level).astype(int)
    probability = just_above(int(np.floor(level * n)))
    reached = int((ordered >= probability).sum())
    return {
        "trials": n,
        "probability": probability,
        "lower": just_above(many),
        "upper": just_above(few),
        "achieved": reached / n,
        "achieved_mcse": float(share_error(reached, n)),
    }
