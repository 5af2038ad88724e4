"""Simulated trials as the numbers that a compiled model takes, without a table between."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayes_msc.centring import log_pooled_rate
from bayes_msc.model import Model
from bayes_msc.rows import Rows, arrange
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.generate import Trials

Numbers = dict[str, NDArray[np.float64]]


class Layout:
    """The design laid out for a model once; each trial then only fills in its counts.

    The numbers are those of ``bayes_msc.graph.data_of`` for the same trial, but that a scan that
    was not made keeps its place, masked, instead of being left out.

    Parameters
    ----------
    design : Design
    model : Model

    Raises
    ------
    ModelError
        If the model is not for this design.
    """

    def __init__(self, design: Design, model: Model) -> None:
        self.design, self.model = design, model
        self._rows = arrange(design.blank, model)
        self._terms = model.terms_for(design.blank)
        priors = model.priors_for(design.blank)
        self._prior_numbers = np.concatenate(
            [np.ravel(prior.parameters) for prior in priors.values()]
        ).astype(float)
        self._centred = None
        if model.log_rate_centre == "pooled-rate":
            # log_rate comes first
            self._centred = priors["log_rate"].names.index("loc")
            self._prior_numbers[self._centred] -= log_pooled_rate(design.blank)

    def numbers(self, trials: Trials, index: int) -> Numbers:
        """Return the numbers of one trial, as ``bayes_msc.graph.data_of`` names them."""
        count, seen = trials.count[index], trials.seen[index].astype(float)
        baseline = None if trials.baseline is None else trials.baseline[index].astype(float)
        rows = self._filled(count.astype(float), seen, baseline)
        prior_numbers = self._prior_numbers.copy()
        if self._centred is not None:
            exposure = float(seen.sum()) * self.design.exposure
            prior_numbers[self._centred] += math.log((float(count.sum()) + 0.5) / exposure)
        return {"observed": rows.count, "rows": rows.table, "prior_numbers": prior_numbers}

    def _filled(
        self,
        count: NDArray[np.float64],
        seen: NDArray[np.float64],
        baseline: NDArray[np.float64] | None,
    ) -> Rows:
        rows = self._rows
        design = rows.design
        follows = rows.follows
        if "baseline-joint" in self._terms and baseline is not None:
            count = np.column_stack([baseline, count])
            seen = np.column_stack([np.ones(len(seen)), seen])
        elif "baseline_slope" in rows.coefficients and baseline is not None:
            value = baseline if "baseline-count" in self._terms else np.log1p(baseline)
            design = design.copy()
            column = rows.coefficients.index("baseline_slope")
            design[:, :, column] = (value - value.mean())[:, None]
        if follows is not None:
            follows = follows * seen
        return replace(
            rows,
            count=count,
            seen=seen,
            log_exposure=rows.log_exposure * seen,
            design=design * seen[:, :, None],
            follows=follows,
        )
