"""A whole trial from its printed numbers: how many data sets fit, and which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_msc.errors import ReconstructionError
from bayes_msc.notebook import banner, block, heading, paragraph
from bayes_msc.notebook import table as notebook_table
from bayes_msc.reading import read_trial
from bayes_msc.reconstruct.classes import (
    Class,
    class_of,
    figures,
    fitted,
    matches,
    matching_classes,
    searchable,
)
from bayes_msc.reconstruct.completion import Completion, in_class
from bayes_msc.reconstruct.coupling import Coupling, Dataset, check_totals
from bayes_msc.reconstruct.group import LABEL
from bayes_msc.reconstruct.negative_binomial import Fitted
from bayes_msc.reconstruct.paper import Paper, Regression, read_paper
from bayes_msc.reconstruct.patients import fit_to_patients, labelled_orders, to_trial
from bayes_msc.reconstruct.pieces import Skeleton, sets_of, skeletons, why_no_pieces
from bayes_msc.reconstruct.ranks import agrees, p_values
from bayes_msc.trial import Trial

#: So many data sets are listed; beyond, some are drawn.
LISTED = 50_000
DRAWN = 1000
GIVEN = "data"
STEP_COLUMNS = ("step", "what", "number")


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The data sets that could stand behind a paper's numbers: a reconstruction, not data.

    Attributes
    ----------
    paper : Paper
    possible : bool
    why : str
        If nothing fits, at which step, and why.
    steps : DataFrame
        What is left after each step: ``step``, ``what``, ``number``.
    classes : tuple of Class, optional
        Sums by arm and baseline that give all printed figures of the regressions.
    datasets : tuple of Dataset
        Complete data sets; patients of an arm have no names. All of them if ``complete``, else
        drawn with equal probability from all data sets of named patients.
    complete : bool
        Whether these are all.
    """

    paper: Paper
    possible: bool
    why: str
    steps: pd.DataFrame
    classes: tuple[Class, ...] | None
    datasets: tuple[Dataset, ...]
    complete: bool
    label: str = LABEL
    _coupling: Coupling | None = field(default=None, repr=False)
    _given: Trial | None = field(default=None, repr=False)

    @property
    def orders(self) -> list[int]:
        """In how many ways the names of each arm's patients fit each data set."""
        if self._given is not None:
            return [1]
        return [labelled_orders(data) for data in self.datasets]

    @cached_property
    def n_labelled(self) -> float:
        """Number of data sets of named patients before any p-value or regression is used."""
        return 0.0 if self._coupling is None else self._coupling.n_labelled

    def sample(self, size: int, seed: int = 1) -> list[Dataset]:
        """Draw data sets of named patients before any p-value or regression, uniformly.

        Raises
        ------
        ReconstructionError
            If nothing fits.
        """
        if self._coupling is None:
            raise ReconstructionError(f"nothing can be drawn. {self.why}")
        return self._coupling.sample(size, seed)

    def trial(self, candidate: int = 1) -> Trial:
        """Return one data set as a trial, labelled as a reconstruction.

        Parameters
        ----------
        candidate : int
            From 1.

        Raises
        ------
        ReconstructionError
            If there is no such candidate.
        """
        if self._given is not None:
            return self._given
        if not 1 <= candidate <= len(self.datasets):
            raise ReconstructionError(
                f"candidate {candidate} does not exist: there are {len(self.datasets)}"
                + (f". {self.why}" if self.why else "")
            )
        return to_trial(self.paper, self.datasets[candidate - 1], candidate, len(self.datasets))

    def trials(self) -> list[Trial]:
        """Return all data sets as trials."""
        if self._given is not None:
            return [self._given]
        return [self.trial(k + 1) for k in range(len(self.datasets))]

    def table(self) -> pd.DataFrame:
        """Return all data sets as one tidy table: one row a candidate, patient and scan."""
        if not self.possible:
            return pd.DataFrame({"label": [], "candidate": []})
        parts = [
            trial.data.assign(candidate=k + 1, label=self.label)
            for k, trial in enumerate(self.trials())
        ]
        table = pd.concat(parts, ignore_index=True)
        first = ["label", "candidate"]
        return table[[*first, *(name for name in table if name not in first)]]

    def figures(self, candidate: int = 1) -> pd.DataFrame:
        """Put every printed figure of regressions and tests beside what a data set gives.

        Returns
        -------
        DataFrame
            ``figure``, ``printed``, ``reconstructed``, ``agrees``, ``label``.
        """
        self.trial(candidate)
        if self._given is not None:
            raise ReconstructionError("the patients were given: nothing was reconstructed")
        data, rows = self.datasets[candidate - 1], []
        for number, regression in enumerate(self.paper.regressions, 1):
            got = _fit(self.paper, regression, data)
            for known, value in figures(self.paper, regression, got) if got else ():
                name = f"regression {number}: {known.name}"
                rows.append((name, known.text, f"{value:.5g}", known.holds(Fraction(value))))
        for test in self.paper.tests:
            for variant, p in p_values(self.paper, test, data).items():
                if p is not None:
                    name = f"{test.kind} of {test.quantity}s, {test.compares} ({variant})"
                    rows.append((name, test.p.text, f"{p:.4f}", test.p.holds(Fraction(p))))
        table = pd.DataFrame(rows, columns=["figure", "printed", "reconstructed", "agrees"])
        return table.assign(label=self.label)

    def __repr__(self) -> str:
        """Return the label and the steps."""
        head = f"{self.paper.title} ({self.label})"
        return f"{head}\n{self.steps.to_string(index=False)}" + (
            f"\n{self.why}" if self.why else ""
        )

    def _repr_html_(self) -> str:
        found = f"{len(self.datasets)} data sets{' (all)' if self.complete else ', drawn'}"
        parts = [banner(self.label), heading(self.paper.title), notebook_table(self.steps)]
        return block(*parts, paragraph(self.why or f"{found} fit what is printed."))


