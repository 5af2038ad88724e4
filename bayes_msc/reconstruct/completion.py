"""Complete data sets of skeletons: every way to add the totals, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bayes_msc.reconstruct.classes import Class
from bayes_msc.reconstruct.coupling import (
    Coupling,
    Dataset,
    dataset,
    settled_total,
    slots_of,
)
from bayes_msc.reconstruct.paper import Group
from bayes_msc.reconstruct.pieces import Patient, Skeleton, sub_multisets

Place = tuple[int, int]
Totals = dict[Place, int]


class Completion:
    """Completes skeletons, all of them or within one class of sums of a period.

    Parameters
    ----------
    coupling : Coupling
        Of the paper, with any skeletons.
    found : Class, optional
        Sums to be kept.
    period : int
        Of the class.
    """

    def __init__(self, coupling: Coupling, found: Class | None = None, period: int = 1) -> None:
        self.coupling, self.paper = coupling, coupling.paper
        self.period = period
        self.sums = None
        if found is not None:
            self.sums = {
                cell[:3]: total for cell, total in zip(found.cells, found.totals, strict=True)
            }
        # groups of the class's period come first, then those with the fewest sets
        self.order = sorted(
            range(len(coupling.groups)),
            key=lambda k: (
                found is not None and not self._touches(coupling.groups[k]),
                len(coupling.sets[k]),
            ),
        )

    def _touches(self, group: Group) -> bool:
        return any(period == self.period for _, period in group.cells)

    def datasets(self, skeletons: Sequence[Skeleton]) -> Iterator[Dataset]:
        """Give every complete data set once (patients of an arm have no names)."""
        for skeleton in skeletons:
            for totals in self._filled(skeleton, 0, {}):
                yield dataset(self.paper, skeleton, totals)

    def _filled(self, skeleton: Skeleton, step: int, totals: Totals) -> Iterator[Totals]:
        if step == len(self.order):
            yield totals
            return
        k = self.order[step]
        for more in self._one_group(skeleton, k, totals):
            yield from self._filled(skeleton, step + 1, {**totals, **more})

    def _one_group(self, skeleton: Skeleton, k: int, totals: Totals) -> Iterator[Totals]:
        group = self.coupling.groups[k]
        slots = slots_of(self.paper, group, skeleton)
        if (self.coupling.ways(k, slots) == 0).all():
            return
        settled = dict(zip(slots.fixed_where, slots.fixed, strict=True))
        targets = self._targets(skeleton, slots.where, settled)
        if targets is None:
            return
        kinds: dict[tuple[object, ...], list[Place]] = {}
        least: dict[Place, int] = dict(zip(slots.where, slots.thresholds, strict=True))
        patients = skeleton.patients
        for place in slots.where:
            i, period = place
            known = tuple(totals.get((i, p)) for p in range(1, self.paper.periods + 1))
            kinds.setdefault((*patients[i], period, known), []).append(place)
        cells = {place: self._cell(patients, place) for place in slots.where}
        ordered = sorted(kinds.values(), key=lambda p: _rank(cells[p[0]], targets, least[p[0]]))
        for row in self._rows(k, slots.fixed, slots.where, cells, targets):
            left = Counter(row)
            left.subtract(slots.fixed)
            for given in _handed(ordered, +left, least, cells, targets):
                yield {**given, **settled}

    def _cell(
        self, patients: list[tuple[str, Patient]], place: Place
    ) -> tuple[str, int, bool] | None:
        if self.sums is None or place[1] != self.period:
            return None
        arm, patient = patients[place[0]]
        return arm, patient.baseline, patient.left

    def _targets(
        self, skeleton: Skeleton, where: tuple[Place, ...], settled: Totals
    ) -> dict[tuple[str, int, bool], int] | None:
        """Sums still open in each cell of the class; None where the skeleton is of another."""
        if self.sums is None:
            return {}
        patients = skeleton.patients
        left = dict(self.sums)
        for i, (arm, patient) in enumerate(patients):
            cell = arm, patient.baseline, patient.left
            if cell not in left:
                return None
            known = settled_total(self.paper, patient, self.period)
            if known is not None:
                left[cell] -= known
            elif (i, self.period) not in where and (i, self.period) not in settled:
                # this group does not hold the place: another group will answer for it
                return {c: t for c, t in left.items() if self._whole(patients, c, where)}
        return left

    def _whole(
        self, patients: list[tuple[str, Patient]], cell: tuple[str, int, bool],
        where: tuple[Place, ...],
    ) -> bool:  # fmt: skip
        return all(
            (i, self.period) in where or settled_total(self.paper, patient, self.period) is not None
            for i, (arm, patient) in enumerate(patients)
            if (arm, patient.baseline, patient.left) == cell
        )

    def _rows(
        self, k: int, fixed: tuple[int, ...], where: tuple[Place, ...],
        cells: dict[Place, tuple[str, int, bool] | None],
        targets: dict[tuple[str, int, bool], int],
    ) -> list[list[int]]:  # fmt: skip
        """Multisets that hold every value that is settled, by the skeleton or by the class."""
        needed = list(fixed)
        in_cell = Counter(cells[place] for place in where)
        for cell, count in in_cell.items():
            if cell is not None and count == 1 and cell in targets:
                needed.append(targets[cell])
        rows: NDArray[np.int16] = self.coupling.sets[k]
        for value, count in Counter(needed).items():
            rows = rows[(rows == value).sum(axis=1) >= count]
        return [[int(v) for v in row] for row in rows]


def _rank(
    cell: tuple[str, int, bool] | None, targets: dict[tuple[str, int, bool], int], least: int
) -> tuple[bool, str, int]:
    """Order of places: those whose sum is known first, high thresholds first."""
    return cell not in targets, str(cell), -least


def _handed(
    kinds: list[list[Place]], values: Counter[int], least: dict[Place, int],
    cells: dict[Place, tuple[str, int, bool] | None], targets: dict[tuple[str, int, bool], int],
) -> Iterator[Totals]:  # fmt: skip
    """Hand values to places; places of one kind are interchangeable."""
    last = {cells[places[0]]: k for k, places in enumerate(kinds)}

    def give(
        k: int, left: Counter[int], sums: dict[tuple[str, int, bool], int]
    ) -> Iterator[Totals]:
        if k == len(kinds):
            yield {}
            return
        places = kinds[k]
        cell, low = cells[places[0]], least[places[0]]
        allowed = Counter({value: count for value, count in left.items() if value >= low})
        for part in sub_multisets(allowed, len(places)):
            now = sums
            if cell is not None and cell in targets:
                rest = sums[cell] - sum(part)
                if rest < 0 or (rest > 0 and last[cell] == k):
                    continue
                now = {**sums, cell: rest}
            remaining = Counter(left)
            remaining.subtract(part)
            for others in give(k + 1, +remaining, now):
                yield {**dict(zip(places, part, strict=True)), **others}

    yield from give(0, values, dict(targets))


def in_class(skeletons: Sequence[Skeleton], found: Class) -> list[Skeleton]:
    """Return the skeletons whose arms and baselines are those of a class."""
    wanted = Counter({cell[:3]: cell[3] for cell in found.cells})
    return [
        skeleton
        for skeleton in skeletons
        if Counter((arm, p.baseline, p.left) for arm, p in skeleton.patients) == wanted
    ]
