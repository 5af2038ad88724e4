"""Printed numbers as facts: the values that would be printed like this, lost digits included."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import product

from bayes_msc.errors import PublishedError, ReconstructionError
from bayes_msc.printed import Printed

LOST = "?"
MOST_LOST = 3
#: What a caller may write: text keeps its zeros, ``"?0.5"`` has lost its first digit.
Number = str | int | float | Decimal


@dataclass(frozen=True)
class Fact:
    """One printed number, and the closed intervals of values that are printed like this.

    Parameters
    ----------
    name : str
        What it is, for messages: ``"mean"``, ``"SD"``, ...
    text : str
        As printed; ``?`` stands for a digit that was lost.
    intervals : tuple of (Fraction, Fraction)
        One for each reading of the lost digits; both ends belong to it, so that a tie may have
        been rounded either way.
    decimals : int
        Number of printed decimals.
    """

    name: str
    text: str
    intervals: tuple[tuple[Fraction, Fraction], ...]
    decimals: int

    def holds(self, value: Fraction | int) -> bool:
        """Whether a value would be printed like this."""
        return any(low <= value <= high for low, high in self.intervals)

    def whole_numbers(self, scale: int = 1) -> set[int]:
        """Return the whole numbers k for which k / scale would be printed like this."""
        found: set[int] = set()
        for low, high in self.intervals:
            found.update(range(math.ceil(low * scale), math.floor(high * scale) + 1))
        return found

    @property
    def low(self) -> Fraction:
        """The smallest value of all readings."""
        return min(low for low, _ in self.intervals)

    @property
    def high(self) -> Fraction:
        """The largest value of all readings."""
        return max(high for _, high in self.intervals)

    def __str__(self) -> str:
        """Return the name and the digits as printed."""
        return f"{self.name} {self.text}"


def fact(name: str, value: Number, decimals: int | None = None, *, whole: bool = False) -> Fact:
    """Read a printed number.

    Parameters
    ----------
    name : str
        What it is.
    value : str, int, float or Decimal
        As printed; as text, where zeros at the end matter or a digit is lost (``"?0.5"``).
    decimals : int, optional
        Number of decimals it was rounded to, where the printed digits do not show it.
    whole : bool
        Whether the number itself is a count (a minimum, a number of zeros), so that an integer
        is exact.

    Raises
    ------
    ReconstructionError
        If it is no number, or its decimals cannot be told.
    """
    if isinstance(value, float) and decimals is None:
        raise ReconstructionError(
            f"the decimals of {name} {value!r} cannot be told from the number "
            f"(it may have been printed as {value!r} or as {value!r}0): "
            f'give it as text, such as {name.lower()}="{value!r}", or say decimals=...'
        )
    if isinstance(value, int) and not whole and decimals is None:
        raise ReconstructionError(
            f"the decimals of {name} {value} cannot be told from the number (it may have been "
            f'printed as {value} or as {value}.0): give it as text, such as "{value}.0", or say '
            "decimals=..."
        )
    text = str(value).strip()
    readings = [_interval(name, reading, decimals) for reading in _readings(name, text)]
    found = len(text.partition(".")[2])
    if decimals is not None and found > decimals:
        raise ReconstructionError(
            f"{name} {text} shows {found} decimals and decimals={decimals}: one of them is wrong"
        )
    return Fact(name, text, tuple(readings), found if decimals is None else decimals)


def exactly(name: str, value: int) -> Fact:
    """Return a fact about a whole number that is known without rounding."""
    return Fact(name, str(value), ((Fraction(value), Fraction(value)),), 0)


def one_digit_wrong(known: Fact) -> Fact:
    """Return the fact with any single digit of it, or its sign, taken to be wrong."""
    readings: dict[tuple[Fraction, Fraction], None] = dict.fromkeys(known.intervals)
    spots = [i for i, mark in enumerate(known.text) if mark.isdigit()]
    for spot in spots:
        lost = known.text[:spot] + LOST + known.text[spot + 1 :]
        for reading in _readings(known.name, lost, leading_zero=True):
            readings[_interval(known.name, reading, known.decimals)] = None
    return Fact(known.name, known.text, tuple(readings), known.decimals)


def _readings(name: str, text: str, *, leading_zero: bool = False) -> Iterable[str]:
    """Give every way to fill in the lost digits; a number does not begin with a lost 0."""
    lost = text.count(LOST)
    if lost > MOST_LOST:
        raise ReconstructionError(f"{name} {text} has lost {lost} digits: leave it out")
    first = text.lstrip("-−")[:2]
    for digits in product("0123456789", repeat=lost):
        begins_with_zero = lost and first.startswith(LOST) and digits[0] == "0"
        if begins_with_zero and first[1:2] not in ("", ".") and not leading_zero:
            continue
        pieces = text.split(LOST)
        filled = pieces[0]
        for digit, piece in zip(digits, pieces[1:], strict=True):
            filled += digit + piece
        yield filled


def _interval(name: str, text: str, decimals: int | None) -> tuple[Fraction, Fraction]:
    try:
        number = Printed.parse(text)
    except PublishedError as error:
        raise ReconstructionError(f"{name}: {error}") from None
    if number.below:
        raise ReconstructionError(f"{name} is {text}: an inequality cannot be used here")
    half = number.half_unit if decimals is None else Decimal(5).scaleb(-decimals - 1)
    return Fraction(number.decimal - half), Fraction(number.decimal + half)
