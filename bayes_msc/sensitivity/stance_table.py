"""The answer under each prior stance: what a sceptic, an enthusiast and others may conclude."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_msc.errors import PriorError
from bayes_msc.exact import beyond, check_log_ratio_prior
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.prior import stances as known_stances
from bayes_msc.published import Published
from bayes_msc.refits import refit_many
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.subject import (
    Subject,
    benefit_of,
    check_subject,
    effect_of,
    exact_answers,
    external_prior,
    facing,
    mcse_column,
    model_for,
    no_model,
    prob_column,
    rule_for,
    thresholds_for,
)
from bayes_msc.trial import Trial

_SHOWN = ("median", "lower", "upper")


def stance_priors(
    subject: Subject,
    model: Model | None = None,
    *,
    own: Prior | Mapping[str, Prior] | None = None,
    external: Prior | Sequence[str | Published] | None = None,
) -> dict[str, Prior]:
    """Return the priors of the log rate ratio that a reader may hold, by name.

    Parameters
    ----------
    subject : Trial or Published
    model : Model, optional
        Its own prior is added as ``"model"`` unless one of the stances is the same.
    own : Prior or mapping of str to Prior, optional
        The user's own, taken as it stands.
    external : Prior, or sequence of str or Published, optional
        A prior from other trials, or these trials: see ``stance_table``.

    Raises
    ------
    PriorError
        If a prior is not one of a log rate ratio, or a name is taken.
    """
    benefit = benefit_of(subject)
    priors = {name: facing(prior, benefit) for name, prior in known_stances().items()}
    others = external_prior(subject, external)
    if others is not None:
        priors["external"] = others
    given = {"own": own} if isinstance(own, Prior) else dict(own or {})
    for name, prior in given.items():
        if name in priors:
            raise PriorError(f"there is a stance named {name!r} already: give yours another name")
        if not isinstance(prior, Prior):
            raise PriorError(f"own prior {name!r} is {prior!r}: a Prior is needed")
        priors[name] = prior
    if model is not None:
        prior = model.priors["log_rate_ratio"]
        same = [p for p in priors.values() if _alike(p, prior)]
        if not same and not prior.is_fixed:
            priors["model"] = prior
    for name, prior in priors.items():
        check_log_ratio_prior(prior, f"stance {name!r}")
    return priors


def words_of(prior: Prior) -> str:
    """Return a prior in the usual notation, a mixture by its size, mean and SD."""
    if prior.distribution != "normal_mixture":
        return str(prior)
    count, frozen = len(np.atleast_1d(prior["weights"])), prior.frozen()
    return f"mixture of {count} normals, mean {frozen.mean():.2f}, SD {frozen.std():.2f}"


def _alike(one: Prior, other: Prior) -> bool:
    return (one.distribution, one.parameters) == (other.distribution, other.parameters)


def stance_table(
    subject: Subject,
    model: Model | str | Path | None = None,
    *,
    own: Prior | Mapping[str, Prior] | None = None,
    external: Prior | Sequence[str | Published] | None = None,
    analysis: str | None = None,
    rule: Rule | None = None,
    thresholds: Sequence[float] | None = None,
    seed: int = 1,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Give the answer under every prior stance: by a new fit each, or exactly from printed numbers.

    Parameters
    ----------
    subject : Trial or Published
        Counts of every patient, or printed numbers.
    model : Model, str or Path, optional
        For a Trial; by default the negative binomial card of its design.
    own : Prior or mapping of str to Prior, optional
        The reader's own prior of the log rate ratio, or several by name.
    external : Prior, or sequence of str or Published, optional
        A prior from other trials, or these trials, from which it is made: the effect in a new
        trial, trials differing by tau ~ HalfNormal(0.5). By default the trials that the bundled
        printed results of this trial name; ``[]`` for none.
    analysis : str, optional
        For a Published: the printed analysis, by default the preferred one.
    rule : Rule, optional
        By default a probability of benefit of 0.95 or more.
    thresholds : sequence of float, optional
        Rate ratios of the statements; by default 1, 0.8 and 0.5 (1, 1.25 and 2 where a higher
        rate is better). The rule's own is added.
    seed, executor, workers, progress
        See ``bayes_msc.refit_many``.

    Returns
    -------
    DataFrame
        One row a stance: ``stance``, ``prior`` (in words), ``median``, ``lower`` and ``upper`` (95
        % equal-tailed) of the rate ratio, for every threshold c ``prob_below_<c>``,
        ``mcse_below_<c>`` (Monte Carlo standard error, 0 where exact) and
        ``prior_prob_below_<c>`` (what the prior alone said), ``rule_met``, ``engine`` (``"exact"``
        for printed numbers), ``ok`` and ``why``. Where a higher rate is better, ``above`` stands
        for ``below``, and the named stances are mirrored.

    Raises
    ------
    BayesMSCError
        If the subject, a prior, the rule or a threshold is not fit for the purpose.

    Examples
    --------
    >>> import bayes_msc as bm
    >>> table = stance_table(bm.load_published("llufriu2014"))
    >>> list(table["stance"])
    ['vague', 'weak', 'sceptical', 'enthusiastic', 'external']
    """
    check_subject(subject)
    rule, benefit = rule_for(subject, rule), benefit_of(subject)
    limits = thresholds_for(subject, thresholds, rule)
    if isinstance(subject, Trial):
        card = model_for(subject, model)
        priors = stance_priors(subject, card, own=own, external=external)
        pairs = [(card.with_prior("log_rate_ratio", p), subject) for p in priors.values()]
        table = refit_many(
            pairs,
            thresholds=limits,
            seed=seed,
            executor=executor,
            workers=workers,
            progress=progress,
        )
    else:
        no_model(model)
        priors = stance_priors(subject, own=own, external=external)
        effect = effect_of(subject, analysis)
        table = exact_answers(list(priors.values()), effect, limits, benefit)
        table = table.assign(engine="exact", ok=True)
    return _arranged(table, priors, limits, rule)


def _arranged(
    table: pd.DataFrame, priors: Mapping[str, Prior], limits: Sequence[float], rule: Rule
) -> pd.DataFrame:
    columns: dict[str, object] = {
        "stance": list(priors),
        "prior": [words_of(prior) for prior in priors.values()],
        **{name: table[name].to_numpy() for name in _SHOWN},
    }
    for c in limits:
        name, error = prob_column(c, rule.benefit), mcse_column(c, rule.benefit)
        columns[name] = table[name].to_numpy()
        columns[error] = table[error].to_numpy()
        before = [float(beyond(prior, c, rule.benefit)) for prior in priors.values()]
        columns[f"prior_{name}"] = before
    met = [rule.met(p) for p in table[prob_column(rule.threshold, rule.benefit)]]
    return pd.DataFrame(
        {
            **columns,
            "rule_met": met,
            "engine": table["engine"].to_numpy(),
            "ok": table["ok"].to_numpy(),
            "why": [prior.why for prior in priors.values()],
        }
    )
