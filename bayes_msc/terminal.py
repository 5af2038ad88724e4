"""What the command line prints: answers, tables and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from bayes_msc.model import Model
    from bayes_msc.reanalysis import Reanalysis
    from bayes_msc.report import Results
    from bayes_msc.trial import Trial

console = Console()
errors = Console(stderr=True)


def announce(trial: Trial, model: Model) -> None:
    """Say what is about to be done, and what is unusual about the trial."""
    if trial.label:
        errors.print(f"[bold yellow]{escape(trial.label)}[/]")
    for warning in trial.warnings:
        errors.print(f"[yellow]note:[/] {escape(warning)}")
    errors.print(
        f"Fitting [bold]{escape(model.name)}[/] to {trial.n_patients} patients. "
        "The first fit of a kind compiles for some seconds."
    )


def headline(results: Results) -> None:
    """Print failed checks before any number, then label, title and answer."""
    for line in results.banner:
        console.print(f"[bold red]CHECK FAILED[/] {escape(line)}")
    if results.label:
        console.print(f"\n[bold yellow]{escape(results.label.upper())}[/]", end="")
    console.print(f"\n[bold]{escape(results.title)}[/]")
    console.print(escape(" ".join(results.answer)), highlight=False)
    console.print()


def stance_table(result: Reanalysis) -> pd.DataFrame:
    """One line a stance: the rate ratio with its interval, and each probability."""
    import pandas as pd

    sign = "<" if result.published.benefit == "lower" else ">"
    lines = []
    for name, rows in result.statements.groupby("stance", sort=False):
        ratio = rows[rows["statement"] == "rate_ratio"].iloc[0]
        interval = f"{ratio['median']:.2f} ({ratio['lower']:.2f} to {ratio['upper']:.2f})"
        line = {"prior": str(name), "rate ratio (95 %)": interval}
        for row in rows[rows["threshold"].notna()].to_dict("records"):
            line[f"P(RR {sign} {row['threshold']:g})"] = f"{row['probability']:.3f}"
        lines.append(line)
    return pd.DataFrame(lines)


def readable(statements: pd.DataFrame) -> pd.DataFrame:
    """Statements as three columns: words, value with interval, Monte Carlo error."""
    table = statements[["label"]].copy()
    measure = statements["probability"].isna()
    interval = [
        f"{m:.2f} ({low:.2f} to {high:.2f})"
        for m, low, high in zip(
            statements["median"], statements["lower"], statements["upper"], strict=True
        )
    ]
    chance = [f"{p:.3f}" for p in statements["probability"]]
    pairs = zip(measure, interval, chance, strict=True)
    table["value"] = [i if is_measure else p for is_measure, i, p in pairs]
    table["mcse"] = [f"{error:.2g}" for error in statements["mcse"]]
    return table.rename(columns={"label": "statement", "value": "median (95 %), or probability"})


def show(frame: pd.DataFrame, title: str) -> None:
    """Print a table with a title."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in frame.columns:
        table.add_column(escape(str(column)))
    for row in frame.itertuples(index=False):
        cells = [f"{v:.3f}" if isinstance(v, float) else str(v) for v in row]
        table.add_row(*(escape(cell) for cell in cells))
    console.print(table)


def listing(title: str, lines: list[tuple[str, str]]) -> None:
    """Print names with what they stand for."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for name, words in lines:
        table.add_row(escape(name), escape(words))
    console.print(table)


def where(out: Path, page: str = "report.html") -> None:
    """Say where the report is."""
    console.print(f"Report: {escape(str(out / page))}", highlight=False, soft_wrap=True)
