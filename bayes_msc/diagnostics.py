"""The gate before the numbers: each check with its value, limit, verdict and a hint."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_msc.checks import compare, replicates
from bayes_msc.convergence import (
    COLUMNS,
    EXTREME,
    PARETO_LIMIT,
    check_row,
    convergence,
)
from bayes_msc.estimands import summarize
from bayes_msc.leaving_out import psis
from bayes_msc.monte_carlo import MCSE_LIMIT

#: Of the predictive checks, those in the gate; ``predictive_checks`` has all, by arm and period.
PREDICTIVE = ("mean", "variance", "share of zeros", "maximum")


def diagnose(fit: xr.DataTree) -> pd.DataFrame:
    """Check a fit: convergence, Monte Carlo error, leave-one-out reliability, predictions.

    Parameters
    ----------
    fit : xarray.DataTree
        From ``bayes_msc.fit``.

    Returns
    -------
    DataFrame
        Columns ``check``, ``target``, ``value``, ``limit``, ``ok``, ``affects`` (``"posterior"``:
        every number; ``"leave-one-out"``; ``"predictions"``; ``"interpretation"``: what the
        counts say little of) and ``hint`` (empty where ok).

    Notes
    -----
    The limit for Pareto k is that of Vehtari et al. 2024 (JMLR 25:72) for 2200 draws or more. A
    posterior predictive p is the share of simulated trials whose statistic exceeds the observed
    one, ties counted half; the simulated trials have new patients.
    """
    rows = [
        *_monte_carlo(fit),
        *_leave_one_out_rows(fit),
        *_predictive(fit),
        *_identification(fit),
    ]
    return pd.concat(
        [convergence(fit), pd.DataFrame(rows, columns=list(COLUMNS))], ignore_index=True
    )


def converged(diagnostics: pd.DataFrame) -> bool:
    """Whether every check on which all numbers depend has passed."""
    return bool(diagnostics.loc[diagnostics["affects"] == "posterior", "ok"].all())


def leave_one_out(fit: xr.DataTree) -> pd.DataFrame:
    """Predict each patient from the others by PSIS (Vehtari, Gelman & Gabry 2017).

    Returns
    -------
    DataFrame
        One row a patient: ``patient``, ``elpd`` (expected log predictive density of all the
        patient's counts), ``pareto_k``, ``ok``.
    """
    loo = psis(fit)
    pareto_k = loo.pareto_k.to_numpy()
    return pd.DataFrame(
        {
            "patient": [str(p) for p in fit["log_likelihood"]["patient"].to_numpy()],
            "elpd": loo.elpd_i.to_numpy(),
            "pareto_k": pareto_k,
            "ok": pareto_k < PARETO_LIMIT,
        }
    )


def _monte_carlo(fit: xr.DataTree) -> list[dict[str, Any]]:
    statements = summarize(fit)
    probabilities = statements[statements["probability"].notna()]
    return [
        check_row(
            "MCSE of probability",
            row["label"],
            row["mcse"],
            f"< {MCSE_LIMIT}",
            row["mcse"] < MCSE_LIMIT,
            "the second decimal is not certain: fit with more draws",
        )
        for row in probabilities.to_dict("records")
    ]


def _leave_one_out_rows(fit: xr.DataTree) -> list[dict[str, Any]]:
    return [
        check_row(
            "Pareto k",
            f"patient {row['patient']}",
            row["pareto_k"],
            f"< {PARETO_LIMIT}",
            row["ok"],
            "leaving out this patient changes the posterior too much for reweighting: fit again "
            "without the patient to see by how much",
            affects="leave-one-out",
        )
        for row in leave_one_out(fit).to_dict("records")
    ]


def _predictive(fit: xr.DataTree) -> list[dict[str, Any]]:
    observed = fit["observed_data"]["count"].to_numpy()
    return [
        check_row(
            "posterior predictive p",
            row["statistic"],
            row["p"],
            f"{EXTREME} to {1 - EXTREME}",
            EXTREME < row["p"] < 1 - EXTREME,
            f"the model hardly ever makes a trial with this {row['statistic']}: try another family",
            affects="predictions",
        )
        for row in compare(observed, replicates(fit, "new"))
        if row["statistic"] in PREDICTIVE
    ]


def _identification(fit: xr.DataTree) -> list[dict[str, Any]]:
    found = [text.split(": ", 1) for text in json.loads(fit.attrs.get("warnings", "[]"))]
    return [
        check_row("identification", name, np.nan, "", False, text, affects="interpretation")
        for name, text in found
    ]
