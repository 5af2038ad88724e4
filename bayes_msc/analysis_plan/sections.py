"""What a plan adds to the report: what was fixed, what stands beside it, what moves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bayes_msc.analysis_plan.recipe import files_of, recipe_of
from bayes_msc.analysis_plan.robustness import sections_of, tables_of
from bayes_msc.analysis_plan.verdict import Verdict
from bayes_msc.report.change_prose import ranked
from bayes_msc.report.checklists import with_checklists
from bayes_msc.report.results import Column, Results, Section, Table

if TYPE_CHECKING:
    from bayes_msc.analysis_plan.reading import AnalysisPlan
    from bayes_msc.analysis_plan.subject import Counts
    from bayes_msc.published import Published
    from bayes_msc.sensitivity import Sensitivity

COPY = "analysis-plan.toml"


def with_plan(
    results: Results,
    plan: AnalysisPlan,
    verdict: Verdict,
    beside: pd.DataFrame,
    found: Sensitivity | None,
    folder: Path,
    subject: Counts | Published,
) -> Results:
    """Return a report with the plan's sections, its tables, its hash and what to repeat."""
    sections = [_planned(plan, verdict, beside, results.label)]
    tables: dict[str, pd.DataFrame] = {**results.tables}
    if len(beside):
        tables["beside_the_primary_answer"] = beside
    own, answer = list(results.sections), results.answer
    if found is not None:
        if {"stances", "patients"} <= set(found.tables):
            # fits of its own answer the same questions
            own = [section for section in own if section.key != "stances"]
            tables.pop("changes", None)
        answer = _answer(results, found)
        place = _place(own)
        own[place:place] = sections_of(found)
        tables.update(tables_of(found))
    whole = replace(
        results,
        title=plan.tables.question.title or results.title,
        answer=answer,
        sections=(*sections, *own),
        tables=tables,
        manifest={
            **results.manifest,
            **_manifest(plan, verdict),
            "files": {**(results.manifest.get("files") or {}), **files_of(plan, folder, subject)},
        },
        recipe={**results.recipe, **recipe_of(plan, subject)},
    )
    # the plan's own sections are places that the checklists ask for
    return with_checklists(whole)


def _answer(results: Results, found: Sensitivity) -> tuple[str, ...]:
    """Let the ranking say what would change the answer, where there is one to be relied on."""
    if results.kind != "fit" or results.banner or not len(found.ranking):
        return results.answer
    first = found.ranking.iloc[0]
    words = ranked(
        found.rule.statement,
        str(first["what"]),
        str(first["extreme"]),
        bool(first["turns"]),
    )
    return (*results.answer[:2], words)


def _manifest(plan: AnalysisPlan, verdict: Verdict) -> Mapping[str, object]:
    return {
        "plan": plan.name,
        "plan_sha256": plan.sha256,
        "rule": verdict.rule.words(),
        "rule_met": "not judged" if verdict.met is None else "yes" if verdict.met else "no",
        "plan_seed": plan.tables.computation.seed if plan.tables.computation else "no seed",
    }


def _planned(plan: AnalysisPlan, verdict: Verdict, beside: pd.DataFrame, label: str) -> Section:
    registered = plan.tables.question.registered
    tables = (_beside(beside, verdict),) if len(beside) else ()
    return Section(
        "plan",
        "What was planned, and the rule",
        (
            f"Data, model, priors, estimands, thresholds and rule were written down in a file, "
            f"{plan.name}, which stands beside this report as {COPY}. It was checked as a whole "
            f"before anything was computed. Its SHA-256 is {plan.sha256}.",
            f"Registered: {registered}."
            if registered
            else "The file does not say that it was registered anywhere before the data were seen.",
            verdict.words,
        ),
        tables=tables,
    )


def _beside(beside: pd.DataFrame, verdict: Verdict) -> Table:
    return Table(
        "beside-the-primary-answer",
        "The primary answer, and what the plan wanted to stand beside it. The rule is judged by "
        "the first row alone.",
        (
            Column("estimand", ("estimand",)),
            Column("prior", ("prior",)),
            Column("rate ratio", ("median",), "ratio"),
            Column("95 % interval", ("lower", "upper"), "interval"),
            Column(verdict.rule.statement, ("prob",), "fixed"),
            Column("Monte Carlo error", ("mcse",), "number"),
        ),
        beside,
    )


def _place(sections: list[Section]) -> int:
    """Robustness stands before the model card, which ends the report."""
    keys = [section.key for section in sections]
    return keys.index("model") if "model" in keys else len(keys)
