"""Which column of a user's table is likely to play which role, from the names people give them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from bayes_msc.cells import column_text
from bayes_msc.reading import Layout, read_table
from bayes_msc.roles import ROLES, TEXT_ROLES

#: Names of columns, small letters without spaces and marks, the likeliest first.
NAMES: Mapping[str, tuple[str, ...]] = {
    "patient": ("patient", "patientid", "subject", "subjectid", "usubjid", "subjid", "id", "pid"),
    "treatment": ("treatment", "treat", "arm", "trt", "trta", "trt01a", "group", "drug"),
    "count": ("count", "counts", "lesions", "gel", "events", "nlesions", "nevents", "y", "n"),
    "period": ("period", "phase", "aperiod"),
    "sequence": ("sequence", "seq", "order", "trtseqa"),
    "scan": ("scan", "visit", "visitnum", "avisitn", "mri"),
    "month": ("month", "months", "time"),
    "exposure": ("exposure", "followup", "duration", "personyears", "weight"),
    "baseline": ("baseline", "base", "baselinecount", "lesionsbaseline"),
}


def columns_of(path: Path, sheet: str | None = None) -> pd.DataFrame:
    """Read a file of counts without knowing its roles yet.

    Raises
    ------
    TrialError
        If it is no table.
    """
    known = {name for names in NAMES.values() for name in names}
    text = {name for role in TEXT_ROLES for name in NAMES[role]}
    numeric = {name for role in ROLES if role not in TEXT_ROLES for name in NAMES[role]}
    layout = Layout(
        text=frozenset(text),
        numeric=frozenset(numeric - text),
        wanted=frozenset(known),
        count="count",
        sheet=sheet,
    )
    return read_table(path, layout)


def guess_roles(columns: list[str]) -> dict[str, str]:
    """Guess roles by the columns' names; a role without a likely column is left out.

    Parameters
    ----------
    columns : list of str
        Names as they stand in the header.

    Returns
    -------
    dict of str to str
        Column by role; a column has one role at most.
    """
    plain = {re.sub(r"[\W_]", "", column).lower(): column for column in reversed(columns)}
    found: dict[str, str] = {}
    for role, names in NAMES.items():
        own = [plain[name] for name in names if name in plain and plain[name] not in found.values()]
        if own:
            found[role] = own[0]
    return found


def labels_of(table: pd.DataFrame, column: str) -> list[str]:
    """Labels of a column, in order of first appearance."""
    return [label for label in column_text(table[column]).unique() if label]


def looks_crossed(table: pd.DataFrame, patient: str, treatment: str) -> bool:
    """Whether patients have more than one treatment: a hint, the design is asked for."""
    own = pd.DataFrame(
        {"patient": column_text(table[patient]), "treatment": column_text(table[treatment])}
    )
    own = own[(own["patient"] != "") & (own["treatment"] != "")]
    return bool(own.drop_duplicates()["patient"].duplicated().any())
