"""The commands of a pre-specified analysis: write its file, check it, run it."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bayes_msc.cli import options
from bayes_msc.errors import PlanError
from bayes_msc.terminal import console, errors, show, where

if TYPE_CHECKING:
    import pandas as pd

    from bayes_msc.analysis_plan import PlanCheck, PlanResult
    from bayes_msc.rule import Rule

PlanFile = Annotated[Path, typer.Argument(help="The plan, such as analysis.toml.")]


def init(
    data: options.SubjectArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The plan to write.")] = Path(
        "analysis.toml"
    ),
    design: options.DesignOf = None,
    control: options.Control = None,
    active: options.Active = None,
    benefit: Annotated[
        options.Benefit | None, typer.Option(help="Which rates are good for a patient.")
    ] = None,
    threshold: options.Thresholds = None,
    rule: Annotated[
        str | None,
        typer.Option(help="Rule as THRESHOLD:PROBABILITY, such as 0.8:0.9 for P(RR < 0.8) of 0.9."),
    ] = None,
    patient: Annotated[str | None, typer.Option(help="Column of patients.")] = None,
    treatment: Annotated[str | None, typer.Option(help="Column of treatments.")] = None,
    count: Annotated[str | None, typer.Option(help="Column of counts.")] = None,
    period: options.Period = None,
    sequence: options.Sequence = None,
    scan: options.Scan = None,
    month: options.Month = None,
    exposure: options.Exposure = None,
    baseline: options.Baseline = None,
    sheet: options.Sheet = None,
    title: options.Title = "",
    endpoint: Annotated[str, typer.Option(help="What is counted, in the plural.")] = "",
    unit: options.Unit = "scan",
    model: options.Card = None,
    prior: Annotated[str, typer.Option(help="Prior that the rule is judged under.")] = "weak",
    stance: Annotated[
        list[str] | None, typer.Option(help="Prior to stand beside it; repeat (default: all).")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="One analysis of sensitivity; repeat for more (default: all)."),
    ] = None,
    no_sensitivity: Annotated[
        bool, typer.Option("--no-sensitivity", help="Leave sensitivity aside.")
    ] = False,
    to: Annotated[
        list[str] | None, typer.Option("--format", help="Format of the report; repeat for more.")
    ] = None,
    results: Annotated[str, typer.Option(help="Folder for the results.")] = "results",
    engine: Annotated[
        options.Engine, typer.Option(help="NUTS, or importance sampling.")
    ] = options.Engine.nuts,
    seed: Annotated[int, typer.Option(help="The same seed gives the same numbers.")] = 1,
    lock: Annotated[
        bool, typer.Option("--lock", help="Tie the plan to these very data by their SHA-256.")
    ] = False,
    ask: Annotated[
        bool | None, typer.Option("--ask/--no-ask", help="Ask for what is missing.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the plan if it is there.")
    ] = False,
) -> None:
    """Write the file of a pre-specified analysis, asking for what cannot be guessed."""
    from bayes_msc.analysis_plan import draft_plan, write_plan
    from bayes_msc.rule import Rule

    if out.exists() and not force:
        raise PlanError(f"{out} is there already: name another file with --out, or use --force")
    named = {
        "patient": patient,
        "treatment": treatment,
        "count": count,
        "period": period,
        "sequence": sequence,
        "scan": scan,
        "month": month,
        "exposure": exposure,
        "baseline": baseline,
    }
    answers = _Answers(
        data,
        sheet,
        {role: name for role, name in named.items() if name},
        design.value if design else None,
        control,
        active,
        benefit.value if benefit else None,
        threshold,
        rule,
    )
    answers.complete(sys.stdin.isatty() if ask is None else ask)
    limit, probability = options.rule_numbers(answers.rule or "")
    text = draft_plan(
        data,
        benefit=answers.benefit or "",
        thresholds=answers.thresholds or (),
        rule=Rule(limit, probability, answers.benefit or ""),
        design=answers.design,
        control=answers.control,
        active=answers.active,
        roles=answers.roles,
        sheet=sheet,
        title=title,
        endpoint=endpoint,
        unit=unit,
        card=model,
        primary=prior,
        stances=stance,
        analyses=() if no_sensitivity else only or ("all",),
        formats=to or ("html",),
        results=results,
        engine=engine.value,
        seed=seed,
        lock=lock,
        folder=out.parent,
    )
    write_plan(text, out, force=force)
    typer.echo(f"Wrote {out}. Read it, change what you like, then run:")
    typer.echo(f"  {shlex.join(['bayes-msc', 'check', str(out)])}")
    typer.echo(f"  {shlex.join(['bayes-msc', 'run', str(out)])}")


def check(plan: PlanFile) -> None:
    """Say what a plan would run, and how long that should take, without running it."""
    from bayes_msc.analysis_plan import check_plan, read_plan

    _show_check(check_plan(read_plan(plan)))


def run(
    plan: PlanFile,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the results (default: the plan's)."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes at once (default: all cores).")
    ] = None,
    force: options.Force = False,
) -> None:
    """Carry out a pre-specified analysis: fit, statements, sensitivity, report."""
    from bayes_msc.analysis_plan import run_plan

    command = shlex.join(["bayes-msc", *sys.argv[1:]])
    done = run_plan(plan, out, force=force, workers=workers, progress=True, command=command)
    _show_result(done)
    if done.banner:
        raise typer.Exit(options.DIAGNOSTIC_FAILURE)


@dataclass
class _Answers:
    """What ``init`` has to know and cannot guess."""

    data: str
    sheet: str | None
    roles: dict[str, str]
    design: str | None
    control: str | None
    active: str | None
    benefit: str | None
    thresholds: list[float] | None
    rule: str | None
    table: pd.DataFrame | None = field(default=None, repr=False)

    def complete(self, ask: bool) -> None:
        """Ask for what is missing, or raise.

        Raises
        ------
        PlanError
            If something is missing and nobody can be asked.
        """
        if self._of_file():
            self._look()
        missing = self._missing()
        if missing and not ask:
            raise PlanError(
                f"these cannot be guessed: give {', '.join(f'--{name}' for name in missing)}"
                + self._hint()
            )
        for name in missing:
            self._ask(name)

    def _of_file(self) -> bool:
        from bayes_msc.datasets import trial_names
        from bayes_msc.published import published_names

        bundled = (*trial_names(), *published_names())
        return self.data not in bundled and Path(self.data).suffix not in ("", ".toml")

    def _look(self) -> None:
        """Read the file's header, and guess the roles that are not named."""
        from bayes_msc.analysis_plan.guessing import columns_of, guess_roles

        self.table = columns_of(Path(self.data), self.sheet)
        self.table.columns = [str(name).strip() for name in self.table.columns]
        self.roles = {**guess_roles(list(self.table.columns)), **self.roles}

    def _missing(self) -> list[str]:
        from bayes_msc.roles import REQUIRED

        wanted = {
            "benefit": self.benefit,
            "threshold": self.thresholds,
            "rule": self.rule,
        }
        if self.table is not None:
            arms = {"design": self.design, "control": self.control, "active": self.active}
            wanted = {**{role: self.roles.get(role) for role in REQUIRED}, **arms, **wanted}
        return [name for name, value in wanted.items() if not value]

    def _ask(self, name: str) -> None:
        from bayes_msc.analysis_plan.guessing import looks_crossed

        if name in ("patient", "treatment", "count"):
            assert self.table is not None
            columns = [str(column) for column in self.table.columns]
            self.roles[name] = _choose(f"Which column holds the {name}", columns)
        elif name == "design":
            assert self.table is not None
            crossed = looks_crossed(self.table, self.roles["patient"], self.roles["treatment"])
            hint = "some patients have two treatments" if crossed else "each patient has one"
            self.design = _choose(f"Design of the trial ({hint})", ["parallel", "crossover"])
        elif name in ("control", "active"):
            others = [label for label in self._labels() if label != self.control]
            if name == "control":
                self.control = _choose("Which arm is the control", others)
            else:
                self.active = others[0] if len(others) == 1 else _choose("Which is active", others)
        elif name == "benefit":
            self.benefit = _choose("Which rates are good for a patient", ["lower", "higher"])
        elif name == "threshold":
            text = typer.prompt("Rate ratios c of the statements P(RR < c), such as 1 0.8 0.5")
            self.thresholds = _numbers(text)
        else:
            self.rule = typer.prompt(
                "Rule as THRESHOLD:PROBABILITY, such as 0.8:0.9 for P(RR < 0.8) of 0.9 or more"
            )

    def _labels(self) -> list[str]:
        from bayes_msc.analysis_plan.guessing import labels_of

        if self.table is None or self.roles.get("treatment") not in self.table:
            return []
        return labels_of(self.table, self.roles["treatment"])

    def _hint(self) -> str:
        if self.table is None:
            return ""
        labels = ", ".join(map(repr, self._labels()[:8])) or "no column of treatments"
        columns = ", ".join(map(repr, list(self.table.columns)[:20]))
        return f". The file has the columns {columns}; arms: {labels}"


