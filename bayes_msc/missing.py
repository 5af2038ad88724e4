"""Scans that were planned and not seen: which they are, and the last count carried forward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.provenance import CARRIED_FORWARD, filled
from bayes_msc.trial import Trial

#: A row with less than this share of the planned exposure was cut short; what is left of a
#: difference is how follow-up varies. One month missed in a year is cut short.
SHORT = 0.95
#: A scan belongs to the plan if at least this share of the patients has a row for it.
PLANNED_SHARE = 0.5
EMPTY = "row without a count"
ABSENT = "no row"
CUT_SHORT = "exposure shorter than planned"


@dataclass(frozen=True, eq=False)
class Plan:
    """A trial with a row for everything that was planned, and what of it was not seen.

    Attributes
    ----------
    trial : Trial
        With empty counts in the rows that were added.
    unseen : ndarray of float, shape (rows,)
        Exposure of each row that was planned and not seen: all of it in rows without a count.
    why : ndarray of str, shape (rows,)
        ``EMPTY``, ``ABSENT``, ``CUT_SHORT``, or empty where everything was seen.
    """

    trial: Trial
    unseen: NDArray[np.float64]
    why: NDArray[np.str_]


def unseen(trial: Trial) -> pd.DataFrame:
    """List what was planned and not seen, by patient and period.

    Parameters
    ----------
    trial : Trial

    Returns
    -------
    DataFrame
        One row a patient (and period) of whom something was not seen: ``patient``, ``period``
        (crossover), ``treatment`` as planned, ``rows`` (planned rows without a count),
        ``exposure`` (planned and not seen), ``seen_rows``, ``seen_exposure``, ``why``, ``words``.
        Without rows where everything was seen.

    Notes
    -----
    Not seen are rows with an empty count; rows that a patient lacks and at least half of the
    patients have (in a crossover: of the patients with a row in that period, and both periods were
    planned for everybody); and, of a row with less than 95 % of the exposure that the same row has
    in the middle of the patients, the exposure that is lacking. The treatment planned for a period
    without any row is the one that the patient did not have in the other.
    """
    plan = plan_of(trial)
    by = [name for name in ("patient", "period") if name in plan.trial.data]
    table = plan.trial.data.assign(lacking=plan.unseen, why=plan.why)
    rows = []
    for _, group in table.groupby(by, sort=False):
        if not (group["lacking"] > 0).any():
            continue
        first, seen = group.iloc[0], group[group["count"].notna()]
        row = {name: first[name] for name in (*by, "treatment")}
        row |= {
            "rows": len(group) - len(seen),
            "exposure": float(group["lacking"].sum()),
            "seen_rows": len(seen),
            "seen_exposure": float(seen["exposure"].sum()),
            "why": "; ".join(text for text in dict.fromkeys(group["why"]) if text),
        }
        rows.append({**row, "words": _words(trial, row)})
    columns = [*by, "treatment", "rows", "exposure", "seen_rows", "seen_exposure", "why", "words"]
    return pd.DataFrame(rows, columns=columns)


def carry_forward(trial: Trial, *, across_periods: bool = True) -> Trial:
    """Carry each patient's last seen count forward to what was not seen: a replication mode.

    This repeats what a published analysis did. It is no analysis of its own: counts that nobody
    made enter as if they had been seen, so that intervals are too narrow, and a patient who left
    is taken to have stayed for ever as on the last scan, which is no question anybody asks. No fit
    of this package carries a count forward unless it is given the trial that this returns.

    Parameters
    ----------
    trial : Trial
    across_periods : bool
        Whether a count is carried into the next period of a crossover too, and so onto the other
        treatment, as the founding trial did.

    Returns
    -------
    Trial
        Under a name, a title, a label and a warning that say so; the trial itself where there is
        nothing to carry. Between rows of different exposure the rate is carried, and the count
        rounded. What comes before a patient's first seen count stays unseen.
    """
    plan = plan_of(trial)
    table = plan.trial.data
    within = ["patient", "period"] if "period" in table and not across_periods else ["patient"]
    keys = [table[name] for name in within]
    last = (table["count"] / table["exposure"]).groupby(keys, sort=False).ffill()
    carried = (plan.unseen > 0) & last.notna().to_numpy()
    if not carried.any():
        return trial
    short = plan.why == CUT_SHORT
    exposure = table["exposure"] + np.where(short, plan.unseen, 0.0)
    table["count"] = table["count"].mask(carried, np.rint(last * exposure))
    return relabelled(plan.trial, table.assign(exposure=exposure), CARRIED_FORWARD)


def relabelled(trial: Trial, table: pd.DataFrame, how: str) -> Trial:
    """Return the trial with another table, of which name, title and provenance say how.

    Parameters
    ----------
    trial : Trial
    table : DataFrame
        Canonical.
    how : {"carried forward", "imputed"}
    """
    changes = {
        "name": f"{trial.name}, {how}",
        "title": f"{trial.title} (unseen counts {how})",
        "provenance": filled(trial.provenance, how),
    }
    return Trial(table, **{**trial.meta(), **changes})


def plan_of(trial: Trial) -> Plan:
    """Give every row that was planned a place, and say what of it was not seen.

    See ``unseen`` for what counts as planned.
    """
    table = trial.data
    table["why"] = np.where(table["count"].isna(), EMPTY, "")
    slot = [name for name in ("period", _key(table)) if name in table]
    added = pd.DataFrame(list(_absent(trial, table, slot)))
    if len(added):
        table = _in_order(pd.concat([table, added], ignore_index=True))
    planned = table["exposure"]
    if slot:
        planned = planned.groupby([table[name] for name in slot]).transform("median")
    else:
        planned = pd.Series(float(planned.median()), index=table.index)
    lacking = (planned - table["exposure"]).where(table["exposure"] < SHORT * planned, 0.0)
    empty = table["count"].isna()
    table["why"] = table["why"].mask(~empty & (lacking > 0), CUT_SHORT)
    whole = Trial(table.drop(columns="why"), **trial.meta())
    amount = lacking.where(~empty, table["exposure"]).to_numpy(float)
    return Plan(whole, amount, table["why"].to_numpy(str))


def _key(table: pd.DataFrame) -> str:
    """Column that tells the scans of a patient apart; empty where there is one row each."""
    return next((name for name in ("scan", "month") if name in table), "")


def _absent(trial: Trial, table: pd.DataFrame, slot: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows that belong to the plan and that a patient lacks."""
    if not slot:
        return
    plan = _planned_slots(table, slot)
    for patient, own in table.groupby("patient", sort=False):
        present = set(own[list(slot)].itertuples(index=False, name=None))
        for values, typical in plan.items():
            if values in present:
                continue
            at = dict(zip(slot, values, strict=True))
            row = {"patient": patient, **_of_the_patient(trial, own), **typical, **at}
            yield {**row, "treatment": _treatment(trial, own, at), "why": ABSENT}


