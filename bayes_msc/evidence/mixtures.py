"""A short mixture in place of a long one: the closest one, its size chosen by fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import PriorError
from bayes_msc.evidence.beta import BetaMixture
from bayes_msc.evidence.borrowed import Borrowed
from bayes_msc.exact import check_log_ratio_prior, components, log_normal_density
from bayes_msc.prior import Prior

Array = NDArray[np.float64]
MOST = 4
#: The size is chosen as AIC would choose it from this many draws.
DRAWS = 4000
_POINTS = 801
_TAIL = 1e-7


@dataclass(frozen=True, eq=False)
class MixtureFit:
    """A mixture of few components that stands for an exact distribution.

    Parameters
    ----------
    prior : Prior or BetaMixture
        The mixture, to be used as a prior.
    size : int
        Number of components.
    choices : DataFrame
        One row a size tried: ``size, kl`` (Kullback-Leibler divergence from the exact one, in
        nats), ``aic`` (up to a constant), ``gap`` (largest difference of the two cumulative
        probabilities), ``chosen``.
    """

    prior: Prior | BetaMixture
    size: int
    choices: pd.DataFrame

    @property
    def kl(self) -> float:
        """Divergence of the chosen mixture from the exact distribution, in nats."""
        return float(self.choices.loc[self.choices["chosen"], "kl"].iloc[0])


@dataclass(frozen=True, eq=False)
class _Target:
    """Points, their probabilities (summing to 1) and the log density there."""

    x: Array
    mass: Array
    log_density: Array


def fit_mixture(
    target: Borrowed | Prior, size: int | None = None, *, most: int = MOST, draws: int = DRAWS
) -> MixtureFit:
    """Fit a mixture of few normals to a distribution on the whole line.

    Parameters
    ----------
    target : Borrowed or Prior
        What is to be stood for.
    size : int, optional
        Number of components; by default chosen among 1 to ``most`` by Akaike's criterion as if the
        target were known by ``draws`` draws.
    most, draws : int
        For that choice.

    Returns
    -------
    MixtureFit

    Raises
    ------
    PriorError
        If the target lives on positive numbers only, or a size is impossible.

    Notes
    -----
    Maximum likelihood on a grid: no draws are made, so the divergence is computed rather than
    estimated, and the result is the same in every run.
    """
    prior = target.prior if isinstance(target, Borrowed) else target
    check_log_ratio_prior(prior, "the distribution to be fitted")
    grid = _real_line(prior)

    def fit(count: int) -> tuple[Array, Array, Array]:
        return min((_normal_fit(grid, start) for start in _starts(grid, count)), key=_kl_of(grid))

    def make(found: tuple[Array, Array, Array]) -> Prior:
        order = np.argsort(-found[0])
        w, m, s = (a[order] for a in found)
        if len(w) == 1:
            return Prior.normal(float(m[0]), float(s[0]), prior.why)
        return Prior.normal_mixture((w / w.sum()).tolist(), m.tolist(), s.tolist(), prior.why)

    return _choose(grid, fit, make, _kl_of(grid), size, most, draws)


def fit_beta_mixture(
    logit: Borrowed | Prior, size: int | None = None, *, most: int = MOST, draws: int = DRAWS
) -> MixtureFit:
    """Fit a mixture of few betas to the distribution of a proportion whose logit is given.

    Parameters
    ----------
    logit : Borrowed or Prior
        Distribution of the log odds, such as ``proportion_prior`` gives.
    size, most, draws : int
        As in ``fit_mixture``.

    Returns
    -------
    MixtureFit
        Its ``prior`` is a ``BetaMixture``. Both numbers of every beta are at least 1, so that its
        density has a curvature everywhere and the effective size is defined.

    Raises
    ------
    PriorError
        If a size is impossible.
    """
    prior = logit.prior if isinstance(logit, Borrowed) else logit
    check_log_ratio_prior(prior, "the distribution to be fitted")
    line = _real_line(prior)
    p = 1 / (1 + np.exp(-line.x))
    # beyond 1e-12 the logarithms of p and 1 - p lose their digits
    inside = np.minimum(p, 1 - p) > 1e-12
    slope = np.log(p[inside]) + np.log1p(-p[inside])
    mass = line.mass[inside] / line.mass[inside].sum()
    grid = _Target(p[inside], mass, line.log_density[inside] - slope)

    def divergence(found: tuple[Array, Array, Array]) -> float:
        return _kl(grid, _beta_logs(grid.x, *found))

    def fit(count: int) -> tuple[Array, Array, Array]:
        starts = _beta_starts(grid, count)
        return min((_beta_fit(grid, start) for start in starts), key=divergence)

    def make(found: tuple[Array, Array, Array]) -> BetaMixture:
        order = np.argsort(-found[0])
        w, a, b = (v[order] for v in found)
        return BetaMixture(tuple(w / w.sum()), tuple(a), tuple(b), prior.why)

    return _choose(grid, fit, make, divergence, size, most, draws)


Found = tuple[Array, Array, Array]


def _choose(
    grid: _Target,
    fit: Callable[[int], Found],
    make: Callable[[Found], Prior | BetaMixture],
    divergence: Callable[[Found], float],
    size: int | None,
    most: int,
    draws: int,
) -> MixtureFit:
    for name, value in (("size", size), ("most", most), ("draws", draws)):
        if value is not None and value < 1:
            raise PriorError(f"{name} is {value}: it must be 1 or more")
    sizes = range(1, most + 1) if size is None else (size,)
    below = np.cumsum(grid.mass) - 0.5 * grid.mass
    rows, priors = [], []
    for count in sizes:
        found = fit(count)
        kl = max(divergence(found), 0.0)
        priors.append(make(found))
        gap = float(np.max(np.abs(priors[-1].cdf(grid.x) - below)))
        rows.append((count, kl, 2 * draws * kl + 2 * (3 * count - 1), gap))
    table = pd.DataFrame(rows, columns=["size", "kl", "aic", "gap"])
    best = int(np.argmin(table["aic"].to_numpy()))
    table["chosen"] = table.index == best
    return MixtureFit(priors[best], int(table["size"].iloc[best]), table)


def _real_line(prior: Prior) -> _Target:
    """A grid that is fine in the middle and reaches far into both tails."""
    low, first, middle, third, high = prior.ppf([_TAIL, 0.25, 0.5, 0.75, 1 - _TAIL]).tolist()
    scale = max((third - first) / 1.35, 1e-12)
    ends = np.arcsinh((np.array([low, high]) - middle) / scale)
    u = np.linspace(ends[0], ends[1], _POINTS)
    x = middle + scale * np.sinh(u)
    density = _log_density(prior, x)
    mass = np.exp(density) * np.gradient(x)
    return _Target(x, mass / mass.sum(), density)


def _log_density(prior: Prior, x: Array) -> Array:
    if prior.distribution not in ("normal", "normal_mixture"):
        return np.asarray(prior.frozen().logpdf(x))
    weights, locs, scales = components(prior)
    return _log_sum(np.log(weights) + log_normal_density(x[:, None], locs, scales))


def _log_sum(logs: Array) -> Array:
    peak = logs.max(axis=1)
    return np.asarray(peak + np.log(np.exp(logs - peak[:, None]).sum(axis=1)))


def _kl(grid: _Target, logs: Array) -> float:
    return float(grid.mass @ (grid.log_density - _log_sum(logs)))


def _kl_of(grid: _Target) -> Callable[[Found], float]:
    def divergence(found: Found) -> float:
        return _kl(grid, _normal_logs(grid.x, *found))

    return divergence


def _normal_logs(x: Array, w: Array, m: Array, s: Array) -> Array:
    return np.log(w) + log_normal_density(x[:, None], m, s)


def _moments(grid: _Target) -> tuple[float, float]:
    mean = float(grid.mass @ grid.x)
    return mean, math.sqrt(float(grid.mass @ (grid.x - mean) ** 2))


def _starts(grid: _Target, count: int) -> list[Found]:
    """Two beginnings: components around one centre with unlike widths, and side by side."""
    mean, sd = _moments(grid)
    even = np.full(count, 1 / count)
    if count == 1:
        return [(even, np.array([mean]), np.array([sd]))]
    middle = float(np.interp(0.5, np.cumsum(grid.mass), grid.x))
    around = middle + 0.02 * sd * np.linspace(-1, 1, count)
    side = np.interp((np.arange(count) + 0.5) / count, np.cumsum(grid.mass), grid.x)
    return [
        (even, around, sd * np.geomspace(0.4, 2.5, count)),
        (even, side, np.full(count, sd / count)),
    ]


def _descend(
    grid: _Target,
    logs: Callable[..., Array],
    slopes: Callable[..., tuple[Array, Array]],
    start: Found,
) -> Found:
    """Walk down the divergence, in the logits of the weights and two numbers a component.

    ``slopes`` gives the derivatives of a component's log density by its two numbers.
    """
    from scipy import optimize

    def unpacked(z: Array) -> Found:
        tilt, first, second = z.reshape(3, -1)
        w = np.exp(tilt - tilt.max())
        return w / w.sum(), first, second

    def value(z: Array) -> tuple[float, Array]:
        w, first, second = unpacked(z)
        each = logs(grid.x, w, first, second)
        total = _log_sum(each)
        share = np.exp(each - total[:, None]) * grid.mass[:, None]
        by_first, by_second = slopes(grid.x, first, second)
        gradient = [share.sum(axis=0) - w, (share * by_first).sum(axis=0)]
        gradient.append((share * by_second).sum(axis=0))
        return float(grid.mass @ (grid.log_density - total)), -np.concatenate(gradient)

    w, first, second = start
    z = np.concatenate([np.log(w), first, second])
    # L-BFGS-B does its small algebra in threads, which takes far longer on a busy machine
    found = optimize.minimize(value, z, jac=True, method="BFGS", options={"gtol": 1e-8})
    return unpacked(found.x)


def _normal_fit(grid: _Target, start: Found) -> Found:
    centre, unit = _moments(grid)
    standard = _Target((grid.x - centre) / unit, grid.mass, grid.log_density)

    def logs(x: Array, w: Array, m: Array, log_s: Array) -> Array:
        return _normal_logs(x, w, m, np.exp(log_s))

    def slopes(x: Array, m: Array, log_s: Array) -> tuple[Array, Array]:
        z = (x[:, None] - m) / np.exp(log_s)
        return z / np.exp(log_s), z**2 - 1

    w, m, s = start
    w, m, log_s = _descend(standard, logs, slopes, (w, (m - centre) / unit, np.log(s / unit)))
    return w, centre + unit * m, unit * np.exp(log_s)


def _beta_logs(x: Array, w: Array, a: Array, b: Array) -> Array:
    from scipy.special import betaln

    log_x, log_rest = np.log(x)[:, None], np.log1p(-x)[:, None]
    return np.asarray(np.log(w) + (a - 1) * log_x + (b - 1) * log_rest - betaln(a, b))


def _beta_starts(grid: _Target, count: int) -> list[Found]:
    mean, sd = _moments(grid)
    even = np.full(count, 1 / count)
    wide = sd * np.geomspace(0.5, 1.8, count) if count > 1 else np.array([sd])
    side = np.interp((np.arange(count) + 0.5) / count, np.cumsum(grid.mass), grid.x)
    return [
        (even, *_beta_of(np.full(count, mean), wide)),
        (even, *_beta_of(side, np.full(count, sd / math.sqrt(count)))),
    ]


def _beta_of(mean: Array, sd: Array) -> tuple[Array, Array]:
    """Numbers of the betas with these moments, at least 1."""
    size = np.maximum(mean * (1 - mean) / sd**2 - 1, 2.0)
    return np.maximum(mean * size, 1.0), np.maximum((1 - mean) * size, 1.0)


def _beta_fit(grid: _Target, start: Found) -> Found:
    from scipy.special import digamma

    # a = 1 + exp(z): at least 1
    def numbers(z: Array) -> Array:
        return 1 + np.exp(np.minimum(z, 40.0))

    def logs(x: Array, w: Array, first: Array, second: Array) -> Array:
        return _beta_logs(x, w, numbers(first), numbers(second))

    def slopes(x: Array, first: Array, second: Array) -> tuple[Array, Array]:
        a, b = numbers(first), numbers(second)
        both = digamma(a + b)
        by_a = np.log(x)[:, None] - digamma(a) + both
        by_b = np.log1p(-x)[:, None] - digamma(b) + both
        return by_a * (a - 1), by_b * (b - 1)

    w, a, b = start
    first, second = (np.log(np.maximum(v - 1, 0.05)) for v in (a, b))
    w, first, second = _descend(grid, logs, slopes, (w, first, second))
    return w, numbers(first), numbers(second)