def _choose(question: str, options: list[str]) -> str:
    """Ask until one of the options is typed."""
    while True:
        answer = str(typer.prompt(f"{question}: {', '.join(options)}")).strip()
        if answer in options:
            return answer
        typer.echo(f"{answer!r} is not among {', '.join(options)}")


def _numbers(text: str) -> list[float]:
    """Read several numbers, parted by spaces or commas.

    Raises
    ------
    PlanError
    """
    try:
        return [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise PlanError(f"{text!r} are no rate ratios: write for example 1 0.8 0.5") from None


def _show_check(found: PlanCheck) -> None:
    if found.label:
        console.print(f"[bold yellow]{escape(found.label.upper())}[/]")
    console.print(f"[bold]What {escape(found.plan.name)} would do[/]")
    for name, words in found.facts.items():
        # not a table: a SHA-256 must stay whole, to be copied
        console.print(f"  [bold]{name}[/]: {escape(words)}", highlight=False, soft_wrap=True)
    for warning in found.warnings:
        errors.print(f"[yellow]note:[/] {escape(warning)}")
    show(found.priors, "Priors")
    steps = found.steps.assign(seconds=[f"{value:.0f}" for value in found.steps["seconds"]])
    show(steps, "Steps")
    console.print(escape(found.sentence()), highlight=False)


def _show_result(done: PlanResult) -> None:
    import pandas as pd

    for line in done.banner:
        console.print(f"[bold red]CHECK FAILED[/] {escape(line)}")
    if done.label:
        console.print(f"[bold yellow]{escape(done.label.upper())}[/]")
    console.print(escape(" ".join(done.answer)), highlight=False)
    console.print(f"[bold]{escape(done.verdict.words)}[/]", highlight=False)
    show(pd.DataFrame(_beside(done.beside, done.verdict.rule)), "The answer, and beside it")
    where(done.folder)


def _beside(table: pd.DataFrame, rule: Rule) -> list[dict[str, str]]:
    return [
        {
            "estimand": str(row["estimand"]),
            "prior": str(row["prior"]),
            "rate ratio (95 %)": f"{row['median']:.2f} ({row['lower']:.2f} to {row['upper']:.2f})",
            rule.statement: f"{row['prob']:.3f}",
            "mcse": f"{row['mcse']:.1g}",
        }
        for row in table.to_dict("records")
    ]
