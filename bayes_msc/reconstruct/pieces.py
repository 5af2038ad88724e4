"""From printed summaries to skeletons: baselines and changes of all patients, tied together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from bayes_msc.errors import ReconstructionError
from bayes_msc.reconstruct.conflicts import why_impossible
from bayes_msc.reconstruct.depth_first import multisets
from bayes_msc.reconstruct.limits import problem_of
from bayes_msc.reconstruct.paper import Cell, Group, Paper
from bayes_msc.reconstruct.summary import GroupSummary

Values = tuple[int, ...]
Cells = dict[Cell, Values]
Tied = dict[tuple[str, tuple[Values | None, ...]], list[tuple["Patient", ...]]]
MOST_SETS = 200_000
MOST_SKELETONS = 400_000


class Patient(NamedTuple):
    """What the skeleton says of a patient.

    Attributes
    ----------
    baseline : int
    changes : tuple of int
        One a period; empty where no changes are printed.
    left : bool
        Whether this is the patient who left.
    """

    baseline: int
    changes: Values
    left: bool = False

    def end(self, period: int) -> int:
        """Return the last count of a period, carried forward if need be."""
        return self.baseline + sum(self.changes[:period])


@dataclass(frozen=True)
class Skeleton:
    """Baselines and changes of all patients of a trial, sorted within each arm.

    Attributes
    ----------
    arms : tuple of (str, tuple of Patient)
    """

    arms: tuple[tuple[str, tuple[Patient, ...]], ...]

    @property
    def patients(self) -> list[tuple[str, Patient]]:
        """All patients with their arm."""
        return [(arm, patient) for arm, own in self.arms for patient in own]

    @property
    def orders(self) -> int:
        """Number of ways to give the names of each arm's patients to its rows.

        The patient who left is known by name.
        """
        whole = 1
        for _, own in self.arms:
            stayed = [patient for patient in own if not patient.left]
            whole *= math.factorial(len(stayed))
            whole //= math.prod(math.factorial(k) for k in Counter(stayed).values())
        return whole


@lru_cache(maxsize=4096)
def _listed(key: tuple[object, ...]) -> tuple[Values, ...]:
    summary: GroupSummary = key[0].summary  # type: ignore[attr-defined]
    problem = problem_of(summary)
    if problem is None:
        return ()
    rows, complete = multisets(
        problem.n, problem.bands, problem.limits, most=MOST_SETS, most_steps=50_000_000
    )
    if not complete:
        raise ReconstructionError(
            f"{summary.label}: more than {MOST_SETS:,} multisets fit; reconstruct the group by "
            "itself with reconstruct_group, or print more of it"
        )
    return tuple(tuple(int(v) for v in row) for row in (rows + problem.shift).tolist())


class _Key:
    """A summary that can be looked up by what is printed."""

    def __init__(self, summary: GroupSummary) -> None:
        self.summary = summary
        self.text = (
            summary.n, summary.signed,
            tuple((key, fact.intervals) for key, fact in summary.facts.items()),
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.text == other.text


def sets_of(summary: GroupSummary) -> tuple[Values, ...]:
    """Return all multisets of a printed summary, largest value first.

    Raises
    ------
    ReconstructionError
        If there are too many to list.
    """
    return _listed((_Key(summary),))


def cell_values(paper: Paper, quantity: str) -> list[Cells]:
    """Return every way to fill the cells of a quantity that all its printed summaries allow.

    Groups of one cell come first; of a pooled group then only the rest is open.
    """
    groups = sorted(paper.of(quantity), key=lambda group: len(group.cells))
    found: list[Cells] = [{}]
    for group in groups:
        found = [more for filled in found for more in _extended(paper, group, filled)]
        if not found:
            return []
        if len(found) > MOST_SKELETONS:
            raise ReconstructionError(
                f"{group.summary.label}: more than {MOST_SKELETONS:,} ways to share the values "
                "out between the arms; print more of them, or each arm by itself"
            )
    return found


def _extended(paper: Paper, group: Group, filled: Cells) -> Iterator[Cells]:
    open_cells = [cell for cell in group.cells if cell not in filled]
    known = Counter(v for cell in group.cells if cell in filled for v in filled[cell])
    for values in sets_of(group.summary):
        rest = Counter(values)
        if any(rest[value] < count for value, count in known.items()):
            continue
        rest.subtract(known)
        for shares in _shared(+rest, [paper.size(cell) for cell in open_cells]):
            yield {**filled, **dict(zip(open_cells, shares, strict=True))}


def _shared(values: Counter[int], sizes: list[int]) -> Iterator[tuple[Values, ...]]:
    """Share a multiset out over cells of given sizes, each way once."""
    if not sizes:
        if not values.total():
            yield ()
        return
    for part in sub_multisets(values, sizes[0]):
        rest = Counter(values)
        rest.subtract(part)
        for others in _shared(+rest, sizes[1:]):
            yield (part, *others)


def sub_multisets(values: Counter[int], size: int) -> Iterator[Values]:
    """Give every sub-multiset of a size once, largest value first."""
    kinds = sorted(values, reverse=True)

    def choose(place: int, left: int) -> Iterator[Values]:
        if left == 0:
            yield ()
            return
        if place == len(kinds):
            return
        kind = kinds[place]
        for count in range(min(values[kind], left), -1, -1):
            for others in choose(place + 1, left - count):
                yield (kind,) * count + others

    yield from choose(0, size)


def skeletons(paper: Paper) -> list[Skeleton]:
    """Return every skeleton that the printed baselines and changes allow.

    Raises
    ------
    ReconstructionError
        If a cell is in no printed summary, or there are too many skeletons.
    """
    baselines = cell_values(paper, "baseline") if paper.of("baseline") else [{}]
    changes = cell_values(paper, "change") if paper.of("change") else [{}]
    _check_cells(paper)
    found: list[Skeleton] = []
    # another split of baselines or changes gives other skeletons: none comes twice
    seen: Tied = {}
    for base, change in product(baselines, changes):
        arms = [_patients_of(paper, arm, base, change, seen) for arm in paper.arms]
        for chosen in product(*arms):
            found.append(Skeleton(tuple(zip(paper.arms, chosen, strict=True))))
        if len(found) > MOST_SKELETONS:
            raise ReconstructionError(
                f"more than {MOST_SKELETONS:,} sets of baselines and changes fit: too many to "
                "list; print more of them, or leave the baseline out"
            )
    return found


def _check_cells(paper: Paper) -> None:
    for quantity in ("baseline", "change"):
        groups = paper.of(quantity)
        covered = {cell for group in groups for cell in group.cells}
        periods = (0,) if quantity == "baseline" else range(1, paper.periods + 1)
        for cell in product(paper.arms, periods) if groups else ():
            if cell not in covered:
                raise ReconstructionError(
                    f"no {quantity} is printed for {cell[0]}"
                    + (f", period {cell[1]}" if cell[1] else "")
                    + ": print it for all arms and periods, or for none"
                )
    if paper.of("change") and not paper.of("baseline"):
        raise ReconstructionError("changes are printed without baselines: give those too")


def _patients_of(
    paper: Paper, arm: str, base: Cells, change: Cells, seen: Tied
) -> list[tuple[Patient, ...]]:
    """Return every way to tie an arm's baselines and changes together, each once."""
    key = arm, (base.get((arm, 0)), *(change.get((arm, k + 1)) for k in range(paper.periods)))
    if key not in seen:
        seen[key] = _tied(paper, arm, base, change)
    return seen[key]


