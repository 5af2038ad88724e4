"""What one would have to believe beforehand for the rule to give the other answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.exact import beyond, update
from bayes_msc.model import Model
from bayes_msc.prior import Prior, stance
from bayes_msc.refits import refit_many
from bayes_msc.routes import Effect
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.credibility import Credibility, Z, credibility_of_interval
from bayes_msc.sensitivity.integrated import IntegratedLikelihood, integrated_likelihood
from bayes_msc.sensitivity.patients import PlannedPatient, patients_seen, planned_patient
from bayes_msc.sensitivity.subject import (
    Subject,
    benefit_of,
    check_subject,
    effect_of,
    mcse_column,
    model_for,
    no_model,
    patients_of,
    rule_for,
)
from bayes_msc.trial import Trial

Answer = Callable[[Prior], tuple[float, float]]

#: Prior SDs of a sceptic that are tried: from the near certainty of no effect.
_NARROWEST = 0.05
#: The boldest prior expectation of benefit that is tried: a hundredth of the rate.
_BOLDEST = math.log(100.0)
_STEPS = 121
_NUMBERS = (
    "prior_mean",
    "prior_sd",
    "prior_mean_mcse",
    "prior_sd_mcse",
    "prior_ratio_low",
    "prior_ratio_high",
    "patients",
    "patients_planned",
    "probability",
    "mcse",
)


def needed_prior(
    subject: Subject,
    model: Model | str | Path | None = None,
    *,
    analysis: str | None = None,
    rule: Rule | Sequence[Rule] | None = None,
    seed: int = 1,
    workers: int | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Find the prior at which a rule's answer turns.

    Where the vague stance meets the rule: the sceptical prior, centred on no effect, that is just
    narrow enough to prevent it. Where it does not: how large an effect somebody would have to
    expect, with the width of the sceptical stance, for the rule to be met.

    Parameters
    ----------
    subject : Trial or Published
    model : Model, str or Path, optional
        For a Trial; by default the negative binomial card of its design.
    analysis : str, optional
        For a Published: the printed analysis, by default the preferred one.
    rule : Rule or sequence of Rule, optional
        By default a probability of benefit of 0.95 or more.
    seed, workers, progress
        See ``bayes_msc.refit_many``.

    Returns
    -------
    DataFrame
        One row a rule:

        ``rule``, ``case``
            ``"sceptic"`` or ``"advocate"``; ``"no prior"`` if none tried turns the answer.
        ``vague_probability``, ``vague_mcse``
            Probability of the rule's statement under the vague stance.
        ``prior_mean``, ``prior_sd``, ``prior_sd_mcse``, ``prior_mean_mcse``
            The prior at which the answer turns, log scale, and what Monte Carlo error leaves open.
        ``prior_ratio_low``, ``prior_ratio_high``
            Its 95 % range in rate ratios.
        ``patients``, ``patients_planned``
            How many patients of this trial it is worth, as seen and as planned: see
            ``bayes_msc.sensitivity.patients``; ``patients_planned`` is NaN for printed numbers and
            for families without a variance of mean + overdispersion * mean^2.
        ``probability``, ``mcse``
            The rule's probability from a fit under this very prior: a check.
        ``sentence``
            All this in words.

    Raises
    ------
    BayesMSCError
        If the subject or a rule is not fit for the purpose.

    Notes
    -----
    The search uses the integrated likelihood (printed numbers: the exact posterior), the check a
    new fit.
    """
    check_subject(subject)
    given = [rule] if rule is None or isinstance(rule, Rule) else list(rule)
    rules = [rule_for(subject, one) for one in given]
    view = _view(subject, model, analysis, seed)
    found = [_turning(view, one) for one in rules]
    checked = iter(_checked(view, rules, found, workers, progress))
    patient = None
    if isinstance(subject, Trial) and view.model is not None:
        patient = planned_patient(subject, view.model, seed=seed)
    rows = []
    for one, prior in zip(rules, found, strict=True):
        row = _vague(view, one)
        if prior is None:
            rows.append(row | _nothing(one, row["case"] == "sceptic"))
        else:
            rows.append(row | _row(view, one, prior, next(checked), patient))
    return pd.DataFrame(rows)


