"""From a fit to patient-level counts to a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayes_msc import plots
from bayes_msc.checks import rootogram
from bayes_msc.companions import Companions, stored_only
from bayes_msc.diagnostics import diagnose, leave_one_out
from bayes_msc.estimands import prob_curve, summarize
from bayes_msc.fit import model_of, trial_of
from bayes_msc.flow import baselines, flow, planned_scans
from bayes_msc.prior import Prior
from bayes_msc.prior_counts import prior_counts
from bayes_msc.report import analysis_sections as parts
from bayes_msc.report import companion_sections as others
from bayes_msc.report import course_sections as course
from bayes_msc.report import estimand_sections, prose, tables
from bayes_msc.report.change_prose import Move, what_would_change
from bayes_msc.report.checklists import with_checklists
from bayes_msc.report.inputs import fit_recipe
from bayes_msc.report.manifest import stamp
from bayes_msc.report.methods_text import fit_methods
from bayes_msc.report.panel import panel_of_fit
from bayes_msc.report.paste import paste
from bayes_msc.report.pictures import Pictures
from bayes_msc.report.references import bibliography
from bayes_msc.report.results import Column, Results, Source
from bayes_msc.report.results_text import fit_results

if TYPE_CHECKING:
    import xarray as xr

    from bayes_msc.model import Model
    from bayes_msc.trial import Trial


_VALUE = Column("value", ("value",), "number")
#: Thresholds of the probability curve; 1 is the one in the middle.
CURVE = tuple(np.geomspace(1 / 128, 128, 449))


def build(
    fit: xr.DataTree,
    command: str = "",
    statements: pd.DataFrame | None = None,
    beside: Companions | None = None,
) -> tuple[Results, Pictures]:
    """Turn a fit into what its report says, and into its figures.

    Parameters
    ----------
    fit : DataTree
        What ``fit`` returned.
    command : str
        The command that was typed, for the manifest.
    statements : DataFrame, optional
        What ``summarize`` returned for thresholds or a ROPE of your own.
    beside : Companions, optional
        What stands beside the fit; by default what needs no further fit.

    Returns
    -------
    Results
        The report.
    Pictures
        SVG text by figure name, and PNG.
    """
    trial, model = trial_of(fit), model_of(fit)
    full = {
        "statements": summarize(fit) if statements is None else statements,
        "diagnostics": diagnose(fit),
        "curve": prob_curve(fit, CURVE),
        "arms": trial.arm_summary(),
        "patients": tables.patient_table(fit, trial),
        "leave_one_out": leave_one_out(fit),
        "rootogram": rootogram(fit),
        "flow": flow(trial),
        "planned_scans": _planned(trial),
    }
    made = beside.recipe if beside else {}
    beside = as_stated(stored_only(fit) if beside is None else beside, full)
    full |= others.frames(beside)
    priors = model.priors_for(trial)
    expected = prior_counts(model, trial, seed=int(fit.attrs["seed"]))
    full["prior_counts_bins"] = expected.counts
    failed = failures(full["diagnostics"])
    everywhere = failed.get("posterior", ())
    sources = _sources(trial, model)
    paper = paste(fit_methods(fit, trial, model, priors), fit_results(full, trial))
    results = Results(
        kind="fit",
        title=trial.title,
        subtitle=f"A Bayesian analysis, patient by patient: {parts.lowered(model.title)}",
        label=trial.label,
        question=f"Does {trial.active} lower the rate of {trial.endpoint}, compared with "
        f"{trial.control}?",
        answer=answer(full, trial),
        banner=everywhere,
        sections=(
            course.flow(full["flow"], full["planned_scans"], baselines(trial), trial),
            parts.data(full["arms"], trial),
            estimand_sections.of_fit(trial, model, _lost(full["flow"])),
            parts.effect(full["statements"], trial, everywhere),
            *others.sections(beside, trial, everywhere),
            parts.patients(full["patients"], everywhere),
            parts.checks(
                full["diagnostics"],
                full["rootogram"],
                str(fit.attrs["refitted"]),
                failed.get("predictions", ()),
            ),
            parts.left_out(full["leave_one_out"], (*everywhere, *failed.get("leave-one-out", ()))),
            parts.model_card(model, priors, model.terms_for(trial)),
            course.prior_counts(expected, trial),
            estimand_sections.calibration(beside.calibration, model, trial),
            replace(paper, notices=everywhere),
            parts.card(model),
        ),
        tables=full,
        sources=sources,
        manifest=_manifest(fit, trial, command),
        bibliography=bibliography(paper.paragraphs, sources),
        recipe=fit_recipe(full["statements"]) | ({"beside": made} if made else {}),
        panel=panel_of_fit(fit, trial, priors["log_rate_ratio"], everywhere),
    )
    return with_checklists(results), _draw(fit, trial, full, priors, beside)


def as_stated(beside: Companions, full: Mapping[str, pd.DataFrame]) -> Companions:
    """Let the answer as it stands read everywhere as in the statements."""
    ratio = parts.statement(full["statements"], "rate_ratio")
    table = beside.changes.copy()
    first = table.index[0]
    for name in ("median", "lower", "upper"):
        table.loc[first, name] = float(ratio[name])
    table.loc[first, "probability"] = parts.chance_of_benefit(full["curve"])
    stated = full["statements"]
    one = stated[(stated["statement"] == "prob_rate_ratio_below") & (stated["threshold"] == 1.0)]
    if len(one):
        table.loc[first, "mcse"] = float(one["mcse"].iloc[0])
    return replace(beside, changes=table)


def _planned(trial: Trial) -> pd.DataFrame:
    """What was planned; what is no scan is not called one."""
    plan = planned_scans(trial)
    named = {} if trial.exposure_unit == "scan" else {"scan": "visit"}
    return plan.assign(unit=plan["unit"].replace(named))


def _lost(flow_table: pd.DataFrame) -> int:
    return int((flow_table["expected"] - flow_table["seen"]).sum())


def failures(diagnostics: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return one line for each failed check, with what to do, by what the check affects."""
    lines: dict[str, tuple[str, ...]] = {}
    for _, row in diagnostics[~diagnostics["ok"].astype(bool)].iterrows():
        value = (
            Column("value", ("value",), "number").show({"value": row["value"]}).replace("-", "−")
        )
        text = f"{row['check']} ({row['target']}) is {value}, limit {row['limit']}: {row['hint']}."
        lines[row["affects"]] = (*lines.get(row["affects"], ()), text)
    return lines


