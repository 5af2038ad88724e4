"""The command ``bayes-msc``. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bayes_msc.errors import BayesMSCError, TrialError
from bayes_msc.simulate_command import simulate
from bayes_msc.terminal import (
    announce,
    console,
    errors,
    headline,
    listing,
    readable,
    show,
    stance_table,
    where,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import xarray as xr

    from bayes_msc.model import Model
    from bayes_msc.published import Published
    from bayes_msc.reanalysis import Reanalysis
    from bayes_msc.report import Results

DIAGNOSTIC_FAILURE, BAD_INPUT, STOPPED = 1, 2, 130

app = typer.Typer(
    help="What a small trial of counts really showed: posterior probabilities of benefit.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="List the model cards, or show one.", invoke_without_command=True)
datasets_app = typer.Typer(
    help="List the bundled trials, or show one.", invoke_without_command=True
)
app.add_typer(models_app, name="models")
app.add_typer(datasets_app, name="datasets")


class Design(StrEnum):
    """Designs that are known."""

    parallel = "parallel"
    crossover = "crossover"


class Method(StrEnum):
    """Ways to combine a trial with others."""

    quadrature = "quadrature"
    pymc = "pymc"


class Engine(StrEnum):
    """Ways to sample."""

    nuts = "nuts"
    fast = "fast"
    auto = "auto"


Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
Force = Annotated[bool, typer.Option("--force", help="Replace results that are there already.")]
Thresholds = Annotated[
    list[float] | None,
    typer.Option("--threshold", "-c", help="Rate ratio c of P(RR < c); repeat for more."),
]


def _version(wanted: bool) -> None:
    if wanted:
        from bayes_msc import __version__

        console.print(f"bayes-msc {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What a small trial of counts really showed: posterior probabilities of benefit."""


@app.command()
def reanalyze(
    trial: Annotated[str, typer.Argument(help="A bundled trial, or a TOML file of yours.")],
    out: Out,
    stance: Annotated[
        list[str] | None, typer.Option(help="Prior stance; repeat for more (default: all).")
    ] = None,
    analysis: Annotated[
        str | None, typer.Option(help="Printed analysis to build on (default: the preferred one).")
    ] = None,
    external: Annotated[
        list[str] | None,
        typer.Option(help="Other trial, bundled or TOML; repeat (default: those the card names)."),
    ] = None,
    no_external: Annotated[
        bool, typer.Option("--no-external", help="Leave other trials aside.")
    ] = False,
    threshold: Thresholds = None,
    method: Annotated[
        Method, typer.Option(help="How to combine trials: exact, or sampled by PyMC.")
    ] = Method.quadrature,
    force: Force = False,
) -> None:
    """Reanalyse a trial from its printed numbers."""
    from bayes_msc.reanalysis import reanalyze as run

    others = None if external is None else [_published(name) for name in external]
    result = run(
        _published(trial),
        stances=stance,
        analysis=analysis,
        external=[] if no_external else others,
        thresholds=threshold,
        method=method.value,
    )
    results = _write(result, out, force)
    headline(results)
    show(stance_table(result), "What each prior stance makes of the trial")
    where(out)


