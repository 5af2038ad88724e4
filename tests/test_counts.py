"""Counts with the patient effect integrated out: against quad, plain sums and differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.replace import graph_replace, vectorize_graph
from scipy import integrate, stats

from bayes_msc.counts import DROP, FAMILIES, marginal_logp, patient_integral, value_only
from bayes_msc.counts.lanes import FEWEST, LANES
from bayes_msc.counts.operations import PatientLogp, PatientLogpGradient
from benchmarks.quadrature import (
    TARGET,
    Case,
    cases,
    errors,
    family_cases,
    gauss_hermite,
    nodes_used,
    reference,
    trapezoidal,
)

NAMES = tuple(FAMILIES)
EASY = Case("easy", np.array([3.0, 1.0, 0.0, 7.0]), np.log([2.0, 2.0, 1.0, 1.0]), 0.8, 0.4)
ZERO_PART = {"zero-inflated-poisson": 0.2, "zero-inflated-negative-binomial": 0.2}
#: Families whose reference takes its time, with the step through the 1500 cases.
COSTLY = {"hurdle-negative-binomial": 173, "poisson-lognormal": 173}
Arrays = tuple[Any, ...]


def parameters(family: str) -> tuple[float, float]:
    """Overdispersion and zero part that a family has."""
    zero_part = 0.6 if family.startswith("hurdle") else ZERO_PART.get(family, 0.0)
    return (0.4 if FAMILIES[family].dispersed else 0.0), zero_part


def arrays_of(case: Case) -> Arrays:
    """One patient as six arrays of shape (1, rows)."""
    one = np.ones((1, len(case.count)))
    k, p = case.overdispersion * one, case.zero_part * one
    return case.count[None], case.eta[None], case.patient_sd * one, one, k, p


def evaluate(arrays: Arrays, family: str = "negative-binomial") -> list[Any]:
    """Log likelihood and its derivatives in eta, loading, overdispersion and zero part."""
    return list(patient_integral(family).logp_and_gradient(*copied(*arrays), 0))


def copied(*arrays: Any) -> list[Any]:
    """Give views a memory of their own: another layout would be compiled anew."""
    return [np.ascontiguousarray(array, dtype=float) for array in arrays]


def patients(family: str, shape: tuple[int, int] = (5, 7), seed: int = 2) -> Arrays:
    rng = np.random.default_rng(seed)
    k, p = parameters(family)
    count = rng.poisson(3.0, shape) * (rng.random(shape) < 0.7)
    eta, loading = rng.normal(size=shape), rng.uniform(0.5, 1.3, shape)
    return tuple(copied(count, eta, loading, *(np.full(shape, v) for v in (1.0, k, p))))


def plain_sum(family: str, arrays: Arrays) -> Any:
    """Conditional log likelihood at a patient effect of 0, from the table's own kernels."""
    count, eta, _, seen, k, p = arrays
    row = FAMILIES[family]
    total = np.zeros(len(count))
    for i, j in np.ndindex(count.shape):
        if seen[i, j]:
            at = (k[i, j], p[i, j])
            mean = float(np.exp(eta[i, j]))
            total[i] += row.kernel(count[i, j], eta[i, j], mean, *at)[0]
            total[i] += row.constant(count[i, j], *at)[0]
    return total


def test_likelihood_is_exact_on_the_whole_grid() -> None:
    error = errors(trapezoidal, 0)
    worst = cases()[int(error.argmax())]
    assert len(error) == 1500
    assert error.max() < TARGET, f"{error.max():.1e} for {worst.name}"
    # nodes are laid where they are needed: fewer for all would not do, and all do not need the most
    used = nodes_used(cases())
    assert errors(trapezoidal, 27).max() > 10 * TARGET
    assert (used.min(), used.max()) == (FEWEST, FAMILIES["negative-binomial"].nodes)
    assert np.median(used[[case.patient_sd < 1.5 for case in cases()]]) < 24


@pytest.mark.parametrize("family", NAMES)
def test_likelihood_of_every_family_against_quad(family: str) -> None:
    for i, case in enumerate(family_cases(family, every=COSTLY.get(family, 53))):
        ours = evaluate(arrays_of(case), family)[0][0]
        exact = reference(case, by_quad=i == 7)
        assert ours == pytest.approx(exact, rel=0, abs=2e-8), case.name


