"""Carry a plan out: data, fit, statements, sensitivity, report, all or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayes_msc.analysis_plan.progress import Begin, shown
from bayes_msc.analysis_plan.reading import AnalysisPlan, read_plan
from bayes_msc.analysis_plan.robustness import figures_of
from bayes_msc.analysis_plan.sections import COPY, with_plan
from bayes_msc.analysis_plan.steps import analyses_of, steps_of
from bayes_msc.analysis_plan.subject import Counts, load_subject, priors_of
from bayes_msc.analysis_plan.verdict import Verdict, judge
from bayes_msc.errors import OutputError
from bayes_msc.fit import fit, save_fit
from bayes_msc.folders import check_free, put, staged, writable
from bayes_msc.notebook import banner, block, heading, paragraph, table
from bayes_msc.prior import Prior
from bayes_msc.published import Published, published_names, read_published
from bayes_msc.reanalysis import reanalyze
from bayes_msc.refits import refit_many
from bayes_msc.report import build, read_results, write_report, write_results
from bayes_msc.report import write as report_files
from bayes_msc.sensitivity import Sensitivity, sensitivity
from bayes_msc.sensitivity import whole as sensitivity_files

if TYPE_CHECKING:
    import xarray as xr

    from bayes_msc.report import Results

OWNED = (*report_files.OWNED, *sensitivity_files.OWNED, COPY)
BESIDE = ("estimand", "prior", "median", "lower", "upper", "prob", "mcse", "ok")


@dataclass(frozen=True, eq=False)
class PlanResult:
    """What came of a plan.

    Attributes
    ----------
    plan : AnalysisPlan
    verdict : Verdict
        Whether the rule is met, with the probability and its Monte Carlo error.
    answer : tuple of str
        The report's answer, sentence by sentence.
    statements : DataFrame
        As ``summarize`` or ``reanalyze`` returned them.
    beside : DataFrame
        One row an answer, the primary one first: ``estimand``, ``prior``, ``median``, ``lower``,
        ``upper``, ``prob`` (of the rule's statement), ``mcse``, ``ok``.
    sensitivity : Sensitivity or None
    banner : tuple of str
        Checks that failed, each with what to do.
    label : str
        What must be said of the counts; empty for data and printed numbers.
    folder : Path
        Where report and numbers are.
    """

    plan: AnalysisPlan
    verdict: Verdict
    answer: tuple[str, ...]
    statements: pd.DataFrame = field(repr=False)
    beside: pd.DataFrame = field(repr=False)
    sensitivity: Sensitivity | None = field(repr=False)
    banner: tuple[str, ...]
    label: str
    folder: Path

    def __str__(self) -> str:
        """Return the failed checks, the label, the answer and the verdict."""
        lines = [f"CHECK FAILED: {line}" for line in self.banner]
        lines += [self.label.upper()] if self.label else []
        return "\n".join([*lines, " ".join(self.answer), self.verdict.words, str(self.folder)])

    def _repr_html_(self) -> str:
        failed = [heading(f"CHECK FAILED: {line}") for line in self.banner]
        parts = [*failed, banner(self.label), heading(f"Plan {self.plan.name}, carried out")]
        parts += [paragraph(" ".join(self.answer)), paragraph(self.verdict.words)]
        return block(*parts, table(self.beside), paragraph(f"Report: {self.folder}"))


@dataclass(frozen=True, eq=False)
class _Analysed:
    """The primary answer with what stands beside it, before the report is written."""

    source: Any
    statements: pd.DataFrame
    primary: pd.DataFrame
    beside: pd.DataFrame
    save: Callable[[Path], object] | None


def run_plan(
    plan: AnalysisPlan | str | Path,
    out: str | Path | None = None,
    *,
    force: bool = False,
    workers: int | None = None,
    progress: bool | None = None,
    command: str = "",
) -> PlanResult:
    """Carry out a pre-specified analysis and write its folder of results, whole or not at all.

    Parameters
    ----------
    plan : AnalysisPlan, str or Path
        A plan, or its file.
    out : str or Path, optional
        Folder for the results; by default the one that the plan names, beside the plan's file.
    force : bool
        Replace results that are there already.
    workers : int, optional
        Processes for refits; the numbers do not depend on it.
    progress : bool, optional
        Whether to show progress with the time left; by default where there is a terminal.
    command : str
        The command that was typed, for the report's manifest.

    Returns
    -------
    PlanResult
        The same plan, data and versions give the same numbers.

    Raises
    ------
    BayesMSCError
        If the plan cannot be carried out, before anything is fitted: the data have changed or do
        not suit the plan, or the folder holds results and ``force`` is false.
    """
    plan = plan if isinstance(plan, AnalysisPlan) else read_plan(plan)
    folder = Path(out) if out is not None else plan.results
    check_free(folder, OWNED, force)
    subject = load_subject(plan)
    steps = steps_of(plan, subject)
    with shown(steps, progress) as begin:
        if isinstance(subject, Published):
            analysed = _of_numbers(plan, subject, begin)
        else:
            analysed = _of_counts(plan, subject, workers, begin)
        moved = _sensitivity(plan, subject, workers, begin)
        begin("report")
        results, figures = build(analysed.source, command, analysed.statements)
        verdict = judge(plan.rule, analysed.primary, bool(results.banner))
        results = with_plan(results, plan, verdict, analysed.beside, moved, folder)
        figures = figures.with_more(figures_of(moved)) if moved else figures
        _write(plan, folder, results, figures, moved, analysed.save, force)
    return PlanResult(
        plan,
        verdict,
        results.answer,
        analysed.statements,
        analysed.beside,
        moved,
        results.banner,
        results.label,
        folder,
    )


def _of_counts(plan: AnalysisPlan, counts: Counts, workers: int | None, begin: Begin) -> _Analysed:
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
    return _Analysed(tree, statements, statements, beside, lambda path: save_fit(tree, path))


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
        thresholds=_limits(plan),
        seed=plan.tables.computation.seed,
        workers=workers,
        progress=False,
    )
    found["prob"] = [rule.of(p) for p in found[rule.column]]
    found["mcse"] = found[rule.column.replace("prob", "mcse", 1)]
    found["estimand"], found["prior"] = [o[0] for o in others], [o[1] for o in others]
    return pd.concat([pd.DataFrame([first]), found[list(BESIDE)]], ignore_index=True)


def _of_numbers(plan: AnalysisPlan, published: Published, begin: Begin) -> _Analysed:
    begin("reanalysis")
    rule, data = plan.rule, plan.tables.data
    priors = priors_of(plan, published)
    result = reanalyze(
        published,
        stances=priors,
        analysis=data.analysis,
        external=_external(plan),
        thresholds=_limits(plan),
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
    return _Analysed(result, table, primary, pd.DataFrame(rows, columns=list(BESIDE)), None)


def _external(plan: AnalysisPlan) -> list[str | Published] | None:
    """Other trials that the plan names; None for those that the printed results name."""
    asked = plan.tables.data.external
    if asked is None:
        return None
    return [
        name if name in published_names() else read_published(plan.folder / name) for name in asked
    ]


def _limits(plan: AnalysisPlan) -> tuple[float, ...]:
    """Thresholds of the statements, the rule's own among them."""
    return tuple(dict.fromkeys((*plan.tables.statements.thresholds, plan.rule.threshold)))


def _sensitivity(
    plan: AnalysisPlan, subject: Counts | Published, workers: int | None, begin: Begin
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
        return sensitivity(
            subject, analysis=plan.tables.data.analysis, external=_external(plan), **asked
        )
    trial, model = subject.primary
    return sensitivity(
        trial,
        model,
        families=wanted.families,
        choices=wanted.choices,
        yes=wanted.long,
        **asked,
    )


def _write(
    plan: AnalysisPlan,
    folder: Path,
    results: Results,
    figures: Mapping[str, str],
    moved: Sensitivity | None,
    save: Callable[[Path], object] | None,
    force: bool,
) -> None:
    with writable(folder):
        check_free(folder, OWNED, force)
        with staged(folder) as stage:
            write_results(results, stage, figures, fit=save)
            if moved is not None:
                moved.save(stage)
            others = [name for name in plan.tables.output.formats if name != "html"]
            if others:
                write_report(stage, others)
            (stage / COPY).write_bytes(plan.content)
            _keep_figures(folder, stage)
            put(folder, stage, OWNED)


def _keep_figures(folder: Path, stage: Path) -> None:
    """Take figures along that stand in the old folder and that no results there name."""
    place = folder / report_files.FIGURES
    if not place.is_dir():
        return
    try:
        ours = {figure.name for figure in read_results(folder).figures}
    except OutputError:
        ours = set()
    for item in place.iterdir():
        target = stage / report_files.FIGURES / item.name
        if item.is_file() and item.stem not in ours and not target.exists():
            shutil.copy2(item, target, follow_symlinks=False)
