"""Other trials as evidence: combined with this one, made its prior, or set against it.

Every function takes estimates on the log scale with their standard errors, or ``Evidence`` rows.
Nothing here samples unless NUTS is asked for by name.
"""

from bayes_msc.evidence.combine import METHODS, TARGETS, combine, probability_column
from bayes_msc.evidence.hierarchy import Hierarchy, hierarchy, tau_posterior
from bayes_msc.evidence.sampling import sample_hierarchy
from bayes_msc.evidence.tau import TAU_PRIORS, tau_prior, tau_priors

__all__ = [
    "METHODS",
    "TARGETS",
    "TAU_PRIORS",
    "Hierarchy",
    "combine",
    "hierarchy",
    "probability_column",
    "sample_hierarchy",
    "tau_posterior",
    "tau_prior",
    "tau_priors",
]
