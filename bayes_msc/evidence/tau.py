"""Priors of the standard deviation between trials, with where they come from."""

from __future__ import annotations

from functools import cache

from bayes_msc.errors import PriorError, one_of
from bayes_msc.prior import Prior

TAU_PRIORS = (
    Prior.half_normal(0.5, why="trials of one question mostly differ by less than twofold"),
    Prior.half_normal(1.0, why="trials of one question may differ severalfold"),
)
_TURNER = (
    "Turner 2015, Statistics in Medicine 34:984, Table IV: what was found in Cochrane's "
    "meta-analyses of {outcome}; made for log odds ratios, which differ more between trials than "
    "rate ratios of rare events do"
)
#: Mean and standard deviation of log tau squared; two independent copies of the table agree.
_TURNER_NUMBERS = {
    "turner2015-any-outcome": (-2.56, 1.74, "any binary outcome"),
    "turner2015-symptoms": (
        -2.06,
        1.51,
        "signs or symptoms of a condition that continue, drug against placebo",
    ),
    "turner2015-biomarkers": (-1.77, 1.52, "dichotomised biological markers, drug against placebo"),
    "turner2015-mortality": (-3.95, 1.34, "mortality of any cause, drug against placebo"),
}


@cache
def tau_priors() -> dict[str, Prior]:
    """Return the named priors of the standard deviation between trials, on the log scale.

    Returns
    -------
    dict of str to Prior
        ``half-normal-0.5`` and ``half-normal-1`` (weakly informative for logarithms of ratios:
        Röver 2021, Research Synthesis Methods 12:448), ``half-t`` (heavier tail: a conflict between
        trials is believed sooner) and the predictive distributions of Turner 2015, which are
        log-normal for tau squared, so that log tau has half their mean and half their SD.

    Notes
    -----
    The distributions of Rhodes 2015 (Journal of Clinical Epidemiology 68:52) are not among them:
    they speak of standardised mean differences, not of logarithms of ratios. Any positive ``Prior``
    may be given instead of a name.
    """
    known = {
        "half-normal-0.5": TAU_PRIORS[0],
        "half-normal-1": TAU_PRIORS[1],
        "half-t": Prior.half_student_t(
            4.0, 0.5, why="mostly less than twofold, but open to one trial that is quite different"
        ),
    }
    for name, (centre, spread, outcome) in _TURNER_NUMBERS.items():
        why = _TURNER.format(outcome=outcome)
        known[name] = Prior.lognormal(centre / 2, spread / 2, why)
    return known


def tau_prior(given: str | Prior) -> Prior:
    """Return a prior of the standard deviation between trials by its name, or the one given.

    Raises
    ------
    PriorError
        If there is no such name (the known ones are listed) or the prior is not positive.
    """
    if isinstance(given, Prior):
        if given.support != "positive":
            raise PriorError(
                f"the prior of tau is {given}: a standard deviation cannot be negative"
            )
        return given
    one_of(given, tau_priors(), "prior of tau", PriorError)
    return tau_priors()[given]
