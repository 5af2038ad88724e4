"""Drop-out: how many events the unseen scans had to hold to change the rule's answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.convergence import THRESHOLDS
from bayes_msc.errors import ModelError
from bayes_msc.fit import fit
from bayes_msc.imputation import check_strategy, completed, draw_counts
from bayes_msc.leaving_out import as_for
from bayes_msc.missing import Plan, plan_of
from bayes_msc.model import Model
from bayes_msc.predictor import Draws, draws_of
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.refitting import Copies, Question
from bayes_msc.trial import Trial

ARMS = ("active", "control")
DELTAS = tuple(float(2.0**k) for k in (-4, -3, -2, -1, 0, 1, 2, 3, 4))
IMPUTATIONS = 60
TOLERANCE = 1.1


@dataclass(frozen=True, eq=False)
class TippingPoint:
    """What the unseen scans of each arm could do to the answer.

    Attributes
    ----------
    curve : DataFrame
        One row an arm and multiplier: ``arm``, ``treatment``, ``delta`` (what the mean of every
        unseen count planned on that treatment is multiplied by; the other arm's are as the seen
        counts foretell), ``prob_below_<c>``, ``prob`` of the rule's statement with its Monte Carlo
        error ``mcse``, ``rule_met``, ``events`` (mean of the unseen events drawn on that
        treatment), ``imputations``, ``refits`` (different completed trials among them),
        ``label``.
    points : DataFrame
        One row an arm: ``arm``, ``treatment``, ``unseen`` (rows), ``met`` (answer with delta 1),
        ``delta`` (the tipping point nearest to 1; missing where there is none), ``delta_low`` and
        ``delta_high`` (where the curve, two Monte Carlo errors up and down, crosses), ``events``
        (unseen events there), ``words``.
    """

    curve: pd.DataFrame
    points: pd.DataFrame


def tipping_point(
    trial: Trial,
    model: Model | str,
    *,
    rule: Rule | None = None,
    deltas: Sequence[float] = DELTAS,
    imputations: int = IMPUTATIONS,
    thresholds: Sequence[float] = THRESHOLDS,
    seed: int = 1,
    workers: int | None = None,
    progress: bool | None = None,
) -> TippingPoint:
    """Find the multiplier on unseen events at which the rule's answer changes, for either arm.

    Parameters
    ----------
    trial : Trial
    model : Model or str
    rule : Rule, optional
        By default P(RR < 1) of 0.95 or more.
    deltas : sequence of float
        Multipliers of the curve, above 0; 1 is added.
    imputations : int
        Completed trials for each multiplier, 2 or more.
    thresholds, seed, workers, progress
        As in ``bayes_msc.sensitivity.leave_patients_out``.

    Returns
    -------
    TippingPoint
        Tables without rows for an arm, or a trial, of which everything was seen.

    Raises
    ------
    ModelError
        If a multiplier is not above 0, there are fewer than 2 imputations, or the model has serial
        dependence.

    Notes
    -----
    The unseen counts are drawn given the seen ones of the same patient and the posterior (for a row
    cut short by the conditional negative binomial: Keene et al. 2014, Pharmaceutical Statistics
    13:258), their means multiplied by delta in one arm (see ``bayes_msc.draw_unseen``). The model
    is fitted to every different completed trial, once, and the posteriors are pooled. All
    multipliers share the posterior draws and the streams of random numbers. Between two multipliers
    the crossing is found by bisection with further refits, up to 10 %.
    """
    if imputations < 2:
        raise ModelError(f"imputations is {imputations}: take 2 or more, such as {IMPUTATIONS}")
    for delta in deltas:
        check_strategy("delta", float(delta), "both")
    card = model if isinstance(model, Model) else Model.load(model)
    question = Question.of(rule, thresholds, seed, workers, progress)
    plan = plan_of(trial)
    treatment = plan.trial.data["treatment"].to_numpy()[plan.unseen > 0]
    labels = {"active": trial.active, "control": trial.control}
    arms = [arm for arm in ARMS if (treatment == labels[arm]).any()]
    if not arms:
        return TippingPoint(pd.DataFrame(), pd.DataFrame())
    fitted = fit(trial, card, seed=seed, engine="auto", progress=False)
    draws = _spread(draws_of(fitted), imputations)
    held = as_for(card, trial)
    mixtures = _Mixtures(plan, held, draws, Copies(held, question), seed)
    grid = sorted({1.0, *map(float, deltas)})
    curves, points = [], []
    for arm in arms:
        rows = [mixtures.at(arm, delta) for delta in grid]
        rows, point = _located(mixtures, arm, rows)
        own = treatment == labels[arm]
        curves += [{"arm": arm, "treatment": labels[arm], **row} for row in rows]
        points.append({"arm": arm, "treatment": labels[arm], "unseen": int(own.sum()), **point})
    label = completed(plan, np.zeros(len(treatment), dtype=np.int64)).label
    return TippingPoint(pd.DataFrame(curves).assign(label=label), _worded(points, question.rule))


def _spread(draws: Draws, n: int) -> Draws:
    """Take n draws, evenly spread over the chains."""
    total = len(draws["log_rate"])
    chosen = np.linspace(0, total - 1, n).round().astype(int)
    return {name: values[chosen] for name, values in draws.items()}


@dataclass(eq=False)
class _Mixtures:
    """Posteriors pooled over completed trials, at one multiplier of one arm."""

    plan: Plan
    model: Model
    draws: Draws
    copies: Copies
    seed: int

    def at(self, arm: str, delta: float) -> dict[str, Any]:
        """Pool the refits of the completed trials."""
        rng = np.random.default_rng(self.seed)
        counts = draw_counts(self.plan, self.model, self.draws, "delta", delta, arm, rng)
        sets, times = np.unique(counts, axis=0, return_counts=True)
        found = self.copies.refit([completed(self.plan, own) for own in sets])
        share = times / times.sum()
        question = self.copies.question
        below = {
            f"prob_below_{c:g}": float(share @ found[f"prob_below_{c:g}"])
            for c in question.thresholds
        }
        prob = float(share @ found["prob"])
        spread = float(share @ (found["prob"] - prob) ** 2)
        own_error = float(share**2 @ found["mcse"] ** 2)
        return {
            "delta": delta,
            **below,
            "prob": prob,
            "mcse": float(np.sqrt(spread / (times.sum() - 1) + own_error)),
            "rule_met": question.rule.met(prob),
            "events": float(counts[:, self._own(arm)].sum(axis=1).mean()),
            "imputations": int(times.sum()),
            "refits": len(sets),
            "ok": bool(found["ok"].all()),
        }

    def _own(self, arm: str) -> NDArray[np.bool_]:
        trial = self.plan.trial
        label = trial.active if arm == "active" else trial.control
        return np.asarray(trial.data["treatment"].to_numpy()[self.plan.unseen > 0] == label)


def _located(
    mixtures: _Mixtures, arm: str, rows: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Narrow the change of answer nearest to delta 1 down, and describe it."""
    at_one = next(row for row in rows if row["delta"] == 1.0)
    met = at_one["rule_met"]
    changes = [
        (one, other)
        for one, other in zip(rows[:-1], rows[1:], strict=True)
        if one["rule_met"] != other["rule_met"]
    ]
    point = {"met": met, "prob": at_one["prob"], "delta": np.nan, "delta_low": np.nan}
    point |= {"delta_high": np.nan, "events": np.nan, "searched_low": rows[0]["delta"]}
    point["searched_high"] = rows[-1]["delta"]
    if not changes:
        return rows, point
    low, high = min(changes, key=lambda pair: abs(np.log(pair[0]["delta"] * pair[1]["delta"])))
    while high["delta"] / low["delta"] > TOLERANCE:
        middle = mixtures.at(arm, float(np.sqrt(low["delta"] * high["delta"])))
        rows.append(middle)
        if middle["rule_met"] == low["rule_met"]:
            low = middle
        else:
            high = middle
    rows = sorted(rows, key=lambda row: row["delta"])
    limit = mixtures.copies.question.rule.probability
    share = (limit - low["prob"]) / (high["prob"] - low["prob"])
    tip = float(np.exp((1 - share) * np.log(low["delta"]) + share * np.log(high["delta"])))
    edges = _edges(rows, limit, tip)
    events = float((1 - share) * low["events"] + share * high["events"])
    point |= {"delta": tip, "delta_low": edges[0], "delta_high": edges[1], "events": events}
    return rows, point


