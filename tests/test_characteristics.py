"""Operating characteristics: against closed forms, against statsmodels, by brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.rates import power_negbin_ratio_2indep

from bayes_msc.errors import DesignError
from bayes_msc.exact import beyond, update
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.rule import Rule
from bayes_msc.simulation.assuring import _by_truth, assurance, truth_over
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.operating import Characteristics, characteristics
from bayes_msc.simulation.rules import IntervalRule, PValueRule, RopeRule, statistic, success
from bayes_msc.simulation.summary import calibrated_thresholds, share_error, summarise
from bayes_msc.simulation.truth import Truth, UncertainTruth

SE, PRIOR = 0.35, Prior.normal(0.0, 1.0)
BENEFIT = Rule(1.0, 0.95)


def normal_trials(
    truth: np.ndarray, prior: Prior = PRIOR, *, rule: Rule = BENEFIT, name: str = "truth"
) -> pd.DataFrame:
    """Trials with a normal estimate of the log rate ratio, analysed exactly."""
    estimate = truth + SE * np.random.default_rng(1).normal(size=len(truth))
    shrunk = 1 / (1 + SE**2 / float(prior["scale"]) ** 2)  # type: ignore[arg-type]
    mean, sd = shrunk * estimate, SE * np.sqrt(shrunk)
    below = stats.norm.cdf((np.log(rule.threshold) - mean) / sd)
    return pd.DataFrame(
        {
            "design": "d",
            "truth": name,
            "model": "normal",
            "prior": "p",
            "rule": rule.words(),
            "trial": np.arange(len(truth)),
            "true_log_rate_ratio": truth,
            "log_estimate": mean,
            "log_lower": mean - 1.959964 * sd,
            "log_upper": mean + 1.959964 * sd,
            "log_sd": sd,
            "kind": "probability",
            "statistic": below,
            "success": below >= rule.probability,
            "engine": "exact",
            "ok": True,
        }
    )


def test_normal_outcome_has_its_known_characteristics() -> None:
    effect, n = np.log(0.5), 200_000
    row = summarise(normal_trials(np.full(n, effect))).iloc[0]
    shrunk = 1 / (1 + SE**2)
    sd = SE * np.sqrt(shrunk)
    # the posterior mean is normal around shrunk * effect
    limit = -1.644854 * sd
    spread = shrunk * SE
    power = stats.norm.cdf((limit - shrunk * effect) / spread)
    assert row["success"] == pytest.approx(power, abs=4 * row["success_mcse"])
    assert row["bias"] == pytest.approx((shrunk - 1) * effect, abs=4 * row["bias_mcse"])
    rmse = np.hypot(spread, (shrunk - 1) * effect)
    assert row["rmse"] == pytest.approx(rmse, abs=4 * row["rmse_mcse"])
    # the truth is inside where |shrunk (effect + noise) - effect| is less than 1.96 sd
    edges = (np.array([-1, 1]) * 1.959964 * sd + (1 - shrunk) * effect) / spread
    assert row["coverage"] == pytest.approx(np.diff(stats.norm.cdf(edges))[0], abs=0.003)
    assert row["width"] == pytest.approx(2 * 1.959964 * sd)
    # mean of a normal cut off at the limit
    at = (limit - shrunk * effect) / spread
    mean = shrunk * effect - spread * stats.norm.pdf(at) / stats.norm.cdf(at)
    assert row["type_m"] == pytest.approx(mean / effect, abs=4 * row["type_m_mcse"])
    assert row["type_s"] == 0
    assert not row["is_null"]


def test_sign_errors_are_those_of_the_normal() -> None:
    # a tiny effect the other way: all successes have the wrong sign
    effect = 0.05
    row = summarise(normal_trials(np.full(50_000, effect))).iloc[0]
    assert row["type_s"] == 1.0
    assert row["success"] == pytest.approx(
        stats.norm.cdf((-1.644854 * SE / np.sqrt(1 / (1 + SE**2)) - effect) / SE), abs=0.003
    )


def test_monte_carlo_errors_are_the_spread_between_runs() -> None:
    rng = np.random.default_rng(2)
    runs = []
    rows = normal_trials(np.full(10_000, np.log(0.6)))
    for part in np.array_split(rng.permutation(len(rows)), 100):
        runs.append(summarise(rows.iloc[part]).iloc[0])
    table = pd.DataFrame(runs)
    for name in ("success", "bias", "rmse", "coverage", "type_m"):
        spread = table[name].astype(float).std()
        assert table[f"{name}_mcse"].mean() == pytest.approx(spread, rel=0.3), name


def test_a_trial_without_an_answer_is_no_success() -> None:
    rows = normal_trials(np.full(100, -3.0))
    rows.loc[:9, ["log_estimate", "log_lower", "log_upper", "statistic"]] = np.nan
    rows.loc[:9, "success"] = False
    rows.loc[:9, "engine"] = "none"
    row = summarise(rows).iloc[0]
    assert (row["trials"], row["unanswered"]) == (100, 10)
    assert row["success"] == pytest.approx(0.9)
    assert row["bias"] == pytest.approx((rows["log_estimate"][10:] + 3.0).mean())


def test_error_of_a_share_is_never_nothing() -> None:
    assert share_error(0, 100) > 0
    assert share_error(50, 100) == pytest.approx(0.05, rel=0.02)


def test_threshold_gives_the_stated_type_one_error() -> None:
    null, other = normal_trials(np.zeros(20_000), name="null"), normal_trials(np.full(50, -1.0))
    table = calibrated_thresholds(pd.concat([null, other]), type_one_error=0.025)
    row = table.iloc[0]
    assert len(table) == 1
    assert row["achieved"] <= 0.025
    # P(theta < 0 | y) >= t  where  y <= -t' SE sqrt(1 + SE^2): the size is Phi(-z_t / shrinkage)
    exact = stats.norm.cdf(stats.norm.ppf(0.975) / np.sqrt(1 + SE**2))
    assert row["lower"] <= exact <= row["upper"]
    assert row["probability"] == pytest.approx(exact, abs=0.003)
    with pytest.raises(DesignError, match="simulate a truth with rate_ratio = 1"):
        calibrated_thresholds(other)


def test_assurance_of_the_normal_is_known() -> None:
    prior = Prior.normal(np.log(0.6), 0.4)
    truths = truth_over(prior, Truth(1.0, 3.0)).parameters(100_000, np.random.default_rng(3))
    rows = normal_trials(truths["log_rate_ratio"])
    row = summarise(rows).iloc[0]
    shrunk = 1 / (1 + SE**2)
    limit = -1.644854 * SE / np.sqrt(shrunk)
    exact = stats.norm.cdf((limit - np.log(0.6)) / np.hypot(SE, 0.4))
    assert row["success"] == pytest.approx(exact, abs=4 * row["success_mcse"])
    tenths = _by_truth(Characteristics(pd.DataFrame([row]), rows))
    assert len(tenths) == 10
    assert tenths["rate_ratio"].is_monotonic_increasing
    assert (tenths["success"] * tenths["trials"]).sum() / 100_000 == pytest.approx(row["success"])
    middle = stats.norm.cdf((limit - np.log(tenths["rate_ratio"])) / SE)
    np.testing.assert_allclose(tenths["success"][1:-1], middle[1:-1], atol=0.03)


def test_what_is_known_may_be_an_exact_posterior_or_draws() -> None:
    base, rng = Truth(1.0, 3.0), np.random.default_rng(4)
    posterior = update(Prior.student_t(4, 0, 0.5), -0.8, 0.3)
    known = truth_over(posterior, base).parameters(50_000, rng)["log_rate_ratio"]
    assert (known < 0).mean() == pytest.approx(
        float(beyond(posterior, [1.0], "lower")[0]), abs=0.01
    )
    drawn = truth_over([-1.0, 0.0], base).parameters(1000, rng)["log_rate_ratio"]
    assert set(drawn) == {-1.0, 0.0}
    with pytest.raises(DesignError, match="say the rest with base=Truth"):
        truth_over(Prior.normal(0, 1))
    with pytest.raises(DesignError, match="over is 'fit'"):
        truth_over("fit", base)


def test_what_is_known_beside_a_posterior_of_the_rest() -> None:
    rest = pd.DataFrame({"log_rate": [0.0, 1.0, 2.0], "log_rate_ratio": [9.0, 9.0, 9.0]})
    base, rng = UncertainTruth(Truth(1.0, 1.0), draws=rest), np.random.default_rng(5)
    posterior = update(Prior.normal(0, 0.5), -0.8, 0.3)
    for over in (posterior, Prior.normal(-0.5, 0.3), [-1.0, 0.0]):
        drawn = truth_over(over, base).parameters(20_000, rng)
        ratio, rate = drawn["log_rate_ratio"], drawn["log_rate"]
        assert ratio.max() < 5
        assert [(rate == value).mean() for value in (0, 1, 2)] == pytest.approx(
            [1 / 3] * 3, abs=0.02
        )
        # independent of each other
        assert np.corrcoef(ratio, rate)[0, 1] == pytest.approx(0.0, abs=0.03)
    with pytest.raises(DesignError, match="take it from a fit"):
        truth_over([0.0])


def test_rules_look_at_what_they_say() -> None:
    answers = pd.DataFrame(
        {
            "estimate": [0.5, 1.5],
            "lower": [0.3, 0.9],
            "upper": [0.79, 2.0],
            "p_value": [0.03, np.nan],
            "prob_below_0.8": [0.97, 0.1],
            "prob_below_1": [0.99, 0.2],
            "prob_below_1.25": [0.995, 0.9],
        }
    )
    for rule, values, met in (
        (Rule(0.8, 0.95), [0.97, 0.1], [True, False]),
        (Rule(0.8, 0.85, "higher"), [0.03, 0.9], [False, True]),
        (IntervalRule(0.8), [0.79, 2.0], [True, False]),
        (IntervalRule(0.8, "higher"), [0.3, 0.9], [False, True]),
        (RopeRule(0.8, 1.25, 0.75), [0.025, 0.8], [False, True]),
        (PValueRule("gee", 0.05), [0.03, np.nan], [True, False]),
        (PValueRule("gee", 0.05, 0.4), [0.03, np.nan], [False, False]),
    ):
        np.testing.assert_allclose(statistic(rule, answers), values)
        assert success(rule, answers).tolist() == met, rule.words()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IntervalRule(-1.0), "limit of a rule is -1"),
        (lambda: RopeRule(1.2, 0.8), "region of equivalence is 1.2 to 0.8"),
        (lambda: RopeRule(0.8, 1.2, 1.0), "probability of a rule is 1"),
        (lambda: PValueRule("t"), "classical method 't': choose one of negative-binomial"),
        (lambda: PValueRule("gee", 5), "level of a rule is 5"),
        (lambda: PValueRule("gee", 0.05, -1), "estimate_below is -1"),
        (lambda: characteristics({}, Truth(1, 3), rules=[BENEFIT]), "no design is given"),
        (lambda: characteristics(PARALLEL, Truth(1, 3), [], rules=[BENEFIT]), "no model is given"),
    ],
)
def test_impossible_rules_and_grids_are_refused(make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DesignError, match=message):
        make()


PARALLEL = Design("parallel", active=4, control=4)
POISSON = (
    Model.load("count-poisson")
    .with_prior("log_rate", Prior.normal(0.7, 0.8))
    .with_prior("patient_sd", Prior.half_normal(0.7))
)


def test_coverage_is_exact_where_truths_come_from_the_prior() -> None:
    priors = {name: POISSON.priors[name] for name in ("log_rate", "log_rate_ratio", "patient_sd")}
    found = assurance(
        PARALLEL,
        POISSON,
        over=priors["log_rate_ratio"],
        base=Truth(1.0, 2.0),
        rules=[BENEFIT, IntervalRule()],
        trials=10,
        workers=1,
    )
    assert found.table["trials"].eq(10).all()
    result = characteristics(
        PARALLEL,
        UncertainTruth(Truth(1.0, 2.0, family="poisson"), priors),
        POISSON,
        rules=[BENEFIT],
        trials=200,
        workers=1,
    )
    row = result.table.iloc[0]
    assert row["coverage"] == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 200))
    # calibrated: the mean posterior probability of benefit is how often there is a benefit
    benefit = (result.trials["true_log_rate_ratio"] < 0).mean()
    assert result.trials["statistic"].mean() == pytest.approx(benefit, abs=0.12)
    # probabilities below the truth are uniform, here through the normal approximation
    z = (result.trials["true_log_rate_ratio"] - result.trials["log_estimate"]) / result.trials[
        "log_sd"
    ]
    assert stats.kstest(z, "norm").pvalue > 1e-4


def test_all_models_and_priors_meet_the_same_trials() -> None:
    result = characteristics(
        PARALLEL,
        Truth(0.5, 3.0),
        POISSON,
        priors=["weak", "sceptical"],
        rules=[BENEFIT, PValueRule("permutation")],
        trials=12,
        workers=1,
    )
    table = result.table.set_index(["prior", "rule"])
    assert table["trials"].eq(12).all()
    assert len(table) == 3
    wide = result.trials[result.trials["rule"] == BENEFIT.words()].pivot_table(
        index="trial", columns="prior", values="log_estimate"
    )
    # the sceptic's estimate of the same trial is nearer to no effect
    assert (wide["sceptical"].abs() < wide["weak"].abs() + 0.02).all()
    assert np.corrcoef(wide["weak"], wide["sceptical"])[0, 1] > 0.95


def test_size_of_a_randomisation_test_is_kept() -> None:
    design = Design("crossover", active=5, control=4)
    truth = Truth(1.0, 3.0, overdispersion=1.0, patient_sd=0.8, period_ratio=1.4)
    rule = PValueRule("hills-armitage-randomisation", 0.2)
    found = characteristics(design, truth, [], rules=[rule], trials=300, workers=1)
    row = found.table.iloc[0]
    assert row["is_null"]
    # 126 allocations: the size is 0.2 at most, and hardly less
    assert row["success"] == pytest.approx(0.19, abs=4 * row["success_mcse"])


@pytest.mark.slow
def test_power_of_a_parallel_trial_is_that_of_statsmodels() -> None:
    design, ratio = Design("parallel", active=60, control=60), 0.55
    truth = Truth(ratio, 2.0, overdispersion=1.0)
    rule = PValueRule("negative-binomial-dispersion-1")
    found = characteristics(design, truth, [], rules=[rule], trials=400, workers=1)
    row = found.table.iloc[0]
    # Zhu & Lakkis 2014: Wald's test with the variance under the alternative
    power = power_negbin_ratio_2indep(
        rate1=2.0 * ratio,
        rate2=2.0,
        nobs1=60,
        dispersion=1.0,
        alternative="two-sided",
        method_var="alt",
        return_results=False,
    )
    assert power == pytest.approx(0.708, abs=0.001)
    assert row["success"] == pytest.approx(power, abs=4 * row["success_mcse"])
