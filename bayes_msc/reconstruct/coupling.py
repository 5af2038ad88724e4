"""How totals and skeletons tie together: exact counts, and exact uniform draws, without a search.

A patient's total over a period is at least the last scan of it. The number of ways to hand the
values of a multiset to patients, each at or above the patient's threshold, is a product: with the
thresholds t in falling order, the k-th patient has (number of values >= t_k) - (k - 1) to choose
from; ties divide it by the product of their factorials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_msc.errors import ReconstructionError
from bayes_msc.reconstruct.compiled import compiled
from bayes_msc.reconstruct.paper import Group, Paper
from bayes_msc.reconstruct.pieces import Patient, Skeleton, sets_of

Numbers = NDArray[np.float64]


class Row(NamedTuple):
    """One patient of a complete data set.

    Attributes
    ----------
    arm : str
    baseline : int
    left : bool
    changes : tuple of int
        One a period; empty where none are printed.
    totals : tuple of int
        One a period.
    """

    arm: str
    baseline: int
    left: bool
    changes: tuple[int, ...]
    totals: tuple[int, ...]

    def end(self, period: int) -> int:
        """Last count of a period."""
        return self.baseline + sum(self.changes[:period])


Dataset = tuple[Row, ...]


@dataclass(frozen=True)
class Slots:
    """Places of one printed group of totals, for one skeleton.

    Attributes
    ----------
    where : tuple of (int, int)
        Patient (place in the skeleton) and period of each open place.
    thresholds : tuple of int
        Smallest total of each open place.
    fixed_where : tuple of (int, int)
    fixed : tuple of int
        Totals that the skeleton settles.
    """

    where: tuple[tuple[int, int], ...]
    thresholds: tuple[int, ...]
    fixed_where: tuple[tuple[int, int], ...]
    fixed: tuple[int, ...]


def settled_total(paper: Paper, patient: Patient, period: int) -> int | None:
    """Return the total of a period where baseline and changes settle it, else None."""
    if not patient.changes:
        return None
    if paper.scans == 1:
        return patient.end(period)
    if patient.left and paper.drop_out is not None:
        seen = paper.drop_out.scans_seen
        if period == 2 or seen == 1:
            return paper.scans * patient.end(period)
    return None


def slots_of(paper: Paper, group: Group, skeleton: Skeleton) -> Slots:
    """Return the places of a printed group of totals."""
    where, thresholds, fixed_where, fixed = [], [], [], []
    for place, (arm, patient) in enumerate(skeleton.patients):
        for cell_arm, period in group.cells:
            if cell_arm != arm:
                continue
            known = settled_total(paper, patient, period)
            if known is None:
                where.append((place, period))
                thresholds.append(patient.end(period) if patient.changes else 0)
            else:
                fixed_where.append((place, period))
                fixed.append(known)
    return Slots(tuple(where), tuple(thresholds), tuple(fixed_where), tuple(fixed))


@compiled
def _ways(
    rows: NDArray[np.int16], thresholds: NDArray[np.int64], fixed: NDArray[np.int64]
) -> Numbers:
    """Number of ways to hand each row's values (falling) to places; thresholds fall, too."""
    m, k = rows.shape[1], thresholds.shape[0]
    out = np.zeros(rows.shape[0])
    used = np.zeros(m, np.bool_)
    for r in range(rows.shape[0]):
        used[:] = False
        there = True
        for value in fixed:
            there = False
            for j in range(m):
                if rows[r, j] == value and not used[j]:
                    used[j] = True
                    there = True
                    break
            if not there:
                break
        if not there:
            continue
        ways, above, j, run, last = 1.0, 0, 0, 0, -1
        for i in range(k):
            while j < m and rows[r, j] >= thresholds[i]:
                if not used[j]:
                    above += 1
                    run = run + 1 if rows[r, j] == last else 1
                    last = rows[r, j]
                    ways /= run
                j += 1
            ways *= above - i
            if ways == 0.0:
                break
        out[r] = np.rint(ways)
    return out


