"""What an analysis of the prior is made of: counts of every patient, or printed numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_msc.errors import BayesMSCError, ModelError, PublishedError
from bayes_msc.evidence import TAU_PRIORS, hierarchy
from bayes_msc.exact import beyond, components, mixture, ratio_summary, update
from bayes_msc.fit import card_for
from bayes_msc.model import Model
from bayes_msc.prior import Prior, stance
from bayes_msc.published import Published, load_published, published_names
from bayes_msc.routes import Effect
from bayes_msc.rule import Rule
from bayes_msc.trial import Trial

THRESHOLDS = (1.0, 0.8, 0.5)
Subject = Trial | Published

#: Components kept of a prior that comes from other trials: each is a part of its heterogeneity.
KEPT_COMPONENTS = 6


def check_subject(subject: object) -> None:
    """Raise unless there is something to analyse.

    Raises
    ------
    BayesMSCError
        If it is neither a Trial nor a Published.
    """
    if not isinstance(subject, Trial | Published):
        raise BayesMSCError(
            f"a Trial or a Published is needed, not a {type(subject).__name__}: load_trial(name), "
            "read_trial(path) or load_published(name) gives one"
        )


def benefit_of(subject: Subject) -> str:
    """Which rates are good for the patient: ``"lower"`` or ``"higher"``."""
    return subject.benefit if isinstance(subject, Published) else "lower"


def label_of(subject: Subject) -> str:
    """What the counts are if they are not data; empty for data and for printed numbers."""
    return subject.label if isinstance(subject, Trial) else ""


def model_for(trial: Trial, model: Model | str | Path | None) -> Model:
    """Return the model asked for; by default the negative binomial of the trial's design."""
    if isinstance(model, Model):
        return model
    return Model.load(card_for(trial, "negative-binomial") if model is None else model)


def no_model(model: object) -> None:
    """Raise if a model is given where printed numbers are the data.

    Raises
    ------
    ModelError
    """
    if model is not None:
        raise ModelError(
            "printed numbers are taken as a normal estimate: a model needs the counts of every "
            "patient, a Trial"
        )


def effect_of(published: Published, analysis: str | None) -> Effect:
    """Log rate ratio and standard error of a printed analysis, by default the preferred one."""
    return published.effect(analysis)[1]


def patients_of(subject: Subject) -> int:
    """Number of patients with at least one count."""
    if isinstance(subject, Published):
        return subject.active.n + subject.control.n
    return int(subject.seen["patient"].nunique())


def rule_for(subject: Subject, rule: Rule | None) -> Rule:
    """Return the rule asked for; by default P(benefit) of 0.95 or more.

    Raises
    ------
    BayesMSCError
        If the rule calls the other direction a benefit.
    """
    benefit = benefit_of(subject)
    if rule is None:
        return Rule(1.0, 0.95, benefit)
    if rule.benefit != benefit:
        raise BayesMSCError(
            f"the rule calls a {rule.benefit} rate better, {subject.name} a {benefit} one: give "
            f"the rule benefit={benefit!r}"
        )
    return rule


def thresholds_for(
    subject: Subject, given: Sequence[float] | None, rule: Rule | None = None
) -> tuple[float, ...]:
    """Rate ratios of the statements, the rule's own among them.

    Raises
    ------
    BayesMSCError
        If one is not a rate ratio.
    """
    if given is None:
        given = THRESHOLDS
        given = given if benefit_of(subject) == "lower" else tuple(1 / c for c in given)
    limits = tuple(float(c) for c in given)
    wrong = [c for c in limits if not (math.isfinite(c) and c > 0)]
    if wrong:
        raise BayesMSCError(
            f"thresholds must be rate ratios above 0, such as 1 or 0.8: {wrong[0]:g}"
        )
    return tuple(dict.fromkeys((*limits, rule.threshold) if rule else limits))


