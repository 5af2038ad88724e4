"""What a plan speaks of: the data it names, the model, and the part that each estimand takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayes_msc.analysis_plan.reading import AnalysisPlan
from bayes_msc.analysis_plan.tables import CARD, ESTIMANDS, FIRST, Roles
from bayes_msc.datasets import load_trial
from bayes_msc.errors import PlanError, one_of
from bayes_msc.first_period import for_first_period
from bayes_msc.model import Model
from bayes_msc.prior import Prior, stance
from bayes_msc.published import Published, load_published, published_names, read_published
from bayes_msc.reading import read_trial
from bayes_msc.reanalysis import paper_behind
from bayes_msc.trial import Trial


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of every patient, ready to be analysed.

    Attributes
    ----------
    whole : Trial
        Everything that was counted.
    card : Model
        As the plan names it, before the plan's priors of the rate ratio are put in.
    priors : mapping of str to Prior
        Of the log rate ratio: those that stand beside the primary one.
    parts : mapping of str to (Trial, Model)
        What each estimand is estimated from, the primary one first.
    """

    whole: Trial
    card: Model
    priors: Mapping[str, Prior]
    parts: Mapping[str, tuple[Trial, Model]]

    @property
    def primary(self) -> tuple[Trial, Model]:
        """Counts and model of the primary estimand."""
        return next(iter(self.parts.values()))


def load_subject(plan: AnalysisPlan) -> Counts | Published:
    """Load what a plan names, and check that the plan can be carried out on it.

    Raises
    ------
    BayesMSCError
        If the data are missing, are not what the plan was written for, or do not suit its model or
        its estimands.
    """
    if plan.tables.data.published:
        return _published(plan)
    trial = _trial(plan)
    _same(plan, trial.sha256, trial.name)
    return counts_of(plan, trial, _card(plan))


def counts_of(plan: AnalysisPlan, trial: Trial, card: Model) -> Counts:
    """Put the plan's priors into a card, and part the trial into what each estimand takes.

    Raises
    ------
    BayesMSCError
        If the trial does not suit the model or an estimand.
    """
    priors = {name: _prior(plan, name, card) for name in plan.tables.priors.stances}
    own = card.with_prior("log_rate_ratio", _prior(plan, plan.tables.priors.primary, card))
    return Counts(trial, card, priors, _parts(plan, trial, own))


def external_of(plan: AnalysisPlan) -> list[Published] | None:
    """Other trials that the plan names; None for those that the printed results name."""
    asked = plan.tables.data.external
    if asked is None:
        return None
    return [
        load_published(name) if name in published_names() else read_published(plan.folder / name)
        for name in asked
    ]


def priors_of(plan: AnalysisPlan, published: Published) -> dict[str, Prior]:
    """Priors of the log rate ratio for printed numbers, the primary one first."""
    from bayes_msc.sensitivity.subject import facing

    table = plan.tables.priors
    names = dict.fromkeys((table.primary, *table.stances))
    return {
        name: Prior.from_table(table.own[name])
        if name in table.own
        else facing(stance(name), published.benefit)
        for name in names
    }


def _published(plan: AnalysisPlan) -> Published:
    data = plan.tables.data
    named = data.published in published_names()
    found = (
        load_published(data.published) if named else read_published(plan.folder / data.published)
    )
    if found.benefit != plan.tables.question.benefit:
        raise PlanError(
            f"{plan.name} calls a {plan.tables.question.benefit} rate better (question.benefit), "
            f"{found.name} a {found.benefit} one: correct the one that is wrong"
        )
    found.analysis(data.analysis)
    # said before anything is computed
    paper_behind(found, plan.tables.beside is not None)
    _same(plan, found.sha256, found.name)
    return found


def _trial(plan: AnalysisPlan) -> Trial:
    tables = plan.tables
    data, question = tables.data, tables.question
    if data.bundled:
        return load_trial(data.bundled, candidate=data.candidate)
    assert isinstance(tables.roles, Roles)
    path = plan.folder / data.file
    if not path.exists():
        raise PlanError(
            f"{plan.name} names the data {data.file!r}, and there is no such file in "
            f"{plan.folder.resolve()}: put it there, or correct data.file"
        )
    roles: dict[str, Any] = tables.roles.model_dump()
    words = {"endpoint": question.endpoint or "events", "exposure_unit": question.unit}
    return read_trial(path, sheet=data.sheet, title=question.title, **words, **roles)


def _same(plan: AnalysisPlan, found: str, name: str) -> None:
    """Raise if the data are not those that the plan is tied to."""
    planned = plan.tables.data.sha256
    if planned and planned != found:
        raise PlanError(
            f"the data {name} have changed: their SHA-256 is {found}, and {plan.name} was written "
            f"for {planned}. Bring the old data back; or, if the change is meant, write the new "
            "value into data.sha256 and say in the report why"
        )


def _card(plan: AnalysisPlan) -> Model:
    assert plan.tables.model is not None
    name = plan.tables.model.card
    return Model.load(plan.folder / name if Path(name).suffix == ".toml" else name)


def _prior(plan: AnalysisPlan, name: str, card: Model) -> Prior:
    if name == CARD:
        return card.priors["log_rate_ratio"]
    own = plan.tables.priors.own
    return Prior.from_table(own[name]) if name in own else stance(name)


def _parts(plan: AnalysisPlan, trial: Trial, card: Model) -> dict[str, tuple[Trial, Model]]:
    assert plan.tables.estimands is not None
    wanted = (plan.tables.estimands.primary, *plan.tables.estimands.also)
    parts = {}
    for name in wanted:
        one_of(name, ESTIMANDS[trial.design], f"estimand of a {trial.design} trial", PlanError)
        first = name == FIRST
        data, model = (trial.first_period(), for_first_period(card)) if first else (trial, card)
        # says what is missing before anything is compiled
        model.terms_for(data)
        parts[name] = data, model
    return parts