class Coupling:
    """The totals of a paper over given skeletons.

    Parameters
    ----------
    paper : Paper
    skeletons : sequence of Skeleton
    """

    def __init__(self, paper: Paper, skeletons: Sequence[Skeleton]) -> None:
        self.paper = paper
        self.groups = paper.of("total")
        check_totals(paper)
        self.sets = [np.array(sets_of(group.summary), np.int16) for group in self.groups]
        self._seen: dict[tuple[int, tuple[int, ...], tuple[int, ...]], Numbers] = {}
        # the group with the fewest sets comes first: most skeletons fail there
        self._order = sorted(range(len(self.groups)), key=lambda k: len(self.sets[k]))
        self._all = list(skeletons)

    @cached_property
    def _kept(self) -> tuple[list[Skeleton], Numbers]:
        mass = [self._mass(skeleton) for skeleton in self._all]
        kept = [skeleton for skeleton, m in zip(self._all, mass, strict=True) if m > 0]
        return kept, np.array([m for m in mass if m > 0])

    @property
    def skeletons(self) -> list[Skeleton]:
        """Skeletons for which totals exist."""
        return self._kept[0]

    @property
    def labelled(self) -> Numbers:
        """Number of complete data sets of named patients of each of them."""
        return self._kept[1]

    def _mass(self, skeleton: Skeleton) -> float:
        mass = float(skeleton.orders)
        for k in self._order:
            mass *= float(self.ways(k, slots_of(self.paper, self.groups[k], skeleton)).sum())
            if mass == 0:
                return 0.0
        return mass

    def ways(self, k: int, slots: Slots) -> Numbers:
        """Return in how many ways each multiset of group k can stand in its places."""
        thresholds = tuple(sorted(slots.thresholds, reverse=True))
        key = (k, thresholds, tuple(sorted(slots.fixed)))
        if key not in self._seen:
            self._seen[key] = (
                _ways(self.sets[k], np.array(thresholds, np.int64), np.array(key[2], np.int64))
                if len(self.sets[k])
                else np.zeros(0)
            )
        return self._seen[key]

    @property
    def n_labelled(self) -> float:
        """Number of complete data sets of named patients."""
        return float(self.labelled.sum())

    def sample(self, size: int, seed: int = 1) -> list[Dataset]:
        """Draw complete data sets of named patients, each equally likely."""
        rng = np.random.default_rng(seed)
        if not len(self.skeletons):
            raise ReconstructionError("nothing fits: there is nothing to draw from")
        chosen = rng.choice(len(self.skeletons), size=size, p=self.labelled / self.n_labelled)
        return [self._draw(self.skeletons[place], rng) for place in chosen]

    def _draw(self, skeleton: Skeleton, rng: np.random.Generator) -> Dataset:
        totals: dict[tuple[int, int], int] = {}
        for k, group in enumerate(self.groups):
            slots = slots_of(self.paper, group, skeleton)
            totals |= dict(zip(slots.fixed_where, slots.fixed, strict=True))
            ways = self.ways(k, slots)
            cumulative = np.cumsum(ways)
            row = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
            left = self.sets[k][row].tolist()
            for value in slots.fixed:
                left.remove(value)
            order = sorted(range(len(slots.where)), key=lambda i: -slots.thresholds[i])
            for i in order:
                allowed = [j for j, value in enumerate(left) if value >= slots.thresholds[i]]
                totals[slots.where[i]] = left.pop(allowed[int(rng.integers(len(allowed)))])
        return dataset(self.paper, skeleton, totals)


def dataset(paper: Paper, skeleton: Skeleton, totals: dict[tuple[int, int], int]) -> Dataset:
    """Put a skeleton and its totals together; rows are sorted within each arm."""
    rows = []
    for place, (arm, patient) in enumerate(skeleton.patients):
        own = []
        for period in range(1, paper.periods + 1):
            settled = settled_total(paper, patient, period)
            own.append(totals[place, period] if settled is None else settled)
        rows.append(Row(arm, patient.baseline, patient.left, patient.changes, tuple(own)))
    places = {arm: place for place, arm in enumerate(paper.arms)}
    return tuple(sorted(rows, key=lambda row: (places[row.arm], row.left, *row[1:])))


def check_totals(paper: Paper) -> None:
    """Check that the totals can be tied to patients.

    Raises
    ------
    ReconstructionError
        Where a total is printed twice, or not at all and the changes do not settle it.
    """
    cells = [cell for group in paper.of("total") for cell in group.cells]
    twice = {cell for cell in cells if cells.count(cell) > 1}
    if twice:
        arm, period = min(twice)
        raise ReconstructionError(
            f"totals of {arm}, period {period}, are in two printed summaries: keep the finer one"
        )
    if paper.drop_out is not None and not paper.of("change"):
        raise ReconstructionError(
            "a drop-out's carried count can only be tied to printed changes: give those, or leave "
            "drop_out away"
        )
    if paper.scans == 1 and paper.of("change"):
        return
    for arm in paper.arms:
        for period in range(1, paper.periods + 1):
            if (arm, period) not in cells:
                raise ReconstructionError(
                    f"no total is printed for {arm}, period {period}: its counts are open"
                )
