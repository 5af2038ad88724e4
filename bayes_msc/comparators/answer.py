"""One method's answer, and how a method says that it has none."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
NAN = float("nan")
Numbers = NDArray[np.float64]


class Undefined(Exception):  # noqa: N818 - no error: a trial on which a method has no answer
    """Why a method has no answer on a trial; it becomes the note and is never raised to a user."""


@dataclass(frozen=True)
class Answer:
    """What one method says of one trial.

    Attributes
    ----------
    method : str
        The method in words.
    estimand : str
        What is estimated: a rate ratio of some kind, or a difference of rates.
    estimate, lower, upper : float
        Estimate with its 95 % interval, on the scale of the estimand, active against control. A
        limit may be 0 or infinite; all are NaN where the method has no answer.
    p_value : float
        Two-sided p-value of no effect.
    when_right : str
        When the method is right, in one sentence.
    note : str
        What was left out, what else was estimated, or why there is no answer.
    """

    method: str
    estimand: str
    estimate: float = NAN
    lower: float = NAN
    upper: float = NAN
    p_value: float = NAN
    when_right: str = ""
    note: str = ""

    def with_numbers(
        self,
        estimate: float,
        limits: tuple[float, float],
        p_value: float,
        notes: Sequence[str] = (),
    ) -> Answer:
        """Return the same method with its numbers."""
        lower, upper = limits
        return replace(
            self,
            estimate=float(estimate),
            lower=float(lower),
            upper=float(upper),
            p_value=min(float(p_value), 1.0),
            note="; ".join(notes),
        )


def answered(blank: Answer, compute: Callable[[], Answer]) -> Answer:
    """Compute an answer; a reason not to, or a warning on the way, goes into its note.

    Parameters
    ----------
    blank : Answer
        The method in words, without numbers.
    compute : callable
        Fills in the numbers, or raises `Undefined`.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            answer = compute()
        except Undefined as reason:
            return replace(blank, note=f"not defined: {reason}")
        except np.linalg.LinAlgError:
            return replace(blank, note="not defined: the fit broke down on a singular matrix")
    said = dict.fromkeys(_in_words(warning) for warning in caught)
    return replace(answer, note="; ".join([part for part in (answer.note, *said) if part]))


def _in_words(warning: warnings.WarningMessage) -> str:
    if "Perfect" in warning.category.__name__:
        return "the model fits every count exactly"
    if "Convergence" in warning.category.__name__ or "converge" in str(warning.message):
        return "the fit reports that it did not converge"
    return " ".join(str(warning.message).split())
