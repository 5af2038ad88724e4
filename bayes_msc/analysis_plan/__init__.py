"""A pre-specified analysis in one file: written, checked, carried out."""

from bayes_msc.analysis_plan.drafting import draft_plan, write_plan
from bayes_msc.analysis_plan.reading import AnalysisPlan, read_plan
from bayes_msc.analysis_plan.running import PlanResult, run_plan
from bayes_msc.analysis_plan.steps import PlanCheck, Step, check_plan
from bayes_msc.analysis_plan.verdict import Verdict

__all__ = [
    "AnalysisPlan",
    "PlanCheck",
    "PlanResult",
    "Step",
    "Verdict",
    "check_plan",
    "draft_plan",
    "read_plan",
    "run_plan",
    "write_plan",
]
