"""Table of prior distributions: their numbers, their support, their form in SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Number = float | tuple[float, ...]


@dataclass(frozen=True)
class Distribution:
    """One row of the table of known distributions."""

    parameters: tuple[str, ...]
    positive: tuple[str, ...]
    support: str
    words: str
    frozen: Callable[..., Any]


class _NormalMixture:
    """The few methods of a frozen scipy distribution that a mixture of normals needs."""

    def __init__(self, weights: Number, locs: Number, scales: Number) -> None:
        self.weights, self.locs, self.scales = (
            np.atleast_1d(np.asarray(v, dtype=float)) for v in (weights, locs, scales)
        )

    def _component(self) -> Any:
        from scipy import stats

        return stats.norm(self.locs, self.scales)

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Density at x."""
        return np.asarray(self._component().pdf(np.asarray(x)[..., None]) @ self.weights)

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability below x."""
        return np.asarray(self._component().cdf(np.asarray(x)[..., None]) @ self.weights)

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Quantile, by bracketing root search between the components' own quantiles."""
        from scipy import optimize

        def one(p: float) -> float:
            ends = self._component().ppf(p)
            low, high = float(np.min(ends)), float(np.max(ends))
            if high - low < 1e-12 * max(1.0, abs(low)):
                return low
            return float(optimize.brentq(lambda x: float(self.cdf(x)) - p, low, high, xtol=1e-13))

        return np.asarray(np.vectorize(one, otypes=[float])(np.asarray(q, dtype=float)))

    def mean(self) -> float:
        """Mean of the mixture."""
        return float(self.weights @ self.locs)

    def std(self) -> float:
        """Standard deviation of the mixture."""
        second = self.weights @ (self.scales**2 + self.locs**2)
        return math.sqrt(float(second) - self.mean() ** 2)

    def rvs(self, size: int, random_state: np.random.Generator) -> NDArray[np.float64]:
        """Independent draws."""
        pick = random_state.choice(len(self.weights), size=size, p=self.weights)
        return np.asarray(random_state.normal(self.locs[pick], self.scales[pick]))


class _HalfStudentT:
    """The few methods of a frozen scipy distribution that the positive half of a t needs."""

    def __init__(self, df: float, scale: float) -> None:
        self.df, self.scale = df, scale

    def _whole(self) -> Any:
        from scipy import stats

        return stats.t(self.df, scale=self.scale)

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Density at x."""
        return np.exp(self.logpdf(x))

    def logpdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Log density at x."""
        points = np.asarray(x, dtype=float)
        return np.where(points < 0, -np.inf, math.log(2) + self._whole().logpdf(points))

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability below x."""
        return np.asarray(1 - 2 * self._whole().sf(np.maximum(np.asarray(x, dtype=float), 0)))

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Quantile at probability q."""
        return self.isf(1 - np.asarray(q, dtype=float))

    def isf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Value that is exceeded with probability q."""
        return np.asarray(self._whole().isf(np.asarray(q, dtype=float) / 2))

    def mean(self) -> float:
        """Mean; infinite for at most one degree of freedom."""
        if self.df <= 1:
            return math.inf
        return 2 * self.scale * self.df / (self.df - 1) * float(self._whole().pdf(0)) * self.scale

    def std(self) -> float:
        """Standard deviation; infinite for at most two degrees of freedom."""
        if self.df <= 2:
            return math.inf
        return math.sqrt(float(self._whole().var()) - self.mean() ** 2)

    def rvs(self, size: int, random_state: np.random.Generator) -> NDArray[np.float64]:
        """Independent draws."""
        return np.asarray(np.abs(self._whole().rvs(size, random_state=random_state)))


class _PointMass:
    """The few methods of a frozen scipy distribution, for a number that is not estimated."""

    def __init__(self, value: float) -> None:
        self.value = value

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Density at x: infinite at the value, 0 elsewhere."""
        return np.where(np.asarray(x, dtype=float) == self.value, np.inf, 0.0)

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of at most x."""
        return np.where(np.asarray(x, dtype=float) >= self.value, 1.0, 0.0)

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Quantile: the value at every probability."""
        return np.full(np.shape(q), self.value)

    def mean(self) -> float:
        """Return the value."""
        return self.value

    def std(self) -> float:
        """Return 0: there is no spread."""
        return 0.0

    def rvs(self, size: int, random_state: np.random.Generator) -> NDArray[np.float64]:
        """Return the value, again and again."""
        return np.full(size, self.value)


def _scipy(name: str, arguments: Callable[..., dict[str, float]]) -> Callable[..., Any]:
    def frozen(*numbers: float) -> Any:
        from scipy import stats

        return getattr(stats, name)(**arguments(*numbers))

    return frozen


DISTRIBUTIONS: Mapping[str, Distribution] = {
    "normal": Distribution(
        ("loc", "scale"),
        ("scale",),
        "real",
        "Normal({loc:g}, {scale:g})",
        _scipy("norm", lambda loc, scale: {"loc": loc, "scale": scale}),
    ),
    "student_t": Distribution(
        ("df", "loc", "scale"),
        ("df", "scale"),
        "real",
        "Student-t({df:g}, {loc:g}, {scale:g})",
        _scipy("t", lambda df, loc, scale: {"df": df, "loc": loc, "scale": scale}),
    ),
    "normal_mixture": Distribution(
        ("weights", "locs", "scales"),
        ("weights", "scales"),
        "real",
        "mixture of normals (weights {weights}, means {locs}, SDs {scales})",
        _NormalMixture,
    ),
    "half_normal": Distribution(
        ("scale",),
        ("scale",),
        "positive",
        "HalfNormal({scale:g})",
        _scipy("halfnorm", lambda scale: {"scale": scale}),
    ),
    "half_cauchy": Distribution(
        ("scale",),
        ("scale",),
        "positive",
        "HalfCauchy({scale:g})",
        _scipy("halfcauchy", lambda scale: {"scale": scale}),
    ),
    "half_student_t": Distribution(
        ("df", "scale"),
        ("df", "scale"),
        "positive",
        "HalfStudent-t({df:g}, {scale:g})",
        _HalfStudentT,
    ),
    "exponential": Distribution(
        ("rate",),
        ("rate",),
        "positive",
        "Exponential(rate {rate:g})",
        _scipy("expon", lambda rate: {"scale": 1.0 / rate}),
    ),
    "gamma": Distribution(
        ("shape", "rate"),
        ("shape", "rate"),
        "positive",
        "Gamma(shape {shape:g}, rate {rate:g})",
        _scipy("gamma", lambda shape, rate: {"a": shape, "scale": 1.0 / rate}),
    ),
    "lognormal": Distribution(
        ("loc", "scale"),
        ("scale",),
        "positive",
        "LogNormal({loc:g}, {scale:g})",
        _scipy("lognorm", lambda loc, scale: {"s": scale, "scale": math.exp(loc)}),
    ),
    "beta": Distribution(
        ("alpha", "beta"),
        ("alpha", "beta"),
        "unit",
        "Beta({alpha:g}, {beta:g})",
        _scipy("beta", lambda alpha, beta: {"a": alpha, "b": beta}),
    ),
    "fixed": Distribution(("value",), (), "any", "fixed at {value:g}", _PointMass),
}
