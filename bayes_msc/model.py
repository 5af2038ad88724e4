"""Model cards: family, terms and priors with their reasons, loaded from TOML and checked."""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bayes_msc.errors import ModelError, PriorError, one_of
from bayes_msc.prior import Prior, stance
from bayes_msc.terms import TERMS
from bayes_msc.trial import Trial

#: Parameters that a family has beside its mean, in the order in which they are reported.
FAMILY_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "poisson": (),
    "negative-binomial": ("sqrt_overdispersion",),
}
_POSITIVE = ("patient_sd", "sqrt_overdispersion")


class _Card(BaseModel):
    """The shape of a card; what the words mean is checked by ``Model``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    title: str
    summary: str
    family: str
    design: Literal["any", "parallel", "crossover"]
    terms: list[str]
    optional_terms: list[str] = Field(default_factory=list)
    patient_effect: Literal["integrated", "sampled"] = "integrated"
    log_rate_centre: Literal["pooled-rate", "none"] = "pooled-rate"
    priors: dict[str, dict[str, Any]]
    references: list[str] = Field(default_factory=list)


@dataclass(frozen=True)
class Model:
    """A model for the counts of one trial: what a card says.

    Attributes
    ----------
    name : str
        The card's name, such as ``"crossover-negative-binomial"``.
    title, summary : str
        One line and one paragraph for the reader.
    family : str
        ``"poisson"`` or ``"negative-binomial"``.
    design : str
        The design it is made for: ``"any"``, ``"parallel"`` or ``"crossover"``.
    terms, optional_terms : tuple of str
        Terms of the linear predictor; the optional ones are used where the trial has the data.
    patient_effect : str
        ``"integrated"`` (out of the likelihood, by quadrature) or ``"sampled"``.
    log_rate_centre : str
        ``"pooled-rate"``: the prior of ``log_rate`` is centred on the log of all events over all
        exposure, both arms together, so that it knows the scale of the counts and nothing of the
        treatment; ``"none"``: the prior is taken as it stands.
    priors : mapping of str to Prior
    references : tuple of str
    """

    name: str
    title: str
    summary: str
    family: str
    design: str
    terms: tuple[str, ...]
    optional_terms: tuple[str, ...]
    patient_effect: str
    log_rate_centre: str
    priors: Mapping[str, Prior]
    references: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        one_of(self.family, FAMILY_PARAMETERS, "family", ModelError)
        one_of(self.patient_effect, ("integrated", "sampled"), "patient effect", ModelError)
        for term in (*self.terms, *self.optional_terms):
            one_of(term, TERMS, "term", ModelError)
        if "treatment" not in self.terms:
            raise ModelError(
                "a model needs the term 'treatment': without it there is no rate ratio"
            )
        needed = self._parameters((*self.terms, *self.optional_terms))
        for parameter in self.priors:
            one_of(parameter, needed, f"parameter with a prior in {self.name}", ModelError)
        missing = [parameter for parameter in needed if parameter not in self.priors]
        if missing:
            raise ModelError(f"{self.name} has no prior for {', '.join(missing)}")
        for parameter, prior in self.priors.items():
            self._check_support(parameter, prior)

    def _parameters(self, terms: tuple[str, ...]) -> tuple[str, ...]:
        coefficients = tuple(TERMS[term].coefficient for term in TERMS if term in terms)
        return ("log_rate", *coefficients, *FAMILY_PARAMETERS[self.family], "patient_sd")

    def _check_support(self, parameter: str, prior: Prior) -> None:
        support = "positive" if parameter in _POSITIVE else "real"
        if prior.support != support:
            raise ModelError(
                f"the prior of {parameter} is {prior}, which lives on {prior.support} numbers: "
                f"{parameter} needs one on {support} numbers"
            )
        centred = parameter == "log_rate" and self.log_rate_centre == "pooled-rate"
        if centred and "loc" not in prior.names:
            raise ModelError(
                f"the prior of log_rate is {prior}: centring on the pooled rate needs a normal or "
                'student_t; set log_rate_centre = "none" for any other'
            )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the cards that come with the package."""
        return tuple(sorted(path.stem for path in _cards_folder().glob("*.toml")))

    @classmethod
    def load(cls, source: str | Path) -> Model:
        """Load a card by its name, or from the user's own TOML file.

        Parameters
        ----------
        source : str or Path
            A name from ``Model.names()``, or a path that ends in ``.toml``.

        Raises
        ------
        ModelError
            If there is no such card, or it cannot be read; an unknown key lists the known ones.
        """
        path = Path(source)
        if path.suffix == ".toml":
            return cls.from_toml(_read(path), name=path.stem)
        one_of(source, cls.names(), "model card", ModelError)
        path = _cards_folder() / f"{source}.toml"
        return cls.from_toml(path.read_text(encoding="utf-8"), name=str(source))

    @classmethod
    def from_toml(cls, text: str, name: str) -> Model:
        """Build a model from the text of a card.

        Raises
        ------
        ModelError
            Naming the key at fault and what is allowed.
        """
        try:
            card = _Card.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ModelError(f"{name} is not valid TOML: {error}") from None
        except ValidationError as error:
            raise ModelError(_explain(name, error)) from None
        priors = {key: _read_prior(name, key, table) for key, table in card.priors.items()}
        return cls(
            name=name,
            title=card.title,
            summary=card.summary.strip(),
            family=card.family,
            design=card.design,
            terms=tuple(card.terms),
            optional_terms=tuple(card.optional_terms),
            patient_effect=card.patient_effect,
            log_rate_centre=card.log_rate_centre,
            priors=priors,
            references=tuple(card.references),
        )

    def to_toml(self) -> str:
        """Return the card as TOML, in a fixed order, so that equal models have equal texts."""
        table: dict[str, Any] = {
            "title": self.title,
            "summary": self.summary,
            "family": self.family,
            "design": self.design,
            "terms": list(self.terms),
            "optional_terms": list(self.optional_terms),
            "patient_effect": self.patient_effect,
            "log_rate_centre": self.log_rate_centre,
            "references": list(self.references),
            "priors": {name: self.priors[name].to_table() for name in sorted(self.priors)},
        }
        return tomli_w.dumps(table)

    @property
    def sha256(self) -> str:
        """SHA-256 of the card's text."""
        return hashlib.sha256(self.to_toml().encode()).hexdigest()

    def with_prior(self, parameter: str, prior: Prior | str) -> Model:
        """Return the model with another prior for one parameter.

        Parameters
        ----------
        parameter : str
            For example ``"log_rate_ratio"``.
        prior : Prior or str
            The new prior, or for ``log_rate_ratio`` the name of a stance. A prior given for
            ``log_rate`` is taken as it stands: the centring on the pooled rate is dropped.

        Raises
        ------
        ModelError
            If the model has no such parameter or the prior lives on other numbers.
        """
        one_of(parameter, self.priors, "parameter", ModelError)
        if isinstance(prior, str):
            if parameter != "log_rate_ratio":
                raise ModelError(
                    f"the stance {prior!r} speaks of log_rate_ratio: give {parameter} a Prior"
                )
            prior = stance(prior)
        centre = "none" if parameter == "log_rate" else self.log_rate_centre
        return replace(self, priors={**self.priors, parameter: prior}, log_rate_centre=centre)

    def without_term(self, term: str) -> Model:
        """Return the model without one term (and without its prior).

        Raises
        ------
        ModelError
            If the model has no such term, or it is the treatment.
        """
        one_of(term, (*self.terms, *self.optional_terms), f"term of {self.name}", ModelError)
        gone = TERMS[term].coefficient
        return replace(
            self,
            terms=tuple(t for t in self.terms if t != term),
            optional_terms=tuple(t for t in self.optional_terms if t != term),
            priors={name: prior for name, prior in self.priors.items() if name != gone},
        )

    def with_patient_effect(self, patient_effect: str) -> Model:
        """Return the model with the patient effect ``"integrated"`` or ``"sampled"``."""
        return replace(self, patient_effect=patient_effect)

    def terms_for(self, trial: Trial) -> tuple[str, ...]:
        """Terms that this trial gets: the required ones, and the optional ones it has data for.

        Raises
        ------
        ModelError
            If the model is made for another design, or a required term lacks its data.
        """
        if self.design not in ("any", trial.design):
            fitting = [name for name in self.names() if self.load(name).design != self.design]
            raise ModelError(
                f"{self.name} is for a {self.design} trial and {trial.name} is {trial.design}: "
                f"use one of {', '.join(fitting)}"
            )
        for term in self.terms:
            if not TERMS[term].available(trial):
                raise ModelError(
                    f"the term {term!r} of {self.name} needs {TERMS[term].needs}, which "
                    f"{trial.name} does not have: leave it out with model.without_term({term!r})"
                )
        optional = tuple(t for t in self.optional_terms if TERMS[t].available(trial))
        return tuple(term for term in TERMS if term in (*self.terms, *optional))

    def priors_for(self, trial: Trial) -> dict[str, Prior]:
        """Priors of the parameters that this trial gets, with ``log_rate`` on its scale.

        Returns
        -------
        dict of str to Prior
            In the order log_rate, terms, family parameters, patient_sd.
        """
        priors = {name: self.priors[name] for name in self._parameters(self.terms_for(trial))}
        if self.log_rate_centre == "pooled-rate":
            priors["log_rate"] = _shifted(priors["log_rate"], log_pooled_rate(trial))
        return priors

    def __str__(self) -> str:
        """Return the name and the title."""
        return f"{self.name}: {self.title}"


