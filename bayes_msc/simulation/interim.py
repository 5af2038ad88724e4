"""An interim look: how probable success is once the trial is complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayes_msc.errors import DesignError
from bayes_msc.model import Model
from bayes_msc.notebook import block, heading, paragraph, table
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.generate import Trials, generate
from bayes_msc.simulation.rules import PosteriorRule, success, thresholds_of
from bayes_msc.simulation.summary import share_error
from bayes_msc.simulation.truth import UncertainTruth
from bayes_msc.trial import Trial

if TYPE_CHECKING:
    import xarray as xr

_SHARED = ("patient", "period", "scan", "treatment", "count", "exposure", "baseline")


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predictive probability of success.

    Attributes
    ----------
    table : DataFrame
        One line a rule: ``rule``, ``probability`` (predictive probability that the complete trial
        meets it), ``mcse``, ``now`` (whether the trial so far meets it), ``trials``.
    width : tuple of float
        Mean width of the complete trial's 95 % interval on the log scale, and its standard error.
    refits : DataFrame
        One row a complete trial, with the columns of ``bayes_msc.refit_many``.
    """

    table: pd.DataFrame
    width: tuple[float, float]
    refits: pd.DataFrame

    def _repr_html_(self) -> str:
        mean, error = self.width
        said = (
            "Of complete trials simulated from what was seen so far. Mean width of their 95 % "
            f"interval on the log scale: {mean:.3f} (standard error {error:.3f})."
        )
        return block(heading("Predicted success"), paragraph(said), table(self.table))


def predict_success(
    fit: xr.DataTree,
    further: Design,
    *,
    rules: Sequence[PosteriorRule],
    trials: int = 400,
    seed: int = 1,
    workers: int | None = None,
    executor: Any = None,
    progress: bool | None = None,
) -> Prediction:
    """Ask at an interim look how probable success is once further patients have been seen.

    Further patients are simulated from the posterior of the fit, one draw of all its parameters a
    trial; they are put beside those seen so far, and the whole is analysed by the same model.

    Parameters
    ----------
    fit : DataTree
        Of the trial so far.
    further : Design
        Of the patients still to come; of the trial's kind, with a baseline if it has one.
    rules : sequence of Rule, IntervalRule or RopeRule
    trials : int
        Complete trials to simulate.
    seed, workers, executor, progress
        As for ``bayes_msc.refit_many``.

    Returns
    -------
    Prediction

    Raises
    ------
    DesignError
        If the further patients do not fit the trial.
    """
    from bayes_msc.fit import model_of, trial_of
    from bayes_msc.refits import refit_many

    model, so_far = model_of(fit), trial_of(fit)
    _check(model, so_far, further)
    if trials < 1 or not rules:
        raise DesignError("give at least one rule, and 1 or more trials")
    truth = UncertainTruth.of_fit(fit)
    simulated = generate(further, truth, trials, np.random.default_rng(seed))
    pairs = [(model, complete(so_far, simulated, index)) for index in range(trials)]
    thresholds = tuple(sorted({1.0}.union(*(thresholds_of(rule) for rule in rules))))
    refits = refit_many(
        [*pairs, (model, so_far)],
        thresholds=thresholds,
        seed=seed,
        workers=workers,
        executor=executor,
        progress=progress,
    ).rename(columns={"median": "estimate"})
    later, now = refits.iloc[:-1], refits.iloc[-1:]
    lines = []
    for rule in rules:
        hits = int(success(rule, later).sum())
        lines.append(
            {
                "rule": rule.words(),
                "probability": hits / trials,
                "mcse": float(share_error(hits, trials)),
                "now": bool(success(rule, now).iloc[0]),
                "trials": trials,
            }
        )
    width = np.log(later["upper"] / later["lower"])
    error = float(width.std(ddof=1) / np.sqrt(trials)) if trials > 1 else np.nan
    return Prediction(pd.DataFrame(lines), (float(width.mean()), error), later)


def complete(so_far: Trial, further: Trials, index: int) -> Trial:
    """Put one simulated set of further patients beside the patients seen so far."""
    new = further.trial(index)
    table = new.data
    table["patient"] = "further " + table["patient"].astype(str)
    labels = {new.control: so_far.control, new.active: so_far.active}
    table["treatment"] = table["treatment"].map(labels)
    old = so_far.data
    columns = [name for name in _SHARED if name in old]
    both = pd.concat([old[columns], table.reindex(columns=columns)], ignore_index=True)
    return Trial(
        both,
        design=so_far.design,
        control=so_far.control,
        active=so_far.active,
        name=f"{so_far.name}, completed",
        provenance="simulated",
    )


def _check(model: Model, so_far: Trial, further: Design) -> None:
    if so_far.design != further.kind:
        raise DesignError(
            f"the trial so far is a {so_far.design} trial and the further patients are in a "
            f"{further.kind} trial: they must be of one kind"
        )
    if model.covariates:
        raise DesignError(f"{model.name} has covariates, which simulated patients lack")
    if so_far.has_baseline and not further.baseline:
        raise DesignError(
            "the patients so far have a baseline: give the further ones one, "
            "Design(..., baseline=True)"
        )
