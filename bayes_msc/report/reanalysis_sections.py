"""Sections of the report on a published trial, one function a section."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayes_msc.report import prose
from bayes_msc.report.results import Column, Figure, Section, Table

if TYPE_CHECKING:
    from bayes_msc.reanalysis import Reanalysis

TARGETS = ("this trial", "mean effect", "new trial")
VERDICTS = {
    "impossible": "cannot be true",
    "differs": "differ",
    "agrees": "agree",
    "not checkable": "could not be checked",
}


def words_of(result: Reanalysis) -> prose.Words:
    """Return how treatments and events are called."""
    published = result.published
    return prose.Words(
        published.active.label, published.control.label, published.endpoint, published.benefit
    )


def good_column(result: Reanalysis, threshold: float = 1.0) -> str:
    """Column of the external table with the probability on the good side of a threshold."""
    return f"probability_{words_of(result).side}_{threshold:g}"


def chance_of_benefit(result: Reanalysis, stance: str) -> float:
    """Posterior probability of any benefit under a stance, read off the curve at 1."""
    own = result.curve[result.curve["stance"] == stance]
    return float(np.interp(0.0, np.log(own["threshold"]), own["probability"]))


def _sign(result: Reanalysis) -> str:
    return "<" if words_of(result).side == "below" else ">"


def _chances(result: Reanalysis, prefix: str, frame: pd.DataFrame, after: str = "") -> list[Column]:
    """One column a threshold, for the probabilities that the frame holds."""
    return [
        Column(f"P(RR\u00a0{_sign(result)}\u00a0{c:g}){after}", (f"{prefix}_{c:g}",), "percent")
        for c in result.thresholds
        if f"{prefix}_{c:g}" in frame
    ]


def stances(result: Reanalysis, table: pd.DataFrame) -> Section:
    """What each stance concludes, with the priors and their reasons."""
    words, sign = words_of(result), _sign(result)
    fewer = "fewer" if words.benefit == "lower" else "more"
    concluded = Table(
        "stances",
        f"What each prior stance concludes after the trial: rate ratio (RR, median), 95 % interval "
        f"and P(RR {sign} c), the probability that the rate ratio is {words.side} c: 1 stands for "
        "any benefit, the others for a benefit of at least that size.",
        (
            Column("prior stance", ("stance",)),
            Column("rate ratio", ("median",), "ratio"),
            Column("95 % interval", ("lower", "upper"), "interval"),
            *_chances(result, "good", table),
        ),
        table,
    )
    return Section(
        "stances",
        "What follows from each prior stance",
        (
            "A prior stance is what somebody believed about the rate ratio before the trial. The "
            "trial moves each of them; where they end is the posterior. The rate ratio compares "
            f"{words.active} with {words.control}: on the good side of 1 there are {fewer} "
            f"{words.events} with {words.active}.",
        ),
        tables=(concluded, _reasons(result, table)),
        figures=(
            Figure(
                "stances",
                "What each stance believed before (dashed), what the trial says (dotted), and what "
                "the stance has to believe now (filled). The less of the filled curve lies beyond "
                f"1, the surer the benefit. Shaded: {fewer} {words.events} with {words.active}.",
                "Densities of the rate ratio before and after the trial. "
                + " ".join(_alt_stance(row) for _, row in table.iterrows()),
            ),
            Figure(
                "probability-curves",
                f"Probability that the rate ratio is {words.side} a threshold c, for every c. "
                "Choose the smallest benefit that would matter to you, and read off how sure "
                "each stance may be of at least that much.",
                f"Curves of the probability of a rate ratio {words.side} c. "
                + " ".join(_alt_curve(row, result) for _, row in table.iterrows()),
            ),
        ),
    )


def _alt_stance(row: pd.Series[float]) -> str:
    return (
        f"{row['stance']}: posterior around {prose.ratio(row['median'])}, 95 % from "
        f"{prose.span(row['lower'], row['upper'])}."
    )


def _alt_curve(row: pd.Series[float], result: Reanalysis) -> str:
    side = words_of(result).side
    points = [f"{prose.percent(row[f'good_{c:g}'])} {side} {c:g}" for c in result.thresholds]
    return f"{row['stance']}: {prose.listed(points)}."


def _reasons(result: Reanalysis, table: pd.DataFrame) -> Table:
    priors = [result.stances[name] for name in table["stance"]]
    rows = table.assign(
        prior=[prose.notation(prior) for prior in priors], why=[prior.why for prior in priors]
    )
    edges = {f"prior_{c:g}" for c in (result.thresholds[0], result.thresholds[-1])}
    before = [c for c in _chances(result, "prior", rows, " before") if c.source[0] in edges]
    return Table(
        "stance-priors",
        "What each stance believed before the trial (of the log rate ratio), and why one may "
        "hold it.",
        (
            Column("prior stance", ("stance",)),
            Column("prior", ("prior",)),
            *before,
            Column("reason", ("why",)),
        ),
        rows,
    )


def evidence(result: Reanalysis) -> Section | None:
    """Beside the other trials; None without them."""
    if result.external.empty:
        return None
    rows = result.external.sort_values(
        "target", key=lambda s: s.map(TARGETS.index), kind="stable", ignore_index=True
    )
    shown = Table(
        "external",
        "This trial and the other evidence in one model, under two priors for tau, the standard "
        "deviation of true effects between trials on the log scale.",
        (
            Column("effect", ("target",)),
            Column("prior of tau", ("tau_prior",)),
            Column("rate ratio", ("rate_ratio",), "ratio"),
            Column("95 % interval", ("lower", "upper"), "interval"),
            *_chances(result, f"probability_{words_of(result).side}", rows),
        ),
        rows,
    )
    reason = result.published.external_reason
    names = tuple(trial.name for trial in result.external_trials)
    why = (f"Why they belong together: {reason}.",) if names == result.published.external else ()
    return Section(
        "evidence",
        "Beside the other evidence",
        (
            *why,
            "The model lets the trials differ: each has its own true effect, and tau says how far "
            "the effects spread. “This trial” is the effect in this trial's own patients, “mean "
            "effect” the average over trials of this kind, “new trial” what the next one may be "
            "expected to have.",
        ),
        tables=(shown,),
        figures=(
            Figure(
                "forest",
                "This trial, the other evidence, and what follows from both: rate ratios with 95 % "
                "intervals. Squares are trials (recomputed on the log scale: a last digit may "
                "differ from print), diamonds are combinations.",
                "Forest plot of rate ratios. "
                + " ".join(
                    f"{row['label']} ({row['note']}): {prose.ratio(row['rate_ratio'])}, "
                    f"{prose.span(row['lower'], row['upper'])}."
                    for _, row in result.forest.iterrows()
                ),
            ),
        ),
        notices=failed_chains(result),
    )


def failed_chains(result: Reanalysis) -> tuple[str, ...]:
    """Return one line for each sampled combination whose chains failed a check."""
    if result.external.empty:
        return ()
    bad = result.external[result.external["failed_checks"] != ""].drop_duplicates("tau_prior")
    return tuple(
        f"The combination with other trials, tau ~ {row['tau_prior']}: {row['failed_checks']}."
        for row in bad.to_dict("records")
    )


def prediction(result: Reanalysis) -> Section | None:
    """How well each stance foretold the other trials; None without them."""
    if result.prediction.empty:
        return None
    rows = result.prediction.assign(
        place=[prose.prediction_place(p / 100) for p in result.prediction["percentile"]],
        below=result.prediction["percentile"] / 100,
        effects=[_effects(text) for text in result.prediction["heterogeneity"]],
    )
    best = rows.sort_values("log_score").iloc[-1]
    return Section(
        "prediction",
        "Which stance saw the other trial coming?",
        (
            "An honest test of a prior: from this trial alone, each stance predicts what the other "
            "trial would find, once as if there were one true effect, once letting effects differ "
            "between trials. The log score rewards a prediction that put much probability where "
            f"the result fell; higher is better. Best here: the {best['stance']} stance.",
        ),
        tables=(
            Table(
                "prediction",
                "Where the other trial's rate ratio fell in what each stance predicted. Where true "
                f"effects differ, their spread tau has the prior {result.tau_priors[0]}.",
                (
                    Column("prior stance", ("stance",)),
                    *((Column("trial", ("external",)),) if len(result.external_trials) > 1 else ()),
                    Column("true effects", ("effects",)),
                    Column("predicted", ("predicted_median",), "ratio"),
                    Column("95 % range", ("predicted_lower", "predicted_upper"), "interval"),
                    Column("found", ("observed_rate_ratio",), "ratio"),
                    Column("predicted below it", ("below",), "percent"),
                    Column("log score", ("log_score",), "signed"),
                    Column("in words", ("place",)),
                ),
                rows,
            ),
        ),
    )


def _effects(heterogeneity: str) -> str:
    return "one and the same" if heterogeneity.startswith("none") else "differ"


def paper(result: Reanalysis) -> Section:
    """The paper against itself, and the ways to its rate ratio."""
    found = result.consistency["verdict"].value_counts()
    counts = [f"{found[word]} {VERDICTS[word]}" for word in VERDICTS if word in found]
    bad = int(found.get("differs", 0)) + int(found.get("impossible", 0))
    judged = (
        "Nothing in the printed numbers contradicts itself."
        if not bad
        else "Not all that is printed fits together: read the first rows of the table."
    )
    rows = result.consistency.sort_values(
        "verdict", key=lambda s: s.map(list(VERDICTS).index), kind="stable", ignore_index=True
    )
    return Section(
        "paper",
        "Does the paper agree with itself?",
        (
            "The printed numbers were recomputed from each other, with room for rounding. Of "
            f"{len(rows)} checks: {prose.listed(counts)}. {judged}",
        ),
        tables=(
            Table(
                "consistency",
                "Printed against recomputed.",
                (
                    Column("check", ("check",)),
                    Column("of", ("analysis",)),
                    Column("printed", ("printed",)),
                    Column("recomputed", ("recomputed",)),
                    Column("verdict", ("verdict",), "verdict"),
                    Column("meaning", ("meaning",)),
                ),
                rows,
            ),
            Table(
                "routes",
                "Every way from the printed numbers to the log rate ratio, and the one used.",
                (
                    Column("analysis", ("analysis",)),
                    Column("route", ("route",)),
                    Column("log rate ratio", ("log_rate_ratio",), "fixed"),
                    Column("standard error", ("se",), "fixed"),
                    Column("used", ("used",), "yes"),
                    Column("why", ("why",)),
                ),
                result.routes,
            ),
        ),
    )


def assumed(result: Reanalysis) -> Section:
    """What the numbers rest on without proof."""
    published = result.published
    reason = published.preferred_reason if result.analysis == published.preferred else ""
    number = f"{result.log_rate_ratio:.3f}".replace("-", "−")
    points = (
        f"The printed analysis “{result.analysis}” is used{': ' if reason else ''}{reason}.",
        f"The trial enters as one number, the log rate ratio {number} with standard error "
        f"{result.se:.3f} (from {result.route}), taken as normally distributed; with few patients "
        "that is an approximation.",
        "The trial's design and conduct are trusted: random allocation, blinded reading of the "
        "scans, and scans that are missing for no reason that matters.",
        f"{published.endpoint[0].upper()}{published.endpoint[1:]} are what was counted; whether "
        "patients fare better is another question.",
        *published.notes,
    )
    return Section("assumed", "What was assumed", points=points)


def patients(result: Reanalysis) -> Section | None:
    """Pointer to the patient-level analysis; None if there is none."""
    published = result.published
    related = published.related_trial
    if not related:
        return None
    more = (
        "What reconstructed counts would answer can stand in this report too: bayes-msc reanalyze "
        f"{published.name} --with reconstruction --out results/ (half a minute).",
    )
    wanted = bool(published.printed_counts) and result.behind is None
    return Section(
        "patients",
        "Go on: patient by patient",
        (
            "A printed summary hides who carried the effect. The same trial can be analysed by "
            "patient and scan. Where its name says so, those counts are a reconstruction from what "
            "is printed, not data, and the report on them says so everywhere.",
            *(more if wanted else ()),
        ),
        code=f"bayes-msc fit {related} --model crossover-negative-binomial --out results2/",
    )
