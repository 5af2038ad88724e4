"""From printed numbers to a log rate ratio and its standard error, by every route they allow.

The order of preference is that of ``ROUTES``: limits of the ratio itself, then limits of both
arms, then the p-value, then events and exposure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from bayes_msc.printed import Analysis, Estimate, Printed

Range = tuple[float, float]
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Effect:
    """A log rate ratio (active over control) with its standard error: derived, not printed.

    Parameters
    ----------
    log_rate_ratio, se : float
        On the natural log scale.
    log_rate_ratio_range, se_range : tuple of float
        What the rounding of the printed numbers leaves open.
    """

    log_rate_ratio: float
    se: float
    log_rate_ratio_range: Range
    se_range: Range

    @property
    def p_value(self) -> float:
        """Two-sided Wald p-value."""
        return two_sided(abs(self.log_rate_ratio) / self.se)

    @property
    def p_range(self) -> Range:
        """Two-sided Wald p-values that the rounding leaves open."""
        low, high = self.log_rate_ratio_range
        nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        farthest = max(abs(low), abs(high))
        narrow, wide = self.se_range
        smallest = two_sided(farthest / narrow) if narrow > 0 else 0.0
        return smallest, two_sided(nearest / wide)


@dataclass(frozen=True)
class Route:
    """One way to the rate ratio: its name, the effect (None where it is closed) and the reason."""

    name: str
    effect: Effect | None
    why: str


def two_sided(z: float) -> float:
    """Two-sided p-value of a standard normal statistic."""
    return math.erfc(abs(z) / math.sqrt(2))


def limit_multiplier(level: float) -> float:
    """Number of standard errors from the estimate to a limit at the confidence level."""
    return _NORMAL.inv_cdf(0.5 + level / 2)


def _log_range(number: Printed) -> Range:
    return math.log(number.low), math.log(number.high)


def _log_se(estimate: Estimate, level: float) -> tuple[float, Range] | None:
    """Return the standard error of a log estimate from its limits, with the rounding range."""
    if estimate.lower is None or estimate.upper is None:
        return None
    width = 2 * limit_multiplier(level)
    low, high = _log_range(estimate.lower), _log_range(estimate.upper)
    se = math.log(estimate.upper.value / estimate.lower.value) / width
    return se, (max(0.0, high[0] - low[1]) / width, (high[1] - low[0]) / width)


def log_ratio(analysis: Analysis) -> tuple[float, Range] | None:
    """Log ratio and its rounding range: the printed ratio, or else the ratio of the arm means."""
    if analysis.ratio is not None:
        return math.log(analysis.ratio.value.value), _log_range(analysis.ratio.value)
    return log_ratio_of_means(analysis)


def log_ratio_of_means(analysis: Analysis) -> tuple[float, Range] | None:
    """Log ratio of the two printed means with its rounding range; None without both means."""
    if analysis.arm_estimates is None:
        return None
    active, control = (estimate.value for estimate in analysis.arm_estimates)
    active_range, control_range = _log_range(active), _log_range(control)
    rounding = (active_range[0] - control_range[1], active_range[1] - control_range[0])
    return math.log(active.value / control.value), rounding


def _by_ratio_limits(analysis: Analysis) -> Effect | str:
    if analysis.ratio is None:
        return "no ratio is printed"
    spread = _log_se(analysis.ratio, analysis.level)
    if spread is None:
        return "the ratio is printed without limits"
    centre = math.log(analysis.ratio.value.value)
    return Effect(centre, spread[0], _log_range(analysis.ratio.value), spread[1])


def _by_arm_limits(analysis: Analysis) -> Effect | str:
    centre = log_ratio_of_means(analysis)
    if centre is None or analysis.arm_estimates is None:
        return "the means of both arms are not printed"
    active, control = (_log_se(arm, analysis.level) for arm in analysis.arm_estimates)
    if active is None or control is None:
        return "an arm is printed without limits"
    low, high = (math.hypot(active[1][i], control[1][i]) for i in (0, 1))
    return Effect(centre[0], math.hypot(active[0], control[0]), centre[1], (low, high))


def _by_p_value(analysis: Analysis) -> Effect | str:
    if analysis.p is None:
        return "no p-value is printed"
    if analysis.p.below or not 0 < analysis.p.decimal < 1:
        return f"p is printed as {analysis.p}, which fixes no standard error"
    centre = log_ratio(analysis)
    if centre is None:
        return "a p-value without a ratio gives no rate ratio"
    if centre[0] == 0:
        return "the printed ratio is 1, so that the p-value says nothing about the standard error"
    low, high = max(analysis.p.low, 0.0), min(analysis.p.high, 1.0)
    size = sorted(abs(end) for end in centre[1])
    smallest = 0.0 if centre[1][0] <= 0 <= centre[1][1] else size[0]
    se_low = smallest / _z_of(low) if low > 0 else 0.0
    se_high = size[1] / _z_of(high) if high < 1 else math.inf
    se = abs(centre[0]) / _z_of(analysis.p.value)
    return Effect(centre[0], se, centre[1], (se_low, se_high))


def _z_of(p: float) -> float:
    return -_NORMAL.inv_cdf(p / 2)


def _by_events(analysis: Analysis) -> Effect | str:
    active, control = analysis.active, analysis.control
    if active is None or control is None or active.events is None or control.events is None:
        return "events and exposure of both arms are not printed"
    assert active.exposure is not None
    assert control.exposure is not None
    if active.events == 0 or control.events == 0:
        return "an arm has no events: the log ratio is not finite"
    counts = math.log(active.events / control.events)
    centre = counts - math.log(active.exposure.value / control.exposure.value)
    a_range, c_range = _log_range(active.exposure), _log_range(control.exposure)
    rounding = (counts - a_range[1] + c_range[0], counts - a_range[0] + c_range[1])
    se = math.sqrt(1 / active.events + 1 / control.events)
    return Effect(centre, se, rounding, (se, se))


ROUTES: dict[str, tuple[Callable[[Analysis], Effect | str], str]] = {
    "ratio's limits": (
        _by_ratio_limits,
        "the limits belong to the comparison itself; log scale and a symmetric interval assumed",
    ),
    "both arms' limits": (
        _by_arm_limits,
        "root sum of squares of the two arms' standard errors; the arms' estimates are taken as "
        "independent",
    ),
    "p-value": (
        _by_p_value,
        "the standard error at which a Wald test gives the printed p-value",
    ),
    "events and exposure": (
        _by_events,
        "Poisson counts assumed: variation between patients is left out, so that the standard "
        "error is too small if patients differ",
    ),
}


def routes(analysis: Analysis) -> tuple[Route, ...]:
    """Every route from the printed numbers of one analysis to the log rate ratio.

    Parameters
    ----------
    analysis : Analysis
        One printed comparison.

    Returns
    -------
    tuple of Route
        In order of preference; a route that is closed has no effect and says why.
    """
    found = []
    for name, (derive, why) in ROUTES.items():
        effect = derive(analysis)
        if isinstance(effect, str):
            found.append(Route(name, None, effect))
        else:
            found.append(Route(name, effect, why))
    return tuple(found)


def open_routes(analysis: Analysis) -> tuple[tuple[Route, Effect], ...]:
    """Only the routes that lead to a rate ratio, in order of preference."""
    return tuple((r, r.effect) for r in routes(analysis) if r.effect is not None)
