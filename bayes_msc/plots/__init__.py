"""Figures, one function each, drawn from a table or a fit; none computes a statistic."""

from bayes_msc.plots.answers import answers
from bayes_msc.plots.borrowing import meta_forest, next_trial, priors
from bayes_msc.plots.checks import loo_pit, rootogram
from bayes_msc.plots.compare import comparison
from bayes_msc.plots.evidence import forest, probability_curves, stance_densities
from bayes_msc.plots.flow import design, flow, printed_design, printed_flow
from bayes_msc.plots.patients import patient_effects, trajectories
from bayes_msc.plots.posterior import prior_posterior, probability_curve, rate_ratio
from bayes_msc.plots.prior_counts import prior_counts
from bayes_msc.plots.prior_sensitivity import prior_map, stance_answers
from bayes_msc.plots.reconstruct import averaged, two_periods
from bayes_msc.plots.robustness import (
    carryover,
    patients_left_out,
    specification_curve,
    tipping,
    what_moves,
)
from bayes_msc.plots.simulation import (
    calibration_curves,
    sample_size_curve,
    sign_and_size,
    success_curves,
    success_map,
)
from bayes_msc.plots.style import to_png, to_svg

__all__ = [
    "answers",
    "averaged",
    "calibration_curves",
    "carryover",
    "comparison",
    "design",
    "flow",
    "forest",
    "loo_pit",
    "meta_forest",
    "next_trial",
    "patient_effects",
    "patients_left_out",
    "printed_design",
    "printed_flow",
    "prior_counts",
    "prior_map",
    "prior_posterior",
    "priors",
    "probability_curve",
    "probability_curves",
    "rate_ratio",
    "rootogram",
    "sample_size_curve",
    "sign_and_size",
    "specification_curve",
    "stance_answers",
    "stance_densities",
    "success_curves",
    "success_map",
    "tipping",
    "to_png",
    "to_svg",
    "trajectories",
    "two_periods",
    "what_moves",
]