def answer(full: Mapping[str, pd.DataFrame], trial: Trial) -> tuple[str, ...]:
    """Write the answer in three sentences: what the trial says, how sure, what would change it."""
    statements = full["statements"]
    words = prose.Words(trial.active, trial.control, trial.endpoint)
    ratio = parts.statement(statements, "rate_ratio")
    chance = parts.chance_of_benefit(full["curve"])
    first = prose.sentence(
        prose.caveat(trial.label),
        f"{prose.benefit(chance, words)}: "
        + prose.estimate(ratio["median"], ratio["lower"], ratio["upper"]),
    )
    return first, _second(full, words), _third(full, chance, words)


def _second(full: Mapping[str, pd.DataFrame], words: prose.Words) -> str:
    statements = full["statements"]
    chances = {c: p for c, p in parts.below(statements).items() if c < 1}
    parted = [f"that it is {prose.cut(c)} {prose.percent(p)}" for c, p in chances.items()]
    new = float(parts.statement(statements, "prob_new_patient_fewer")["probability"])
    same = float(parts.statement(statements, "prob_new_patient_same")["probability"])
    patient = (
        f"a new patient would have fewer {words.events} on {words.active} than on {words.control} "
        f"with probability {prose.percent(new)} (and as many with {prose.percent(same)})"
    )
    rests = _rests(full)
    if not parted:
        return prose.sentence(patient).rstrip(".") + f"; {rests}."
    first = next(iter(chances.items()))
    lead = f"the probability that the rate is {prose.cut(first[0])} is {prose.percent(first[1])}"
    return prose.sentence(lead, *parted[1:]).rstrip(".") + f"; {patient}; {rests}."


