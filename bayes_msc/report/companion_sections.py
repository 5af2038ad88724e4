"""Sections on what stands beside a fit: other opinions and methods, with those on other models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from bayes_msc.changes import NOTHING, PATIENT, PRIOR, UNKNOWN
from bayes_msc.companions import Companions
from bayes_msc.report import prose
from bayes_msc.report.cell_formats import FORMATS
from bayes_msc.report.models_beside import RATIO, borrowed, evidence_rows, families, rows_of, spoken
from bayes_msc.report.results import Column, Figure, Section, Table

if TYPE_CHECKING:
    from bayes_msc.trial import Trial

#: Patients shown of those left out: the ones who move the answer most.
MOST_PATIENTS = 15
Frames = dict[str, pd.DataFrame]


def sections(beside: Companions, trial: Trial, notices: tuple[str, ...]) -> tuple[Section, ...]:
    """Return the sections of the parts that were made, but for the calibration."""
    found = [
        changed(beside.changes, trial, beside.skipped, notices),
        None if beside.first_period is None else two_answers(beside.first_period),
        None if beside.comparators is None else frequentist(beside.comparators, beside.changes),
        None if beside.ladder is None else families(beside.ladder),
        None if beside.evidence is None else borrowed(beside.evidence, trial),
    ]
    return tuple(section for section in found if section is not None)


def frames(beside: Companions) -> Frames:
    """Return the tables of these sections in full, by their names in the report."""
    found: Frames = {"changes": beside.changes, "left_out": _left_out(beside.changes)}
    if beside.first_period is not None:
        found["first_period"] = beside.first_period
    if beside.comparators is not None:
        found["comparators"] = _finite(beside.comparators)
    if beside.ladder is not None:
        found |= {"ladder": beside.ladder.models, "ladder_averages": beside.ladder.averages}
    if beside.evidence is not None:
        found["evidence_answers"] = beside.evidence.answers
    if beside.calibration is not None:
        found["calibration"] = beside.calibration.table
    return {name: frame for name, frame in found.items() if len(frame)}


def drawn(beside: Companions) -> Frames:
    """Return what the figures show, by their names: rows for ``plots.answers``."""
    found = {
        "changes": rows_of(
            shown_changes(beside.changes), "words", beside.changes["kind"] == NOTHING
        )
    }
    if beside.first_period is not None:
        table = beside.first_period
        found["first-period"] = rows_of(table, "estimand", table["estimand"] == "whole crossover")
    if beside.comparators is not None:
        found["comparators"] = _beside_methods(beside.comparators, beside.changes)
    if beside.evidence is not None:
        found["evidence"] = evidence_rows(beside.evidence)
    return found


def _left_out(table: pd.DataFrame) -> pd.DataFrame:
    """The answer without each patient, as the page's part for switching patients off reads it."""
    own = table[(table["kind"] != PRIOR) & (table["how"] != UNKNOWN)]
    if not (own["kind"] == PATIENT).any():
        return pd.DataFrame()
    names = own["name"].where(own["kind"] == PATIENT, "nobody")
    numbers = own[["median", "lower", "upper"]]
    return pd.DataFrame({"left_out": names, **numbers, "prob_below_1": own["probability"]})


def shown_changes(table: pd.DataFrame) -> pd.DataFrame:
    """Keep of many patients those who move the answer most, and those of whom it is not known."""
    patients = table[table["kind"] == PATIENT]
    if len(patients) <= MOST_PATIENTS:
        return table
    now = float(table["probability"].iloc[0])
    far = (patients["probability"] - now).abs().fillna(2.0)
    kept = far.sort_values(ascending=False, kind="stable").index[:MOST_PATIENTS]
    return table[(table["kind"] != PATIENT) | table.index.isin(kept)]


def changed(
    table: pd.DataFrame, trial: Trial, skipped: Mapping[str, str], notices: tuple[str, ...]
) -> Section:
    """The answer under other opinions and without each patient."""
    shown = shown_changes(table)
    patients = int((table["kind"] == PATIENT).sum())
    cut = (
        f" Of {patients} patients the {MOST_PATIENTS} who move it most are shown."
        if len(shown) < len(table)
        else ""
    )
    lost = int((table["how"] == UNKNOWN).sum())
    unknown = (
        f" For {lost} of these questions the stored draws do not reach far enough (Pareto k too "
        "high), and no number is given."
        if lost
        else ""
    )
    return Section(
        "stances",
        "What would change the answer",
        (
            "The same counts under other opinions of the rate ratio beforehand, and without each "
            "patient in turn. The stored draws are weighted anew where they reach far enough; else "
            f"the model is fitted again.{unknown}",
        ),
        points=tuple(f"Not made: {name}: {why}" for name, why in skipped.items()),
        tables=(
            Table(
                "changes",
                f"The rate ratio of {trial.active} against {trial.control}, and the probability of "
                f"benefit, if one thing is changed.{cut}",
                (Column("what is changed", ("words",)), *RATIO, Column("how", ("how",))),
                shown,
            ),
        ),
        figures=(
            Figure(
                "changes",
                "The rate ratio with its 95 % interval if one thing is changed; at the top (blue) "
                "as it stands. At the right the probability of benefit.",
                "Rate ratios if one thing is changed. " + spoken(shown, "words"),
            ),
        ),
        notices=notices,
    )


