"""Which kind of regression can have given the printed figures: each kind searched in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pandas as pd

from bayes_msc.errors import ReconstructionError
from bayes_msc.reconstruct.classes import matching_classes, searchable
from bayes_msc.reconstruct.group import LABEL
from bayes_msc.reconstruct.paper import INFORMATION, SCALES, Paper
from bayes_msc.reconstruct.pieces import skeletons


def regression_options(
    paper: Paper,
    *,
    scales: Sequence[str] = SCALES,
    information: Sequence[str] = INFORMATION,
    overdispersions: Sequence[float] = (1.0,),
) -> pd.DataFrame:
    """Search every kind of regression for sums of counts that give its printed figures.

    Parameters
    ----------
    paper : Paper
        With the figures of a regression whose overdispersion was fixed.
    scales, information : sequence of str
        Of the baseline, and behind the limits.
    overdispersions : sequence of float
        Fixed values.

    Returns
    -------
    DataFrame
        One row a kind: ``scale``, ``information``, ``overdispersion``, ``classes`` (of sums by arm
        and baseline that give all figures), ``label``. Trying many kinds makes a chance match more
        likely: report how many were tried.

    Raises
    ------
    ReconstructionError
        If no regression of the paper can be searched backwards.
    """
    printed = [one for one in paper.regressions if searchable(paper, one)]
    if not printed:
        raise ReconstructionError(
            "no regression can be searched: the means of both arms, and a fixed overdispersion, "
            "are needed"
        )
    tied = skeletons(paper)
    rows = []
    for scale, kind, kappa in product(scales, information, overdispersions):
        tried = [
            replace(one, scale=scale, information=kind, overdispersion=kappa) for one in printed
        ]
        rows.append((scale, kind, kappa, len(matching_classes(paper, tied, tried)), LABEL))
    columns = ["scale", "information", "overdispersion", "classes", "label"]
    return pd.DataFrame(rows, columns=columns)
