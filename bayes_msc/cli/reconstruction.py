"""The command ``bayes-msc reconstruct``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bayes_msc.errors import BayesMSCError
from bayes_msc.terminal import console, errors

if TYPE_CHECKING:
    import pandas as pd

    from bayes_msc.reconstruct import Averaged, Reconstruction

BAD_INPUT, NOTHING_FITS = 2, 1
NAME = "reconstruction-not-data"


def reconstruct(
    source: Annotated[str, typer.Argument(help="A bundled trial, or a TOML file of yours.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for tables and figures.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model card to average over the data sets.")
    ] = None,
    patients: Annotated[
        Path | None,
        typer.Option(help="CSV of the real patients: takes the place of the reconstruction."),
    ] = None,
    relax: Annotated[
        bool, typer.Option("--relax", help="If nothing fits, look for the wrong digit.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Go on if that would take hours.")] = False,
    seed: Annotated[int, typer.Option(help="For drawing data sets and fits.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Give back the patient-level counts that could stand behind printed numbers.

    What comes out is a reconstruction, not data.
    """
    import bayes_msc as bm

    try:
        paper = bm.read_paper(source)
        found = bm.reconstruct(paper, patients=patients, seed=seed)
        _show(found)
        if not found.possible:
            if relax:
                _show_table(bm.relaxations(paper, yes=yes))
            raise typer.Exit(NOTHING_FITS)
        answer = None
        if model:
            answer = bm.average_reconstruction(found, model, seed=seed)
            _show_table(answer.summary)
            _show_table(answer.probabilities)
        if out is not None:
            _write(found, answer, out, force)
    except BayesMSCError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        raise typer.Exit(BAD_INPUT) from None


def _show(found: Reconstruction) -> None:
    console.print(f"\n[bold yellow]{escape(found.label.upper())}[/]")
    console.print(f"[bold]{escape(found.paper.title)}[/]")
    for step in found.steps.to_dict("records"):
        line = f"{step['number']:>10,.0f}  {step['step']}: {step['what']}"
        console.print(escape(line), highlight=False, soft_wrap=True)
    if found.why:
        console.print(f"[bold red]NOTHING FITS[/] {escape(found.why)}", highlight=False)


def _show_table(table: pd.DataFrame) -> None:
    text = table.round(3).to_string(index=False)
    console.print(escape(text), highlight=False, soft_wrap=True)


def _write(found: Reconstruction, answer: Averaged | None, out: Path, force: bool) -> None:
    """Write every table with its label in the name and in a column."""
    from bayes_msc.files import replace_file

    name = NAME if found.label != "data" else "patients-as-given"
    out.mkdir(parents=True, exist_ok=True)
    tables = {"steps": found.steps, "counts": found.table()}
    if answer is not None:
        tables |= {
            "answer": answer.summary,
            "probabilities": answer.probabilities,
            "refits": answer.refits,
        }
    for what, table in tables.items():
        path = out / f"{name}-{what}.csv"
        replace_file(path, partial(table.to_csv, index=False), force=force)
        console.print(f"written: {escape(str(path))}", highlight=False, soft_wrap=True)
    if answer is not None:
        from bayes_msc.plots import averaged, to_svg

        figure = averaged(answer.summary, answer.refits, answer.label)
        path = out / f"{name}-answer.svg"
        svg = to_svg(figure, "averaged")
        replace_file(path, lambda file: file.write_text(svg, encoding="utf-8"), force=force)
        console.print(f"written: {escape(str(path))}", highlight=False, soft_wrap=True)