def two_answers(table: pd.DataFrame) -> Section:
    """The first period beside the whole crossover."""
    return Section(
        "first-period",
        "The first period alone, and the whole crossover",
        (
            "Two questions, answered side by side. They are shown together and never chosen "
            "between by a test of carryover, which would bias what is left.",
        ),
        points=tuple(f"{row['estimand']}: {row['what']}" for _, row in table.iterrows()),
        tables=(
            Table(
                "first-period",
                "The two estimands, under the same priors.",
                (
                    Column("estimand", ("estimand",)),
                    Column("patients", ("patients",), "integer"),
                    Column("counts", ("rows",), "integer"),
                    *RATIO,
                    Column("computation", ("verdict",)),
                ),
                table,
            ),
        ),
        figures=(
            Figure(
                "first-period",
                "The rate ratio from the first period alone and from the whole crossover (blue), "
                "with 95 % intervals; at the right the probability of benefit.",
                "Two rate ratios. " + spoken(table, "estimand"),
            ),
        ),
    )


def frequentist(table: pd.DataFrame, table_of_changes: pd.DataFrame) -> Section:
    """The classical answers beside ours."""
    ratios = _beside_methods(table, table_of_changes)
    silent = table["estimate"].isna() & table["p_value"].isna()
    without = (
        " Methods that give no answer here stand in the next table, with the reason."
        if silent.any()
        else ""
    )
    said = [
        f"{row['name']}: {prose.ratio(row['median'])}, {prose.span(row['lower'], row['upper'])}."
        for _, row in ratios.iterrows()
    ]
    return Section(
        "comparators",
        "Frequentist answers beside",
        (
            "The methods that a reader expects, on the same counts. They do not all ask the same "
            "question, and none is chosen by its result; what each takes for granted stands below "
            "the answers. A p-value is no probability that the treatment works.",
        ),
        tables=(
            Table(
                "comparators",
                f"Estimate, 95 % interval and two-sided p-value of each method.{without}",
                (
                    Column("method", ("method",)),
                    Column("of", ("estimand",)),
                    Column("estimate", ("estimate",), "signed"),
                    Column("95 % interval", ("interval",)),
                    Column("p", ("p_value",), "p"),
                ),
                _finite(table[~silent]),
            ),
            Table(
                "comparators-when",
                "When each method is right, and what happened on these counts.",
                (
                    Column("method", ("method",)),
                    Column("right when", ("when_right",)),
                    Column("note", ("note",)),
                ),
                table[["method", "when_right", "note"]],
            ),
        ),
        figures=(
            Figure(
                "comparators",
                "Ratios of rates by each method that gives one, with 95 % intervals, below the "
                "answer of this report (blue). At the right p-values, and for this report the "
                "probability of benefit.",
                "Ratios of rates by method. " + " ".join(said),
            ),
        ),
    )


def _finite(table: pd.DataFrame) -> pd.DataFrame:
    """Put the intervals into words, as JSON knows no limit at infinity."""
    pairs = zip(table["lower"], table["upper"], strict=True)
    words = [FORMATS["numbers"](float(low), float(high)) for low, high in pairs]  # type: ignore[operator]
    limits = table[["lower", "upper"]].replace([math.inf, -math.inf], math.nan)
    return table.assign(interval=words, lower=limits["lower"], upper=limits["upper"])


def _beside_methods(table: pd.DataFrame, table_of_changes: pd.DataFrame) -> pd.DataFrame:
    """Ratios of the methods that give one, the report's own answer first."""
    own = table_of_changes.iloc[0]
    ours = {
        "name": "this report",
        **{key: own[key] for key in ("median", "lower", "upper")},
        "beside": f"P(RR < 1): {prose.percent(float(own['probability']))}",
        "ours": True,
    }
    rows = [
        {
            "name": row["method"],
            "median": row["estimate"],
            "lower": row["lower"],
            "upper": row["upper"],
            "beside": _p_words(float(row["p_value"])),
            "ours": False,
        }
        for _, row in table.iterrows()
        if "ratio" in row["estimand"] and row["estimate"] == row["estimate"]
    ]
    return pd.DataFrame([ours, *rows])


def _p_words(value: float) -> str:
    if math.isnan(value):
        return ""
    said = str(FORMATS["p"](value))  # type: ignore[operator]
    return f"p {said}" if said.startswith("<") else f"p = {said}"
