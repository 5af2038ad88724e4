"""Roles of the columns: from a user's table to one with the package's own column names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayes_msc.cells import Mask, column_numbers, column_text
from bayes_msc.errors import TrialError

DESIGNS = ("parallel", "crossover")

#: Canonical columns, in the order of the canonical table.
ROLES = (
    "patient",
    "sequence",
    "period",
    "scan",
    "month",
    "treatment",
    "count",
    "exposure",
    "baseline",
)
REQUIRED = ("patient", "treatment", "count")
CROSSOVER_ONLY = ("sequence", "period")
TEXT_ROLES = ("patient", "sequence", "treatment")


@dataclass(frozen=True)
class Cells:
    """A table under the canonical names, as typed: nothing has been judged yet.

    Parameters
    ----------
    table : pandas.DataFrame
        Canonical columns and covariates; the index is the row number, from 1.
    unreadable : mapping of str to numpy.ndarray of bool
        For each numeric role, where a cell holds text.
    raw : pandas.DataFrame
        The same rows as they came, under the canonical names, to quote from.
    """

    table: pd.DataFrame
    unreadable: Mapping[str, Mask]
    raw: pd.DataFrame


def check_columns(data: object) -> pd.DataFrame:
    """Return the table with text column names, each of them there once.

    Raises
    ------
    TrialError
        If it is no DataFrame, has no column, or has a name twice.
    """
    if not isinstance(data, pd.DataFrame):
        raise TrialError(
            f"a trial is made from a pandas DataFrame, not from {type(data).__name__}: "
            "for a file use read_trial(path, ...)"
        )
    names = pd.Index([str(name).strip() for name in data.columns])
    twice = names[names.duplicated()].unique()
    if len(twice):
        raise TrialError(
            f"column names must differ, and these occur more than once: {quoted(twice)}"
        )
    if not len(names):
        raise TrialError("the table has no columns: it needs patient, treatment and count")
    return data.set_axis(names, axis=1)


def find_columns(
    present: Sequence[str],
    asked: Mapping[str, str | None],
    covariates: Sequence[str],
    design: str,
) -> dict[str, str]:
    """Find the column of every role.

    Parameters
    ----------
    present : sequence of str
        Names of the table's columns.
    asked : mapping of str to str or None
        For each role the column that the user named; None looks for the role's own name.
    covariates : sequence of str
        Further columns to keep.
    design : str
        ``"parallel"`` or ``"crossover"``.

    Returns
    -------
    dict of str to str
        Column by role, in canonical order; covariates last, under their own names.

    Raises
    ------
    TrialError
        Listing every column that is missing, and what the table has instead.
    """
    found: dict[str, str] = {}
    faults: list[str] = []
    absent: dict[str, str] = {}
    for role in ROLES:
        name = asked.get(role)
        if design == "parallel" and role in CROSSOVER_ONLY:
            if name is not None:
                faults.append(f"a parallel trial has no {role}: leave {role}={name!r} out")
            continue
        column = role if name is None else str(name).strip()
        needed = role in REQUIRED or (design == "crossover" and role == "period")
        if column in present:
            found[role] = column
        elif name is not None or needed:
            absent[role] = f"no column {short(column)!r} for the {role}"
    if absent:
        repair = ", ".join(f"{role}=..." for role in absent)
        faults.append(f"{', '.join(absent.values())}: name it with {repair}")
    faults += _covariate_faults(present, covariates, found)
    faults += _shared(found)
    if faults:
        faults.append(f"the table has the columns {quoted(present)}")
        raise TrialError("\n".join(faults))
    return found | {str(name): str(name) for name in covariates}


def _covariate_faults(
    present: Sequence[str], covariates: Sequence[str], found: Mapping[str, str]
) -> list[str]:
    if isinstance(covariates, str):
        return [f"covariates is the text {covariates!r}: give a list, such as [{covariates!r}]"]
    faults = [f"no column {n!r} for a covariate" for n in covariates if n not in present]
    faults += [
        f"a covariate cannot be called {n!r}, which is a role or already has one"
        for n in covariates
        if n in ROLES or n in found.values()
    ]
    if len(set(covariates)) < len(covariates):
        faults.append(f"a covariate is named twice: {quoted(covariates)}")
    return faults


def _shared(found: Mapping[str, str]) -> list[str]:
    """Name the columns that stand for two roles at once."""
    columns = list(found.values())
    return [
        f"column {column!r} has {columns.count(column)} roles "
        f"({', '.join(role for role in found if found[role] == column)}): it can have one"
        for column in dict.fromkeys(columns)
        if columns.count(column) > 1
    ]


def read_cells(data: pd.DataFrame, columns: Mapping[str, str]) -> Cells:
    """Turn the named columns into text and numbers under their canonical names.

    Rows in which every named column is blank are left out; the others keep their numbers. An
    optional column without any entry counts as absent.

    Parameters
    ----------
    data : pandas.DataFrame
        The user's table.
    columns : mapping of str to str
        Column by role, as ``find_columns`` returns it.

    Returns
    -------
    Cells

    Raises
    ------
    TrialError
        If no row is left.
    """
    raw = data[list(columns.values())].set_axis(list(columns), axis=1)
    raw.index = pd.RangeIndex(1, len(raw) + 1, name="row")
    parts: dict[str, pd.Series] = {}
    unreadable: dict[str, Mask] = {}
    filled = np.zeros(len(raw), dtype=bool)
    for role in columns:
        text = _covariate_text(raw[role]) if role not in ROLES else None
        if role in TEXT_ROLES:
            text = column_text(raw[role])
        if text is not None:
            part, bad, has = text, None, text.to_numpy() != ""
        else:
            values, bad = column_numbers(raw[role])
            part, has = pd.Series(values, index=raw.index), ~np.isnan(values) | bad
        if role in ROLES and role not in (*REQUIRED, "period") and not has.any():
            continue
        filled |= has
        parts[role] = part
        if bad is not None:
            unreadable[role] = bad
    if not filled.any():
        raise TrialError("the table has no rows: it needs one for each patient and scan")
    table = pd.DataFrame(parts, index=raw.index)[filled]
    kept = {role: bad[filled] for role, bad in unreadable.items() if role in ROLES}
    return Cells(table, kept, raw[filled])


def _covariate_text(column: pd.Series) -> pd.Series | None:
    """Return a covariate's text, or None when all of it can be read as numbers."""
    return column_text(column) if column_numbers(column)[1].any() else None


def labels_found(data: pd.DataFrame, column: str) -> str:
    """Return the distinct labels of a column, quoted, for a message."""
    labels = [label for label in column_text(data[column]).unique() if label]
    return quoted(labels) if labels else "no label at all"


def quoted(names: Sequence[object] | pd.Index, limit: int = 12) -> str:
    """Return names in quotes, comma separated, long ones and long lists cut short."""
    texts = [repr(short(str(name))) for name in list(names)[:limit]]
    rest = len(names) - len(texts)
    return ", ".join(texts) + (f" and {rest} more" if rest else "")


def short(text: str, limit: int = 40) -> str:
    """Return a text cut to a length that fits a message."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
