"""Other trials as evidence: combined with this one, made its prior, or set against it.

Every function takes estimates on the log scale with their standard errors, or ``Evidence`` rows.
Nothing here samples unless NUTS is asked for by name, or a patient-level trial is to be fitted.
"""

from bayes_msc.evidence.alone import TrialAlone, posterior_weights, prior_conflict, trial_alone
from bayes_msc.evidence.beta import BetaMixture
from bayes_msc.evidence.borrowed import Borrowed, prior_densities
from bayes_msc.evidence.borrowing import (
    commensurate_prior,
    map_prior,
    normalised_power_prior,
    power_prior,
)
from bayes_msc.evidence.combine import METHODS, TARGETS, combine, probability_column
from bayes_msc.evidence.control import proportion_prior, rate_prior
from bayes_msc.evidence.effective_size import effective_size
from bayes_msc.evidence.external import external_prior, in_short, unit_information_sd
from bayes_msc.evidence.files import evidence_from_table, load_evidence, read_evidence
from bayes_msc.evidence.hierarchy import Hierarchy, hierarchy, tau_posterior
from bayes_msc.evidence.meta import MetaAnalysis, leave_one_trial_out, meta_analysis
from bayes_msc.evidence.mixtures import MixtureFit, fit_beta_mixture, fit_mixture
from bayes_msc.evidence.robust import component_weights, conflict, robustify
from bayes_msc.evidence.sampling import sample_hierarchy
from bayes_msc.evidence.tau import TAU_PRIORS, tau_prior, tau_priors
from bayes_msc.evidence.trials import SCALES, Evidence, evidence_table

__all__ = [
    "METHODS",
    "SCALES",
    "TARGETS",
    "TAU_PRIORS",
    "BetaMixture",
    "Borrowed",
    "Evidence",
    "Hierarchy",
    "MetaAnalysis",
    "MixtureFit",
    "TrialAlone",
    "combine",
    "commensurate_prior",
    "component_weights",
    "conflict",
    "effective_size",
    "evidence_from_table",
    "evidence_table",
    "external_prior",
    "fit_beta_mixture",
    "fit_mixture",
    "hierarchy",
    "in_short",
    "leave_one_trial_out",
    "load_evidence",
    "map_prior",
    "meta_analysis",
    "normalised_power_prior",
    "posterior_weights",
    "power_prior",
    "prior_conflict",
    "prior_densities",
    "probability_column",
    "proportion_prior",
    "rate_prior",
    "read_evidence",
    "robustify",
    "sample_hierarchy",
    "tau_posterior",
    "tau_prior",
    "tau_priors",
    "trial_alone",
    "unit_information_sd",
]
