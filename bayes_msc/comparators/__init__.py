"""The frequentist answers that a reader expects beside ours, on the same trial in one table."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from bayes_msc.comparators.answer import Answer
from bayes_msc.comparators.conditional import conditional_poisson, exact_conditional
from bayes_msc.comparators.contrasts import (
    hills_armitage,
    mann_whitney_changes,
    paired_wilcoxon,
)
from bayes_msc.comparators.randomisation import (
    hills_armitage_randomisation,
    permutation_mean_ratio,
)
from bayes_msc.comparators.regression import gee, negative_binomial_glm, quasi_poisson_glm
from bayes_msc.trial import Trial

__all__ = [
    "Answer",
    "comparators",
    "conditional_poisson",
    "exact_conditional",
    "gee",
    "hills_armitage",
    "hills_armitage_randomisation",
    "mann_whitney_changes",
    "negative_binomial_glm",
    "paired_wilcoxon",
    "permutation_mean_ratio",
    "quasi_poisson_glm",
]


def comparators(
    trial: Trial, *, baseline_exposure: float = 1.0, resamples: int = 9999, seed: int = 1
) -> pd.DataFrame:
    """Answer the trial by every classical method at hand.

    They do not answer the same question, and none of them is chosen by its result: the column
    ``when_right`` says what each one takes for granted.

    Parameters
    ----------
    trial : Trial
        The counts.
    baseline_exposure : float
        Exposure behind a baseline, in the trial's unit; only `mann_whitney_changes` asks.
    resamples : int
        Allocations of the randomisation tests where there are too many to enumerate.
    seed : int
        For drawing them.

    Returns
    -------
    pandas.DataFrame
        One row a method: ``method``, ``estimand``, ``estimate``, ``lower``, ``upper`` (95 %,
        equal tails), ``p_value`` (two-sided), ``when_right``, ``note``. A method that has no
        answer on this trial has NaN for numbers and says why in the note.

    Raises
    ------
    ComparatorError
        If an argument is out of range.

    Examples
    --------
    >>> from bayes_msc.datasets import load_trial
    >>> table = comparators(load_trial("crossover_example"))
    >>> list(table.columns[:5])
    ['method', 'estimand', 'estimate', 'lower', 'upper']
    """
    both = ("Wald", "likelihood-ratio")
    answers = [
        *(negative_binomial_glm(trial, interval=interval) for interval in both),
        negative_binomial_glm(trial, overdispersion=1.0),
        *(quasi_poisson_glm(trial, interval=interval) for interval in both),
        *(gee(trial, bias_reduced=corrected) for corrected in (False, True)),
        *(conditional_poisson(trial, interval=interval) for interval in both),
        *(exact_conditional(trial, mid_p=half) for half in (False, True)),
        *(hills_armitage(trial, test=test) for test in ("t", "Wilcoxon")),
        hills_armitage_randomisation(trial, resamples=resamples, seed=seed),
        paired_wilcoxon(trial),
        mann_whitney_changes(trial, baseline_exposure=baseline_exposure),
        permutation_mean_ratio(trial, resamples=resamples, seed=seed),
    ]
    return pd.DataFrame([asdict(answer) for answer in answers])
