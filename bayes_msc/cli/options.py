"""What the commands share: kinds of options, and data that is bundled or the user's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayes_msc.errors import BayesMSCError, TrialError

if TYPE_CHECKING:
    from bayes_msc.model import Model
    from bayes_msc.published import Published
    from bayes_msc.trial import Trial

DIAGNOSTIC_FAILURE, BAD_INPUT, STOPPED = 1, 2, 130


class Design(StrEnum):
    """Designs that are known."""

    parallel = "parallel"
    crossover = "crossover"


class Benefit(StrEnum):
    """Which rates are good for a patient."""

    # in capitals: text has a method lower already
    LOWER = "lower"
    HIGHER = "higher"


class Method(StrEnum):
    """Ways to combine a trial with others."""

    quadrature = "quadrature"
    pymc = "pymc"


class Engine(StrEnum):
    """Ways to sample."""

    nuts = "nuts"
    fast = "fast"
    auto = "auto"


def bundled_counts(incomplete: str) -> list[str]:
    """Names of bundled trials with counts of every patient, for the shell."""
    from bayes_msc.datasets import trial_names

    return [name for name in trial_names() if name.startswith(incomplete)]


def bundled_numbers(incomplete: str) -> list[str]:
    """Names of bundled printed results, for the shell."""
    from bayes_msc.published import published_names

    return [name for name in published_names() if name.startswith(incomplete)]


def bundled(incomplete: str) -> list[str]:
    """Names of all bundled trials, for the shell."""
    return [*bundled_numbers(incomplete), *bundled_counts(incomplete)]


def cards(incomplete: str) -> list[str]:
    """Names of the model cards, for the shell."""
    from bayes_msc.model import Model

    return [name for name in Model.names() if name.startswith(incomplete)]


CountsArgument = Annotated[
    str,
    typer.Argument(
        help="A bundled trial, or a CSV, Excel or Parquet file.", autocompletion=bundled_counts
    ),
]
NumbersArgument = Annotated[
    str,
    typer.Argument(
        help="A bundled trial, or a TOML file of yours.", autocompletion=bundled_numbers
    ),
]
SubjectArgument = Annotated[
    str,
    typer.Argument(
        help="A bundled trial; a CSV, Excel or Parquet file; or a TOML of printed numbers.",
        autocompletion=bundled,
    ),
]
BundledArgument = Annotated[str, typer.Argument(help="A bundled trial.", autocompletion=bundled)]
CardArgument = Annotated[
    str,
    typer.Argument(help="A card's name, or a TOML file of yours.", autocompletion=cards),
]
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
    str | None,
    typer.Option("--model", "-m", help="Model card: a name or a TOML file.", autocompletion=cards),
]


def _roles(
    *,
    design: DesignOf = None,
    control: Control = None,
    active: Active = None,
    patient: Patient = "patient",
    treatment: Treatment = "treatment",
    count: Count = "count",
    period: Period = None,
    sequence: Sequence = None,
    scan: Scan = None,
    month: Month = None,
    exposure: Exposure = None,
    baseline: Baseline = None,
    sheet: Sheet = None,
    title: Title = "",
    endpoint: Endpoint = "events",
    unit: Unit = "scan",
    candidate: Candidate = None,
) -> None:
    """Declare the options that say what the columns of a file are; never called."""


def with_roles(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``_roles`` where its signature has ``roles``.

    The command gets them as one mapping.
    """
    shared = dict(signature(_roles, eval_str=True).parameters)
    own = dict(signature(command, eval_str=True).parameters)

    @wraps(command)
    def run(**given: Any) -> None:
        roles = {name: given.pop(name) for name in shared}
        command(**given, roles=roles)

    merged: list[Parameter] = []
    for name, parameter in own.items():
        merged += shared.values() if name == "roles" else [parameter]
    # the order on the screen is that of the signature, and all options have names
    keywords = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in merged]
    run.__signature__ = Signature(keywords)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in merged}
    return run


def published(name: str) -> Published:
    """Load printed results by their name, or from a TOML file."""
    from bayes_msc.published import load_published, published_names, read_published

    if name not in published_names() and looks_like_a_file(name):
        return read_published(name)
    return load_published(name)


def counts(name: str, roles: Mapping[str, Any]) -> Trial:
    """Load counts by the name of a bundled trial, or from a file of the user's.

    Parameters
    ----------
    name : str
    roles : mapping of str
        The options of ``with_roles``.

    Raises
    ------
    TrialError
        If there is neither, or the file is no trial.
    """
    from bayes_msc.datasets import load_trial, trial_names
    from bayes_msc.reading import read_trial

    if name in trial_names():
        return load_trial(name, candidate=roles["candidate"])
    if not looks_like_a_file(name):
        raise TrialError(
            f"there is no bundled trial {name!r} and no such file: bundled are "
            f"{', '.join(trial_names())}"
        )
    design, unit = roles["design"], roles["unit"]
    columns = {k: v for k, v in roles.items() if k not in ("candidate", "design", "unit")}
    return read_trial(name, design=design and design.value, exposure_unit=unit, **columns)


def rule_numbers(rule: str) -> tuple[float, float]:
    """Read a rule, THRESHOLD:PROBABILITY.

    Raises
    ------
    BayesMSCError
        If it is not two numbers.
    """
    limit, _, probability = rule.partition(":")
    try:
        return float(limit), float(probability)
    except ValueError:
        raise BayesMSCError(
            f"the rule {rule!r} is not THRESHOLD:PROBABILITY: write for example 0.8:0.9 for "
            "P(RR < 0.8) of 0.9 or more"
        ) from None


def looks_like_a_file(name: str) -> bool:
    """Whether an argument is a path rather than a bundled name."""
    return bool(Path(name).suffix) or os.sep in name or Path(name).exists()


def card(name: str, stance: str | None = None) -> Model:
    """Load a model card, with another stance for the rate ratio if one is given."""
    from bayes_msc.model import Model

    found = Model.load(name)
    return found.with_prior("log_rate_ratio", stance) if stance else found
