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
from bayes_msc.simulation.generate import generate
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


def test_sizes_that_always_succeed_do_not_bend_the_curve() -> None:
    n = np.array([10, 20, 30, 45, 300])
    rng, fits, off = np.random.default_rng(3), [], []
    for _ in range(60):
        curve = fit_curve(n, rng.binomial(500, normal_power(n)), np.full(5, 500))
        fits.append(curve.p_fit)
        off.append(curve.at([25])["success"].iloc[0] - float(normal_power(np.array([25]))[0]))
    assert np.mean(np.array(fits) < 0.05) < 0.15
    assert np.mean(off) == pytest.approx(0.0, abs=4 * np.std(off) / np.sqrt(60))


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


CROSSOVER = Design("crossover", active=5, control=4)
PATIENTS = Truth(0.3, 4.0, patient_sd=0.5)


def hills_armitage_hits(n: int, trials: int, seed: int) -> int:
    """Count small p of the t-test on period differences, written anew for many trials at once."""
    design = CROSSOVER.with_patients(n)
    count = generate(design, PATIENTS, trials, np.random.default_rng([seed, n])).count
    difference = (count[:, :, 0] - count[:, :, 1]).astype(float)
    first, second = difference[:, : design.active], difference[:, design.active :]
    squares = sum(((x - x.mean(1, keepdims=True)) ** 2).sum(1) for x in (first, second))
    error = np.sqrt(squares / (n - 2) * (1 / design.active + 1 / design.control))
    limit = stats.t.ppf(0.975, n - 2)
    return int((np.abs(first.mean(1) - second.mean(1)) > limit * error).sum())


@pytest.fixture(scope="module")
def dense() -> int:
    """Smallest number of patients that reaches 60 %, from 20,000 trials of every size."""
    sizes = np.arange(5, 15)
    power = np.array([hills_armitage_hits(int(n), 20_000, 1) / 20_000 for n in sizes])
    # up and down by the odd patient of an uneven allocation: the line through the neighbours
    smooth = np.convolve(power, np.ones(3) / 3, mode="valid")
    return int(sizes[1:-1][smooth >= 0.6][0])


def test_search_agrees_with_a_dense_simulation(dense: int) -> None:
    def simulator_of(seed: int) -> Simulate:
        def simulate(sizes: Sequence[int], round_: int) -> pd.DataFrame:
            hits = [hills_armitage_hits(int(n), 400, 100 + 10 * seed + round_) for n in sizes]
            return pd.DataFrame({"patients": list(sizes), "trials": 400, "hits": hits})

        return simulate

    inside, off = 0, []
    for seed in range(10):
        found = search(simulator_of(seed), target=0.6, start=[6, 12, 24], budget=8000)
        assert found.patients is not None
        off.append(found.patients - dense)
        inside += found.interval[0] - 1 <= dense <= found.interval[1] + 1
    assert abs(np.median(off)) <= 1
    assert inside >= 8


@pytest.mark.slow
def test_search_with_many_real_trials_agrees_too(dense: int) -> None:
    found = sample_size(
        CROSSOVER, PATIENTS, rule=PValueRule("hills-armitage"), target=0.6, trials=400, budget=4000
    )
    assert found.patients == pytest.approx(dense, abs=2)


def test_impossible_searches_are_refused() -> None:
    simulate = simulator(normal_power, 10, 1)
    with pytest.raises(DesignError, match="target is 80: it must be between 0 and 1"):
        search(simulate, target=80, start=[10])
    with pytest.raises(DesignError, match="the smaller one first"):
        search(simulate, target=0.8, start=[10], smallest=10, largest=5)
    with pytest.raises(DesignError, match="at least three sizes"):
        fit_curve([5, 6], [1, 2], [10, 10])
