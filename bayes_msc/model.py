"""Models: family, terms and priors with their reasons, as a card says them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from bayes_msc.card import card_text, cards_folder, fields_of, read_text
from bayes_msc.centring import log_pooled_rate, shifted
from bayes_msc.covariates import coefficient
from bayes_msc.errors import ModelError, one_of
from bayes_msc.model_checks import (
    check_choices,
    check_covariates,
    check_priors,
    check_roles,
    check_terms,
)
from bayes_msc.notebook import block, heading, listing, paragraph
from bayes_msc.parameters import family_parameters, root_of
from bayes_msc.prior import Prior, stance
from bayes_msc.terms import TERMS
from bayes_msc.trial import Trial


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
        A key of ``bayes_msc.parameters.FAMILY_PARAMETERS``, such as ``"negative-binomial"``.
    design : str
        The design it is made for: ``"any"``, ``"parallel"`` or ``"crossover"``.
    terms, optional_terms : tuple of str
        Terms of the model; the optional ones are used where the trial has the data.
    patient_effect : str
        ``"integrated"`` (out of the likelihood, by quadrature) or ``"sampled"``.
    log_rate_centre : str
        ``"pooled-rate"``: the prior of ``log_rate`` is centred on the log of all events over all
        exposure, both arms together, so that it knows the scale of the counts and nothing of the
        treatment; ``"none"``: the prior is taken as it stands.
    priors : mapping of str to Prior
    references : tuple of str
    covariates : tuple of str
        Columns of the trial that enter the log rate, standardised; the coefficient of ``age`` is
        ``covariate_age``.
    dispersion : str
        ``"common"``, or ``"per-arm"`` for an overdispersion of either arm.
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
    covariates: tuple[str, ...] = ()
    dispersion: str = "common"

    def __post_init__(self) -> None:
        check_choices(self.family, self.patient_effect, self.dispersion)
        check_terms(self.name, self.terms, self.optional_terms, self.patient_effect)
        check_covariates(self.covariates)
        needed = self._parameters((*self.terms, *self.optional_terms))
        check_priors(self.name, self.priors, needed)
        check_roles(self.priors, self.log_rate_centre, self.patient_effect)

    def _parameters(self, terms: tuple[str, ...]) -> tuple[str, ...]:
        return (
            "log_rate",
            *(TERMS[term].parameter for term in TERMS if term in terms),
            *(coefficient(covariate) for covariate in self.covariates),
            *family_parameters(self.family, self.dispersion),
            "patient_sd",
        )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the cards that come with the package."""
        return tuple(sorted(path.stem for path in cards_folder().glob("*.toml")))

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
            return cls.from_toml(read_text(path), name=path.stem)
        one_of(source, cls.names(), "model card", ModelError)
        path = cards_folder() / f"{source}.toml"
        return cls.from_toml(path.read_text(encoding="utf-8"), name=str(source))

    @classmethod
    def from_toml(cls, text: str, name: str) -> Model:
        """Build a model from the text of a card.

        Raises
        ------
        ModelError
            Naming the key at fault and what is allowed.
        """
        return cls(name=name, **fields_of(text, name))

    def to_toml(self) -> str:
        """Return the card as TOML, in a fixed order, so that equal models have equal texts."""
        shown = {item.name: getattr(self, item.name) for item in fields(self)}
        return card_text(shown, {coefficient(name): name for name in self.covariates})

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
        priors = {**self.priors, parameter: reasoned(prior)}
        return replace(self, priors=priors, log_rate_centre=centre)

    def without_term(self, term: str) -> Model:
        """Return the model without one term (and without its prior).

        Raises
        ------
        ModelError
            If the model has no such term, or it is the treatment.
        """
        one_of(term, (*self.terms, *self.optional_terms), f"term of {self.name}", ModelError)
        gone = TERMS[term].parameter
        return replace(
            self,
            terms=tuple(t for t in self.terms if t != term),
            optional_terms=tuple(t for t in self.optional_terms if t != term),
            priors={name: prior for name, prior in self.priors.items() if name != gone},
        )

    def with_patient_effect(self, patient_effect: str) -> Model:
        """Return the model with the patient effect ``"integrated"`` or ``"sampled"``."""
        return replace(self, patient_effect=patient_effect)

    def with_term(self, term: str, prior: Prior) -> Model:
        """Return the model with one more term, in place of another form of the same kind.

        Parameters
        ----------
        term : str
            For example ``"baseline-joint"``, ``"serial"`` or ``"period"``.
        prior : Prior
            Of the term's parameter.

        Raises
        ------
        ModelError
            If there is no such term, or the prior lives on other numbers.
        """
        one_of(term, TERMS, "term", ModelError)
        kind, parameter = TERMS[term].kind, TERMS[term].parameter
        rivals = [t for t in (*self.terms, *self.optional_terms) if kind and TERMS[t].kind == kind]
        gone = {TERMS[t].parameter for t in rivals}
        others = {name: p for name, p in self.priors.items() if name not in gone}
        return replace(
            self,
            terms=(*(t for t in self.terms if t not in (*rivals, term)), term),
            optional_terms=tuple(t for t in self.optional_terms if t not in (*rivals, term)),
            priors={**others, parameter: reasoned(prior)},
        )

    def with_carryover(self, width: float, *, two_sided: bool = False) -> Model:
        """Return the model with carryover from the active treatment into the next period.

        The analyst says how much carryover the wash-out leaves room for. The trial itself hardly
        can: in an AB/BA crossover it is only the difference between the sequences, between
        different patients, that speaks of carryover. For the same reason there is no preliminary
        test here: choosing between the crossover and the first period by a test of carryover
        (Grizzle 1965, Biometrics 21:467) rejects a true null hypothesis far more often than its
        level says, because the test and the first period's estimate are correlated (Freeman 1989,
        Statistics in Medicine 8:1421). Show the answer at several widths instead.

        Parameters
        ----------
        width : float
            Standard deviation of the prior; 0 for no carryover. One-sided: of
            ``carryover_fraction``, half-normal: the share of the treatment's own log rate ratio
            that lasts into period 2 on control. 0.1 is tight (hardly more than a fifth lasts),
            0.5 wide (all of it may last). Two-sided: of ``carryover_effect``, normal around 0,
            whatever the direction of the treatment's effect.
        two_sided : bool
            Whether carryover may also act against the treatment's direction.

        Raises
        ------
        ModelError
            If the width is negative.
        """
        if not (width >= 0 and math.isfinite(width)):
            raise ModelError(f"the width {width:g} of the carryover is impossible: 0 or more")
        if width == 0:
            rivals = [t for t in (*self.terms, *self.optional_terms) if "carryover" in t]
            return self.without_term(rivals[0]) if rivals else self
        if two_sided:
            why = f"the analyst's statement: carryover of either direction, SD {width:g} in logs"
            return self.with_term("carryover-two-sided", Prior.normal(0.0, width, why))
        why = f"the analyst's statement: hardly more than {2 * width:g} of the effect lasts"
        return self.with_term("carryover", Prior.half_normal(width, why))

    def with_covariate(self, covariate: str, prior: Prior) -> Model:
        """Return the model with a covariate of the trial in the log rate, standardised.

        Parameters
        ----------
        covariate : str
            One of the trial's covariates, in numbers.
        prior : Prior
            Of ``covariate_<name>``: the change of the log rate with one standard deviation.
        """
        names = (*(c for c in self.covariates if c != covariate), covariate)
        priors = {**self.priors, coefficient(covariate): reasoned(prior)}
        return replace(self, covariates=names, priors=priors)

    def without_covariate(self, covariate: str) -> Model:
        """Return the model without one covariate.

        Raises
        ------
        ModelError
            If the model has no such covariate.
        """
        one_of(covariate, self.covariates, f"covariate of {self.name}", ModelError)
        gone = coefficient(covariate)
        return replace(
            self,
            covariates=tuple(c for c in self.covariates if c != covariate),
            priors={name: prior for name, prior in self.priors.items() if name != gone},
        )

    def with_fixed(self, parameter: str, value: float, why: str = "set, not estimated") -> Model:
        """Return the model with one parameter set to a value.

        Parameters
        ----------
        parameter : str
            A free parameter, or ``"overdispersion"`` (also ``"zero_overdispersion"`` and the
            overdispersion of an arm), whose square root is then set. ``overdispersion = 1`` is what
            several clinical packages take without saying so.
        value : float
        why : str

        Raises
        ------
        ModelError
            If the model has no such parameter or it cannot have this value.
        """
        root = root_of(parameter)
        if root is not None and root in self.priors and value >= 0:
            return self.with_prior(root, Prior.fixed(math.sqrt(value), why))
        return self.with_prior(parameter, Prior.fixed(value, why))

    def with_dispersion(self, dispersion: str) -> Model:
        """Return the model with a ``"common"`` overdispersion, or one for each arm (``"per-arm"``).

        Either arm starts from the prior of the other form.

        Raises
        ------
        ModelError
            If the family has no overdispersion.
        """
        check_choices(self.family, self.patient_effect, dispersion)
        old = family_parameters(self.family, self.dispersion)
        new = family_parameters(self.family, dispersion)
        priors = {name: prior for name, prior in self.priors.items() if name not in old}
        for name in new:
            like = [o for o in old if o.startswith(name) or name.startswith(o)]
            priors[name] = self.priors[like[0]]
        return replace(self, dispersion=dispersion, priors=priors)

    def with_varying_treatment(self, prior: Prior) -> Model:
        """Return the model with a treatment effect of each patient's own (patient effect sampled).

        Parameters
        ----------
        prior : Prior
            Of ``treatment_sd``, the standard deviation between patients of the log rate ratio.
        """
        return self.with_patient_effect("sampled").with_term("treatment-varies", prior)

    def for_design(self, design: str) -> Model:
        """Return the model for ``"any"`` design, or for another one."""
        one_of(design, ("any", "parallel", "crossover"), "design", ModelError)
        return replace(self, design=design)

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
            priors["log_rate"] = shifted(priors["log_rate"], log_pooled_rate(trial))
        return priors

    def __str__(self) -> str:
        """Return the name and the title."""
        return f"{self.name}: {self.title}"

    def _repr_html_(self) -> str:
        choices = {
            "family": self.family,
            "design": self.design,
            "terms": ", ".join(self.terms),
            "where the data have it": ", ".join((*self.optional_terms, *self.covariates)) or "–",
            "patient effect": self.patient_effect,
        }
        priors = {name: f"{prior}: {prior.why}" for name, prior in self.priors.items()}
        return block(heading(self), paragraph(self.summary), listing(choices), listing(priors))


def reasoned(prior: Prior) -> Prior:
    """Return a prior with a reason: a card holds none without."""
    return prior if prior.why else prior.because("given by the analyst")
