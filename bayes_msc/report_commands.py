"""The commands around a folder of results: write its report, run it again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FORMATS = "html,docx,pdf,md"
DISAGREEMENT = 1
Folder = Annotated[Path, typer.Argument(help="A folder that was written with --out.")]


def report(
    folder: Folder,
    formats: Annotated[
        str,
        typer.Option(
            "--format", "-f", help=f"What to write, parted by commas: {FORMATS}, or some of these."
        ),
    ] = "html",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File for one format (default: in that folder)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file named by --out.")] = False,
) -> None:
    """Write the report of a results folder: HTML, Word, PDF, Markdown."""
    from bayes_msc.report import write_report

    for path in write_report(folder, formats.split(","), out, force).values():
        typer.echo(f"Wrote {path}")


def verify(
    folder: Folder,
    cores: Annotated[int | None, typer.Option(help="Chains at once (default: all cores).")] = None,
    no_sensitivity: Annotated[
        bool,
        typer.Option("--no-sensitivity", help="Leave a plan's analyses of sensitivity aside."),
    ] = False,
) -> None:
    """Run the analysis of a results folder again, and say which statements agree."""
    from bayes_msc.analysis_plan.steps import duration
    from bayes_msc.verify import steps_of_folder
    from bayes_msc.verify import verify as run

    steps = steps_of_folder(folder, sensitivity=not no_sensitivity)
    seconds = sum(step.seconds for step in steps)
    names = ", ".join(step.name for step in steps)
    typer.echo(f"Running again: {names}; about {duration(seconds)}.", err=True)
    found = run(folder, cores=cores, sensitivity=not no_sensitivity)
    typer.echo(str(found))
    if not found.ok:
        raise typer.Exit(DISAGREEMENT)


def inputs(names: list[str]) -> dict[str, str]:
    """Hash what a command was given: bundled data sets and cards by name, files by path."""
    from bayes_msc.report.inputs import bundled_hash, hashes

    bundled = {name: found for name in names if (found := bundled_hash(name))}
    files = [name for name in names if name not in bundled and Path(name).is_file()]
    return hashes(files, bundled)
