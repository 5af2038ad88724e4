"""Tests of one number a patient: Hills-Armitage, Wilcoxon and Mann-Whitney, by scipy."""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
from scipy import stats

from bayes_msc.comparators.answer import LEVEL, Answer, Numbers, Undefined, answered
from bayes_msc.comparators.layout import Pairs, pairs, totals
from bayes_msc.errors import ComparatorError, one_of
from bayes_msc.trial import Trial

TESTS = ("t", "Wilcoxon")
#: So many rearrangements are enumerated; beyond, a normal approximation with ties is used.
ENUMERATED = 20_000
#: Up to so many patients without ties the exact distribution of ranks is used.
TABLED = 50
#: Beyond this the comparisons of each patient with each do not fit in memory.
MOST_COMPARISONS = 5_000_000


def hills_armitage(trial: Trial, *, test: str = "t") -> Answer:
    """Compare the difference between periods of those with active first and control first.

    The difference of a patient's rates, period 1 minus period 2, holds twice the treatment effect
    between the sequences; the period cancels out. Half of it is the estimate.

    Parameters
    ----------
    trial : Trial
        The counts of a crossover.
    test : str
        ``"t"`` (equal variances) or ``"Wilcoxon"`` (rank sums; the estimate is half the median of
        all differences between patients of the two sequences).

    Returns
    -------
    Answer
        Of the difference of rates.

    Raises
    ------
    ComparatorError
        If the test is unknown.

    Notes
    -----
    Hills and Armitage, *British Journal of Clinical Pharmacology* 8, 7 (1979); Hodges and
    Lehmann, *Annals of Mathematical Statistics* 34, 598 (1963), for the median of differences.
    """
    one_of(test, TESTS, "test", ComparatorError)
    blank = Answer(
        f"Hills-Armitage, {'t-test' if test == 't' else 'Wilcoxon'}",
        "rate difference",
        when_right=(
            "The differences between periods are roughly normal with the same spread in both "
            "sequences, and nothing is carried over."
            if test == "t"
            else "Patients were randomised and nothing is carried over; outliers do little harm."
        ),
    )

    def compute() -> Answer:
        given = pairs(trial)
        active, control = period_differences(given)
        notes = list(given.notes)
        if test == "Wilcoxon":
            return _rank_sum(blank, active, control, notes, scale=0.5)
        if len(active) + len(control) < 3 or np.ptp(active) + np.ptp(control) == 0:
            raise Undefined("the differences have no spread to compare with")
        result = stats.ttest_ind(active, control)
        limits = result.confidence_interval(LEVEL)
        estimate = (active.mean() - control.mean()) / 2
        return blank.with_numbers(estimate, (limits.low / 2, limits.high / 2), result.pvalue, notes)

    return answered(blank, compute)


