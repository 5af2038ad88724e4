"""What this trial foretells of the next one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msc.errors import PublishedError, one_of
from bayes_msc.evidence import probability_column
from bayes_msc.evidence.nodes import prior_nodes
from bayes_msc.evidence.tau import tau_prior as named_tau_prior
from bayes_msc.exact import CONJUGATE, as_components, check_log_ratio_prior, mixture, update
from bayes_msc.prediction import predict
from bayes_msc.prior import Prior, stance
from bayes_msc.published import Published
from bayes_msc.quadrature import Grid

Array = NDArray[np.float64]
Z = 1.959963984540054
_COUNTS = ("log_rate", "log_rate_ratio", "overdispersion", "patient_sd")


def next_trial(
    posterior: Published | Prior | Grid | xr.DataTree,
    *,
    se: float | Sequence[float] | None = None,
    patients: int | Sequence[int] | None = None,
    unit_sd: float | None = None,
    exposure: float | None = None,
    rows: int = 1,
    prior: Prior | str = "vague",
    tau_prior: str | Prior | None = None,
    thresholds: Sequence[float] = (1.0,),
    benefit: str = "lower",
) -> pd.DataFrame:
    """Probability that the next trial of a given size finds an effect.

    Parameters
    ----------
    posterior : Published, Prior, Grid or xarray.DataTree
        What is known of the log rate ratio: a published trial (with ``prior``), any distribution
        of it, or a fit.
    se : float or sequence of float, optional
        Standard error of the next trial's log rate ratio.
    patients : int or sequence of int, optional
        Or its size: patients in two equal parallel arms. The standard error is then
        ``unit_sd`` over the root of ``patients``.
    unit_sd : float, optional
        What one patient contributes; for a published trial by default its own.
    exposure : float, optional
        For a fit instead of ``unit_sd``: exposure of each row (scan or period, as the fit has
        them) of a patient of the next trial. The standard error of the log ratio of two mean counts
        then follows from the rate, the overdispersion and the patients' spread at each draw.
    rows : int
        Rows of each patient of the next trial, for ``exposure``.
    prior : Prior or str
        For a published trial: a stance on the effect (on the mean effect with ``tau_prior``).
    tau_prior : str or Prior, optional
        Of the standard deviation between trials; without it both trials share one true effect.
    thresholds : sequence of float
        Rate ratios.
    benefit : str
        ``"lower"`` or ``"higher"``: the good side of the thresholds.

    Returns
    -------
    DataFrame
        One row a size: ``patients`` (missing where ``se`` was given), ``se`` (from a fit the
        median), ``predicted, predicted_lower, predicted_upper`` (the rate ratio that it will find,
        95 %), ``probability_below_C`` (or ``above``) for the ratio found,
        ``probability_interval_below_1`` and ``probability_interval_above_1`` (its 95 % interval
        wholly on one side), and ``mcse``, the largest Monte Carlo error of the row's probabilities
        (0: exact).

    Raises
    ------
    PriorError, PublishedError
        If the size is missing or given twice, or a number is impossible.

    Notes
    -----
    With ``tau_prior`` a published trial enters the normal-normal hierarchy with ``prior`` on the
    mean effect. For a distribution or a fit, the next trial's true effect is this one's plus a
    normal difference of SD sqrt(2) tau, which is the same with a flat prior of the mean.
    """
    one_of(benefit, ("lower", "higher"), "benefit", PublishedError)
    _check_kind(posterior)
    limits = np.log(_positive(thresholds, "thresholds"))
    spread = None if tau_prior is None else named_tau_prior(tau_prior)
    if isinstance(posterior, xr.DataTree):
        sizes, errors = _sizes_of_fit(posterior, se, patients, unit_sd, exposure, rows)
        values = posterior["posterior"]["log_rate_ratio"].to_numpy()
        found = [_of_draws(posterior, values, e, spread, limits, benefit) for e in errors]
    else:
        if exposure is not None:
            raise PublishedError("exposure is for a fit: give unit_sd or se")
        if isinstance(posterior, Published) and unit_sd is None:
            unit_sd = _own_unit_sd(posterior)
        sizes, exact_errors = _sizes(se, patients, unit_sd)
        found = [
            _of_forecast(_forecast(posterior, prior, e, spread), e, limits, benefit)
            for e in exact_errors
        ]
    names = [probability_column(c, benefit) for c in np.exp(limits)]
    columns = ["se", "predicted", "predicted_lower", "predicted_upper", *names]
    columns += ["probability_interval_below_1", "probability_interval_above_1", "mcse"]
    table = pd.DataFrame(found, columns=columns)
    table.insert(0, "patients", pd.Series(sizes, dtype="Int64"))
    return table


def replication(estimate: float, se: float, other_se: float) -> pd.DataFrame:
    """Probability that another trial repeats a result, from that result alone.

    Parameters
    ----------
    estimate, se : float
        The first trial's log rate ratio and standard error.
    other_se : float
        Standard error of the second trial.

    Returns
    -------
    DataFrame
        ``statement, probability``: the second estimate has the same sign; its 95 % interval
        excludes no effect on the same side, averaged over what the first trial leaves open
        (predictive power); the same if the first estimate were the truth (conditional power).

    Raises
    ------
    PublishedError
        If a standard error is not above 0.

    Notes
    -----
    With c the ratio of the two variances: Phi(z / sqrt(1 + 1 / c)),
    Phi((z sqrt(c) - 1.96) / sqrt(1 + c)), Phi(z sqrt(c) - 1.96); one true effect in both trials and
    a flat prior. Killeen 2005, Psychological Science 16:345; Held 2020, JRSS A 183:431.
    """
    from scipy.stats import norm

    first, second = _positive([se], "se")[0], _positive([other_se], "other_se")[0]
    z, c = abs(estimate) / first, (first / second) ** 2
    rows = [
        ("the estimate has the same sign", z / math.sqrt(1 + 1 / c)),
        ("its 95 % interval excludes no effect", (z * math.sqrt(c) - Z) / math.sqrt(1 + c)),
        ("the same, were the first estimate true", z * math.sqrt(c) - Z),
    ]
    return pd.DataFrame(
        {"statement": [words for words, _ in rows], "probability": norm.cdf([q for _, q in rows])}
    )


def _check_kind(posterior: object) -> None:
    if not isinstance(posterior, Published | Prior | Grid | xr.DataTree):
        kind = type(posterior).__name__
        raise PublishedError(f"a {kind} is no posterior: give a Published, Prior, Grid or fit")


def _positive(values: Sequence[float] | float, name: str) -> Array:
    try:
        array = np.atleast_1d(np.asarray(values, dtype=float))
    except (TypeError, ValueError):
        raise PublishedError(f"{name} is {values!r}: numbers above 0 are needed") from None
    if array.ndim != 1 or array.size == 0 or not np.all((array > 0) & np.isfinite(array)):
        raise PublishedError(f"{name} is {values!r}: numbers above 0 are needed")
    return array


def _own_unit_sd(published: Published) -> float | None:
    arms = published.active.n, published.control.n
    if None in arms:
        return None
    return published.effect()[1].se * math.sqrt(sum(n for n in arms if n))


Sizes = list[int | None]


def _sizes(
    se: float | Sequence[float] | None, patients: int | Sequence[int] | None, unit_sd: float | None
) -> tuple[Sizes, list[float]]:
    if (se is None) == (patients is None):
        raise PublishedError("give either se or patients: how large is the next trial?")
    if se is not None:
        errors = _positive(se, "se").tolist()
        return [None] * len(errors), errors
    assert patients is not None
    counts = _positive(patients, "patients")
    if unit_sd is None:
        raise PublishedError("patients need unit_sd: what one patient contributes (or give se)")
    unit = float(_positive(unit_sd, "unit_sd")[0])
    return [int(n) for n in counts], (unit / np.sqrt(counts)).tolist()


def _sizes_of_fit(
    fit: xr.DataTree,
    se: float | Sequence[float] | None,
    patients: int | Sequence[int] | None,
    unit_sd: float | None,
    exposure: float | None,
    rows: int,
) -> tuple[Sizes, list[Array]]:
    if exposure is None:
        sizes, errors = _sizes(se, patients, unit_sd)
        return sizes, [np.asarray(e) for e in errors]
    if patients is None or unit_sd is not None or se is not None:
        raise PublishedError("with exposure give patients, and neither se nor unit_sd")
    counts, length = _positive(patients, "patients"), float(_positive(exposure, "exposure")[0])
    if rows < 1:
        raise PublishedError(f"rows is {rows}: every patient has 1 or more")
    unit = _unit_variance(fit, length, rows)
    return [int(n) for n in counts], [np.sqrt(unit / (n / 2)) for n in counts]


def _unit_variance(fit: xr.DataTree, exposure: float, rows: int) -> Array:
    """Variance that one patient in each arm leaves in the log rate ratio, at each draw."""
    draws = fit["posterior"]
    missing = [name for name in ("log_rate", "log_rate_ratio", "patient_sd") if name not in draws]
    others = [n for n in ("zero_inflation", "zero_overdispersion", "treatment_sd") if n in draws]
    per_arm = "overdispersion_control" in draws
    if missing or others or per_arm:
        raise PublishedError(
            f"the size of a trial under this model ({', '.join(missing or others) or 'per-arm'}) "
            "has no simple formula: give se or unit_sd"
        )
    values = {n: draws[n].to_numpy() for n in _COUNTS if n in draws}
    kappa = values.get("overdispersion", np.zeros_like(values["log_rate"]))
    heave = values["patient_sd"] ** 2
    # rows average out given the patient; a log-normal patient effect multiplies the mean, and adds
    # to the variance of a patient's sum
    spread = (1 + kappa / rows) * np.exp(heave) - 1
    control = rows * exposure * np.exp(values["log_rate"] + heave / 2)
    active = control * np.exp(values["log_rate_ratio"])
    return np.asarray(1 / control + 1 / active + 2 * spread)


def _forecast(
    posterior: Published | Prior | Grid, prior: Prior | str, se: float, spread: Prior | None
) -> Prior:
    """Distribution of the next trial's estimate: a mixture of normals."""
    if isinstance(posterior, Published):
        opinion = stance(prior) if isinstance(prior, str) else prior
        check_log_ratio_prior(opinion, "the prior")
        effect = posterior.effect()[1]
        return predict(opinion, effect.log_rate_ratio, effect.se, se, spread)
    known = posterior
    if isinstance(known, Prior):
        check_log_ratio_prior(known, "the posterior")
    if isinstance(known, Prior) and known.distribution not in CONJUGATE:
        # a vast standard error leaves the distribution as it is, as a grid
        weights, locs, scales = as_components(update(known, 0.0, 1e6))
    else:
        weights, locs, scales = as_components(known)
    if spread is None:
        return mixture(weights, locs, np.hypot(scales, se))
    tau, share = prior_nodes(spread)
    noise = np.hypot(se, math.sqrt(2) * tau)[:, None]
    shape = (len(tau), len(weights))
    return mixture(share[:, None] * weights, np.broadcast_to(locs, shape), np.hypot(scales, noise))


