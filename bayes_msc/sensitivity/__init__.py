"""How far an answer can be trusted: what it owes to the prior, the model and single patients."""

from bayes_msc.sensitivity.belief import credibility, needed_prior
from bayes_msc.sensitivity.carryover import carryover_widths
from bayes_msc.sensitivity.credibility import Credibility, credibility_of_interval
from bayes_msc.sensitivity.curve import SpecificationCurve, specification_curve
from bayes_msc.sensitivity.influence import altered_count, fragility, leave_patients_out
from bayes_msc.sensitivity.power_scaling import PowerScaling, power_scaling
from bayes_msc.sensitivity.prior_map import PriorMap, prior_map
from bayes_msc.sensitivity.ranking import rank
from bayes_msc.sensitivity.specifications import Specification, specifications
from bayes_msc.sensitivity.stance_table import stance_table
from bayes_msc.sensitivity.tipping import TippingPoint, tipping_point
from bayes_msc.sensitivity.whole import ANALYSES, Sensitivity, sensitivity

__all__ = [
    "ANALYSES",
    "Credibility",
    "PowerScaling",
    "PriorMap",
    "Sensitivity",
    "Specification",
    "SpecificationCurve",
    "TippingPoint",
    "altered_count",
    "carryover_widths",
    "credibility",
    "credibility_of_interval",
    "fragility",
    "leave_patients_out",
    "needed_prior",
    "power_scaling",
    "prior_map",
    "rank",
    "sensitivity",
    "specification_curve",
    "specifications",
    "stance_table",
    "tipping_point",
]
