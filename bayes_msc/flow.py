"""Who was in a trial, who was seen when, and who left: from the trial's own rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayes_msc.missing import CUT_SHORT, plan_of
from bayes_msc.trial import Trial

COLUMNS = (
    "group",
    "period",
    "treatment",
    "patients",
    "seen_patients",
    "complete",
    "expected",
    "seen",
    "cut_short",
    "left",
    "events",
)


def flow(trial: Trial) -> pd.DataFrame:
    """Count patients and scans by sequence and period, or by arm: a CONSORT flow of the analysis.

    Parameters
    ----------
    trial : Trial
        Only its own rows are read: who was screened, refused or was excluded before is not in them.

    Returns
    -------
    DataFrame
        One row a sequence and period (crossover) or arm (parallel): ``group`` (the sequence or the
        arm), ``period`` (1 in a parallel trial), ``treatment`` as planned, ``patients`` (of the
        group), ``seen_patients`` (with at least one count here), ``complete`` (with every planned
        scan counted, over its whole exposure), ``expected`` and ``seen`` (scans, or other rows,
        planned and counted), ``cut_short`` (counted over less exposure than planned), ``left``
        (patients of whom nothing was seen from some scan of this period to the end of the trial,
        though something was planned), ``events``.

    Notes
    -----
    What was planned is what ``bayes_msc.unseen`` takes it to be. A patient of whom nothing was seen
    at all left in the first period.
    """
    plan = plan_of(trial)
    table = _placed(plan.trial.data)
    table = table.assign(
        observed=table["count"].notna(),
        short=plan.why == CUT_SHORT,
    )
    table["gone"] = _gone(table)
    rows = []
    for (group, _), part in table.groupby(["group", "period"], sort=False):
        by_patient = part.groupby("patient", sort=False)
        whole = (part["observed"] & ~part["short"]).groupby(part["patient"], sort=False).all()
        rows.append(
            (
                str(group),
                int(part["period"].iloc[0]),
                str(part["treatment"].mode().iloc[0]),
                int(table.loc[table["group"] == group, "patient"].nunique()),
                int(by_patient["observed"].any().sum()),
                int(whole.sum()),
                len(part),
                int(part["observed"].sum()),
                int((part["observed"] & part["short"]).sum()),
                _first_gone(table, part),
                int(part["count"].sum()),
            )
        )
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    order = found["group"].map({g: i for i, g in enumerate(_groups(trial, found))})
    return (
        found.assign(order=order)
        .sort_values(["order", "period"])
        .drop(columns="order")
        .reset_index(drop=True)
    )


def _placed(table: pd.DataFrame) -> pd.DataFrame:
    """Add the group of every row (sequence, or arm) and its period (1 in a parallel trial)."""
    return table.assign(group=table[_grouping(table)], period=table.get("period", 1))


def _grouping(table: pd.DataFrame) -> str:
    """Column that says which group a patient belongs to."""
    return "sequence" if "sequence" in table else "treatment"


def _gone(table: pd.DataFrame) -> pd.Series[bool]:
    """Mark the rows from which on nothing more of the patient was seen."""
    later = table["observed"][::-1].groupby(table["patient"][::-1], sort=False).cumsum()[::-1]
    gone: pd.Series[bool] = later == 0
    return gone


def _first_gone(table: pd.DataFrame, part: pd.DataFrame) -> int:
    """Patients whose first row of nothing more to be seen is in this part."""
    gone = table[table["gone"]]
    first = gone.drop_duplicates("patient").index
    return int(np.isin(first, part.index).sum())


def _groups(trial: Trial, found: pd.DataFrame) -> list[str]:
    """Groups in order: those that begin with the active treatment first."""
    first = found.sort_values("period", kind="stable").drop_duplicates("group")
    leads = dict(zip(first["group"], first["treatment"] != trial.active, strict=True))
    return sorted(leads, key=lambda group: (leads[group], group))


def planned_scans(trial: Trial) -> pd.DataFrame:
    """List what was planned for each group: which scan, when, on which treatment, and who was seen.

    Returns
    -------
    DataFrame
        One row a group and planned scan, in order: ``group``, ``period``, ``treatment``, ``scan``
        (place within the group's plan, from 1), ``time`` (month where the table has it, else the
        place), ``patients`` (of the group), ``seen`` (with a count), ``unit`` (``"month"`` or
        ``"scan"``).
    """
    table = _placed(plan_of(trial).trial.data)
    table = table.assign(place=table.groupby("patient", sort=False).cumcount() + 1)
    timed = "month" in table and table["month"].notna().all()
    rows = []
    for group, own in table.groupby("group", sort=False):
        patients = int(own["patient"].nunique())
        for _, part in own.groupby("place"):
            time = float(part["month"].median()) if timed else float(part["place"].iloc[0])
            rows.append(
                (
                    str(group),
                    int(part["period"].mode().iloc[0]),
                    str(part["treatment"].mode().iloc[0]),
                    int(part["place"].iloc[0]),
                    time,
                    patients,
                    int(part["count"].notna().sum()),
                    "month" if timed else "scan",
                )
            )
    names = ["group", "period", "treatment", "scan", "time", "patients", "seen", "unit"]
    found = pd.DataFrame(rows, columns=names)
    leads = _groups(trial, found.drop_duplicates(["group", "period"]))
    found["group"] = pd.Categorical(found["group"], leads, ordered=True)
    ordered = found.sort_values(["group", "scan"], ignore_index=True)
    return ordered.assign(group=ordered["group"].astype(str))


def baselines(trial: Trial) -> pd.DataFrame:
    """Summarise the baseline counts by sequence or arm.

    Returns
    -------
    DataFrame
        One row a group: ``group``, ``patients`` (with a baseline), ``median``, ``lowest``,
        ``highest``, ``mean``; no rows where the trial has none.
    """
    table = trial.data
    if "baseline" not in table:
        return pd.DataFrame(columns=["group", "patients", "median", "lowest", "highest", "mean"])
    by = _grouping(table)
    values = table.drop_duplicates("patient").groupby(by, sort=True)["baseline"]
    found = values.agg(["count", "median", "min", "max", "mean"]).reset_index()
    names = {by: "group", "count": "patients", "min": "lowest", "max": "highest"}
    return found.rename(columns=names).astype({"group": str})
