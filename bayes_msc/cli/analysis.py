"""The commands that analyse a trial, and the one that writes a template."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayes_msc.cli import options
from bayes_msc.report_commands import inputs
from bayes_msc.terminal import announce, headline, readable, show, stance_table, where

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import xarray as xr

    from bayes_msc.companions import Companions
    from bayes_msc.reanalysis import Reanalysis
    from bayes_msc.report import Results


def reanalyze(
    trial: options.NumbersArgument,
    out: options.Out,
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
    threshold: options.Thresholds = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            help="Stand beside it too: reconstruction (counts inferred from print, not data; half "
            "a minute).",
        ),
    ] = None,
    method: Annotated[
        options.Method, typer.Option(help="How to combine trials: exact, or sampled by PyMC.")
    ] = options.Method.quadrature,
    force: options.Force = False,
) -> None:
    """Reanalyse a trial from its printed numbers."""
    from bayes_msc.errors import OutputError, one_of
    from bayes_msc.reanalysis import reanalyze as run
    from bayes_msc.report.write import check_folder

    for name in beside or ():
        one_of(name, ("reconstruction",), "part beside printed numbers (--with)", OutputError)
    check_folder(out, force)
    others = None if external is None else [options.published(name) for name in external]
    result = run(
        options.published(trial),
        stances=stance,
        analysis=analysis,
        external=[] if no_external else others,
        thresholds=threshold,
        method=method.value,
        reconstruction=bool(beside),
    )
    read = external if external else [other.name for other in result.external_trials]
    if result.behind is not None and result.published.printed_counts_file is not None:
        read = [*read, str(result.published.printed_counts_file)]
    results = _write(result, out, force, inputs([trial, *read]))
    headline(results)
    show(stance_table(result), "What each prior stance makes of the trial")
    where(out)
    if results.banner:
        raise typer.Exit(options.DIAGNOSTIC_FAILURE)


@options.with_roles
def fit(
    *,
    trial: options.CountsArgument,
    out: options.Out,
    model: options.Card = None,
    roles: dict[str, Any],
    stance: Annotated[
        str | None, typer.Option(help="Prior stance for the rate ratio (default: the card's).")
    ] = None,
    threshold: options.Thresholds = None,
    rope: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Rate ratios between which you would call the arms equivalent."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same draws.")] = 1,
    draws: Annotated[int, typer.Option(help="Draws kept in each chain.")] = 1000,
    tune: Annotated[int, typer.Option(help="Draws discarded in each chain.")] = 500,
    chains: Annotated[int, typer.Option(help="Number of chains.")] = 4,
    cores: Annotated[int | None, typer.Option(help="Chains at once (default: all cores).")] = None,
    engine: Annotated[
        options.Engine, typer.Option(help="NUTS, or importance sampling.")
    ] = options.Engine.nuts,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            help="Stand beside it too: ladder (every family, minutes), evidence (other trials); "
            "none: leave out the first period and the frequentist answers. Repeat for more.",
        ),
    ] = None,
    external: Annotated[
        list[str] | None,
        typer.Option(help="Other trial, bundled or TOML, for --with evidence; repeat for more."),
    ] = None,
    force: options.Force = False,
) -> None:
    """Fit a model to the counts of every patient."""
    from bayes_msc.companions import companions
    from bayes_msc.datasets import trial_names
    from bayes_msc.fit import card_for, save_fit
    from bayes_msc.fit import fit as run
    from bayes_msc.report.write import check_folder

    check_folder(out, force)
    parts = _parts(beside, external)
    others = None if external is None else [options.published(name) for name in external]
    given = options.counts(trial, roles)
    _check_statements(threshold, rope)
    card = options.card(model or card_for(given, "negative-binomial"), stance)
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
    named = given.name if trial in trial_names() else trial
    files = inputs([named, model or card.name])
    found = companions(result, parts, external=others, seed=seed)
    results = _write(
        result, out, force, files, statements, lambda path: save_fit(result, path), found
    )
    headline(results)
    show(readable(statements), "Statements")
    where(out)
    if results.banner:
        raise typer.Exit(options.DIAGNOSTIC_FAILURE)


def template(
    out: Annotated[Path, typer.Option("--out", "-o", help="CSV file to write.")],
    design: Annotated[
        options.Design, typer.Option(help="Design of the trial.")
    ] = options.Design.crossover,
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


def _parts(asked: list[str] | None, external: list[str] | None) -> tuple[str, ...]:
    """Parts that stand beside a fit: those that take seconds, and what was asked for."""
    from bayes_msc.companions import PARTS, QUICK
    from bayes_msc.errors import OutputError, one_of

    names = [*(asked or ()), *(["evidence"] if external else [])]
    for name in names:
        one_of(name, (*PARTS, "none"), "part beside a fit (--with)", OutputError)
    quick = () if "none" in names else QUICK
    return tuple(dict.fromkeys((*quick, *(name for name in names if name != "none"))))


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
    files: dict[str, str],
    statements: pd.DataFrame | None = None,
    save: Callable[[Path], object] | None = None,
    beside: Companions | None = None,
) -> Results:
    from bayes_msc.report import build, write_results

    command = shlex.join(["bayes-msc", *sys.argv[1:]])
    results, figures = build(source, command, statements, files, beside)
    write_results(results, out, figures, fit=save, force=force)
    return results
