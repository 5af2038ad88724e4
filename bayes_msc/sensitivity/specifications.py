"""Specifications: every combination of choices that makes sense, and why the others do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import product

import pandas as pd

from bayes_msc.errors import ModelError, one_of
from bayes_msc.missing import carry_forward, plan_of
from bayes_msc.model import Model
from bayes_msc.other_family import as_family
from bayes_msc.parameters import FAMILY_PARAMETERS
from bayes_msc.prior import Prior, stances
from bayes_msc.trial import Trial

#: Families whose refits take a few hundredths of a second; the others are added on request.
QUICK = ("poisson", "negative-binomial")
OWN_PRIOR = "the model's own"
CARRYOVER_WIDTH = 0.25
BASELINES = {"log": "baseline", "count": "baseline-count", "joint": "baseline-joint"}
_CARRYOVERS = ("carryover", "carryover-two-sided")
_NOT_A_CHOICE = ("serial", "treatment-varies")


@dataclass(frozen=True)
class Specification:
    """One way to analyse a trial: a value for every choice.

    Attributes
    ----------
    family : str
        A key of ``bayes_msc.parameters.FAMILY_PARAMETERS``.
    dispersion : str
        ``"none"`` (the family has no overdispersion), ``"common"``, ``"per arm"``, ``"set to 1"``.
    patient_effect : str
        ``"normal"``, or ``"none"``: patients are alike but for what the terms say.
    period, carryover, baseline, covariates : str
        ``"yes"`` or ``"no"``; ``"none"`` or ``"share"``; ``"none"``, ``"log"``, ``"count"`` or
        ``"joint"``; ``"yes"`` or ``"no"``.
    rows : str
        ``"scan"``, or ``"period"``: seen scans added up, their number as exposure.
    unseen : str
        ``"seen only"``, or ``"carried forward"``.
    prior : str
        Name of the prior of the log rate ratio.
    """

    family: str
    dispersion: str
    patient_effect: str
    period: str
    carryover: str
    baseline: str
    covariates: str
    rows: str
    unseen: str
    prior: str


CHOICES = tuple(Specification.__dataclass_fields__)
#: Choices that decide which counts are foretold: only within them can models be weighed.
DATA_CHOICES = ("rows", "unseen")


@dataclass(frozen=True, eq=False)
class Grid:
    """The specifications of one trial.

    Attributes
    ----------
    trial : Trial
    model : Model
        Where the priors come from, and what is done unless a choice says otherwise.
    options : mapping of str to tuple of str
        What each choice may be.
    priors : mapping of str to Prior
        Of the log rate ratio, by name.
    kept : tuple of Specification
    left_out : DataFrame
        One row a reason: ``reason``, ``specifications`` (how many combinations it rules out).
    """

    trial: Trial
    model: Model
    options: Mapping[str, tuple[str, ...]]
    priors: Mapping[str, Prior]
    kept: tuple[Specification, ...]
    left_out: pd.DataFrame

    def pairs(self) -> list[tuple[Model, Trial]]:
        """Model and trial of every specification that was kept."""
        make = lru_cache(maxsize=None)(self._counts)
        return [(self.model_of(one), make(one.rows, one.unseen)) for one in self.kept]

    def table(self) -> pd.DataFrame:
        """One row a specification, one column a choice."""
        return pd.DataFrame([asdict(one) for one in self.kept], columns=list(CHOICES))

    def _counts(self, rows: str, unseen: str) -> Trial:
        trial = carry_forward(self.trial) if unseen == "carried forward" else self.trial
        return trial.by_period() if rows == "period" else trial

    def model_of(self, one: Specification) -> Model:
        """Return the model of a specification."""
        model = as_family(self.model, self.trial, one.family)
        if model.dispersion != "common":
            model = model.with_dispersion("common")
        if one.dispersion == "per arm":
            model = model.with_dispersion("per-arm")
        if one.dispersion == "set to 1":
            model = model.with_fixed("overdispersion", 1.0)
        if one.patient_effect == "none":
            model = model.with_fixed("patient_sd", 0.0)
        model = _with_terms(model, one)
        if one.covariates == "no":
            for name in model.covariates:
                model = model.without_covariate(name)
        return model.with_prior("log_rate_ratio", self.priors[one.prior])


def specifications(
    trial: Trial,
    model: Model | str,
    *,
    families: Sequence[str] | None = None,
    priors: Mapping[str, Prior] | None = None,
    choices: Mapping[str, Sequence[str]] | None = None,
) -> Grid:
    """Combine every choice with every other, and leave out what makes no sense.

    Parameters
    ----------
    trial : Trial
    model : Model or str
        Its priors are used wherever a specification has the parameter, and those of the package's
        cards elsewhere.
    families : sequence of str, optional
        By default those that are quick, and that of the model.
    priors : mapping of str to Prior, optional
        Of the log rate ratio; by default the stances, and that of the model where it is none.
    choices : mapping of str to sequence of str, optional
        Other options for some of the choices, such as ``{"baseline": ["none", "log", "count"]}``;
        see ``Specification``.

    Raises
    ------
    ModelError
        If a choice, option or family is unknown, or nothing is left.
    """
    card = model if isinstance(model, Model) else Model.load(model)
    for term in _NOT_A_CHOICE:
        if term in (*card.terms, *card.optional_terms):
            card = card.without_term(term)
    card = card.with_patient_effect("integrated")
    known = dict(priors) if priors is not None else _priors(card)
    options = _options(trial, card, families, tuple(known), choices or {})
    kept, reasons = [], []
    for values in product(*options.values()):
        one = Specification(*values)
        reason = next((words for words, rules_out in _REASONS.items() if rules_out(one, trial)), "")
        if reason:
            reasons.append(reason)
        else:
            kept.append(one)
    if not kept:
        raise ModelError(f"no combination of these choices makes sense: {'; '.join(set(reasons))}")
    counted = pd.Series(reasons, dtype=object).value_counts()
    left_out = pd.DataFrame({"reason": counted.index, "specifications": counted.to_numpy()})
    return Grid(trial, card, options, known, tuple(kept), left_out)


def _priors(model: Model) -> dict[str, Prior]:
    own, known = model.priors["log_rate_ratio"], stances()
    numbers = (own.distribution, own.parameters)
    if any((p.distribution, p.parameters) == numbers for p in known.values()):
        return dict(known)
    return {**known, OWN_PRIOR: own}


def _options(
    trial: Trial,
    model: Model,
    families: Sequence[str] | None,
    priors: tuple[str, ...],
    given: Mapping[str, Sequence[str]],
) -> dict[str, tuple[str, ...]]:
    crossover, sums = trial.design == "crossover", trial.by_period()
    found: dict[str, tuple[str, ...]] = {
        "family": tuple(families or dict.fromkeys((*QUICK, model.family))),
        "dispersion": ("none", "common", "per arm", "set to 1"),
        "patient_effect": ("normal", "none"),
        "period": ("yes", "no") if crossover else ("no",),
        "carryover": ("none", "share") if crossover else ("none",),
        "baseline": ("none", "log") if trial.has_baseline else ("none",),
        "covariates": ("yes", "no") if model.covariates else ("no",),
        "rows": ("scan", "period") if len(sums.data) < len(trial.data) else ("scan",),
        "unseen": ("seen only", "carried forward")
        if (plan_of(trial).unseen > 0).any()
        else ("seen only",),
        "prior": priors,
    }
    allowed = {
        **_ALLOWED,
        "family": tuple(FAMILY_PARAMETERS),
        "prior": priors,
        "covariates": found["covariates"],
    }
    for name, options in given.items():
        one_of(name, CHOICES, "choice", ModelError)
        for option in options:
            one_of(option, allowed[name], f"option for {name}", ModelError)
        found[name] = tuple(options)
    for family in found["family"]:
        one_of(family, FAMILY_PARAMETERS, "family", ModelError)
    return found


_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "dispersion": ("none", "common", "per arm", "set to 1"),
    "patient_effect": ("normal", "none"),
    "period": ("yes", "no"),
    "carryover": ("none", "share"),
    "baseline": ("none", *BASELINES),
    "rows": ("scan", "period"),
    "unseen": ("seen only", "carried forward"),
}


def _scatters(one: Specification) -> bool:
    return "sqrt_overdispersion" in FAMILY_PARAMETERS[one.family]


def _single_row(one: Specification, trial: Trial) -> bool:
    """Whether a patient has one row, so that two spreads cannot be told apart."""
    if trial.design == "crossover":
        return False
    return one.rows == "period" or bool(trial.seen.groupby("patient").size().max() == 1)


_REASONS: Mapping[str, Callable[[Specification, Trial], bool]] = {
    "the family has no overdispersion, or needs one": lambda one, trial: (
        _scatters(one) == (one.dispersion == "none")
    ),
    "an overdispersion of 1 is what some packages take for the negative binomial, no other": (
        lambda one, trial: one.dispersion == "set to 1" and one.family != "negative-binomial"
    ),
    "an overdispersion an arm asks more than few counts can answer in a family with more than one "
    "parameter of scatter": lambda one, trial: (
        one.dispersion == "per arm" and len(FAMILY_PARAMETERS[one.family]) > 1
    ),
    "without patient effect and without overdispersion all scans of a patient would be independent "
    "witnesses, which no trial of lesions has ever shown": lambda one, trial: (
        one.patient_effect == "none" and not _scatters(one)
    ),
    "with one row a patient, spread within and between patients cannot be told apart: one of the "
    "two is enough": lambda one, trial: (
        _single_row(one, trial) and one.patient_effect == "normal" and _scatters(one)
    ),
    "carryover acts in period 2 alone: without a period effect it would stand in for one": (
        lambda one, trial: one.carryover != "none" and one.period == "no"
    ),
    "a parallel trial has no period and no carryover": lambda one, trial: (
        trial.design != "crossover" and (one.period == "yes" or one.carryover != "none")
    ),
    "the trial has no baseline": lambda one, trial: (
        one.baseline != "none" and not trial.has_baseline
    ),
}


def _with_terms(model: Model, one: Specification) -> Model:
    """Give the model the period, carryover and baseline terms of a specification."""
    own = (*model.terms, *model.optional_terms)
    priors = {**_term_priors(), **model.priors}
    if one.carryover == "none":
        for term in _CARRYOVERS:
            model = model.without_term(term) if term in own else model
    elif not any(term in own for term in _CARRYOVERS):
        model = model.with_carryover(CARRYOVER_WIDTH)
    if one.period == "yes":
        model = model.with_term("period", priors["period_effect"])
    elif "period" in own:
        model = model.without_term("period")
    present = [term for term in BASELINES.values() if term in own]
    if one.baseline != "none":
        term = BASELINES[one.baseline]
        name = "baseline_level" if one.baseline == "joint" else "baseline_slope"
        return model.with_term(term, priors[name])
    return model.without_term(present[0]) if present else model


@lru_cache(maxsize=1)
def _term_priors() -> dict[str, Prior]:
    """Priors of terms that the model at hand may lack: those of the package's own card."""
    card = Model.load("crossover-negative-binomial")
    why = "the rate may have been up to sevenfold higher or lower before the trial than on control"
    return {**card.priors, "baseline_level": Prior.normal(0.0, 1.0, why)}
