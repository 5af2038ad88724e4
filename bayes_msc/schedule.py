"""When counts were planned, as far as it is printed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from bayes_msc.errors import PublishedError
from bayes_msc.printed import CERTAINTY

UNITS = ("week", "month")


@dataclass(frozen=True)
class Schedule:
    """Times of the planned counts, the same for every patient.

    Parameters
    ----------
    unit : str
        ``"week"`` or ``"month"``.
    period_1 : tuple of float
        Times of the first period, or of a parallel trial, since treatment began.
    certainty : str
        One of ``CERTAINTY``.
    period_2 : tuple of float
        Times of the second period, since the first began; empty where they are not known.
    baseline : bool
        Whether there was a count before treatment that is printed.
    where : str
        Where this is printed.

    Raises
    ------
    PublishedError
        If a time is impossible.
    """

    unit: str
    period_1: tuple[float, ...]
    certainty: str
    period_2: tuple[float, ...] = ()
    baseline: bool = False
    where: str = ""

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise PublishedError(f"unit is {self.unit!r}: choose one of {', '.join(UNITS)}")
        if self.certainty not in CERTAINTY:
            known = ", ".join(CERTAINTY)
            raise PublishedError(f"certainty is {self.certainty!r}: choose one of {known}")
        if not self.period_1:
            raise PublishedError("period_1 is empty: give its times, or leave the schedule out")
        times = (0.0, *self.period_1, *self.period_2)
        if not all(math.isfinite(a) and a < b < math.inf for a, b in pairwise(times)):
            shown = ", ".join(f"{time:g}" for time in times[1:])
            raise PublishedError(
                f"the times are {shown}: they are counted from the beginning of treatment, above 0 "
                "and each later than the one before, the second period's after the first's"
            )

    def times(self, period: int) -> tuple[float, ...]:
        """Times of a period; empty where they are not known."""
        return self.period_1 if period == 1 else self.period_2
