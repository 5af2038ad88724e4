"""Classes of first tables: who had which baseline, and sums of totals that give printed figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from bayes_msc.errors import ReconstructionError
from bayes_msc.reconstruct.coupling import Dataset, settled_total
from bayes_msc.reconstruct.facts import Fact
from bayes_msc.reconstruct.hunt import INTERVALS, STEEPEST, hunt
from bayes_msc.reconstruct.negative_binomial import Cells, Fitted, fit
from bayes_msc.reconstruct.paper import Paper, Regression
from bayes_msc.reconstruct.pieces import Skeleton

Numbers = NDArray[np.float64]
#: Arm, baseline, whether it is the patient who left, number of patients, settled sum or -1.
CellKey = tuple[str, int, bool, int, int]
MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Class:
    """One way to share the totals of a period out over arms and baselines.

    Attributes
    ----------
    cells : tuple of (str, int, bool, int)
        Arm, baseline, whether it is the patient who left, number of patients.
    totals : tuple of int
        Sum of their totals.
    """

    cells: tuple[tuple[str, int, bool, int], ...]
    totals: tuple[int, ...]

    def arm_total(self, arm: str) -> int:
        """Return the sum over an arm."""
        pairs = zip(self.cells, self.totals, strict=True)
        return sum(total for cell, total in pairs if cell[0] == arm)

    @property
    def key(self) -> tuple[tuple[str, int, bool, int], ...]:
        """The allocation of the baselines."""
        return self.cells


def transformed(baseline: Iterable[int], scale: str) -> Numbers:
    """Return the baselines on the scale of a regression."""
    values = np.array(list(baseline), float)
    if scale == "log1p":
        return np.log1p(values)
    if scale == "sqrt":
        return np.sqrt(values)
    return values if scale == "linear" else np.zeros(len(values))


def cells_of(paper: Paper, regression: Regression, found: Class) -> Cells:
    """Return the sums of a class as a regression sees them."""
    arms = list(paper.arms)
    size = np.array([cell[3] for cell in found.cells], float)
    covariate = transformed((cell[1] for cell in found.cells), regression.scale)
    total = np.array(found.totals, float)
    exposure = np.ones(len(size))
    if not regression.carried_forward:
        exposure *= paper.scans
        total, exposure = _only_seen(paper, regression, found, total, exposure)
    return Cells(
        total=total,
        size=size,
        covariate=covariate - (covariate * size).sum() / size.sum(),
        arm=np.array([arms.index(cell[0]) for cell in found.cells]),
        log_exposure=np.log(exposure),
    )


def _only_seen(
    paper: Paper, regression: Regression, found: Class, total: Numbers, exposure: Numbers
) -> tuple[Numbers, Numbers]:
    """Take the carried scans of the patient who left away."""
    for c, cell in enumerate(found.cells):
        if cell[2] and paper.drop_out is not None:
            if regression.period != 1:
                raise ReconstructionError("a regression without carried scans is of period 1")
            seen = paper.drop_out.scans_seen
            total[c] *= seen / paper.scans
            exposure[c] = seen
    return total, exposure


def fitted(paper: Paper, regression: Regression, found: Class) -> Fitted | None:
    """Fit a regression to a class."""
    return fit(
        cells_of(paper, regression, found),
        overdispersion=regression.overdispersion,
        information=regression.information,
        sloped=regression.scale != "none",
    )


def figures(paper: Paper, regression: Regression, got: Fitted) -> list[tuple[Fact, float]]:
    """Return each printed figure beside the value that a fit gives."""
    arms = list(paper.arms)
    values = {"mean": got.means, "lower": got.lowers, "upper": got.uppers}
    pairs = [
        (known, values[figure][arms.index(arm)])
        for (arm, figure), known in regression.means.items()
    ]
    return pairs if regression.p is None else [*pairs, (regression.p, got.p)]


def matches(paper: Paper, regression: Regression, found: Class) -> int:
    """Number of printed figures of a regression that a class gives."""
    got = fitted(paper, regression, found)
    if got is None:
        return 0
    return sum(known.holds(Fraction(value)) for known, value in figures(paper, regression, got))


def allocations(
    paper: Paper, period: int, skeletons: Sequence[Skeleton]
) -> dict[tuple[CellKey, ...], NDArray[np.int64]]:
    """Return the cells that occur, with the smallest sum that any skeleton leaves each.

    Open cells come first, arm by arm, the largest baseline first.
    """
    found: dict[tuple[CellKey, ...], NDArray[np.int64]] = {}
    for skeleton in skeletons:
        least: dict[CellKey, int] = {}
        sizes: dict[CellKey, int] = {}
        for arm, patient in skeleton.patients:
            known = settled_total(paper, patient, period)
            # patients whose totals are settled stand by themselves only if they left
            stands = -1 if known is None or not patient.left else known
            key = (arm, patient.baseline, patient.left, 0, stands)
            sizes[key] = sizes.get(key, 0) + 1
            low = known if known is not None else (patient.end(period) if patient.changes else 0)
            least[key] = least.get(key, 0) + (low or 0)
        order = sorted(sizes, key=lambda k: (k[4] >= 0, list(paper.arms).index(k[0]), -k[1], k[2]))
        cells = tuple((*k[:3], sizes[k], k[4]) for k in order)
        own = np.array([least[k] for k in order], np.int64)
        found[cells] = np.minimum(found[cells], own) if cells in found else own
    return found


def whole_totals(paper: Paper, period: int) -> list[int]:
    """Return the sums over all patients that the printed totals of a period allow."""
    sums = {0}
    covered: set[str] = set()
    for group in paper.of("total"):
        if all(cell[1] == period for cell in group.cells):
            known = {band.total for band in group.summary.bands()}
            sums = {a + b for a in sums for b in known}
            covered.update(cell[0] for cell in group.cells)
    if covered != set(paper.arms):
        raise ReconstructionError(
            f"a regression of period {period} needs the printed totals of all arms in it"
        )
    return sorted(sums)


def limits_of(paper: Paper, regression: Regression) -> tuple[Numbers, Numbers]:
    """Return the intervals of mean, lower, upper of either arm, and of |z|."""
    low, high = np.zeros(7), np.full(7, np.inf)
    for k, arm in enumerate(paper.arms):
        for j, figure in enumerate(("mean", "lower", "upper")):
            if (arm, figure) in regression.means:
                known = regression.means[arm, figure]
                low[3 * k + j], high[3 * k + j] = float(known.low), float(known.high)
    if regression.p is not None:
        high[6] = norm.isf(max(float(regression.p.low), 0.0) / 2)
        low[6] = norm.isf(min(float(regression.p.high), 1.0) / 2)
    tiny = 1e-9
    return low * (1 - tiny), high * (1 + tiny)


def searchable(paper: Paper, regression: Regression) -> bool:
    """Whether a regression can be searched backwards: fixed dispersion, both means printed."""
    means = all((arm, "mean") in regression.means for arm in paper.arms)
    return regression.overdispersion is not None and means and len(paper.arms) == 2


def matching_classes(
    paper: Paper, skeletons: Sequence[Skeleton], regressions: Sequence[Regression]
) -> list[Class]:
    """Return every class that gives all printed figures of the regressions (of one period).

    The first regression that carried counts forward is searched backwards; the others are then
    fitted to what was found.
    """
    first = sorted(regressions, key=lambda regression: not regression.carried_forward)[0]
    sums = whole_totals(paper, first.period)
    found: set[Class] = set()
    for cells, least in allocations(paper, first.period, skeletons).items():
        for whole in sums:
            found.update(_hunted(paper, first, cells, least, whole))
    return sorted(
        (
            one
            for one in found
            if all(matches(paper, each, one) == each.n_figures for each in regressions)
        ),
        key=lambda one: (one.cells, one.totals),
    )


def _hunted(
    paper: Paper, regression: Regression, cells: tuple[CellKey, ...],
    least: NDArray[np.int64], whole: int,
) -> list[Class]:  # fmt: skip
    shape = tuple(cell[:4] for cell in cells)
    template = cells_of(paper, regression, Class(shape, tuple(int(v) for v in least)))
    settled = np.array([cell[4] for cell in cells], np.int64)
    if not (settled < 0).any():
        return []
    if not regression.carried_forward:
        scale = np.exp(template.log_exposure) / paper.scans
        settled = np.where(settled >= 0, np.rint(settled * scale), settled).astype(np.int64)
        whole -= sum(int(c[4]) for c in cells if c[4] >= 0) - int(settled[settled >= 0].sum())
    low, high = limits_of(paper, regression)
    width = np.ptp(template.covariate)
    steepest = STEEPEST / width if width > 0 else 1.0
    sloped = bool(regression.scale != "none" and width > 0)
    edges = np.linspace(-steepest, steepest, INTERVALS + 1) if sloped else np.zeros(2)
    out = np.zeros((MOST_CLASSES, len(cells)), np.int64)
    kappa = regression.overdispersion
    assert kappa is not None
    count, _ = hunt(
        template.size, template.covariate, template.arm, template.log_exposure, least, settled,
        whole, kappa, regression.information == "observed", sloped, low, high, edges, out,
    )  # fmt: skip
    if count > MOST_CLASSES:
        raise ReconstructionError(
            f"more than {MOST_CLASSES:,} sums give the printed figures: they say too little"
        )
    rows = out[:count]
    if not regression.carried_forward:
        known = np.array([cell[4] for cell in cells], np.int64)
        rows = np.where(known >= 0, known, rows)
    return [Class(shape, tuple(int(v) for v in row)) for row in rows]


def class_of(paper: Paper, period: int, data: Dataset) -> Class:
    """Return the class of a complete data set."""
    sums: dict[tuple[str, int, bool], list[int]] = {}
    for row in data:
        own = sums.setdefault((row.arm, row.baseline, row.left), [0, 0])
        own[0] += 1
        own[1] += row.totals[period - 1]
    arms = list(paper.arms)
    order = sorted(sums, key=lambda k: (k[2], arms.index(k[0]), -k[1]))
    return Class(tuple((*k, sums[k][0]) for k in order), tuple(sums[k][1] for k in order))
