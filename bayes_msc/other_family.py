"""The same model with another family of counts."""

from __future__ import annotations

from dataclasses import replace

from bayes_msc.fit import card_for
from bayes_msc.model import Model
from bayes_msc.parameters import FAMILY_PARAMETERS
from bayes_msc.trial import Trial


def as_family(model: Model, trial: Trial, family: str) -> Model:
    """Return a model with another family: its own terms and priors, the card's for what is new.

    Parameters
    ----------
    model : Model
        Its design, terms, covariates, patient effect, centring, and the priors of all parameters
        that the other family has too are kept; so is an overdispersion of either arm where the
        other family has an overdispersion.
    trial : Trial
        Whose design names the card that the other family comes from.
    family : str
        A key of ``bayes_msc.parameters.FAMILY_PARAMETERS``.

    Returns
    -------
    Model
        With the name, title and references of the other family's card; the model itself where it
        is of that family.

    Raises
    ------
    ModelError
        If there is no card of that family.
    """
    if family == model.family:
        return model
    card = Model.load(card_for(trial, family))
    if "sqrt_overdispersion" in FAMILY_PARAMETERS[family]:
        card = card.with_dispersion(model.dispersion)
    new = {
        name: prior
        for name, prior in card.priors.items()
        if name.removesuffix("_control").removesuffix("_active") in FAMILY_PARAMETERS[family]
    }
    gone = {name for name in model.priors if name not in new and _of_a_family(name)}
    kept = {name: prior for name, prior in model.priors.items() if name not in gone}
    return replace(
        card,
        design=model.design,
        terms=model.terms,
        optional_terms=model.optional_terms,
        patient_effect=model.patient_effect,
        log_rate_centre=model.log_rate_centre,
        covariates=model.covariates,
        priors={**new, **kept},
    )


def _of_a_family(name: str) -> bool:
    """Whether a parameter belongs to a family of counts, not to the rate or the patients."""
    root = name.removesuffix("_control").removesuffix("_active")
    return any(root in names for names in FAMILY_PARAMETERS.values())
