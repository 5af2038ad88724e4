"""Adaptive importance sampling of a log density of few dimensions.

The mode and the curvature give a first proposal with heavy tails; weighted points of it give a
second one that follows the density's bends, funnels and skewness (``bayes_msc.transport``), all of
them a third, and further ones while limits are missed. All points count, each weighted by the
mixture of all proposals (the balance heuristic: Veach & Guibas 1995; Owen & Zhou 2000, JASA
95:135; adaptive mixtures: Cappé et al. 2008, Statistics and Computing 18:447). The points are
consecutive parts of one scrambled Sobol sequence, whose blocks serve as replicates for the Monte
Carlo error. The weights are Pareto-smoothed (Vehtari et al. 2024, JMLR 25:72); the shape k of
their tail says whether they can be trusted.

No method that starts from one mode can see a second one far away from it: k speaks of the tails
that were reached. A proposal is a little denser than it should be at the points that it was fitted
to, so that these weigh too little and posterior SDs come out some tenths of a percent too small;
few and large stages, fitted to many points, keep this low.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bayes_msc.axes import Axes
from bayes_msc.mode import find_mode
from bayes_msc.sobol import digital_shift, normals
from bayes_msc.transport import Transport, elliptical, fitted

Array = NDArray[np.float64]

#: Above this shape of the tail, importance weights have too little behind them.
MOST_K = 0.7


@dataclass(frozen=True)
class Effort:
    """How many points to spend, and when to spend more.

    Attributes
    ----------
    stages : tuple of int
        Points of the stages that are always run.
    extra : tuple of int
        Points of the stages that follow one by one while a limit is missed.
    probability_error : float
        Limit of the Monte Carlo error of the probability that the first coordinate of interest
        is negative.
    mean_error : float
        Limit of the Monte Carlo error of its mean, in posterior SDs.
    smallest_share : float
        Least effective size as a share of the points.
    tails : tuple of float
        Tails of the first proposal, of those fitted to its points, and of the extra stages: 1 is
        normal, less is heavier.
    widen : float
        Factor on the SDs of the first proposal.
    """

    stages: tuple[int, ...] = (512, 512, 512)
    extra: tuple[int, ...] = (512, 1024, 2048)
    probability_error: float = 0.006
    mean_error: float = 0.02
    smallest_share: float = 0.1
    tails: tuple[float, float, float] = (0.8, 0.9, 0.8)
    widen: float = 1.1


EFFORT = Effort()
#: For simulations: the errors of single trials vanish in a share of thousands.
QUICK = Effort(stages=(512, 512), probability_error=0.007)
#: For what the first attempt does not solve: twice the points, from wider and heavier proposals.
SECOND = Effort(stages=(1024, 1024, 1024), extra=(2048, 4096), tails=(0.7, 0.8, 0.7), widen=1.4)
_REPLICATES = 8


@dataclass(frozen=True, eq=False)
class Importance:
    """Weighted points of a density.

    Attributes
    ----------
    points : ndarray of float, shape (points, d)
    log_weights : ndarray of float, shape (points,)
        Pareto-smoothed and normalised: their exponentials sum to one.
    log_ratios : ndarray of float, shape (points,)
        Log density over the mixture of proposals, as they came.
    replicate : ndarray of int, shape (points,)
        The replicate of the Monte Carlo experiment that each point belongs to.
    pareto_k : float
        Shape of the tail of the weights.
    ess : float
        Effective size of the weights.
    log_marginal, log_marginal_se : float
        Log of the integral of the density, and its standard error, which covers what is lost by
        fitting proposals to the points.
    evaluations, attempts : int
        Points at which the density was computed, search included; stages run.
    trusted : bool
        Whether k, effective size and Monte Carlo errors are all within their limits.
    interest : int
        The coordinate of interest.
    """

    points: Array
    log_weights: Array
    log_ratios: Array
    replicate: NDArray[np.int64]
    pareto_k: float
    ess: float
    log_marginal: float
    log_marginal_se: float
    evaluations: int
    attempts: int
    trusted: bool
    interest: int
    weights: Array = field(repr=False)

    def mean(self, values: Array) -> float:
        """Weighted mean of one value a point."""
        return float(self.weights @ values)

    def mcse(self, values: Array) -> float:
        """Monte Carlo standard error of a weighted mean, from the replicates.

        The blocks of a Sobol sequence balance each other, so that the error of the whole is
        smaller than the spread between them says: the error errs on the high side.
        """
        residual = self.weights * (values - self.mean(values))
        sums = np.bincount(self.replicate, residual, _REPLICATES)
        # between replicates of equal size, of the sum of all of them
        return float(np.sqrt(np.sum(sums**2) * _REPLICATES / (_REPLICATES - 1)))

    def probability_below(self, limit: float) -> tuple[float, float]:
        """Probability that the coordinate of interest is below a limit, and its error."""
        below = (self.points[:, self.interest] < limit).astype(float)
        return self.mean(below), self.mcse(below)

    def choose(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Choose points with equal weights, by their indices.

        The points are taken at even steps of their cumulative weight, in the order of the
        coordinate of interest: its probabilities among the draws are those of the weights, to one
        draw. Then they are shuffled.

        Parameters
        ----------
        count : int
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of int, shape (count,)
        """
        order = np.argsort(self.points[:, self.interest], kind="stable")
        steps = (np.arange(count) + rng.random()) / count
        cumulative = np.cumsum(self.weights[order])
        chosen = np.searchsorted(cumulative, steps * cumulative[-1], side="right")
        return rng.permutation(order[np.minimum(chosen, len(order) - 1)])

    def resample(self, chains: int, draws: int, rng: np.random.Generator) -> Array:
        """Draw points with equal weights: those that ``choose`` finds.

        Returns
        -------
        ndarray of float, shape (chains, draws, d)
        """
        return self.points[self.choose(chains * draws, rng)].reshape(chains, draws, -1)


