"""Patient effects drawn after the fit: against each patient's posterior by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from bayes_msc.effects import RECOVERY_NODES, recover
from bayes_msc.rows import Rows
from benchmarks.quadrature import Case, humps, reference

PATIENTS = {
    "nothing at all": [0, 0, 0, 0],
    "one": [0, 1, 0, 0],
    "many": [40, 55, 38, 60],
    "wild": [0, 90, 3, 0],
}
LOG_MEAN = np.log([2.0, 2.0, 1.0, 6.0])


@pytest.fixture(scope="module")
def rows() -> Rows:
    count = np.array(list(PATIENTS.values()), dtype=float)
    index = np.indices(count.shape)
    return Rows(
        patients=tuple(PATIENTS),
        coefficients=(),
        count=count,
        seen=np.ones_like(count),
        log_exposure=np.zeros_like(count),
        design=np.zeros((*count.shape, 0)),
        patient_index=index[0].ravel(),
        row_index=index[1].ravel(),
    )


def draws_of(
    rows: Rows, family: str, sd: float, k: float, n: int, p: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    shape = (n, *rows.count.shape)
    eta = np.broadcast_to(LOG_MEAN, shape).copy()
    loading, k_rows, p_rows = (np.full(shape, value) for value in (sd, k, p))
    rng = np.random.default_rng(8)
    return recover(family, rows, eta, loading, k_rows, p_rows, rng)


def distribution(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Grid of standardised effects and their exact distribution function there."""
    centres = humps(case)
    z = np.linspace(centres[0] - 12.0, centres[-1] + 12.0, 8001)
    log_density = case.log_integrand(z)
    below = integrate.cumulative_simpson(np.exp(log_density - log_density.max()), x=z, initial=0)
    return z, below / below[-1]


@pytest.mark.parametrize(
    ("family", "sd", "k", "p"),
    [
        ("poisson", 0.1, 0.0, 0.0),
        ("poisson", 1.0, 0.0, 0.0),
        ("poisson", 3.0, 0.0, 0.0),
        ("negative-binomial", 0.5, 0.3, 0.0),
        ("negative-binomial", 2.5, 5.0, 0.0),
        ("negative-binomial-1", 1.0, 0.8, 0.0),
        ("generalized-poisson", 1.0, 0.8, 0.0),
        ("zero-inflated-poisson", 1.0, 0.0, 0.3),
        ("zero-inflated-negative-binomial", 2.5, 0.5, 0.1),
        ("hurdle-negative-binomial", 1.0, 0.5, 2.0),
        ("poisson-lognormal", 1.0, 0.5, 0.0),
    ],
)
def test_effects_follow_the_exact_posterior(
    rows: Rows, family: str, sd: float, k: float, p: float
) -> None:
    effect, log_likelihood = draws_of(rows, family, sd, k, 3000, p)
    for i in range(rows.n_patients):
        case = Case(rows.patients[i], rows.count[i], LOG_MEAN, sd, k, family, p)
        grid, below = distribution(case)
        found = stats.kstest(effect[:, i], lambda x: np.interp(x, grid, below)).pvalue  # noqa: B023
        assert found > 1e-4, case.name
        exact = reference(case, by_quad=False)
        np.testing.assert_allclose(log_likelihood[:, i], exact, rtol=0, atol=1e-8)


def test_spread_of_the_grid_draws_is_not_inflated(rows: Rows) -> None:
    # a straight line between nodes adds at most what RECOVERY_NODES promises
    assert RECOVERY_NODES == 160
    n = 15_000
    for family, sd, k in (("poisson", 1.0, 0.0), ("negative-binomial", 2.5, 5.0)):
        effect, _ = draws_of(rows, family, sd, k, n)
        for i in range(rows.n_patients):
            grid, below = distribution(Case("", rows.count[i], LOG_MEAN, sd, k))
            middle, share = 0.5 * (grid[1:] + grid[:-1]), np.diff(below)
            mean = float(middle @ share)
            spread = float(np.sqrt((middle - mean) ** 2 @ share))
            assert effect[:, i].mean() == pytest.approx(mean, abs=4 * spread / np.sqrt(n))
            assert effect[:, i].std() == pytest.approx(spread, rel=4 / np.sqrt(n))


@pytest.mark.parametrize("sd", [0.0, 0.7])
def test_prior_where_nothing_was_seen(rows: Rows, sd: float) -> None:
    blind = Rows(**{**vars(rows), "seen": np.zeros_like(rows.seen)})
    effect, log_likelihood = draws_of(blind, "poisson", sd, 0.0, 4000)
    assert stats.kstest(effect[:, 0], stats.norm.cdf).pvalue > 1e-4
    np.testing.assert_allclose(log_likelihood, 0.0, atol=1e-8)


def test_prior_where_the_counts_do_not_hang_on_the_effect(rows: Rows) -> None:
    for sd in (0.0, 1e-6):
        effect, _ = draws_of(rows, "poisson", sd, 0.0, 2000)
        for i in range(rows.n_patients):
            assert stats.kstest(effect[:, i], stats.norm.cdf).pvalue > 1e-4


def test_rows_enter_with_their_own_loadings(rows: Rows) -> None:
    # rows without a loading say nothing: the effect is that of the others alone
    shape = (3000, *rows.count.shape)
    eta, loading = np.broadcast_to(LOG_MEAN, shape), np.ones(shape)
    loading[..., 2:] = 0.0
    nothing = np.zeros(shape)
    rng = np.random.default_rng(3)
    effect, _ = recover("poisson", rows, eta, loading, nothing, nothing, rng)
    for i in range(rows.n_patients):
        grid, below = distribution(
            Case("", rows.count[i, :2], LOG_MEAN[:2], 1.0, 0.0, "poisson"),
        )
        found = stats.kstest(effect[:, i], lambda x: np.interp(x, grid, below)).pvalue  # noqa: B023
        assert found > 1e-4


def test_same_generator_same_effects(rows: Rows) -> None:
    first = draws_of(rows, "poisson", 1.0, 0.0, 20)[0]
    assert (draws_of(rows, "poisson", 1.0, 0.0, 20)[0] == first).all()
    assert len(np.unique(first)) == first.size