def reconstruct(
    source: str | Path | Paper,
    *,
    patients: Trial | str | Path | None = None,
    listed: int = LISTED,
    drawn: int = DRAWN,
    seed: int = 1,
) -> Reconstruction:
    """Give back the patient-level data sets that could stand behind a paper's numbers.

    What comes back is a reconstruction, not data: counts that fit what is printed, of which one may
    be right.

    Parameters
    ----------
    source : str, Path or Paper
        A bundled trial (``"llufriu2014"``), a TOML file of printed numbers, or a paper read before.
    patients : Trial, str or Path, optional
        The trial's real counts of every patient, or a file of them (as ``read_trial`` takes it):
        then nothing is reconstructed, and whatever is computed from the result uses these.
    listed : int
        Up to so many data sets are listed, all of them.
    drawn : int
        Beyond, so many are drawn: uniformly over the data sets of named patients, and kept if
        p-values and regressions agree.
    seed : int
        For drawing.

    Returns
    -------
    Reconstruction

    Raises
    ------
    ReconstructionError
        If the file cannot be read, or the printed numbers leave too much open.

    Notes
    -----
    In this order: multisets of every printed summary; baselines and changes tied to patients
    (skeletons); sums that give the printed figures of a regression, by inverse search; totals,
    whose number is a product for each skeleton; p-values of rank tests.
    """
    paper = source if isinstance(source, Paper) else read_paper(source)
    steps: list[tuple[str, str, float]] = []
    if patients is not None:
        return _given(paper, patients)
    check_totals(paper)
    found, why = _skeletons(paper, steps)
    if not found:
        return _nothing(paper, steps, why)
    coupling = Coupling(paper, found)
    backwards = [one for one in paper.regressions if searchable(paper, one)]
    forwards = [one for one in paper.regressions if one not in backwards]
    classes: tuple[Class, ...] | None = None
    if backwards:
        if len({one.period for one in backwards}) > 1:
            raise ReconstructionError("regressions of one period only can be searched backwards")
        classes = tuple(matching_classes(paper, found, backwards))
        figures_printed = sum(one.n_figures for one in backwards)
        steps.append(
            ("regression", f"classes of sums that give all {figures_printed} figures", len(classes))
        )
        if not classes:
            return _nothing(paper, steps, "no sums of counts give the figures of the regression")
    period = backwards[0].period if backwards else 1
    datasets, complete = _complete(coupling, found, classes, period, listed, drawn, seed)
    steps.append(("totals", "complete data sets" + ("" if complete else " drawn"), len(datasets)))
    if not datasets:
        return _nothing(paper, steps, _why_no_totals(paper, classes), classes)
    for regression in forwards:
        datasets = [data for data in datasets if _all_figures(paper, regression, data)]
        steps.append(("regression", f"with its {regression.n_figures} figures", len(datasets)))
    for test in paper.tests:
        datasets = [data for data in datasets if agrees(paper, test, data)]
        what = f"with p {test.p.text}, {test.kind} of {test.quantity}s between {test.compares}"
        steps.append(("rank test", what, len(datasets)))
    if not datasets:
        return _nothing(paper, steps, "no data set gives the printed p-values", classes)
    return Reconstruction(
        paper, True, "", _steps(steps), classes, tuple(datasets), complete, LABEL, coupling
    )


