"""Power scaling: closed forms, ArviZ against new fits with scaled priors, verdicts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy import integrate

from bayes_msc.errors import BayesMSCError, ModelError, PriorError
from bayes_msc.exact import update
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.published import load_published
from bayes_msc.refits import refit_many
from bayes_msc.sensitivity.power_scaling import (
    CONFLICT,
    NONE,
    STRONG,
    TOGETHER,
    PowerScaling,
    exact_tree,
    power_scaling,
    scaled_sets,
    sensitivity_table,
    to_the_power,
    verdict_of,
)
from bayes_msc.trial import Trial

CARD = "crossover-negative-binomial"
Frozen = Any


@pytest.fixture(scope="module")
def counted(crossover: Trial) -> PowerScaling:
    return power_scaling(crossover, CARD, seed=3)


@pytest.mark.parametrize(
    "prior",
    [
        Prior.normal(0.4, 1.2),
        Prior.student_t(4, -0.5, 0.8),
        Prior.half_normal(0.7),
        Prior.exponential(1.5),
        Prior.gamma(2.5, 1.2),
        Prior.lognormal(-0.3, 0.6),
        Prior.beta(2.0, 3.5),
    ],
    ids=lambda prior: prior.distribution,
)
@pytest.mark.parametrize("power", [0.6, 1.0, 2.0])
def test_the_power_of_a_density_by_quadrature(prior: Prior, power: float) -> None:
    scaled = to_the_power(prior, power)
    low, high = prior.ppf([1e-12, 1 - 1e-12]) if prior.support != "unit" else (0.0, 1.0)
    low, high = (low - 20 * (prior.support == "real"), high + 20 * (prior.support != "unit"))
    total = integrate.quad(
        lambda x: float(prior.pdf(x)) ** power, low, high, limit=400, points=[float(prior.ppf(0.5))]
    )[0]
    x = prior.ppf([0.03, 0.3, 0.6, 0.95])
    np.testing.assert_allclose(scaled.pdf(x), prior.pdf(x) ** power / total, rtol=2e-3)


def test_powers_that_are_no_distribution_are_refused() -> None:
    with pytest.raises(PriorError, match="no distribution of the same kind"):
        to_the_power(Prior.half_cauchy(1.0), 2.0)
    with pytest.raises(PriorError, match="must be above 0"):
        to_the_power(Prior.normal(0, 1), 0.0)
    with pytest.raises(PriorError):
        to_the_power(Prior.student_t(1.0, 0.0, 1.0), 0.4)
    sets = scaled_sets({"a": Prior.normal(0, 1), "b": Prior.half_cauchy(1.0)})
    assert {one.name for one in sets} == {"a"}
    assert scaled_sets({"a": Prior.student_t(1.0, 0.0, 1.0)}, (0.4,)) == []


def _distance(one: Frozen, other: Frozen, x: NDArray[np.float64]) -> float:
    """Root of the symmetrised cumulative Jensen-Shannon distance, over what it can be at most."""

    def half(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
        inner = p * (np.log2(p) - np.log2((p + q) / 2))
        return float(np.trapezoid(inner, x) + np.trapezoid(q - p, x) / (2 * math.log(2)))

    found = []
    for p, q in ((one.cdf(x), other.cdf(x)), (one.sf(x), other.sf(x))):
        found.append((half(p, q) + half(q, p)) / float(np.trapezoid(p + q, x)))
    return math.sqrt(max(found))


def test_sensitivity_of_a_normal_estimate_has_a_closed_form() -> None:
    """The posterior is normal, and so are those with a prior or a likelihood to a power."""
    estimate, se, prior = -1.0, 0.6, Prior.normal(0.0, 0.7)
    table = sensitivity_table(exact_tree(prior, estimate, se), {"log_rate_ratio": prior})
    base = update(prior, estimate, se)
    # ArviZ integrates from the lowest draw to the highest
    x = np.linspace(*base.ppf([0.5 / 4000, 1 - 0.5 / 4000]), 100_001)

    def slope(power_prior: float, power_likelihood: float) -> float:
        changed = update(
            to_the_power(prior, power_prior), estimate, se / math.sqrt(power_likelihood)
        )
        assert isinstance(base, Prior)
        assert isinstance(changed, Prior)
        moved = _distance(base.frozen(), changed.frozen(), x)
        return moved / abs(math.log2(power_prior * power_likelihood))

    by_prior = (slope(0.99, 1.0) + slope(1.01, 1.0)) / 2
    by_likelihood = (slope(1.0, 0.99) + slope(1.0, 1.01)) / 2
    assert table.loc[0, "prior_sensitivity"] == pytest.approx(by_prior, rel=0.03)
    assert table.loc[0, "likelihood_sensitivity"] == pytest.approx(by_likelihood, rel=0.03)


def test_flags_rise_as_prior_and_estimate_drift_apart() -> None:
    prior = Prior.normal(0.0, 0.5)
    found = [
        sensitivity_table(exact_tree(prior, d, 0.5), {"log_rate_ratio": prior})[
            "prior_sensitivity"
        ][0]
        for d in (0.0, -0.7, -1.5, -3.0)
    ]
    assert np.all(np.diff(found) > 0)
    agree = power_scaling(load_published("mesems2021"), prior=Prior.normal(0.0, 2.5))
    assert agree.sensitivity["verdict"][0] == NONE
    clash = power_scaling(load_published("llufriu2014"), prior=Prior.normal(1.0, 0.4))
    assert clash.sensitivity["verdict"][0] == CONFLICT
    assert "pull it different ways" in str(clash)


def test_verdicts() -> None:
    assert verdict_of(0.2, 0.2) == CONFLICT
    assert verdict_of(0.2, 0.01) == STRONG
    assert verdict_of(0.01, 0.2) == NONE
    assert verdict_of(0.05, 0.0) == STRONG
    assert verdict_of(math.nan, 0.2) == NONE


def test_the_fast_engine_and_nuts_are_equally_sensitive(
    counted: PowerScaling, crossover_fit: xr.DataTree, crossover: Trial
) -> None:
    priors = Model.load(CARD).priors_for(crossover)
    chains = sensitivity_table(crossover_fit, priors).set_index("prior")
    fast = counted.sensitivity.set_index("prior")
    assert list(fast.index) == [TOGETHER, *priors]
    for column in ("prior_sensitivity", "likelihood_sensitivity"):
        np.testing.assert_allclose(fast[column], chains[column], atol=0.02)
    assert fast["prior_sensitivity"].drop(TOGETHER).idxmax() == "log_rate_ratio"


def test_weights_say_what_fits_with_scaled_priors_say(
    crossover: Trial, crossover_fit: xr.DataTree, counted: PowerScaling
) -> None:
    """Reweighting the draws by a power of their prior, against a new fit with that prior."""
    log_prior = crossover_fit["log_prior"]
    value = crossover_fit["posterior"]["log_rate_ratio"].to_numpy().ravel()
    refits = counted.refits.set_index(["prior", "power"])
    for name in ("log_rate_ratio", TOGETHER, "sqrt_overdispersion"):
        members = list(log_prior.data_vars) if name == TOGETHER else [name]
        total = sum(log_prior[str(n)].to_numpy().ravel() for n in members)
        power = 0.5
        weight = np.exp((power - 1) * total - np.max((power - 1) * total))
        size = weight.sum() ** 2 / (weight**2).sum()
        prob = float(weight @ (value < 0) / weight.sum())
        row = refits.loc[(name, power)]
        error = math.hypot(math.sqrt(prob * (1 - prob) / (size / 2)), row["mcse_below_1"])
        assert row["prob_below_1"] == pytest.approx(prob, abs=4.5 * error), name


def test_refits_are_those_of_the_scaled_priors(crossover: Trial, counted: PowerScaling) -> None:
    row = counted.refits.set_index(["prior", "power"]).loc[("log_rate_ratio", 2.0)]
    assert row["scaled"] == "Normal(0, 0.707107)"
    model = Model.load(CARD).with_prior("log_rate_ratio", Prior.normal(0.0, math.sqrt(0.5)))
    other = refit_many([(model, crossover)], seed=9).iloc[0]
    error = math.hypot(row["mcse_below_1"], other["mcse_below_1"])
    assert row["prob_below_1"] == pytest.approx(other["prob_below_1"], abs=max(4.5 * error, 1e-3))
    assert len(counted.refits) == 2 * len(counted.sensitivity)
    both = counted.refits[counted.refits["prior"] == TOGETHER]
    assert list(both["scaled"]) == ["", ""]


def test_impossible_requests(crossover: Trial) -> None:
    with pytest.raises(BayesMSCError, match="belongs to its card"):
        power_scaling(crossover, CARD, prior=Prior.normal(0, 1))
    with pytest.raises(ModelError, match="a model needs the counts"):
        power_scaling(load_published("llufriu2014"), CARD)
