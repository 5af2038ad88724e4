"""The next trial: how often a rule would succeed or mislead, and how large the trial must be."""

from __future__ import annotations

from bayes_msc.simulation.assuring import Assurance, assurance, truth_over
from bayes_msc.simulation.calibrating import Calibration, calibrate
from bayes_msc.simulation.design import Design, DropOut
from bayes_msc.simulation.generate import Trials, generate
from bayes_msc.simulation.interim import Prediction, predict_success
from bayes_msc.simulation.operating import Characteristics, characteristics
from bayes_msc.simulation.plan import Plan
from bayes_msc.simulation.rules import IntervalRule, PValueRule, RopeRule
from bayes_msc.simulation.run import (
    estimate_cost,
    read_trials,
    simulate,
    summary_of,
    thresholds_of_run,
)
from bayes_msc.simulation.sizing import SampleSize, sample_size
from bayes_msc.simulation.truth import Truth, UncertainTruth

__all__ = [
    "Assurance",
    "Calibration",
    "Characteristics",
    "Design",
    "DropOut",
    "IntervalRule",
    "PValueRule",
    "Plan",
    "Prediction",
    "RopeRule",
    "SampleSize",
    "Trials",
    "Truth",
    "UncertainTruth",
    "assurance",
    "calibrate",
    "characteristics",
    "estimate_cost",
    "generate",
    "predict_success",
    "read_trials",
    "sample_size",
    "simulate",
    "summary_of",
    "thresholds_of_run",
    "truth_over",
]
