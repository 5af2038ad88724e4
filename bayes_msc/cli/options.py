"""What the commands share: kinds of options, and data that is bundled or the user's own."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayes_msc.errors import TrialError

if TYPE_CHECKING:
    from bayes_msc.model import Model
    from bayes_msc.published import Published
    from bayes_msc.trial import Trial

DIAGNOSTIC_FAILURE, BAD_INPUT, STOPPED = 1, 2, 130


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
EngineOf = Annotated[Engine, typer.Option(help="NUTS, or importance sampling.")]
PlannedDesign = Annotated[Design, typer.Option(help="Design of the trial.")]
DesignOf = Annotated[Design | None, typer.Option(help="For a file of yours.")]
Control = Annotated[str | None, typer.Option(help="Label of the control arm.")]
Active = Annotated[str | None, typer.Option(help="Label of the active arm.")]
Patient = Annotated[str, typer.Option(help="Column of patients.")]
Treatment = Annotated[str, typer.Option(help="Column of treatments.")]
Count = Annotated[str, typer.Option(help="Column of counts.")]
Period = Annotated[str | None, typer.Option(help="Column of periods.")]
Sequence = Annotated[str | None, typer.Option(help="Column of sequences.")]
Scan = Annotated[str | None, typer.Option(help="Column of scans.")]
Month = Annotated[str | None, typer.Option(help="Column of months.")]
Exposure = Annotated[str | None, typer.Option(help="Column of exposures.")]
Baseline = Annotated[str | None, typer.Option(help="Column of baseline counts.")]
Sheet = Annotated[str | None, typer.Option(help="Sheet of an Excel file.")]
Title = Annotated[str, typer.Option(help="Title of the report.")]
Endpoint = Annotated[str, typer.Option(help="What is counted, in the plural.")]
Unit = Annotated[str, typer.Option(help="Unit of exposure, in the singular.")]
Candidate = Annotated[
    int | None, typer.Option(help="Which reconstruction, where a data set has several.")
]
Card = Annotated[
    str | None, typer.Option("--model", "-m", help="Model card: a name or a TOML file.")
]


def published(name: str) -> Published:
    """Load printed results by their name, or from a TOML file."""
    from bayes_msc.published import load_published, published_names, read_published

    if name not in published_names() and looks_like_a_file(name):
        return read_published(name)
    return load_published(name)


def counts(name: str, candidate: int | None, columns: dict[str, Any]) -> Trial:
    """Load counts by the name of a bundled trial, or from a file of the user's.

    Raises
    ------
    TrialError
        If there is neither, or the file is no trial.
    """
    from bayes_msc.datasets import load_trial, trial_names
    from bayes_msc.reading import read_trial

    if name in trial_names():
        return load_trial(name, candidate=candidate)
    if not looks_like_a_file(name):
        raise TrialError(
            f"there is no bundled trial {name!r} and no such file: bundled are "
            f"{', '.join(trial_names())}"
        )
    design = columns.pop("design")
    return read_trial(name, design=design and design.value, **columns)


def looks_like_a_file(name: str) -> bool:
    """Whether an argument is a path rather than a bundled name."""
    return bool(Path(name).suffix) or os.sep in name or Path(name).exists()


def card(name: str, stance: str | None = None) -> Model:
    """Load a model card, with another stance for the rate ratio if one is given."""
    from bayes_msc.model import Model

    found = Model.load(name)
    return found.with_prior("log_rate_ratio", stance) if stance else found
