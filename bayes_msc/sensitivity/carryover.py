"""Carryover: the treatment effect under ever wider priors, beside the first period alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from bayes_msc.convergence import THRESHOLDS
from bayes_msc.errors import ModelError
from bayes_msc.first_period import for_first_period
from bayes_msc.model import Model
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.refitting import Question, shown
from bayes_msc.trial import Trial

WIDTHS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
#: A share with a wider prior would be above 1 more often than not: more than the effect itself.
WIDEST_SHARE = 1.0
FIRST, NONE, SHARE, EITHER = "first period", "none", "share of the effect", "either direction"


def carryover_widths(
    trial: Trial,
    model: Model | str,
    *,
    widths: Sequence[float] = WIDTHS,
    rule: Rule | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    seed: int = 1,
    workers: int | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Fit a crossover under carryover priors of growing width.

    Parameters
    ----------
    trial : Trial
        A crossover.
    model : Model or str
        A model for the crossover; what it says of carryover itself is replaced.
    widths : sequence of float
        Standard deviations of the prior, 0 (no carryover) or more, see ``Model.with_carryover``:
        of the share of the treatment's log rate ratio that lasts, and of the log rate ratio of
        carryover in either direction. Widths above 1 are for the second only: of a share they would
        say that more than the whole effect lasts.
    rule : Rule, optional
        By default P(RR < 1) of 0.95 or more.
    thresholds, seed, workers, progress
        As in ``bayes_msc.sensitivity.leave_patients_out``.

    Returns
    -------
    DataFrame
        One row a prior: ``carryover`` (``"none"``, ``"share of the effect"``, ``"either
        direction"``, and last ``"first period"``, period 1 alone), ``width``, ``words``, and of
        each refit ``median``, ``lower``, ``upper``, ``prob_below_<c>``, ``mcse_below_<c>``,
        ``prob`` and ``mcse`` of the rule's statement, ``rule_met``, ``engine``, ``ok``, ``label``.

    Raises
    ------
    ModelError
        If the trial is parallel, or a width is negative.

    Notes
    -----
    Only the difference between the sequences speaks of carryover, so the counts can hardly tell
    how much there is: with a prior that is wide in either direction the comparison of a patient
    with him- or herself is given up, and what is left is close to the first period alone. No row is
    chosen by a test (see ``Model.with_carryover``).
    """
    if trial.design != "crossover":
        raise ModelError(f"{trial.name} is a parallel trial: nothing is carried over in it")
    card = model if isinstance(model, Model) else Model.load(model)
    question = Question.of(rule, thresholds, seed, workers, progress)
    rows = [(NONE, 0.0, card.with_carryover(0.0), trial)]
    wide = sorted({float(width) for width in widths if width != 0})
    rows += [
        (SHARE, width, card.with_carryover(width), trial) for width in wide if width <= WIDEST_SHARE
    ]
    rows += [(EITHER, width, card.with_carryover(width, two_sided=True), trial) for width in wide]
    rows.append((FIRST, float("nan"), for_first_period(card), trial.first_period()))
    found = question.refit([(model, data) for *_, model, data in rows])
    table = pd.DataFrame([(kind, width, _words(kind, width)) for kind, width, *_ in rows])
    table.columns = pd.Index(["carryover", "width", "words"])
    return table.join(shown(found, question.columns)).assign(label=trial.label)


def _words(kind: str, width: float) -> str:
    fold = math.exp(2.0 * width)
    return {
        NONE: "nothing is carried over",
        SHARE: f"hardly more than {200 * width:.0f} % of the effect lasts into period 2",
        EITHER: f"the rate after active treatment may change up to {fold:.2g}-fold",
        FIRST: "period 1 alone: nothing can be carried over into it",
    }[kind]
