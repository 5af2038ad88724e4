"""Has the sampler converged? Rank-normalised R-hat, effective sample sizes, divergences, E-BFMI.

Limits follow Vehtari et al. 2021 (Bayesian Analysis 16:667) and Betancourt 2016 (arXiv 1604.00695).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_msc.monte_carlo import MCSE_LIMIT, errors_of

COLUMNS = ("check", "target", "value", "limit", "ok", "affects", "hint")
R_HAT_LIMIT = 1.01
ESS_LIMIT = 400.0
BFMI_LIMIT = 0.3
#: Limits of importance sampling: the shape of the weights' tail is that of Vehtari et al. 2024.
WEIGHTS_K_LIMIT = 0.7
WEIGHTS_SIZE_LIMIT = 100.0
WEIGHTS_ERROR_LIMIT = 0.05
PARETO_LIMIT = 0.7
#: A posterior predictive p this close to 0 or 1 is flagged.
EXTREME = 0.01
#: Rate ratios c for which P(rate ratio < c) is always reported.
THRESHOLDS = (1.0, 0.8, 0.5)


def check_row(
    check: str,
    target: str,
    value: float,
    limit: str,
    ok: bool,
    hint: str,
    affects: str = "posterior",
) -> dict[str, Any]:
    """Return one row of a table of checks; the hint is kept only where the check fails.

    ``affects`` says which numbers depend on the check: ``"posterior"`` (all of them),
    ``"leave-one-out"`` or ``"predictions"``.
    """
    shown = "" if ok else hint
    cells = (check, target, float(value), limit, bool(ok), affects, shown)
    return dict(zip(COLUMNS, cells, strict=True))


def convergence(fit: xr.DataTree) -> pd.DataFrame:
    """Check the chains of a fit, or the weights of importance sampling.

    Parameters
    ----------
    fit : xarray.DataTree
        With the groups ``posterior`` and ``sample_stats``, and ``importance`` where that is the
        engine.

    Returns
    -------
    DataFrame
        Columns ``check``, ``target`` (the worst parameter or chain), ``value``, ``limit``, ``ok``,
        ``affects``, ``hint``.
    """
    import arviz as az

    if "importance" in fit.children:
        return pd.DataFrame(_weights(fit), columns=list(COLUMNS))
    stats = fit["sample_stats"].dataset
    divergences = int(stats["diverging"].sum()) if "diverging" in stats else 0
    bfmi = az.bfmi(fit)["energy"].to_numpy()
    posterior = fit["posterior"].dataset
    # a number that is set never moves, and has no R-hat
    free = [str(name) for name, array in posterior.data_vars.items() if "fixed" not in array.attrs]
    r_hat, r_hat_of = _worst(az.rhat(fit, var_names=free), largest=True)
    bulk, bulk_of = _worst(az.ess(fit, var_names=free, method="bulk"), largest=False)
    tail, tail_of = _worst(az.ess(fit, var_names=free, method="tail"), largest=False)
    more = "the chains are too short for stable numbers: fit with more draws"
    rows = [
        check_row(
            "R-hat",
            r_hat_of,
            r_hat,
            f"< {R_HAT_LIMIT}",
            r_hat < R_HAT_LIMIT,
            "the chains disagree: fit with longer tuning, and look at the prior of this parameter",
        ),
        check_row("bulk ESS", bulk_of, bulk, f"> {ESS_LIMIT:.0f}", bulk > ESS_LIMIT, more),
        check_row("tail ESS", tail_of, tail, f"> {ESS_LIMIT:.0f}", tail > ESS_LIMIT, more),
        check_row(
            "divergences",
            "all chains",
            divergences,
            "0",
            divergences == 0,
            "parts of the posterior may have been missed: raise target_accept towards 0.99",
        ),
        check_row(
            "E-BFMI",
            f"chain {int(np.argmin(bfmi))}",
            float(bfmi.min()),
            f"> {BFMI_LIMIT}",
            bool(bfmi.min() > BFMI_LIMIT),
            "the chains move slowly through the tails: fit with longer tuning",
        ),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _weights(fit: xr.DataTree) -> list[dict[str, Any]]:
    """Check importance weights: the tail's shape, the effective size, the error of the mean."""
    measures = fit["importance"].attrs
    again = 'importance sampling did not reach all of the posterior: fit with engine="nuts"'
    k, size = float(measures["pareto_k"]), float(measures["effective_size"])
    ratio = fit["posterior"]["log_rate_ratio"].to_numpy()
    error = errors_of(fit).of_mean(ratio) / float(ratio.std())
    target = "all points"
    rows = [
        ("Pareto k of the weights", target, k, f"< {WEIGHTS_K_LIMIT}", k < WEIGHTS_K_LIMIT),
        ("effective size", target, size, f"> {WEIGHTS_SIZE_LIMIT:.0f}", size > WEIGHTS_SIZE_LIMIT),
        (
            "error of the mean in SDs",
            "log_rate_ratio",
            error,
            f"< {WEIGHTS_ERROR_LIMIT}",
            error < WEIGHTS_ERROR_LIMIT,
        ),
    ]
    return [check_row(*row, again) for row in rows]


def enough_draws(fit: xr.DataTree) -> bool:
    """Whether P(rate ratio < c) has a Monte Carlo error below its limit at every threshold."""
    if "log_rate_ratio" not in fit["posterior"]:
        return True  # set, not sampled
    ratio = np.exp(fit["posterior"]["log_rate_ratio"].to_numpy())
    errors = errors_of(fit)
    return all(errors.of_probability(ratio < c) < MCSE_LIMIT for c in THRESHOLDS)


def _worst(values: xr.DataTree, largest: bool) -> tuple[float, str]:
    """Worst value over all variables and their elements, and its name; NaN is worst of all."""
    named: dict[str, float] = {}
    for name, array in values.dataset.data_vars.items():
        for index in np.ndindex(array.shape):
            item = array[index]
            labels = ", ".join(str(item.coords[dim].item()) for dim in array.dims)
            named[f"{name}[{labels}]" if labels else str(name)] = float(item)
    bad = np.inf if largest else -np.inf
    ranked = {name: bad if np.isnan(value) else value for name, value in named.items()}
    worst = (max if largest else min)(ranked, key=lambda name: ranked[name])
    return ranked[worst], worst