def _rests(full: Mapping[str, pd.DataFrame]) -> str:
    patients, checks = full["patients"], full["diagnostics"]
    top = patients.sort_values("events").iloc[-1]
    carried = (
        f", of whom one ({top['patient']}) carries {prose.percent(float(top['share']))} of all "
        "that was counted"
        if float(top["share"]) > 0.25
        else ""
    )
    failed = checks[~checks["ok"].astype(bool)]
    if failed.empty:
        judged = ", and all checks of the computation and of the model passed"
    elif (failed["affects"] == "posterior").any():
        judged = ", and the computation failed its checks"
    else:
        kinds = prose.listed(list(dict.fromkeys(failed["check"])))
        judged = (
            f"; the computation passed its checks, but {len(failed)} other "
            f"{'check' if len(failed) == 1 else 'checks'} did not pass ({kinds}): see below"
        )
    return f"this rests on {len(patients)} patients{carried}{judged}"


def _third(full: Mapping[str, pd.DataFrame], chance: float, words: prose.Words) -> str:
    checks = full["diagnostics"]
    failed = checks[~checks["ok"].astype(bool)]
    if (failed["affects"] == "posterior").any():
        return (
            "What would change it is a computation that passes its checks: until then these "
            "numbers must not be relied on."
        )
    moved = full["changes"].iloc[1:]
    moves = [
        Move(str(r["kind"]), str(r["name"]), float(r["probability"])) for _, r in moved.iterrows()
    ]
    return what_would_change(chance, moves, words)


def _sources(trial: Trial, model: Model) -> tuple[Source, ...]:
    counts = Source(f"Counts: {trial.source}", certainty=trial.label)
    return (*((counts,) if trial.source else ()), *(Source(text) for text in model.references))


def _manifest(fit: xr.DataTree, trial: Trial, command: str) -> dict[str, object]:
    attrs = fit.attrs
    return {
        "data": trial.name,
        "provenance": trial.label or "data",
        "design": trial.design,
        "data_sha256": attrs["data_sha256"],
        "model": attrs["model_name"],
        "model_sha256": attrs["model_sha256"],
        "seed": attrs["seed"],
        "engine": attrs["engine"],
        "settings": json.loads(attrs["settings"]),
        "refitted": attrs["refitted"] or "no",
        "versions": json.loads(attrs["versions"]),
        **stamp(command),
    }


def _draw(
    fit: xr.DataTree,
    trial: Trial,
    full: Mapping[str, pd.DataFrame],
    priors: Mapping[str, Prior],
    beside: Companions,
) -> Pictures:
    label = trial.label
    order = full["patients"].sort_values("fold", ascending=False)
    figures = {
        "flow": plots.flow(full["flow"], trial.active, trial.exposure_unit, label),
        "design": plots.design(full["planned_scans"], trial.active, trial.has_baseline, label),
        "prior-counts": plots.prior_counts(full["prior_counts_bins"], trial.endpoint, label),
        "trajectories": plots.trajectories(trial),
        "rate-ratio": plots.rate_ratio(fit, priors["log_rate_ratio"], label),
        "probability-curve": plots.probability_curve(full["curve"], label),
        "patient-effects": plots.patient_effects(order, label),
        "rootogram": plots.rootogram(full["rootogram"], f"{trial.endpoint} in one count", label),
        "prior-posterior": plots.prior_posterior(fit, priors, label),
    }
    for name, rows in others.drawn(beside).items():
        heading = "p" if name == "comparators" else "P(RR < 1)"
        figures[name] = plots.answers(rows, heading, label)
    if beside.ladder is not None:
        figures["ladder"] = plots.comparison(beside.ladder.models, beside.ladder.averages, label)
    return Pictures(figures)