class _Target:
    """The density in coordinates with nearly normal tails, with a count of its evaluations."""

    def __init__(self, logp: Callable[[Array], Array], axes: Axes) -> None:
        self._logp, self.axes, self.evaluations = logp, axes, 0

    def __call__(self, z: Array) -> Array:
        points, log_derivative = self.axes.to_point(z)
        self.evaluations += len(z)
        values = self._logp(points) + log_derivative
        # not a number and plus infinity come from overflow far out: no place to be
        return np.where(values < np.inf, values, -np.inf)


def sample(
    logp: Callable[[Array], Array],
    start: Array,
    axes: Sequence[str],
    *,
    interest: int = 0,
    seed: int = 1,
    effort: Effort = EFFORT,
) -> Importance:
    """Sample a density by adaptive importance sampling.

    Parameters
    ----------
    logp : callable
        Log density, not necessarily normalised, from points, shape (points, d), to (points,).
    start : ndarray of float, shape (d,)
        Where the search for the mode starts; fixes the scale of positive numbers.
    axes : sequence of {"real", "scale", "positive", "unit"}
        What each coordinate was before it was unconstrained: see ``bayes_msc.axes``.
    interest : int
        The coordinate whose probabilities matter most; it must be real.
    seed : int
        The same seed gives the same points.
    effort : Effort

    Returns
    -------
    Importance
        ``trusted`` says whether it may be used.

    Raises
    ------
    ModelError
        If the density is zero at the start and everywhere around it.
    """
    rng = np.random.default_rng(seed)
    target = _Target(logp, Axes(axes, start))
    origin = target.axes.from_point(np.asarray(start, dtype=float)[None])[0]
    centre, covariance = find_mode(target, origin, 0.4, rng)
    order = _order(axes, interest)
    walk = _Walk(target, order, rng)
    heavy, light, rescue = effort.tails
    proposal = elliptical(centre, covariance * effort.widen**2, order, heavy)
    for number, size in enumerate((*effort.stages, *effort.extra)):
        if number >= len(effort.stages):
            # SDs before what is of interest: the other way round a funnel cannot be followed
            order = np.array(sorted(order, key=lambda i: axes[i] == "real"))
        behind = np.inf
        if number > 0:
            tail = light if number < len(effort.stages) else rescue
            weights = walk.bounded_weights()
            behind = 1.0 / float(weights @ weights)
            proposal = fitted(walk.z, weights, order, tail)
        walk.add(proposal, size, behind)
        if number + 1 >= len(effort.stages):
            result = walk.result(interest, effort)
            if result.trusted:
                break
    return result


def sample_twice(
    logp: Callable[[Array], Array],
    start: Array,
    axes: Sequence[str],
    *,
    interest: int = 0,
    seed: int = 1,
    effort: Effort = EFFORT,
) -> Importance:
    """Sample a density, and once more with ``SECOND`` where the first result is not trusted.

    Parameters
    ----------
    logp, start, axes, interest, seed, effort
        As for ``sample``; the effort is that of the first attempt.

    Returns
    -------
    Importance
        Of the last attempt; ``trusted`` says whether it may be used.

    Raises
    ------
    ModelError
        As ``sample``.
    """
    found = sample(logp, start, axes, interest=interest, seed=seed, effort=effort)
    if found.trusted:
        return found
    return sample(logp, start, axes, interest=interest, seed=seed, effort=SECOND)


def _order(axes: Sequence[str], interest: int) -> NDArray[np.int64]:
    """Put what is of interest first and the SDs next: the spread of the rest depends on them."""
    rest = [i for i in range(len(axes)) if i != interest]
    return np.array([interest, *sorted(rest, key=lambda i: axes[i] == "real")])


