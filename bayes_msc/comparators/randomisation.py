"""Tests that compare the trial with itself under every other allocation of the patients."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations, islice
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from bayes_msc.comparators.answer import LEVEL, Answer, Numbers, Undefined, answered
from bayes_msc.comparators.contrasts import period_differences
from bayes_msc.comparators.layout import pairs, totals
from bayes_msc.errors import ComparatorError
from bayes_msc.trial import Trial

#: Allocations held at once.
BATCH = 2000
#: Statistics that differ by rounding alone are ties.
TIE = 1e-9


def hills_armitage_randomisation(trial: Trial, *, resamples: int = 9999, seed: int = 1) -> Answer:
    """Compare the Hills-Armitage difference with that under all allocations to the sequences.

    Parameters
    ----------
    trial : Trial
        The counts of a crossover.
    resamples : int
        Up to so many allocations are enumerated (126 for five patients and four); of more, this
        many are drawn at random.
    seed : int
        For drawing them.

    Returns
    -------
    Answer
        Of the difference of rates, with twice the smaller tail as p-value, and the interval of all
        differences that the test does not reject.

    Raises
    ------
    ComparatorError
        If ``resamples`` is below 1.

    Notes
    -----
    Edgington and Onghena, *Randomization Tests* (2007); for the interval, Garthwaite, *Biometrics*
    52, 1387 (1996). The allocations keep the sizes of the sequences.
    """
    _check(resamples)
    blank = Answer(
        "Hills-Armitage, randomisation",
        "rate difference",
        when_right=(
            "Patients were randomised to the sequences; no distribution is assumed. The interval "
            "assumes the same difference in every patient."
        ),
    )

    def compute() -> Answer:
        given = pairs(trial)
        active, control = period_differences(given)
        values = np.concatenate([active, control])
        if np.ptp(values) == 0:
            raise Undefined("all patients are tied")
        n, k = len(values), len(active)
        treated = np.arange(n) < k
        observed = active.mean() - control.mean()
        statistic, overlap = [], []
        for moved in allocations(n, k, resamples, seed):
            contrast = moved / k - (~moved) / (n - k)
            statistic.append(contrast @ values)
            # what a shift of one in the patients on active adds to the statistic
            overlap.append(contrast @ treated)
        drawn, share = np.concatenate(statistic), np.concatenate(overlap)
        p_value = two_sided(drawn, observed)
        lower, upper = _shifts_not_rejected(observed - drawn, 1 - share)
        notes = [*given.notes, _how_many(n, k, resamples)]
        return blank.with_numbers(observed / 2, (lower / 2, upper / 2), p_value, notes)

    return answered(blank, compute)


def permutation_mean_ratio(trial: Trial, *, resamples: int = 9999, seed: int = 1) -> Answer:
    """Compare the ratio of the arms' rates with that under other allocations of the patients.

    In a parallel trial the arms are exchanged, in a crossover the sequences. The ratio is that of
    the arms' events over exposure.

    Parameters
    ----------
    trial : Trial
        The counts.
    resamples : int
        Up to so many allocations are enumerated; of more, this many are drawn at random.
    seed : int
        For drawing them.

    Returns
    -------
    Answer
        Of the ratio of mean rates, with twice the smaller tail as p-value, and the interval of all
        ratios that the test does not reject once the active counts are divided by them.

    Raises
    ------
    ComparatorError
        If ``resamples`` is below 1.

    Notes
    -----
    Edgington and Onghena, *Randomization Tests* (2007).
    """
    _check(resamples)
    blank = Answer(
        "permutation test of the mean ratio",
        "ratio of mean rates",
        when_right=(
            "Patients were randomised; no distribution is assumed. The interval assumes that the "
            "treatment multiplies every count by the same factor."
        ),
    )

    def compute() -> Answer:
        swaps = _Swaps.of(trial, resamples, seed)
        estimate = swaps.observed(1.0)
        p_value = two_sided(swaps.ratios(1.0), estimate)
        notes = list(swaps.notes)
        if 0 < estimate < np.inf:
            limits = swaps.limit(-1), swaps.limit(1)
        else:
            limits = np.nan, np.nan
            notes.append("no interval: an arm has no events")
        return blank.with_numbers(estimate, limits, p_value, notes)

    return answered(blank, compute)


def allocations(n: int, k: int, resamples: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Yield allocations of k out of n patients, in batches.

    Parameters
    ----------
    n, k : int
        Number of patients, and of those on active (first).
    resamples : int
        All allocations are yielded if they are no more; else so many random ones after the
        trial's own, which is taken to be the first k.
    seed : int
        For the random ones.

    Yields
    ------
    ndarray of bool, shape (up to `BATCH`, n)
    """
    if comb(n, k) <= resamples:
        chosen = combinations(range(n), k)
        while batch := list(islice(chosen, BATCH)):
            moved = np.zeros((len(batch), n), dtype=bool)
            index = np.fromiter(chain.from_iterable(batch), dtype=int).reshape(len(batch), k)
            np.put_along_axis(moved, index, True, axis=1)
            yield moved
        return
    own = np.arange(n) < k
    yield own[None, :]
    rng = np.random.default_rng(seed)
    size = max(1, min(BATCH, 4_000_000 // n))
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        yield rng.permuted(np.tile(own, (rows, 1)), axis=1)


def two_sided(drawn: Numbers, observed: float) -> float:
    """Return twice the smaller share of statistics at least as far out as the observed one."""
    near = TIE * max(1.0, abs(observed)) if np.isfinite(observed) else 0.0
    above = float(np.mean(drawn >= observed - near))
    below = float(np.mean(drawn <= observed + near))
    return min(1.0, 2 * min(above, below))


def _shifts_not_rejected(numerator: Numbers, slope: Numbers) -> tuple[float, float]:
    """Return the limits of the shifts that are not rejected.

    Under a shift d each allocation's statistic and the observed one are straight lines in d, which
    cross at numerator / slope; the tails are shares of crossings on either side of d.
    """
    moved = slope > TIE
    crossing = np.sort(numerator[moved] / slope[moved])
    total, same = len(slope), int(len(slope) - moved.sum())
    # the smallest number of statistics in a tail that is above 2.5 %
    needed = int(np.floor((1 - LEVEL) / 2 * total + TIE)) + 1 - same
    if needed <= 0 or needed > len(crossing):
        return -np.inf, np.inf
    return float(crossing[needed - 1]), float(crossing[-needed])


class _Swaps:
    """Rates of both arms under each allocation, with the active counts divided by a ratio."""

    def __init__(
        self, active: Numbers, control: Numbers, batches: Iterator[NDArray[np.bool_]], k: int
    ) -> None:
        """Take (count, exposure) of each patient on active and on control, those moved first."""
        own = np.arange(len(active)) < k
        self.active, self.control = active, control
        stay, leave = [], []
        for moved in batches:
            same = (moved == own).astype(float)
            stay.append(np.hstack([same @ active, same @ control]))
            leave.append(np.hstack([(1 - same) @ active, (1 - same) @ control]))
        self._stay, self._leave = np.concatenate(stay), np.concatenate(leave)
        self.notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, trial: Trial, resamples: int, seed: int) -> _Swaps:
        """Lay out a trial, the patients on active (first) in front."""
        if trial.design == "crossover":
            given = pairs(trial)
            first, notes = given.active_first, given.notes
            split = [given.by_treatment(values) for values in (given.count, given.exposure)]
            control = np.column_stack([part[0] for part in split])
            active = np.column_stack([part[1] for part in split])
        else:
            table = totals(trial)
            first, notes = table["treated"].to_numpy() == 1, ()
            both = table[["count", "exposure"]].to_numpy(float)
            active, control = both * first[:, None], both * ~first[:, None]
        n, k = len(first), int(first.sum())
        if k in (0, n):
            raise Undefined("all patients had the treatments in the same order")
        if not active[:, 0].any() and not control[:, 0].any():
            raise Undefined("there are no events")
        order = np.argsort(~first, kind="stable")
        swaps = cls(active[order], control[order], allocations(n, k, resamples, seed), k)
        swaps.notes = (*notes, _how_many(n, k, resamples))
        return swaps

    def observed(self, divisor: float) -> float:
        """Return the trial's own ratio once the active counts are divided."""
        active, control = self.active.sum(axis=0), self.control.sum(axis=0)
        with np.errstate(divide="ignore"):
            return float(np.divide(active[0] / divisor / active[1], control[0] / control[1]))

    def ratios(self, divisor: float) -> Numbers:
        """Return the ratio under each allocation once the active counts are divided."""
        stay, leave = self._stay, self._leave
        active = (stay[:, 0] / divisor + leave[:, 2]) / (stay[:, 1] + leave[:, 3])
        control = (stay[:, 2] + leave[:, 0] / divisor) / (stay[:, 3] + leave[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(active / control)

    def limit(self, side: int) -> float:
        """Return the ratio beyond which, to this side, the test rejects; 0 or inf if none."""
        log_estimate = np.log(self.observed(1.0))

        def kept(log_ratio: float) -> float:
            divisor = float(np.exp(log_ratio))
            p_value = two_sided(self.ratios(divisor), self.observed(divisor))
            return p_value - (1 - LEVEL) - TIE

        farthest = log_estimate + side * 10.0
        if kept(log_estimate) <= 0:
            raise Undefined("the test rejects even the ratio that was seen")
        if kept(farthest) > 0:
            return 0.0 if side < 0 else np.inf
        return float(np.exp(optimize.bisect(kept, log_estimate, farthest, xtol=1e-8)))


def _how_many(n: int, k: int, resamples: int) -> str:
    every = comb(n, k)
    return f"all {every} allocations" if every <= resamples else f"{resamples} random allocations"


def _check(resamples: int) -> None:
    if resamples < 1:
        raise ComparatorError(f"resamples is {resamples}: it must be 1 or more")