Row = tuple[float, ...]


def _of_forecast(forecast: Prior, se: float, limits: Array, benefit: str) -> Row:
    low, middle, high = np.exp(forecast.ppf([0.025, 0.5, 0.975])).tolist()
    below = forecast.cdf(limits)
    good = below if benefit == "lower" else 1 - below
    down, up = forecast.cdf([-Z * se, Z * se]).tolist()
    return (se, middle, low, high, *good.tolist(), down, 1 - up, 0.0)


def _of_draws(
    fit: xr.DataTree, values: Array, se: Array, spread: Prior | None, limits: Array, benefit: str
) -> Row:
    """Average over draws what is known given each: only the draws themselves are random."""
    from scipy.stats import norm

    from bayes_msc.monte_carlo import errors_of

    tau, share = (np.zeros(1), np.ones(1)) if spread is None else prior_nodes(spread, 8, 6)
    noise = np.hypot(se[..., None], math.sqrt(2) * tau)

    def below(limit: Array | float) -> Array:
        reach = np.asarray(limit - values)[..., None]
        return np.asarray(norm.cdf(reach / noise) @ share)

    chances = [below(limit) for limit in limits]
    good = chances if benefit == "lower" else [1 - c for c in chances]
    both = [*good, below(-Z * se), 1 - below(Z * se)]
    errors = errors_of(fit)
    mcse = max(errors.of_mean(np.asarray(c)) for c in both)
    quantiles = _quantiles(below, values, noise)
    return (float(np.median(se)), *quantiles, *(float(c.mean()) for c in both), mcse)


def _quantiles(below: object, values: Array, noise: Array) -> list[float]:
    """Median and 95 % limits of the ratio that will be found."""
    from scipy import optimize

    assert callable(below)
    reach = 8 * float(noise.max())
    ends = float(values.min()) - reach, float(values.max()) + reach

    def one(q: float) -> float:
        return float(optimize.brentq(lambda x: float(below(x).mean()) - q, *ends, xtol=1e-6))

    return [math.exp(one(q)) for q in (0.5, 0.025, 0.975)]