@app.command()
def fit(
    trial: Annotated[str, typer.Argument(help="A bundled trial, or a CSV, Excel or Parquet file.")],
    out: Out,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model card: a name or a TOML file.")
    ] = None,
    design: Annotated[Design | None, typer.Option(help="For a file of yours.")] = None,
    control: Annotated[str | None, typer.Option(help="Label of the control arm.")] = None,
    active: Annotated[str | None, typer.Option(help="Label of the active arm.")] = None,
    patient: Annotated[str, typer.Option(help="Column of patients.")] = "patient",
    treatment: Annotated[str, typer.Option(help="Column of treatments.")] = "treatment",
    count: Annotated[str, typer.Option(help="Column of counts.")] = "count",
    period: Annotated[str | None, typer.Option(help="Column of periods.")] = None,
    sequence: Annotated[str | None, typer.Option(help="Column of sequences.")] = None,
    scan: Annotated[str | None, typer.Option(help="Column of scans.")] = None,
    month: Annotated[str | None, typer.Option(help="Column of months.")] = None,
    exposure: Annotated[str | None, typer.Option(help="Column of exposures.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Column of baseline counts.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of an Excel file.")] = None,
    title: Annotated[str, typer.Option(help="Title of the report.")] = "",
    endpoint: Annotated[str, typer.Option(help="What is counted, in the plural.")] = "events",
    unit: Annotated[str, typer.Option(help="Unit of exposure, in the singular.")] = "scan",
    candidate: Annotated[
        int | None, typer.Option(help="Which reconstruction, where a data set has several.")
    ] = None,
    stance: Annotated[
        str | None, typer.Option(help="Prior stance for the rate ratio (default: the card's).")
    ] = None,
    threshold: Thresholds = None,
    rope: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Rate ratios between which you would call the arms equivalent."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same draws.")] = 1,
    draws: Annotated[int, typer.Option(help="Draws kept in each chain.")] = 1000,
    tune: Annotated[int, typer.Option(help="Draws discarded in each chain.")] = 1000,
    chains: Annotated[int, typer.Option(help="Number of chains.")] = 4,
    cores: Annotated[int | None, typer.Option(help="Chains at once (default: all cores).")] = None,
    engine: Annotated[Engine, typer.Option(help="NUTS, or importance sampling.")] = Engine.nuts,
    force: Force = False,
) -> None:
    """Fit a model to the counts of every patient."""
    from bayes_msc.datasets import load_trial, trial_names
    from bayes_msc.fit import card_for, save_fit
    from bayes_msc.fit import fit as run
    from bayes_msc.reading import read_trial
    from bayes_msc.report.write import check_folder

    check_folder(out, force)
    if trial in trial_names():
        given = load_trial(trial, candidate=candidate)
    elif _looks_like_a_file(trial):
        given = read_trial(
            trial,
            design=design and design.value,
            control=control,
            active=active,
            patient=patient,
            treatment=treatment,
            count=count,
            period=period,
            sequence=sequence,
            scan=scan,
            month=month,
            exposure=exposure,
            baseline=baseline,
            sheet=sheet,
            title=title,
            endpoint=endpoint,
            exposure_unit=unit,
        )
    else:
        raise TrialError(
            f"there is no bundled trial {trial!r} and no such file: bundled are "
            f"{', '.join(trial_names())}"
        )
    _check_statements(threshold, rope)
    card = _card(model or card_for(given, "negative-binomial"), stance)
    announce(given, card)
    result = run(
        given,
        card,
        seed=seed,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        engine=engine.value,
    )
    statements = _statements(result, threshold, rope)
    results = _write(result, out, force, statements, lambda path: save_fit(result, path))
    headline(results)
    show(readable(statements), "Statements")
    where(out)
    if results.banner:
        raise typer.Exit(DIAGNOSTIC_FAILURE)


@models_app.callback()
def models(context: typer.Context) -> None:
    """List the model cards."""
    if context.invoked_subcommand is None:
        from bayes_msc.model import Model

        cards = [Model.load(name) for name in Model.names()]
        listing("Model cards", [(card.name, card.title) for card in cards])


@models_app.command("show")
def modelsshow(
    name: Annotated[str, typer.Argument(help="A card's name, or a TOML file of yours.")],
) -> None:
    """Show one model card as TOML, ready to be copied and changed."""
    from bayes_msc.model import Model

    typer.echo(Model.load(name).to_toml(), nl=False)


@datasets_app.callback()
def datasets(context: typer.Context) -> None:
    """List the bundled trials."""
    if context.invoked_subcommand is None:
        from bayes_msc.datasets import load_card, trial_names
        from bayes_msc.published import load_published, published_names

        listing(
            "Printed results, for bayes-msc reanalyze",
            [(name, load_published(name).title) for name in published_names()],
        )
        listing(
            "Counts of every patient, for bayes-msc fit",
            [(name, load_card(name).title) for name in trial_names()],
        )


