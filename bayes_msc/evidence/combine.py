"""A trial beside others: its own effect, the mean effect and that of a new trial, as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayes_msc.convergence import convergence
from bayes_msc.errors import PublishedError, one_of
from bayes_msc.evidence.hierarchy import hierarchy
from bayes_msc.evidence.sampling import sample_hierarchy
from bayes_msc.evidence.tau import TAU_PRIORS
from bayes_msc.exact import Distribution, beyond
from bayes_msc.monte_carlo import MCSE_LIMIT
from bayes_msc.prior import Prior

METHODS = ("quadrature", "pymc")
TARGETS = ("this trial", "mean effect", "new trial")


def combine(
    estimates: Sequence[float],
    ses: Sequence[float],
    mu_prior: Prior,
    tau_priors: Sequence[Prior] = TAU_PRIORS,
    thresholds: Sequence[float] = (1.0, 0.8, 0.5),
    benefit: str = "lower",
    method: str = "quadrature",
    seed: int = 0,
) -> pd.DataFrame:
    """Combine a trial with others, under each prior of the standard deviation between trials.

    Parameters
    ----------
    estimates, ses : sequence of float
        Log rate ratios and standard errors; the first is this trial.
    mu_prior : Prior
        Of the mean effect.
    tau_priors : sequence of Prior
        Shown side by side.
    thresholds : sequence of float
        Rate ratios.
    benefit : str
        ``"lower"`` or ``"higher"``.
    method : str
        ``"quadrature"`` (exact) or ``"pymc"`` (NUTS, as a check from another side).
    seed : int
        For ``"pymc"``.

    Returns
    -------
    DataFrame
        ``tau_prior, mu_prior, target, rate_ratio, lower, upper``, one ``probability_below_C``
        (``probability_above_C`` where more is better) for each threshold, ``method``, ``mcse``,
        the largest Monte Carlo standard error of the probabilities in the row (0: exact), and
        ``failed_checks``, what the chains failed at, in words (empty: nothing).

    Raises
    ------
    PriorError, PublishedError
        If a prior, a number or the method is impossible.
    """
    one_of(method, METHODS, "method", PublishedError)
    rows = []
    for tau_prior in tau_priors:
        if method == "quadrature":
            exact = hierarchy(estimates, ses, mu_prior, tau_prior)
            posteriors: tuple[Distribution, ...]
            posteriors = (exact.trials[0], exact.mean_effect, exact.new_trial)
            found = [exact_numbers(p, thresholds, benefit) for p in posteriors]
            failed = ""
        else:
            draws = sample_hierarchy(estimates, ses, mu_prior, tau_prior, seed=seed)
            found = sampled_numbers(draws, thresholds, benefit)
            failed = failed_checks(draws, max(mcse for _, _, mcse in found))
        for target, (ratio, probabilities, mcse) in zip(TARGETS, found, strict=True):
            names = [probability_column(c, benefit) for c in thresholds]
            rows.append(
                {"tau_prior": str(tau_prior), "mu_prior": str(mu_prior), "target": target}
                | dict(zip(("rate_ratio", "lower", "upper"), ratio, strict=True))
                | dict(zip(names, probabilities, strict=True))
                | {"method": method, "mcse": mcse, "failed_checks": failed}
            )
    return pd.DataFrame(rows)


def probability_column(threshold: float, benefit: str) -> str:
    """Name of the column that holds the probability on the good side of a threshold."""
    return f"probability_{'below' if benefit == 'lower' else 'above'}_{threshold:g}"


Numbers = tuple[list[float], list[float], float]


def exact_numbers(posterior: Distribution, thresholds: Sequence[float], benefit: str) -> Numbers:
    """Ratio with its interval, probabilities of benefit, and the error of those: none."""
    low, middle, high = np.exp(posterior.ppf([0.025, 0.5, 0.975])).tolist()
    return [middle, low, high], beyond(posterior, thresholds, benefit).tolist(), 0.0


def sampled_numbers(draws: Any, thresholds: Sequence[float], benefit: str) -> list[Numbers]:
    """Return the same from draws, for this trial, the mean effect and a new trial."""
    import arviz as az

    posterior = draws["posterior"]
    sign = 1.0 if benefit == "lower" else -1.0
    found = []
    for values in (posterior["theta"].isel(trial=0), posterior["mu"], posterior["theta_new"]):
        low, middle, high = np.exp(np.quantile(values, [0.025, 0.5, 0.975])).tolist()
        good = [(sign * (values - math.log(c)) < 0).astype(float) for c in thresholds]
        errors = [float(az.mcse(g.values, method="mean")) if g.std() > 0 else 0.0 for g in good]
        found.append(([middle, low, high], [float(g.mean()) for g in good], max(errors)))
    return found


def failed_checks(draws: Any, mcse: float) -> str:
    """Say which checks the chains failed, and what to do; empty if none.

    Parameters
    ----------
    draws : xarray.DataTree
        From ``sample_hierarchy``.
    mcse : float
        The largest Monte Carlo error of what is said from them.
    """
    checks = convergence(draws)
    lines = [
        f"{row['check']} ({row['target']}) is {row['value']:.4g}, limit {row['limit']}"
        for row in checks[~checks["ok"]].to_dict("records")
    ]
    if mcse > MCSE_LIMIT:
        lines.append(f"Monte Carlo error of a probability is {mcse:.2g}, limit {MCSE_LIMIT:g}")
    return "; ".join(lines) and f"{'; '.join(lines)}: take the numbers by quadrature"
