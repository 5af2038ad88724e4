"""The command that simulates trials."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from bayes_msc.terminal import console, errors, show


def simulate(
    plan: Annotated[Path, typer.Argument(help="TOML file with designs, truths, models and rules.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the run; one that was stopped goes on."),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(help="Go on until every standard error of a success is at most this."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Trials of each design and truth (default: the plan's).")
    ] = None,
    max_trials: Annotated[
        int | None, typer.Option(help="Most trials of each design and truth with --precision.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes at once (default: all cores).")
    ] = None,
    scheduler: Annotated[
        str, typer.Option(help="Address of a Dask scheduler, such as tcp://host:8786.")
    ] = "",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the scheduler.")] = 30.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only estimate the cost, from a few trials.")
    ] = False,
) -> None:
    """Simulate trials and ask how often a rule would succeed, or mislead."""
    from bayes_msc.errors import DesignError
    from bayes_msc.simulation.run import cost_words, estimate_cost, with_effort
    from bayes_msc.simulation.run import simulate as run

    chosen = with_effort(plan, trials, precision, max_trials)
    count = workers or os.cpu_count() or 1
    if dry_run:
        cost = estimate_cost(chosen, workers=count)
        show(cost, "Cost, from a few trials of each cell")
        console.print(escape(f"This run: {cost_words(cost, count)}."), highlight=False)
        return
    if out is None:
        raise DesignError("name a folder for the run with --out, or ask for the cost by --dry-run")
    try:
        table = run(chosen, out, workers=workers, scheduler=scheduler, timeout=timeout)
    except KeyboardInterrupt:
        errors.print("stopped: finished chunks are kept; the same command goes on from there")
        raise typer.Exit(130) from None
    lines = table[["design", "truth", "model", "prior", "rule", "trials"]].copy()
    lines["success"] = [
        f"{100 * p:.1f} ± {100 * e:.1f} %"
        for p, e in zip(table["success"], table["success_mcse"], strict=True)
    ]
    show(lines, "How often each rule was met (± Monte Carlo standard error)")
    place = escape(str(out / "summary.csv"))
    console.print(f"All numbers: {place}", highlight=False, soft_wrap=True)
