"""P-values of rank tests as packages print them, to be compared with a printed one."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import combinations

import numpy as np
from scipy import stats

from bayes_msc.reconstruct.coupling import Dataset
from bayes_msc.reconstruct.paper import Paper, RankTest

#: Signs and allocations are enumerated up to so many values.
ENUMERATED = 16


def agrees(paper: Paper, test: RankTest, data: Dataset) -> bool:
    """Whether any of the test's variants prints the p-value of the paper."""
    return any(
        p is not None and test.p.holds(Fraction(p)) for p in p_values(paper, test, data).values()
    )


def p_values(paper: Paper, test: RankTest, data: Dataset) -> dict[str, float | None]:
    """Return the p-value of every variant of a printed test; None where it has none."""
    if test.kind == "paired-wilcoxon":
        moved = tuple(sorted(_differences(paper, test, data)))
        return {variant: wilcoxon(moved, variant) for variant in test.variants}
    arms = list(paper.arms)
    samples = [
        tuple(sorted(_value(test, row, test.period) for row in data if row.arm == arm))
        for arm in arms[:2]
    ]
    return {variant: mann_whitney(samples[0], samples[1], variant) for variant in test.variants}


def _value(test: RankTest, row: object, period: int) -> int:
    values = row.changes if test.quantity == "change" else row.totals  # type: ignore[attr-defined]
    return int(values[period - 1])


def _differences(paper: Paper, test: RankTest, data: Dataset) -> list[int]:
    found = []
    for row in data:
        one, two = _value(test, row, 1), _value(test, row, 2)
        turned = test.compares == "treatments" and paper.arms[row.arm][0] == paper.control
        found.append(two - one if turned else one - two)
    return found


@lru_cache(maxsize=100_000)
def wilcoxon(differences: tuple[int, ...], variant: str) -> float | None:
    """Return the p-value of Wilcoxon's signed ranks; differences of 0 are dropped.

    Parameters
    ----------
    differences : tuple of int
    variant : str
        ``"asymptotic"`` (corrected for ties, not for continuity), ``"asymptotic-corrected"`` (for
        both), ``"exact"`` (tables without ties), ``"exact-ties"`` (all signs of the tied ranks).
    """
    moved = np.array([value for value in differences if value != 0], float)
    if len(moved) == 0:
        return None
    if variant == "exact-ties":
        return _exact_signs(moved) if len(moved) <= ENUMERATED else None
    method = "exact" if variant == "exact" else "asymptotic"
    correction = variant == "asymptotic-corrected"
    return float(stats.wilcoxon(moved, method=method, correction=correction).pvalue)


def _exact_signs(moved: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    ranks = 2 * stats.rankdata(np.abs(moved))
    ways = np.zeros(int(ranks.sum()) + 1)
    ways[0] = 1.0
    for rank in ranks.astype(int):
        ways[rank:] = ways[rank:] + ways[: len(ways) - rank]
    up = int(ranks[moved > 0].sum())
    away = np.abs(np.arange(len(ways)) - ranks.sum() / 2)
    return float(ways[away >= abs(up - ranks.sum() / 2) - 1e-9].sum() / ways.sum())


@lru_cache(maxsize=100_000)
def mann_whitney(one: tuple[int, ...], two: tuple[int, ...], variant: str) -> float | None:
    """Return the p-value of the rank sums of two samples; variants as in ``wilcoxon``."""
    if len({*one, *two}) == 1:
        return None
    if variant == "exact-ties":
        return _exact_allocations(one, two) if len(one) + len(two) <= ENUMERATED else None
    method = "exact" if variant == "exact" else "asymptotic"
    corrected = variant == "asymptotic-corrected"
    return float(stats.mannwhitneyu(one, two, method=method, use_continuity=corrected).pvalue)


def _exact_allocations(one: tuple[int, ...], two: tuple[int, ...]) -> float:
    ranks = stats.rankdata([*one, *two])
    sums = np.array(
        [ranks[list(chosen)].sum() for chosen in combinations(range(len(ranks)), len(one))]
    )
    centre = ranks.sum() * len(one) / len(ranks)
    away = abs(ranks[: len(one)].sum() - centre)
    return float((np.abs(sums - centre) >= away - 1e-9).mean())
