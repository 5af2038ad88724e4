"""Tables that only the report on a fit needs: patients and checks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from bayes_msc.trial import Trial

MASS = (0.025, 0.5, 0.975)
MANY = ("MCSE of probability", "Pareto k")


def patient_table(fit: xr.DataTree, trial: Trial) -> pd.DataFrame:
    """Give each patient's rate as a multiple of the typical patient's.

    Returns
    -------
    DataFrame
        Columns patient, events (seen), share (of all events), fold, lower, upper.
    """
    effect = fit["posterior"]["patient_effect"]
    lower, fold, upper = np.exp(effect.quantile(MASS, dim=("chain", "draw")).to_numpy())
    names = [str(name) for name in effect["patient"].to_numpy()]
    events = trial.data.groupby("patient", sort=False)["count"].sum().reindex(names).to_numpy()
    return pd.DataFrame(
        {
            "patient": names,
            "events": events,
            "share": events / max(float(np.nansum(events)), 1.0),
            "fold": fold,
            "lower": lower,
            "upper": upper,
        }
    )


def shown_checks(diagnostics: pd.DataFrame) -> pd.DataFrame:
    """Keep of checks that have a row for every patient or statement only the worst and the failed.

    Parameters
    ----------
    diagnostics : DataFrame
        What ``diagnose`` returned.

    Returns
    -------
    DataFrame
        Some of its rows, in its order.
    """
    many = diagnostics["check"].isin(MANY)
    worst = diagnostics[many].groupby("check", sort=False)["value"].idxmax()
    kept = ~many | ~diagnostics["ok"].astype(bool) | diagnostics.index.isin(worst)
    return diagnostics[kept].reset_index(drop=True)