def _checked(
    view: _View,
    rules: Sequence[Rule],
    found: Sequence[Prior | None],
    workers: int | None,
    progress: bool | None,
) -> list[tuple[float, float]]:
    """Probability of each rule's statement under the prior found, by a fit of its own."""
    kept = [(r, p) for r, p in zip(rules, found, strict=True) if p is not None]
    if view.model is None or not isinstance(view.subject, Trial) or not kept:
        return [view.answer(rule)(prior) for rule, prior in kept]
    table = refit_many(
        [(view.model.with_prior("log_rate_ratio", prior), view.subject) for _, prior in kept],
        thresholds=tuple(dict.fromkeys(rule.threshold for rule, _ in kept)),
        seed=view.seed,
        workers=workers,
        progress=progress,
    )
    return [
        (
            rule.of(float(table[rule.column].iloc[i])),
            float(table[mcse_column(rule.threshold, "lower")].iloc[i]),
        )
        for i, (rule, _) in enumerate(kept)
    ]


@dataclass(frozen=True, eq=False)
class _View:
    """What is known of the rate ratio, whatever the prior: from counts or from printed numbers."""

    subject: Subject
    model: Model | None
    likelihood: IntegratedLikelihood | None
    effect: Effect | None
    seed: int

    def answer(self, rule: Rule) -> Answer:
        """Probability of the rule's statement under a prior, and its Monte Carlo error."""

        def from_counts(prior: Prior) -> tuple[float, float]:
            assert self.likelihood is not None
            mean, sd = (np.array([number]) for number in _numbers(prior))
            row = self.likelihood.normal(mean, sd, [rule.threshold]).iloc[0]
            error = float(row[mcse_column(rule.threshold, "lower")])
            return rule.of(float(row[rule.column])), error

        def from_estimate(prior: Prior) -> tuple[float, float]:
            assert self.effect is not None
            posterior = update(prior, self.effect.log_rate_ratio, self.effect.se)
            return float(beyond(posterior, rule.threshold, rule.benefit)), 0.0

        return from_estimate if self.likelihood is None else from_counts

    def standard_error(self) -> float:
        """Standard error of the log rate ratio that the likelihood alone gives.

        From counts: what has to be added to the precision of the vague stance to reach that of
        its posterior.
        """
        if self.effect is not None:
            return self.effect.se
        assert self.likelihood is not None
        wide = _numbers(stance("vague"))[1]
        row = self.likelihood.normal(np.zeros(1), np.array([wide]), [1.0]).iloc[0]
        precision = 1 / float(row["log_sd"]) ** 2 - 1 / wide**2
        return 1 / math.sqrt(precision) if precision > 0 else math.inf


def _view(
    subject: Subject, model: Model | str | Path | None, analysis: str | None, seed: int
) -> _View:
    if isinstance(subject, Trial):
        card = model_for(subject, model)
        likelihood = integrated_likelihood(subject, card, low=-2.0, high=1.0, seed=seed)
        return _View(subject, card, likelihood, None, seed)
    no_model(model)
    return _View(subject, None, None, effect_of(subject, analysis), seed)


def _numbers(prior: Prior) -> tuple[float, float]:
    """Mean and SD of a normal prior."""
    mean, sd = (float(np.asarray(prior[name])) for name in ("loc", "scale"))
    return mean, sd


def _turning(view: _View, rule: Rule) -> Prior | None:
    answer = view.answer(rule)
    vague, sceptical = stance("vague"), stance("sceptical")
    if rule.met(answer(vague)[0]):
        start, end = _numbers(vague)[1], _NARROWEST
        return _first(
            answer, rule, lambda s: Prior.normal(0.0, s), np.geomspace(start, end, _STEPS)
        )
    width = _numbers(sceptical)[1]
    sign = -1.0 if rule.benefit == "lower" else 1.0
    steps = sign * np.linspace(0.0, _BOLDEST, _STEPS)
    return _first(answer, rule, lambda m: Prior.normal(m, width), steps)


def _first(
    answer: Answer, rule: Rule, prior: Callable[[float], Prior], steps: NDArray[np.float64]
) -> Prior | None:
    """Return the prior at which the rule's answer turns first on the way along the steps."""
    from scipy import optimize

    def excess(x: float) -> float:
        return answer(prior(x))[0] - rule.probability

    before = excess(float(steps[0]))
    for a, b in zip(steps[:-1].tolist(), steps[1:].tolist(), strict=True):
        after = excess(b)
        if (before >= 0) != (after >= 0):
            root = float(optimize.brentq(excess, a, b, xtol=1e-6))
            return prior(root).because(f"the prior at which {rule.statement} is {rule.probability}")
        before = after
    return None


