"""Crossover methods that condition on each patient's total, so that patients cancel out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize
from scipy.special import gammaln, logsumexp

from bayes_msc.comparators.answer import LEVEL, Answer, Numbers, Undefined, answered
from bayes_msc.comparators.intervals import INTERVALS, wald_or_profile
from bayes_msc.comparators.layout import Pairs, pairs
from bayes_msc.errors import ComparatorError, one_of
from bayes_msc.trial import Trial

ESTIMAND = "rate ratio within patients"
#: Beyond this many events with unequal exposures the exact distribution takes minutes.
MOST_EVENTS = 20_000


def conditional_poisson(trial: Trial, *, interval: str = "likelihood-ratio") -> Answer:
    """Fit the Poisson regression of a crossover in which each patient has a level of their own.

    Conditional on a patient's total, the count of period 1 is binomial, and the patients' levels
    are gone: log odds = log(exposure 1 / exposure 2) − period effect ± log rate ratio. This
    binomial regression is the conditional Poisson regression with treatment and period.

    Parameters
    ----------
    trial : Trial
        The counts.
    interval : str
        ``"likelihood-ratio"`` or ``"Wald"``.

    Returns
    -------
    Answer
        Of the rate ratio within patients.

    Raises
    ------
    ComparatorError
        If the interval is unknown.

    Notes
    -----
    Cameron and Trivedi, *Regression Analysis of Count Data* (2013), section 9.3. The
    ``ConditionalPoisson`` of statsmodels is not used: its version 0.15 drops patients with equal
    counts in all rows, who do carry information.
    """
    one_of(interval, INTERVALS, "interval", ComparatorError)
    blank = Answer(
        f"conditional Poisson regression, {interval}",
        ESTIMAND,
        when_right=(
            "The counts of one patient vary no more than a Poisson; how patients differ from one "
            "another does not matter."
        ),
    )

    def compute() -> Answer:
        from statsmodels.genmod.families import Binomial
        from statsmodels.genmod.generalized_linear_model import GLM

        given = _informative(pairs(trial))
        _both_sequences(given)
        if (_cells(given) == 0).any():
            raise Undefined(
                "a sequence has no events in one period, so that the likelihood has no maximum; "
                "see the exact conditional test"
            )
        sign = np.where(given.active_first, 1.0, -1.0)
        offset = np.log(given.exposure[:, 0] / given.exposure[:, 1])

        def fit(columns: Numbers, shift: Numbers) -> Any:
            model = GLM(given.count, columns, offset=offset + shift, family=Binomial())
            # two totals and two coefficients leave no degree of freedom to divide by
            with np.errstate(divide="ignore", invalid="ignore"):
                return model.fit(tol=1e-10)

        one = np.ones_like(sign)
        result = fit(np.column_stack([one, sign]), 0 * sign)

        def deviance(log_rate_ratio: float) -> float:
            held = fit(one[:, None], log_rate_ratio * sign)
            return float(held.deviance - result.deviance)

        estimate, se = result.params[1], result.bse[1]
        return wald_or_profile(blank, interval, estimate, se, deviance, list(given.notes))

    return answered(blank, compute)


def exact_conditional(trial: Trial, *, mid_p: bool = True) -> Answer:
    """Test a crossover exactly, given each patient's total and the total of period 1.

    With equal exposures this is Fisher's test of the table of sequence × period totals, whose
    odds ratio is exp(2 log rate ratio): the count of one cell has a non-central hypergeometric
    distribution. With unequal ones each patient's binomial weights carry the ratio of their
    exposures, and the distribution stays exact.

    Parameters
    ----------
    trial : Trial
        The counts.
    mid_p : bool
        Count the observed table with half its probability. Without it the error is never above
        5 % and usually well below.

    Returns
    -------
    Answer
        Of the rate ratio within patients: conditional maximum likelihood, twice the smaller tail,
        and the limits at which each tail is 2.5 %.

    Notes
    -----
    Gart, *Biometrika* 56, 75 (1969), for the odds ratio of a crossover; Lui and Chang,
    *Statistical Methods in Medical Research* (2014), for counts; Lancaster, *Journal of the
    American Statistical Association* 56, 223 (1961), for mid-p.
    """
    blank = Answer(
        f"exact conditional test, {'mid-p' if mid_p else 'exact p'}",
        ESTIMAND,
        when_right=(
            "The counts of one patient vary no more than a Poisson, however few; it errs towards "
            "small p-values if they vary more."
        ),
    )

    def compute() -> Answer:
        given = _informative(pairs(trial))
        _both_sequences(given)
        values, log_weights = _distribution(given)
        observed = float(given.count[given.active_first, 0].sum())
        if len(values) == 1:
            raise Undefined("the totals allow no other table than the one seen")

        def tail(sign: int, log_odds: float) -> float:
            """Probability of the observed table and those beyond it."""
            log_p = log_weights + log_odds * values
            p = np.exp(log_p - logsumexp(log_p))
            beyond = p[sign * values > sign * observed].sum()
            return float(beyond + p[values == observed].sum() * (0.5 if mid_p else 1.0))

        def limit(sign: int) -> float:
            """Log odds at which the tail is 2.5 %; infinite where nothing lies beyond."""
            edge = values[0] if sign > 0 else values[-1]
            if observed == edge:
                return -sign * np.inf
            alpha = (1 - LEVEL) / 2
            return _root(lambda odds: sign * (tail(sign, odds) - alpha))

        def mean_above(log_odds: float) -> float:
            log_p = log_weights + log_odds * values
            return float(np.exp(log_p - logsumexp(log_p)) @ values) - observed

        p_value = 2 * min(tail(1, 0.0), tail(-1, 0.0))
        at_edge = {values[0]: -np.inf, values[-1]: np.inf}
        log_odds = at_edge[observed] if observed in at_edge else _root(mean_above)
        limits = float(np.exp(limit(1) / 2)), float(np.exp(limit(-1) / 2))
        return blank.with_numbers(np.exp(log_odds / 2), limits, p_value, given.notes)

    return answered(blank, compute)


def _informative(given: Pairs) -> Pairs:
    """Leave out patients without events: given that total there is nothing to know."""
    kept = given.count.sum(axis=1) > 0
    if not kept.any():
        raise Undefined("there are no events")
    return Pairs(
        active_first=given.active_first[kept],
        count=given.count[kept],
        exposure=given.exposure[kept],
        notes=given.notes,
    )


def _both_sequences(given: Pairs) -> None:
    if given.active_first.all() or not given.active_first.any():
        raise Undefined(
            "all patients with events had the treatments in the same order, so that treatment "
            "cannot be told apart from period"
        )


def _cells(given: Pairs) -> Numbers:
    return np.array([given.count[given.active_first == first].sum(axis=0) for first in (0, 1)])


def _distribution(given: Pairs) -> tuple[Numbers, Numbers]:
    """Return the possible totals of period 1 on active, and the logs of their weights."""
    first = given.active_first
    active = _log_weights(given.count[first], given.exposure[first])
    control = _log_weights(given.count[~first], given.exposure[~first])
    total = int(given.count[:, 0].sum())
    values = np.arange(max(0, total - len(control) + 1), min(total, len(active) - 1) + 1)
    return values.astype(float), active[values] + control[total - values]


def _log_weights(count: Numbers, exposure: Numbers) -> Numbers:
    """Return log coefficients of the product of (1 + ratio z)^total over the patients."""
    ratio = exposure[:, 0] / exposure[:, 1]
    # 3.0/0.1 and 30.0 are one ratio
    ratio = np.array([float(f"{r:.12g}") for r in ratio])
    total = count.sum(axis=1)
    log_weights = np.zeros(1)
    several = len(np.unique(ratio)) > 1
    if several and total.sum() > MOST_EVENTS:
        raise Undefined(f"more than {MOST_EVENTS:,} events with unequal exposures")
    for one in np.unique(ratio):
        n = int(total[ratio == one].sum())
        k = np.arange(n + 1)
        factor = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + k * np.log(one)
        log_weights = _log_convolve(log_weights, factor)
    return log_weights


def _log_convolve(a: Numbers, b: Numbers) -> Numbers:
    """Convolve two sequences given by their logs, without leaving the logs."""
    if len(a) > len(b):
        a, b = b, a
    product = np.full(len(a) + len(b) - 1, -np.inf)
    for i, log_a in enumerate(a):
        product[i : i + len(b)] = np.logaddexp(product[i : i + len(b)], log_a + b)
    return product


def _root(function: Callable[[float], float]) -> float:
    """Return the zero of an increasing function of the log odds."""
    reach = 1.0
    while function(-reach) > 0 or function(reach) < 0:
        reach *= 2
    return float(optimize.brentq(function, -reach, reach, xtol=1e-10))
