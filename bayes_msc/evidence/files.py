"""Evidence rows from a user's CSV, and those that come with the package."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from bayes_msc.errors import PublishedError, one_of
from bayes_msc.evidence.table import rows_of
from bayes_msc.evidence.trials import SCALES, Evidence


def read_evidence(path: str | Path) -> list[Evidence]:
    """Read other trials from a CSV file.

    Parameters
    ----------
    path : str or Path
        One row a trial, with a header. Needed are ``trial`` and either ``rate_ratio``, ``lower``
        and ``upper`` (95 % limits) or ``log_rate_ratio`` and ``se``. The other fields of
        ``Evidence`` may follow, ``relevance`` with ``relevance_reason`` among them.

    Returns
    -------
    list of Evidence

    Raises
    ------
    PublishedError
        Listing every fault found, with its rows.
    """
    from bayes_msc.decoding import decoded
    from bayes_msc.errors import TrialError

    file = Path(path)
    if not file.is_file():
        raise PublishedError(f"there is no file {file}: give a CSV with one row a trial")
    try:
        text = decoded(file.read_bytes(), file.name)
    except TrialError as error:
        raise PublishedError(str(error)) from None
    return evidence_from_table(_parsed(text, file.name), file.name)


def _parsed(text: str, name: str) -> pd.DataFrame:
    head = text.lstrip().splitlines()[0] if text.strip() else ""
    separator = max(",;\t", key=head.count)
    decimal = "." if separator == "," else ","
    try:
        return pd.read_csv(StringIO(text), sep=separator, decimal=decimal, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise PublishedError(f"{name} cannot be read as a table: {error}") from None


def evidence_from_table(table: pd.DataFrame, name: str = "the table") -> list[Evidence]:
    """Make evidence rows of a table with the columns that ``read_evidence`` describes.

    Raises
    ------
    PublishedError
        Listing every fault found, with its rows.
    """
    known = [item.name for item in fields(Evidence)]
    rows, faults = [], []
    for number, values in rows_of(table, known, name):
        try:
            rows.append(_of_values(values))
        except PublishedError as error:
            faults.append(f"row {number}: {error}")
    if faults:
        raise PublishedError(f"{name}: " + "; ".join(faults))
    return rows


def _of_values(values: dict[str, Any]) -> Evidence:
    ratio = values.pop("rate_ratio", None)
    if ratio is None:
        return Evidence(**values)
    low, high = values.pop("lower"), values.pop("upper")
    made = Evidence.from_ratio(values["trial"], ratio, lower=low, upper=high)
    return replace(made, **values)


@cache
def _bundled() -> tuple[Evidence, ...]:
    text = resources.files("bayes_msc").joinpath("evidence", "trials.csv").read_text("utf-8")
    table = pd.read_csv(StringIO(text), dtype={"doi": "str"})
    return tuple(evidence_from_table(table, "the bundled evidence"))


def load_evidence(outcome: str = "", scale: str | None = None) -> list[Evidence]:
    """Load the bundled results of trials of stem cells in multiple sclerosis, and benchmarks.

    Parameters
    ----------
    outcome : str
        Keep rows whose outcome, trial or treatment holds this text, in any case.
    scale : str, optional
        Keep rows on this scale.

    Returns
    -------
    list of Evidence
        Only figures that several copies of a paper agree on or whose arithmetic closes; what was
        computed from such figures has ``derived`` set and says how in its note.

    Raises
    ------
    PublishedError
        If the scale is unknown, or nothing is left.
    """
    if scale is not None:
        one_of(scale, SCALES, "scale", PublishedError)
    text = outcome.casefold()
    rows = [
        row
        for row in _bundled()
        if text in f"{row.outcome}\n{row.trial}\n{row.treatment}".casefold()
        and scale in (None, row.scale)
    ]
    if not rows:
        raise PublishedError(f"no bundled row of evidence holds {outcome!r} on scale {scale}")
    return rows
