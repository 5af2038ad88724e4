"""The tables of a reanalysis, one function a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.exact import (
    beyond,
    log_normal_density,
    ratio_summary,
    update,
)
from bayes_msc.prior import Prior
from bayes_msc.published import Published
from bayes_msc.routes import Effect, limit_multiplier

CURVE_POINTS = 241
DENSITY_POINTS = 401


def benefit_label(published: Published, threshold: float) -> str:
    """Say in plain English what lies on the good side of a rate ratio.

    Parameters
    ----------
    published : Published
        Gives the arms' labels, the endpoint and the direction of benefit.
    threshold : float
        Rate ratio.

    Returns
    -------
    str
        Such as ``"probability that MSC lowers the rate of new lesions by at least half"``.
    """
    lower = published.benefit == "lower"
    rate = f"the rate of {published.endpoint}"
    verb, opposite = ("lowers", "raise") if lower else ("raises", "lower")
    start = f"probability that {published.active.label}"
    if threshold == 1:
        return f"{start} {verb} {rate}"
    change = abs(threshold - 1) * 100
    if (threshold < 1) != lower:
        return f"{start} does not {opposite} {rate} by {change:.3g} % or more"
    if threshold == 0.5:
        return f"{start} {verb} {rate} by at least half"
    if threshold == 2:
        return f"{start} at least doubles {rate}"
    return f"{start} {verb} {rate} by at least {change:.3g} %"


def statement_table(
    published: Published,
    priors: Mapping[str, Prior],
    estimate: float,
    se: float,
    thresholds: Sequence[float],
) -> pd.DataFrame:
    """Rate ratio and probabilities of benefit for every stance, beside what the prior alone said.

    Returns
    -------
    DataFrame
        For each stance a row ``rate_ratio``, a row ``prior_rate_ratio``, and a row
        ``prob_rate_ratio_below`` (``prob_rate_ratio_above`` where a higher rate is better) for
        each threshold.
    """
    arms = f"{published.active.label} over {published.control.label}"
    side = "below" if published.benefit == "lower" else "above"
    rows: list[dict[str, Any]] = []
    for name, prior in priors.items():
        posterior = update(prior, estimate, se)
        after = beyond(posterior, thresholds, published.benefit)
        before = beyond(prior, thresholds, published.benefit)
        ratio = {"stance": name, "statement": "rate_ratio", "label": f"rate ratio, {arms}"}
        rows.append(ratio | dict(ratio_summary(posterior)))
        alone = f"rate ratio, {arms}: the prior alone"
        ratio = {"stance": name, "statement": "prior_rate_ratio", "label": alone}
        rows.append(ratio | dict(ratio_summary(prior)))
        rows += [
            {
                "stance": name,
                "statement": f"prob_rate_ratio_{side}",
                "label": benefit_label(published, c),
                "threshold": c,
                "probability": float(p),
                "prior_probability": float(q),
            }
            for c, p, q in zip(thresholds, after, before, strict=True)
        ]
    numbers = ["threshold", "median", "mean", "lower", "upper", "probability", "prior_probability"]
    table = pd.DataFrame(rows, columns=["stance", "statement", "label", *numbers])
    return table.assign(mcse=0.0)


def curve_table(
    benefit: str,
    priors: Mapping[str, Prior],
    estimate: float,
    se: float,
    thresholds: Sequence[float],
) -> pd.DataFrame:
    """Probability on the good side of every rate ratio c, before and after the trial."""
    grid = np.geomspace(0.05, 4.0, CURVE_POINTS)
    grid = grid if benefit == "lower" else 1 / grid
    points = np.unique(np.concatenate([grid, thresholds]))
    tables = [
        pd.DataFrame(
            {
                "stance": name,
                "threshold": points,
                "probability": beyond(update(prior, estimate, se), points, benefit),
                "prior_probability": beyond(prior, points, benefit),
            }
        )
        for name, prior in priors.items()
    ]
    return pd.concat(tables, ignore_index=True)


def density_table(priors: Mapping[str, Prior], estimate: float, se: float) -> pd.DataFrame:
    """Densities of the log rate ratio: prior, likelihood (scaled to 1) and posterior."""
    points = _density_points(priors, estimate, se)
    likelihood = np.exp(log_normal_density(points, estimate, se))
    tables = [
        pd.DataFrame(
            {
                "stance": name,
                "log_rate_ratio": points,
                "prior": prior.pdf(points),
                "likelihood": likelihood,
                "posterior": update(prior, estimate, se).pdf(points),
            }
        )
        for name, prior in priors.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _density_points(priors: Mapping[str, Prior], estimate: float, se: float) -> NDArray[np.float64]:
    """Cover the likelihood, and the priors as far as they are not much wider than it."""
    reach = 3.5 * se
    ends = [estimate - reach, estimate + reach, -0.5, 0.5]
    ends += [
        float(np.clip(e, -3 * reach, 3 * reach)) for p in priors.values() for e in p.interval()
    ]
    low, high = min(ends), max(ends)
    low, high = max(low, estimate - 2 * reach), min(high, max(estimate, 0.0) + 2 * reach)
    return np.linspace(low, high, DENSITY_POINTS)


def forest_table(
    published: Published,
    analysis: str,
    others: Sequence[Published],
    effects: Sequence[Effect],
    combined: pd.DataFrame,
) -> pd.DataFrame:
    """One row a trial with its own 95 % limits (from the standard error), then the combinations.

    Returns
    -------
    DataFrame
        ``label, kind ("trial", "external", "combined"), rate_ratio, lower, upper, note``.
    """
    rows = []
    notes = [
        f"{analysis}: {published.printed(analysis)}",
        *(f"{other.preferred}: {other.printed()}" for other in others),
    ]
    for i, (trial, effect, note) in enumerate(
        zip([published, *others], effects, notes, strict=True)
    ):
        reach = limit_multiplier(0.95) * effect.se
        ends = [math.exp(effect.log_rate_ratio + k * reach) for k in (0, -1, 1)]
        size = f"{trial.active.n + trial.control.n} patients"
        kind = "external" if i else "trial"
        rows.append((trial.short_title, kind, *ends, f"{size}; printed, {note}"))
    for row in combined.to_dict("records"):
        words = {
            "this trial": f"{published.short_title}, given the other trials",
            "mean effect": "mean effect over trials",
            "new trial": "effect in a new trial",
        }[row["target"]]
        note = f"tau ~ {row['tau_prior']}, mu ~ {row['mu_prior']}"
        ends = [row["rate_ratio"], row["lower"], row["upper"]]
        rows.append((words, "combined", *ends, note))
    columns = ["label", "kind", "rate_ratio", "lower", "upper", "note"]
    return pd.DataFrame(rows, columns=columns)