@datasets_app.command("show")
def datasetsshow(name: Annotated[str, typer.Argument(help="A bundled trial.")]) -> None:
    """Show one bundled trial with its source and certainty."""
    from bayes_msc.datasets import load_card, load_trial, trial_names
    from bayes_msc.errors import one_of
    from bayes_msc.published import load_published, published_names

    if name in published_names():
        typer.echo(load_published(name).to_toml(), nl=False)
        return
    one_of(name, (*published_names(), *trial_names()), "data set", TrialError)
    card = load_card(name)
    typer.echo(load_trial(name))
    for words in (card.description, card.argument, card.source, card.licence):
        if words:
            typer.echo(f"\n{words.strip()}")


app.command()(simulate)


@app.command()
def template(
    out: Annotated[Path, typer.Option("--out", "-o", help="CSV file to write.")],
    design: Annotated[Design, typer.Option(help="Design of the trial.")] = Design.crossover,
    patients: Annotated[int, typer.Option(help="Number of patients.")] = 9,
    active: Annotated[str, typer.Option(help="Label of the active arm.")] = "MSC",
    control: Annotated[str, typer.Option(help="Label of the control arm.")] = "placebo",
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if it is there.")
    ] = False,
) -> None:
    """Write a table to type a trial's counts into."""
    from bayes_msc.template import write_template

    write_template(out, design.value, patients, force, active=active, control=control)
    line = ["bayes-msc", "fit", str(out), "--design", design.value]
    line += ["--active", active, "--control", control, "--out", "results/"]
    typer.echo(f"Wrote {out}. Type the counts in (leave unseen scans empty), then run:")
    typer.echo(f"  {shlex.join(line)}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A folder that holds results.json and figures.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="HTML file (default: in that folder).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file named by --out.")] = False,
) -> None:
    """Render the report of a results folder again."""
    from bayes_msc.report import read_figures, read_results, render_html, write_html

    results = read_results(folder)
    html = render_html(results, read_figures(folder, results))
    path = write_html(html, out or folder / "report.html", force or out is None)
    typer.echo(f"Wrote {path}")


def _published(name: str) -> Published:
    from bayes_msc.published import load_published, published_names, read_published

    if name not in published_names() and _looks_like_a_file(name):
        return read_published(name)
    return load_published(name)


def _looks_like_a_file(name: str) -> bool:
    return bool(Path(name).suffix) or os.sep in name or Path(name).exists()


def _card(name: str, stance: str | None) -> Model:
    from bayes_msc.model import Model

    card = Model.load(name)
    return card.with_prior("log_rate_ratio", stance) if stance else card


def _check_statements(thresholds: list[float] | None, rope: tuple[float, float] | None) -> None:
    from bayes_msc.estimands import check_ratios

    check_ratios(thresholds or (), rope)


def _statements(
    fit: xr.DataTree, thresholds: list[float] | None, rope: tuple[float, float] | None
) -> pd.DataFrame:
    from bayes_msc.convergence import THRESHOLDS
    from bayes_msc.estimands import summarize

    return summarize(fit, thresholds=thresholds or THRESHOLDS, rope=rope)


def _write(
    source: Reanalysis | xr.DataTree,
    out: Path,
    force: bool,
    statements: pd.DataFrame | None = None,
    save: Callable[[Path], object] | None = None,
) -> Results:
    from bayes_msc.report import build, write_results

    command = shlex.join(["bayes-msc", *sys.argv[1:]])
    results, figures = build(source, command, statements)
    write_results(results, out, figures, fit=save, force=force)
    return results


def main() -> None:
    """Run the command; bad input ends in a message of a few lines and exit code 2."""
    try:
        app()
    except BayesMSCError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(BAD_INPUT)
    except SystemExit as end:
        # typer turns Ctrl-C into this exit code without a word
        if end.code == STOPPED:
            errors.print("stopped: nothing was written")
        raise


if __name__ == "__main__":
    main()