def _given(paper: Paper, patients: Trial | str | Path) -> Reconstruction:
    """Put real counts in the place of the reconstruction."""
    trial = patients
    if not isinstance(trial, Trial):
        trial = read_trial(
            trial,
            design="crossover" if paper.periods == 2 else "parallel",
            control=paper.control,
            active=paper.active,
            endpoint=paper.endpoint,
        )
    steps = pd.DataFrame(
        [("patients", "counts of every patient were given", 1)], columns=list(STEP_COLUMNS)
    )
    label = trial.label or GIVEN
    return Reconstruction(
        paper, True, "", steps.assign(label=label), None, (), True, label, None, trial
    )


def _skeletons(paper: Paper, steps: list[tuple[str, str, float]]) -> tuple[list[Skeleton], str]:
    for group in paper.groups:
        steps.append((group.summary.label, group.summary.words(), len(sets_of(group.summary))))
    if any(number == 0 for *_, number in steps):
        return [], why_no_pieces(paper)
    found = skeletons(paper)
    steps.append(("patients", "baselines and changes tied together", len(found)))
    return found, "" if found else why_no_pieces(paper)


def _complete(
    coupling: Coupling, found: Sequence[Skeleton], classes: Sequence[Class] | None, period: int,
    listed: int, drawn: int, seed: int,
) -> tuple[list[Dataset], bool]:  # fmt: skip
    def every() -> Iterator[Dataset]:
        if classes is None:
            yield from Completion(coupling).datasets(found)
            return
        for one in classes:
            yield from Completion(coupling, one, period).datasets(in_class(found, one))

    if classes is None and coupling.n_labelled > 1e3 * listed * _names(coupling.paper):
        return coupling.sample(drawn, seed), False
    datasets = list(islice(every(), listed + 1))
    if len(datasets) <= listed:
        return datasets, True
    if classes is not None:
        raise ReconstructionError(
            f"more than {listed:,} data sets give the figures of the regression: ask for more "
            "with listed=..., or print more of them"
        )
    return coupling.sample(drawn, seed), False


def _names(paper: Paper) -> float:
    """Most ways in which names can fit one data set."""
    whole = 1.0
    for _, n in paper.arms.values():
        whole *= float(np.prod(np.arange(1, n + 1, dtype=float)))
    return whole


def _fit(paper: Paper, regression: Regression, data: Dataset) -> Fitted | None:
    if regression.overdispersion is None:
        return fit_to_patients(paper, regression, data)
    return fitted(paper, regression, class_of(paper, regression.period, data))


def _all_figures(paper: Paper, regression: Regression, data: Dataset) -> bool:
    if regression.overdispersion is not None:
        found = class_of(paper, regression.period, data)
        return matches(paper, regression, found) == regression.n_figures
    got = fit_to_patients(paper, regression, data)
    return got is not None and all(
        known.holds(Fraction(value)) for known, value in figures(paper, regression, got)
    )


def _why_no_totals(paper: Paper, classes: Sequence[Class] | None) -> str:
    totals = "; ".join(group.summary.words() for group in paper.of("total"))
    given = " and the class of the regression" if classes else ""
    return f"no totals ({totals}) go with the baselines, the changes{given}"


def _steps(steps: list[tuple[str, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(steps, columns=list(STEP_COLUMNS)).assign(label=LABEL)


def _nothing(
    paper: Paper, steps: list[tuple[str, str, float]], why: str,
    classes: tuple[Class, ...] | None = None,
) -> Reconstruction:  # fmt: skip
    return Reconstruction(paper, False, why, _steps(steps), classes, (), True)


def first_tables(datasets: Sequence[Dataset]) -> int:
    """Number of different tables of the first period among data sets."""
    return len(
        {
            tuple(
                sorted(
                    Counter(
                        (r.arm, r.baseline, r.left, r.changes[:1], r.totals[0]) for r in data
                    ).items()
                )
            )
            for data in datasets
        }
    )
