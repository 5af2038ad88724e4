"""Carry a plan out: data, fit, statements, sensitivity, report, all or nothing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from bayes_msc.analysis_plan.carrying import CarriedOut, carry_out
from bayes_msc.analysis_plan.progress import shown
from bayes_msc.analysis_plan.reading import AnalysisPlan, read_plan
from bayes_msc.analysis_plan.sections import COPY
from bayes_msc.analysis_plan.steps import steps_of
from bayes_msc.analysis_plan.subject import external_of, load_subject
from bayes_msc.analysis_plan.verdict import Verdict
from bayes_msc.errors import OutputError
from bayes_msc.folders import check_free, put, staged, writable
from bayes_msc.notebook import banner, block, heading, paragraph, table
from bayes_msc.report import read_results, write_report, write_results
from bayes_msc.report import write as report_files
from bayes_msc.sensitivity import Sensitivity
from bayes_msc.sensitivity import whole as sensitivity_files

OWNED = (*report_files.OWNED, *sensitivity_files.OWNED, COPY)


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
    external = external_of(plan)
    steps = steps_of(plan, subject)
    with shown(steps, progress) as begin:
        found = carry_out(plan, subject, external, folder, begin, workers=workers, command=command)
        _write(plan, folder, found, force)
    return PlanResult(
        plan,
        found.verdict,
        found.results.answer,
        found.analysed.statements,
        found.analysed.beside,
        found.sensitivity,
        found.results.banner,
        found.results.label,
        folder,
    )


def _write(plan: AnalysisPlan, folder: Path, found: CarriedOut, force: bool) -> None:
    with writable(folder):
        check_free(folder, OWNED, force)
        with staged(folder) as stage:
            write_results(found.results, stage, found.figures, fit=found.analysed.save)
            if found.sensitivity is not None:
                found.sensitivity.save(stage)
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
