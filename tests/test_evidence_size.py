"""Effective sample sizes: published numbers, closed forms, predictive consistency."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayes_msc.errors import PriorError
from bayes_msc.evidence import BetaMixture, effective_size, robustify
from bayes_msc.exact import update
from bayes_msc.prior import Prior

REFERENCE = Path(__file__).parent / "reference"
#: The mixture that RBesT prints for the placebo arms of eight trials in ankylosing spondylitis.
PLACEBO = BetaMixture(
    (0.4612914, 0.1917812, 0.1893896, 0.1575378),
    (33.9513487, 19.4400089, 12.2692310, 2.2521243),
    (103.0146367, 41.5205219, 55.9202833, 5.4812202),
)


def published(parameter: str, model: str = "") -> float:
    table = pd.read_csv(REFERENCE / "published_values.csv")
    rows = table[(table["dataset"] == "RBesT_AS") & (table["parameter"] == parameter)]
    return float(rows[rows["model"].str.contains(model)]["mean"].iloc[0])


def sizes(table: pd.DataFrame) -> dict[str, float]:
    return dict(zip(table["method"], table["patients"], strict=True))


def test_published_sizes_of_a_beta_mixture() -> None:
    ours = sizes(effective_size(PLACEBO))
    for method in ("elir", "moment", "morita"):
        # printed in whole patients
        assert ours[method] == pytest.approx(published(f"ESS {method}"), abs=0.5)
    robust = sizes(effective_size(PLACEBO.robust(0.2)))
    assert robust["elir"] == pytest.approx(published("ESS elir", "robustified"), abs=0.55)


def test_published_probability_under_the_robust_mixture() -> None:
    placebo = PLACEBO.robust(0.2).updated(1, 6)
    active = BetaMixture((1.0,), (0.5,), (1.0,)).updated(14, 24)
    assert active.exceeds(placebo) == pytest.approx(published("P(active>placebo)"), abs=1e-6)


@pytest.mark.parametrize("exposure", [1.0, 3.0])
@pytest.mark.parametrize("kappa", [0.0, 2.0])
def test_normal_prior_of_a_log_rate_in_closed_form(exposure: float, kappa: float) -> None:
    m, s = 0.3, 0.4
    ours = sizes(effective_size(Prior.normal(m, s), exposure=exposure, overdispersion=kappa))
    closed = (math.exp(-m + s**2 / 2) / exposure + kappa) / s**2
    assert ours["elir"] == pytest.approx(closed, rel=1e-6)
    assert ours["moment"] == pytest.approx(closed, rel=1e-6)
    # the information of a prior with a hundred times the variance is taken out
    assert ours["morita"] == pytest.approx((math.exp(-m) / exposure + kappa) * 0.99 / s**2)


def test_all_agree_for_a_conjugate_normal_and_patients_add_up() -> None:
    prior = Prior.normal(-0.5, 0.3)
    table = effective_size(prior, unit_sd=2.1)
    assert sizes(table)["elir"] == pytest.approx((2.1 / 0.3) ** 2)
    assert (table["note"] == "").all()
    posterior = update(prior, 0.2, 2.1 / math.sqrt(9))
    assert isinstance(posterior, Prior)
    after = sizes(effective_size(posterior, unit_sd=2.1))
    assert after["elir"] == pytest.approx((2.1 / 0.3) ** 2 + 9)


def test_a_single_beta_is_worth_its_two_numbers() -> None:
    ours = sizes(effective_size(BetaMixture((1.0,), (4.0,), (12.0,))))
    assert ours["elir"] == pytest.approx(16, rel=1e-6)
    assert ours["moment"] == pytest.approx(16, rel=1e-9)


def test_elir_is_predictively_consistent_and_the_others_are_not() -> None:
    prior, unit, n = Prior.normal_mixture([0.7, 0.3], [0.0, 0.0], [0.3, 1.5]), 2.0, 10
    rng = np.random.default_rng(4)
    truth = prior.frozen().rvs(80, rng)
    seen = truth + unit / math.sqrt(n) * rng.normal(size=80)
    after: dict[str, list[float]] = {"elir": [], "moment": []}
    for y in seen:
        posterior = update(prior, float(y), unit / math.sqrt(n))
        assert isinstance(posterior, Prior)
        for name, value in sizes(effective_size(posterior, unit_sd=unit)).items():
            if name in after:
                after[name].append(value)
    before = sizes(effective_size(prior, unit_sd=unit))
    gained = np.mean(after["elir"]) - before["elir"]
    error = np.std(after["elir"]) / math.sqrt(80)
    assert gained == pytest.approx(n, abs=4 * error)
    assert np.mean(after["moment"]) - before["moment"] > 1.5 * n


def test_disagreement_is_said_in_words() -> None:
    heavy = robustify(Prior.normal(0, 0.2), 0.3, unit_sd=2.0)
    table = effective_size(heavy, unit_sd=2.0)
    assert table["note"].str.contains("the methods disagree").all()
    ours = sizes(table)
    assert ours["moment"] < ours["elir"] < ours["morita"]


def test_curvature_of_a_mixture_by_differences() -> None:
    prior = Prior.normal_mixture([0.6, 0.4], [-0.5, 0.7], [0.3, 0.6])
    x = np.linspace(-3, 4, 7001)
    step = x[1] - x[0]
    log = np.log(prior.pdf(x))
    curvature = -(log[2:] - 2 * log[1:-1] + log[:-2]) / step**2
    brute = float((prior.pdf(x[1:-1]) * curvature).sum() * step)
    assert sizes(effective_size(prior, unit_sd=1.5))["elir"] == pytest.approx(
        1.5**2 * brute, rel=1e-4
    )


def test_beta_mixture_in_its_own_words() -> None:
    mixture = BetaMixture((0.3, 0.7), (2.0, 9.0), (5.0, 3.0))
    parts = stats.beta([2, 9], [5, 3])
    assert float(mixture.cdf(0.4)) == pytest.approx(float(parts.cdf(0.4) @ [0.3, 0.7]))
    assert float(mixture.cdf(mixture.ppf(0.3))) == pytest.approx(0.3)
    assert mixture.mean == pytest.approx(float(parts.mean() @ [0.3, 0.7]))
    second = float((parts.var() + parts.mean() ** 2) @ [0.3, 0.7])
    assert mixture.sd == pytest.approx(math.sqrt(second - mixture.mean**2))
    p = np.linspace(0.0005, 0.9995, 1000)
    likelihood = mixture.pdf(p) * stats.binom.pmf(3, 8, p)
    posterior = mixture.updated(3, 8)
    assert posterior.mean == pytest.approx(
        float((p * likelihood).sum() / likelihood.sum()), abs=1e-5
    )
    assert mixture.exceeds(mixture) == pytest.approx(0.5, abs=1e-7)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: effective_size(Prior.normal(0, 1)), "either unit_sd .* or exposure"),
        (lambda: effective_size(Prior.normal(0, 1), unit_sd=1, exposure=1), "either unit_sd"),
        (lambda: effective_size(Prior.normal(0, 1), unit_sd=0), "unit_sd is 0"),
        (lambda: effective_size(Prior.normal(0, 1), exposure=-1), "exposure is -1"),
        (
            lambda: effective_size(Prior.normal(0, 1), exposure=1, overdispersion=-1),
            "overdispersion is -1",
        ),
        (lambda: effective_size(Prior.student_t(3, 0, 1), unit_sd=1), "not built of normals"),
        (lambda: effective_size(BetaMixture((1.0,), (0.5,), (1.0,))), "at least 1"),
        (lambda: BetaMixture((0.5,), (1.0,), (1.0,)), "sum to 0.5"),
        (lambda: BetaMixture((1.0,), (0.0,), (1.0,)), "must be above 0"),
        (lambda: BetaMixture((0.5, 0.5), (1.0,), (1.0,)), "equally long"),
        (lambda: PLACEBO.updated(4, 3), "4 of 3 is impossible"),
        (lambda: PLACEBO.robust(1.0), "between 0 and 1"),
    ],
)
def test_faults(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(PriorError, match=words):
        make()
