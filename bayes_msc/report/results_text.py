"""The results paragraph of a paper; every number reads as it does in the tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from bayes_msc.report import prose
from bayes_msc.report.cell_formats import FORMATS

if TYPE_CHECKING:
    from bayes_msc.reanalysis import Reanalysis
    from bayes_msc.trial import Trial


def _shown(format_: str, *values: float) -> str:
    return str(FORMATS[format_](*values))  # type: ignore[operator]


def _size(row: pd.Series[float]) -> str:
    """Median and interval, as the table of statements shows them."""
    interval = _shown("numbers", float(row["lower"]), float(row["upper"]))
    return f"{_shown('signed', float(row['median']))} (95 % interval {interval})"


def fit_results(full: Mapping[str, pd.DataFrame], trial: Trial) -> str:
    """Return the results paragraph for a fit to counts.

    Parameters
    ----------
    full : Mapping of str to DataFrame
        Tables of the report: ``arms``, ``statements`` and ``diagnostics``.
    trial : Trial
        For the names of treatments and events.
    """
    found = {row["statement"]: row for _, row in full["statements"].iterrows()}
    given = _given(trial.label)
    difference = (
        f" The difference was {_size(found['rate_difference'])} {trial.endpoint} per "
        f"{trial.exposure_unit}, {trial.active} minus {trial.control}."
        if "rate_difference" in found
        else ""
    )
    return (
        f"{_counted(full['arms'], trial)} {given} posterior median of the "
        f"rate ratio of {trial.active} against {trial.control} was {_size(found['rate_ratio'])}. "
        f"{_chances(full['statements'])}{difference} {_new_patient(found, trial)}"
        f"{_checked(full['diagnostics'])}"
    )


def _given(label: str) -> str:
    """Open the sentence on the effect: with the label, where the counts are no data."""
    if not label:
        return "The"
    return f"{prose.caveat(label) or f'With {label}'}, the"


def _counted(arms: pd.DataFrame, trial: Trial) -> str:
    parts = [
        f"{_shown('integer', float(row['events']))} in {_shown('integer', float(row['patients']))} "
        f"patients on {row['treatment']} ({_shown('number', float(row['exposure']))} "
        f"{trial.exposure_unit}s, {_shown('ratio', float(row['rate']))} per {trial.exposure_unit})"
        for _, row in arms.iterrows()
    ]
    label = f" ({trial.label})" if trial.label else ""
    return f"Counted were {trial.endpoint}{label}: {prose.listed(parts)}."


def _chances(statements: pd.DataFrame) -> str:
    rows = statements[statements["statement"] == "prob_rate_ratio_below"]
    parts = [
        f"{_shown('percent', float(row['probability']))} below {row['threshold']:g}"
        for _, row in rows.iterrows()
    ]
    return f"The posterior probability of a rate ratio was {prose.listed(parts)}." if parts else ""


def _new_patient(found: Mapping[str, pd.Series[float]], trial: Trial) -> str:
    if "prob_new_patient_fewer" not in found:
        return ""
    fewer = _shown("percent", float(found["prob_new_patient_fewer"]["probability"]))
    same = _shown("percent", float(found["prob_new_patient_same"]["probability"]))
    return (
        f"A new patient would have fewer {trial.endpoint} on {trial.active} than on "
        f"{trial.control} with probability {fewer}, and as many with probability {same}. "
    )


def _checked(diagnostics: pd.DataFrame) -> str:
    failed = diagnostics[~diagnostics["ok"].astype(bool)]
    if failed.empty:
        return f"All {len(diagnostics)} checks of the computation and of the model passed."
    kinds = prose.listed(list(dict.fromkeys(failed["check"])))
    used = (
        " The computation failed, so these numbers must not be published."
        if (failed["affects"] == "posterior").any()
        else ""
    )
    return f"Of {len(diagnostics)} checks, {len(failed)} failed ({kinds}).{used}"


def reanalysis_results(result: Reanalysis, table: pd.DataFrame) -> str:
    """Return the results paragraph for a reanalysis of printed numbers.

    Parameters
    ----------
    result : Reanalysis
    table : DataFrame
        One row a stance, as the report shows it: ``stance, median, lower, upper, good_C``.
    """
    sign = "<" if result.published.benefit == "lower" else ">"
    sentences = []
    for _, row in table.iterrows():
        chances = [
            f"P(RR {sign} {c:g}) = {_shown('percent', float(row[f'good_{c:g}']))}"
            for c in result.thresholds
        ]
        middle = _shown("ratio", float(row["median"]))
        sentences.append(
            f"with the {row['stance']} prior {middle} (95 % interval "
            f"{_shown('interval', float(row['lower']), float(row['upper']))}; {', '.join(chances)})"
        )
    names = f"{result.published.active.label} against {result.published.control.label}"
    return (
        f"The posterior median of the rate ratio (RR) of {names} was {prose.listed(sentences)}."
        f"{_beside(result, sign)}"
    )


def _beside(result: Reanalysis, sign: str) -> str:
    if result.external.empty:
        return ""
    side = "below" if sign == "<" else "above"
    parts = [
        f"{_shown('ratio', float(row['rate_ratio']))} (95 % interval "
        f"{_shown('interval', float(row['lower']), float(row['upper']))}; P(RR {sign} 1) = "
        f"{_shown('percent', float(row[f'probability_{side}_1']))}) with {row['tau_prior']} for "
        "the standard deviation between trials"
        for _, row in result.external[result.external["target"] == "this trial"].iterrows()
        if f"probability_{side}_1" in result.external
    ]
    if not parts:
        return ""
    return (
        " With the other evidence taken into account, the rate ratio in this trial's own patients "
        f"was {prose.listed(parts)}."
    )
