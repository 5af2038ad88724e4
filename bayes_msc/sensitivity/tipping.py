"""Drop-out: how many events the unseen scans had to hold to change the rule's answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from bayes_msc.convergence import THRESHOLDS
from bayes_msc.errors import ModelError
from bayes_msc.fit import fit
from bayes_msc.imputation import check_strategy, completed, draw_counts
from bayes_msc.leaving_out import as_for
from bayes_msc.missing import Plan, plan_of
from bayes_msc.model import Model
from bayes_msc.notebook import banner, block, heading, paragraph, table
from bayes_msc.predictor import Draws, draws_of
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.refitting import Copies, Question
from bayes_msc.trial import Trial

Array = NDArray[np.float64]
ARMS = ("active", "control")
DELTAS = tuple(float(2.0**k) for k in (-4, -2, -1, 0, 1, 2, 4))
IMPUTATIONS = 12
#: Drawn completed trials over which the surface through the refits is averaged.
DRAWN = 2000
#: A probability closer than this to 0 or 1 counts as that close when the surface is fitted.
_EDGE = 1e-4
_STEP = 1.2
#: Least freedom that a refit is taken to leave to the surface of the others.
_LEAST_FREE = 0.05


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
        treatment), ``imputations`` (refits), ``ok`` (whether all of them passed their checks),
        ``label``.
    points : DataFrame
        One row an arm: ``arm``, ``treatment``, ``unseen`` (rows), ``met`` (answer with delta 1),
        ``prob`` with delta 1, ``delta`` (the tipping point nearest to 1; missing where there is
        none), ``delta_low`` and ``delta_high`` (two Monte Carlo errors either way), ``events``
        (unseen events there), ``searched_low`` and ``searched_high``, ``words``.
    """

    curve: pd.DataFrame
    points: pd.DataFrame

    def __str__(self) -> str:
        """Return what was found, in words."""
        if self.points.empty:
            return "Everything that was planned was seen: there is nothing to tip."
        return " ".join(str(words) for words in self.points["words"])

    def _repr_html_(self) -> str:
        label = str(self.curve["label"].iloc[0]) if len(self.curve) else ""
        parts = [banner(label), heading("Tipping point"), paragraph(self)]
        numbers = self.points.drop(columns="words", errors="ignore")
        return block(*parts, table(numbers) if len(numbers) else "")


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
        Refitted completed trials for each multiplier, 2 or more; with only two or three multipliers
        take 30 or more, for the surface goes through all of them.
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
    13:258), their means multiplied by delta in one arm (see ``bayes_msc.draw_unseen``). At each
    multiplier the model is fitted to some completed trials. How their probabilities hang on the
    unseen counts is a smooth surface, fitted to the refits of all multipliers; it serves as a
    control variate: its mean over thousands of drawn completed trials, plus the mean by which the
    refits at this multiplier depart from it. That mean is the pooled posterior's, as in
    ``bayes_msc.drop_out``, with a far smaller Monte Carlo error for as many refits. Between the
    multipliers the departure is interpolated.
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
    draws = draws_of(fit(trial, card, seed=seed, engine="auto", progress=False))
    completions = _Completions(plan, as_for(card, trial), draws, treatment == trial.active, seed)
    grid = sorted({1.0, *map(float, deltas)})
    places = [(arm, delta) for arm in arms for delta in grid]
    refits = _refitted(completions, question, places, imputations)
    curves, points = [], []
    for arm in arms:
        curve = _Curve(completions, refits, question, arm, grid)
        own = int((treatment == labels[arm]).sum())
        of_arm = {"arm": arm, "treatment": labels[arm]}
        curves += [{**of_arm, **row} for row in curve.rows]
        points.append({**of_arm, "unseen": own, **_located(curve)})
    label = completed(plan, np.zeros(len(treatment), dtype=np.int64)).label
    return TippingPoint(pd.DataFrame(curves).assign(label=label), _worded(points, question.rule))


def _spread(draws: Draws, n: int) -> Draws:
    """Take n draws, evenly spread over the chains."""
    total = len(draws["log_rate"])
    chosen = np.linspace(0, total - 1, min(n, total)).round().astype(int)
    return {name: values[chosen] for name, values in draws.items()}