def log_pooled_rate(trial: Trial) -> float:
    """Log of (all events + 0.5) over all exposure seen, both arms together."""
    seen = trial.seen
    return math.log((float(seen["count"].sum()) + 0.5) / float(seen["exposure"].sum()))


def _shifted(prior: Prior, centre: float) -> Prior:
    numbers = dict(zip(prior.names, prior.parameters, strict=True))
    numbers["loc"] = float(np.asarray(numbers["loc"])) + centre
    why = f"{prior.why}; centred on the log of the pooled rate, {centre:.2f}"
    return Prior(prior.distribution, tuple(numbers.values()), why)


def _cards_folder() -> Path:
    """Folder of the cards: inside an installed package, beside the package in a checkout."""
    package = Path(__file__).parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelError(f"there is no model card at {path}") from None
    except (IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
        raise ModelError(f"the model card {path} cannot be read as text: {error}") from None


def _read_prior(card: str, parameter: str, table: Mapping[str, Any]) -> Prior:
    try:
        prior = Prior.from_table(table)
    except PriorError as error:
        raise ModelError(f"{card}, priors.{parameter}: {error}") from None
    if not prior.why:
        raise ModelError(f"{card}, priors.{parameter}: give the reason for its numbers as 'why'")
    return prior


def _explain(name: str, error: ValidationError) -> str:
    """Turn pydantic's report into lines that name the key, what came and what is allowed."""
    lines = [f"{name} is not a model card:"]
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            lines.append(
                f"  unknown key {key!r}: the known ones are {', '.join(_Card.model_fields)}"
            )
        elif fault["type"] == "missing":
            lines.append(f"  the key {key!r} is missing")
        else:
            lines.append(f"  {key} is {fault['input']!r}: {fault['msg'].lower()}")
    return "\n".join(lines)
