"""A paper checked against itself: what its own printed digits allow, and what they do not.

Every check works with the interval of values that round to the printed digits, so that rounding
alone never makes a finding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import combinations

import pandas as pd

from bayes_msc.printed import Analysis, CountSummary, Estimate, Printed
from bayes_msc.published import Published
from bayes_msc.routes import Effect, Range, log_ratio_of_means, open_routes

COLUMNS = ("analysis", "check", "printed", "recomputed", "verdict", "meaning")
VERDICTS = ("agrees", "differs", "impossible", "not checkable")
MAX_SUMS = 10_000

Finding = tuple[str, str, str, str, str]


def check_published(published: Published) -> pd.DataFrame:
    """Check printed results against themselves.

    Parameters
    ----------
    published : Published
        What the paper prints.

    Returns
    -------
    DataFrame
        One row a check: ``analysis, check, printed, recomputed, verdict, meaning``. Checks: the
        p-value recomputed from the limits; limits symmetric about the estimate on the log scale;
        the ratio against the ratio of the means; two routes to the standard error against each
        other; means and SDs that n whole numbers cannot give (GRIM: Brown & Heathers 2017;
        GRIMMER: Anaya 2016). ``verdict`` is one of ``VERDICTS``.
    """
    rows = [
        (key, *finding)
        for key, analysis in published.analyses.items()
        for finding in _analysis_findings(published, analysis)
    ]
    for summary in published.summaries:
        rows += [(summary.quantity, *finding) for finding in summary_findings(summary)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _analysis_findings(published: Published, analysis: Analysis) -> Iterator[Finding]:
    yield from _p_value_findings(analysis)
    yield from _symmetry_findings(published, analysis)
    yield from _ratio_findings(analysis)
    yield from _route_findings(analysis)
    yield from _arm_mean_findings(published, analysis)


def _range(ends: Range, digits: int = 3) -> str:
    low, high = (f"{end:.{digits}g}" for end in ends)
    return low if low == high else f"{low} to {high}"


def _p_value_findings(analysis: Analysis) -> Iterator[Finding]:
    for route, effect in open_routes(analysis):
        if analysis.p is None or route.name == "p-value":
            continue
        low, high = effect.p_range
        agrees = analysis.p.allows(low, high)
        if agrees:
            meaning = "a Wald test on the log scale gives the printed p-value within rounding"
        elif route.name == "events and exposure":
            meaning = (
                "a Poisson test gives another p-value: patients differ more than Poisson counts, "
                "or the printed test is of another kind"
            )
        else:
            meaning = (
                "limits and p-value do not belong to the same Wald test: another test was used, "
                "or one of them is misprinted"
            )
        recomputed = f"{effect.p_value:.3g} (rounding allows {_range((low, high))})"
        verdict = "agrees" if agrees else "differs"
        yield f"p-value from {route.name}", f"p {analysis.p}", recomputed, verdict, meaning


def _symmetry_findings(published: Published, analysis: Analysis) -> Iterator[Finding]:
    named: list[tuple[str, Estimate]] = []
    if analysis.arm_estimates is not None:
        labels = (published.active.label, published.control.label)
        named += list(zip(labels, analysis.arm_estimates, strict=True))
    if analysis.ratio is not None:
        named.append(("ratio", analysis.ratio))
    for label, estimate in named:
        finding = _symmetry(estimate)
        if finding is not None:
            yield (f"symmetric limits, {label}", *finding)


def _symmetry(estimate: Estimate) -> tuple[str, str, str, str] | None:
    """Compare an estimate with the geometric mean of its limits."""
    if estimate.lower is None or estimate.upper is None:
        return None
    low, high = (
        math.sqrt(a * b)
        for a, b in (
            (estimate.lower.low, estimate.upper.low),
            (estimate.lower.high, estimate.upper.high),
        )
    )
    middle = math.sqrt(estimate.lower.value * estimate.upper.value)
    recomputed = f"{middle:.4g} (rounding allows {_range((low, high), 4)})"
    if estimate.value.allows(low, high):
        meaning = "the estimate lies in the middle of its limits on the log scale"
        return str(estimate), recomputed, "agrees", meaning
    meaning = (
        "the estimate is not in the middle of its limits on the log scale: the limits are not "
        "Wald limits of a log estimate (bootstrap, exact or profile limits), or are misprinted"
    )
    return str(estimate), recomputed, "differs", meaning


def _ratio_findings(analysis: Analysis) -> Iterator[Finding]:
    of_means = log_ratio_of_means(analysis)
    if of_means is None or analysis.ratio is None:
        return
    low, high = (math.exp(end) for end in of_means[1])
    agrees = analysis.ratio.value.allows(low, high)
    meaning = (
        "the printed ratio is the ratio of the printed means"
        if agrees
        else "the ratio comes from another model than the means, or is printed the other way round"
    )
    recomputed = f"{math.exp(of_means[0]):.3g} (rounding allows {_range((low, high))})"
    verdict = "agrees" if agrees else "differs"
    yield "ratio of the means", str(analysis.ratio.value), recomputed, verdict, meaning


def _overlap(a: Range, b: Range) -> bool:
    return a[0] <= b[1] + 1e-12 and b[0] <= a[1] + 1e-12


def _words(effect: Effect) -> str:
    return (
        f"log ratio {effect.log_rate_ratio:.3f}, SE {effect.se:.3f} "
        f"(rounding allows {_range(effect.se_range)})"
    )


def _route_findings(analysis: Analysis) -> Iterator[Finding]:
    for (first, a), (second, b) in combinations(open_routes(analysis), 2):
        centre = _overlap(a.log_rate_ratio_range, b.log_rate_ratio_range)
        agrees = centre and _overlap(a.se_range, b.se_range)
        if agrees:
            meaning = "both routes give the same answer within rounding"
        elif "events and exposure" in (first.name, second.name):
            meaning = (
                "raw events under a Poisson assumption give another answer than the printed "
                "model: adjustment, or patients who differ more than Poisson counts"
            )
        else:
            meaning = "the routes disagree beyond rounding: the printed numbers do not fit together"
        check = f"{first.name} against {second.name}"
        yield check, _words(a), _words(b), "agrees" if agrees else "differs", meaning


def _arm_mean_findings(published: Published, analysis: Analysis) -> Iterator[Finding]:
    if analysis.arm_estimates is None:
        return
    arms = (published.active, published.control)
    for arm, estimate in zip(arms, analysis.arm_estimates, strict=True):
        check = f"mean of whole numbers, {arm.label}"
        if analysis.means == "raw":
            yield (check, *grim(estimate.value, arm.n))
        else:
            kind = "an adjusted mean" if analysis.means == "adjusted" else "a rate"
            meaning = f"{kind} need not be a whole number divided by the number of patients"
            yield check, f"{estimate.value}, n {arm.n}", "", "not checkable", meaning


def summary_findings(summary: CountSummary) -> list[Finding]:
    """Findings on one printed mean (and SD) of whole numbers."""
    findings = [("mean of whole numbers", *grim(summary.mean, summary.n))]
    if summary.sd is not None:
        found = grimmer(summary.mean, summary.sd, summary.n, summary.signed)
        findings.append(("SD of whole numbers", *found))
    return findings


def possible_sums(mean: Printed, n: int) -> range:
    """Whole-number totals of n values whose mean is printed like this (ties kept)."""
    low = ((mean.decimal - mean.half_unit) * n).to_integral_value(ROUND_CEILING)
    high = ((mean.decimal + mean.half_unit) * n).to_integral_value(ROUND_FLOOR)
    return range(int(low), int(high) + 1)


def grim(mean: Printed, n: int) -> tuple[str, str, str, str]:
    """Whether a whole number divided by n can be printed as this mean (GRIM).

    Parameters
    ----------
    mean : Printed
        As printed.
    n : int
        Number of patients.

    Returns
    -------
    tuple of str
        Printed, recomputed, verdict, meaning.
    """
    printed = f"{mean}, n {n}"
    if 2 * mean.half_unit * n >= 1:
        meaning = f"too few digits: with {n} patients every mean can be printed like this"
        return printed, "", "not checkable", meaning
    sums = possible_sums(mean, n)
    if len(sums) > 0:
        total = sums[0]
        return printed, f"{total}/{n} = {total / n:.6g}", "agrees", f"a total of {total} gives it"
    below = math.floor(mean.decimal * n)
    nearest = f"{below}/{n} = {below / n:.6g}, {below + 1}/{n} = {(below + 1) / n:.6g}"
    meaning = f"no {n} whole numbers have this mean: mean, n or rounding is misprinted"
    return printed, f"nearest: {nearest}", "impossible", meaning


def grimmer(mean: Printed, sd: Printed, n: int, signed: bool) -> tuple[str, str, str, str]:
    """Whether n whole numbers can have this mean and this SD (GRIMMER).

    The sum of squares must be a whole number of the same parity as the sum, and no smaller than
    whole numbers with that sum allow; counts (not ``signed``) also bound it from above.

    Parameters
    ----------
    mean, sd : Printed
        As printed; the SD has divisor n - 1.
    n : int
        Number of patients.
    signed : bool
        Whether values below 0 are allowed.

    Returns
    -------
    tuple of str
        Printed, recomputed, verdict, meaning.
    """
    printed = f"{mean} (SD {sd}), n {n}"
    if n < 2 or 2 * mean.half_unit * n > MAX_SUMS:
        meaning = "needs at least 2 patients, and a mean printed with enough digits"
        return printed, "", "not checkable", meaning
    fits = [(s, q) for s in possible_sums(mean, n) if (q := _squares(s, sd, n, signed)) is not None]
    if not fits:
        meaning = f"no {n} whole numbers have this mean and this SD: one of them is misprinted"
        return printed, "no sum of squares fits", "impossible", meaning
    total, (squares, last) = fits[0]
    if len(fits) > 1 or last > squares:
        words = f"several pairs fit, such as sum {total}, sum of squares {squares}"
        return printed, words, "agrees", "whole numbers can give this mean and SD"
    found = f"sum {total}, sum of squares {squares}"
    return printed, found, "agrees", "exactly one sum and sum of squares give this mean and SD"


def _squares(total: int, sd: Printed, n: int, signed: bool) -> tuple[int, int] | None:
    """Smallest and largest sum of squares that fit a total and an SD; None if none does.

    A sum of squares of whole numbers has the parity of their sum.
    """
    lowest = max(Decimal(0), sd.decimal - sd.half_unit)
    centre = Decimal(total) * total / n
    slack = Decimal("1e-12")
    low = math.ceil(lowest**2 * (n - 1) + centre - slack)
    high = math.floor((sd.decimal + sd.half_unit) ** 2 * (n - 1) + centre + slack)
    each, rest = divmod(total, n)
    low = max(low, n * each**2 + rest * (2 * each + 1))
    high = high if signed else min(high, total**2)
    low += (low - total) % 2
    high -= (high - total) % 2
    return (low, high) if low <= high else None
