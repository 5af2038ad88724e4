"""Whether the rule that was fixed beforehand is met, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bayes_msc.report.prose import percent
from bayes_msc.rule import Rule

#: Within this many Monte Carlo errors of its limit, a probability is not told apart from it.
CLOSE = 2.0


@dataclass(frozen=True)
class Verdict:
    """What became of the rule.

    Attributes
    ----------
    rule : Rule
    probability, mcse : float
        Of the rule's statement, with its Monte Carlo standard error (0 if exact).
    met : bool or None
        None if the computation failed its checks: then nothing is judged.
    words : str
    """

    rule: Rule
    probability: float
    mcse: float
    met: bool | None
    words: str


def judge(rule: Rule, statements: pd.DataFrame, failed: bool = False) -> Verdict:
    """Judge a rule by the statements about the rate ratio.

    Parameters
    ----------
    rule : Rule
        Its threshold is among those of the statements.
    statements : DataFrame
        From ``summarize``, or those of one stance from ``reanalyze``.
    failed : bool
        Whether the computation failed its checks.
    """
    side = "below" if rule.benefit == "lower" else "above"
    own = statements[statements["statement"] == f"prob_rate_ratio_{side}"]
    distance = (own["threshold"].astype(float) - rule.threshold).abs()
    row = own.iloc[int(distance.to_numpy().argmin())]
    prob, mcse = float(row["probability"]), float(row["mcse"])
    asked = f"The rule that was fixed beforehand asks for {rule.words()}."
    if failed:
        words = "The computation failed its checks, so the rule is not judged."
        return Verdict(rule, prob, mcse, None, f"{asked} {words}")
    met = rule.met(prob)
    error = f" (Monte Carlo error {mcse:.1g})" if mcse > 0 else ""
    found = f"{rule.statement} is {prob:.3f}{error}, {percent(prob)}"
    words = f"{asked} {found}: the rule is {'met' if met else 'not met'}."
    if mcse > 0 and abs(prob - rule.probability) < CLOSE * mcse:
        words += " The two are so close that Monte Carlo error may decide: ask for more draws."
    if not met:
        words += " That is no proof of no effect."
    return Verdict(rule, prob, mcse, met, words)
