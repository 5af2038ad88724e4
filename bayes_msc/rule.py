"""Decision rules: the sentence that a trial has to earn, and whether it did."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bayes_msc.errors import BayesMSCError, one_of

BENEFITS = ("lower", "higher")


@dataclass(frozen=True)
class Rule:
    """A rule on the posterior: P(rate ratio < threshold) is at least a probability.

    Attributes
    ----------
    threshold : float
        The rate ratio c of P(rate ratio < c).
    probability : float
        What that probability has to reach, strictly between 0 and 1.
    benefit : {"lower", "higher"}
        With ``"higher"`` the rule asks for P(rate ratio > threshold).

    Raises
    ------
    BayesMSCError
        If one of the three is impossible.
    """

    threshold: float = 1.0
    probability: float = 0.95
    benefit: str = "lower"

    def __post_init__(self) -> None:
        if not (self.threshold > 0 and math.isfinite(self.threshold)):
            raise BayesMSCError(
                f"the threshold of a rule is {self.threshold:g}: it is a rate ratio, above 0"
            )
        if not 0 < self.probability < 1:
            raise BayesMSCError(
                f"the probability of a rule is {self.probability:g}: it must be between 0 and 1, "
                "for example 0.95"
            )
        one_of(self.benefit, BENEFITS, "direction of benefit", BayesMSCError)

    def of(self, prob_below: float) -> float:
        """Probability of the rule's statement, from P(rate ratio < threshold)."""
        return prob_below if self.benefit == "lower" else 1.0 - prob_below

    def met(self, prob: float) -> bool:
        """Whether the statement is probable enough.

        Parameters
        ----------
        prob : float
            Probability of the statement: P(rate ratio < threshold), or of the other side where
            ``benefit`` is ``"higher"`` (see ``of``).
        """
        return prob >= self.probability

    @property
    def column(self) -> str:
        """Name that ``refit_many`` gives to P(rate ratio < threshold)."""
        return f"prob_below_{self.threshold:g}"

    @property
    def statement(self) -> str:
        """The statement whose probability counts, such as ``P(RR < 1)``."""
        side = "<" if self.benefit == "lower" else ">"
        return f"P(RR {side} {self.threshold:g})"

    def words(self) -> str:
        """Return the rule in words, such as ``P(RR < 1) of 0.95 or more``."""
        return f"{self.statement} of {self.probability:g} or more"
