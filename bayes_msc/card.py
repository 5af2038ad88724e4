"""Model cards as files: their shape, where they lie, and what is said of one that is faulty."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bayes_msc.covariates import coefficient
from bayes_msc.errors import ModelError, PriorError
from bayes_msc.prior import Prior


class Card(BaseModel):
    """The shape of a card; what the words mean is checked by ``Model``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    title: str
    summary: str
    family: str
    design: Literal["any", "parallel", "crossover"]
    terms: list[str]
    optional_terms: list[str] = Field(default_factory=list)
    dispersion: Literal["common", "per-arm"] = "common"
    patient_effect: Literal["integrated", "sampled"] = "integrated"
    log_rate_centre: Literal["pooled-rate", "none"] = "pooled-rate"
    priors: dict[str, dict[str, Any]]
    covariates: dict[str, dict[str, Any]] = Field(default_factory=dict)
    references: list[str] = Field(default_factory=list)


def parse_card(text: str, name: str) -> Card:
    """Read the text of a card.

    Raises
    ------
    ModelError
        Naming every key at fault and what is allowed.
    """
    try:
        return Card.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{name} is not valid TOML: {error}") from None
    except ValidationError as error:
        raise ModelError(_explain(name, error)) from None


def fields_of(text: str, name: str) -> dict[str, Any]:
    """Return what the text of a card says, as the fields of a ``Model`` beside its name.

    Raises
    ------
    ModelError
        Naming the key at fault and what is allowed.
    """
    card = parse_card(text, name)
    own = {key: read_prior(name, f"priors.{key}", table) for key, table in card.priors.items()}
    further = {
        coefficient(key): read_prior(name, f"covariates.{key}", table)
        for key, table in card.covariates.items()
    }
    return {
        "title": card.title,
        "summary": card.summary.strip(),
        "family": card.family,
        "design": card.design,
        "terms": tuple(card.terms),
        "optional_terms": tuple(card.optional_terms),
        "patient_effect": card.patient_effect,
        "log_rate_centre": card.log_rate_centre,
        "priors": {**own, **further},
        "references": tuple(card.references),
        "covariates": tuple(card.covariates),
        "dispersion": card.dispersion,
    }


def card_text(fields: Mapping[str, Any], covariates: Mapping[str, str]) -> str:
    """Return the fields of a ``Model`` as TOML, in a fixed order.

    Parameters
    ----------
    fields : mapping
        By name; ``name`` itself is not part of a card.
    covariates : mapping of str to str
        Covariate by the name of its coefficient.
    """
    priors: Mapping[str, Prior] = fields["priors"]
    keys = [key for key in Card.model_fields if key not in ("priors", "covariates", "references")]
    table: dict[str, Any] = {key: _plain(fields[key]) for key in (*keys, "references")}
    table["priors"] = {n: priors[n].to_table() for n in sorted(priors) if n not in covariates}
    if covariates:
        table["covariates"] = {covariates[n]: priors[n].to_table() for n in covariates}
    return tomli_w.dumps(table)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def cards_folder() -> Path:
    """Folder of the cards: inside an installed package, beside the package in a checkout."""
    package = Path(__file__).parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def read_text(path: Path) -> str:
    """Read a card's file.

    Raises
    ------
    ModelError
        If there is none, or it is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelError(f"there is no model card at {path}") from None
    except (IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
        raise ModelError(f"the model card {path} cannot be read as text: {error}") from None


def read_prior(card: str, key: str, table: Mapping[str, Any]) -> Prior:
    """Read one prior of a card, with its reason; ``key`` is where it stands, for messages."""
    try:
        prior = Prior.from_table(table)
    except PriorError as error:
        raise ModelError(f"{card}, {key}: {error}") from None
    if not prior.why:
        raise ModelError(f"{card}, {key}: give the reason for its numbers as 'why'")
    return prior


def _explain(name: str, error: ValidationError) -> str:
    """Turn pydantic's report into lines that name the key, what came and what is allowed."""
    lines = [f"{name} is not a model card:"]
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            lines.append(
                f"  unknown key {key!r}: the known ones are {', '.join(Card.model_fields)}"
            )
        elif fault["type"] == "missing":
            lines.append(f"  the key {key!r} is missing")
        else:
            lines.append(f"  {key} is {fault['input']!r}: {fault['msg'].lower()}")
    return "\n".join(lines)