class _Walk:
    """The points so far, and the proposals they came from."""

    def __init__(self, target: _Target, order: NDArray[np.int64], rng: np.random.Generator) -> None:
        self._target = target
        self._d = len(order)
        self._shift = digital_shift(self._d, rng)
        self._proposals: list[Transport] = []
        self._sizes: list[int] = []
        self._behind: list[float] = []
        self._values = np.empty(0)
        self._densities = np.empty((0, 0))
        self._replicate = np.empty(0, dtype=np.int64)
        self.z = np.empty((0, self._d))

    def add(self, proposal: Transport, size: int, behind: float) -> None:
        """Evaluate the density at ``size`` further points, of a new proposal.

        ``behind`` is the effective number of points that the proposal was fitted to.
        """
        self._behind.append(behind)
        done = sum(self._sizes)
        z, density = proposal.points(normals(self._d, done, size, self._shift))
        earlier = np.reshape([one.log_density(z) for one in self._proposals], (-1, size))
        own = np.append(proposal.log_density(self.z), density)
        self._densities = np.vstack([np.hstack([self._densities, earlier]), own])
        self.z = np.concatenate([self.z, z])
        self._values = np.concatenate([self._values, self._target(z)])
        blocks = np.arange(size) * _REPLICATES // size
        self._replicate = np.concatenate([self._replicate, blocks])
        self._proposals.append(proposal)
        self._sizes.append(size)

    def log_ratios(self) -> Array:
        """Log density over the mixture of the proposals at every point."""
        shares = np.log(np.array(self._sizes) / sum(self._sizes))
        mixture = np.logaddexp.reduce(self._densities + shares[:, None], axis=0)
        return np.asarray(self._values - mixture)

    def shortfall(self) -> float:
        """About how much the log of the mean weight is too low.

        A density fitted to n points is higher at them than at others, by half the number of its
        free numbers over n on average. Centre and straight lines are counted; bends, slopes and
        skewness are shrunk. It lowers the weights of the points before it by its own share.
        """
        shares = np.array(self._sizes) / sum(self._sizes)
        free = self._d * (self._d + 3) / 2
        before = np.cumsum(shares) - shares
        return float(np.sum(before * shares * free / (2.0 * np.array(self._behind))))

    def bounded_weights(self) -> Array:
        """Weights for a fit: the largest fiftieth is cut off, so that no point rules it alone."""
        ratios = self.log_ratios()
        weights = np.exp(ratios - ratios.max())
        few = max(4, len(weights) // 50)
        weights = np.minimum(weights, np.partition(weights, -few)[-few])
        return np.asarray(weights / weights.sum())

    def result(self, interest: int, effort: Effort) -> Importance:
        """Smooth the weights and measure them."""
        ratios = self.log_ratios()
        log_weights, k = _smoothed(ratios)
        weights = np.exp(log_weights)
        log_total = _log_sum(ratios)
        shares = np.bincount(self._replicate, np.exp(ratios - log_total), _REPLICATES)
        squares = np.sum((shares - 1.0 / _REPLICATES) ** 2)
        spread = np.sqrt(squares * _REPLICATES / (_REPLICATES - 1))
        points, _ = self._target.axes.to_point(self.z)
        found = Importance(
            points=points,
            log_weights=log_weights,
            log_ratios=ratios,
            replicate=self._replicate,
            pareto_k=k,
            ess=float(1.0 / np.sum(weights**2)),
            log_marginal=float(log_total - np.log(len(ratios))),
            log_marginal_se=float(np.hypot(spread, self.shortfall())),
            evaluations=self._target.evaluations,
            attempts=len(self._sizes),
            trusted=False,
            interest=interest,
            weights=weights,
        )
        return _judged(found, effort)


def _judged(found: Importance, effort: Effort) -> Importance:
    value = found.points[:, found.interest]
    sd = np.sqrt(found.mean((value - found.mean(value)) ** 2))
    trusted = (
        found.pareto_k <= MOST_K
        and found.ess >= effort.smallest_share * len(value)
        and found.probability_below(0.0)[1] <= effort.probability_error
        and found.mcse(value) <= effort.mean_error * sd
    )
    return replace(found, trusted=bool(trusted))


def _log_sum(values: Array) -> float:
    top = float(values.max())
    return top + float(np.log(np.exp(values - top).sum()))


def _smoothed(ratios: Array) -> tuple[Array, float]:
    """Pareto-smoothed log weights and the shape of their tail."""
    from arviz_stats.base import array_stats

    log_weights = ratios - _log_sum(ratios)
    if np.ptp(np.sort(log_weights)[-len(ratios) // 5 :]) < 1e-10:
        # the proposal is the density: there is no tail to smooth
        return log_weights, -np.inf
    smooth, k = array_stats.psislw(-ratios)
    if not np.isfinite(k):
        return log_weights, np.inf
    return np.asarray(smooth), float(k)
