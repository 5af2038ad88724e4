"""A user's table of other trials: one pandera schema, every fault named with its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayes_msc.errors import PublishedError, one_of

NUMBERS = ("estimate", "se", "lower", "upper", "rate_ratio", "log_rate_ratio", "weeks", "relevance")
COUNTS = ("n_active", "n_control")
WORDS = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}


def rows_of(
    table: pd.DataFrame, known: Sequence[str], name: str
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Check a table of trials and give its rows, empty cells left out.

    Parameters
    ----------
    table : DataFrame
    known : sequence of str
        Columns allowed beside ``rate_ratio`` and ``log_rate_ratio``.
    name : str
        What the table is called in messages.

    Yields
    ------
    int
        Number of the row, the first below the header being 1.
    dict
        Values by field.

    Raises
    ------
    PublishedError
        Listing every fault found, with its rows.
    """
    table = table.rename(columns=lambda column: str(column).strip())
    form = _form(table, known, name)
    faults = _faults(table, form)
    if faults:
        raise PublishedError(f"{name}: " + "; ".join(faults))
    for number, row in enumerate(table.to_dict("records"), 1):
        values = {str(k): _value(str(k), v) for k, v in row.items() if not _empty(v)}
        if "log_rate_ratio" in values:
            values["estimate"] = values.pop("log_rate_ratio")
        yield number, values


def _form(table: pd.DataFrame, known: Sequence[str], name: str) -> str:
    """Which of the three forms of an estimate the table has: the name of its column."""
    if table.empty:
        raise PublishedError(f"{name} holds no row")
    repeated = table.columns[table.columns.duplicated()]
    if len(repeated):
        raise PublishedError(f"{name} has the column {repeated[0]!r} twice")
    for column in table.columns:
        one_of(
            column, (*known, "rate_ratio", "log_rate_ratio"), f"column of {name}", PublishedError
        )
    forms = [form for form in ("rate_ratio", "log_rate_ratio", "estimate") if form in table]
    if len(forms) != 1:
        found = " and ".join(forms) or "none of them"
        raise PublishedError(
            f"{name} has {found}: give either rate_ratio, lower and upper, or log_rate_ratio and se"
        )
    needed = {"rate_ratio": ("lower", "upper"), "log_rate_ratio": ("se",), "estimate": ("scale",)}
    missing = [c for c in ("trial", *needed[forms[0]]) if c not in table]
    if missing:
        raise PublishedError(f"{name} also needs the column {', '.join(missing)}")
    return forms[0]


def _faults(table: pd.DataFrame, form: str) -> list[str]:
    """Every broken rule in words, with the rows that break it."""
    import pandera.pandas as pa

    def rule(words: str, fine: Any) -> Any:
        return pa.Check(fine, error=words, ignore_na=True)

    def number(column: pd.Series) -> pd.Series:
        return pd.to_numeric(column, errors="coerce").notna()

    def above_zero(column: pd.Series) -> pd.Series:
        values = pd.to_numeric(column, errors="coerce")
        return values.isna() | (values > 0)

    ratio = form == "rate_ratio"
    required = {"trial", form, *({"lower", "upper"} if ratio else ())}
    required |= {"se"} if form == "log_rate_ratio" else set()
    columns = {}
    for column in table.columns:
        checks = []
        if column in (*NUMBERS, *COUNTS):
            checks.append(rule(f"{column} is not a number", number))
        if column in ("se", "rate_ratio", *COUNTS) or (ratio and column in ("lower", "upper")):
            checks.append(rule(f"{column} is not above 0", above_zero))
        if column == "derived":
            words = "derived is neither yes nor no"
            checks.append(rule(words, lambda c: c.astype(str).str.casefold().isin(WORDS)))
        columns[column] = pa.Column(None, checks, nullable=column not in required, required=True)
    try:
        pa.DataFrameSchema(columns).validate(table, lazy=True)
    except pa.errors.SchemaErrors as errors:
        return _words(errors.failure_cases, table)
    return []


def _words(cases: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    faults: dict[str, list[str]] = {}
    for case in cases.to_dict("records"):
        empty = case["check"] == "not_nullable"
        words = f"{case['column']} is missing" if empty else str(case["check"])
        place = int(np.flatnonzero(table.index == case["index"])[0])
        shown = "" if empty else f" ({case['failure_case']})"
        faults.setdefault(words, []).append(f"{place + 1}{shown}")
    return [f"{words}: row {', '.join(rows[:8])}" for words, rows in faults.items()]


def _empty(value: Any) -> bool:
    return bool(pd.isna(value)) or (isinstance(value, str) and not value.strip())


def _value(column: str, value: Any) -> Any:
    if column in COUNTS:
        count = float(value)
        if count != int(count):
            raise PublishedError(f"{column} is {value}: a whole number is needed")
        return int(count)
    if column in NUMBERS:
        return float(value)
    if column == "derived":
        return WORDS[str(value).casefold()]
    return str(value).strip()
