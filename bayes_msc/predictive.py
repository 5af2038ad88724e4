"""What a model says about counts before and after the data: prior and posterior predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.counts import FAMILIES
from bayes_msc.model import Model
from bayes_msc.rows import Rows, arrange
from bayes_msc.trial import Trial

Draws = Mapping[str, NDArray[np.float64]]


def prior_draws(
    model: Model, trial: Trial, draws: int, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Draw every parameter from its prior.

    Returns
    -------
    dict of str to ndarray of float, shape (draws,)
        Free parameters, and ``overdispersion`` where the family has one.
    """
    values = {
        name: np.asarray(prior.frozen().rvs(size=draws, random_state=rng), dtype=float)
        for name, prior in model.priors_for(trial).items()
    }
    if "sqrt_overdispersion" in values:
        values["overdispersion"] = values["sqrt_overdispersion"] ** 2
    return values


def log_prior(model: Model, trial: Trial, draws: Draws) -> dict[str, NDArray[np.float64]]:
    """Log prior density of every free parameter at its draws, of the same shape."""
    return {
        name: np.log(np.maximum(prior.pdf(draws[name]), 1e-300))
        for name, prior in model.priors_for(trial).items()
    }


def linear_predictor(rows: Rows, draws: Draws) -> NDArray[np.float64]:
    """Log means without the patient effect, shape (draws, patients, rows)."""
    coefficients = np.stack([draws[name] for name in rows.coefficients], axis=-1)
    return rows.linear_predictor(draws["log_rate"], coefficients)


def overdispersion_of(draws: Draws) -> NDArray[np.float64]:
    """Overdispersion at each draw: 0 where the family has none."""
    return draws.get("overdispersion", np.zeros_like(draws["log_rate"]))


def simulate_counts(
    family: str, rows: Rows, draws: Draws, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Simulate the trial anew: the same design, new patients, one trial for each draw.

    Returns
    -------
    ndarray of int, shape (draws, observations)
    """
    eta = linear_predictor(rows, draws)
    effect = draws["patient_sd"][:, None] * rng.normal(size=eta.shape[:2])
    mean = rows.flat(np.exp(eta + effect[:, :, None]))
    return FAMILIES[family].random(rng, mean, overdispersion_of(draws)[:, None])


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
    simulated = simulate_counts(card.family, rows, prior_draws(card, trial, draws, rng), rng)
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