def _edges(rows: Sequence[dict[str, Any]], limit: float, tip: float) -> tuple[float, float]:
    """Multipliers around the tipping point from which the answer is beyond Monte Carlo error."""
    clear = [row["delta"] for row in rows if abs(row["prob"] - limit) > 2.0 * row["mcse"]]
    low = max((d for d in clear if d < tip), default=0.0)
    return low, min((d for d in clear if d > tip), default=np.inf)


def _worded(points: Sequence[dict[str, Any]], rule: Rule) -> pd.DataFrame:
    return pd.DataFrame([{**point, "words": _words(point, rule)} for point in points])


def _words(point: dict[str, Any], rule: Rule) -> str:
    now = "is met" if point["met"] else "is not met"
    start = (
        f"{point['unseen']} scans planned on {point['treatment']} were not seen. With as many "
        f"events there as the seen ones foretell, the rule {now} ({point['prob']:.3f})"
    )
    if np.isnan(point["delta"]):
        return (
            f"{start}, and no multiplier between {point['searched_low']:g} and "
            f"{point['searched_high']:g} changes that."
        )
    then = "no longer met" if point["met"] else "met"
    side = "more" if point["delta"] > 1 else "fewer"
    times = point["delta"] if point["delta"] > 1 else 1.0 / point["delta"]
    return (
        f"{start}; with {times:.2g} times {side} ({point['events']:.1f} events in the mean) it is "
        f"{then}."
    )
