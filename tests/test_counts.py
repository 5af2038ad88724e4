"""Counts with the patient effect integrated out: against quad, scipy and finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import special, stats

from bayes_msc.counts import (
    DROP,
    FAMILIES,
    NODES,
    Nodes,
    conditional_logp,
    locate,
    log1p_ratio,
    log_rising,
    marginal_logp,
)
from benchmarks.quadrature import Case, cases, errors, gauss_hermite, reference, trapezoidal

EASY = Case("easy", np.array([3.0, 1.0, 0.0, 7.0]), np.log([2.0, 2.0, 1.0, 1.0]), 0.8, 0.4)


@pytest.fixture(scope="module")
def likelihood() -> Callable[..., Any]:
    """Log likelihood a patient and its three gradients, compiled as a fit compiles it."""
    count, eta, seen = pt.dmatrices("count", "eta", "seen")
    sd, k = pt.dscalars("sd", "k")
    logp = marginal_logp("negative-binomial", count, eta, seen, sd, k)
    gradients = pytensor.grad(logp.sum(), [eta, sd, k])
    return pytensor.function([count, eta, seen, sd, k], [logp, *gradients], mode="NUMBA")


def evaluate(likelihood: Callable[..., Any], case: Case) -> list[Any]:
    arrays = (case.count[None], case.eta[None], np.ones((1, len(case.count))))
    return list(likelihood(*arrays, case.patient_sd, case.overdispersion))


def copied(*arrays: Any) -> list[Any]:
    """Give views a memory of their own: another layout would be compiled anew."""
    return [np.ascontiguousarray(array) for array in arrays]


def scalar_function(build: Callable[..., Any], n_inputs: int) -> Callable[..., Any]:
    inputs = [pt.dvector() for _ in range(n_inputs)]
    return pytensor.function(inputs, build(*inputs), mode="FAST_COMPILE")


def term_by_term(count: int, overdispersion: float) -> float:
    return float(np.log1p(overdispersion * np.arange(count)).sum())


def test_likelihood_is_exact_on_the_whole_grid() -> None:
    error = errors(trapezoidal, NODES)
    worst = cases()[int(error.argmax())]
    assert len(error) == 1500
    assert error.max() < 1e-8, f"{error.max():.1e} for {worst.name}"
    # the number of nodes is chosen where more nodes no longer help, and a third fewer would not do
    assert errors(trapezoidal, 27).max() > 1e-7


def test_grid_holds_the_hard_patients() -> None:
    counts = [case.count for case in cases()]
    assert {len(count) for count in counts} >= {1, 12}
    assert any((count == 0).all() for count in counts)
    assert any((count == 200).all() for count in counts)
    assert {case.patient_sd for case in cases()} >= {0.05, 4.0}
    assert {case.overdispersion for case in cases()} >= {0.0, 10.0}
    assert max(np.ptp(case.eta) for case in cases()) > np.log(200)


@pytest.mark.parametrize("seed", range(4))
def test_compiled_likelihood_is_exact_on_random_patients(
    likelihood: Callable[..., Any], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(25):
        rows = int(rng.integers(1, 13))
        sd = float(np.exp(rng.uniform(np.log(0.05), np.log(4.0))))
        k = float(np.exp(rng.uniform(np.log(1e-6), np.log(10.0))))
        eta = rng.uniform(-3, 4) + rng.normal(size=rows)
        mean = np.minimum(np.exp(eta + sd * rng.normal()) * rng.gamma(1 / k, k, rows), 150.0)
        case = Case("random", np.minimum(rng.poisson(mean), 200).astype(float), eta, sd, k)
        ours = evaluate(likelihood, case)[0][0]
        assert ours == pytest.approx(reference(case), rel=0, abs=1e-8), case


def test_gauss_hermite_is_an_independent_route_to_the_same_number() -> None:
    assert trapezoidal(EASY) == pytest.approx(gauss_hermite(EASY, 60), rel=0, abs=1e-8)
    assert trapezoidal(EASY) == pytest.approx(reference(EASY), rel=0, abs=1e-8)


@pytest.mark.parametrize("index", range(0, 1500, 50))
def test_gradients_are_finite_differences_of_the_integral(
    likelihood: Callable[..., Any], index: int
) -> None:
    case = cases()[index]
    step = 1e-4
    _, d_eta, d_sd, d_k = evaluate(likelihood, case)

    def difference(changed: Callable[[float], Case], h: float) -> float:
        return (reference(changed(h)) - reference(changed(-h))) / (2.0 * h)

    def at(eta: Any, sd: float, k: float) -> Case:
        return Case(case.name, case.count, eta, sd, k)

    eta, sd, k = case.eta, case.patient_sd, case.overdispersion
    one = np.eye(len(eta))[0]
    by_eta = difference(lambda h: at(eta + h * one, sd, k), step)
    by_sd = difference(lambda h: at(eta, sd + h, k), step * sd)
    assert d_eta[0, 0] == pytest.approx(by_eta, rel=2e-6, abs=2e-6)
    assert d_sd == pytest.approx(by_sd, rel=2e-6, abs=2e-6)
    if k > 0:
        by_k = difference(lambda h: at(eta, sd, k + h), step * k)
        assert d_k == pytest.approx(by_k, rel=2e-6, abs=2e-5)


def test_gradient_by_overdispersion_at_the_poisson_limit(likelihood: Callable[..., Any]) -> None:
    at_zero = Case(EASY.name, EASY.count, EASY.eta, EASY.patient_sd, 0.0)
    near = Case(EASY.name, EASY.count, EASY.eta, EASY.patient_sd, 1e-6)
    forward = (reference(near) - reference(at_zero)) / 1e-6
    assert evaluate(likelihood, at_zero)[3] == pytest.approx(forward, rel=1e-4)


@pytest.mark.parametrize("overdispersion", [0.0, 0.02, 0.7, 10.0])
def test_without_patient_effect_it_is_the_plain_distribution(
    likelihood: Callable[..., Any], overdispersion: float
) -> None:
    case = Case("flat", np.array([0.0, 3.0, 200.0]), np.log([0.5, 4.0, 150.0]), 1e-9, 0.0)
    case = Case(case.name, case.count, case.eta, case.patient_sd, overdispersion)
    mean = np.exp(case.eta)
    if overdispersion:
        theta = 1.0 / overdispersion
        plain = stats.nbinom.logpmf(case.count, theta, theta / (theta + mean))
    else:
        plain = stats.poisson.logpmf(case.count, mean)
    logp, d_eta, d_sd, d_k = evaluate(likelihood, case)
    assert logp[0] == pytest.approx(plain.sum(), rel=0, abs=1e-8)
    assert np.isfinite([*d_eta.ravel(), d_sd, d_k]).all()


@pytest.mark.parametrize("overdispersion", [0.0, 1e-300, 1e-100, 1e-30, 1e-12])
def test_vanishing_overdispersion_is_poisson(overdispersion: float) -> None:
    poisson = Case(EASY.name, EASY.count, EASY.eta, EASY.patient_sd, 0.0)
    case = Case(EASY.name, EASY.count, EASY.eta, EASY.patient_sd, overdispersion)
    assert trapezoidal(case) == pytest.approx(reference(poisson), rel=0, abs=1e-8)


def test_poisson_family_is_the_negative_binomial_at_zero(likelihood: Callable[..., Any]) -> None:
    poisson = marginal_logp("poisson", *(pt.as_tensor(a[None]) for a in _arrays(EASY)), 0.8, 0.0)
    zero = Case(EASY.name, EASY.count, EASY.eta, EASY.patient_sd, 0.0)
    ours = evaluate(likelihood, zero)[0][0]
    assert poisson.eval(mode="FAST_COMPILE")[0] == pytest.approx(ours, rel=1e-13)


def _arrays(case: Case) -> tuple[Any, Any, Any]:
    return case.count, case.eta, np.ones_like(case.count)


@pytest.mark.parametrize(
    "overdispersion", [1e-300, 1e-100, 1e-16, 1e-8, 1e-4, 0.0199, 0.02, 0.0201, 0.3, 1.0, 10.0]
)
def test_log_rising_has_all_its_digits(overdispersion: float) -> None:
    counts = np.array([0, 1, 2, 3, 10, 50, 200, 3000])
    exact = [term_by_term(int(count), overdispersion) for count in counts]
    ours = scalar_function(log_rising, 2)(counts.astype(float), np.full(8, overdispersion))
    np.testing.assert_allclose(ours, exact, rtol=1e-11, atol=2e-12)


def test_log1p_ratio_does_not_lose_digits() -> None:
    x = np.array([0.0, 1e-300, 1e-17, 1e-8, 9.99e-5, 1.01e-4, 0.5, 3.0, 1e8])
    ours = scalar_function(log1p_ratio, 1)(x)
    exact = np.where(x > 0, special.log1p(x) / np.where(x > 0, x, 1.0), 1.0)
    np.testing.assert_allclose(ours, exact, rtol=1e-13)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_log_pmf_against_scipy_and_sums_to_one(family: str) -> None:
    count = np.arange(0.0, 4000.0)
    for mean, k in ((0.3, 0.5), (8.0, 0.01), (8.0, 3.0), (60.0, 1.0)):
        log_mean = np.full_like(count, np.log(mean))
        logp = conditional_logp(
            family, count[:, None], log_mean[:, None], np.ones((len(count), 1)), pt.constant(k)
        ).eval(mode="FAST_COMPILE")
        theta = 1.0 / k
        plain = {
            "poisson": stats.poisson.logpmf(count, mean),
            "negative-binomial": stats.nbinom.logpmf(count, theta, theta / (theta + mean)),
        }
        np.testing.assert_allclose(logp, plain[family], rtol=1e-9, atol=1e-10)
        assert np.exp(logp).sum() == pytest.approx(1.0, abs=1e-10)


def test_integrated_probabilities_sum_to_one(likelihood: Callable[..., Any]) -> None:
    count = np.arange(0.0, 5000.0)[:, None]
    eta = np.full_like(count, np.log(3.0))
    logp = likelihood(count, eta, np.ones_like(count), 0.7, 0.5)[0]
    assert np.exp(logp).sum() == pytest.approx(1.0, abs=1e-8)
    mean = 3.0 * np.exp(0.5 * 0.7**2)
    assert (count[:, 0] * np.exp(logp)).sum() == pytest.approx(mean, rel=1e-7)


def test_unseen_rows_change_nothing(likelihood: Callable[..., Any]) -> None:
    rng = np.random.default_rng(2)
    count = rng.poisson(3.0, (5, 7)).astype(float)
    eta, seen = rng.normal(size=(5, 7)), np.ones((5, 7))
    seen[:, 4:] = 0.0
    padded = likelihood(count, eta, seen, 1.3, 0.4)
    compact = likelihood(*copied(count[:, :4], eta[:, :4], seen[:, :4]), 1.3, 0.4)
    np.testing.assert_allclose(padded[0], compact[0], rtol=1e-14)
    np.testing.assert_allclose(padded[1][:, :4], compact[1], rtol=1e-12)
    assert (padded[1][:, 4:] == 0).all()
    elsewhere = likelihood(np.where(seen == 0, 99.0, count), eta - 5 * (1 - seen), seen, 1.3, 0.4)
    assert (elsewhere[0] == padded[0]).all()
    assert all((a == b).all() for a, b in zip(elsewhere[1:], padded[1:], strict=True))


def test_patient_without_a_seen_row_has_likelihood_one(likelihood: Callable[..., Any]) -> None:
    none = np.zeros((1, 3))
    assert likelihood(none, none, none, 2.0, 1.0)[0][0] == pytest.approx(0.0, abs=1e-8)


def test_order_of_patients_and_rows_does_not_matter(likelihood: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    count, eta = rng.poisson(5.0, (4, 6)).astype(float), rng.normal(size=(4, 6))
    seen = np.ones((4, 6))
    logp = likelihood(count, eta, seen, 0.9, 0.2)[0]
    turned = likelihood(*copied(count[::-1, ::-1], eta[::-1, ::-1], seen), 0.9, 0.2)[0]
    np.testing.assert_allclose(turned[::-1], logp, rtol=1e-13)


def test_nodes_hold_the_integrand_between_them() -> None:
    for case in cases()[::37]:
        count, eta, seen = (a[None] for a in _arrays(case))
        nodes, _ = locate(eta, count, seen, case.patient_sd, case.overdispersion, 40, 18.0)
        at = case.log_integrand(nodes[0])
        assert (np.diff(nodes[0]) > 0).all()
        # the outermost nodes are where the integrand has fallen by 18, within 5 %
        assert np.ptp(at) == pytest.approx(18.0, rel=0.07)
        assert max(at[0], at[-1]) - at.max() < -17.0


def test_compiled_nodes_are_those_of_the_source() -> None:
    # compiled code is cached on disk between processes: an edited rule must not find the old one
    count, eta, seen = pt.dmatrices("count", "eta", "seen")
    sd, k = pt.dscalars("sd", "k")
    compiled = pytensor.function(
        [eta, count, seen, sd, k], Nodes()(eta, count, seen, sd, k), mode="NUMBA"
    )
    arrays = [a[None] for a in (EASY.eta, EASY.count, np.ones(4))]
    for ours, source in zip(
        compiled(*arrays, 0.8, 0.4), locate(*arrays, 0.8, 0.4, NODES, DROP), strict=True
    ):
        np.testing.assert_allclose(ours, source, rtol=1e-12)


def test_nodes_have_no_gradient() -> None:
    eta = pt.dmatrix("eta")
    one = pt.ones_like(eta)
    nodes, _ = Nodes()(one, eta, one, pt.constant(1.0), pt.constant(0.1))
    gradient = pytensor.grad(nodes.sum(), eta, disconnected_inputs="ignore")
    assert (gradient.eval({eta: np.zeros((2, 3))}, mode="FAST_COMPILE") == 0).all()


@pytest.mark.parametrize(("mean", "k"), [(0.4, 0.0), (6.0, 0.5), (3.0, 4.0)])
def test_random_counts_have_the_stated_mean_and_variance(mean: float, k: float) -> None:
    rng = np.random.default_rng(4)
    n = 200_000
    y = FAMILIES["negative-binomial"].random(rng, np.full(n, mean), k)
    variance = mean + k * mean**2
    assert y.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / n))
    spread = np.sqrt(((y - y.mean()) ** 2).var() / n)
    assert y.var() == pytest.approx(variance, abs=5 * spread)


def test_random_poisson_counts_follow_the_distribution() -> None:
    y = FAMILIES["poisson"].random(np.random.default_rng(5), np.full(50_000, 2.5), 0.0)
    observed = np.bincount(y, minlength=9)[:9]
    expected = 50_000 * stats.poisson.pmf(np.arange(9), 2.5)
    assert ((observed - expected) ** 2 / expected).sum() < stats.chi2.ppf(0.9999, 9)


def test_table_of_families() -> None:
    assert set(FAMILIES) == {"poisson", "negative-binomial"}
    assert not FAMILIES["poisson"].dispersed
    assert FAMILIES["negative-binomial"].dispersed
    assert FAMILIES["negative-binomial"].variance == "mean + overdispersion * mean^2"
