"""Sections on who was in the trial and when, and on what the priors say in its units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bayes_msc.report import prose
from bayes_msc.report.results import Column, Figure, Section, Table

if TYPE_CHECKING:
    from bayes_msc.prior_counts import PriorCounts
    from bayes_msc.trial import Trial

#: What the rows of a trial cannot say of its flow.
BEFORE = (
    "This is the flow of the analysis, from the rows of the data: who was screened, refused or was "
    "excluded before, and the reason why somebody left, are not in them."
)
WASH_OUT = (
    "Whether there was a wash-out between the periods, and why it was long enough, is not in the "
    "data."
)


def flow(table: pd.DataFrame, plan: pd.DataFrame, before: pd.DataFrame, trial: Trial) -> Section:
    """Who was seen when, who left, and what was planned for whom."""
    crossover = trial.design == "crossover"
    group = "sequence" if crossover else "arm"
    unit = trial.exposure_unit
    columns = [Column(group, ("group",))]
    columns += [Column("period", ("period",), "integer")] if crossover else []
    columns += [Column("treatment", ("treatment",))] if crossover else []
    columns += [
        Column("patients", ("patients",), "integer"),
        Column("seen", ("seen_patients",), "integer"),
        Column("seen completely", ("complete",), "integer"),
        Column(f"{unit}s planned", ("expected",), "integer"),
        Column("counted", ("seen",), "integer"),
    ]
    columns += [Column("of them cut short", ("cut_short",), "integer")] * bool(
        table["cut_short"].any()
    )
    columns += [Column("patients who left", ("left",), "integer")]
    return Section(
        "flow",
        "Who took part, and who was seen",
        (_flow_words(table, trial), f"{BEFORE}{f' {WASH_OUT}' if crossover else ''}"),
        tables=(
            Table(
                "flow",
                f"Patients and {unit}s by {group}{' and period' if crossover else ''}. A patient "
                "left where nothing more was seen up to the end of what was planned.",
                tuple(columns),
                table,
            ),
            *_baseline(_in_order(before, table), group, trial),
        ),
        figures=(
            Figure(
                "flow",
                f"Flow of patients through the {trial.design} trial. Dark: {trial.active}.",
                "Flow of patients. " + _flow_alt(table, trial),
            ),
            Figure(
                "design",
                f"The design: each {group}'s treatment{'s in order' if crossover else ''}, and "
                "every planned count with how many patients had it (hollow: not all)."
                + (" Diamond: before treatment." if trial.has_baseline else "")
                + f" Dark: {trial.active}.",
                "The design. " + _design_alt(plan),
            ),
        ),
    )


def _in_order(before: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Groups in the order of the flow."""
    order = list(dict.fromkeys(table["group"]))
    return before.sort_values("group", key=lambda names: names.map(order.index), kind="stable")


def _baseline(before: pd.DataFrame, group: str, trial: Trial) -> tuple[Table, ...]:
    if before.empty:
        return ()
    columns = (
        Column(group, ("group",)),
        Column("patients", ("patients",), "integer"),
        Column("median", ("median",), "number"),
        Column("lowest", ("lowest",), "number"),
        Column("highest", ("highest",), "number"),
        Column("mean", ("mean",), "number"),
    )
    caption = f"{trial.endpoint[0].upper()}{trial.endpoint[1:]} before treatment, by {group}."
    return (Table("baseline", caption, columns, before),)


def _flow_words(table: pd.DataFrame, trial: Trial) -> str:
    groups = table.drop_duplicates("group")
    sizes = prose.listed([f"{row['patients']} ({row['group']})" for _, row in groups.iterrows()])
    total, left = int(groups["patients"].sum()), int(table["left"].sum())
    seen, planned = int(table["seen"].sum()), int(table["expected"].sum())
    kind = "sequence" if trial.design == "crossover" else "arm"
    gone = (
        "Nobody left."
        if not left
        else f"{'One patient' if left == 1 else f'{left} patients'} left: "
        + prose.listed(
            [
                f"{row['left']} on {row['treatment']}"
                + (f" in period {row['period']}" if trial.design == "crossover" else "")
                for _, row in table[table["left"] > 0].iterrows()
            ]
        )
        + "."
    )
    counted = (
        f"All {planned} planned {trial.exposure_unit}s were counted."
        if seen == planned
        else f"Of {planned} planned {trial.exposure_unit}s, {seen} were counted."
    )
    return f"{total} patients, by {kind}: {sizes}. {counted} {gone}"


