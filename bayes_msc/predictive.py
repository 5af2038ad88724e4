"""What a model says about counts before and after the data: prior and posterior predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.counts import FAMILIES
from bayes_msc.model import Model
from bayes_msc.parameters import derived
from bayes_msc.predictor import Draws, row_parameters
from bayes_msc.rows import LOG_FLOOR, Rows, arrange
from bayes_msc.trial import Trial


def prior_draws(
    model: Model, trial: Trial, draws: int, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Draw every parameter from its prior.

    Returns
    -------
    dict of str to ndarray of float, shape (draws,)
        Free and fixed parameters, and what follows from them, such as ``overdispersion``.
    """
    values = {
        name: np.asarray(prior.frozen().rvs(size=draws, random_state=rng), dtype=float)
        for name, prior in model.priors_for(trial).items()
    }
    return {**values, **derived(values)}


def log_prior(model: Model, trial: Trial, draws: Draws) -> dict[str, NDArray[np.float64]]:
    """Log prior density of every free parameter at its draws, of the same shape."""
    return {
        name: np.log(np.maximum(prior.pdf(draws[name]), 1e-300))
        for name, prior in model.priors_for(trial).items()
        if not prior.is_fixed
    }


def new_effects(draws: Draws, patients: int, rng: np.random.Generator) -> dict[str, Any]:
    """Draws with the treatment effects of new patients, where patients differ in them."""
    if "treatment_sd" not in draws:
        return dict(draws)
    own = rng.normal(size=(len(draws["log_rate"]), patients))
    ratio = draws["log_rate_ratio"][:, None] + draws["treatment_sd"][:, None] * own
    return {**draws, "patient_log_rate_ratio": ratio}


def simulate_rows(
    model: Model,
    rows: Rows,
    draws: Draws,
    z: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Simulate the counts of patients whose standardised effects are given.

    With serial dependence row after row, each from the simulated count before it.

    Parameters
    ----------
    model : Model
    rows : Rows
    draws : mapping of str to ndarray, shape (draws,) or (draws, patients)
    z : ndarray of float, shape (draws, patients) or (draws, 1)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float, shape (draws, patients, rows)
    """
    draw = FAMILIES[model.family].random
    if rows.follows is None:
        at = row_parameters(model, rows, draws)
        mean = np.exp(at.eta + at.loading * z[:, :, None])
        return draw(rng, mean, at.overdispersion, at.zero_part).astype(float)
    alone = replace(rows, follows=None)
    at = row_parameters(model, alone, {n: v for n, v in draws.items() if n != "serial_dependence"})
    counts = np.zeros(at.eta.shape)
    for j in range(counts.shape[2]):
        log_mean = at.eta[:, :, j] + at.loading[:, :, j] * z
        if j > 0:
            share = draws["serial_dependence"][:, None] * rows.follows[:, j]
            before = np.log(np.maximum(counts[:, :, j - 1], LOG_FLOOR))
            expected = at.eta[:, :, j - 1] + at.loading[:, :, j - 1] * z
            log_mean = log_mean + share * (before - expected)
        k, zero = at.overdispersion[:, :, j], at.zero_part[:, :, j]
        counts[:, :, j] = draw(rng, np.exp(log_mean), k, zero)
    return counts


def simulate_counts(
    model: Model, rows: Rows, draws: Draws, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Simulate the trial anew: the same design, new patients, one trial for each draw.

    Returns
    -------
    ndarray of int, shape (draws, observations)
    """
    z = rng.normal(size=(len(draws["log_rate"]), rows.n_patients))
    counts = simulate_rows(model, rows, new_effects(draws, rows.n_patients, rng), z, rng)
    return rows.flat(counts).astype(np.int64)


def prior_predictive(
    model: Model | str, trial: Trial, *, draws: int = 4000, seed: int = 1
) -> pd.DataFrame:
    """Show a model's priors as counts: what they expect of a trial of this design.

    Parameters
    ----------
    model : Model or str
        A model, or the name of a card.
    trial : Trial
        Its design, exposures and baselines are used; its counts enter only through the pooled
        rate, where the card centres ``log_rate`` on it.
    draws : int
        Simulated trials.
    seed : int

    Returns
    -------
    DataFrame
        Columns ``quantity``, ``median``, ``lower``, ``upper`` (95 % of simulated trials) and
        ``observed``.
    """
    card = model if isinstance(model, Model) else Model.load(model)
    rows = arrange(trial, card)
    rng = np.random.default_rng(seed)
    simulated = simulate_counts(card, rows, prior_draws(card, trial, draws, rng), rng)
    treated = trial.seen["treatment"].to_numpy() == trial.active
    observed = rows.flat(rows.count)
    table = []
    for quantity, statistic in _quantities(trial, treated).items():
        low, middle, high = np.quantile(statistic(simulated), [0.025, 0.5, 0.975])
        seen = float(statistic(observed[None, :])[0])
        table.append((quantity, middle, low, high, seen))
    return pd.DataFrame(table, columns=["quantity", "median", "lower", "upper", "observed"])


def _quantities(
    trial: Trial, treated: NDArray[np.bool_]
) -> dict[str, Callable[[NDArray[Any]], NDArray[Any]]]:
    return {
        f"mean count a row on {trial.control}": lambda y: y[:, ~treated].mean(axis=1),
        f"mean count a row on {trial.active}": lambda y: y[:, treated].mean(axis=1),
        "largest count": lambda y: y.max(axis=1),
        "share of zero counts": lambda y: (y == 0).mean(axis=1),
        f"all {trial.endpoint}": lambda y: y.sum(axis=1),
    }
