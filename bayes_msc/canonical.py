"""From the table that a user has to the canonical one, or to every fault of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bayes_msc.cells import cell_text
from bayes_msc.errors import TrialError, one_of
from bayes_msc.faults import find_faults, first_treatment
from bayes_msc.roles import DESIGNS, ROLES, labels_found, read_cells


def required_roles(
    data: pd.DataFrame,
    treatment: str,
    design: str | None,
    control: str | None,
    active: str | None,
) -> dict[str, str]:
    """Return the design and the labels, or say which are missing and what the column holds."""
    missing = [
        name
        for name, value in (("design", design), ("control", control), ("active", active))
        if value is None or cell_text(value) == ""
    ]
    column = str(treatment).strip()
    holds = ""
    if column in data:
        holds = f" (the column {column!r} holds {labels_found(data, column)})"
    if missing:
        raise TrialError(
            f"say {', '.join(f'{name}=...' for name in missing)}: the design is "
            f"{' or '.join(DESIGNS)}, control and active are labels of the arms{holds}"
        )
    one_of(design, DESIGNS, "design", TrialError)
    arms = {"control": cell_text(control), "active": cell_text(active)}
    if arms["control"] == arms["active"]:
        raise TrialError(
            f"control and active are both {arms['control']!r}: they must differ{holds}"
        )
    return {"design": str(design), **arms}


def validated(
    data: pd.DataFrame, columns: Mapping[str, str], arms: Mapping[str, str]
) -> pd.DataFrame:
    """Return the canonical table, or raise with every fault of it."""
    cells = read_cells(data, columns)
    for role in ("baseline", "sequence"):
        if role in cells.table:
            _spread_over_patient(cells.table, role)
    faults = find_faults(cells, arms["design"], arms["control"], arms["active"])
    if faults:
        kinds = "1 fault" if len(faults) == 1 else f"{len(faults)} kinds of fault"
        raise TrialError("\n  - ".join([f"the table has {kinds}:", *faults]))
    return _canonical(cells.table, list(columns), arms)


def _spread_over_patient(table: pd.DataFrame, role: str) -> None:
    """Fill what is given on one of a patient's rows into the patient's other rows."""
    known = table[role].where(table[role] != "")
    named = table["patient"] != ""
    first = known.groupby(table["patient"], sort=False).transform("first")
    filled = known.where(known.notna() | ~named, first)
    table[role] = filled if role == "baseline" else filled.fillna("")


def _canonical(
    table: pd.DataFrame, columns: Sequence[str], arms: Mapping[str, str]
) -> pd.DataFrame:
    """Return the table with canonical types, columns and order of rows."""
    table = table.copy()
    if arms["design"] == "crossover" and "sequence" not in table:
        first = first_treatment(table, arms["control"], arms["active"])
        second = np.where(first == arms["control"], arms["active"], arms["control"])
        table["sequence"] = pd.Series(first, index=table.index) + "-" + second
    if "exposure" not in table:
        table["exposure"] = 1.0
    for role in ("period", "scan"):
        if role in table:
            table[role] = table[role].astype("int64")
    further = [name for name in columns if name not in ROLES]
    for name in further:
        if not pd.api.types.is_numeric_dtype(table[name]):
            table[name] = table[name].mask(table[name] == "")
    order = [pd.factorize(table["patient"])[0]]
    order += [table[role].to_numpy() for role in ("period", "scan", "month") if role in table]
    table = table[[role for role in ROLES if role in table] + further]
    return table.iloc[np.lexsort(order[::-1])].reset_index(drop=True)
