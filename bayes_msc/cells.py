"""Cells of a table as text or as numbers, whatever type the column arrived in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: What people type into a numeric cell that has no number, in lower case.
BLANK_NUMBERS = ("", "na", "n/a", "nan", "null", "none", ".")


def clean_text(text: str) -> str:
    """Trim, fold white space, and blank out characters that cannot be printed or encoded."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())


def cell_text(value: Any) -> str:
    """Return one cell as text: ``""`` when missing, whole numbers without a decimal point."""
    if isinstance(value, str):
        return clean_text(value)
    if value is None:
        return ""
    if isinstance(value, (float, np.floating)):
        return number_text(float(value))
    if isinstance(value, Decimal):
        return "" if value.is_nan() else clean_text(str(value))
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    return clean_text(str(value))


def number_text(value: float) -> str:
    """Return a number as text, so that an identifier read as 1.0 is ``"1"`` again."""
    if np.isnan(value):
        return ""
    if abs(value) < 1e15 and value == int(value):
        return str(int(value))
    return repr(value)


def column_text(column: pd.Series) -> pd.Series:
    """Return a column as cleaned text, missing cells as ``""``, on the same index.

    Parameters
    ----------
    column : pandas.Series
        Any type.

    Returns
    -------
    pandas.Series of str
    """
    if column.dtype == object:
        texts: list[str] = [cell_text(value) for value in column.array]
    else:
        codes, distinct = pd.factorize(column)
        known = np.array([*(cell_text(value) for value in distinct), ""], dtype=object)
        texts = known[codes].tolist()
    return pd.Series(texts, index=column.index, dtype="str")


def column_numbers(column: pd.Series) -> tuple[Floats, Mask]:
    """Return a column as numbers, and where a cell holds something that is not a number.

    Parameters
    ----------
    column : pandas.Series
        Any type.

    Returns
    -------
    values : numpy.ndarray of float, shape (rows,)
        NaN where the cell is blank or unreadable.
    unreadable : numpy.ndarray of bool, shape (rows,)
    """
    if _is_number(column):
        return column.to_numpy(dtype=float, na_value=np.nan) + 0.0, np.zeros(len(column), bool)
    text = column_text(column)
    blank = text.str.casefold().isin(BLANK_NUMBERS)
    values = pd.to_numeric(text.mask(blank), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    # adding zero turns -0.0, which would print as "-0", into 0.0
    return values + 0.0, np.isnan(values) & ~blank.to_numpy(dtype=bool)


def _is_number(column: pd.Series) -> bool:
    """Tell whether a column holds real numbers; truth values and complex numbers are not."""
    types = pd.api.types
    return (
        types.is_numeric_dtype(column)
        and not types.is_bool_dtype(column)
        and not types.is_complex_dtype(column)
    )
