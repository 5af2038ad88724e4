"""An interim look: how probable success is once the trial is complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import DesignError, ModelError, one_of
from bayes_msc.missing import Plan
from bayes_msc.model import Model
from bayes_msc.notebook import block, heading, paragraph
from bayes_msc.notebook import table as notebook_table
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.generate import Trials, generate
from bayes_msc.simulation.rules import PosteriorRule, success, thresholds_of
from bayes_msc.simulation.summary import share_error
from bayes_msc.simulation.truth import Parameters, Truth, UncertainTruth
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
    width_now : float
        That of the trial so far.
    refits : DataFrame
        One row a complete trial, with the columns of ``bayes_msc.refit_many``.
    """

    table: pd.DataFrame
    width: tuple[float, float]
    width_now: float
    refits: pd.DataFrame

    def _repr_html_(self) -> str:
        words = (
            f"complete trials simulated from what is known so far, not data; the 95 % interval "
            f"(upper over lower limit) is {np.exp(self.width_now):.1f}-fold now, and will be about "
            f"{np.exp(self.width[0]):.1f}-fold"
        )
        return block(heading("Interim look"), paragraph(words), notebook_table(self.table))


@dataclass(frozen=True, eq=False)
class _InTurn:
    """Truths that are given: one row of the draws for each trial, in their order."""

    family: str
    draws: pd.DataFrame
    outlier: float = 1.0

    def parameters(self, trials: int, rng: np.random.Generator) -> Parameters:
        """Return the rows as they come."""
        values = Truth(1.0, 1.0).parameters(trials, rng)
        return {**values, **{str(name): self.draws[name].to_numpy(float) for name in self.draws}}

    def to_table(self) -> dict[str, Any]:
        """Return nothing: no hash is taken of them."""
        return {}


def predict_success(
    fit: xr.DataTree,
    further: Design | None = None,
    *,
    rules: Sequence[PosteriorRule],
    pending: Sequence[str] | None = None,
    trials: int = 400,
    seed: int = 1,
    workers: int | None = None,
    executor: Any = None,
    progress: bool | None = None,
) -> Prediction:
    """Ask at an interim look how probable success is once the trial is complete.

    What is still to come is simulated from the posterior of the fit, one draw of all its parameters
    a trial: the unseen scans of patients who are in, given what was seen of them, and the patients
    who are not in yet. The whole is then analysed by the same model.

    Parameters
    ----------
    fit : DataTree
        Of the trial so far.
    further : Design, optional
        Of the patients still to come; of the trial's kind, with a baseline if it has one.
    rules : sequence of Rule, IntervalRule or RopeRule
    pending : sequence of str, optional
        Patients whose unseen scans are still to come; the others have left. Needed where the trial
        has scans that were planned and not seen (``bayes_msc.missing.unseen`` lists them: rows with
        an empty count above all), ``[]`` if nobody comes back.
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
        If it is not said whose scans are still to come, nothing is, or the further patients do not
        fit the trial.

    Notes
    -----
    Unseen scans are drawn as missing at random (strategy ``"own-arm"`` of
    ``bayes_msc.imputation.draw_unseen``).
    """
    from bayes_msc.fit import model_of, trial_of
    from bayes_msc.missing import plan_of
    from bayes_msc.refits import refit_many

    model, so_far = model_of(fit), trial_of(fit)
    if trials < 1 or not rules:
        raise DesignError("give at least one rule, and 1 or more trials")
    plan = _pending(plan_of(so_far), pending)
    if further is None and not (plan.unseen > 0).any():
        raise DesignError(
            "nothing is still to come: name patients whose scans are (pending), or give the "
            "further patients as a Design"
        )
    if further is not None:
        _check(model, so_far, further)
    complete = _completed(fit, plan, further, trials, np.random.default_rng(seed))
    thresholds = tuple(sorted({1.0}.union(*(thresholds_of(rule) for rule in rules))))
    refits = refit_many(
        [*((model, trial) for trial in complete), (model, so_far)],
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
    widths = np.log((refits["upper"] / refits["lower"]).to_numpy(float))
    width, width_now = widths[:-1], float(widths[-1])
    error = float(width.std(ddof=1) / np.sqrt(trials)) if trials > 1 else np.nan
    return Prediction(pd.DataFrame(lines), (float(width.mean()), error), width_now, later)


def _pending(plan: Plan, pending: Sequence[str] | None) -> Plan:
    """Keep of what was not seen only what is still to come."""
    patients = plan.trial.data["patient"].astype(str).to_numpy()
    lacking = list(dict.fromkeys(patients[plan.unseen > 0]))
    if pending is None:
        if lacking:
            raise DesignError(
                f"scans that were planned of {', '.join(lacking)} were not seen: say with "
                "pending=[...] whose are still to come, pending=[] if those patients have left"
            )
        pending = []
    for patient in pending:
        one_of(patient, lacking, "patient with scans still to come", DesignError)
    to_come = np.isin(patients, list(pending))
    return replace(
        plan, unseen=np.where(to_come, plan.unseen, 0.0), why=np.where(to_come, plan.why, "")
    )


def _completed(
    fit: xr.DataTree, plan: Plan, further: Design | None, trials: int, rng: np.random.Generator
) -> list[Trial]:
    """Complete trials, each from one draw of the posterior for old and new patients alike."""
    from bayes_msc.fit import model_of
    from bayes_msc.imputation import completed, draw_counts
    from bayes_msc.predictor import draws_of

    model, draws = model_of(fit), draws_of(fit)
    chosen = rng.integers(0, len(draws["log_rate"]), trials)
    own: NDArray[np.int64] = np.zeros((trials, 0), dtype=np.int64)
    if (plan.unseen > 0).any():
        drawn = {name: value[chosen] for name, value in draws.items()}
        try:
            own = draw_counts(plan, model, drawn, "own-arm", 1.0, "both", rng)
        except ModelError as error:
            raise DesignError(f"the scans still to come cannot be drawn: {error}") from None
    followed = (
        [completed(plan, counts) for counts in own] if own.shape[1] else [plan.trial] * trials
    )
    if further is None:
        return followed
    truth = UncertainTruth.of_fit(fit)
    assert truth.draws is not None
    simulated = generate(further, _InTurn(truth.family, truth.draws.iloc[chosen]), trials, rng)
    return [beside(trial, simulated, index) for index, trial in enumerate(followed)]


def beside(so_far: Trial, further: Trials, index: int) -> Trial:
    """Put one simulated set of further patients beside the patients that are in."""
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
