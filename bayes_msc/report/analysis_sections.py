"""Sections of the report on a patient-level trial, one function a section."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayes_msc.plots.patients import PANELS
from bayes_msc.prior import Prior
from bayes_msc.report import prose, tables
from bayes_msc.report.results import Column, Figure, Section, Table
from bayes_msc.report.symbols import symbols

if TYPE_CHECKING:
    from bayes_msc.model import Model
    from bayes_msc.trial import Trial

LOO_ROWS = 15
Notices = tuple[str, ...]


def lowered(text: str) -> str:
    """Return a title for the middle of a sentence."""
    return f"{text[:1].lower()}{text[1:]}"


def statement(statements: pd.DataFrame, name: str) -> pd.Series[float]:
    """Return one row of the statements."""
    return statements[statements["statement"] == name].iloc[0]


def below(statements: pd.DataFrame) -> dict[float, float]:
    """Probability of a rate ratio below each threshold that was asked for."""
    rows = statements[statements["statement"] == "prob_rate_ratio_below"]
    return dict(zip(rows["threshold"].astype(float), rows["probability"], strict=True))


def chance_of_benefit(curve: pd.DataFrame) -> float:
    """Posterior probability of a rate ratio below 1, read off the curve."""
    return float(np.interp(0.0, np.log(curve["threshold"]), curve["probability"]))


def data(arms: pd.DataFrame, trial: Trial) -> Section:
    """What was counted, in whom, and what is unusual about it."""
    own = " Every patient is their own control." if trial.design == "crossover" else ""
    missing = int(arms["missing"].sum())
    unseen = "What was not seen is in no number of this report."
    how = (
        f"squares on blue on {trial.active}, dots on grey on {trial.control}"
        if trial.n_patients <= PANELS
        else "one line a patient"
    )
    return Section(
        "data",
        "The data",
        (
            f"A {trial.design} trial of {trial.n_patients} patients: {trial.active} against "
            f"{trial.control}. Counted were {trial.endpoint}.{own}",
        ),
        points=(*trial.warnings, *((unseen,) if missing else ())),
        tables=(
            Table(
                "arms",
                f"What was counted on each treatment ({trial.endpoint}).",
                (
                    Column("treatment", ("treatment",)),
                    Column("patients", ("patients",), "integer"),
                    Column("rows", ("rows",), "integer"),
                    Column("not seen", ("missing",), "integer"),
                    Column("counted", ("events",), "integer"),
                    Column(f"exposure ({trial.exposure_unit}s)", ("exposure",), "number"),
                    Column(f"per {trial.exposure_unit}", ("rate",), "ratio"),
                ),
                arms,
            ),
        ),
        figures=(
            Figure(
                "trajectories",
                f"{trial.endpoint[0].upper()}{trial.endpoint[1:]} of every patient over time: "
                f"{how}. Square-root scale, so that few and many can be seen together.",
                f"Counts over time of {trial.n_patients} patients. "
                + " ".join(
                    f"{row['treatment']}: {row['events']} counted in "
                    f"{row['rows'] - row['missing']} rows."
                    for _, row in arms.iterrows()
                ),
            ),
        ),
    )


def effect(statements: pd.DataFrame, trial: Trial, notices: Notices) -> Section:
    """The statements, the posterior of the rate ratio, and the curve."""
    ratio = statement(statements, "rate_ratio")
    chances = below(statements)
    sides = prose.listed([f"{prose.percent(p)} below {c:g}" for c, p in chances.items()])
    return Section(
        "effect",
        "The effect of treatment",
        (
            f"The rate ratio compares the same patient on {trial.active} and on {trial.control}; "
            f"below 1 means fewer {trial.endpoint} on {trial.active}. The Monte Carlo error says "
            "how far a number would move if the computation were run again with another seed.",
        ),
        tables=(
            Table(
                "statements",
                "What can be said: a size with its 95 % interval, or a claim with its probability.",
                (
                    Column("statement", ("label",)),
                    Column("median", ("median",), "signed"),
                    Column("95 % interval", ("lower", "upper"), "numbers"),
                    Column("probability", ("probability",), "percent"),
                    Column("Monte Carlo error", ("mcse",), "error"),
                ),
                statements,
            ),
        ),
        figures=(
            Figure(
                "rate-ratio",
                f"Posterior of the rate ratio; blue is the good side, fewer {trial.endpoint} on "
                f"{trial.active}. Dashed: what was assumed before.",
                f"Density of the rate ratio around {prose.ratio(ratio['median'])}, 95 % from "
                f"{prose.span(ratio['lower'], ratio['upper'])}. Probability: {sides}.",
            ),
            Figure(
                "probability-curve",
                "Probability that the rate ratio is below a threshold c, for every c. Choose the "
                "smallest benefit that would matter to you, and read off how sure of at least that "
                "much one may be.",
                f"Curve of the probability of a rate ratio below c: {sides}.",
            ),
        ),
        notices=notices,
    )


def patients(table: pd.DataFrame, notices: Notices) -> Section:
    """How far the patients differ."""
    order = table.sort_values("fold", ascending=False)
    ends = [
        f"{name}: {row['patient']}, {prose.ratio(row['fold'])} times the typical patient's rate "
        f"({prose.span(row['lower'], row['upper'])})."
        for name, row in (("Highest", order.iloc[0]), ("Lowest", order.iloc[-1]))
    ]
    return Section(
        "patients",
        "The patients",
        (
            "Patients differ: each has a rate of their own, shown as a multiple of the typical "
            "patient's. Those with few counts are drawn towards 1, because little is known of "
            "them.",
        ),
        figures=(
            Figure(
                "patient-effects",
                "Rate of each patient as a multiple of the typical patient's (median and 95 % "
                "interval), after treatment and the other terms of the model.",
                " ".join(ends),
            ),
        ),
        notices=notices,
    )


def checks(
    diagnostics: pd.DataFrame, rootogram: pd.DataFrame, refitted: str, notices: Notices
) -> Section:
    """Whether the computation and the model can be trusted."""
    failed = int((~diagnostics["ok"].astype(bool)).sum())
    verdict = (
        f"{failed} of {len(diagnostics)} checks failed."
        if failed
        else f"All {len(diagnostics)} checks passed."
    )
    again = f"A first fit did not pass and was repeated with longer tuning ({refitted})."
    whole = rootogram[rootogram["group"] == "all"]
    inside = whole["observed"].between(whole["lower"], whole["upper"])
    outside = prose.listed([str(count) for count in whole.loc[~inside, "count"]])
    return Section(
        "checks",
        "Can the numbers be relied on?",
        (verdict, *((again,) if refitted else ())),
        tables=(
            Table(
                "diagnostics",
                "Checks of the computation (has the sampler converged?) and of the model (could it "
                "have made these counts?). Of checks made for every patient or statement, the "
                "worst is shown, and all that failed.",
                (
                    Column("check", ("check",)),
                    Column("of", ("target",)),
                    Column("value", ("value",), "check"),
                    Column("limit", ("limit",)),
                    Column("verdict", ("ok",), "passed"),
                    Column("what to do", ("hint",)),
                ),
                tables.shown_checks(diagnostics),
            ),
        ),
        figures=(
            Figure(
                "rootogram",
                "How often each count was seen: a grey bar hangs from how often the fitted model "
                "expects the count in new trials of this design with new patients (blue dots), and "
                "ends on the line where both agree, below it where the count was seen more often. "
                "Blue: where the bar ends in 95 % of such trials. Square-root scale.",
                f"{int(inside.sum())} of {len(whole)} observed frequencies lie within what the "
                f"model expects{f'; outside: {outside}' if outside else ''}.",
            ),
        ),
        notices=notices,
    )


def left_out(table: pd.DataFrame, notices: Notices) -> Section:
    """Each patient foretold from all the others."""
    bad = int((~table["ok"].astype(bool)).sum())
    judged = (
        "No patient is so influential that this short cut breaks down."
        if not bad
        else f"{'One patient is' if bad == 1 else f'{bad} patients are'} so influential that the "
        "short cut cannot be relied on there."
    )
    elpd = table["elpd"].sum()
    error = math.sqrt(len(table) * table["elpd"].var())
    order = table.sort_values("pareto_k", ascending=False, kind="stable", ignore_index=True)
    cut = f" The {LOO_ROWS} most influential are shown." if len(table) > LOO_ROWS else ""
    return Section(
        "leave-one-out",
        "Leaving out each patient",
        (
            "How well are a patient's counts foretold by all the others? The expected log "
            f"predictive density, summed over patients, is {elpd:.1f} (standard error "
            f"{error:.1f}); it serves to compare models of the same counts.".replace("-", "−"),
            f"It is found without fitting again, by reweighting the draws. {judged}",
        ),
        tables=(
            Table(
                "leave-one-out",
                "Each patient left out in turn: log density of the patient's counts, and how "
                f"influential the patient is (Pareto k; above 0.7 too much).{cut}",
                (
                    Column("patient", ("patient",)),
                    Column("log density", ("elpd",), "signed"),
                    Column("Pareto k", ("pareto_k",), "fixed"),
                    Column("short cut", ("ok",), "reliable"),
                ),
                order.head(LOO_ROWS),
            ),
        ),
        notices=notices,
    )


def model_card(model: Model, priors: Mapping[str, Prior], terms: tuple[str, ...]) -> Section:
    """The model, its priors with their reasons, and what the data made of them."""
    rows = [
        (name, prose.notation(prior), *prior.interval(), prior.why)
        for name, prior in priors.items()
    ]
    integrated = model.patient_effect == "integrated"
    return Section(
        "model",
        "The model and its priors",
        (model.summary.strip().replace("\n", " "), *symbols(model.family, terms, integrated)),
        points=(
            f"Counts: {model.family.replace('-', ' ')}.",
            f"Terms: {prose.listed([term.replace('_', ' ') for term in terms])}.",
            "Patient effect: "
            + (
                "integrated out of the likelihood by quadrature."
                if integrated
                else "sampled with the other parameters."
            ),
            "Counts that were not seen are taken to be like those that were, given patient and "
            "treatment.",
        ),
        tables=(
            Table(
                "priors",
                "Priors, the range that holds 95 % of each, and the reason for it.",
                (
                    Column("parameter", ("parameter",)),
                    Column("prior", ("prior",)),
                    Column("95 % of it", ("low", "high"), "numbers"),
                    Column("reason", ("why",)),
                ),
                pd.DataFrame(rows, columns=["parameter", "prior", "low", "high", "why"]),
            ),
        ),
        figures=(
            Figure(
                "prior-posterior",
                "What was assumed of each parameter (dashed) and what is known of it after the "
                "data (filled). Where the two agree, the data have added little.",
                f"Prior and posterior densities of {prose.listed(list(priors))}.",
            ),
        ),
    )


def card(model: Model) -> Section:
    """The card itself, ready to be copied and changed."""
    words = "The exact specification of the model, as a file that can be used again."
    return Section("card", "The model card", (words,), code=model.to_toml().strip())
