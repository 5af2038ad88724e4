"""Robust mixtures: a vague part beside the borrowed one, and the weight it takes from the data."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import PriorError
from bayes_msc.exact import components, log_normal_density
from bayes_msc.prior import Prior

Array = NDArray[np.float64]


def robustify(
    prior: Prior,
    weight: float,
    *,
    unit_sd: float | None = None,
    vague: Prior | None = None,
    centre: float = 0.0,
) -> Prior:
    """Add a vague part to a prior, so that it gives way where the data contradict it.

    Parameters
    ----------
    prior : Prior
        A normal or a mixture of normals.
    weight : float
        Prior probability that the other trials do not speak of this one, between 0 and 1; 0.1 to
        0.5 is usual.
    unit_sd : float, optional
        The vague part is as wide as what one patient of this trial tells, around ``centre``.
    vague : Prior, optional
        Or a normal of your own.
    centre : float
        For ``unit_sd``: 0 is no effect.

    Returns
    -------
    Prior
        A mixture of normals whose **last** component is the vague part.

    Raises
    ------
    PriorError
        If the weight is not between 0 and 1, or not exactly one vague part is given.

    Notes
    -----
    Schmidli 2014, Biometrics 70:1023. A vague part that is far too wide loses against the rest
    however much the data contradict that; the information of one patient is the usual width.
    """
    if not 0 < weight < 1:
        raise PriorError(f"the weight of the vague part is {weight:g}: it must be between 0 and 1")
    if (unit_sd is None) == (vague is None):
        raise PriorError("give either unit_sd or vague: the width of the vague part matters")
    if vague is None:
        assert unit_sd is not None
        vague = Prior.normal(centre, unit_sd)
    if vague.distribution != "normal":
        raise PriorError(f"the vague part is {vague}: it must be a normal")
    w, m, s = components(prior)
    _, vague_m, vague_s = components(vague)
    why = f"{prior.why}; with probability {weight:g} the other trials say nothing ({vague})"
    return Prior.normal_mixture(
        (*(w * (1 - weight)).tolist(), weight),
        (*m.tolist(), float(vague_m[0])),
        (*s.tolist(), float(vague_s[0])),
        why.removeprefix("; "),
    )


def component_weights(prior: Prior, estimate: float, se: float) -> pd.DataFrame:
    """Weights of a mixture's components before and after an estimate is seen.

    Parameters
    ----------
    prior : Prior
        A normal or a mixture of normals.
    estimate, se : float
        The current trial.

    Returns
    -------
    DataFrame
        ``component`` (from 1), ``mean, sd, prior_weight, posterior_weight, mcse`` (0: exact).

    Raises
    ------
    PriorError
        For any other prior, or an impossible standard error.
    """
    _check_se(se)
    w, m, s = components(prior)
    logs = np.log(w) + log_normal_density(estimate, m, np.hypot(s, se))
    share = np.exp(logs - logs.max())
    return weight_table(w, m, s, share / share.sum(), np.zeros(len(w)))


def component_weights_of_draws(prior: Prior, draws: Array) -> tuple[Array, Array]:
    """Share of each component in each draw of the parameter, and their mean.

    Parameters
    ----------
    prior : Prior
        Of the parameter: a normal or a mixture of normals.
    draws : ndarray
        Posterior draws, of any shape.

    Returns
    -------
    shares : ndarray, shape (*draws.shape, component)
        Probability that the draw came from the component.
    means : ndarray, shape (component,)
        Posterior weights.

    Notes
    -----
    Given the parameter, the data say nothing more of the component: its posterior weight is the
    posterior mean of w_k p_k(theta) / p(theta).
    """
    w, m, s = components(prior)
    logs = np.log(w) + log_normal_density(np.asarray(draws)[..., None], m, s)
    shares = np.exp(logs - logs.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares, shares.reshape(-1, len(w)).mean(axis=0)


def weight_table(w: Array, m: Array, s: Array, after: Array, errors: Array) -> pd.DataFrame:
    """One row a component: its numbers, its weight before and after, and the error of that."""
    return pd.DataFrame(
        {
            "component": np.arange(1, len(w) + 1),
            "mean": m,
            "sd": s,
            "prior_weight": w,
            "posterior_weight": after,
            "mcse": errors,
        }
    )


def _check_se(se: float) -> None:
    if not (se > 0 and math.isfinite(se)):
        raise PriorError(f"the standard error is {se:g}: it must be above 0")


def conflict(prior: Prior, estimate: float, se: float) -> pd.DataFrame:
    """Whether the current trial contradicts its prior.

    Parameters
    ----------
    prior : Prior
        A normal or a mixture of normals; of a robust one the last component is the vague part.
    estimate, se : float
        The current trial, from itself alone.

    Returns
    -------
    DataFrame
        One row: ``estimate, se``; ``predicted_lower, predicted_upper``, the 95 % interval in which
        the prior expected the estimate; ``tail_p``, twice the smaller tail of the prior predictive
        beyond it; ``density_p``, the prior predictive probability of an estimate no more expected
        than this one (Box 1980, JRSS A 143:383); ``vague_before`` and ``vague_after``, the weight
        of the last component (missing for a single normal); ``verdict`` in words.

    Raises
    ------
    PriorError
        For any other prior, or an impossible standard error.
    """
    from bayes_msc.exact import add_noise

    _check_se(se)
    w = components(prior)[0]
    expected = add_noise(prior, se)
    below = float(expected.cdf(estimate))
    low, high = expected.interval()
    tail = 2 * min(below, 1 - below)
    after = component_weights(prior, estimate, se)["posterior_weight"].iloc[-1]
    mixed = len(w) > 1
    return pd.DataFrame(
        [
            {
                "estimate": estimate,
                "se": se,
                "predicted_lower": low,
                "predicted_upper": high,
                "tail_p": tail,
                "density_p": _density_p(expected, estimate),
                "vague_before": float(w[-1]) if mixed else math.nan,
                "vague_after": float(after) if mixed else math.nan,
                "verdict": _verdict(tail),
            }
        ]
    )


def _verdict(tail: float) -> str:
    if tail < 0.01:
        return "the trial contradicts its prior"
    if tail < 0.1:
        return "the trial sits badly with its prior"
    return "no conflict to be seen; a small trial can hardly show one"


def _density_p(expected: Prior, estimate: float) -> float:
    """Probability of a density at most as high as at the estimate."""
    low, high = expected.ppf([1e-10, 1 - 1e-10]).tolist()
    x = np.linspace(min(low, estimate), max(high, estimate), 20_001)
    middle = (x[1:] + x[:-1]) / 2
    height = float(expected.pdf(estimate))
    mass = np.diff(expected.cdf(x))
    return float(mass[expected.pdf(middle) <= height * (1 + 1e-9)].sum())