def exact_answers(
    priors: Sequence[Prior], effect: Effect, thresholds: Sequence[float], benefit: str
) -> pd.DataFrame:
    """Posterior of the rate ratio under each prior, from a normal estimate.

    Returns
    -------
    DataFrame
        ``median``, ``lower``, ``upper`` and one column a threshold, named as ``named`` names it.
    """
    rows = []
    for prior in priors:
        posterior = update(prior, effect.log_rate_ratio, effect.se)
        ratio = ratio_summary(posterior)
        chances = beyond(posterior, thresholds, benefit)
        row = {name: ratio[name] for name in ("median", "lower", "upper")}
        for c, p in zip(thresholds, chances, strict=True):
            row |= {prob_column(c, benefit): float(p), mcse_column(c, benefit): 0.0}
        rows.append(row)
    return pd.DataFrame(rows)


def prob_column(threshold: float, benefit: str) -> str:
    """Name of the column with the probability of the good side of a threshold."""
    return f"prob_{'below' if benefit == 'lower' else 'above'}_{threshold:g}"


def mcse_column(threshold: float, benefit: str) -> str:
    """Name of the column with its Monte Carlo standard error."""
    return prob_column(threshold, benefit).replace("prob", "mcse", 1)


def facing(prior: Prior, benefit: str) -> Prior:
    """Mirror a normal stance where a higher rate is better."""
    if benefit == "lower" or float(prior["loc"]) == 0:  # type: ignore[arg-type]
        return prior
    why = f"mirror image, as a higher rate is better here, of: {prior.why}"
    return Prior.normal(-float(prior["loc"]), float(prior["scale"]), why)  # type: ignore[arg-type]


def external_prior(
    subject: Subject, external: Prior | Sequence[str | Published] | None
) -> Prior | None:
    """Prior for this trial from other trials of the same question.

    Parameters
    ----------
    subject : Trial or Published
    external : Prior, or sequence of str or Published, optional
        A prior is taken as it stands. By default the trials that the printed results name; for the
        counts of a trial, those that its own printed results name. ``[]`` for none.

    Returns
    -------
    Prior or None
        The effect in a new trial, given the others: a mixture of normals over the heterogeneity,
        for counts reduced to a few components, as each costs time in a fit. None if there is no
        other trial.

    Raises
    ------
    PublishedError
        If an external trial is this trial, or calls the other direction a benefit.
    """
    if isinstance(external, Prior):
        return external
    home = _home(subject)
    named = home.external if external is None and home else (external or ())
    others = [load_published(o) if isinstance(o, str) else o for o in named]
    if not others:
        return None
    for other in others:
        if other.name == subject.name or (home and other.name == home.name):
            raise PublishedError(f"{other.name} would be counted twice: it is this very trial")
        if other.benefit != benefit_of(subject):
            raise PublishedError(
                f"{other.name} calls a {other.benefit} rate better, {subject.name} does not: they "
                "do not ask the same question"
            )
    effects = [other.effect()[1] for other in others]
    tau = TAU_PRIORS[0]
    found = hierarchy(
        [e.log_rate_ratio for e in effects], [e.se for e in effects], stance("vague"), tau
    )
    names = ", ".join(other.short_title for other in others)
    why = (
        f"what {names} foretold for another trial of the question, trials differing by tau ~ {tau}"
    )
    prior = found.new_trial.because(why)
    return condensed(prior, KEPT_COMPONENTS) if isinstance(subject, Trial) else prior


def _home(subject: Subject) -> Published | None:
    """Printed results of this trial."""
    if isinstance(subject, Published):
        return subject
    for name in published_names():
        published = load_published(name)
        if published.related_trial == subject.name:
            return published
    return None


def condensed(prior: Prior, count: int) -> Prior:
    """Mixture of normals with few components: neighbours in width are merged, moments kept.

    Parameters
    ----------
    prior : Prior
        Normal or mixture of normals.
    count : int
        Most components to keep.
    """
    weights, locs, scales = components(prior)
    if len(weights) <= count:
        return prior
    order = np.argsort(scales)
    w, m, s = weights[order], locs[order], scales[order]
    part = np.minimum((np.cumsum(w) - 0.5 * w) * count, count - 1e-9).astype(int)
    total = np.bincount(part, w, count)
    mean = np.bincount(part, w * m, count) / total
    square = np.bincount(part, w * (s**2 + m**2), count) / total
    return mixture(total, mean, np.sqrt(square - mean**2), prior.why)
