"""Intervals of a log rate ratio that a regression has estimated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize, stats

from bayes_msc.comparators.answer import LEVEL, Answer, Undefined

INTERVALS = ("likelihood-ratio", "Wald")
#: A log rate ratio beyond this is a fit that runs away, not an estimate.
FARTHEST = 20.0


def check(estimate: float, se: float) -> None:
    """Raise `Undefined` for an estimate that has run away."""
    if not (np.isfinite(se) and abs(estimate) < FARTHEST and 0 < se < 100 * FARTHEST):
        raise Undefined("the fit has no finite answer")


def wald_or_profile(
    blank: Answer,
    interval: str,
    estimate: float,
    se: float,
    deviance: Callable[[float], float],
    notes: list[str],
    degrees: float = np.inf,
) -> Answer:
    """Fill in an answer from a log rate ratio, its standard error and its profile.

    Parameters
    ----------
    blank : Answer
        The method in words.
    interval : str
        One of `INTERVALS`.
    estimate, se : float
        Log rate ratio and standard error.
    deviance : callable
        Likelihood-ratio statistic of a fixed log rate ratio.
    notes : list of str
        For the answer.
    degrees : float
        Degrees of freedom of an estimated dispersion; infinite where none was estimated.
    """
    if interval == "Wald":
        return wald(blank, estimate, se, stats.t(degrees), notes)
    reference = stats.f(1, degrees) if np.isfinite(degrees) else stats.chi2(1)
    allowed = float(reference.ppf(LEVEL))

    def limit(side: float) -> float:
        inner, outer = estimate, estimate + 2 * side * se
        while deviance(outer) < allowed:
            inner, outer = outer, outer + 2 * side * se
            if abs(outer) > FARTHEST:
                return side * np.inf
        return float(optimize.brentq(lambda b: deviance(b) - allowed, inner, outer, xtol=1e-6))

    limits = float(np.exp(limit(-1.0))), float(np.exp(limit(1.0)))
    p_value = float(reference.sf(max(deviance(0.0), 0.0)))
    return blank.with_numbers(float(np.exp(estimate)), limits, p_value, notes)


def wald(blank: Answer, estimate: float, se: float, reference: Any, notes: list[str]) -> Answer:
    """Fill in an answer by estimate and standard error of the log rate ratio."""
    half = float(reference.ppf((1 + LEVEL) / 2)) * se
    p_value = 2 * float(reference.sf(abs(estimate) / se))
    limits = float(np.exp(estimate - half)), float(np.exp(estimate + half))
    return blank.with_numbers(float(np.exp(estimate)), limits, p_value, notes)
