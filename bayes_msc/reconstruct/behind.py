"""What the counts behind printed numbers would answer: a reconstruction, not data."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bayes_msc.errors import ReconstructionError
from bayes_msc.reconstruct.group import LABEL
from bayes_msc.reconstruct.paper import Paper
from bayes_msc.reconstruct.two_periods import crossover_answers
from bayes_msc.reconstruct.whole import reconstruct


@dataclass(frozen=True, eq=False)
class Behind:
    """Answers from the data sets that could stand behind a paper's numbers: no data.

    Attributes
    ----------
    paper : Paper
    answers : DataFrame
        See ``crossover_answers``.
    steps : DataFrame
        What was left after each step: see ``Reconstruction``.
    sets : int
        Data sets averaged over.
    complete : bool
        Whether these are all that fit.
    label : str
    """

    paper: Paper
    answers: pd.DataFrame
    steps: pd.DataFrame
    sets: int
    complete: bool
    label: str = LABEL


def answers_behind(paper: Paper, seed: int = 1) -> Behind:
    """Reconstruct a crossover's counts, and answer from all data sets that fit.

    Parameters
    ----------
    paper : Paper
        From ``read_paper``.
    seed : int

    Returns
    -------
    Behind

    Raises
    ------
    ReconstructionError
        If nothing fits what is printed, or the trial is no crossover.
    """
    if paper.periods != 2:
        raise ReconstructionError(
            f"{paper.name} has one period: a report shows the reconstruction of a crossover; for "
            "other trials use bm.average_reconstruction"
        )
    found = reconstruct(paper, seed=seed)
    if not found.possible:
        raise ReconstructionError(f"nothing fits what is printed. {found.why}")
    trials = found.trials()
    orders = found.orders if found.complete else None
    answers = crossover_answers(trials, orders=orders, seed=seed, progress=False)
    return Behind(paper, answers, found.steps, len(trials), found.complete)
