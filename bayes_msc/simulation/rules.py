"""Decision rules beside the one on a posterior probability: intervals, equivalence, p-values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pandas as pd

from bayes_msc.comparators import (
    Answer,
    conditional_poisson,
    exact_conditional,
    gee,
    hills_armitage,
    hills_armitage_randomisation,
    mann_whitney_changes,
    negative_binomial_glm,
    paired_wilcoxon,
    permutation_mean_ratio,
    quasi_poisson_glm,
)
from bayes_msc.errors import DesignError, one_of
from bayes_msc.notebook import block, heading
from bayes_msc.rule import BENEFITS, Rule
from bayes_msc.trial import Trial

#: Classical methods that a rule may ask, by name.
METHODS: dict[str, Callable[[Trial], Answer]] = {
    "negative-binomial": negative_binomial_glm,
    "negative-binomial-wald": partial(negative_binomial_glm, interval="Wald"),
    "negative-binomial-dispersion-1": partial(negative_binomial_glm, overdispersion=1.0),
    "negative-binomial-dispersion-1-wald": partial(
        negative_binomial_glm, interval="Wald", overdispersion=1.0
    ),
    "quasi-poisson": quasi_poisson_glm,
    "gee": gee,
    "conditional-poisson": conditional_poisson,
    "exact-conditional": exact_conditional,
    "hills-armitage": hills_armitage,
    "hills-armitage-randomisation": hills_armitage_randomisation,
    "paired-wilcoxon": paired_wilcoxon,
    "mann-whitney": mann_whitney_changes,
    "permutation": permutation_mean_ratio,
}


@dataclass(frozen=True)
class IntervalRule:
    """A rule on the 95 % interval: the whole of it lies beyond a rate ratio.

    Attributes
    ----------
    limit : float
        Rate ratio that the interval must not reach: 1 for an effect at all, the edge of a region
        of practical equivalence for one that matters.
    benefit : {"lower", "higher"}

    Raises
    ------
    DesignError
        If one of the two is impossible.
    """

    limit: float = 1.0
    benefit: str = "lower"

    def __post_init__(self) -> None:
        if not (self.limit > 0 and math.isfinite(self.limit)):
            raise DesignError(f"the limit of a rule is {self.limit:g}: a rate ratio, above 0")
        one_of(self.benefit, BENEFITS, "direction of benefit", DesignError)

    def _repr_html_(self) -> str:
        return block(heading(f"Rule: {self.words()}"))

    def words(self) -> str:
        """Return the rule in words, such as ``95 % interval below RR 1``."""
        side = "below" if self.benefit == "lower" else "above"
        return f"95 % interval {side} RR {self.limit:g}"


@dataclass(frozen=True)
class RopeRule:
    """A rule for practical equivalence: P(low < rate ratio < high) is at least a probability.

    Attributes
    ----------
    low, high : float
        Edges of the region of practical equivalence, as rate ratios.
    probability : float

    Raises
    ------
    DesignError
        If the edges or the probability are impossible.
    """

    low: float
    high: float
    probability: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise DesignError(
                f"the region of equivalence is {self.low:g} to {self.high:g}: two rate ratios "
                "above 0, the smaller one first"
            )
        if not 0 < self.probability < 1:
            raise DesignError(
                f"the probability of a rule is {self.probability:g}: it must be between 0 and 1"
            )

    def _repr_html_(self) -> str:
        return block(heading(f"Rule: {self.words()}"))

    def words(self) -> str:
        """Return the rule in words, such as ``P(0.8 < RR < 1.25) of 0.95 or more``."""
        return f"P({self.low:g} < RR < {self.high:g}) of {self.probability:g} or more"


@dataclass(frozen=True)
class PValueRule:
    """A rule on a classical p-value, which no model or prior changes.

    Attributes
    ----------
    method : str
        A key of ``METHODS``.
    level : float
        The two-sided p-value has to be below it.
    estimate_below : float, optional
        What the estimated ratio has to be below as well.

    Raises
    ------
    DesignError
        If the method is unknown or a number impossible.
    """

    method: str
    level: float = 0.05
    estimate_below: float | None = None

    def __post_init__(self) -> None:
        one_of(self.method, METHODS, "classical method", DesignError)
        if not 0 < self.level < 1:
            raise DesignError(f"the level of a rule is {self.level:g}: between 0 and 1")
        if self.estimate_below is not None and not self.estimate_below > 0:
            raise DesignError(f"estimate_below is {self.estimate_below:g}: a ratio, above 0")

    def _repr_html_(self) -> str:
        return block(heading(f"Rule: {self.words()}"))

    def words(self) -> str:
        """Return the rule in words, such as ``negative-binomial p < 0.05``."""
        text = f"{self.method} p < {self.level:g}"
        return text if self.estimate_below is None else f"{text}, RR < {self.estimate_below:g}"

    def answer(self, trial: Trial) -> Answer:
        """Ask the method."""
        return METHODS[self.method](trial)


PosteriorRule = Rule | IntervalRule | RopeRule
AnyRule = PosteriorRule | PValueRule


def thresholds_of(rule: AnyRule) -> tuple[float, ...]:
    """Rate ratios c for whose P(rate ratio < c) a rule asks."""
    if isinstance(rule, Rule):
        return (rule.threshold,)
    return (rule.low, rule.high) if isinstance(rule, RopeRule) else ()


def kind_of(rule: AnyRule) -> str:
    """What the rule looks at: a ``"probability"``, a ``"limit"`` or a ``"p-value"``."""
    if isinstance(rule, Rule | RopeRule):
        return "probability"
    return "limit" if isinstance(rule, IntervalRule) else "p-value"


def statistic(rule: AnyRule, answers: pd.DataFrame) -> pd.Series:
    """Number that the rule looks at.

    Parameters
    ----------
    rule : Rule, IntervalRule, RopeRule or PValueRule
    answers : DataFrame
        One row a trial: the columns of ``refit_many``; for a p-value ``p_value`` and ``estimate``.

    Returns
    -------
    Series of float
        A probability, a limit of the interval, or a p-value.
    """
    if isinstance(rule, Rule):
        below = answers[rule.column]
        return below if rule.benefit == "lower" else 1.0 - below
    if isinstance(rule, IntervalRule):
        return answers["upper" if rule.benefit == "lower" else "lower"]
    if isinstance(rule, RopeRule):
        return answers[f"prob_below_{rule.high:g}"] - answers[f"prob_below_{rule.low:g}"]
    return answers["p_value"]


def success(rule: AnyRule, answers: pd.DataFrame) -> pd.Series:
    """Whether the rule was met; not where there is no answer."""
    value = statistic(rule, answers)
    if isinstance(rule, Rule | RopeRule):
        return value >= rule.probability
    if isinstance(rule, IntervalRule):
        return value < rule.limit if rule.benefit == "lower" else value > rule.limit
    met = value < rule.level
    return met if rule.estimate_below is None else met & (answers["estimate"] < rule.estimate_below)