def _vague(view: _View, rule: Rule) -> dict[str, Any]:
    vague, error = view.answer(rule)(stance("vague"))
    case = "sceptic" if rule.met(vague) else "advocate"
    return {
        "rule": rule.words(),
        "case": case,
        "vague_probability": vague,
        "vague_mcse": error,
    }


def _nothing(rule: Rule, met: bool) -> dict[str, Any]:
    return {
        "case": "no prior",
        **dict.fromkeys(_NUMBERS, math.nan),
        "sentence": _no_prior(rule, met),
    }


def _row(
    view: _View,
    rule: Rule,
    prior: Prior,
    checked: tuple[float, float],
    patient: PlannedPatient | None,
) -> dict[str, Any]:
    vague = view.answer(rule)(stance("vague"))[0]
    met = rule.met(vague)
    mean, sd = _numbers(prior)
    patients = patients_seen(prior, patients_of(view.subject), view.standard_error())
    low, high = math.exp(mean - Z * sd), math.exp(mean + Z * sd)
    off = _uncertainty(view.answer(rule), prior, vary_sd=met)
    return {
        "prior_mean": mean,
        "prior_sd": sd,
        "prior_mean_mcse": 0.0 if met else off,
        "prior_sd_mcse": off if met else 0.0,
        "prior_ratio_low": low,
        "prior_ratio_high": high,
        "patients": patients,
        "patients_planned": patient.worth(prior) if patient else math.nan,
        "probability": checked[0],
        "mcse": checked[1],
        "sentence": _words(rule, met, mean, low, high, patients, vague),
    }


def _uncertainty(answer: Answer, prior: Prior, *, vary_sd: bool) -> float:
    """Monte Carlo error of the prior's number: that of the probability over its slope."""
    mean, sd = _numbers(prior)
    step = 0.05 * sd
    ends = [
        Prior.normal(mean, sd + k * step) if vary_sd else Prior.normal(mean + k * step, sd)
        for k in (-1, 1)
    ]
    slope = abs(answer(ends[1])[0] - answer(ends[0])[0]) / (2 * step)
    error = answer(prior)[1]
    return error / slope if slope > 0 else math.inf


def _no_prior(rule: Rule, met: bool) -> str:
    if met:
        return (
            f"No prior centred on no effect prevents {rule.words()}, however narrow: with this "
            "threshold the belief in no effect speaks for the statement."
        )
    return f"No prior expectation up to a hundredfold change of the rate leads to {rule.words()}."


def _words(
    rule: Rule, met: bool, mean: float, low: float, high: float, patients: float, vague: float
) -> str:
    worth = f"{patients:.1f} patients" if patients < 20 else f"{patients:.0f} patients"
    if met:
        return (
            f"Under the vague prior {rule.statement} is {vague:.3f}. It falls to "
            f"{rule.probability:g} for somebody who beforehand thought no effect most likely and "
            f"rate ratios between {low:.2g} and {high:.2g} 95 % probable; that belief is worth "
            f"{worth} of this trial."
        )
    return (
        f"Under the vague prior {rule.statement} is {vague:.3f}, short of {rule.probability:g}. "
        f"It is reached by somebody who beforehand expected a rate ratio of {math.exp(mean):.2g} "
        f"(95 % between {low:.2g} and {high:.2g}); that belief is worth {worth} of this trial."
    )


def credibility(
    subject: Subject,
    model: Model | str | Path | None = None,
    *,
    analysis: str | None = None,
    seed: int = 1,
) -> Credibility:
    """Matthews' analysis of credibility of a trial: see ``credibility_of_interval``.

    Parameters
    ----------
    subject : Trial or Published
        Printed numbers: the 95 % interval of the printed estimate. Counts: the 95 % interval under
        the vague stance, which stands for that of the counts alone.
    model : Model, str or Path, optional
        For a Trial; by default the negative binomial card of its design.
    analysis : str, optional
        For a Published: the printed analysis, by default the preferred one.
    seed : int

    Returns
    -------
    Credibility
        ``to_frame()`` gives a table of one row.

    Raises
    ------
    BayesMSCError
        If the subject is not fit for the purpose.
    """
    check_subject(subject)
    if isinstance(subject, Trial):
        card = model_for(subject, model).with_prior("log_rate_ratio", "vague")
        row = refit_many([(card, subject)], seed=seed).iloc[0]
        return credibility_of_interval(float(row["lower"]), float(row["upper"]))
    no_model(model)
    effect = effect_of(subject, analysis)
    ends = (math.exp(effect.log_rate_ratio + k * Z * effect.se) for k in (-1, 1))
    return credibility_of_interval(*ends, benefit=benefit_of(subject))
