"""Two tables of the same analysis, number by number: identical, within the error, or different."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from scipy.stats import norm

IDENTICAL, AGREES, DIFFERS, UNKNOWN = "identical", "agrees", "differs", "no error known"
COLUMNS = (
    "table",
    "statement",
    "measure",
    "stored",
    "again",
    "difference",
    "allowed",
    "verdict",
)
#: Standard errors by which two runs may differ, and the error of a 95 % limit in medians' errors.
ERRORS, LIMIT = 4.0, 2.2
#: Numbers that are exact may differ in their last digits between versions of a library.
EXACT = 1e-6
#: Where so large a share of a table came out bit for bit on the same versions, all of it must.
REPRODUCED = 0.8
ESTIMATES = ("lower", "median", "upper")
#: Columns of words that are made from the numbers beside them: no two runs are matched by these.
_SAID = ("words", "sentence", "hint", "why")


@dataclass(frozen=True)
class Setting:
    """What is known of the two runs.

    Attributes
    ----------
    exact : bool
        Nothing was sampled: a number without an error has none.
    same_versions : bool
        All packages have the versions of the first run.
    """

    exact: bool
    same_versions: bool


def compared(name: str, stored: pd.DataFrame, again: pd.DataFrame, setting: Setting) -> _Rows:
    """Compare one table with its repetition.

    Parameters
    ----------
    name : str
        Of the table.
    stored, again : DataFrame
    setting : Setting

    Returns
    -------
    list of dict
        One a number or word of the table, with the keys ``COLUMNS``.
    """
    found = list(_cells(name, stored, again, setting))
    same = sum(row["verdict"] == IDENTICAL for row in found)
    strict = setting.same_versions and same >= REPRODUCED * len(found)
    return [{**row, "verdict": DIFFERS} if strict and _other(row) else row for row in found]


_Rows = list[dict[str, Any]]


def _other(row: Mapping[str, Any]) -> bool:
    """Whether two cells are apart by more than their last digits."""
    apart = _number(row["difference"])
    return bool(row["verdict"] != IDENTICAL and not abs(apart) <= _last_digits(row["stored"]))


def _last_digits(value: Any) -> float:
    return EXACT * max(abs(_number(value)), 1e-3)


def _cells(
    name: str, stored: pd.DataFrame, again: pd.DataFrame, setting: Setting
) -> Iterator[dict[str, Any]]:
    first, second = _rows(stored), _rows(again)
    keys = _keys(stored, again)
    matched = {_key(row, keys, place): row for place, row in enumerate(second)}
    for place, row in enumerate(first):
        other = matched.get(_key(row, keys, place), {})
        own = {"table": name, "statement": _words(name, row, keys, place)}
        if not other or len(keys) == len(row):
            there = IDENTICAL if other else DIFFERS
            nothing = _cell_row(bool(other), math.nan, 0.0, there)
            yield {**own, "measure": "the row", "stored": True, **nothing}
        for column, then in row.items():
            if other and column not in keys:
                yield {
                    **own,
                    "measure": column,
                    "stored": then,
                    **_cell(column, row, other, setting),
                }
    if len(second) > len(first):
        more = _judged(len(first), len(second), 0.0)
        yield {"table": name, "statement": name, "measure": "rows", "stored": len(first), **more}


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def _key(row: Mapping[str, Any], keys: list[str], place: int) -> tuple[str, ...]:
    return tuple(str(row[key]) for key in keys) if keys else (str(place),)


def _keys(stored: pd.DataFrame, again: pd.DataFrame) -> list[str]:
    """Columns of words by which the rows of both tables can be told apart, if there are such."""
    names = [
        str(name)
        for name in stored
        if name in again
        and name not in _SAID
        and (_is_key(stored[name]) or name == "threshold")
        and set(stored[name].map(str)) == set(again[name].map(str))
    ]
    unique = names and not stored.duplicated(names).any() and not again.duplicated(names).any()
    return names if unique else []


def _is_key(column: pd.Series[Any]) -> bool:
    return bool(column.map(lambda value: isinstance(value, str) or value is None).all())


def _words(name: str, row: Mapping[str, Any], keys: list[str], place: int) -> str:
    if "statement" in row:
        parts = [row.get("stance"), row.get("label") or row["statement"]]
        return ": ".join(str(part) for part in parts if part)
    said = [str(row[key]) for key in keys if row[key] and key != "label"]
    shown = ", ".join(said)
    return f"{name}: {shown[:100]}" if said else f"{name}: row {place + 1}"


def _cell(
    column: str, row: Mapping[str, Any], other: Mapping[str, Any], setting: Setting
) -> dict[str, Any]:
    then, now = row[column], other.get(column)
    if not _is_number(then) or not (_is_number(now) or now is None):
        same = str(then) == str(now) or (_missing(then) and _missing(now))
        return _cell_row(now, math.nan, math.nan, IDENTICAL if same else UNKNOWN)
    return _judged(then, now, _allowed(column, row, other, setting))


def _judged(then: Any, now: Any, allowed: float) -> dict[str, Any]:
    first, second = _number(then), _number(now)
    if math.isnan(first) and math.isnan(second):
        return _cell_row(now, 0.0, allowed, IDENTICAL)
    difference = second - first
    if first == second:
        verdict = IDENTICAL
    elif abs(difference) <= _last_digits(then):
        verdict = AGREES
    elif math.isnan(allowed):
        verdict = UNKNOWN
    else:
        verdict = AGREES if abs(difference) <= allowed else DIFFERS
    return _cell_row(now, difference, allowed, verdict)


def _cell_row(now: Any, difference: float, allowed: float, verdict: str) -> dict[str, Any]:
    return {"again": now, "difference": difference, "allowed": allowed, "verdict": verdict}


# the error of a number


def _allowed(
    column: str, row: Mapping[str, Any], other: Mapping[str, Any], setting: Setting
) -> float:
    """Difference that the error of both computations explains; NaN where no error is known."""
    exact = _last_digits(row[column])
    errors = [_error(column, one) for one in (row, other)]
    if any(math.isnan(error) for error in errors):
        return exact if setting.exact else math.nan
    stretch = _stretch(column, row) if column in ("lower", "upper") else 1.0
    return max(ERRORS * stretch * math.hypot(*errors), exact)


def _error(column: str, row: Mapping[str, Any]) -> float:
    """Monte Carlo standard error of one number, from the columns beside it.

    That of a 95 % limit is given as that of the median, to be stretched. Where only the error of a
    probability stands beside a rate ratio, it tells the effective number of draws, and these the
    error of a normal median.
    """
    own = f"mcse_{column.removeprefix('prob_')}"
    if own in row:
        return _number(row[own])
    if column in ("prob", "probability"):
        return _number(row.get("mcse"))
    if column not in ESTIMATES or any(name not in row for name in ESTIMATES):
        return math.nan
    # an error beside both is that of the probability
    beside = [_number(row.get(name)) for name in ("prob", "probability")]
    known = [prob for prob in beside if not math.isnan(prob)]
    return _error_of_ratio(row, known[0]) if known else _number(row.get("mcse"))


def _error_of_ratio(row: Mapping[str, Any], prob: float) -> float:
    mcse = _number(row.get("mcse"))
    lower, median, upper = (_number(row[name]) for name in ESTIMATES)
    if mcse == 0:
        return 0.0
    if not (mcse > 0 and 0 < prob < 1 and 0 < lower < upper):
        return math.nan
    draws = prob * (1 - prob) / mcse**2
    spread = math.log(upper / lower) / (2 * float(norm.ppf(0.975)))
    return median * spread * math.sqrt(math.pi / 2 / draws)


def _stretch(column: str, row: Mapping[str, Any]) -> float:
    """Ratio of the densities at the median and at a 95 % limit, and so of their errors.

    Taken as normal, and stretched by the skewness that the interval itself shows.
    """
    lower, median, upper = (_number(row[name]) for name in ESTIMATES)
    sides = (median - lower, upper - median)
    own, across = sides if column == "lower" else sides[::-1]
    return LIMIT * own / across if across > 0 else LIMIT


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _number(value: Any) -> float:
    return math.nan if value is None or value is pd.NA else float(value)