def test_second_hump_beyond_a_valley_is_found() -> None:
    # as likely with a high rate, so that the zeros are of their own kind, as with a low one
    count, one = np.append(np.zeros(11), 20.0), np.ones(12)
    for sd, p in ((0.5, 0.004), (2.0, 0.004), (2.0, 0.01), (4.0, 1e-4)):
        case = Case("two humps", count, 0.5 * one, sd, 0.0, "zero-inflated-poisson", p)
        ours = evaluate(arrays_of(case), case.family)[0][0]
        assert ours == pytest.approx(reference(case), rel=0, abs=1e-8)


def test_grid_holds_the_hard_patients() -> None:
    counts = [case.count for case in cases()]
    assert {len(count) for count in counts} >= {1, 12}
    assert any((count == 0).all() for count in counts)
    assert any((count == 200).all() for count in counts)
    assert {case.patient_sd for case in cases()} >= {0.05, 4.0}
    assert {case.overdispersion for case in cases()} >= {0.0, 10.0}
    assert max(np.ptp(case.eta) for case in cases()) > np.log(200)


@pytest.mark.parametrize("seed", range(4))
def test_likelihood_is_exact_on_random_patients(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(25):
        rows = int(rng.integers(1, 13))
        sd = float(np.exp(rng.uniform(np.log(0.05), np.log(4.0))))
        k = float(np.exp(rng.uniform(np.log(1e-6), np.log(10.0))))
        eta = rng.uniform(-3, 4) + rng.normal(size=rows)
        mean = np.minimum(np.exp(eta + sd * rng.normal()) * rng.gamma(1 / k, k, rows), 150.0)
        case = Case("random", np.minimum(rng.poisson(mean), 200).astype(float), eta, sd, k)
        ours = evaluate(arrays_of(case))[0][0]
        assert ours == pytest.approx(reference(case), rel=0, abs=1e-8), case


def test_gauss_hermite_is_an_independent_route_to_the_same_number() -> None:
    assert trapezoidal(EASY) == pytest.approx(gauss_hermite(EASY, 60), rel=0, abs=1e-8)
    assert trapezoidal(EASY) == pytest.approx(reference(EASY), rel=0, abs=1e-8)


def differences(case: Case, step: float = 1e-4) -> dict[str, float]:
    """Central differences of the reference integral in the first row's log mean, sd, k and p."""
    one = np.eye(len(case.eta))[0]

    def moved(eta: float = 0.0, sd: float = 0.0, k: float = 0.0, p: float = 0.0) -> float:
        return reference(
            Case(
                case.name,
                case.count,
                case.eta + eta * one,
                case.patient_sd + sd,
                case.overdispersion + k,
                case.family,
                case.zero_part + p,
            ),
            by_quad=False,
        )

    steps = {"eta": step, "sd": step * case.patient_sd}
    steps |= {"k": step * case.overdispersion, "p": step * case.zero_part}
    return {
        name: (moved(**{name: h}) - moved(**{name: -h})) / (2.0 * h)
        for name, h in steps.items()
        if h > 0
    }


@pytest.mark.parametrize(
    "case",
    [
        *cases()[::50],
        *(case for name in NAMES for case in family_cases(name, every=790)),
    ],
    ids=lambda case: case.name,
)
def test_gradients_are_finite_differences_of_the_integral(case: Case) -> None:
    _, d_eta, d_loading, d_k, d_p = evaluate(arrays_of(case), case.family)
    found = {"eta": d_eta[0, 0], "sd": d_loading.sum(), "k": d_k.sum(), "p": d_p.sum()}
    for name, wanted in differences(case).items():
        scale = {"k": 2e-5, "p": 2e-5}.get(name, 4e-6)
        assert found[name] == pytest.approx(wanted, rel=4e-6, abs=scale), name


def test_gradient_by_overdispersion_at_the_poisson_limit() -> None:
    at_zero = Case(EASY.name, EASY.count, EASY.eta, EASY.patient_sd, 0.0)
    near = Case(EASY.name, EASY.count, EASY.eta, EASY.patient_sd, 1e-6)
    forward = (reference(near) - reference(at_zero)) / 1e-6
    assert evaluate(arrays_of(at_zero))[3].sum() == pytest.approx(forward, rel=1e-4)


@pytest.mark.parametrize("overdispersion", [0.0, 0.02, 0.7, 10.0])
def test_without_patient_effect_it_is_the_plain_distribution(overdispersion: float) -> None:
    count, eta = np.array([0.0, 3.0, 200.0]), np.log([0.5, 4.0, 150.0])
    mean = np.exp(eta)
    if overdispersion:
        theta = 1.0 / overdispersion
        plain = stats.nbinom.logpmf(count, theta, theta / (theta + mean))
    else:
        plain = stats.poisson.logpmf(count, mean)
    for sd, near in ((0.0, 1e-12), (1e-9, 1e-8)):
        logp, *slopes = evaluate(arrays_of(Case("flat", count, eta, sd, overdispersion)))
        assert logp[0] == pytest.approx(plain.sum(), rel=0, abs=near * 100)
        assert all(np.isfinite(slope).all() for slope in slopes)


@pytest.mark.parametrize("family", NAMES)
def test_no_loading_is_the_plain_sum(family: str) -> None:
    count, eta, loading, seen, k, p = patients(family)
    seen = seen.copy()
    seen[1, 3:] = 0.0
    arrays = (count, eta, 0.0 * loading, seen, k, p)
    logp, d_eta, d_loading, d_k, d_p = evaluate(arrays, family)
    np.testing.assert_allclose(logp, plain_sum(family, arrays), rtol=1e-13)
    step = 1e-6
    for place, found in ((1, d_eta), (4, d_k), (5, d_p)):
        if not arrays[place].any():
            continue
        ends = []
        for side in (step, -step):
            moved = list(arrays)
            moved[place] = moved[place] + side * (np.arange(7) == 2)
            ends.append(plain_sum(family, tuple(moved)))
        np.testing.assert_allclose(found[:, 2], (ends[0] - ends[1]) / (2 * step), rtol=1e-6)
    assert (d_loading == 0).all()


@pytest.mark.parametrize("family", NAMES)
def test_rows_without_loading_stand_beside_those_with(family: str) -> None:
    count, eta, loading, seen, k, p = patients(family)
    loading = loading.copy()
    loading[:, :3] = 0.0
    whole = evaluate((count, eta, loading, seen, k, p), family)[0]
    first, rest = seen.copy(), seen.copy()
    first[:, 3:], rest[:, :3] = 0.0, 0.0
    alone = evaluate((count, eta, loading, first, k, p), family)[0]
    others = evaluate((count, eta, loading, rest, k, p), family)[0]
    np.testing.assert_allclose(whole, alone + others, rtol=0, atol=2e-8)


@pytest.mark.parametrize("overdispersion", [0.0, 1e-300, 1e-100, 1e-30, 1e-12])
def test_vanishing_overdispersion_is_poisson(overdispersion: float) -> None:
    poisson = Case(EASY.name, EASY.count, EASY.eta, EASY.patient_sd, 0.0)
    case = Case(EASY.name, EASY.count, EASY.eta, EASY.patient_sd, overdispersion)
    assert trapezoidal(case) == pytest.approx(reference(poisson), rel=0, abs=1e-8)
    plain = evaluate(arrays_of(poisson), "poisson")
    assert evaluate(arrays_of(case))[0] == pytest.approx(plain[0], rel=1e-11)


@pytest.mark.parametrize("family", NAMES)
def test_means_of_a_million(family: str) -> None:
    count, eta, one = np.array([[1e6, 9.8e5]]), np.log([[1e6, 1e6]]), np.ones((1, 2))
    k, p = parameters(family)
    arrays = (count, eta, 0.5 * one, one, 0.1 * k * one, p * one)

    def log_integrand(z: float) -> float:
        at = (count, eta + 0.5 * z, *arrays[2:])
        return float(plain_sum(family, at)[0]) - 0.5 * z * z

    z = np.linspace(-3.0, 3.0, 6001)
    for _ in range(2):
        height = np.array([log_integrand(at) for at in z])
        inside = z[height > height.max() - 35.0]
        z = np.linspace(inside[0] - 1e-3, inside[-1] + 1e-3, 1001)
    height = np.array([log_integrand(at) for at in z])
    mass = integrate.simpson(np.exp(height - height.max()), x=z) / np.sqrt(2.0 * np.pi)
    logp, *slopes = evaluate(arrays, family)
    assert logp[0] == pytest.approx(height.max() + np.log(mass), rel=0, abs=1e-6)
    assert all(np.isfinite(slope).all() for slope in slopes)


def test_integrated_probabilities_sum_to_one() -> None:
    count = np.arange(0.0, 5000.0)[:, None]
    one = np.ones_like(count)
    logp = evaluate((count, np.log(3.0) * one, 0.7 * one, one, 0.5 * one, 0 * one))[0]
    assert np.exp(logp).sum() == pytest.approx(1.0, abs=1e-8)
    mean = 3.0 * np.exp(0.5 * 0.7**2)
    assert (count[:, 0] * np.exp(logp)).sum() == pytest.approx(mean, rel=1e-7)


@pytest.mark.parametrize("family", NAMES)
def test_unseen_rows_change_nothing(family: str) -> None:
    count, eta, loading, seen, k, p = patients(family)
    seen = seen.copy()
    seen[:, 4:] = 0.0
    padded = evaluate((count, eta, loading, seen, k, p), family)
    compact = evaluate(tuple(a[:, :4] for a in (count, eta, loading, seen, k, p)), family)
    np.testing.assert_allclose(padded[0], compact[0], rtol=1e-14)
    for whole, part in zip(padded[1:], compact[1:], strict=True):
        np.testing.assert_allclose(whole[:, :4], part, rtol=1e-12)
        assert (whole[:, 4:] == 0).all()
    # what stands in an unseen row does not matter
    other = np.where(seen == 0, 99.0, count), eta - 5 * (1 - seen), loading + 3 * (1 - seen)
    elsewhere = evaluate((*other, seen, k, p), family)
    np.testing.assert_allclose(elsewhere[0], padded[0], rtol=0, atol=2e-8)


def test_patient_without_a_seen_row_has_likelihood_one() -> None:
    none, one = np.zeros((1, 3)), np.ones((1, 3))
    assert evaluate((none, none, 2.0 * one, none, one, none))[0][0] == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("family", NAMES)
def test_order_of_patients_and_rows_does_not_matter(family: str) -> None:
    arrays = patients(family, (4, 6), seed=3)
    logp = evaluate(arrays, family)[0]
    turned = evaluate(tuple(a[::-1, ::-1] for a in arrays), family)[0]
    np.testing.assert_allclose(turned[::-1], logp, rtol=1e-10)


@pytest.mark.parametrize("family", ["poisson", "negative-binomial"])
def test_patients_searched_together_do_not_touch_each_other(family: str) -> None:
    arrays = patients(family, (2 * LANES + 5, 6), seed=4)
    eta, loading, seen = arrays[1], arrays[2], arrays[3]
    # rows of one mean, of one loading, of none; a patient without effect, and one without rows
    eta[::3, 1] = eta[::3, 0]
    loading[::2] = loading[::2, :1]
    loading[5], seen[7] = 0.0, 0.0
    seen[::4, 3:] = 0.0
    # one who is far astray, and must be waited for
    eta[LANES + 1] += 250.0
    together = evaluate(arrays, family)
    for i in range(len(eta)):
        alone = evaluate(tuple(a[i : i + 1] for a in arrays), family)
        for whole, part in zip(together, alone, strict=True):
            np.testing.assert_allclose(whole[i], part[0], rtol=1e-12, atol=1e-300)


def test_interval_reaches_where_the_integrand_has_fallen() -> None:
    # a narrower rule would cut the tails off: with many nodes what is left is their mass
    assert DROP == 18.0
    for case in cases()[::97]:
        assert trapezoidal(case, 200) == pytest.approx(reference(case), rel=0, abs=TARGET)


@pytest.mark.parametrize("family", NAMES)
def test_step_gone_astray_ends_with_a_low_number(family: str) -> None:
    count, eta, loading, seen, k, p = patients(family)
    at_home = evaluate((count, eta, loading, seen, k, p), family)[0]
    for far in (-2000.0, -400.0, 400.0, 1e5):
        for scale in (1e-6, 1.0, 40.0):
            got = evaluate((count, eta + far, scale * loading, seen, k, p), family)[0]
            assert not np.isnan(got).any(), (far, scale)
            assert (got[count.any(axis=1)] < at_home[count.any(axis=1)]).all(), (far, scale)


# --- the PyTensor operations -------------------------------------------------------------------

OPERATIONS = ("negative-binomial", "zero-inflated-negative-binomial")


def graph(family: str, x: Any) -> Any:
    """Log likelihood of nine patients as a function of five numbers."""
    rng = np.random.default_rng(0)
    count, seen = rng.poisson(3.0, (9, 2)).astype(float), np.ones((9, 2))
    eta = x[0] + x[1] * rng.integers(0, 2, (9, 2))
    loading, k = pt.exp(x[2]) * seen, pt.exp(x[3]) * seen
    p = (pt.sigmoid(x[4]) if "zero_inflation" in FAMILIES[family].parameters else 0.0) * seen
    return marginal_logp(family, count, eta, loading, seen, k, p).sum()


AT = np.array([0.5, -0.4, -0.3, -1.0, -1.0])


@pytest.fixture(scope="module", params=OPERATIONS)
def operation(request: pytest.FixtureRequest) -> tuple[str, Any, Any, Any, Callable[..., Any]]:
    x = pt.dvector("x")
    logp = graph(request.param, x)
    gradient = pytensor.grad(logp, x)
    compiled = pytensor.function([x], [logp, gradient], mode="NUMBA")
    return request.param, x, logp, gradient, compiled


def test_operation_has_the_gradient_of_its_value(operation: Any) -> None:
    *_, compiled = operation
    value, gradient = compiled(AT)
    for i, step in enumerate(np.eye(5) * 1e-5):
        wanted = (compiled(AT + step)[0] - compiled(AT - step)[0]) / 2e-5
        assert gradient[i] == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    assert np.isfinite(value)


def test_many_points_at_once_are_the_single_points(operation: Any) -> None:
    _, x, logp, gradient, compiled = operation
    points = AT + 0.3 * np.random.default_rng(1).normal(size=(6, 5))
    stacked = pt.dmatrix("stacked")
    together = pytensor.function(
        [stacked], vectorize_graph([logp, gradient], {x: stacked}), mode="NUMBA"
    )
    for got, wanted in zip(zip(*together(points), strict=True), map(compiled, points), strict=True):
        np.testing.assert_allclose(got[0], wanted[0], rtol=1e-13)
        np.testing.assert_allclose(got[1], wanted[1], rtol=1e-12)


def test_graph_without_derivatives_has_the_same_value(operation: Any) -> None:
    _, x, logp, _, compiled = operation
    bare = graph_replace([logp], value_only(logp))[0]
    kinds = [type(node.op) for node in pytensor.graph.traversal.applys_between([x], [bare])]
    assert PatientLogp in kinds
    assert PatientLogpGradient not in kinds
    stacked = pt.dmatrix("stacked")
    together = pytensor.function([stacked], vectorize_graph(bare, {x: stacked}), mode="NUMBA")
    points = AT + 0.3 * np.random.default_rng(2).normal(size=(4, 5))
    np.testing.assert_allclose(
        together(points), [compiled(point)[0] for point in points], rtol=1e-13
    )


def test_operation_runs_without_the_numba_linker(operation: Any) -> None:
    _, x, logp, gradient, compiled = operation
    plain = pytensor.function([x], [logp, gradient], mode="FAST_COMPILE")(AT)
    np.testing.assert_allclose(plain[0], compiled(AT)[0], rtol=1e-13)
    np.testing.assert_allclose(plain[1], compiled(AT)[1], rtol=1e-12)


def test_compiled_code_is_that_of_the_source(operation: Any) -> None:
    # compiled code is cached on disk between processes: an edited rule must not find the old one
    family, *_, compiled = operation
    rng = np.random.default_rng(0)
    count, one = rng.poisson(3.0, (9, 2)).astype(float), np.ones((9, 2))
    eta = AT[0] + AT[1] * rng.integers(0, 2, (9, 2))
    p = one / (1.0 + np.exp(-AT[4])) if family.startswith("zero") else 0.0 * one
    source = evaluate((count, eta, np.exp(AT[2]) * one, one, np.exp(AT[3]) * one, p), family)
    assert compiled(AT)[0] == pytest.approx(source[0].sum(), rel=1e-13)


def test_key_of_the_disk_cache_changes_with_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    from bayes_msc.counts import operations

    before = operations._source_key()
    operations._source_key.cache_clear()
    real = operations.inspect.getsource
    monkeypatch.setattr(operations.inspect, "getsource", lambda module: real(module) + "# edited")
    try:
        assert operations._source_key() != before
    finally:
        operations._source_key.cache_clear()


def test_counts_have_no_gradient() -> None:
    count, one = pt.dmatrix("count"), pt.ones((2, 3))
    logp = marginal_logp("negative-binomial", count, one, one, one, one, one).sum()
    with pytest.raises(pytensor.gradient.DisconnectedInputError):
        pytensor.grad(logp, count)