def paired_wilcoxon(trial: Trial) -> Answer:
    """Compare active with control within each patient by Wilcoxon's signed ranks.

    Parameters
    ----------
    trial : Trial
        The counts of a crossover.

    Returns
    -------
    Answer
        Of the difference of rates: the median of all averages of two patients' differences.

    Notes
    -----
    Wilcoxon, *Biometrics Bulletin* 1, 80 (1945); patients without a difference are left out of
    the test, as there. The period is ignored.
    """
    blank = Answer(
        "paired Wilcoxon",
        "rate difference",
        when_right="There is no period effect and nothing is carried over.",
    )

    def compute() -> Answer:
        given = pairs(trial)
        control, active = given.by_treatment(given.rate)
        difference = active - control
        moved = difference[difference != 0]
        notes = list(given.notes)
        if len(moved) == 0:
            raise Undefined("no patient differs between the treatments")
        if len(moved) < len(difference):
            left = len(difference) - len(moved)
            who = "1 patient" if left == 1 else f"{left} patients"
            notes.append(f"{who} without a difference left out")
        method = _method(np.abs(moved), len(moved), 2 ** len(moved))
        result = stats.wilcoxon(moved, method=method)
        _few_enough(len(difference) ** 2 // 2)
        i, j = np.triu_indices(len(difference))
        averages = np.sort((difference[i] + difference[j]) / 2)

        def p_value(shift: float) -> float:
            kind = "exact" if len(difference) <= TABLED else "asymptotic"
            return float(stats.wilcoxon(difference - shift, method=kind).pvalue)

        limits = _not_rejected(averages, p_value, notes)
        return blank.with_numbers(np.median(averages), limits, result.pvalue, notes)

    return answered(blank, compute)


def mann_whitney_changes(trial: Trial, *, baseline_exposure: float = 1.0) -> Answer:
    """Compare the changes from baseline of two parallel arms by ranks.

    The change is a patient's rate less the baseline's rate. In a crossover the change between the
    periods is compared between the sequences: the Wilcoxon form of `hills_armitage`.

    Parameters
    ----------
    trial : Trial
        The counts.
    baseline_exposure : float
        Exposure behind a baseline, in the trial's unit: 4 for a count over eight weeks beside
        visits of two weeks.

    Returns
    -------
    Answer
        Of the difference of changes: the median of all differences between patients of the arms.

    Raises
    ------
    ComparatorError
        If the exposure is not above 0.

    Notes
    -----
    Mann and Whitney, *Annals of Mathematical Statistics* 18, 50 (1947).
    """
    if not 0 < baseline_exposure < np.inf:
        raise ComparatorError(
            f"baseline_exposure is {baseline_exposure!r}: it must be above 0, in units of exposure"
        )
    crossover = trial.design == "crossover"
    blank = Answer(
        f"Mann-Whitney on changes {'between periods' if crossover else 'from baseline'}",
        "rate difference" if crossover else "difference in change of rate",
        when_right=(
            "Patients were randomised to the sequences and nothing is carried over."
            if crossover
            else "Patients were randomised and the change matters more than the level reached."
        ),
    )

    def compute() -> Answer:
        if crossover:
            given = pairs(trial)
            active, control = period_differences(given)
            notes = [*given.notes, "the same as Hills-Armitage, Wilcoxon"]
            return _rank_sum(blank, active, control, notes, scale=0.5)
        active, control, notes = _changes(trial, baseline_exposure)
        return _rank_sum(blank, active, control, notes, scale=1.0)

    return answered(blank, compute)


def period_differences(given: Pairs) -> tuple[Numbers, Numbers]:
    """Return rate of period 1 less period 2: of those with active first, and control first.

    Raises
    ------
    Undefined
        If there is one sequence only.
    """
    first = given.active_first
    if first.all() or not first.any():
        raise Undefined(
            "all patients had the treatments in the same order, so that treatment cannot be told "
            "apart from period"
        )
    difference = given.rate[:, 0] - given.rate[:, 1]
    return difference[first], difference[~first]


def _changes(trial: Trial, baseline_exposure: float) -> tuple[Numbers, Numbers, list[str]]:
    if not trial.has_baseline:
        raise Undefined("there is no baseline")
    table = totals(trial)
    change = table["count"] / table["exposure"] - table["baseline"] / baseline_exposure
    notes = [f"baseline taken as a count over {baseline_exposure:g} × {trial.exposure_unit}"]
    arms = [change[table["treated"] == arm].to_numpy(float) for arm in (1, 0)]
    return arms[0], arms[1], notes


def _rank_sum(
    blank: Answer, active: Numbers, control: Numbers, notes: list[str], scale: float
) -> Answer:
    """Fill in an answer by the rank-sum test and the differences that it does not reject."""
    everything = np.concatenate([active, control])
    if np.ptp(everything) == 0:
        raise Undefined("all patients are tied")
    smaller = min(len(active), len(control))
    method = _method(everything, smaller, comb(len(everything), smaller))
    result = stats.mannwhitneyu(active, control, method=method)
    _few_enough(len(active) * len(control))
    differences = np.sort(np.subtract.outer(active, control).ravel())

    def p_value(shift: float) -> float:
        kind = "exact" if len(everything) <= TABLED else "asymptotic"
        return float(stats.mannwhitneyu(active - shift, control, method=kind).pvalue)

    lower, upper = _not_rejected(differences, p_value, notes)
    limits = scale * lower, scale * upper
    return blank.with_numbers(scale * np.median(differences), limits, result.pvalue, notes)


def _method(values: Numbers, smaller: int, rearrangements: int) -> Any:
    """Return how scipy is to find a p-value: exactly wherever that is possible."""
    if len(np.unique(values)) == len(values) and len(values) <= TABLED:
        return "exact"
    # scipy rearranges no sample of one
    if rearrangements <= ENUMERATED and smaller > 1:
        return stats.PermutationMethod(n_resamples=np.inf)
    return "asymptotic"


def _few_enough(comparisons: int) -> None:
    if comparisons > MOST_COMPARISONS:
        raise Undefined("too many patients to compare each with each")


def _not_rejected(
    jumps: Numbers, p_value: Callable[[float], float], notes: list[str]
) -> tuple[float, float]:
    """Return the limits between which a rank test does not reject a shift.

    Parameters
    ----------
    jumps : ndarray of float
        Where the test statistic jumps, sorted; between two jumps no ranks are tied across the
        comparison, so that the tables of the exact test hold.
    p_value : callable
        Two-sided p-value of a shift; rises to the middle of the jumps and falls beyond it.
    notes : list of str
        Told when no shift at all is rejected.
    """
    edges = np.unique(jumps)
    reach = max(1.0, float(np.ptp(edges)))
    between = np.concatenate(
        [[edges[0] - reach], (edges[1:] + edges[:-1]) / 2, [edges[-1] + reach]]
    )
    middle = int(np.searchsorted(edges, np.median(jumps)))

    def first_kept(order: list[int]) -> int:
        low, high = 0, len(order) - 1
        while low < high:
            half = (low + high) // 2
            low, high = (
                (low, half) if p_value(between[order[half]]) > 1 - LEVEL else (half + 1, high)
            )
        return order[low]

    below = first_kept(list(range(middle + 1)))
    above = first_kept(list(range(len(edges), middle - 1, -1)))
    if below == 0 or above == len(edges):
        notes.append("too few patients for a 95 % interval")
    lower = -np.inf if below == 0 else float(edges[below - 1])
    upper = np.inf if above == len(edges) else float(edges[above])
    return lower, upper
