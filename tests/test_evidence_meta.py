"""Meta-analysis: against brute force, NUTS, fixed-effect pooling; one trial left out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bayes_msc import plots
from bayes_msc.errors import PublishedError
from bayes_msc.evidence import Evidence, hierarchy, leave_one_trial_out, meta_analysis, tau_prior
from bayes_msc.evidence.meta import weights_in_mean
from bayes_msc.prior import Prior

ROWS = [
    Evidence("first", -0.9, 0.5),
    Evidence("second", -0.1, 0.25),
    Evidence("third", -0.4, 0.35),
]
VAGUE = Prior.normal(0, 2.5)


def test_summary_against_brute_force() -> None:
    found = meta_analysis(ROWS, "half-normal-0.5")
    mu = np.linspace(-6, 6, 1201)[:, None]
    tau = (np.arange(2000) + 0.5) * 3.2 / 2000
    weight = VAGUE.pdf(mu) * tau_prior("half-normal-0.5").pdf(tau)
    for row in ROWS:
        assert row.se is not None
        weight = weight * stats.norm.pdf(row.estimate, mu, np.hypot(row.se, tau))
    weight /= weight.sum()
    mean, new = found.summary.to_dict("records")
    assert mean["probability_below_1"] == pytest.approx(
        float(weight[mu[:, 0] < 0].sum() + weight[mu[:, 0] == 0].sum() / 2), abs=2e-4
    )
    below = float((weight * stats.norm.cdf(math.log(0.8), mu, tau)).sum())
    assert new["probability_below_0.8"] == pytest.approx(below, abs=2e-4)
    assert new["lower"] < mean["lower"] < mean["upper"] < new["upper"]
    assert (mean["mcse"], mean["method"]) == (0.0, "quadrature")
    cumulative = np.cumsum(weight.sum(axis=0))
    assert found.tau["median"].iloc[0] == pytest.approx(np.interp(0.5, cumulative, tau), abs=2e-3)


def test_pymc_agrees() -> None:
    exact = meta_analysis(ROWS, "half-t").summary
    drawn = meta_analysis(ROWS, "half-t", method="pymc", seed=3).summary
    for target in (0, 1):
        gap = drawn["probability_below_0.8"][target] - exact["probability_below_0.8"][target]
        assert 0 < drawn["mcse"][target] < 0.02
        assert abs(gap) < 4 * drawn["mcse"][target]
    assert (drawn["method"] == "pymc").all()


def test_without_heterogeneity_it_is_fixed_effect_pooling() -> None:
    found = meta_analysis(ROWS, Prior.half_normal(1e-6), mu_prior=Prior.normal(0, 1e4))
    precision = np.array([row.se_used**-2 for row in ROWS])
    estimate = np.array([row.estimate for row in ROWS]) @ precision / precision.sum()
    mean = found.summary.iloc[0]
    assert math.log(mean["rate_ratio"]) == pytest.approx(float(estimate), abs=1e-6)
    shares = precision / precision.sum()
    np.testing.assert_allclose(found.effects["share"], shares, rtol=1e-6)
    np.testing.assert_allclose(found.effects["own_ratio"], mean["rate_ratio"], rtol=1e-4)


def test_shares_even_out_with_heterogeneity() -> None:
    wide = Prior.lognormal(math.log(50), 0.01)
    np.testing.assert_allclose(weights_in_mean(ROWS, VAGUE, wide), 1 / 3, atol=1e-3)


def test_relevance_moves_the_mean_and_leaves_what_was_reported() -> None:
    whole = meta_analysis(ROWS, "half-normal-0.5")
    halved = [ROWS[0], ROWS[1].weighted(0.1, "another route"), ROWS[2]]
    less = meta_analysis(halved, "half-normal-0.5")
    assert less.summary["rate_ratio"][0] < whole.summary["rate_ratio"][0]
    columns = ["rate_ratio", "lower", "upper"]
    np.testing.assert_allclose(less.effects[columns], whole.effects[columns])
    assert "another route" in less.effects["note"][1]
    by_hand = hierarchy(
        [row.estimate for row in ROWS],
        [0.5, 0.25 / math.sqrt(0.1), 0.35],
        VAGUE,
        tau_prior("half-normal-0.5"),
    )
    middle = math.exp(float(by_hand.mean_effect.ppf(0.5)))
    assert less.summary["rate_ratio"][0] == pytest.approx(middle)


def test_typical_factor_between_two_trials() -> None:
    rng = np.random.default_rng(5)
    found = meta_analysis(ROWS, Prior.lognormal(math.log(0.4), 1e-4))
    effects = 0.4 * rng.normal(size=(200_000, 2))
    factor = np.median(np.exp(np.abs(effects[:, 0] - effects[:, 1])))
    assert found.tau["factor"].iloc[0] == pytest.approx(float(factor), rel=0.005)


def test_leaving_each_trial_out() -> None:
    table = leave_one_trial_out(ROWS, "half-normal-0.5")
    assert table["left_out"].tolist() == ["none", "first", "second", "third"]
    for row in (1, 2, 3):
        kept = [r for r in ROWS if r.trial != table["left_out"][row]]
        alone = meta_analysis(kept, "half-normal-0.5").summary.iloc[0]
        assert table["rate_ratio"][row] == alone["rate_ratio"]
        assert table["probability_below_1"][row] == alone["probability_below_1"]
    assert math.isnan(table["percentile"][0])
    # the outlying trial lies low in what the others foretold
    assert table["percentile"][1] == table["percentile"].min()
    kept = [ROWS[1], ROWS[2]]
    new = hierarchy(
        [r.estimate for r in kept], [r.se_used for r in kept], VAGUE, tau_prior("half-normal-0.5")
    ).new_trial
    rng = np.random.default_rng(6)
    draws = new.frozen().rvs(100_000, rng) + 0.5 * rng.normal(size=100_000)
    assert table["percentile"][1] == pytest.approx(100 * float((draws < -0.9).mean()), abs=0.6)


def test_where_more_is_better() -> None:
    low = meta_analysis(ROWS, "half-normal-1").summary
    mirrored = [Evidence(r.trial, -r.estimate, r.se) for r in ROWS]
    high = meta_analysis(
        mirrored, "half-normal-1", thresholds=(1, 1.25, 2), benefit="higher"
    ).summary
    np.testing.assert_allclose(low["probability_below_0.8"], high["probability_above_1.25"])


def test_faults() -> None:
    with pytest.raises(PublishedError, match="two at least"):
        leave_one_trial_out(ROWS[:1], "half-normal-1")
    with pytest.raises(PublishedError, match="quadrature, pymc"):
        meta_analysis(ROWS, "half-normal-1", method="stan")
    with pytest.raises(PublishedError, match="lower, higher"):
        meta_analysis(ROWS, "half-normal-1", benefit="less")


def test_figure_shows_every_row_and_number() -> None:
    rows = [ROWS[0], ROWS[1].weighted(0.5, "another route"), ROWS[2]]
    found = meta_analysis(rows, "half-normal-0.5")
    figure = plots.meta_forest(found.effects, found.summary, "lower", "simulated, not data")
    axes = figure.axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names[:3] == ["first", "second\n(relevance 0.5)", "third"]
    assert "prediction" in names[-1]
    drawn = [line.get_xdata() for line in axes.lines]
    for ratio in (*found.effects["rate_ratio"], *found.summary["rate_ratio"]):
        assert any(len(x) == 1 and x[0] == pytest.approx(math.log(ratio)) for x in drawn)
    assert plots.to_svg(figure, "forest").startswith("<?xml")
