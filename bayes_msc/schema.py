"""Reading TOML tables key by key, so that all faults of a file are reported together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from bayes_msc.errors import BayesMSCError


@dataclass(frozen=True)
class Key:
    """One key of a table: how its value is read, and whether it must be there."""

    read: Callable[[Any], Any]
    required: bool = False


@dataclass
class Faults:
    """The faults found so far, each with the place where it was found."""

    found: list[str] = field(default_factory=list)

    def add(self, where: str, fault: str) -> None:
        """Record one fault."""
        self.found.append(f"{where}: {fault}" if where else fault)

    def attempt(self, where: str, make: Callable[[], Any]) -> Any:
        """Return what ``make`` returns, or record its error and return None."""
        try:
            return make()
        except BayesMSCError as error:
            self.add(where, str(error))
            return None


def read_table(
    table: Any, keys: Mapping[str, Key], where: str, faults: Faults
) -> dict[str, Any] | None:
    """Read the known keys of a table.

    Parameters
    ----------
    table : Any
        What the file holds at this place; it should be a table.
    keys : mapping of str to Key
        The known keys.
    where : str
        The place, for messages.
    faults : Faults
        Collects unknown keys, missing keys and unreadable values.

    Returns
    -------
    dict or None
        The values read, of the keys present; None if anything was wrong.
    """
    before = len(faults.found)
    if not isinstance(table, Mapping):
        faults.add(where, f"is {shown(table)}: a table with the keys {', '.join(keys)} is needed")
        return None
    for name in table:
        if name not in keys:
            faults.add(where, f"unknown key {name!r}: choose one of {', '.join(keys)}")
    values: dict[str, Any] = {}
    for name, key in keys.items():
        place = f"{where}.{name}" if where else name
        if name in table:
            values[name] = faults.attempt(place, partial(key.read, table[name]))
        elif key.required:
            faults.add(where, f"the key {name!r} is missing")
    return values if len(faults.found) == before else None


def shown(value: Any) -> str:
    """Short form of a value for a message; a huge integer is named, not printed."""
    if isinstance(value, int) and abs(value) >= 10**18:
        return "a number of more than 18 digits"
    try:
        words = repr(value)
    except ValueError:
        return f"a {type(value).__name__} that holds a number of many digits"
    return words if len(words) <= 60 else words[:57] + "..."


def text(value: Any) -> str:
    """Read text."""
    if not isinstance(value, str):
        raise BayesMSCError(f"is {shown(value)}: text in quotes is needed")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """Read a list of texts."""
    if not isinstance(value, list | tuple):
        raise BayesMSCError(f"is {shown(value)}: a list of texts is needed")
    return tuple(text(item) for item in value)


def whole(value: Any) -> int:
    """Read a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BayesMSCError(f"is {shown(value)}: a whole number is needed")
    if abs(value) > 10**9:
        raise BayesMSCError("is out of range: a whole number below 1e9 is needed")
    return value


def number(value: Any) -> float:
    """Read a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise BayesMSCError(f"is {shown(value)}: a number is needed")
    if isinstance(value, int):
        inside = abs(value) < 10**12
    else:
        inside = math.isfinite(value) and abs(float(value)) < 1e12
    if not inside:
        raise BayesMSCError(f"is {shown(value)}: a finite number is needed")
    return float(value)


def numbers(value: Any) -> tuple[float, ...]:
    """Read a list of finite numbers."""
    if not isinstance(value, list | tuple):
        raise BayesMSCError(f"is {shown(value)}: a list of numbers is needed")
    return tuple(number(item) for item in value)


def flag(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise BayesMSCError(f"is {shown(value)}: true or false is needed")
    return value
