"""The package as a whole: its public names, and how little importing it loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bayes_msc as bm

NAMES = {
    "Companions",
    "PriorCounts",
    "changes",
    "companions",
    "flow",
    "prior_counts",
    "AnalysisPlan",
    "BayesMSCError",
    "Calibration",
    "Characteristics",
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
    "characteristics",
    "check_plan",
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
}
HEAVY = ("pymc", "pytensor", "arviz", "pandas", "numpy", "scipy", "matplotlib", "nutpie", "numba")


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_public_names_are_frozen() -> None:
    assert set(bm.__all__) == NAMES
    assert sorted(bm.__all__) == dir(bm)
    assert list(bm.__all__) == sorted(bm.__all__)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_public_name_is_there_and_explained(name: str) -> None:
    value = getattr(bm, name)
    if callable(value):
        assert value.__doc__


def test_importing_loads_nothing_heavy() -> None:
    code = f"import bayes_msc, sys; print([m for m in {HEAVY} if m in sys.modules])"
    assert python(code).strip() == "[]"


def test_functions_keep_their_names_whatever_is_imported() -> None:
    code = (
        "import bayes_msc as bm, bayes_msc.fit, bayes_msc.report, bayes_msc.fit as module;"
        "print(callable(bm.fit), callable(bm.report), module.__class__.__name__)"
    )
    assert python(code).split()[:2] == ["True", "True"]


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'bayes_msc' has no attribute 'fitt'"):
        _ = bm.fitt


def test_version() -> None:
    from importlib.metadata import version

    assert bm.__version__ == version("bayes-msc")


def test_every_error_is_a_value_error_of_the_package() -> None:
    from bayes_msc import errors

    kinds = [getattr(errors, name) for name in dir(errors) if name.endswith("Error")]
    assert len(kinds) == 12
    assert all(issubclass(kind, bm.BayesMSCError) for kind in kinds)
    assert issubclass(bm.BayesMSCError, ValueError)


def test_one_of_lists_what_is_allowed() -> None:
    from bayes_msc.errors import ModelError, one_of

    one_of("a", ["a", "b"], "letter", ModelError)
    with pytest.raises(ModelError, match="unknown letter 'c': choose one of a, b"):
        one_of("c", ["a", "b"], "letter", ModelError)