@dataclass(frozen=True, eq=False)
class _Completions:
    """Completed trials, drawn at any multiplier of either arm."""

    plan: Plan
    model: Model
    draws: Draws
    active: NDArray[np.bool_]
    seed: int

    def counts(self, arm: str, delta: float, n: int) -> NDArray[np.int64]:
        """Draw sets of unseen counts, shape (n, unseen); a smaller n gives other draws."""
        rng = np.random.default_rng([self.seed, n])
        draws = _spread(self.draws, n)
        return draw_counts(self.plan, self.model, draws, "delta", delta, arm, rng)

    def features(self, counts: NDArray[np.int64]) -> Array:
        """What the surface is a function of: how many events in either arm, and how spread out."""
        columns = [np.ones(len(counts))]
        for own in (self.active, ~self.active):
            if own.any():
                total = np.log1p(counts[:, own].sum(axis=1))
                columns += [total, total**2, total**3]
            if own.sum() > 1:
                columns.append(np.log1p(counts[:, own]).mean(axis=1))
        if self.active.any() and not self.active.all():
            columns.append(columns[1] * np.log1p(counts[:, ~self.active].sum(axis=1)))
        return np.stack(columns, axis=1)


def _refitted(
    completions: _Completions,
    question: Question,
    places: Sequence[tuple[str, float]],
    imputations: int,
) -> pd.DataFrame:
    """Refit some completed trials at each place; ``counts`` holds what was filled in."""
    copies = Copies(completions.model, question)
    # with delta 1 the arms have the same completed trials, which are fitted once
    sets = [(place, own) for place in places for own in completions.counts(*place, imputations)]
    found = copies.refit([completed(completions.plan, own) for _, own in sets])
    arm, delta = zip(*(place for place, _ in sets), strict=True)
    return found.assign(arm=arm, delta=delta, counts=[own for _, own in sets])


class _Curve:
    """The probability as a function of one arm's multiplier."""

    def __init__(
        self,
        completions: _Completions,
        refits: pd.DataFrame,
        question: Question,
        arm: str,
        grid: Sequence[float],
    ) -> None:
        self.completions, self.question, self.arm, self.grid = completions, question, arm, grid
        features = completions.features(np.stack(list(refits["counts"])))
        own = refits["arm"] == arm
        places = np.where(own, refits["delta"], np.nan)
        self._surfaces = {
            name: _Surface(features, refits[name].to_numpy(float), places)
            for name in question.below
        }
        self._ok = refits[own].groupby("delta")["ok"].all()
        self._noise = refits[own].groupby("delta")["mcse"].agg(lambda m: (m**2).sum() / m.size**2)
        self._size = int(refits[own].groupby("delta").size().iloc[0])
        self.rows = [self.at(delta) for delta in grid]

    def at(self, delta: float) -> dict[str, Any]:
        """Estimate at one multiplier; between those of the grid the departure is interpolated."""
        drawn = self.completions.counts(self.arm, delta, DRAWN)
        features, question = self.completions.features(drawn), self.question
        found = {name: one.mean(features, delta) for name, one in self._surfaces.items()}
        below = {name: value for name, (value, _) in found.items()}
        column = question.rule.column
        prob = question.rule.of(below[column])
        noise = _between(self._noise.index.to_numpy(float), self._noise.to_numpy(float), delta)
        active = self.completions.active
        own = active if self.arm == "active" else ~active
        return {
            "delta": float(delta),
            **below,
            "prob": prob,
            "mcse": float(np.sqrt(found[column][1] + noise)),
            "rule_met": question.rule.met(prob),
            "events": float(drawn[:, own].sum(axis=1).mean()),
            "imputations": self._size,
            "ok": bool(self._ok.all()),
        }


