"""Sections on what stands behind printed numbers: who took part, and reconstructed counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bayes_msc.report import prose
from bayes_msc.report.models_beside import RATIO
from bayes_msc.report.results import Column, Figure, Section, Table

if TYPE_CHECKING:
    from bayes_msc.printed import FlowRow
    from bayes_msc.published import Published
    from bayes_msc.reanalysis import Reanalysis

#: The stance of the cards that are fitted to reconstructed counts.
STANCE = "weak"
PRINTED = "printed numbers"
UNTOLD = "not known here"
NOTHING = pd.DataFrame()


def flow_table(published: Published) -> pd.DataFrame:
    """Return what is printed on who took part, one row a sequence and period, or an arm.

    Returns
    -------
    DataFrame
        ``group``, ``period``, ``treatment``, ``patients`` and ``left`` (NaN where not known),
        ``note``, ``where``, ``certainty``; no rows where nothing is printed.
    """
    names = ["group", "period", "treatment", "patients", "left", "note", "where", "certainty"]
    rows = [[getattr(row, name) for name in names] for row in published.flow]
    numbers = {"patients": "float64", "left": "float64"}
    return pd.DataFrame(rows, columns=names).astype(numbers)


def flow(published: Published) -> Section | None:
    """Who took part as far as it is printed; None where it is not."""
    rows = published.flow
    if not rows:
        return None
    crossover = any(row.period == 2 for row in rows)
    group = "sequence" if crossover else "arm"
    table = flow_table(published)
    shown = table.assign(
        began=[_number(row.patients) for row in rows],
        gone=[_gone(row) for row in rows],
    )
    periods = [Column("period", ("period",), "integer")] if crossover else []
    treatment = [Column("treatment", ("treatment",))] if crossover else []
    return Section(
        "flow",
        "Who took part, as far as it is printed",
        (
            _flow_words(published, group),
            "Who was screened, refused or was excluded before is not told here, nor how many scans "
            "of each patient could be read: the article and its protocol say.",
        ),
        tables=(
            Table(
                "flow",
                f"Patients by {group}{' and period' if crossover else ''}, and where it is "
                "printed.",
                (
                    Column(group, ("group",)),
                    *periods,
                    *treatment,
                    Column("began", ("began",)),
                    Column("left", ("gone",)),
                    Column("where", ("where",)),
                    Column("certainty", ("certainty",)),
                ),
                shown,
            ),
        ),
        figures=(
            Figure(
                "flow",
                f"Flow of patients as it is printed. Dark: {published.active.label}.",
                "Flow of patients. " + " ".join(_alt(row, crossover) for row in rows),
            ),
        ),
    )


def _number(value: int | None) -> str:
    return UNTOLD if value is None else str(value)


def _gone(row: FlowRow) -> str:
    return f"{_number(row.left)}{f', {row.note}' if row.note else ''}"


def _flow_words(published: Published, group: str) -> str:
    first = [row for row in published.flow if row.period == 1 and row.patients is not None]
    sizes = prose.listed([f"{row.patients} ({row.group})" for row in first])
    total = sum(row.patients or 0 for row in first)
    left = [
        f"{row.left} on {row.treatment}{f', {row.note}' if row.note else ''}"
        for row in published.flow
        if row.left
    ]
    known = all(row.left is not None for row in published.flow)
    gone = (
        f"Left: {'; '.join(left)}."
        if left
        else "Nobody left."
        if known
        else "How many left is not known here."
    )
    return f"{total} patients, by {group}: {sizes}. {gone}"


def _alt(row: FlowRow, crossover: bool) -> str:
    period = f", period {row.period}" if crossover else ""
    return (
        f"{row.group}{period}, {row.treatment}: {_number(row.patients)} began, left: {_gone(row)}."
    )


def answers_table(result: Reanalysis) -> pd.DataFrame:
    """Return the printed answer, and below it what reconstructed counts would answer.

    Returns
    -------
    DataFrame
        ``analysis``, ``patients``, ``median``, ``lower``, ``upper``, ``probability``, ``mcse``,
        ``share_not_having_data``, ``failed`` (fits that failed a check of their computation),
        ``computation`` (the same in words), ``from`` (print, or reconstruction, not data); empty
        without a reconstruction.
    """
    if result.behind is None:
        return NOTHING
    from bayes_msc.prior import stance
    from bayes_msc.reanalysis_tables import statement_table

    said = statement_table(
        result.published, {STANCE: stance(STANCE)}, result.log_rate_ratio, result.se, (1.0,)
    )
    ratio = said[said["statement"] == "rate_ratio"].iloc[0]
    chance = said[said["statement"].str.startswith("prob_rate_ratio_")].iloc[0]
    good = float(chance["probability"])
    own = {
        "analysis": f"{PRINTED}, analysis “{result.analysis}”, {STANCE} prior",
        "patients": "all",
        **{name: float(ratio[name]) for name in ("median", "lower", "upper")},
        "probability": good if chance["statement"].endswith("below") else 1 - good,
        "mcse": 0.0,
        "share_not_having_data": float("nan"),
        "failed": 0,
        "computation": "exact",
        "from": "print",
    }
    found = result.behind.answers
    computed = [
        f"{failed} of {sets} fits failed a check" if failed else "ok"
        for failed, sets in zip(found["failed"], found["trials"], strict=True)
    ]
    answers = found.assign(computation=computed).drop(columns=["trials", "label"])
    order = list(dict.fromkeys(answers["analysis"]))
    # each analysis with and without the heaviest patient, one below the other
    answers = answers.sort_values("analysis", key=lambda s: s.map(order.index), kind="stable")
    return pd.concat(
        [pd.DataFrame([own]), answers.assign(**{"from": result.behind.label})], ignore_index=True
    )


def reconstructed(result: Reanalysis) -> Section | None:
    """What the counts behind the printed numbers would answer; None without them."""
    behind = result.behind
    if behind is None:
        return None
    table = answers_table(result)
    sets = "one data set fits" if behind.sets == 1 else f"{behind.sets} data sets fit"
    many = "All of them are" if behind.complete else "These were drawn from many more, and are"
    spread = float(behind.answers["share_not_having_data"].max())
    return Section(
        "reconstruction",
        "What reconstructed counts would answer",
        (
            "No patient's counts were seen. Those below were inferred from the printed means, "
            "standard deviations, p-values and regressions, as whole numbers that give them back: "
            f"{sets} all that is printed. At most one can be right. {many} analysed, and the "
            "answers averaged, each data set by how well the model foretells it.",
            f"The priors are those of the model cards (for the rate ratio the {STANCE} stance), "
            "and so is that of the printed answer in the first row. Of the spread of an answer "
            f"at most {prose.percent(spread)} comes from not knowing which data set is right. "
            "The first period is strongly supported by what is printed, the second hardly: an "
            "answer from both periods leans on the weaker part.",
        ),
        points=(*behind.paper.notes, f"Source: {behind.paper.source}"),
        tables=(
            Table(
                "reconstruction",
                "The printed answer, and below it those from reconstructed counts, with and "
                "without the patient with the most lesions.",
                (
                    Column("analysis", ("analysis",)),
                    Column("patients", ("patients",)),
                    *RATIO,
                    Column("computation", ("computation",)),
                    Column("from", ("from",)),
                ),
                table,
            ),
            Table(
                "reconstruction-steps",
                "How the printed numbers narrow the counts down.",
                (
                    Column("step", ("step",)),
                    Column("what", ("what",)),
                    Column("left", ("number",), "integer"),
                ),
                behind.steps,
            ),
        ),
        figures=(
            Figure(
                "reconstruction",
                "Rate ratios with 95 % intervals: from print (blue), and from reconstructed "
                "counts, with and without the patient with the most lesions.",
                "Rate ratios. "
                + " ".join(
                    f"{row['name']}: {prose.ratio(row['median'])}, "
                    f"{prose.span(row['lower'], row['upper'])}."
                    for _, row in figure_rows(table).iterrows()
                ),
            ),
        ),
        label=behind.label,
    )


def figure_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the printed answer and those from reconstructed counts as rows of a figure."""
    names = [
        row["analysis"] if row["patients"] == "all" else f"… {row['patients']}"
        for _, row in table.iterrows()
    ]
    return pd.DataFrame(
        {
            "name": names,
            **{key: table[key] for key in ("median", "lower", "upper")},
            "beside": [prose.percent(float(p)) for p in table["probability"]],
            "ours": table["from"] == "print",
        }
    )
