"""Numbers as a paper prints them: the digits are kept, as rounding limits what can be checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from bayes_msc.errors import PublishedError

CERTAINTY = {
    "high": "several copies agree, or the arithmetic closes",
    "medium": "one clear copy",
    "low": "a garbled copy, or a single secondary source",
    "derived": "computed from printed numbers, not printed itself",
}
MEANS = {
    "raw": "a sum of whole numbers divided by the number of patients",
    "adjusted": "from a regression, or otherwise adjusted",
    "rate": "events divided by scans or person-time",
}
MAX_CHARACTERS = 24
_LOOKALIKES = str.maketrans({"·": ".", "−": "-", "–": "-", "\u2009": "", "\u00a0": ""})


@dataclass(frozen=True)
class Printed:
    """One number as printed, with the interval of values that round to it.

    Parameters
    ----------
    text : str
        The digits as printed, such as ``"1.50"`` or ``".065"``.
    decimal : Decimal
        The same number, exactly.
    below : bool
        True for an inequality, such as ``"<0.001"``.

    Examples
    --------
    >>> Printed.parse("1.50").low, Printed.parse("1.5").low
    (1.495, 1.45)
    """

    text: str
    decimal: Decimal
    below: bool = False

    @classmethod
    def parse(cls, value: Any) -> Printed:
        """Read a printed number from text, an integer, a float or a ``Decimal``.

        Text keeps trailing zeros; a middle dot for the decimal point, a typographic minus and a
        leading ``<`` are understood.

        Raises
        ------
        PublishedError
            If it is not one finite number.
        """
        if isinstance(value, Printed):
            return value
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            raise PublishedError(f"{value!r} is not a number: write it as printed, such as 1.50")
        if isinstance(value, int) and abs(value) >= 10**13:
            raise PublishedError("a printed number is out of range: it must be below 1e12")
        text = str(value).strip()
        below = text.startswith("<")
        digits = text.removeprefix("<").strip().translate(_LOOKALIKES)
        if len(digits) > MAX_CHARACTERS or "_" in digits:
            raise PublishedError(f"{text[:40]!r} is not a printed number: write digits as printed")
        try:
            decimal = Decimal(digits)
        except InvalidOperation:
            raise PublishedError(
                f"{text!r} is not a number: write it as printed, such as 1.50"
            ) from None
        if not decimal.is_finite() or not -30 <= decimal.adjusted() <= 12:
            raise PublishedError(f"{text!r} is out of range: a finite number below 1e12 is needed")
        return cls(text, decimal, below)

    @property
    def value(self) -> float:
        """The number printed."""
        return float(self.decimal)

    @property
    def half_unit(self) -> Decimal:
        """Half a unit of the last printed digit."""
        exponent = self.decimal.as_tuple().exponent
        assert isinstance(exponent, int)
        return Decimal(5).scaleb(exponent - 1)

    @property
    def low(self) -> float:
        """Smallest value that is printed like this (ties are kept: both ends are closed)."""
        return -math.inf if self.below else float(self.decimal - self.half_unit)

    @property
    def high(self) -> float:
        """Largest value that is printed like this."""
        return self.value if self.below else float(self.decimal + self.half_unit)

    def allows(self, low: float, high: float) -> bool:
        """Whether some value between ``low`` and ``high`` would be printed like this."""
        slack = 1e-12 * max(1.0, abs(self.value))
        return low <= self.high + slack and high >= self.low - slack

    def __str__(self) -> str:
        """Return the digits as printed."""
        return self.text


@dataclass(frozen=True)
class Estimate:
    """A printed positive number with, perhaps, its confidence limits.

    Raises
    ------
    PublishedError
        If only one limit is given, a number is not above 0, or the order is impossible.
    """

    value: Printed
    lower: Printed | None = None
    upper: Printed | None = None

    def __post_init__(self) -> None:
        if (self.lower is None) != (self.upper is None):
            raise PublishedError("one confidence limit is missing: give both, or none")
        for number in (self.value, self.lower, self.upper):
            if number is not None and (number.below or number.decimal <= 0):
                raise PublishedError(
                    f"{number} cannot be used on the log scale: it must be printed as above 0"
                )
        if self.lower is None or self.upper is None:
            return
        in_order = self.lower.decimal <= self.value.decimal <= self.upper.decimal
        if not in_order or self.lower.decimal == self.upper.decimal:
            raise PublishedError(
                f"{self} is out of order: lower limit, estimate and upper limit must rise"
            )

    def __str__(self) -> str:
        """Return the usual notation, such as ``0.94 (0.58-1.50)``."""
        return f"{self.value}" + (f" ({self.lower}-{self.upper})" if self.lower else "")


@dataclass(frozen=True)
class ArmResult:
    """What is printed on one arm: a mean with limits, or events and exposure, or both.

    Parameters
    ----------
    estimate : Estimate, optional
        Mean or rate, with its limits.
    events : int, optional
        Number of events, with ``exposure``.
    exposure : Printed, optional
        Scans or person-time over which the events were counted.

    Raises
    ------
    PublishedError
        If nothing is given, or events come without exposure.
    """

    estimate: Estimate | None = None
    events: int | None = None
    exposure: Printed | None = None

    def __post_init__(self) -> None:
        if self.estimate is None and self.events is None:
            raise PublishedError(
                "nothing is printed: give mean (lower, upper), or events, exposure"
            )
        if (self.events is None) != (self.exposure is None):
            raise PublishedError("events and exposure belong together: give both, or none")
        if self.events is not None and self.events < 0:
            raise PublishedError(f"events is {self.events}: it must be 0 or more")
        if self.exposure is not None and (self.exposure.below or self.exposure.decimal <= 0):
            raise PublishedError(f"exposure is {self.exposure}: it must be above 0")


@dataclass(frozen=True)
class Analysis:
    """One printed comparison of the active arm with the control arm.

    Parameters
    ----------
    title, role, where, unit, test : str
        What it is, ``"primary"``, ``"sensitivity"`` ..., where it is printed, the unit of the
        means, and the test behind the p-value.
    active, control : ArmResult, optional
        What is printed on each arm; both or none.
    means : str
        What a printed arm mean is: one of ``MEANS``; needed with arm means.
    ratio : Estimate, optional
        Printed ratio, active over control.
    p : Printed, optional
        Printed two-sided p-value of the comparison.
    level : float
        Confidence level of the limits.
    certainty : str
        One of ``CERTAINTY``.

    Raises
    ------
    PublishedError
        If the pieces do not make a comparison.
    """

    title: str = ""
    role: str = ""
    where: str = ""
    unit: str = ""
    test: str = ""
    active: ArmResult | None = None
    control: ArmResult | None = None
    means: str = ""
    ratio: Estimate | None = None
    p: Printed | None = None
    level: float = 0.95
    certainty: str = "high"

    def __post_init__(self) -> None:
        if (self.active is None) != (self.control is None):
            raise PublishedError("one arm is missing: give both active and control, or a ratio")
        if self.active is None and self.ratio is None:
            raise PublishedError("nothing to compare: give active and control, or a ratio")
        if not 0.5 <= self.level < 1:
            raise PublishedError(f"level is {self.level:g}: write 0.95 for 95 % limits")
        if self.p is not None and not 0 <= self.p.decimal <= 1:
            raise PublishedError(f"p is {self.p}: it must lie between 0 and 1")
        choices = [("certainty", self.certainty, CERTAINTY)]
        if self.arm_estimates is not None:
            choices.append(("means", self.means, MEANS))
        for key, value, allowed in choices:
            if value not in allowed:
                listed = "; ".join(f"{name} ({words})" for name, words in allowed.items())
                raise PublishedError(f"{key} is {value!r}: choose one of {listed}")

    @property
    def arm_estimates(self) -> tuple[Estimate, Estimate] | None:
        """Printed means of the active and the control arm, if both are printed."""
        if self.active is None or self.control is None:
            return None
        active, control = self.active.estimate, self.control.estimate
        return None if active is None or control is None else (active, control)


@dataclass(frozen=True)
class CountSummary:
    """A printed plain mean (and SD) of whole numbers: it can be checked digit by digit.

    Parameters
    ----------
    quantity : str
        What was counted, and in whom.
    n : int
        Number of patients.
    mean, sd : Printed
        As printed; ``sd`` (divisor n - 1) may be absent.
    signed : bool
        True for changes, which may be below 0.
    where, certainty : str
        Where it is printed, and one of ``CERTAINTY``.

    Raises
    ------
    PublishedError
        If a number is impossible.
    """

    quantity: str
    n: int
    mean: Printed
    sd: Printed | None = None
    signed: bool = False
    where: str = ""
    certainty: str = "high"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise PublishedError(f"n is {self.n}: it must be 1 or more")
        if not self.signed and self.mean.decimal < 0:
            raise PublishedError(f"mean is {self.mean}: below 0 needs signed = true (a change)")
        if self.sd is not None and self.sd.decimal < 0:
            raise PublishedError(f"sd is {self.sd}: it must be 0 or more")
        if self.certainty not in CERTAINTY:
            known = ", ".join(CERTAINTY)
            raise PublishedError(f"certainty is {self.certainty!r}: choose one of {known}")


@dataclass(frozen=True)
class Arm:
    """One arm: the label used in sentences, and the number of patients analysed."""

    label: str
    n: int


@dataclass(frozen=True)
class Source:
    """Where the numbers come from.

    Parameters
    ----------
    citation, doi, registration : str
        The article and the trial's registration.
    read_from : str
        What was actually read, if it was not the article itself.
    """

    citation: str
    doi: str = ""
    registration: str = ""
    read_from: str = ""


@dataclass(frozen=True)
class FlowRow:
    """What is printed on the patients of one arm, or of one sequence in one period.

    Parameters
    ----------
    group : str
        Name of the sequence or arm.
    treatment : str
        What the group got here.
    certainty : str
        One of ``CERTAINTY``.
    period : int
        1, or 2 in a crossover.
    patients : int, optional
        Patients who began here; none where it is not known.
    left : int, optional
        Patients who left here; none where it is not known.
    note, where : str
        Why and when they left, and where this is printed.

    Raises
    ------
    PublishedError
        If a number is impossible.
    """

    group: str
    treatment: str
    certainty: str
    period: int = 1
    patients: int | None = None
    left: int | None = None
    note: str = ""
    where: str = ""

    def __post_init__(self) -> None:
        if not self.group.strip() or not self.treatment.strip():
            raise PublishedError("group or treatment is empty: name both")
        if self.period not in (1, 2):
            raise PublishedError(f"period is {self.period}: it must be 1 or 2")
        if self.patients is not None and self.patients < 0:
            raise PublishedError(f"patients is {self.patients}: it must be 0 or more")
        if self.left is not None and not 0 <= self.left <= (self.patients or 0):
            raise PublishedError(
                f"left is {self.left} of {self.patients} patients: give both, and no more than "
                "began"
            )
        if self.certainty not in CERTAINTY:
            known = ", ".join(CERTAINTY)
            raise PublishedError(f"certainty is {self.certainty!r}: choose one of {known}")
