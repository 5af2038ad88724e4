"""Sections on other families of counts and other trials, beside a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bayes_msc.companions import ROBUST, TAU, Borrowing
from bayes_msc.report import prose
from bayes_msc.report.results import Column, Figure, Section, Table

if TYPE_CHECKING:
    from bayes_msc.compare import Comparison
    from bayes_msc.evidence.trials import Evidence
    from bayes_msc.trial import Trial

#: A rate ratio with what is said of it.
RATIO = (
    Column("rate ratio", ("median",), "ratio"),
    Column("95 % interval", ("lower", "upper"), "interval"),
    Column("P(RR\u00a0<\u00a01)", ("probability",), "percent"),
    Column("Monte Carlo error", ("mcse",), "error"),
)


def rows_of(table: pd.DataFrame, name: str, ours: pd.Series[bool]) -> pd.DataFrame:
    """Return rate ratios as rows of a figure, the answer of the report itself marked."""
    return pd.DataFrame(
        {
            "name": table[name],
            **{key: table[key] for key in ("median", "lower", "upper")},
            "beside": [prose.percent(float(p)) for p in table["probability"]],
            "ours": ours.reindex(table.index),
        }
    )


def spoken(table: pd.DataFrame, name: str) -> str:
    """Return what each row says, for who cannot see the figure."""
    return " ".join(
        f"{row[name]}: {prose.ratio(row['median'])}, {prose.span(row['lower'], row['upper'])}, "
        f"probability of benefit {prose.percent(row['probability'])}."
        for _, row in table.iterrows()
        if row["median"] == row["median"]
    )


def families(found: Comparison) -> Section:
    """Every count family beside this one."""
    models = found.models
    ratios = models.rename(columns={"rate_ratio": "median"})
    return Section(
        "ladder",
        "Other families of counts",
        (
            "The same trial under other distributions of the counts, each with the same prior of "
            "the effect. How well a family foretells patients it has not seen says which of them "
            "these patients can tell apart.",
            found.statement,
        ),
        tables=(
            Table(
                "ladder",
                "Rate ratio by family, and how well each foretells left-out patients (expected log "
                "predictive density; difference to the best with its standard error).",
                (
                    Column("model", ("model",)),
                    *RATIO,
                    Column("difference", ("elpd_difference",), "signed"),
                    Column("its standard error", ("difference_se",), "signed"),
                    Column("stacking weight", ("stacking_weight",), "percent"),
                    Column("computation", ("verdict",)),
                ),
                ratios,
            ),
            Table(
                "ladder-averages",
                "The rate ratio averaged over the families.",
                (
                    Column("weights", ("weights",)),
                    *RATIO,
                    Column("computation", ("verdict",)),
                ),
                found.averages.rename(columns={"rate_ratio": "median"}),
            ),
        ),
        figures=(
            Figure(
                "ladder",
                "Left: the rate ratio under each family, and averaged. Right: how much worse than "
                "the best each foretells left-out patients, two standard errors either way.",
                "Rate ratios by family. " + spoken(ratios, "model"),
            ),
        ),
    )


def borrowed(found: Borrowing, trial: Trial) -> Section:
    """Other trials, and the answer with them."""
    others = pd.DataFrame([_reported(row) for row in found.trials])
    names = prose.listed(list(others["trial"]))
    after = prose.percent(found.vague_after)
    worth = (
        "How many patients of this trial it is worth cannot be told: the trial says too little."
        if found.patients != found.patients
        else f"Taken at its word, that prior is worth {found.patients:.1f} patients of this trial."
    )
    return Section(
        "evidence",
        "Beside other trials",
        (
            f"What {names} foretold for another trial of the question, trials differing by tau "
            f"({TAU.replace('-', ' ')}), becomes the prior of the rate ratio. {worth} It is made "
            f"robust: with probability {prose.percent(ROBUST)} beforehand the others do not speak "
            f"of this trial; after its counts that probability is {after} (Monte Carlo error "
            f"{found.vague_mcse:.1g}).",
        ),
        tables=(
            Table(
                "external-trials",
                "The other trials as they were reported.",
                (
                    Column("trial", ("trial",)),
                    Column("patients", ("n",), "integer"),
                    Column("rate ratio", ("median",), "ratio"),
                    Column("95 % interval", ("lower", "upper"), "interval"),
                ),
                others,
            ),
            Table(
                "evidence-answers",
                f"The rate ratio of {trial.active} against {trial.control} in this trial's own "
                "patients, without and with the other trials.",
                (Column("analysis", ("what",)), *RATIO, Column("checks", ("ok",), "passed")),
                found.answers,
            ),
        ),
        figures=(
            Figure(
                "evidence",
                "The other trials as reported, this trial as analysed here (blue), and both "
                "together: rate ratios with 95 % intervals.",
                "Rate ratios. "
                + " ".join(
                    f"{row['name']}: {prose.ratio(row['median'])}, "
                    f"{prose.span(row['lower'], row['upper'])}."
                    for _, row in evidence_rows(found).iterrows()
                ),
            ),
        ),
    )


def _reported(row: Evidence) -> dict[str, object]:
    from bayes_msc.evidence.trials import reported

    middle, lower, upper = reported(row)
    return {
        "trial": row.trial,
        "n": row.n if row.n is not None else float("nan"),
        "median": middle,
        "lower": lower,
        "upper": upper,
    }


def evidence_rows(found: Borrowing) -> pd.DataFrame:
    """Return the other trials, and the answers with them, as rows of a figure."""
    others = pd.DataFrame([_reported(row) for row in found.trials])
    others = others.assign(name=others["trial"], beside="", ours=False)
    own = found.answers
    ours = rows_of(own, "what", pd.Series([True] + [False] * (len(own) - 1), own.index))
    columns = ["name", "median", "lower", "upper", "beside", "ours"]
    return pd.concat([others[columns], ours[columns]], ignore_index=True)