def _tied(paper: Paper, arm: str, base: Cells, change: Cells) -> list[tuple[Patient, ...]]:
    size = paper.arms[arm][1]
    states: set[tuple[Patient, ...]] = {
        tuple(Patient(v, ()) for v in base.get((arm, 0), (0,) * size))
    }
    periods = range(1, paper.periods + 1) if change else range(0)
    leaves = paper.drop_out is not None and paper.drop_out.arm == arm
    if not change and leaves:
        states = {more for state in states for more in _one_leaves(state)}
    for period in periods:
        if period == 2 and leaves:
            states = {more for state in states for more in _one_leaves(state)}
        values = Counter(change[arm, period])
        states = {more for state in states for more in _paired(state, values)}
    if paper.periods == 1 and change and leaves:
        states = {more for state in states for more in _one_leaves(state)}
    return sorted(states)


def _one_leaves(patients: tuple[Patient, ...]) -> Iterator[tuple[Patient, ...]]:
    for gone in set(patients):
        rest = list(patients)
        rest.remove(gone)
        yield tuple(sorted([*rest, Patient(gone.baseline, gone.changes, left=True)]))


def _paired(patients: tuple[Patient, ...], values: Counter[int]) -> Iterator[tuple[Patient, ...]]:
    """Give a multiset of changes to patients, the same patients being interchangeable."""
    kinds = sorted(Counter(patients).items())

    def give(place: int, left: Counter[int]) -> Iterator[tuple[Patient, ...]]:
        if place == len(kinds):
            yield ()
            return
        patient, count = kinds[place]
        end = patient.end(len(patient.changes))
        for part in sub_multisets(left, count):
            if any(end + v < 0 or (patient.left and v != 0) for v in part):
                continue
            rest = Counter(left)
            rest.subtract(part)
            own = tuple(
                Patient(patient.baseline, (*patient.changes, v), patient.left) for v in part
            )
            for others in give(place + 1, +rest):
                yield (*own, *others)

    for given in give(0, values):
        yield tuple(sorted(given))


def why_no_pieces(paper: Paper) -> str:
    """Say which single summary is impossible by itself, or which quantity does not fit together."""
    alone = [why_impossible(group.summary) for group in paper.groups if not sets_of(group.summary)]
    if alone:
        return "; ".join(alone)
    for quantity in ("baseline", "change"):
        if paper.of(quantity) and not cell_values(paper, quantity):
            labels = " | ".join(group.summary.label for group in paper.of(quantity))
            return f"each summary is possible, but not all together: {labels}"
    return "baselines and changes are possible, but not together: a count would fall below 0"
