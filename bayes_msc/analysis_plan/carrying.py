"""The computing of a plan: the primary answer, what stands beside it, what moves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayes_msc.analysis_plan.companions_of import companions_of
from bayes_msc.analysis_plan.progress import Begin
from bayes_msc.analysis_plan.reading import AnalysisPlan
from bayes_msc.analysis_plan.robustness import figures_of
from bayes_msc.analysis_plan.sections import with_plan
from bayes_msc.analysis_plan.steps import analyses_of
from bayes_msc.analysis_plan.subject import Counts, priors_of
from bayes_msc.analysis_plan.verdict import Verdict, judge
from bayes_msc.fit import fit, save_fit
from bayes_msc.prior import Prior
from bayes_msc.published import Published
from bayes_msc.reanalysis import reanalyze
from bayes_msc.refits import refit_many
from bayes_msc.report import build
from bayes_msc.sensitivity import Sensitivity, sensitivity

if TYPE_CHECKING:
    import xarray as xr

    from bayes_msc.companions import Companions
    from bayes_msc.reconstruct import Paper
    from bayes_msc.report import Pictures, Results

BESIDE = ("estimand", "prior", "median", "lower", "upper", "prob", "mcse", "ok")


@dataclass(frozen=True, eq=False)
class CarriedOut:
    """All that a plan finds, before any of it is written.

    Attributes
    ----------
    analysed : Analysed
    sensitivity : Sensitivity or None
    verdict : Verdict
    results : Results
        The report, with the plan's sections.
    figures : Pictures
    """

    analysed: Analysed
    sensitivity: Sensitivity | None
    verdict: Verdict
    results: Results
    figures: Pictures


@dataclass(frozen=True, eq=False)
class Analysed:
    """The primary answer with what stands beside it, before the report is written."""

    source: Any
    statements: pd.DataFrame
    primary: pd.DataFrame
    beside: pd.DataFrame
    save: Callable[[Path], object] | None
    companions: Companions | None = None


def carry_out(
    plan: AnalysisPlan,
    subject: Counts | Published,
    external: Sequence[Published] | None,
    folder: Path,
    begin: Begin,
    *,
    workers: int | None = None,
    command: str = "",
    moves: bool = True,
    paper: Paper | None = None,
) -> CarriedOut:
    """Compute all that a plan asks for; nothing is written.

    Parameters
    ----------
    plan : AnalysisPlan
    subject : Counts or Published
        What the plan names, loaded.
    external : sequence of Published, optional
        Other trials; by default, for printed numbers, those that these name.
    folder : Path
        Where the results will stand.
    begin : callable
        Called with the name of each step that begins.
    workers : int, optional
        Processes for refits; the numbers do not depend on it.
    command : str
        The command that was typed.
    moves : bool
        Whether to make the analyses of sensitivity that the plan asks for.
    paper : Paper, optional
        Printed counts to reconstruct from, where the plan asks for that; by default those that the
        printed results name.
    """
    if isinstance(subject, Published):
        analysed = _of_numbers(plan, subject, external, paper, begin)
    else:
        analysed = _of_counts(plan, subject, external, workers, begin)
    moved = _sensitivity(plan, subject, external, workers, begin) if moves else None
    begin("report")
    results, figures = build(
        analysed.source, command, analysed.statements, beside=analysed.companions
    )
    verdict = judge(plan.rule, analysed.primary, bool(results.banner))
    results = with_plan(results, plan, verdict, analysed.beside, moved, folder, subject)
    figures = figures.with_more(figures_of(moved)) if moved else figures
    figures = figures.only([figure.name for figure in results.figures])
    return CarriedOut(analysed, moved, verdict, results, figures)


def _of_counts(
    plan: AnalysisPlan,
    counts: Counts,
    external: Sequence[Published] | None,
    workers: int | None,
    begin: Begin,
) -> Analysed:
    from bayes_msc.estimands import summarize

    setting, asked = plan.tables.computation, plan.tables.estimands
    assert setting is not None
    assert asked is not None
    trial, model = counts.primary
    begin("fit")
    tree = fit(
        trial,
        model,
        seed=setting.seed,
        draws=setting.draws,
        tune=setting.tune,
        chains=setting.chains,
        engine=setting.engine,
        progress=False,
    )
    equivalence = asked.equivalence
    statements = summarize(
        tree,
        thresholds=_limits(plan),
        rope=(equivalence[0], equivalence[1]) if equivalence else None,
        exposure=asked.exposure,
    )
    beside = _beside(plan, counts, statements, tree, workers, begin)
    found = companions_of(plan, counts, tree, beside, external, workers, begin)
    shown = beside[list(BESIDE)]
    return Analysed(tree, statements, statements, shown, lambda path: save_fit(tree, path), found)


def _beside(
    plan: AnalysisPlan,
    counts: Counts,
    statements: pd.DataFrame,
    tree: xr.DataTree,
    workers: int | None,
    begin: Begin,
) -> pd.DataFrame:
    """The primary answer, the other estimands, and the other priors of the primary estimand."""
    from bayes_msc.diagnostics import diagnose

    rule, own = plan.rule, plan.tables.priors.primary
    ratio = statements[statements["statement"] == "rate_ratio"].iloc[0]
    checks = diagnose(tree)
    ok = bool(checks.loc[checks["affects"] == "posterior", "ok"].all())
    verdict = judge(rule, statements)
    names = list(counts.parts)
    first = {
        "estimand": names[0],
        "prior": own,
        **{key: float(ratio[key]) for key in ("median", "lower", "upper")},
        "prob": verdict.probability,
        "mcse": verdict.mcse,
        "ok": ok,
    }
    trial, model = counts.primary
    others = [(name, own, *counts.parts[name]) for name in names[1:]]
    others += [
        (names[0], prior, trial, model.with_prior("log_rate_ratio", value))
        for prior, value in counts.priors.items()
    ]
    if not others:
        return pd.DataFrame([first], columns=list(BESIDE))
    begin("beside it")
    assert plan.tables.computation is not None
    found = refit_many(
        [(card, data) for *_, data, card in others],
        thresholds=tuple(dict.fromkeys((*_limits(plan), 1.0))),
        seed=plan.tables.computation.seed,
        workers=workers,
        progress=False,
    )
    found["prob"] = [rule.of(p) for p in found[rule.column]]
    found["mcse"] = found[rule.column.replace("prob", "mcse", 1)]
    found["estimand"], found["prior"] = [o[0] for o in others], [o[1] for o in others]
    return pd.concat([pd.DataFrame([first]), found], ignore_index=True)


def _of_numbers(
    plan: AnalysisPlan,
    published: Published,
    external: Sequence[Published] | None,
    paper: Paper | None,
    begin: Begin,
) -> Analysed:
    begin("reanalysis")
    rule, data = plan.rule, plan.tables.data
    priors = priors_of(plan, published)
    result = reanalyze(
        published,
        stances=priors,
        analysis=data.analysis,
        external=external,
        thresholds=_limits(plan),
        reconstruction=plan.tables.beside is not None and (paper or True),
    )
    table = result.statements
    rows = []
    for name in priors:
        own = table[table["stance"] == name]
        ratio = own[own["statement"] == "rate_ratio"].iloc[0]
        numbers = {key: float(ratio[key]) for key in ("median", "lower", "upper")}
        said = {"prob": judge(rule, own).probability, "mcse": 0.0, "ok": True}
        rows.append({"estimand": "as printed", "prior": name, **numbers, **said})
    primary = table[table["stance"] == plan.tables.priors.primary]
    return Analysed(result, table, primary, pd.DataFrame(rows, columns=list(BESIDE)), None)


def _limits(plan: AnalysisPlan) -> tuple[float, ...]:
    """Thresholds of the statements, the rule's own among them."""
    return tuple(dict.fromkeys((*plan.tables.statements.thresholds, plan.rule.threshold)))


def _sensitivity(
    plan: AnalysisPlan,
    subject: Counts | Published,
    external: Sequence[Published] | None,
    workers: int | None,
    begin: Begin,
) -> Sensitivity | None:
    analyses = analyses_of(plan)
    if not analyses:
        return None
    begin("sensitivity")
    wanted, setting = plan.tables.sensitivity, plan.tables.computation
    own = {name: Prior.from_table(table) for name, table in plan.tables.priors.own.items()}
    asked: dict[str, Any] = {
        "analyses": analyses,
        "own": own or None,
        "rule": plan.rule,
        "thresholds": plan.tables.statements.thresholds,
        "seed": setting.seed if setting else 1,
        "workers": workers,
        "progress": False,
    }
    if isinstance(subject, Published):
        return sensitivity(subject, analysis=plan.tables.data.analysis, external=external, **asked)
    trial, model = subject.primary
    return sensitivity(
        trial,
        model,
        families=wanted.families,
        choices=wanted.choices,
        yes=wanted.long,
        **asked,
    )
