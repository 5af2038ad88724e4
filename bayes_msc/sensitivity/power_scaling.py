"""How hard the prior and the counts pull at the rate ratio: power scaling.

A prior raised to a power a is stronger than it was for a above 1 and weaker below; the same goes
for the likelihood. How fast the posterior of the rate ratio moves with a near 1 says who has a say
in it (Kallioinen et al. 2024, Statistics and Computing 34:57): both move it, and they pull in
different directions; the prior alone moves it, and the counts say little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msc.errors import BayesMSCError, PriorError
from bayes_msc.exact import log_normal_density, update
from bayes_msc.fit import fit
from bayes_msc.model import Model
from bayes_msc.prior import Prior, stance
from bayes_msc.refits import refit_many
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.subject import (
    Subject,
    check_subject,
    effect_of,
    exact_answers,
    label_of,
    mcse_column,
    model_for,
    no_model,
    prob_column,
    rule_for,
)
from bayes_msc.trial import Trial

#: From this sensitivity on the posterior counts as moved (the paper's own).
LIMIT = 0.05
POWERS = (0.5, 2.0)
TOGETHER = "all priors together"
CONFLICT = "prior-data conflict"
STRONG = "strong prior, weak likelihood"
NONE = "none"
_QUANTILES = 4000


@dataclass(frozen=True, eq=False)
class PowerScaling:
    """Sensitivity of the rate ratio to the priors and to the counts.

    Attributes
    ----------
    sensitivity : DataFrame
        One row for all top-level priors together and one for each: ``prior``, ``distribution``,
        ``prior_sensitivity``, ``likelihood_sensitivity``, ``verdict`` and ``words``.
    refits : DataFrame
        The answer with priors raised to a power, by a new fit each: ``prior``, ``power``,
        ``scaled`` (the prior that this is), ``median``, ``lower``, ``upper``, the rule's
        probability and its Monte Carlo error, ``rule_met``. A prior whose power is no distribution
        of the package has no rows.
    label : str
        What the counts are if they are not data.
    """

    sensitivity: pd.DataFrame
    refits: pd.DataFrame
    label: str

    def __str__(self) -> str:
        """Return the verdict on all priors together, in words."""
        return str(self.sensitivity["words"].iloc[0])


def power_scaling(
    subject: Subject,
    model: Model | str | Path | None = None,
    *,
    prior: Prior | None = None,
    analysis: str | None = None,
    rule: Rule | None = None,
    seed: int = 1,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> PowerScaling:
    """Say how sensitive the rate ratio is to the priors and to the counts.

    Parameters
    ----------
    subject : Trial or Published
    model : Model, str or Path, optional
        For a Trial; by default the negative binomial card of its design.
    prior : Prior, optional
        For a Published: of the log rate ratio; by default the weak stance.
    analysis : str, optional
        For a Published: the printed analysis, by default the preferred one.
    rule : Rule, optional
        Its probability is shown for every refit; by default P(benefit) of 0.95 or more.
    seed, executor, workers, progress
        See ``bayes_msc.refit_many``.

    Returns
    -------
    PowerScaling

    Raises
    ------
    BayesMSCError
        If the subject, the prior or the rule is not fit for the purpose.

    Notes
    -----
    ``arviz_stats.psense`` at powers 0.99 and 1.01, with the limit of 0.05 of the paper. The priors
    that count are those at the top: of the rate ratio, the rate, the spreads and the other terms.
    The distribution of the patient effects is part of the model of the counts, and is left alone.
    """
    check_subject(subject)
    rule = rule_for(subject, rule)
    if isinstance(subject, Trial):
        if prior is not None:
            raise BayesMSCError(
                "the prior of a model belongs to its card: use model.with_prior(...)"
            )
        card = model_for(subject, model)
        tree = fit(subject, card, engine="auto", seed=seed, progress=False)
        priors = {n: p for n, p in card.priors_for(subject).items() if not p.is_fixed}
        changed = scaled_sets(priors)
        answers = refit_many(
            [(_with_priors(card, one.priors), subject) for one in changed],
            thresholds=(rule.threshold,),
            seed=seed,
            executor=executor,
            workers=workers,
            progress=progress,
        )
    else:
        no_model(model)
        priors = {"log_rate_ratio": stance("weak") if prior is None else prior}
        effect = effect_of(subject, analysis)
        tree = exact_tree(priors["log_rate_ratio"], effect.log_rate_ratio, effect.se)
        changed = scaled_sets(priors)
        used = [one.priors["log_rate_ratio"] for one in changed]
        answers = exact_answers(used, effect, (rule.threshold,), rule.benefit)
    table = sensitivity_table(tree, priors)
    return PowerScaling(table, _refit_table(changed, answers, rule), label_of(subject))


def sensitivity_table(fitted: xr.DataTree, priors: Mapping[str, Prior]) -> pd.DataFrame:
    """Power-scaling sensitivity of the log rate ratio in a fit, by ArviZ.

    Parameters
    ----------
    fitted : xarray.DataTree
        With the groups ``posterior``, ``log_prior`` (one variable a prior) and
        ``log_likelihood``.
    priors : mapping of str to Prior
        The top-level ones.

    Returns
    -------
    DataFrame
        See ``PowerScaling``.
    """
    names = list(priors)
    likelihood = _psense(fitted, "likelihood", None)
    groups = {TOGETHER: names} if len(names) > 1 else {}
    rows = []
    for name, members in {**groups, **{n: [n] for n in names}}.items():
        sensitivity = _psense(fitted, "prior", members)
        verdict = verdict_of(sensitivity, likelihood)
        rows.append(
            {
                "prior": name,
                "distribution": str(priors[name]) if name in priors else "",
                "prior_sensitivity": sensitivity,
                "likelihood_sensitivity": likelihood,
                "verdict": verdict,
                "words": _words(name, verdict),
            }
        )
    return pd.DataFrame(rows)


def _psense(fitted: xr.DataTree, group: str, names: list[str] | None) -> float:
    from arviz_stats import psense

    found = psense(fitted, var_names=["log_rate_ratio"], group=group, group_var_names=names)
    return float(found["log_rate_ratio"])


def verdict_of(prior: float, likelihood: float) -> str:
    """Name what two sensitivities mean together.

    Parameters
    ----------
    prior, likelihood : float
        From power scaling.

    Returns
    -------
    str
        ``"prior-data conflict"``, ``"strong prior, weak likelihood"`` or ``"none"``.
    """
    if not prior >= LIMIT:
        return NONE
    return CONFLICT if likelihood >= LIMIT else STRONG


def _words(name: str, verdict: str) -> str:
    who = "The priors together" if name == TOGETHER else f"The prior of {name}"
    many = name == TOGETHER
    if verdict == NONE:
        return f"{who} hardly {'move' if many else 'moves'} the rate ratio."
    if verdict == STRONG:
        return (
            f"{who} {'move' if many else 'moves'} the rate ratio and the counts hardly do: the "
            "answer is largely what was believed beforehand."
        )
    return (
        f"{who} and the counts both move the rate ratio: they probably pull it different ways, and "
        "the answer is a compromise. Show it under other priors too."
    )


@dataclass(frozen=True)
class Scaled:
    """Priors of which one, or all, are raised to a power."""

    name: str
    power: float
    priors: Mapping[str, Prior]


def scaled_sets(priors: Mapping[str, Prior], powers: tuple[float, ...] = POWERS) -> list[Scaled]:
    """All priors raised to each power, then each on its own; those that cannot be are left out."""
    able = {name: prior for name, prior in priors.items() if prior.distribution in _POWER}
    groups = {TOGETHER: list(priors)} if len(priors) > 1 and len(able) == len(priors) else {}
    groups |= {name: [name] for name in able}
    sets = []
    for name, members in groups.items():
        for power in powers:
            try:
                changed = {one: to_the_power(priors[one], power) for one in members}
            except PriorError:
                continue
            sets.append(Scaled(name, power, changed))
    return sets


def _with_priors(model: Model, priors: Mapping[str, Prior]) -> Model:
    for name, prior in priors.items():
        model = model.with_prior(name, prior)
    return model


def _refit_table(sets: list[Scaled], answers: pd.DataFrame, rule: Rule) -> pd.DataFrame:
    name, error = (c(rule.threshold, rule.benefit) for c in (prob_column, mcse_column))
    columns = ["prior", "power", "scaled", "median", "lower", "upper", name, error, "rule_met"]
    rows = [
        {
            "prior": one.name,
            "power": one.power,
            "scaled": str(one.priors[one.name]) if one.name in one.priors else "",
            **{c: answers[c].iloc[i] for c in ("median", "lower", "upper", name, error)},
            "rule_met": rule.met(float(answers[name].iloc[i])),
        }
        for i, one in enumerate(sets)
    ]
    return pd.DataFrame(rows, columns=columns)


def exact_tree(prior: Prior, estimate: float, se: float) -> xr.DataTree:
    """Posterior of a normal estimate as draws at its even quantiles, with the groups for psense.

    Parameters
    ----------
    prior : Prior
        Of the log rate ratio.
    estimate, se : float
    """
    even = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    # in random order, as draws would come
    values = np.random.default_rng(1).permutation(update(prior, estimate, se).ppf(even))
    shape = (4, _QUANTILES // 4)

    def group(name: str, numbers: NDArray[np.float64]) -> xr.Dataset:
        return xr.Dataset({name: (("chain", "draw"), numbers.reshape(shape))})

    return xr.DataTree.from_dict(
        {
            "posterior": group("log_rate_ratio", values),
            "log_prior": group("log_rate_ratio", np.log(prior.pdf(values))),
            "log_likelihood": group("estimate", log_normal_density(estimate, values, se)),
        }
    )


def to_the_power(prior: Prior, power: float) -> Prior:
    """Return the distribution whose density is a power of a prior's density.

    Parameters
    ----------
    prior : Prior
    power : float
        Above 0; 2 is as if the prior had been held twice over.

    Returns
    -------
    Prior
        Of the same kind.

    Raises
    ------
    PriorError
        If the power is no distribution of the same kind: of a mixture, of a half-Cauchy, or where
        it cannot be integrated.
    """
    if not (power > 0 and math.isfinite(power)):
        raise PriorError(f"the power {power:g} of a prior is impossible: it must be above 0")
    if prior.distribution not in _POWER:
        raise PriorError(
            f"{prior} to a power is no distribution of the same kind: choose one of "
            f"{', '.join(_POWER)}"
        )
    numbers = [float(np.asarray(value)) for value in prior.parameters]
    why = f"{prior.why}; to the power {power:g}"
    return Prior(prior.distribution, _POWER[prior.distribution](power, *numbers), why)


Numbers = tuple[float, ...]


def _normal(a: float, loc: float, scale: float) -> Numbers:
    return loc, scale / math.sqrt(a)


def _student_t(a: float, df: float, loc: float, scale: float) -> Numbers:
    new = a * (df + 1) - 1
    return new, loc, scale * math.sqrt(df / new) if new > 0 else scale


def _lognormal(a: float, loc: float, scale: float) -> Numbers:
    return loc + (1 - a) * scale**2 / a, scale / math.sqrt(a)


_POWER: Mapping[str, Callable[..., Numbers]] = {
    "normal": _normal,
    "student_t": _student_t,
    "half_normal": lambda a, scale: (scale / math.sqrt(a),),
    "exponential": lambda a, rate: (a * rate,),
    "gamma": lambda a, shape, rate: (a * (shape - 1) + 1, a * rate),
    "lognormal": _lognormal,
    "beta": lambda a, alpha, beta: (a * (alpha - 1) + 1, a * (beta - 1) + 1),
}
