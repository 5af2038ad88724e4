"""A trial as the classical methods want it: totals of a patient and treatment, or pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.comparators.answer import Numbers, Undefined
from bayes_msc.trial import Trial

SHOWN = 5


@dataclass(frozen=True, eq=False)
class Pairs:
    """Patients of a crossover trial who were seen in both periods.

    Attributes
    ----------
    active_first : ndarray of bool, shape (patients,)
        Who had the active treatment in period 1.
    count, exposure : ndarray of float, shape (patients, 2)
        Totals in periods 1 and 2.
    notes : tuple of str
        Who was left out.
    """

    active_first: NDArray[np.bool_]
    count: Numbers
    exposure: Numbers
    notes: tuple[str, ...]

    @property
    def rate(self) -> Numbers:
        """Events per unit of exposure, shape (patients, 2)."""
        return self.count / self.exposure

    def by_treatment(self, values: Numbers) -> tuple[Numbers, Numbers]:
        """Split an array of shape (patients, 2) into control and active."""
        active = np.where(self.active_first, values[:, 0], values[:, 1])
        return values.sum(axis=1) - active, active


def totals(trial: Trial) -> pd.DataFrame:
    """Add up the seen counts of each patient on each treatment.

    Returns
    -------
    pandas.DataFrame
        One row a patient and treatment: ``patient``, ``treated`` (0 or 1), ``count``,
        ``exposure``; ``second`` (0 or 1) in a crossover; ``baseline`` where there is one.
    """
    rows = scans(trial)
    keys = ["patient", "treated"]
    summed = ("count", "exposure")
    how = {name: "sum" if name in summed else "first" for name in rows if name not in keys}
    return rows.groupby(keys, sort=False, as_index=False).agg(how)


def scans(trial: Trial) -> pd.DataFrame:
    """Return the seen rows in the columns of `totals`, one row a scan."""
    seen = trial.seen
    table = seen[["patient", "count", "exposure"]].assign(
        treated=(seen["treatment"] == trial.active).astype(float)
    )
    if trial.design == "crossover":
        table["second"] = (seen["period"] == 2).astype(float)
    if trial.has_baseline:
        table["baseline"] = seen["baseline"]
    return table


def pairs(trial: Trial) -> Pairs:
    """Return the patients with both periods.

    Raises
    ------
    Undefined
        If the trial is no crossover, or no patient was seen in both periods.
    """
    if trial.design != "crossover":
        raise Undefined("it compares both treatments within a patient; this trial is parallel")
    table = totals(trial)
    both = table.groupby("patient")["treated"].transform("nunique") == 2
    # two rows a patient, period 1 first
    kept = table[both].sort_values(["patient", "second"])
    if kept.empty:
        raise Undefined("no patient was seen in both periods")
    wide = {
        name: kept[name].to_numpy(float).reshape(-1, 2) for name in ("count", "exposure", "treated")
    }
    alone = [str(name) for name in table.loc[~both, "patient"].unique()]
    return Pairs(
        active_first=wide["treated"][:, 0] == 1,
        count=wide["count"],
        exposure=wide["exposure"],
        notes=(f"without {named(alone)}, seen in one period only",) if alone else (),
    )


def named(patients: Sequence[str]) -> str:
    """Name some patients, a long list cut short."""
    rest = len(patients) - SHOWN
    more = f" and {rest} more" if rest > 0 else ""
    return f"patient{'s' if len(patients) > 1 else ''} {', '.join(patients[:SHOWN])}{more}"
