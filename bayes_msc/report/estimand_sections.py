"""Sections on what was estimated, in the terms of ICH E9(R1), and on the card's calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bayes_msc.report import prose
from bayes_msc.report.results import Column, Section, Table

if TYPE_CHECKING:
    from bayes_msc.model import Model
    from bayes_msc.reanalysis import Reanalysis
    from bayes_msc.simulation.design import Design
    from bayes_msc.simulation.shipped import Cited
    from bayes_msc.trial import Trial

TERMS = (
    "In the terms of ICH E9(R1): what exactly is estimated, and what becomes of events that came "
    "in between."
)
Rows = list[tuple[str, str]]


def of_fit(trial: Trial, model: Model, lost: int) -> Section:
    """The estimand of a fit, attribute by attribute; ``lost`` is how many planned counts lack."""
    terms = model.terms_for(trial)
    whole = trial.design == "crossover"
    carried = next((term for term in terms if term.startswith("carryover")), "")
    rows: Rows = [
        ("treatments", f"{trial.active} against {trial.control}"),
        (
            "population",
            f"patients like the {trial.n_patients} of this trial; nobody was left out of the "
            "analysis who had a count",
        ),
        ("variable", f"number of {trial.endpoint}, per {trial.exposure_unit}"),
        (
            "summary",
            "ratio of the rates of the same patient on the two treatments"
            + (", with a period effect" if "period" in terms else "")
            + "; beside it the difference of rates, averaged over patients",
        ),
        ("leaving, and counts not seen", _unseen(lost)),
    ]
    if whole:
        rows.append(
            (
                "what the first treatment leaves behind",
                "estimated, under its prior" if carried else "taken to be nothing in period 2",
            )
        )
    return _section(rows)


def _unseen(lost: int) -> str:
    if not lost:
        return "did not happen: everything that was planned was counted"
    counts = "one planned count is" if lost == 1 else f"{lost} planned counts are"
    return (
        f"{counts} lacking; hypothetical strategy: the rate had everybody stayed, what was not "
        "seen being like what was, given the patient and the treatment (missing at random)"
    )


def of_reanalysis(result: Reanalysis) -> Section:
    """The estimand of printed results, as far as they tell it."""
    published = result.published
    arms = (published.active, published.control)
    analysis = published.analysis(result.analysis)
    return _section(
        [
            ("treatments", " against ".join(arm.label for arm in arms)),
            ("population", " and ".join(f"{arm.n} patients on {arm.label}" for arm in arms)),
            ("variable", f"{published.endpoint}; {published.follow_up}"),
            ("summary", f"rate ratio, from the printed analysis “{analysis.title}”"),
            (
                "leaving, and counts not seen",
                "as in the printed analysis: printed numbers cannot be taken apart",
            ),
        ]
    )


def _section(rows: Rows) -> Section:
    return Section(
        "estimand",
        "What was estimated",
        (TERMS,),
        tables=(
            Table(
                "estimand",
                "The estimand.",
                (Column("attribute", ("attribute",)), Column("here", ("here",))),
                pd.DataFrame(rows, columns=["attribute", "here"]),
            ),
        ),
    )


def calibration(found: Cited | None, model: Model, trial: Trial) -> Section:
    """What simulation says of this very card, and whether in this very design."""
    heading = "Is the model calibrated?"
    if found is None:
        return Section(
            "calibration-missing",
            heading,
            (
                f"No calibration of the card {model.name} is at hand: it is no card of the package "
                "that was calibrated for this version. bm.calibrate(model, design) makes one, and "
                "bm.companions takes it.",
            ),
        )
    return Section(
        "calibration",
        heading,
        (_calibrated(found, model), _how_near(found, model, trial)),
        tables=(
            Table(
                "calibration",
                "Calibration by simulation: whether the ranks of the true values are uniform (p, "
                "and after Holm's correction for the number of quantities), and how often the 95 % "
                "interval held the truth, with the 95 % interval of that share.",
                (
                    Column("quantity", ("quantity",)),
                    Column("trials", ("trials",), "integer"),
                    Column("p", ("p",), "p"),
                    Column("p, corrected", ("p_adjusted",), "p"),
                    Column("held the truth", ("coverage",), "percent"),
                    Column("95 % interval", ("lower", "upper"), "shares"),
                ),
                found.table,
            ),
        ),
    )


def _calibrated(found: Cited, model: Model) -> str:
    own = found.table[found.table["quantity"] == "log_rate_ratio"].iloc[0]
    trials, inside = int(own["trials"]), int(own["inside"])
    source = "on request" if found.asked else "for this version of the package"
    uneven = (
        f"The ranks of {prose.listed([name.replace('_', ' ') for name in found.uneven])} were not "
        "uniform: what the model says of them is not to be trusted."
        if found.uneven
        else "No quantity's ranks strayed from uniform beyond chance."
    )
    return (
        f"The card {model.name} was calibrated {source}: {trials} trials were drawn from its own "
        "priors and fitted with it. If likelihood, priors and sampler belong together, the truth "
        "falls anywhere in the posterior equally often. The 95 % interval of the rate ratio held "
        f"the truth in {inside} of {trials} trials. {uneven} For this the prior of the rate stood "
        "before the data, as it must, where the card centres it on them."
    )


def _how_near(found: Cited, model: Model, trial: Trial) -> str:
    design = _words(found.design)
    card = (
        ""
        if found.own_card
        else " The card fitted here is not quite that card: its priors or terms were changed."
    )
    if found.own_design:
        return f"The simulated trials had this very design: {design}.{card}"
    kind = "" if found.asked else "only the founding trial's, "
    return (
        f"The simulated trials did not have the design of this trial, but {kind}{design}; this one "
        f"has {trial.n_patients} patients with {len(trial.seen)} counts. What holds there need not "
        f"hold here to the last digit: bm.calibrate({model.name!r}, bm.Design(...)) checks this "
        f"card in your design.{card}"
    )


def _words(design: Design) -> str:
    kind = f"{design.active} and {design.control} patients"
    scans = f"{design.rows} counts each"
    before = ", a baseline" if design.baseline else ""
    periods = " in two periods" if design.kind == "crossover" else ""
    return f"a {design.kind} trial of {kind}, {scans}{periods}{before}"
