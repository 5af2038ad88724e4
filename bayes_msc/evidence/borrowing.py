"""Priors from other trials: meta-analytic-predictive, power, normalised power, commensurate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayes_msc.errors import PriorError
from bayes_msc.evidence.borrowed import Borrowed
from bayes_msc.evidence.hierarchy import conditional
from bayes_msc.evidence.nodes import prior_nodes
from bayes_msc.evidence.tau import tau_prior as named_tau_prior
from bayes_msc.evidence.trials import Evidence, Source, estimates, evidence_rows
from bayes_msc.exact import check_log_ratio_prior, components, log_normal_density
from bayes_msc.prior import Prior, stance

Array = NDArray[np.float64]


def map_prior(
    trials: Source | Sequence[Source],
    tau_prior: str | Prior,
    *,
    mu_prior: Prior | None = None,
    scale: str = "log_rate_ratio",
) -> Borrowed:
    """Meta-analytic-predictive prior: the effect in a new trial, foretold from the others.

    Parameters
    ----------
    trials : sequence of Evidence, Published or str
        The other trials; not the one at hand.
    tau_prior : str or Prior
        Of the standard deviation between trials: asked for, as few trials cannot tell it.
    mu_prior : Prior, optional
        Of the mean effect, by default the vague stance.
    scale : str
        ``"log_rate_ratio"``, or ``"log_rate"`` for rows about the control arm.

    Returns
    -------
    Borrowed
        Exact: a mixture of normals over the quadrature nodes of tau.

    Raises
    ------
    PriorError, PublishedError
        If a prior or a trial is impossible.

    Notes
    -----
    Neuenschwander 2010, Clinical Trials 7:5; Schmidli 2014, Biometrics 70:1023.
    """
    rows = evidence_rows(trials, scale)
    spread, centre = named_tau_prior(tau_prior), _whole_line(mu_prior, "mu_prior")
    given = conditional(*estimates(rows), centre, spread)
    tau = given.tau[:, None]
    why = f"foretold from {_named(rows)} with tau ~ {spread}"
    return Borrowed.of(
        "meta-analytic-predictive",
        why,
        given.share,
        given.mean,
        np.hypot(given.sd, tau),
        "tau",
        np.broadcast_to(tau, given.share.shape),
    )


def power_prior(
    trials: Source | Sequence[Source],
    weight: float | Sequence[float],
    *,
    initial: Prior | None = None,
    scale: str = "log_rate_ratio",
) -> Borrowed:
    """Power prior: the likelihood of the other trials, raised to a fixed weight.

    Parameters
    ----------
    trials : sequence of Evidence, Published or str
    weight : float or sequence of float
        From 0 (ignore) to 1 (as if their patients were in this trial); one for all or one each.
    initial : Prior, optional
        What was believed before those trials: normal or a mixture; by default the vague stance.
    scale : str
        ``"log_rate_ratio"`` or ``"log_rate"``.

    Returns
    -------
    Borrowed
        Exact.

    Raises
    ------
    PriorError, PublishedError
        If a weight, the prior or a trial is impossible.

    Notes
    -----
    Ibrahim and Chen 2000, Statistical Science 15:46. For one trial with a flat initial prior, the
    weight 1 / (1 + 2 tau^2 / s^2) gives the meta-analytic-predictive prior with tau known.
    """
    rows = evidence_rows(trials, scale)
    given = np.ravel(weight)
    if len(given) not in (1, len(rows)):
        raise PriorError(f"{len(given)} weights for {len(rows)} trials: give one, or one each")
    weights = np.broadcast_to(given, len(rows)).astype(float)
    if not (np.all(weights >= 0) and np.all(weights <= 1)):
        raise PriorError(f"the weight of a power prior is {weight}: it must be from 0 to 1")
    y, precision = _pooled(rows, weights)
    w, m, s = _updated(_whole_line(initial, "initial"), y, precision)
    shown = ", ".join(f"{v:g}" for v in dict.fromkeys(weights))
    return Borrowed.of("power", f"{_named(rows)}, likelihood raised to {shown}", w, m, s)


def normalised_power_prior(
    trials: Source | Sequence[Source],
    *,
    weight_prior: Prior | None = None,
    initial: Prior | None = None,
    scale: str = "log_rate_ratio",
) -> Borrowed:
    """Power prior whose weight is estimated, normalised for every weight.

    Parameters
    ----------
    trials : sequence of Evidence, Published or str
        Raised to one common weight.
    weight_prior : Prior, optional
        A beta, by default Beta(1, 1).
    initial : Prior, optional
        As in ``power_prior``.
    scale : str
        ``"log_rate_ratio"`` or ``"log_rate"``.

    Returns
    -------
    Borrowed
        Exact: a mixture over the quadrature nodes of the weight. ``steering(estimate, se)`` tells
        what the current trial says of the weight: usually little.

    Raises
    ------
    PriorError, PublishedError
        If a prior or a trial is impossible.

    Notes
    -----
    Duan 2006, Environmetrics 17:95; Neuenschwander 2009, Statistics in Medicine 28:3562 show why
    the prior must be normalised when the weight is not fixed.
    """
    rows = evidence_rows(trials, scale)
    beta = Prior.beta(1.0, 1.0) if weight_prior is None else weight_prior
    if beta.support != "unit":
        raise PriorError(f"the prior of the weight is {beta}: it needs one on 0 to 1, such as beta")
    nodes, shares = prior_nodes(beta)
    y, precision = _pooled(rows, np.ones(len(rows)))
    w, m, s = _updated(_whole_line(initial, "initial"), y, nodes[:, None] * precision)
    why = f"{_named(rows)}, likelihood raised to a weight ~ {beta}"
    return Borrowed.of("normalised power", why, shares[:, None] * w, m, s, "weight", nodes[:, None])


def commensurate_prior(
    trials: Source | Sequence[Source],
    spread_prior: Prior,
    *,
    initial: Prior | None = None,
    scale: str = "log_rate_ratio",
) -> Borrowed:
    """Commensurate prior: this trial's effect lies around that of the others, by an unknown spread.

    Parameters
    ----------
    trials : sequence of Evidence, Published or str
        Taken as trials of one common effect.
    spread_prior : Prior
        Of the standard deviation between the common effect of the others and that of this trial;
        its inverse square is the commensurability.
    initial : Prior, optional
        Of the common effect, before those trials; by default the vague stance.
    scale : str
        ``"log_rate_ratio"`` or ``"log_rate"``.

    Returns
    -------
    Borrowed
        Exact: a mixture over the quadrature nodes of the spread.

    Raises
    ------
    PriorError, PublishedError
        If a prior or a trial is impossible.

    Notes
    -----
    Hobbs 2011, Biometrics 67:1047. With one other trial a spread of sqrt(2) tau is the
    meta-analytic-predictive prior, but for what the initial prior says of the mean.
    """
    rows = evidence_rows(trials, scale)
    if spread_prior.support != "positive":
        raise PriorError(
            f"the prior of the spread is {spread_prior}: a standard deviation cannot be negative"
        )
    nodes, shares = prior_nodes(spread_prior)
    y, precision = _pooled(rows, np.ones(len(rows)))
    w, m, s = _updated(_whole_line(initial, "initial"), y, precision)
    why = f"around the common effect of {_named(rows)}, spread ~ {spread_prior}"
    return Borrowed.of(
        "commensurate",
        why,
        shares[:, None] * w,
        m,
        np.hypot(s, nodes[:, None]),
        "spread",
        nodes[:, None],
    )


def _whole_line(prior: Prior | None, what: str) -> Prior:
    chosen = stance("vague") if prior is None else prior
    check_log_ratio_prior(chosen, what)
    components(chosen)
    return chosen


def _named(rows: Sequence[Evidence]) -> str:
    return ", ".join(
        row.trial if row.relevance == 1 else f"{row.trial} (relevance {row.relevance:g})"
        for row in rows
    )


def _pooled(rows: Sequence[Evidence], weights: Array) -> tuple[float, float]:
    """Estimate and precision of one common effect."""
    y, s = estimates(rows)
    precision = weights / np.square(s)
    total = float(precision.sum())
    return (float(precision @ y) / total if total > 0 else 0.0), total


def _updated(
    initial: Prior, estimate: float, precision: float | Array
) -> tuple[Array, Array, Array]:
    """Weights, means and SDs of the initial prior's components after an estimate of a precision.

    Precision 0 leaves the prior as it is.
    """
    weights, locs, scales = components(initial)
    p = np.asarray(precision, dtype=float)
    own = 1 / scales**2
    total = own + p
    with np.errstate(divide="ignore"):
        spread = np.sqrt(scales**2 + 1 / p)
    logs = np.log(weights) + np.where(
        p > 0, log_normal_density(estimate, locs, np.where(p > 0, spread, 1.0)), 0.0
    )
    share = np.exp(logs - logs.max(axis=-1, keepdims=True))
    share /= share.sum(axis=-1, keepdims=True)
    return share, (own * locs + p * estimate) / total, 1 / np.sqrt(total)
