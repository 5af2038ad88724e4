"""The same models on every reconstructed data set of a crossover, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from bayes_msc.errors import ReconstructionError
from bayes_msc.missing import carry_forward
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.reconstruct.averaging import average_trials
from bayes_msc.reconstruct.group import LABEL
from bayes_msc.trial import Trial

COLUMNS = (
    "analysis", "patients", "median", "lower", "upper", "probability", "mcse",
    "share_not_having_data", "trials", "failed", "label",
)  # fmt: skip


def crossover_answers(
    trials: Sequence[Trial],
    *,
    orders: Sequence[float] | None = None,
    seed: int = 1,
    workers: int | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Answer a crossover by its first period and by both, with and without its heaviest patient.

    Parameters
    ----------
    trials : sequence of Trial
        Reconstructed data sets of one crossover (``Reconstruction.trials()``); or a single trial,
        such as the counts that the paper's own table of patients gives: every answer is then that
        trial's own.
    orders : sequence of float, optional
        How many namings of patients each data set stands for; by default all the same.
    seed, workers, progress
        See ``refit_many``.

    Returns
    -------
    DataFrame
        One row an analysis: ``analysis``, ``patients`` (all, or without the one with most lesions),
        ``median``, ``lower``, ``upper`` of the rate ratio (95 %), ``probability`` that it is below
        1 with its ``mcse``, ``share_not_having_data`` (of the variance of the log rate ratio, what
        lies between data sets), ``trials`` (averaged over), ``failed`` (of them, those whose
        computation failed a check), ``label``.

    Raises
    ------
    ReconstructionError
        If a trial is not a crossover.

    Notes
    -----
    As printed: one total a patient over the first period, the last count carried forward,
    overdispersion fixed at 1, no patient effect; the baseline on the card's log scale.
    """
    given = list(trials)
    if not given or any(trial.design != "crossover" for trial in given):
        raise ReconstructionError("give one or more crossover trials")
    counts = [1.0] * len(given) if orders is None else list(orders)
    label = LABEL if any(trial.label for trial in given) else "data"
    rows = []
    for who, part in _with_and_without(given).items():
        for analysis, (prepare, model) in _analyses().items():
            found = average_trials(
                [prepare(trial) for trial in part], counts, model, thresholds=(1.0,), seed=seed,
                workers=workers, progress=progress,
            )  # fmt: skip
            line, chance = found.summary.iloc[0], found.probabilities.iloc[0]
            rows.append(
                (analysis, who, line["median"], line["lower"], line["upper"],
                 chance["probability"], chance["mcse"], line["share_not_having_data"],
                 len(part), int((~found.refits["ok"].astype(bool)).sum()), label)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def heaviest(trial: Trial) -> str:
    """Return the patient with the most lesions, carried counts included as the paper has them."""
    table = carry_forward(trial).data
    return str(table.groupby("patient", sort=False)["count"].sum().idxmax())


def _with_and_without(trials: list[Trial]) -> dict[str, list[Trial]]:
    gone = [heaviest(trial) for trial in trials]
    return {
        "all": trials,
        f"without {', '.join(sorted(set(gone)))}": [
            Trial(trial.data[trial.data["patient"] != who], **trial.meta())
            for trial, who in zip(trials, gone, strict=True)
        ],
    }


def _analyses() -> dict[str, tuple[Callable[[Trial], Trial], Model]]:
    parallel = Model.load("count-negative-binomial")
    nobody = Prior.half_normal(0.01, why="as good as no patient effect")
    printed = parallel.with_fixed("overdispersion", 1.0, "as printed").with_prior(
        "patient_sd", nobody
    )
    both = Model.load("crossover-negative-binomial")
    return {
        "first period as printed, last count carried forward": (
            lambda trial: carry_forward(trial).first_period().by_period(),
            printed,
        ),
        "first period as printed, scans that were seen": (
            lambda trial: trial.first_period().by_period(),
            printed,
        ),
        "first period, scan by scan": (lambda trial: trial.first_period(), parallel),
        "both periods: period and baseline": (lambda trial: trial, both),
        "both periods: period, baseline and carryover": (
            lambda trial: trial,
            Model.load("crossover-negative-binomial-carryover"),
        ),
    }