class _Surface:
    """A probability as a smooth function of what was filled in, through refits.

    Parameters
    ----------
    features : ndarray of float, shape (refits, features)
    values : ndarray of float, shape (refits,)
    places : ndarray of float, shape (refits,)
        Multiplier of each refit of the arm in question; NaN for those of the other.
    """

    def __init__(self, features: Array, values: Array, places: Array) -> None:
        odds = logit(np.clip(values, _EDGE, 1.0 - _EDGE))
        inverse = np.linalg.pinv(features)
        self._coefficients = inverse @ odds
        # what the coefficients would be without each refit
        leverage = np.einsum("ij,ji->i", features, inverse)
        left = odds - features @ self._coefficients
        step = inverse * (left / np.maximum(1.0 - leverage, _LEAST_FREE))
        self._without = self._coefficients[:, None] - step
        self._grid = np.unique(places[np.isfinite(places)])
        self._at = (places == self._grid[:, None]).astype(float)
        self._departure = self._at @ (values - expit(features @ self._coefficients))
        self._departure /= self._at.sum(axis=1)
        others = self._at[:, :, None] * (1.0 - np.eye(len(values)))
        departures = values[:, None] - expit(features @ self._without)
        self._departures = np.einsum("gjn,jn->gn", others, departures) / others.sum(axis=1)

    def mean(self, drawn: Array, delta: float) -> tuple[float, float]:
        """Mean over drawn completed trials, and its variance by leaving out one refit at a time.

        The variance has the surface's own uncertainty in it, which the departures of the refits
        that it goes through do not show (jackknife: Efron & Stein 1981, Annals of Statistics
        9:586).
        """
        surface = expit(drawn @ self._coefficients)
        value = surface.mean() + _between(self._grid, self._departure, delta)
        without = expit(drawn @ self._without).mean(axis=0)
        without += [_between(self._grid, one, delta) for one in self._departures.T]
        n = len(without)
        jackknife = (n - 1) / n * float(((without - without.mean()) ** 2).sum())
        return float(np.clip(value, 0, 1)), jackknife + float(surface.var(ddof=1)) / len(drawn)


def _between(grid: NDArray[Any], values: NDArray[Any], delta: float) -> float:
    """Interpolate between multipliers, on the log scale."""
    return float(np.interp(np.log(delta), np.log(grid), values))


def _located(curve: _Curve) -> dict[str, Any]:
    """Find the change of answer nearest to delta 1, and describe it."""
    rows = curve.rows
    at_one = next(row for row in rows if row["delta"] == 1.0)
    changes = [
        (one["delta"], other["delta"])
        for one, other in pairwise(rows)
        if one["rule_met"] != other["rule_met"]
    ]
    point: dict[str, Any] = {"met": at_one["rule_met"], "prob": at_one["prob"], "delta": np.nan}
    point |= dict.fromkeys(("delta_low", "delta_high", "events"), np.nan)
    point |= {"searched_low": rows[0]["delta"], "searched_high": rows[-1]["delta"]}
    if not changes:
        return point
    low, high = min(changes, key=lambda pair: abs(np.log(pair[0] * pair[1])))
    limit = curve.question.rule.probability
    logarithm = brentq(
        lambda value: curve.at(float(np.exp(value)))["prob"] - limit,
        np.log(low),
        np.log(high),
        xtol=0.02,
    )
    tip = curve.at(float(np.exp(logarithm)))
    beside = [curve.at(tip["delta"] * factor)["prob"] for factor in (1 / _STEP, _STEP)]
    slope = abs(beside[1] - beside[0]) / (2.0 * np.log(_STEP))
    reach = np.exp(2.0 * tip["mcse"] / slope) if slope > 0 else np.inf
    return point | {
        "delta": tip["delta"],
        "delta_low": tip["delta"] / reach,
        "delta_high": tip["delta"] * reach,
        "events": tip["events"],
    }


def _worded(points: Sequence[dict[str, Any]], rule: Rule) -> pd.DataFrame:
    return pd.DataFrame([{**point, "words": _words(point, rule)} for point in points])


def _words(point: dict[str, Any], rule: Rule) -> str:
    now = "is met" if point["met"] else "is not met"
    scans = "1 scan" if point["unseen"] == 1 else f"{point['unseen']} scans"
    start = (
        f"{scans} planned on {point['treatment']} not seen. With as many "
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
