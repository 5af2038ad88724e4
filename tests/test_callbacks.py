"""nutpie's callbacks as this package writes them: the same draws as by nutpie's own."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import nutpie
import pymc as pm
import pytest
from nutpie import compile_pymc

from bayes_msc.callbacks import density_callback, short_callbacks


def model() -> pm.Model:
    """Data of one, two and no dimensions, whole numbers among them, and something derived."""
    rng = np.random.default_rng(3)
    with pm.Model() as graph:
        x = pm.Data("x", rng.normal(size=(7, 2)))
        y = pm.Data("y", rng.poisson(3.0, size=7))
        width = pm.Data("width", 1.5)
        slope = pm.Normal("slope", 0.0, width, shape=2)
        sd = pm.HalfNormal("sd", 1.0)
        pm.Deterministic("variance", sd**2)
        pm.Poisson("seen", pm.math.exp(x @ slope + sd), observed=y)
    return graph


def draws(compiled: Any) -> dict[str, np.ndarray]:
    trace = nutpie.sample(
        compiled, draws=60, tune=100, chains=2, cores=1, seed=4, progress_bar=False
    )
    return {str(name): array.to_numpy() for name, array in trace["posterior"].data_vars.items()}


@pytest.fixture(scope="module")
def ours() -> Any:
    with short_callbacks():
        return nutpie.compile_pymc_model(model())


def test_draws_are_those_of_nutpies_own_callbacks(ours: Any) -> None:
    theirs = nutpie.compile_pymc_model(model())
    other = {
        "x": np.random.default_rng(5).normal(size=(4, 2)),
        "y": np.array([2, 0, 1, 5]),
        "width": 0.3,
    }
    for data in ({}, other):
        found, expected = draws(ours.with_data(**data)), draws(theirs.with_data(**data))
        assert set(found) == set(expected) == {"slope", "sd", "variance"}
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)


def test_a_density_that_fails_ends_sampling_and_nothing_else(ours: Any) -> None:
    with pytest.raises(RuntimeError):
        draws(ours.with_data(x=np.zeros((3, 2)), y=np.zeros(5, dtype=int)))
    assert draws(ours)["sd"].shape == (2, 60)


def test_another_nutpie_keeps_its_own_callbacks() -> None:
    def changed(n_dim: int, something_new: int) -> None:
        raise AssertionError

    with short_callbacks():
        assert compile_pymc._make_c_logp_func is density_callback
    with patch.object(compile_pymc, "_make_c_logp_func", changed), short_callbacks():
        assert compile_pymc._make_c_logp_func is changed
    assert compile_pymc._make_c_logp_func is not density_callback
