"""Sample size: the smallest trial that succeeds often enough, by a curve through simulations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bayes_msc.errors import DesignError
from bayes_msc.model import Model
from bayes_msc.notebook import block, heading, paragraph, table
from bayes_msc.prior import Prior
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.operating import characteristics
from bayes_msc.simulation.rules import AnyRule
from bayes_msc.simulation.truth import AnyTruth

Array = NDArray[np.float64]
#: Draws of the curve behind its bands and the interval of the sample size.
_DRAWS = 1000
_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class Curve:
    """Probability of success against the number of patients, with its uncertainty.

    Attributes
    ----------
    draws : ndarray of float, shape (draws, terms)
        Coefficients of ``probit(success) = a + b sqrt(n) [+ c log n]``, from their approximate
        posterior.
    best : ndarray of float, shape (terms,)
    p_fit : float
        Probability of simulations that stray as far from the curve; small: it does not fit.
    """

    draws: Array
    best: Array
    p_fit: float

    def at(self, patients: ArrayLike) -> pd.DataFrame:
        """Probability of success with its 95 % band: patients, success, lower, upper."""
        n = np.atleast_1d(np.asarray(patients, dtype=float))
        terms = _terms(n, len(self.best))
        band = np.quantile(stats.norm.cdf(terms @ self.draws.T), [0.025, 0.975], axis=1)
        return pd.DataFrame(
            {
                "patients": n.astype(int),
                "success": stats.norm.cdf(terms @ self.best),
                "lower": band[0],
                "upper": band[1],
            }
        )

    def reaching(self, target: float, sizes: Array) -> tuple[float, Array]:
        """First of the sizes that reaches the target: by the best curve, and by each draw."""
        limit = stats.norm.ppf(target)
        reached = _terms(sizes, len(self.best)) @ np.vstack([self.best, self.draws]).T >= limit
        first = np.where(reached.any(axis=0), sizes[np.argmax(reached, axis=0)], np.inf)
        return float(first[0]), np.asarray(first[1:])

    def range(self, tried: Array, smallest: int, largest: int) -> Array:
        """Sizes for which the curve may be asked: a bent one not below those that were tried."""
        low = smallest if len(self.best) == 2 else int(tried.min())
        return np.arange(low, min(2 * int(tried.max()), largest) + 1, dtype=float)


def _terms(n: Array, count: int) -> Array:
    return np.column_stack([np.ones(len(n)), np.sqrt(n), np.log(n)])[:, :count]


def fit_curve(
    patients: ArrayLike, successes: ArrayLike, trials: ArrayLike, *, seed: int = 1
) -> Curve:
    """Draw a smooth curve through noisy simulated successes.

    Probit regression on the root of the number of patients: for an estimate with standard error
    sigma / sqrt(n) and a rule at z, the power is exactly Phi(sqrt(n) delta / sigma - z). With four
    sizes or more, log n joins in where it earns its place (AIC): an assurance bends.

    Parameters
    ----------
    patients, successes, trials : array of shape (sizes,)
    seed : int
        For the draws of the uncertainty.

    Returns
    -------
    Curve

    Raises
    ------
    DesignError
        If there are fewer than three sizes.
    """
    n, hits, total = (np.asarray(v, dtype=float) for v in (patients, successes, trials))
    if len(np.unique(n)) < 3:
        raise DesignError("a curve needs simulations of at least three sizes")
    fits = [_probit(n, hits, total, 2)]
    if len(np.unique(n)) >= 4:
        fits.append(_probit(n, hits, total, 3))
    best = min(fits, key=lambda fit: fit[3])
    coefficients, covariance, chi2, _ = best
    rng = np.random.default_rng(seed)
    free = len(n) - len(coefficients)
    p_fit = float(stats.chi2.sf(chi2, free)) if free > 0 else math.nan
    # where the curve does not fit, its uncertainty is larger than the simulations' own
    inflation = max(chi2 / free, 1.0) if free > 0 else 1.0
    draws = rng.multivariate_normal(coefficients, covariance * inflation, _DRAWS)
    return Curve(draws, coefficients, p_fit)


def _probit(n: Array, hits: Array, total: Array, terms: int) -> tuple[Array, Array, float, float]:
    """Coefficients, covariance, deviance and AIC of a probit regression."""
    import statsmodels.api as sm

    between = int(((hits > 0) & (hits < total)).sum())
    # where too few sizes both succeed and fail, half a success and half a failure more give each
    # a probit; elsewhere they would only bend the curve, most of all at sizes that always succeed
    half = 0.5 if between < terms else 0.0
    y = np.column_stack([hits + half, total - hits + half])
    family = sm.families.Binomial(link=sm.families.links.Probit())
    found = sm.GLM(y, _terms(n, terms), family=family).fit()
    p = np.clip(np.asarray(found.fittedvalues), 1e-12, 1 - 1e-12)
    log_likelihood = float(stats.binom.logpmf(hits, total, p).sum())
    best = float(stats.binom.logpmf(hits, total, hits / total).sum())
    return (
        np.asarray(found.params),
        np.asarray(found.cov_params()),
        2.0 * (best - log_likelihood),
        2.0 * terms - 2.0 * log_likelihood,
    )


@dataclass(frozen=True, eq=False)
class SampleSize:
    """How many patients a wanted probability of success takes.

    Attributes
    ----------
    patients : int, optional
        The smallest number that reaches the target by the curve; None where none up to the largest
        allowed does.
    interval : tuple of float
        95 % interval of that number, from the noise of the simulations; infinite where the curve
        may not reach the target.
    target : float
    rule : str
    simulated : DataFrame
        One line a size: ``patients``, ``trials``, ``success``, ``success_mcse``.
    curve : DataFrame
        ``patients``, ``success``, ``lower``, ``upper`` (95 % band) over the sizes.
    p_fit : float
        Probability of simulations that stray as far from the curve.
    """

    patients: int | None
    interval: tuple[float, float]
    target: float
    rule: str
    simulated: pd.DataFrame
    curve: pd.DataFrame
    p_fit: float

    def _repr_html_(self) -> str:
        return block(heading("Sample size"), paragraph(self.words()), table(self.simulated))

    def words(self) -> str:
        """Say the result in one sentence."""
        if self.patients is None:
            most = int(self.simulated["patients"].max())
            return f"no trial of up to {most} patients reaches {self.target:.0%} for {self.rule}"
        low, high = self.interval
        end = f"{high:.0f}" if math.isfinite(high) else "more than were simulated"
        return (
            f"{self.patients} patients reach {self.target:.0%} for {self.rule} "
            f"(95 % interval of the simulations {low:.0f} to {end})"
        )


def sample_size(
    design: Design,
    truth: AnyTruth,
    model: str | Model = "negative-binomial",
    *,
    rule: AnyRule,
    target: float = 0.8,
    prior: Prior | str | None = None,
    start: Sequence[int] = (),
    smallest: int = 4,
    largest: int = 1000,
    trials: int = 200,
    budget: int = 4000,
    seed: int = 1,
    workers: int | None = None,
    executor: Any = None,
    progress: bool | None = None,
) -> SampleSize:
    """Search for the number of patients that gives a wanted power, or a wanted assurance.

    Parameters
    ----------
    design : Design
        Its allocation is kept while the number of patients changes.
    truth : Truth or UncertainTruth
        A truth for power; an uncertain one, such as ``truth_over`` gives, for assurance.
    model : str or Model
    rule : Rule, IntervalRule, RopeRule or PValueRule
    target : float
    prior : Prior or str, optional
        For the log rate ratio in the analysis, or the name of a stance.
    start : sequence of int, optional
        Sizes to begin with; by default the design's own, half and twice.
    smallest, largest : int
        Limits of the search.
    trials : int
        Simulated trials a size.
    budget : int
        Simulated trials in all.
    seed, workers, executor, progress
        As for ``bayes_msc.characteristics``.

    Returns
    -------
    SampleSize

    Raises
    ------
    DesignError
        If a number is impossible.
    """
    from bayes_msc.prior import stance

    given = {"given": stance(prior) if isinstance(prior, str) else prior} if prior else None

    def simulate(sizes: Sequence[int], round_: int) -> pd.DataFrame:
        found = characteristics(
            {str(n): design.with_patients(n) for n in sizes},
            {"truth": truth},
            model,
            rules={"rule": rule},
            priors=given,
            trials=trials,
            seed=seed + round_,
            workers=workers,
            executor=executor,
            progress=progress,
        ).table
        return pd.DataFrame(
            {
                "patients": found["design"].astype(int),
                "trials": found["trials"],
                "hits": (found["success"] * found["trials"]).round().astype(int),
            }
        )

    first = start or [design.patients // 2, design.patients, 2 * design.patients]
    return search(
        simulate,
        target=target,
        start=first,
        smallest=smallest,
        largest=largest,
        budget=budget,
        rule=rule.words(),
    )


def search(
    simulate: Callable[[Sequence[int], int], pd.DataFrame],
    *,
    target: float,
    start: Sequence[int],
    smallest: int = 4,
    largest: int = 1000,
    budget: int = 4000,
    rule: str = "the rule",
) -> SampleSize:
    """Search along a curve for the smallest number of patients that reaches a target.

    Parameters
    ----------
    simulate : callable
        ``simulate(sizes, round)`` returns one line a size: ``patients``, ``trials``, ``hits``;
        called with the same size in another round it must simulate anew.
    target, start, smallest, largest, budget
        As for ``sample_size``.
    rule : str
        The rule in words.

    Raises
    ------
    DesignError
        If a number is impossible.
    """
    if not 0 < target < 1:
        raise DesignError(f"the target is {target:g}: it must be between 0 and 1, for example 0.8")
    if not 2 <= smallest < largest:
        raise DesignError(f"sizes from {smallest} to {largest}: from 2 on, the smaller one first")
    sizes = sorted({min(max(int(n), smallest), largest) for n in start})
    if len(sizes) < 3:
        low, high = sizes[0], sizes[-1]
        more = {max(low // 2, smallest), low + 1, min(2 * high, largest), (low + high) // 2}
        sizes = sorted({*sizes, *more})
    done = pd.DataFrame(columns=["patients", "trials", "hits"], dtype=int)
    for round_ in range(_ROUNDS):
        new = simulate(sizes, round_)
        done = new if done.empty else pd.concat([done, new], ignore_index=True)
        pooled = done.groupby("patients", as_index=False)[["trials", "hits"]].sum()
        curve = fit_curve(pooled["patients"], pooled["hits"], pooled["trials"])
        tried = pooled["patients"].to_numpy()
        best, each = curve.reaching(target, curve.range(tried, smallest, largest))
        spent = int(done["trials"].sum())
        sizes = _next(pooled, target, best, each, smallest, largest)
        if not sizes or spent + len(sizes) * int(new["trials"].iloc[0]) > budget:
            break
    return _result(pooled, curve, best, each, target, rule)


def _next(
    pooled: pd.DataFrame, target: float, best: float, each: Array, smallest: int, largest: int
) -> list[int]:
    """Sizes to simulate next: around where the curve crosses the target; none where it is known."""
    tried = pooled["patients"]
    share = pooled["hits"] / pooled["trials"]
    if not math.isfinite(best) or best > 1.5 * tried.max():
        if share.iloc[-1] < target and tried.max() < largest:
            return [min(2 * int(tried.max()), largest)]
        best = float(tried.max())
    if best < 0.7 * tried.min() and tried.min() > smallest:
        return [max(int(tried.min()) // 2, smallest)]
    finite = np.where(np.isfinite(each), each, largest)
    low, high = np.quantile(finite, [0.025, 0.975])
    if high - low <= max(2.0, 0.05 * best):
        return []
    around = {round(best), round(max(low, 0.75 * best)), round(min(high, 1.35 * best))}
    return sorted({min(max(int(n), smallest), largest) for n in around})


def _result(
    pooled: pd.DataFrame, curve: Curve, best: float, each: Array, target: float, rule: str
) -> SampleSize:
    from bayes_msc.simulation.summary import share_error

    low, high = np.quantile(each, [0.025, 0.975], method="inverted_cdf")
    simulated = pooled.assign(
        success=pooled["hits"] / pooled["trials"],
        success_mcse=share_error(pooled["hits"], pooled["trials"]),
    ).drop(columns="hits")
    sizes = np.unique(np.linspace(pooled["patients"].min(), pooled["patients"].max(), 200).round())
    within = math.isfinite(best) and best <= pooled["patients"].max()
    return SampleSize(
        patients=int(best) if within else None,
        interval=(float(low), float(high)),
        target=target,
        rule=rule,
        simulated=simulated,
        curve=curve.at(sizes),
        p_fit=curve.p_fit,
    )
