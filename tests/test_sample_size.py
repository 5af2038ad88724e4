"""The search for a sample size, against sample sizes that are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayes_msc.errors import DesignError
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.rules import PValueRule
from bayes_msc.simulation.sizing import fit_curve, sample_size, search
from bayes_msc.simulation.truth import Truth

Simulate = Callable[[Sequence[int], int], pd.DataFrame]


def simulator(power: Callable[[np.ndarray], np.ndarray], trials: int, seed: int) -> Simulate:
    rng = np.random.default_rng(seed)

    def simulate(sizes: Sequence[int], round_: int) -> pd.DataFrame:
        n = np.asarray(sizes)
        hits = rng.binomial(trials, power(n))
        return pd.DataFrame({"patients": n, "trials": trials, "hits": hits})

    return simulate


def normal_power(n: np.ndarray) -> np.ndarray:
    """Of an effect of 0.5 with unit variance a patient, tested one-sided at 2.5 %."""
    return np.asarray(stats.norm.cdf(0.5 * np.sqrt(n) - 1.959964))


def normal_assurance(n: np.ndarray) -> np.ndarray:
    """The same over a normal prior of the effect: it levels off at P(effect > 0)."""
    return np.asarray(stats.norm.cdf((0.5 * np.sqrt(n) - 1.959964) / np.sqrt(1 + n * 0.3**2)))


@pytest.mark.parametrize(("power", "target"), [(normal_power, 0.8), (normal_assurance, 0.8)])
def test_search_finds_the_known_size(
    power: Callable[[np.ndarray], np.ndarray], target: float
) -> None:
    sizes = np.arange(2, 1000)
    exact = int(sizes[power(sizes) >= target][0])
    inside, off = 0, []
    for seed in range(20):
        found = search(simulator(power, 400, seed), target=target, start=[8, 16, 32], budget=8000)
        assert found.patients is not None
        off.append(found.patients / exact)
        inside += found.interval[0] <= exact <= found.interval[1]
        assert found.simulated["trials"].sum() <= 8000
    assert np.median(off) == pytest.approx(1.0, abs=0.06)
    # nominally 95 %
    assert inside >= 16


def test_curve_and_band_hold_the_known_power() -> None:
    n = np.array([10, 20, 30, 45, 60])
    inside, fits = 0, []
    for seed in range(100):
        hits = np.random.default_rng(seed).binomial(500, normal_power(n))
        curve = fit_curve(n, hits, np.full(5, 500))
        at = curve.at([15, 40])
        exact = normal_power(np.array([15, 40]))
        inside += int(((at["lower"] <= exact) & (exact <= at["upper"])).sum())
        fits.append(curve.p_fit)
    assert inside / 200 == pytest.approx(0.95, abs=0.045)
    assert np.mean(np.array(fits) < 0.05) < 0.15


def test_curve_that_does_not_fit_says_so() -> None:
    n = np.array([10, 20, 40, 80])
    curve = fit_curve(n, [100, 900, 100, 900], [1000] * 4)
    assert curve.p_fit < 1e-6
    # and is no more sure of itself than it deserves
    assert (curve.at([30])["upper"] - curve.at([30])["lower"]).iloc[0] > 0.3


def test_target_that_is_never_reached() -> None:
    found = search(
        simulator(lambda n: np.full(len(n), 0.3), 300, 1), target=0.8, start=[10, 20], largest=200
    )
    assert found.patients is None
    assert math.isinf(found.interval[1])
    assert "no trial of up to 200 patients reaches 80%" in found.words()


def test_sizes_far_from_the_start_are_found() -> None:
    small = lambda n: stats.norm.cdf(0.12 * np.sqrt(n) - 1.959964)  # noqa: E731 - one line of maths
    exact = ((1.959964 + 0.841621) / 0.12) ** 2
    found = search(simulator(small, 400, 2), target=0.8, start=[5, 10], budget=12_000)
    assert found.patients == pytest.approx(exact, rel=0.12)
    assert f"{found.patients} patients reach 80% for the rule" in found.words()


def test_search_with_real_trials() -> None:
    found = sample_size(
        Design("crossover", active=5, control=4),
        Truth(0.3, 4.0, patient_sd=0.5),
        rule=PValueRule("hills-armitage"),
        target=0.6,
        trials=40,
        budget=200,
        workers=1,
    )
    assert found.rule == "hills-armitage p < 0.05"
    assert found.simulated["trials"].sum() <= 200
    assert (np.diff(found.curve["success"]) >= -1e-9).mean() > 0.9
    assert {"patients", "success", "lower", "upper"} == set(found.curve.columns)


def test_impossible_searches_are_refused() -> None:
    simulate = simulator(normal_power, 10, 1)
    with pytest.raises(DesignError, match="target is 80: it must be between 0 and 1"):
        search(simulate, target=80, start=[10])
    with pytest.raises(DesignError, match="the smaller one first"):
        search(simulate, target=0.8, start=[10], smallest=10, largest=5)
    with pytest.raises(DesignError, match="at least three sizes"):
        fit_curve([5, 6], [1, 2], [10, 10])
