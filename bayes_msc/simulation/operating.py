"""Operating characteristics: how often a rule succeeds, and how far the estimates are off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.simulation.cell import grid
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.rules import AnyRule
from bayes_msc.simulation.running import Effort, run_cells
from bayes_msc.simulation.storage import Memory
from bayes_msc.simulation.summary import calibrated_thresholds, summarise
from bayes_msc.simulation.truth import AnyTruth
from bayes_msc.simulation.workers import Workers


@dataclass(frozen=True, eq=False)
class Characteristics:
    """What simulated trials say of designs, models and rules.

    Attributes
    ----------
    table : DataFrame
        One line a design, truth, model, prior and rule: see
        ``bayes_msc.simulation.summary.summarise``.
    trials : DataFrame
        One row a simulated trial, analysis and rule.
    """

    table: pd.DataFrame
    trials: pd.DataFrame

    def thresholds(self, type_one_error: float = 0.05) -> pd.DataFrame:
        """Find the probability to ask for so that a rule errs as often as stated.

        See ``bayes_msc.simulation.summary.calibrated_thresholds``.
        """
        return calibrated_thresholds(self.trials, type_one_error=type_one_error)


def named_designs(designs: Design | Sequence[Design] | Mapping[str, Design]) -> dict[str, Design]:
    """Give designs without names their words for names."""
    if isinstance(designs, Mapping):
        return dict(designs)
    several = [designs] if isinstance(designs, Design) else designs
    return {design.words(): design for design in several}


def named_truths(truths: Any) -> dict[str, AnyTruth]:
    """Give truths without names their rate ratio, or their place, for names."""
    if isinstance(truths, Mapping):
        return dict(truths)
    several = list(truths) if isinstance(truths, Sequence) else [truths]
    names = [
        f"RR {truth.rate_ratio:g}" if hasattr(truth, "rate_ratio") else f"truth {i + 1}"
        for i, truth in enumerate(several)
    ]
    if len(set(names)) < len(names):
        names = [f"{name} ({i + 1})" for i, name in enumerate(names)]
    return dict(zip(names, several, strict=True))


def characteristics(
    designs: Design | Sequence[Design] | Mapping[str, Design],
    truths: AnyTruth | Sequence[AnyTruth] | Mapping[str, AnyTruth],
    models: str | Model | Sequence[str | Model] = "negative-binomial",
    *,
    rules: Sequence[AnyRule] | Mapping[str, AnyRule],
    priors: Mapping[str, Prior] | Sequence[str] | None = None,
    trials: int = 1000,
    precision: float | None = None,
    max_trials: int = 100_000,
    engine: str = "auto",
    seed: int = 1,
    workers: int | None = None,
    executor: Any = None,
    progress: bool | None = None,
) -> Characteristics:
    """Ask simulated trials how often rules succeed, over designs, truths, models and priors.

    All models, priors and rules meet the same simulated trials.

    Parameters
    ----------
    designs : Design, or sequence or mapping of them
    truths : Truth or UncertainTruth, or sequence or mapping of them
    models : str or Model, or sequence of them
        Models, names of cards, or families: the family ``"negative-binomial"`` stands for
        ``crossover-negative-binomial`` in a crossover and ``count-negative-binomial`` elsewhere.
    rules : sequence or mapping of rules
        ``Rule``, ``IntervalRule``, ``RopeRule`` or ``PValueRule``.
    priors : mapping of str to Prior, or sequence of names of stances, optional
        For the log rate ratio; by default the cards' own.
    trials : int
        Trials of each design and truth; with a precision, the fewest.
    precision : float, optional
        Largest Monte Carlo standard error that any probability of success may have.
    max_trials : int
        Most trials of each design and truth when there is a precision.
    engine : str
        As for ``bayes_msc.refit_many``.
    seed : int
        Fixes every number, whatever the number of workers.
    workers : int, optional
        Processes of this machine; by default as many as there are cores.
    executor : concurrent.futures.Executor or dask.distributed.Client, optional
        Where to run instead.
    progress : bool, optional
        Whether to show a progress bar; by default where there is a terminal.

    Returns
    -------
    Characteristics

    Raises
    ------
    DesignError
        If a cell of the grid is impossible; the message names it.
    WorkersError
        If workers are lost again and again.
    """
    several = [models] if isinstance(models, str | Model) else list(models)
    cells = grid(named_designs(designs), named_truths(truths), several, priors, rules, engine)
    store = Memory()
    effort = Effort(trials, precision, max_trials)
    chunks = run_cells(cells, effort, store, Workers(workers, executor), seed, progress)
    found = store.read(chunks)
    return Characteristics(summarise(found), found)
