"""Unseen counts drawn after the fit: against brute-force conditioning on what was seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy import stats
from scipy.special import gammaln, roots_genlaguerre

from bayes_msc.counts import FAMILIES
from bayes_msc.errors import ModelError
from bayes_msc.imputation import REST, STRATEGIES, completed, draw_counts, draw_unseen
from bayes_msc.missing import CUT_SHORT, Plan, plan_of
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.trial import Trial

LOG_RATE, LOG_RATIO, SD, K = 0.9, -1.2, 0.8, 0.6
N = 10_000
#: A distribution function from N draws is off by more than this once in a million.
FARTHEST = 2.7 / np.sqrt(N)
COUNTS = np.arange(400)
Array = NDArray[np.float64]


def small() -> Trial:
    rows = [
        ("A", "placebo", 1, 6, 1.0),
        ("A", "placebo", 2, np.nan, 1.0),
        ("B", "drug", 1, 5, 1.0),
        ("B", "drug", 2, np.nan, 2.0),
        ("C", "drug", 1, 4, 0.4),
        ("C", "drug", 2, 0, 1.0),
        ("D", "placebo", 1, 0, 1.0),
        ("D", "placebo", 2, 1, 1.0),
    ]
    table = pd.DataFrame(rows, columns=["patient", "treatment", "scan", "count", "exposure"])
    return Trial(table, design="parallel", control="placebo", active="drug", name="small")


def drawn(
    plan: Plan, model: Model, strategy: str, delta: float = 1.0, n: int = N, **more: float
) -> NDArray[np.int64]:
    values = {
        "log_rate": LOG_RATE,
        "log_rate_ratio": LOG_RATIO,
        "patient_sd": SD,
        "sqrt_overdispersion": np.sqrt(K),
        **more,
    }
    draws = {name: np.full(n, value) for name, value in values.items()}
    return draw_counts(plan, model, draws, strategy, delta, "both", np.random.default_rng(5))


def test_strategies_by_brute_force() -> None:
    plan, model = plan_of(small()), Model.load("count-negative-binomial")
    assert plan.why[plan.unseen > 0].tolist().count(CUT_SHORT) == 1
    for strategy in STRATEGIES:
        delta = 1.7 if strategy == "delta" else 1.0
        found = drawn(plan, model, strategy, delta)
        for i, exact in enumerate(brute_force(strategy, delta)):
            below = np.array([(found[:, i] <= y).mean() for y in COUNTS])
            assert exact.sum() == pytest.approx(1.0, abs=1e-4)
            assert np.abs(below - np.cumsum(exact)).max() < FARTHEST, (strategy, i)


def brute_force(strategy: str, delta: float) -> list[Array]:
    """Distributions of the three unseen counts of ``small``: sums over effect and gamma variate."""
    control, active = np.exp(LOG_RATE), np.exp(LOG_RATE + LOG_RATIO)
    before = control if strategy == "copy-reference" else active
    after = control if strategy in ("copy-reference", "jump-to-reference") else active
    z = np.linspace(-7, 7, 141)
    patient = np.exp(SD * z)
    prior = stats.norm.pdf(z)
    answers = []
    for seen, own, own_after, count in ((1.0, control, control, 6), (1.0, before, after, 5)):
        weight = prior * negative_binomial(count, own * seen * patient)
        exposure = 1.0 if count == 6 else 2.0
        ahead = negative_binomial(COUNTS[:, None], delta * own_after * exposure * patient)
        answers.append(ahead @ (weight / weight.sum()))
    # one row of which 0.4 was seen, with 4 events: both parts share the gamma variate
    nodes, shares = roots_genlaguerre(60, 1 / K - 1)
    weight = prior * negative_binomial(0, before * patient)
    rate = patient[:, None] * K * nodes
    joint = weight[:, None] * shares * stats.poisson.pmf(4, 0.4 * before * rate)
    joint = (joint / joint.sum()).ravel()
    means = (0.6 * delta * after * rate).ravel()
    answers.append(np.array([stats.poisson.pmf(y, means) @ joint for y in COUNTS[:120]]))
    answers[-1] = np.pad(answers[-1], (0, len(COUNTS) - 120))
    return answers


def negative_binomial(y: Array | int, mean: Array) -> Array:
    return np.asarray(stats.nbinom.pmf(y, 1 / K, 1 / (1 + K * mean)))


def _inflated(inner: Callable[[Array, float], Array], p: float) -> Callable[[Array, float], Array]:
    return lambda y, m: p * (y == 0) + (1 - p) * inner(y, m / (1 - p))


def _generalized(y: Array, m: float) -> Array:
    spread = m + K * y
    log_p = np.log(m) + (y - 1) * np.log(spread) - spread / (1 + K) - y * np.log1p(K)
    return np.exp(log_p - gammaln(y + 1))


P = 0.3
WHOLE = {
    "poisson": stats.poisson.pmf,
    "negative-binomial": negative_binomial,
    "negative-binomial-1": lambda y, m: stats.nbinom.pmf(y, m / K, 1 / (1 + K)),
    "generalized-poisson": _generalized,
    "zero-inflated-poisson": _inflated(stats.poisson.pmf, P),
    "zero-inflated-negative-binomial": _inflated(negative_binomial, P),
}


@pytest.mark.parametrize("family", WHOLE)
def test_two_parts_of_a_row_add_up_to_the_family(family: str) -> None:
    assert set(WHOLE) == set(REST)
    rng = np.random.default_rng(3)
    k = np.full(N, K if FAMILIES[family].dispersed else 0.0)
    p = np.full(N, P if FAMILIES[family].inflated else 0.0)
    seen_mean, mean = np.full(N, 1.1), np.full(N, 2.3)
    seen = FAMILIES[family].random(rng, seen_mean, k, p)
    total = seen + REST[family](rng, seen.astype(float), seen_mean, mean, k, p)
    below = np.array([(total <= y).mean() for y in COUNTS[:150]])
    exact = np.cumsum(WHOLE[family](COUNTS[:150].astype(float), 3.4))
    assert np.abs(below - exact).max() < FARTHEST


def test_control_patients_jump_nowhere() -> None:
    plan, model = plan_of(small()), Model.load("count-negative-binomial")
    found = {s: drawn(plan, model, s, n=200) for s in ("own-arm", "jump-to-reference")}
    np.testing.assert_array_equal(found["own-arm"][:, 0], found["jump-to-reference"][:, 0])
    assert found["jump-to-reference"][:, 1].mean() > 2 * found["own-arm"][:, 1].mean()


def test_larger_delta_larger_counts() -> None:
    plan, model = plan_of(small()), Model.load("count-negative-binomial")
    means = [drawn(plan, model, "delta", d, n=4000).mean(axis=0) for d in (0.25, 0.5, 1, 2, 4)]
    assert (np.diff(means, axis=0) > 0).all()
    same = drawn(plan, model, "delta", 1.0, n=100)
    np.testing.assert_array_equal(same, drawn(plan, model, "own-arm", n=100))


def test_delta_for_one_arm_alone() -> None:
    plan, model = plan_of(small()), Model.load("count-negative-binomial")
    names = ("log_rate", "log_rate_ratio", "patient_sd", "sqrt_overdispersion")
    draws = {n: np.full(3000, v) for n, v in zip(names, (1.0, -0.5, 0.5, 0.5), strict=True)}
    rng = np.random.default_rng
    both = draw_counts(plan, model, draws, "delta", 3.0, "both", rng(1)).mean(axis=0)
    active = draw_counts(plan, model, draws, "delta", 3.0, "active", rng(1)).mean(axis=0)
    control = draw_counts(plan, model, draws, "delta", 3.0, "control", rng(1)).mean(axis=0)
    assert both[0] == pytest.approx(control[0], rel=0.1)
    assert control[0] > 2 * active[0]
    assert active[1] > 2 * control[1]


def test_reference_never_had_active_treatment(crossover: Trial) -> None:
    # nobody's second period on control was seen: by jumping it loses the carryover too
    table = crossover.data
    gone = (table["period"] == 2) & (table["treatment"] == crossover.control)
    table["count"] = table["count"].mask(gone & (table["patient"] != "S1"))
    plan = plan_of(Trial(table, **crossover.meta()))
    model = Model.load("crossover-negative-binomial").with_carryover(0.5)
    more = {"period_effect": 0.0, "carryover_fraction": 0.9, "patient_sd": 1e-9, "n": 2000}
    if "baseline" in model.terms_for(plan.trial):
        more["baseline_slope"] = 0.0
    late = (plan.trial.data["period"] == 2) & (plan.trial.data["treatment"] == crossover.control)
    on = late.to_numpy()[plan.unseen > 0]
    assert on.any()
    own = drawn(plan, model, "own-arm", **more)[:, on].mean()
    jumped = drawn(plan, model, "jump-to-reference", **more)[:, on].mean()
    assert own == pytest.approx(np.exp(LOG_RATE + 0.9 * LOG_RATIO), rel=0.05)
    assert jumped == pytest.approx(np.exp(LOG_RATE), rel=0.05)


def test_draws_of_a_fit(crossover: Trial, crossover_fit: xr.DataTree) -> None:
    found = draw_unseen(crossover_fit, seed=3)
    hidden = crossover.data[crossover.data["count"].isna()]
    sizes = crossover_fit["posterior"].sizes
    assert found["count"].shape == (sizes["chain"], sizes["draw"], len(hidden))
    for name in ("patient", "period", "scan", "treatment"):
        assert found[name].to_numpy().tolist() == hidden[name].tolist()
    assert (found["exposure"] == 1.0).all()
    again = draw_unseen(crossover_fit, seed=3)
    xr.testing.assert_identical(found, again)
    assert not found.equals(draw_unseen(crossover_fit, seed=4))


def test_completed_trial_has_the_exposure_as_planned() -> None:
    trial = completed(plan_of(small()), np.array([7, 8, 9]))
    table = trial.data.set_index(["patient", "scan"])
    assert table.loc[("A", 2), "count"] == 7
    assert table.loc[("B", 2), "count"] == 8
    assert table.loc[("C", 1), ["count", "exposure"]].tolist() == [13.0, 1.0]
    assert trial.label == "unseen counts drawn from a model, not seen"
    assert any("counts drawn from a model" in text for text in trial.warnings)


def test_completed_trial_is_what_a_check_of_its_table_would_give(crossover: Trial) -> None:
    plan = plan_of(crossover)
    made = completed(plan, np.arange(1, (plan.unseen > 0).sum() + 1))
    checked = Trial(made.data, **made.meta())
    pd.testing.assert_frame_equal(made.data, checked.data)
    assert made.sha256 == checked.sha256 != crossover.sha256
    assert made.meta() == checked.meta()
    assert made.warnings == checked.warnings


def test_nothing_unseen_nothing_drawn(epilepsy_fit: xr.DataTree) -> None:
    assert draw_unseen(epilepsy_fit)["count"].shape[2] == 0


def test_a_patient_never_seen_has_a_treatment_effect_of_the_crowd() -> None:
    trial = small()
    table = trial.data
    table.loc[table["patient"] == "B", "count"] = np.nan
    plan = plan_of(Trial(table, **trial.meta()))
    model = Model.load("count-negative-binomial").with_varying_treatment(Prior.half_normal(0.5))
    n = 3000
    names = {"log_rate": 0.5, "log_rate_ratio": -0.5, "patient_sd": 1e-9, "treatment_sd": 0.7}
    draws = {name: np.full(n, value) for name, value in names.items()}
    draws["sqrt_overdispersion"] = np.full(n, 1e-6)
    # A, C and D were seen and fitted; the effect of C is known
    draws["patient_log_rate_ratio"] = np.tile([0.0, 2.0, 0.0], (n, 1))
    rng = np.random.default_rng(2)
    found = draw_counts(plan, model, draws, "own-arm", 1.0, "both", rng).mean(axis=0)
    assert found[1] == pytest.approx(np.exp(0.7**2 / 2), rel=0.1)
    assert found[3] == pytest.approx(0.6 * np.exp(2.5), rel=0.1)


def test_what_is_refused(crossover_fit: xr.DataTree) -> None:
    with pytest.raises(ModelError, match=r"unknown strategy for unseen counts 'locf': .*own-arm"):
        draw_unseen(crossover_fit, "locf")
    for delta in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ModelError, match="must be above 0"):
            draw_unseen(crossover_fit, "delta", delta=delta)
    with pytest.raises(ModelError, match=r"delta=2 is for the strategy 'delta'"):
        draw_unseen(crossover_fit, "own-arm", delta=2.0)
    with pytest.raises(ModelError, match="unknown choice of arms for delta 'MSC'"):
        draw_unseen(crossover_fit, "delta", delta=2.0, arms="MSC")


def test_models_that_do_not_say(crossover: Trial) -> None:
    plan = plan_of(small())
    with pytest.raises(ModelError, match="the family 'hurdle-negative-binomial' does not say"):
        drawn(plan, Model.load("count-hurdle-negative-binomial"), "own-arm", n=10)
    serial = Model.load("crossover-negative-binomial-serial")
    with pytest.raises(ModelError, match=r"without_term\('serial'\)"):
        drawn(plan_of(crossover), serial, "own-arm", n=10)
