"""The sentences of a report: plain English from numbers, and from nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bayes_msc.prior import Prior

NO_BREAK = "\u00a0"
CERTAIN, LIKELY, PROBABLE, LEANING = 0.99, 0.95, 0.80, 0.60


@dataclass(frozen=True)
class Words:
    """How the trial's treatments and events are called in a sentence.

    Parameters
    ----------
    active : str
        The treatment under test.
    control : str
        What it is compared with.
    events : str
        The events that are counted, in the plural.
    benefit : str
        ``lower`` if fewer events are good for the patient, ``higher`` if more are.
    """

    active: str
    control: str
    events: str
    benefit: str = "lower"

    @property
    def good(self) -> str:
        """What a treatment that helps has done to the rate."""
        return "lowered" if self.benefit == "lower" else "raised"

    @property
    def bad(self) -> str:
        """What a treatment that harms has done to the rate."""
        return "raised" if self.benefit == "lower" else "lowered"

    @property
    def side(self) -> str:
        """On which side of a threshold the good rate ratios lie."""
        return "below" if self.benefit == "lower" else "above"


def percent(probability: float) -> str:
    """Return a probability as a whole percentage, never 0 % or 100 %.

    Parameters
    ----------
    probability : float
        Between 0 and 1; NaN gives "unknown".
    """
    if math.isnan(probability):
        return "unknown"
    if probability >= 0.995:
        return f">99{NO_BREAK}%"
    if probability < 0.005:
        return f"<1{NO_BREAK}%"
    return f"{round(100 * probability)}{NO_BREAK}%"


def ratio(value: float) -> str:
    """Return a ratio to the two decimals (fewer above 10) that a reader can use."""
    if math.isnan(value):
        return "unknown"
    if value == 0:
        return "0"
    if value < 0.01:
        return "<0.01"
    if value >= 1000:
        return ">1000"
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"


def span(lower: float, upper: float) -> str:
    """Return an interval in words: ``0.06 to 1.09``."""
    return f"{ratio(lower)} to {ratio(upper)}"


def change(rate_ratio: float) -> str:
    """Return a rate ratio as a change in the number of events: ``75 % fewer``."""
    if math.isnan(rate_ratio):
        return "an unknown change"
    amount = abs(1 - rate_ratio)
    if amount < 0.005:
        return "neither fewer nor more"
    if rate_ratio < 1:
        return f"{percent(amount)} fewer"
    # what is printed as 2.00 is called twice, not "more than 99 % more"
    if rate_ratio >= 1.995:
        return f"{ratio(rate_ratio).removesuffix('.00').removesuffix('.0')} times as many"
    return f"{percent(amount)} more"


def strength(probability: float) -> str:
    """Return the few words that a probability deserves, whichever side it favours.

    Parameters
    ----------
    probability : float
        Between 0 and 1. What is printed as one percentage gets one wording.

    Returns
    -------
    str
        ``almost certainly`` beyond 99 %, ``very probably`` from 95 %, ``probably`` from 80 %,
        ``perhaps`` from 60 %, all the same for the other side, and empty between.
    """
    belief = max(probability, 1 - probability)
    shown = round(belief, 2)
    if belief > CERTAIN:
        return "almost certainly"
    if shown >= LIKELY:
        return "very probably"
    if shown >= PROBABLE:
        return "probably"
    return "perhaps" if shown >= LEANING else ""


def benefit(probability: float, words: Words) -> str:
    """Return a clause on the direction of the effect, with its probability.

    Parameters
    ----------
    probability : float
        Posterior probability that the treatment did good.
    words : Words
        Names for the sentence.
    """
    how = strength(probability)
    good = probability >= 0.5
    verb = words.good if good else words.bad
    what = f"the rate of {words.events} compared with {words.control}"
    chance = f"probability {percent(probability)}"
    if not good or not how:
        chance = f"probability that it {words.good} it: {percent(probability)}"
    if not how:
        return f"one cannot tell whether {words.active} lowered or raised {what} ({chance})"
    if how == "perhaps":
        lead = "it is more likely than not, but far from sure, that"
        return f"{lead} {words.active} {verb} {what} ({chance})"
    return f"{words.active} {how} {verb} {what} ({chance})"


def estimate(median: float, lower: float, upper: float) -> str:
    """Return the size of the effect with its interval, as change and as rate ratio."""
    return (
        f"the best estimate is {change(median)} (rate ratio {ratio(median)}), and anything from "
        f"{change(lower)} to {change(upper)} remains possible (95{NO_BREAK}% interval "
        f"{span(lower, upper)})"
    )


def notation(prior: Prior) -> str:
    """Return a prior in the usual notation, its numbers to three digits."""
    numbers = tuple(v if isinstance(v, tuple) else float(f"{v:.3g}") for v in prior.parameters)
    return str(Prior(prior.distribution, numbers)).replace("-", "−")


def cut(threshold: float) -> str:
    """Return a threshold below 1 as a benefit: ``at least halved``, ``cut by at least 20 %``."""
    if threshold == 0.5:
        return "at least halved"
    return f"cut by at least {percent(1 - threshold)}"


def opening(stance: str) -> str:
    """Return the words that say from which stance a sentence speaks."""
    known = {
        "vague": "Judged by the trial alone (a vague prior)",
        "weak": "Starting with no opinion on the direction of the effect",
        "sceptical": "Seen by a sceptic",
        "enthusiastic": "Seen by an enthusiast",
    }
    return known.get(stance, f"Starting from the prior “{stance}”")


def believer(stance: str, benefit: str = "lower") -> str:
    """Return who holds a stance, for a list of opinions."""
    hoped = "halved" if benefit == "lower" else "doubled"
    known = {
        "vague": "somebody who trusts the trial alone",
        "weak": "somebody without an opinion on the direction",
        "sceptical": "a sceptic, who expects most new treatments to do little,",
        "enthusiastic": f"an enthusiast, who expected the rate to be {hoped},",
    }
    return known.get(stance, f"somebody who holds the prior “{stance}”")


def opinions(probabilities: dict[str, float], active: str, benefit: str = "lower") -> str:
    """Return one sentence on how the answer moves with what was believed before.

    Parameters
    ----------
    probabilities : dict of str to float
        Posterior probability of benefit, by stance.
    active : str
        The treatment under test.
    benefit : str
        ``lower`` if fewer events are good for the patient, ``higher`` if more are.
    """
    if len(probabilities) < 2:
        only = "".join(probabilities)
        return f"Only one prior was used (“{only}”), so how far the answer hangs on it is open."
    chosen = {k: v for k, v in probabilities.items() if k in ("sceptical", "enthusiastic")}
    if len(chosen) < 2:
        low = min(probabilities, key=lambda k: probabilities[k])
        high = max(probabilities, key=lambda k: probabilities[k])
        chosen = {low: probabilities[low], high: probabilities[high]}
    (one, p), (other, q) = chosen.items()
    spread = max(probabilities.values()) - min(probabilities.values())
    lead = (
        "What one believed before hardly matters"
        if spread < 0.05
        else "How far to believe it depends on what one believed before"
    )
    return (
        f"{lead}: {believer(one, benefit)} should put the probability that {active} helps at all "
        f"at {percent(p)}, {believer(other, benefit)} at {percent(q)}."
    )


def moved(before: float, after: float) -> str:
    """Return the verb for a probability that other evidence moves."""
    if abs(after - before) < 0.015:
        return "stays at"
    return "falls to" if after < before else "rises to"


def prediction_place(percentile: float) -> str:
    """Return where an observed result fell in a prediction, in words.

    Parameters
    ----------
    percentile : float
        Share of the prediction below what was observed, between 0 and 1.
    """
    distance = abs(percentile - 0.5)
    if distance >= 0.475:
        return "outside the range predicted: a surprise"
    if distance >= 0.4:
        return "in the outer part of the predicted range"
    return "well within the predicted range"


def caveat(label: str) -> str:
    """Return how a sentence must begin when the counts are not data."""
    if label.startswith("simulated"):
        return "In this simulated example"
    if label.startswith("reconstruction"):
        return "If the reconstruction is right"
    return ""


def sentence(*clauses: str) -> str:
    """Join clauses into one sentence: first letter up, one full stop."""
    text = ", ".join(clause for clause in clauses if clause)
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def listed(items: list[str]) -> str:
    """Join words as in speech: ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
