"""The command that asks how far an answer can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from bayes_msc.cli import options
from bayes_msc.terminal import announce, console, errors, show, where

if TYPE_CHECKING:
    import pandas as pd

    from bayes_msc.model import Model
    from bayes_msc.published import Published
    from bayes_msc.trial import Trial


@options.with_roles
def sensitivity(
    *,
    trial: options.SubjectArgument,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for page, tables and figures.")
    ] = None,
    model: options.Card = None,
    rule: Annotated[
        str,
        typer.Option(help="Rule as THRESHOLD:PROBABILITY, such as 0.8:0.9 for P(RR < 0.8) of 0.9."),
    ] = "1:0.95",
    only: Annotated[
        list[str] | None,
        typer.Option(help="One analysis, such as 'patients'; repeat for more (default: all)."),
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(help="Count family for the specifications; repeat (default: the quick ones)."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Make specifications that take very long, too.")
    ] = False,
    roles: dict[str, Any],
    analysis: Annotated[
        str | None, typer.Option(help="For printed numbers: which printed analysis.")
    ] = None,
    threshold: options.Thresholds = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same answers.")] = 1,
    workers: Annotated[
        int | None, typer.Option(help="Processes at once (default: all cores).")
    ] = None,
    force: options.Force = False,
) -> None:
    """Find what moves the conclusion: prior, model, one patient, one count, drop-out."""
    from bayes_msc.folders import check_free
    from bayes_msc.published import published_names
    from bayes_msc.rule import Rule
    from bayes_msc.sensitivity import sensitivity as run
    from bayes_msc.sensitivity.subject import benefit_of, model_for
    from bayes_msc.sensitivity.whole import OWNED, PAGE

    if out is not None:
        check_free(out, OWNED, force)
    printed = trial in published_names() or Path(trial).suffix == ".toml"
    subject: Trial | Published
    card: Model | None = None
    if printed:
        subject = options.published(trial)
    else:
        subject = options.counts(trial, roles)
        card = model_for(subject, options.card(model) if model else None)
        announce(subject, card)
    limit, probability = options.rule_numbers(rule)
    result = run(
        subject,
        card,
        analyses=only,
        analysis=analysis,
        families=family,
        rule=Rule(limit, probability, benefit_of(subject)),
        thresholds=threshold,
        yes=yes,
        seed=seed,
        workers=workers,
    )
    if result.label:
        console.print(f"\n[bold yellow]{escape(result.label.upper())}[/]", end="")
    console.print(f"\n[bold]{escape(result.name)}[/]")
    if len(result.ranking):
        show(_short(result.ranking), f"What moves the conclusion: {result.rule.words()}")
    for name, words in result.statements.items():
        console.print(f"[bold]{escape(name)}[/]: {escape(words)}", highlight=False)
    for name, words in result.skipped.items():
        errors.print(f"[yellow]not made:[/] {escape(name)}: {escape(words)}", highlight=False)
    if out is not None:
        result.save(out, force=force)
        where(out, PAGE)


def _short(ranking: pd.DataFrame) -> pd.DataFrame:
    """One line a question, as text."""
    import pandas as pd

    rows = [
        {
            "what is changed": row["what"],
            "from": f"{row['lowest']:.3f}",
            "to": f"{row['highest']:.3f}",
            "turns the answer": "yes" if row["turns"] else "no",
            "farthest": row["extreme"],
        }
        for row in ranking.to_dict("records")
    ]
    return pd.DataFrame(rows)
