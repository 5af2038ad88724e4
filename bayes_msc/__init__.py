"""bayes_msc: what a small trial of counts really showed.

A trial and a model card give a fit; a fit gives statements; statements give a report. Names are
loaded when they are first used: importing the package imports neither PyMC nor ArviZ.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bayes_msc.analysis_plan import (
        AnalysisPlan,
        PlanCheck,
        PlanResult,
        check_plan,
        draft_plan,
        read_plan,
        run_plan,
        write_plan,
    )
    from bayes_msc.changes import changes
    from bayes_msc.checks import predictive_checks, rootogram
    from bayes_msc.companions import Companions, companions
    from bayes_msc.comparators import comparators
    from bayes_msc.compare import Comparison, compare
    from bayes_msc.datasets import load_trial, trial_names
    from bayes_msc.diagnostics import diagnose, leave_one_out
    from bayes_msc.dropout import drop_out
    from bayes_msc.errors import BayesMSCError
    from bayes_msc.estimands import prob_curve, summarize
    from bayes_msc.evidence import (
        Evidence,
        external_prior,
        leave_one_trial_out,
        load_evidence,
        meta_analysis,
        read_evidence,
    )
    from bayes_msc.first_period import both_estimands
    from bayes_msc.fit import (
        fit,
        fit_negative_binomial,
        fit_poisson,
        load_fit,
        model_of,
        save_fit,
        trial_of,
    )
    from bayes_msc.flow import flow
    from bayes_msc.identification import identification
    from bayes_msc.imputation import draw_unseen
    from bayes_msc.missing import carry_forward, unseen
    from bayes_msc.model import Model
    from bayes_msc.next_trial import next_trial, replication
    from bayes_msc.pit import loo_pit, loo_pit_curve
    from bayes_msc.predictive import prior_predictive
    from bayes_msc.prior import Prior, stance, stances
    from bayes_msc.prior_counts import PriorCounts, prior_counts
    from bayes_msc.published import Published, load_published, published_names, read_published
    from bayes_msc.reading import read_trial
    from bayes_msc.reanalysis import Reanalysis, reanalyze
    from bayes_msc.reconstruct import (
        average_reconstruction,
        crossover_answers,
        read_paper,
        reconstruct,
        reconstruct_group,
        relaxations,
    )
    from bayes_msc.refits import refit_many
    from bayes_msc.report import report, write_report
    from bayes_msc.responders import patient_ratios, patients_benefiting
    from bayes_msc.rule import Rule
    from bayes_msc.sensitivity import Sensitivity, sensitivity
    from bayes_msc.sensitivity.belief import credibility, needed_prior
    from bayes_msc.sensitivity.carryover import carryover_widths
    from bayes_msc.sensitivity.credibility import Credibility, credibility_of_interval
    from bayes_msc.sensitivity.curve import SpecificationCurve, specification_curve
    from bayes_msc.sensitivity.influence import altered_count, leave_patients_out
    from bayes_msc.sensitivity.power_scaling import PowerScaling, power_scaling
    from bayes_msc.sensitivity.prior_map import PriorMap, prior_map
    from bayes_msc.sensitivity.stance_table import stance_table
    from bayes_msc.sensitivity.tipping import TippingPoint, tipping_point
    from bayes_msc.simulation import (
        Calibration,
        Characteristics,
        Design,
        DropOut,
        IntervalRule,
        PValueRule,
        RopeRule,
        SampleSize,
        Truth,
        UncertainTruth,
        assurance,
        calibrate,
        characteristics,
        predict_success,
        sample_size,
        simulate,
    )
    from bayes_msc.template import write_template
    from bayes_msc.trial import Trial
    from bayes_msc.verify import Verification, verify

_HOME = {
    "AnalysisPlan": "analysis_plan",
    "BayesMSCError": "errors",
    "Calibration": "simulation",
    "Characteristics": "simulation",
    "Companions": "companions",
    "Comparison": "compare",
    "Credibility": "sensitivity.credibility",
    "Design": "simulation",
    "DropOut": "simulation",
    "Evidence": "evidence",
    "IntervalRule": "simulation",
    "Model": "model",
    "PValueRule": "simulation",
    "PlanCheck": "analysis_plan",
    "PlanResult": "analysis_plan",
    "PowerScaling": "sensitivity.power_scaling",
    "Prior": "prior",
    "PriorCounts": "prior_counts",
    "PriorMap": "sensitivity.prior_map",
    "Published": "published",
    "Reanalysis": "reanalysis",
    "RopeRule": "simulation",
    "Rule": "rule",
    "SampleSize": "simulation",
    "Sensitivity": "sensitivity",
    "SpecificationCurve": "sensitivity.curve",
    "TippingPoint": "sensitivity.tipping",
    "Trial": "trial",
    "Truth": "simulation",
    "UncertainTruth": "simulation",
    "Verification": "verify",
    "altered_count": "sensitivity.influence",
    "assurance": "simulation",
    "average_reconstruction": "reconstruct",
    "both_estimands": "first_period",
    "calibrate": "simulation",
    "carry_forward": "missing",
    "carryover_widths": "sensitivity.carryover",
    "changes": "changes",
    "characteristics": "simulation",
    "check_plan": "analysis_plan",
    "companions": "companions",
    "comparators": "comparators",
    "compare": "compare",
    "credibility": "sensitivity.belief",
    "credibility_of_interval": "sensitivity.credibility",
    "crossover_answers": "reconstruct",
    "diagnose": "diagnostics",
    "draft_plan": "analysis_plan",
    "draw_unseen": "imputation",
    "drop_out": "dropout",
    "external_prior": "evidence",
    "fit": "fit",
    "fit_negative_binomial": "fit",
    "fit_poisson": "fit",
    "flow": "flow",
    "identification": "identification",
    "leave_one_out": "diagnostics",
    "leave_one_trial_out": "evidence",
    "leave_patients_out": "sensitivity.influence",
    "load_evidence": "evidence",
    "load_fit": "fit",
    "load_published": "published",
    "load_trial": "datasets",
    "loo_pit": "pit",
    "loo_pit_curve": "pit",
    "meta_analysis": "evidence",
    "model_of": "fit",
    "needed_prior": "sensitivity.belief",
    "next_trial": "next_trial",
    "patient_ratios": "responders",
    "patients_benefiting": "responders",
    "power_scaling": "sensitivity.power_scaling",
    "predict_success": "simulation",
    "predictive_checks": "checks",
    "prior_counts": "prior_counts",
    "prior_map": "sensitivity.prior_map",
    "prior_predictive": "predictive",
    "prob_curve": "estimands",
    "published_names": "published",
    "read_evidence": "evidence",
    "read_paper": "reconstruct",
    "read_plan": "analysis_plan",
    "read_published": "published",
    "read_trial": "reading",
    "reanalyze": "reanalysis",
    "reconstruct": "reconstruct",
    "reconstruct_group": "reconstruct",
    "refit_many": "refits",
    "relaxations": "reconstruct",
    "replication": "next_trial",
    "report": "report",
    "rootogram": "checks",
    "run_plan": "analysis_plan",
    "sample_size": "simulation",
    "save_fit": "fit",
    "sensitivity": "sensitivity",
    "simulate": "simulation",
    "specification_curve": "sensitivity.curve",
    "stance": "prior",
    "stance_table": "sensitivity.stance_table",
    "stances": "prior",
    "summarize": "estimands",
    "tipping_point": "sensitivity.tipping",
    "trial_names": "datasets",
    "trial_of": "fit",
    "unseen": "missing",
    "verify": "verify",
    "write_plan": "analysis_plan",
    "write_report": "report",
    "write_template": "template",
}

__all__ = [
    "AnalysisPlan",
    "BayesMSCError",
    "Calibration",
    "Characteristics",
    "Companions",
    "Comparison",
    "Credibility",
    "Design",
    "DropOut",
    "Evidence",
    "IntervalRule",
    "Model",
    "PValueRule",
    "PlanCheck",
    "PlanResult",
    "PowerScaling",
    "Prior",
    "PriorCounts",
    "PriorMap",
    "Published",
    "Reanalysis",
    "RopeRule",
    "Rule",
    "SampleSize",
    "Sensitivity",
    "SpecificationCurve",
    "TippingPoint",
    "Trial",
    "Truth",
    "UncertainTruth",
    "Verification",
    "__version__",
    "altered_count",
    "assurance",
    "average_reconstruction",
    "both_estimands",
    "calibrate",
    "carry_forward",
    "carryover_widths",
    "changes",
    "characteristics",
    "check_plan",
    "companions",
    "comparators",
    "compare",
    "credibility",
    "credibility_of_interval",
    "crossover_answers",
    "diagnose",
    "draft_plan",
    "draw_unseen",
    "drop_out",
    "external_prior",
    "fit",
    "fit_negative_binomial",
    "fit_poisson",
    "flow",
    "identification",
    "leave_one_out",
    "leave_one_trial_out",
    "leave_patients_out",
    "load_evidence",
    "load_fit",
    "load_published",
    "load_trial",
    "loo_pit",
    "loo_pit_curve",
    "meta_analysis",
    "model_of",
    "needed_prior",
    "next_trial",
    "patient_ratios",
    "patients_benefiting",
    "power_scaling",
    "predict_success",
    "predictive_checks",
    "prior_counts",
    "prior_map",
    "prior_predictive",
    "prob_curve",
    "published_names",
    "read_evidence",
    "read_paper",
    "read_plan",
    "read_published",
    "read_trial",
    "reanalyze",
    "reconstruct",
    "reconstruct_group",
    "refit_many",
    "relaxations",
    "replication",
    "report",
    "rootogram",
    "run_plan",
    "sample_size",
    "save_fit",
    "sensitivity",
    "simulate",
    "specification_curve",
    "stance",
    "stance_table",
    "stances",
    "summarize",
    "tipping_point",
    "trial_names",
    "trial_of",
    "unseen",
    "verify",
    "write_plan",
    "write_report",
    "write_template",
]


class _Package(ModuleType):
    """The package: a public name keeps its meaning when a module of the same name is imported.

    ``bm.fit`` and ``bm.report`` are functions, also after something has imported
    ``bayes_msc.fit``, which would otherwise put the module in their place.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'bayes_msc' has no attribute {name!r}")
    value = getattr(import_module(f"bayes_msc.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