def _planned_slots(
    table: pd.DataFrame, slot: Sequence[str]
) -> dict[tuple[Any, ...], dict[str, float]]:
    """Scans that enough patients have a row for, with the exposure and month in the middle."""
    everybody = table.groupby(table["period"] if "period" in table else 0 * table["exposure"])
    patients = everybody["patient"].transform("nunique")
    shares = table.assign(patients=patients).groupby(list(slot))
    numbers = [name for name in ("exposure", "month") if name in table and name not in slot]
    found = {}
    for values, group in shares:
        if group["patient"].nunique() >= PLANNED_SHARE * group["patients"].iloc[0]:
            found[tuple(values)] = {name: float(group[name].median()) for name in numbers}
    return found


def _of_the_patient(trial: Trial, own: pd.DataFrame) -> dict[str, Any]:
    """What a patient's rows share: sequence, baseline, covariates (in the mean over the rows)."""
    shared: dict[str, Any] = {"count": np.nan}
    for name in ("sequence", "baseline"):
        if name in own:
            shared[name] = own[name].iloc[0]
    for name in trial.covariates:
        numeric = pd.api.types.is_numeric_dtype(own[name])
        shared[name] = own[name].mean() if numeric else own[name].iloc[0]
    return shared


def _treatment(trial: Trial, own: pd.DataFrame, at: dict[str, Any]) -> str:
    """Treatment that was planned for a patient on a row that is not there."""
    if "period" not in at:
        return str(own["treatment"].iloc[0])
    same = own.loc[own["period"] == at["period"], "treatment"]
    if len(same):
        return str(same.iloc[0])
    return trial.active if own["treatment"].iloc[0] == trial.control else trial.control


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of a trial's table: by patient, period and scan."""
    order = [pd.factorize(table["patient"])[0]]
    order += [table[name].to_numpy() for name in ("period", "scan", "month") if name in table]
    return table.iloc[np.lexsort(order[::-1])].reset_index(drop=True)


def _words(trial: Trial, row: dict[str, Any]) -> str:
    planned = row["exposure"] + row["seen_exposure"]
    unit = f"{trial.exposure_unit}{'s' if planned != 1 else ''}"
    where = f", period {row['period']}" if "period" in row else ""
    return (
        f"patient {row['patient']}{where}, on {row['treatment']} as planned: "
        f"{row['exposure']:g} of {planned:g} {unit} not seen ({row['why']})"
    )
