"""One cell of a simulation: a design and a truth, and all that is asked of its trials."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bayes_msc.errors import BayesMSCError, DesignError, ModelError
from bayes_msc.model import Model
from bayes_msc.parameters import FAMILY_PARAMETERS
from bayes_msc.prior import Prior, stance
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.generate import Trials, generate
from bayes_msc.simulation.layout import Layout
from bayes_msc.simulation.rules import AnyRule, PValueRule
from bayes_msc.simulation.truth import AnyTruth

OWN_PRIOR = "card"
#: Trials that a classical method may leave unanswered before it is held to be unfit for a design.
_TRIES = 10


@dataclass(frozen=True)
class Analysis:
    """A model under a name, with the name of its prior for the log rate ratio."""

    name: str
    prior: str
    model: Model


@dataclass(frozen=True, eq=False)
class Cell:
    """A design and a truth, with the analyses and rules that their trials go through.

    Attributes
    ----------
    design_name, truth_name : str
    design : Design
    truth : Truth or UncertainTruth
    analyses : tuple of Analysis
    rules : mapping of str to rule
    engine : str
        As for ``bayes_msc.refit_many``.
    """

    design_name: str
    truth_name: str
    design: Design
    truth: AnyTruth
    analyses: tuple[Analysis, ...]
    rules: Mapping[str, AnyRule]
    engine: str = "auto"

    @property
    def name(self) -> str:
        """The cell in words."""
        return f"{self.design_name} / {self.truth_name}"

    @cached_property
    def source_key(self) -> str:
        """Hash of what makes the trials: cells that share it have the same trials."""
        return _hashed({"design": self.design.to_table(), "truth": self.truth.to_table()})

    @cached_property
    def key(self) -> str:
        """Hash of the whole cell."""
        return _hashed(
            {
                "source": self.source_key,
                "names": [self.design_name, self.truth_name],
                "analyses": [(a.name, a.prior, a.model.sha256) for a in self.analyses],
                "rules": {
                    name: [type(rule).__name__, asdict(rule)] for name, rule in self.rules.items()
                },
                "engine": self.engine,
            }
        )

    def trials(self, seed: int, chunk: int, size: int) -> Trials:
        """Return one chunk of the cell's trials, the same whoever asks and when."""
        entropy = [seed, int(self.source_key[:16], 16), size]
        rng = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(chunk,)))
        return generate(self.design, self.truth, size, rng)


def grid(
    designs: Mapping[str, Design],
    truths: Mapping[str, AnyTruth],
    models: Sequence[str | Model],
    priors: Mapping[str, Prior] | Sequence[str] | None,
    rules: Sequence[AnyRule] | Mapping[str, AnyRule],
    engine: str = "auto",
) -> list[Cell]:
    """Cross designs with truths, models with priors; refuse what cannot be.

    Parameters
    ----------
    designs : mapping of str to Design
    truths : mapping of str to Truth or UncertainTruth
    models : sequence of str or Model
        Models, names of cards, or families: the family ``"negative-binomial"`` stands for
        ``crossover-negative-binomial`` in a crossover and ``count-negative-binomial`` elsewhere.
    priors : mapping of str to Prior, or sequence of str, optional
        For the log rate ratio: priors by name, or names of stances; by default the cards' own.
    rules : sequence or mapping of rules
    engine : str

    Returns
    -------
    list of Cell

    Raises
    ------
    DesignError
        If something is missing, or a cell is impossible; the message names it.
    """
    named = {r.words(): r for r in rules} if not isinstance(rules, Mapping) else dict(rules)
    for what, given in (("design", designs), ("truth", truths), ("rule", named)):
        if not given:
            raise DesignError(f"no {what} is given: at least one is needed")
    if not models and any(not isinstance(rule, PValueRule) for rule in named.values()):
        raise DesignError("no model is given, but a rule asks for a posterior: give at least one")
    return [
        _cell((design_name, truth_name), design, truth, models, priors, named, engine)
        for design_name, design in designs.items()
        for truth_name, truth in truths.items()
    ]


def _cell(
    names: tuple[str, str],
    design: Design,
    truth: AnyTruth,
    models: Sequence[str | Model],
    priors: Mapping[str, Prior] | Sequence[str] | None,
    rules: Mapping[str, AnyRule],
    engine: str,
) -> Cell:
    where = f"the cell {names[0]} / {names[1]} is impossible"
    analyses = []
    for given in models:
        try:
            analyses += _analyses(given, design, priors)
        except BayesMSCError as error:
            raise DesignError(f"{where}: {error}") from None
    cell = Cell(*names, design, truth, tuple(analyses), rules, engine)
    for name, rule in rules.items():
        if isinstance(rule, PValueRule):
            note = _why_never(cell, rule)
            if note:
                raise DesignError(f"{where}: the rule {name!r} has no answer on its trials: {note}")
    return cell


def _analyses(
    given: str | Model, design: Design, priors: Mapping[str, Prior] | Sequence[str] | None
) -> list[Analysis]:
    if isinstance(given, Model):
        name, model = given.name, given
    elif given in FAMILY_PARAMETERS:
        kind = "crossover" if design.kind == "crossover" else "count"
        name, model = given, Model.load(f"{kind}-{given}")
    else:
        name, model = given, Model.load(given)
    if model.covariates:
        raise ModelError(f"{model.name} has covariates, which simulated patients lack")
    Layout(design, model)
    if priors is None:
        return [Analysis(name, OWN_PRIOR, model)]
    chosen = priors if isinstance(priors, Mapping) else {p: _stance(p, model) for p in priors}
    return [
        Analysis(name, label, model.with_prior("log_rate_ratio", prior))
        for label, prior in chosen.items()
    ]


def _stance(name: str, model: Model) -> Prior:
    return model.priors["log_rate_ratio"] if name == OWN_PRIOR else stance(name)


def _why_never(cell: Cell, rule: PValueRule) -> str:
    """Why a classical method answers none of a few trials; empty where it answers one."""
    trials = cell.trials(0, 0, _TRIES)
    note = ""
    for index in range(_TRIES):
        answer = rule.answer(trials.trial(index))
        if np.isfinite(answer.p_value):
            return ""
        note = answer.note
    return note


def _hashed(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]
