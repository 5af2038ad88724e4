"""Priors made of other trials: closed forms, brute force, and what a mixture keeps of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, stats

from bayes_msc.errors import PriorError, PublishedError
from bayes_msc.evidence import (
    Borrowed,
    Evidence,
    commensurate_prior,
    component_weights,
    conflict,
    external_prior,
    fit_mixture,
    hierarchy,
    in_short,
    map_prior,
    normalised_power_prior,
    power_prior,
    prior_densities,
    robustify,
    tau_prior,
    tau_priors,
)
from bayes_msc.exact import update
from bayes_msc.prior import Prior

FLAT = Prior.normal(0, 1e4)
ONE = Evidence("one", -0.5, 0.24, n_active=60, n_control=60)
TWO = [ONE, Evidence("two", 0.3, 0.4)]
MAKE: dict[str, Callable[[], Borrowed]] = {
    "map": lambda: map_prior(TWO, "half-normal-0.5"),
    "power": lambda: power_prior(TWO, [0.3, 0.8]),
    "normalised": lambda: normalised_power_prior(TWO),
    "commensurate": lambda: commensurate_prior(TWO, Prior.half_student_t(4, 0.5)),
}


def moments(prior: Prior) -> tuple[float, float]:
    return prior.frozen().mean(), prior.frozen().std()


@pytest.mark.parametrize("tau", [0.05, 0.3, 1.2])
def test_one_study_map_is_a_power_prior(tau: float) -> None:
    assert ONE.se is not None
    known = Prior.lognormal(math.log(tau), 1e-6)
    weight = 1 / (1 + 2 * tau**2 / ONE.se**2)
    ours = moments(map_prior(ONE, known, mu_prior=FLAT).prior)
    assert ours == pytest.approx(moments(power_prior(ONE, weight, initial=FLAT).prior), rel=1e-6)
    assert ours[1] ** 2 == pytest.approx(ONE.se**2 + 2 * tau**2, rel=1e-6)


def test_one_study_map_is_a_commensurate_prior_of_twice_the_variance() -> None:
    spread = Prior.half_normal(0.5)
    wider = Prior.half_normal(0.5 * math.sqrt(2))
    ours = map_prior(ONE, spread, mu_prior=FLAT).prior
    theirs = commensurate_prior(ONE, wider, initial=FLAT).prior
    # with one trial and a flat mean, the likelihood of tau is flat too
    points = np.linspace(-3, 2, 11)
    np.testing.assert_allclose(ours.cdf(points), theirs.cdf(points), atol=2e-6)


def test_map_is_the_new_trial_of_the_hierarchy() -> None:
    y, s = [-0.5, 0.3], [0.24, 0.4]
    for name, prior in tau_priors().items():
        exact = hierarchy(y, s, Prior.normal(0, 2.5), prior).new_trial
        points = np.linspace(-2, 2, 9)
        np.testing.assert_allclose(map_prior(TWO, name).prior.cdf(points), exact.cdf(points))


def test_map_against_brute_force_with_a_half_t() -> None:
    spread, centre = Prior.half_student_t(4, 0.5), Prior.normal(0, 2.5)
    tau = (np.arange(6000) + 0.5) * 15 / 6000
    mu = np.linspace(-6, 6, 601)[:, None]
    weight = centre.pdf(mu) * spread.pdf(tau)
    for row in TWO:
        weight = weight * stats.norm.pdf(row.estimate, mu, np.hypot(row.se_used, tau))
    weight /= weight.sum()
    ours = map_prior(TWO, spread)
    for limit in (-1.0, 0.0, 0.5):
        brute = float((weight * stats.norm.cdf(limit, mu, tau)).sum())
        assert float(ours.prior.cdf(limit)) == pytest.approx(brute, abs=2e-4)
    row = ours.steering().iloc[0]
    assert row["mean"] == pytest.approx(float((weight * tau).sum()), abs=1e-3)


def test_power_prior_ends() -> None:
    vague = Prior.normal(0, 2.5)
    assert moments(power_prior(ONE, 0).prior) == pytest.approx((0, 2.5))
    full = update(vague, ONE.estimate, ONE.se_used)
    assert isinstance(full, Prior)
    assert moments(power_prior(ONE, 1).prior) == pytest.approx(moments(full))
    mixed = Prior.normal_mixture([0.4, 0.6], [-1, 1], [0.3, 0.5])
    full = update(mixed, ONE.estimate, ONE.se_used)
    points = np.linspace(-2, 2, 9)
    ours = power_prior(ONE, 1, initial=mixed).prior
    np.testing.assert_allclose(ours.cdf(points), full.cdf(points))


def test_relevance_is_the_weight_of_a_power_prior() -> None:
    row = ONE.weighted(0.3, "other cells")
    assert moments(power_prior(row, 1).prior) == pytest.approx(moments(power_prior(ONE, 0.3).prior))


def test_normalised_power_prior_against_quadrature() -> None:
    beta, initial = Prior.beta(2, 3), Prior.normal(0.2, 1.5)
    ours = normalised_power_prior(ONE, weight_prior=beta, initial=initial)
    estimate, se = 0.9, 0.5

    def given(weight: float) -> tuple[float, float]:
        precision = weight / ONE.se_used**2 + 1 / 1.5**2
        return (weight * ONE.estimate / ONE.se_used**2 + 0.2 / 1.5**2) / precision, precision**-0.5

    def cumulative(weight: float) -> float:
        m, s = given(weight)
        return float(beta.pdf(weight)) * float(stats.norm.cdf(0.1, m, s))

    assert float(ours.prior.cdf(0.1)) == pytest.approx(
        integrate.quad(cumulative, 0, 1)[0], abs=1e-6
    )

    def likelihood(weight: float) -> float:
        m, s = given(weight)
        return float(beta.pdf(weight)) * float(stats.norm.pdf(estimate, m, math.hypot(s, se)))

    total = integrate.quad(likelihood, 0, 1)[0]
    mean = integrate.quad(lambda w: w * likelihood(w), 0, 1)[0] / total
    before, after = ours.steering(estimate, se).to_dict("records")
    assert before["mean"] == pytest.approx(0.4, abs=1e-6)
    assert after["mean"] == pytest.approx(mean, abs=1e-6)
    assert after["mean"] < before["mean"]


def test_commensurate_prior_gives_way_to_data_that_contradict_it() -> None:
    borrowed = commensurate_prior(ONE, Prior.half_normal(0.5))
    near = borrowed.steering(-0.5, 0.2)["mean"].tolist()
    far = borrowed.steering(2.0, 0.2)["mean"].tolist()
    assert near[1] < near[0] < far[1]


@pytest.mark.parametrize("name", MAKE)
def test_a_short_mixture_keeps_what_the_exact_prior_says(name: str) -> None:
    exact = MAKE[name]()
    short = fit_mixture(exact)
    assert short.kl < 1e-3
    assert isinstance(short.prior, Prior)
    points = np.linspace(-3, 3, 25)
    np.testing.assert_allclose(short.prior.cdf(points), exact.prior.cdf(points), atol=0.004)
    for estimate in (-1.4, 0.0, 1.5):
        ours = update(short.prior, estimate, 0.5).cdf([-0.5, 0.0])
        theirs = update(exact.prior, estimate, 0.5).cdf([-0.5, 0.0])
        np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_more_components_come_closer_and_the_criterion_stops_them() -> None:
    target = Prior.student_t(4, 0.2, 0.7)
    fits = fit_mixture(target)
    assert (np.diff(fits.choices["kl"]) < 0).all()
    assert fits.choices["aic"].idxmin() == fits.choices["chosen"].idxmax()
    assert 1 < fits.size <= 4
    own = Prior.normal_mixture([0.35, 0.65], [-1.0, 0.8], [0.4, 0.5])
    again = fit_mixture(own)
    assert again.size == 2
    assert again.kl < 1e-7
    assert isinstance(again.prior, Prior)
    np.testing.assert_allclose(sorted(again.prior["locs"]), [-1.0, 0.8], atol=1e-3)  # type: ignore[type-var]
    one = fit_mixture(Prior.normal(0.3, 0.2))
    assert one.size == 1
    assert moments(one.prior) == pytest.approx((0.3, 0.2), abs=1e-6)  # type: ignore[arg-type]


def test_divergence_against_quad() -> None:
    target = Prior.student_t(5, 0, 1)
    found = fit_mixture(target, size=2)
    assert isinstance(found.prior, Prior)

    def integrand(x: float) -> float:
        p = float(target.pdf(x))
        return p * math.log(p / float(found.prior.pdf(x)))

    # beyond, where a normal has no tail to speak of, a ten-millionth of the mass is left out
    end = float(target.ppf(1 - 1e-7))
    direct = integrate.quad(integrand, -end, end, limit=400, points=[-5, 0, 5])[0]
    assert found.kl == pytest.approx(direct, abs=2e-6)


def test_robust_weights_in_closed_form() -> None:
    prior = robustify(Prior.normal(-0.5, 0.2), 0.3, unit_sd=2.0)
    estimate, se = 1.0, 0.4
    informed = 0.7 * stats.norm.pdf(estimate, -0.5, math.hypot(0.2, se))
    vague = 0.3 * stats.norm.pdf(estimate, 0, math.hypot(2.0, se))
    table = component_weights(prior, estimate, se)
    after = table["posterior_weight"].tolist()
    assert after == pytest.approx([informed / (informed + vague), vague / (informed + vague)])
    assert after[1] > 0.9
    posterior = update(prior, estimate, se)
    assert isinstance(posterior, Prior)
    assert posterior["weights"] == pytest.approx(after)


def test_conflict_in_closed_form() -> None:
    calm, loud = (conflict(Prior.normal(0, 0.3), y, 0.4).iloc[0] for y in (0.1, 2.0))
    assert loud["tail_p"] == pytest.approx(2 * stats.norm.sf(2.0 / 0.5))
    assert loud["density_p"] == pytest.approx(loud["tail_p"], rel=1e-3)
    assert loud["predicted_upper"] == pytest.approx(1.959964 * 0.5)
    assert "contradicts" in loud["verdict"]
    assert "no conflict" in calm["verdict"]
    assert math.isnan(calm["vague_after"])
    robust = robustify(Prior.normal(0, 0.3), 0.2, unit_sd=3)
    row = conflict(robust, 2.0, 0.4).iloc[0]
    assert row["vague_before"] == pytest.approx(0.2)
    assert row["vague_after"] > 0.8


def test_density_p_of_a_lopsided_prior_by_simulation() -> None:
    prior = Prior.normal_mixture([0.8, 0.2], [0.0, 3.0], [0.5, 0.3])
    row = conflict(prior, 1.6, 0.2).iloc[0]
    rng = np.random.default_rng(3)
    new = prior.frozen().rvs(200_000, rng) + 0.2 * rng.normal(size=200_000)
    expected = Prior.normal_mixture([0.8, 0.2], [0.0, 3.0], np.hypot([0.5, 0.3], 0.2))
    share = float((expected.pdf(new) <= expected.pdf(1.6)).mean())
    assert row["density_p"] == pytest.approx(share, abs=0.002)
    assert row["density_p"] < row["tail_p"] / 5


def test_external_prior_is_short_robust_and_reasoned() -> None:
    prior = external_prior("mesems2021", "half-normal-0.5")
    weights, scales = np.asarray(prior["weights"]), np.asarray(prior["scales"])
    assert weights[-1] == pytest.approx(0.2)
    assert scales[-1] == pytest.approx(0.2424 * 12, rel=1e-3)
    assert "MESEMS 2021" in prior.why
    assert "say nothing" in prior.why
    bare = external_prior("mesems2021", "half-normal-0.5", robust=0)
    points = np.linspace(-2, 2, 9)
    exact = map_prior("mesems2021", "half-normal-0.5").prior
    np.testing.assert_allclose(bare.cdf(points), exact.cdf(points), atol=0.003)


def test_densities_integrate_to_one() -> None:
    table = prior_densities({"a": Prior.normal(0, 1), "b": Prior.normal(1, 0.5)})
    for _, rows in table.groupby("prior"):
        assert np.trapezoid(rows["density"], rows["value"]) == pytest.approx(0.99, abs=0.01)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: map_prior(ONE, "turner"), PriorError, "half-normal-0.5, half-normal-1, half-t"),
        (lambda: map_prior(ONE, Prior.normal(0, 1)), PriorError, "cannot be negative"),
        (lambda: map_prior("mesems", "half-t"), PublishedError, "llufriu2014, mesems2021"),
        (
            lambda: map_prior(ONE, "half-t", mu_prior=Prior.half_normal(1)),
            PriorError,
            "may be negative",
        ),
        (lambda: power_prior(ONE, 1.2), PriorError, "from 0 to 1"),
        (lambda: power_prior(TWO, [0.1, 0.2, 0.3]), PriorError, "3 weights for 2 trials"),
        (
            lambda: power_prior(ONE, 0.5, initial=Prior.student_t(3, 0, 1)),
            PriorError,
            "not built of normals",
        ),
        (
            lambda: normalised_power_prior(ONE, weight_prior=Prior.gamma(1, 1)),
            PriorError,
            "on 0 to 1",
        ),
        (lambda: commensurate_prior(ONE, Prior.normal(0, 1)), PriorError, "cannot be negative"),
        (lambda: fit_mixture(Prior.half_normal(1)), PriorError, "may be negative"),
        (lambda: fit_mixture(Prior.normal(0, 1), size=0), PriorError, "size is 0"),
        (lambda: robustify(Prior.normal(0, 1), 0, unit_sd=1), PriorError, "between 0 and 1"),
        (lambda: robustify(Prior.normal(0, 1), 0.1), PriorError, "either unit_sd or vague"),
        (
            lambda: robustify(Prior.normal(0, 1), 0.1, vague=Prior.student_t(3, 0, 1)),
            PriorError,
            "must be a normal",
        ),
        (lambda: conflict(Prior.normal(0, 1), 0, 0), PriorError, "above 0"),
        (lambda: power_prior(ONE, 0.5).steering(), PriorError, "its weight was set"),
        (lambda: in_short(power_prior(ONE, 0.5), robust=0.2), PriorError, "unit_sd is missing"),
        (lambda: in_short(power_prior(ONE, 0.5), robust=1), PriorError, "to below 1"),
    ],
)
def test_faults(make: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_turner_priors_are_of_tau_and_not_of_its_square() -> None:
    prior = tau_prior("turner2015-symptoms")
    square = stats.lognorm(s=1.51, scale=math.exp(-2.06))
    assert prior.interval() == pytest.approx(np.sqrt(square.ppf([0.025, 0.975])).tolist())
    assert "Turner 2015" in prior.why


def test_half_t_in_its_own_words() -> None:
    prior = Prior.half_student_t(5, 0.7)
    whole = stats.t(5, scale=0.7)
    frozen = prior.frozen()
    points = np.array([0.1, 0.5, 2.0])
    np.testing.assert_allclose(prior.cdf(points), whole.cdf(points) - whole.cdf(-points))
    np.testing.assert_allclose(prior.ppf(prior.cdf(points)), points)
    assert frozen.mean() == pytest.approx(integrate.quad(lambda x: x * prior.pdf(x), 0, 400)[0])
    second = integrate.quad(lambda x: x**2 * prior.pdf(x), 0, 2000, limit=300)[0]
    assert frozen.std() == pytest.approx(math.sqrt(second - frozen.mean() ** 2), rel=1e-4)
    assert Prior.half_student_t(1, 1).frozen().mean() == math.inf
    assert Prior.half_student_t(2, 1).frozen().std() == math.inf
    assert float(prior.pdf(-1.0)) == 0
