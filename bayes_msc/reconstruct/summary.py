"""What a paper prints on one group of whole numbers, and the sums that this leaves open."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from bayes_msc.errors import ReconstructionError
from bayes_msc.reconstruct.facts import Fact, Number, fact

#: The statistics that may be printed, in the order in which they are tried.
STATISTICS = ("mean", "sd", "median", "minimum", "maximum", "spread", "zeros")
WORDS = {
    "mean": "mean",
    "sd": "SD",
    "median": "median",
    "minimum": "minimum",
    "maximum": "maximum",
    "spread": "range",
    "zeros": "zeros",
}
LARGEST_N = 40
LARGEST_VALUE = 200
MOST_SUMS = 2000


@dataclass(frozen=True)
class Band:
    """Sums that are open: one total, and the sums of squares from ``low`` to ``high``.

    ``low`` and ``high`` have the parity of the total, as any sum of squares has.
    """

    total: int
    low: int
    high: int


@dataclass(frozen=True)
class GroupSummary:
    """A printed summary of n whole numbers.

    Parameters
    ----------
    n : int
        How many they are.
    facts : mapping of str to Fact
        Keys of ``STATISTICS``; the mean is there always.
    signed : bool
        True for changes, which may be below 0.
    label : str
        Whose counts they are.
    """

    n: int
    facts: Mapping[str, Fact] = field(default_factory=dict)
    signed: bool = False
    label: str = ""

    @classmethod
    def of(
        cls,
        n: int,
        mean: Number,
        sd: Number | None = None,
        *,
        median: Number | None = None,
        minimum: Number | None = None,
        maximum: Number | None = None,
        spread: Number | None = None,
        zeros: Number | None = None,
        decimals: int | None = None,
        signed: bool = False,
        all_equal: bool = False,
        label: str = "",
    ) -> GroupSummary:
        """Read a printed summary; see ``bayes_msc.reconstruct_group`` for the arguments.

        Raises
        ------
        ReconstructionError
            If the decimals cannot be told, or two of the numbers contradict each other at sight.
        """
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= LARGEST_N:
            raise ReconstructionError(
                f"n is {n!r}: it must be a whole number from 1 to {LARGEST_N}"
            )
        facts = {"mean": fact("mean", mean, decimals)}
        if sd is not None:
            facts["sd"] = fact("SD", sd, None if isinstance(sd, str) else decimals)
        if median is not None:
            facts["median"] = fact("median", median, whole=True)
        for key, value in (
            ("minimum", minimum),
            ("maximum", maximum),
            ("spread", spread),
            ("zeros", zeros),
        ):
            if value is not None:
                facts[key] = fact(WORDS[key], value, whole=True)
        summary = cls(n, facts, signed, label)
        summary._check_decimals(decimals)
        summary._check_at_sight(all_equal)
        return summary

    def without(self, *keys: str) -> GroupSummary:
        """Return the summary without some of its statistics (the mean stays)."""
        kept = {key: fact for key, fact in self.facts.items() if key not in keys}
        return replace(self, facts=kept)

    def with_fact(self, key: str, known: Fact) -> GroupSummary:
        """Return the summary with another reading of one statistic."""
        return replace(self, facts={**self.facts, key: known})

    def words(self) -> str:
        """Return the summary as a paper would print it."""
        listed = ", ".join(f"{WORDS[key]} {self.facts[key].text}" for key in self.facts)
        return f"n {self.n}, {listed}"

    def bands(self, known: tuple[int, ...] = ()) -> list[Band]:
        """Return the totals and sums of squares that mean and SD leave open.

        Parameters
        ----------
        known : tuple of int
            Values of the group that are known already: the bands are those of the others.

        Notes
        -----
        With exact fractions and closed intervals: total T within n times the mean's interval, and
        sum of squares Q with (n - 1) SD² = Q - T² / n; Q has the parity of T (Brown & Heathers
        2017; Anaya 2016).
        """
        count = self.n
        totals = sorted(self.facts["mean"].whole_numbers(count))
        if len(totals) > MOST_SUMS:
            raise ReconstructionError(
                f"the mean {self.facts['mean'].text} leaves {len(totals)} totals open: it is "
                "printed with too few digits to reconstruct anything"
            )
        gone, squares = sum(known), sum(value * value for value in known)
        found = []
        for total in totals:
            for low, high in self._squares(total, count):
                rest = Band(total - gone, max(low - squares, 0), high - squares)
                if rest.high >= rest.low and (self.signed or rest.total >= 0):
                    found.append(rest)
        return found

    def _squares(self, total: int, n: int) -> Iterator[tuple[int, int]]:
        """Give the ranges of the sum of squares that belong to a total."""
        each, over = divmod(total, n)
        least = n * each**2 + over * (2 * each + 1)
        most = None if self.signed else total**2
        if n == 1:
            yield least, least
            return
        if "sd" not in self.facts:
            if self.signed:
                raise ReconstructionError(
                    f"{self.label or 'the group'}: changes may be below 0, and without an SD "
                    "nothing bounds them: give the SD"
                )
            yield least, total**2
            return
        centre = Fraction(total * total, n)
        ranges = set()
        for low, high in self.facts["sd"].intervals:
            first = math.ceil(max(low, Fraction(0)) ** 2 * (n - 1) + centre)
            last = math.floor(high**2 * (n - 1) + centre)
            first = max(first, least)
            last = last if most is None else min(last, most)
            first, last = first + (first - total) % 2, last - (last - total) % 2
            if high >= 0 and first <= last:
                ranges.add((first, last))
        yield from _merged(sorted(ranges))

    def _check_decimals(self, decimals: int | None) -> None:
        mean, sd = self.facts["mean"], self.facts.get("sd")
        if decimals is None and sd is not None and mean.decimals < sd.decimals:
            padded = (
                mean.text + ("" if mean.decimals else ".") + "0" * (sd.decimals - mean.decimals)
            )
            raise ReconstructionError(
                f"the mean is given as {mean.text} and the SD as {sd.text}: was the mean rounded "
                f"to {mean.decimals} decimals, or were zeros dropped from {padded}? Say "
                f"decimals={mean.decimals} or decimals={sd.decimals} (of the mean)"
            )

    def _check_at_sight(self, all_equal: bool) -> None:
        """Raise on numbers that contradict each other whatever the counts are."""
        facts = self.facts
        sd = facts.get("sd")
        if sd is not None and sd.high < 0:
            raise ReconstructionError(f"SD {sd.text} is below 0")
        nothing = sd is not None and not sd.text.strip("0.,")
        if nothing and self.n > 1 and not all_equal:
            raise ReconstructionError(
                f"SD {sd.text if sd else ''} with n {self.n}: all {self.n} counts would be the "
                "same, which more often is a number left out than a result; leave the SD out, or "
                "say all_equal=True if it is meant"
            )
        if not self.signed:
            for key, known in facts.items():
                if known.high < 0:
                    raise ReconstructionError(
                        f"{WORDS[key]} {known.text} is below 0: counts are not; say signed=True "
                        "for changes"
                    )
        for a, b in (
            ("minimum", "maximum"),
            ("minimum", "median"),
            ("median", "maximum"),
            ("minimum", "mean"),
            ("mean", "maximum"),
        ):
            if a in facts and b in facts and facts[a].low > facts[b].high:
                raise ReconstructionError(
                    f"{facts[a]} and {facts[b]} contradict each other: {WORDS[a]} cannot lie above "
                    f"{WORDS[b]}"
                )
        zeros, least = facts.get("zeros"), facts.get("minimum")
        if zeros is not None and zeros.low > self.n:
            raise ReconstructionError(f"{zeros} and n {self.n} contradict each other")
        if zeros is not None and least is not None and zeros.low > 0 and least.low > 0:
            raise ReconstructionError(f"{zeros} and {least} contradict each other")


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join ranges that overlap, so that nothing is counted twice."""
    joined: list[tuple[int, int]] = []
    for low, high in ranges:
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return joined
