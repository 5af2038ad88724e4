"""What a model may be: its family, terms, covariates and priors, each refused with the repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bayes_msc.covariates import coefficient
from bayes_msc.errors import ModelError, one_of
from bayes_msc.parameters import DISPERSIONS, FAMILY_PARAMETERS, check_support
from bayes_msc.prior import Prior
from bayes_msc.terms import TERMS


def check_choices(family: str, patient_effect: str, dispersion: str) -> None:
    """Refuse an unknown family or choice, and an overdispersion of either arm where none is.

    Raises
    ------
    ModelError
        Naming what is known.
    """
    one_of(family, FAMILY_PARAMETERS, "family", ModelError)
    one_of(patient_effect, ("integrated", "sampled"), "patient effect", ModelError)
    one_of(dispersion, DISPERSIONS, "dispersion", ModelError)
    if dispersion == "per-arm" and "sqrt_overdispersion" not in FAMILY_PARAMETERS[family]:
        raise ModelError(
            f"the family {family} has no overdispersion that could differ between the arms: "
            'take dispersion = "common", or another family'
        )


def check_terms(
    name: str, terms: Sequence[str], optional: Sequence[str], patient_effect: str
) -> None:
    """Refuse unknown terms, two forms of one kind, no treatment, two effects to integrate.

    Raises
    ------
    ModelError
        Naming the term and the repair.
    """
    every = tuple(dict.fromkeys((*terms, *optional)))
    for term in every:
        one_of(term, TERMS, "term", ModelError)
    if "treatment" not in terms:
        raise ModelError("a model needs the term 'treatment': without it there is no rate ratio")
    for kind in ("baseline", "carryover"):
        same = [term for term in every if TERMS[term].kind == kind]
        if len(same) > 1:
            raise ModelError(
                f"{name} has the terms {', '.join(same)}: it can have one form of {kind}, leave "
                "the others out"
            )
    if "treatment-varies" in every and patient_effect != "sampled":
        raise ModelError(
            "the term 'treatment-varies' gives every patient two effects, of which only one can "
            'be integrated out: set patient_effect = "sampled", or take '
            "model.with_varying_treatment(prior)"
        )


def check_covariates(covariates: Sequence[str]) -> None:
    """Refuse covariates whose coefficients would share a name.

    Raises
    ------
    ModelError
        Naming the column.
    """
    names = [coefficient(covariate) for covariate in covariates]
    for covariate, name in zip(covariates, names, strict=True):
        if names.count(name) > 1 or name == coefficient(""):
            raise ModelError(
                f"the coefficient of the covariate {covariate!r} would be called {name!r}, which "
                "is no name of its own: rename the column"
            )


def check_priors(name: str, priors: Mapping[str, Prior], needed: Sequence[str]) -> None:
    """Refuse a prior too many, one too few, or one on numbers that its parameter cannot have.

    Raises
    ------
    ModelError
        Naming the parameter.
    """
    for parameter in priors:
        one_of(parameter, needed, f"parameter with a prior in {name}", ModelError)
    missing = [parameter for parameter in needed if parameter not in priors]
    if missing:
        raise ModelError(f"{name} has no prior for {', '.join(missing)}")
    for parameter, prior in priors.items():
        check_support(parameter, prior)


def check_roles(priors: Mapping[str, Prior], log_rate_centre: str, patient_effect: str) -> None:
    """Refuse a prior that cannot be centred, and a patient effect of no spread to sample.

    Raises
    ------
    ModelError
        Naming the parameter and the repair.
    """
    if log_rate_centre == "pooled-rate" and "loc" not in priors["log_rate"].names:
        raise ModelError(
            f"the prior of log_rate is {priors['log_rate']}: centring on the pooled rate needs a "
            'normal or student_t; set log_rate_centre = "none" for any other'
        )
    spread = priors["patient_sd"]
    if patient_effect == "sampled" and spread.is_fixed and spread["value"] == 0.0:
        raise ModelError(
            "patient_sd is fixed at 0, which leaves no patient effect to sample: set "
            'patient_effect = "integrated"'
        )
