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


def design_table(published: Published) -> pd.DataFrame:
    """Return what is printed on the plan, one row a sequence (or arm), period and planned count.

    Returns
    -------
    DataFrame
        ``group``, ``period``, ``treatment``, ``time`` (NaN where a period's are not known),
        ``patients`` (who began), ``seen`` (NaN: how many were seen is not told), ``unit``; no rows
        where no time or no group is printed.
    """
    names = ["group", "period", "treatment", "time", "patients", "seen", "unit"]
    schedule, nan = published.schedule, float("nan")
    if schedule is None:
        return pd.DataFrame(columns=names)
    began: dict[str, float] = {}
    for row in sorted(published.flow, key=lambda row: row.period):
        began.setdefault(row.group, nan if row.patients is None else row.patients)
    rows = [
        (row.group, row.period, row.treatment, time, began[row.group], nan, schedule.unit)
        for row in published.flow
        for time in schedule.times(row.period) or (nan,)
    ]
    return pd.DataFrame(rows, columns=names)


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
            _design_words(published, crossover),
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
            *_design_figure(published, group),
        ),
    )


def _design_figure(published: Published, group: str) -> tuple[Figure, ...]:
    schedule = published.schedule
    if schedule is None:
        return ()
    plan = design_table(published)
    crossover = bool((plan["period"] == 2).any())
    dashed = " Dashed: how long it was, and when counts were planned, is not known here." * bool(
        plan["time"].isna().any()
    )
    return (
        Figure(
            "design",
            f"The design as it is printed: each {group}'s treatment"
            f"{'s in order' if crossover else ''}, and when counts were planned."
            + (" Diamond: before treatment." if schedule.baseline else "")
            + f" Dark: {published.active.label}.{dashed}",
            "The design. " + " ".join(_planned(row, published) for row in published.flow),
        ),
    )


def _planned(row: FlowRow, published: Published) -> str:
    schedule = published.schedule
    times = () if schedule is None else schedule.times(row.period)
    at = (
        f"counts at {schedule.unit} {prose.listed([f'{time:g}' for time in times])}"
        if schedule is not None and times
        else "times not known here"
    )
    return f"{row.group}, period {row.period}, {row.treatment}: {at}."


def _design_words(published: Published, crossover: bool) -> str:
    """When counts were planned, where that is printed, and what is not known."""
    schedule = published.schedule
    if schedule is None:
        return f"When counts were planned is {UNTOLD}."
    known, unknown = [], []
    for period in (1, 2) if crossover else (1,):
        name = f"in period {period}" if crossover else ""
        times = [f"{time:g}" for time in schedule.times(period)]
        if times:
            units = f"{schedule.unit}{'s' if len(times) > 1 else ''}"
            known.append(f"{name} at {units} {prose.listed(times)}".strip())
        else:
            unknown.append(f"when they were {name}")
    if schedule.baseline:
        known.insert(0, "before treatment")
    else:
        unknown.append("whether there was one before treatment")
    where = f"{schedule.where}; " if schedule.where else ""
    certainty = f"({where}certainty: {schedule.certainty})"
    gaps = [f"{prose.listed(unknown).capitalize()} is {UNTOLD}."] if unknown else []
    washout = ["Whether there was a wash-out between the periods is not told."] * crossover
    return " ".join([f"Counts were planned {', '.join(known)} {certainty}.", *gaps, *washout])


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