def _flow_alt(table: pd.DataFrame, trial: Trial) -> str:
    return " ".join(
        f"{row['group']}{f', period {row["period"]}' if trial.design == 'crossover' else ''}, "
        f"{row['treatment']}: {row['seen_patients']} of {row['patients']} patients seen, "
        f"{row['seen']} of {row['expected']} {trial.exposure_unit}s counted, {row['left']} left."
        for _, row in table.iterrows()
    )


def _design_alt(plan: pd.DataFrame) -> str:
    parts = []
    for group, own in plan.groupby("group", sort=False):
        unit = own["unit"].iloc[0]
        treated = []
        for _, part in own.groupby("period"):
            times = prose.listed([f"{time:g}" for time in part["time"]])
            treated.append(f"{part['treatment'].iloc[0]} at {unit} {times}")
        parts.append(f"{group}, {own['patients'].iloc[0]} patients: {', then '.join(treated)}.")
    return " ".join(parts)


def prior_counts(found: PriorCounts, trial: Trial) -> Section:
    """What the priors say as counts, each with its reason, and all of them together."""
    control = found.counts[found.counts["treatment"] == trial.control]
    shares = [
        f"{row['bin']}: {prose.percent(row['prior'])} expected, {_share(row['observed'])} counted"
        for _, row in control.iterrows()
    ]
    return Section(
        "prior-counts",
        "What the priors say in counts",
        (
            "A prior on a logarithm says little to a reader. Here each is turned into what it "
            "expects of patients, and all of them together into the counts that they expect of a "
            f"trial of this design ({found.draws:,} trials drawn with seed {found.seed}, each with "
            "new patients). They should be wide enough to hold what was counted, and not so wide "
            "that they expect what nobody has seen.",
        ),
        tables=(
            Table(
                "prior-meaning",
                "What each prior says by itself: the range that holds 95 % of it, exactly.",
                (
                    Column("parameter", ("parameter",)),
                    Column("prior", ("notation",)),
                    Column("95 % of it says", ("meaning",)),
                ),
                found.parameters.assign(
                    notation=[prose.notation(prior) for prior in found.parameters["prior"]]
                ).drop(columns="prior"),
            ),
            Table(
                "prior-counts",
                "What all priors together expect of a trial of this design, and what was seen.",
                (
                    Column("quantity", ("quantity",)),
                    Column("median", ("median",), "ratio"),
                    Column("95 % of trials", ("lower", "upper"), "interval"),
                    Column("probability", ("probability",), "percent"),
                    Column("Monte Carlo error", ("mcse",), "error"),
                    Column("in this trial", ("shown",)),
                ),
                found.quantities.assign(shown=_observed(found.quantities)),
            ),
        ),
        figures=(
            Figure(
                "prior-counts",
                f"Grey: how often the priors expect so many {trial.endpoint} in one count of a new "
                "patient. Diamonds: how often they were counted in this trial.",
                f"Shares of counts on {trial.control}. {'; '.join(shares)}.",
            ),
        ),
    )


def _observed(quantities: pd.DataFrame) -> list[str]:
    shown = []
    for _, row in quantities.iterrows():
        value, chance = float(row["observed"]), float(row["probability"])
        if value != value:
            shown.append("–")
        else:
            shown.append(f"{value:g}" if chance != chance else _share(value))
    return shown


def _share(value: float) -> str:
    """A share that was counted may be none or all, unlike a probability."""
    return f"{100 * value:.0f}{prose.NO_BREAK}%"
