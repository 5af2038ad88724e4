import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

from bayes_msc.errors import BayesMSCError, PriorError, PublishedError
from bayes_msc.evidence import TAU_PRIORS, combine, hierarchy, sample_hierarchy, tau_posterior
from bayes_msc.evidence.combine import failed_checks
from bayes_msc.prediction import predict
from bayes_msc.prior import Prior, stance
from bayes_msc.published import load_published

REFERENCE = Path(__file__).parent / "reference"
EFFECTS = [load_published(n).effect()[1] for n in ("llufriu2014", "mesems2021")]
Y = [e.log_rate_ratio for e in EFFECTS]
S = [e.se for e in EFFECTS]
VAGUE = Prior.normal(0, 2.5)


def brute_force(y, s, mu_prior, tau_prior, top):
    """Posterior over a dense (mu, tau) grid; trial effects integrated by their normal formula."""
    mu = np.linspace(-14, 14, 2801)[:, None]
    nodes, width = np.polynomial.legendre.leggauss(400)
    tau = (nodes[None, :] + 1) * top / 2
    weight = mu_prior.pdf(mu) * tau_prior.pdf(tau) * width
    for yi, si in zip(y, s, strict=True):
        weight = weight * stats.norm.pdf(yi, mu, np.sqrt(si**2 + tau**2))
    return mu, tau, weight / weight.sum()


@pytest.mark.parametrize(
    "tau_prior", [*TAU_PRIORS, Prior.exponential(2), Prior.lognormal(-1, 0.5)], ids=str
)
@pytest.mark.parametrize(
    "mu_prior", [VAGUE, Prior.normal_mixture([0.3, 0.7], [-1, 0.5], [0.4, 1.5])], ids=str
)
def test_against_brute_force(mu_prior, tau_prior):
    y, s = Y, S
    exact = hierarchy(y, s, mu_prior, tau_prior)
    top = float(tau_prior.frozen().isf(1e-9))
    mu, tau, weight = brute_force(y, s, mu_prior, tau_prior, top)
    close = {"abs": 1e-7}
    assert exact.mean_effect.frozen().mean() == pytest.approx(float((weight * mu).sum()), **close)
    assert exact.tau.expect(lambda t: t) == pytest.approx(float((weight * tau).sum()), **close)
    for i in range(2):
        pull = s[i] ** 2 / (s[i] ** 2 + tau**2)
        loc, scale = pull * mu + (1 - pull) * y[i], np.sqrt(pull) * tau
        below = stats.norm.cdf(-loc / scale)
        assert float(exact.trials[i].cdf(0)) == pytest.approx(
            float((weight * below).sum()), abs=2e-4
        )
        mean = float((weight * loc).sum())
        assert exact.trials[i].frozen().mean() == pytest.approx(mean, **close)
    spread = float((weight * (mu**2 + tau**2)).sum() - (weight * mu).sum() ** 2)
    assert exact.new_trial.frozen().std() ** 2 == pytest.approx(spread, abs=1e-6)


def test_published_figures():
    table = combine(Y, S, VAGUE).set_index(["tau_prior", "target"])
    half = table.loc["HalfNormal(0.5)"]
    assert half.loc["this trial", "probability_below_1"] == pytest.approx(0.877, abs=5e-4)
    assert half.loc["mean effect", "probability_below_1"] == pytest.approx(0.798, abs=5e-4)
    assert set(table.index.get_level_values(0)) == {"HalfNormal(0.5)", "HalfNormal(1)"}
    assert (table["mcse"] == 0).all()
    assert (table["lower"] < table["rate_ratio"]).all()
    wider = table.loc["HalfNormal(1)"]
    assert wider.loc["new trial", "upper"] > half.loc["new trial", "upper"]


def test_probability_of_this_trial_by_nested_quad():
    def inner(tau):
        cov = np.diag([S[0] ** 2 + tau**2, S[1] ** 2 + tau**2]) + 2.5**2
        weight = stats.multivariate_normal([0, 0], cov).pdf(Y) * 2 * stats.norm.pdf(tau, 0, 0.5)
        # joint normal of (theta_1, y_1, y_2) given tau
        cross = np.array([tau**2 + 2.5**2, 2.5**2])
        gain = np.linalg.solve(cov, cross)
        mean = gain @ Y
        var = tau**2 + 2.5**2 - gain @ cross
        return weight, weight * stats.norm.cdf(-mean / math.sqrt(var))

    total = integrate.quad(lambda t: inner(t)[0], 0, 6, epsabs=1e-13, limit=200)[0]
    below = integrate.quad(lambda t: inner(t)[1], 0, 6, epsabs=1e-13, limit=200)[0]
    exact = hierarchy(Y, S, VAGUE, Prior.half_normal(0.5))
    assert float(exact.trials[0].cdf(0)) == pytest.approx(below / total, abs=1e-9)


def test_eight_schools():
    data = json.loads((REFERENCE / "eight_schools.json").read_text())
    exact = hierarchy(data["y"], data["sigma"], Prior.normal(0, 5), Prior.half_cauchy(5))
    assert exact.mean_effect.frozen().mean() == pytest.approx(4.4105, abs=0.06)
    assert exact.tau.expect(lambda t: t) == pytest.approx(3.6021, abs=0.06)
    assert exact.trials[0].frozen().mean() == pytest.approx(6.1505, abs=0.1)
    assert exact.trials[7].frozen().mean() == pytest.approx(4.884, abs=0.1)


def test_no_heterogeneity_is_fixed_effect_pooling():
    exact = hierarchy(Y, S, Prior.normal(0, 1e4), Prior.half_normal(1e-6))
    w = 1 / np.square(S)
    for posterior in (exact.mean_effect, exact.trials[0], exact.new_trial):
        assert posterior.frozen().mean() == pytest.approx(float(w @ Y / w.sum()), abs=1e-6)
        assert posterior.frozen().std() == pytest.approx(1 / math.sqrt(w.sum()), rel=1e-5)


def test_much_heterogeneity_leaves_the_trial_alone():
    exact = hierarchy(Y, S, VAGUE, Prior.lognormal(math.log(1e4), 0.1))
    assert exact.trials[0].frozen().mean() == pytest.approx(Y[0], abs=1e-4)
    assert exact.trials[0].frozen().std() == pytest.approx(S[0], rel=1e-4)


def test_a_prior_that_contradicts_the_trials_still_integrates():
    exact = hierarchy([0.0, 3.0], [0.05, 0.05], VAGUE, Prior.half_normal(0.02))
    assert 0.05 < exact.tau.expect(lambda t: t) < 1.5
    assert exact.tau.nodes()[1].sum() == pytest.approx(1)


def test_order_of_the_other_trials_does_not_matter():
    y, s = [*Y, 0.3], [*S, 0.4]
    one = combine(y, s, VAGUE)
    two = combine([y[0], y[2], y[1]], [s[0], s[2], s[1]], VAGUE)
    numeric = one.select_dtypes("number").columns
    np.testing.assert_allclose(one[numeric], two[numeric], rtol=1e-9)


def test_benefit_above():
    low = combine(Y, S, VAGUE)
    high = combine([-y for y in Y], S, VAGUE, thresholds=(1.0, 1.25, 2.0), benefit="higher")
    for below, above in (("1", "1"), ("0.8", "1.25"), ("0.5", "2")):
        np.testing.assert_allclose(
            low[f"probability_below_{below}"], high[f"probability_above_{above}"], rtol=1e-9
        )


def test_pymc_agrees_within_monte_carlo_error():
    exact = combine(Y, S, VAGUE, TAU_PRIORS[:1]).set_index("target")
    drawn = combine(Y, S, VAGUE, TAU_PRIORS[:1], method="pymc", seed=1).set_index("target")
    assert (drawn["method"] == "pymc").all()
    for target in exact.index:
        error = drawn.loc[target, "mcse"]
        assert 0 < error < 0.02
        for column in ("probability_below_1", "probability_below_0.8", "probability_below_0.5"):
            gap = abs(drawn.loc[target, column] - exact.loc[target, column])
            assert gap < 4 * error, (target, column)


def test_sampled_numbers_come_with_what_their_chains_failed_at():
    drawn = combine(Y, S, VAGUE, method="pymc", seed=2)
    assert (drawn["failed_checks"] == "").all()
    assert (combine(Y, S, VAGUE)["failed_checks"] == "").all()
    few = sample_hierarchy(Y, S, VAGUE, TAU_PRIORS[0], seed=4, draws=40)
    said = failed_checks(few, 0.03)
    assert "bulk ESS (" in said
    assert "Monte Carlo error of a probability is 0.03, limit 0.01" in said
    assert said.endswith("take the numbers by quadrature")


def test_pymc_seed_repeats():
    settings = {"seed": 4, "draws": 50, "chains": 2}
    first, second = (sample_hierarchy(Y, S, VAGUE, TAU_PRIORS[0], **settings) for _ in range(2))
    np.testing.assert_array_equal(first["posterior"]["mu"], second["posterior"]["mu"])


# prediction


@pytest.mark.parametrize("name", ["vague", "sceptical", "enthusiastic"])
def test_prediction_with_one_effect_is_closed_form(name):
    prior = stance(name)
    m, t = prior.parameters
    v = 1 / (1 / t**2 + 1 / S[0] ** 2)
    centre = v * (m / t**2 + Y[0] / S[0] ** 2)
    forecast = predict(prior, Y[0], S[0], S[1])
    assert forecast.frozen().mean() == pytest.approx(centre)
    assert forecast.frozen().std() == pytest.approx(math.hypot(math.sqrt(v), S[1]))


@pytest.mark.parametrize("prior", [stance("weak"), Prior.student_t(3, 0, 1)], ids=str)
def test_prediction_with_heterogeneity_against_grid(prior):
    tau_prior = TAU_PRIORS[0]
    mu, tau, weight = brute_force(Y[:1], S[:1], prior, tau_prior, 3.5)
    noise = np.sqrt(tau**2 + S[1] ** 2)
    forecast = predict(prior, Y[0], S[0], S[1], tau_prior)
    for value in (-2.0, Y[1], 1.0):
        below = float((weight * stats.norm.cdf(value, mu, noise)).sum())
        assert float(forecast.cdf(value)) == pytest.approx(below, abs=1e-6)


def test_prediction_of_a_student_prior_with_one_effect():
    prior = Prior.student_t(4, -0.2, 0.6)
    theta = np.linspace(-12, 12, 40001)
    weight = prior.pdf(theta) * stats.norm.pdf(Y[0], theta, S[0])
    weight /= weight.sum()
    forecast = predict(prior, Y[0], S[0], S[1])
    below = float(weight @ stats.norm.cdf(Y[1], theta, S[1]))
    assert float(forecast.cdf(Y[1])) == pytest.approx(below, abs=1e-9)


# faults


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([0.1], [0.1, 0.2], VAGUE, TAU_PRIORS[0]), PublishedError, "one standard error"),
        (([], [], VAGUE, TAU_PRIORS[0]), PublishedError, "one estimate"),
        (([0.1], [0.0], VAGUE, TAU_PRIORS[0]), PublishedError, "above 0"),
        (([np.nan], [0.1], VAGUE, TAU_PRIORS[0]), PublishedError, "finite"),
        (([0.1], [0.1], VAGUE, VAGUE), PriorError, "cannot be negative"),
        (([0.1], [0.1], Prior.student_t(3, 0, 1), TAU_PRIORS[0]), PriorError, "normal_mixture"),
    ],
)
def test_faults(arguments, error, words):
    with pytest.raises(error, match=words):
        hierarchy(*arguments)


def test_unknown_method():
    with pytest.raises(PublishedError, match="quadrature, pymc"):
        combine(Y, S, VAGUE, method="jags")


def test_all_errors_are_the_packages_own():
    assert issubclass(PriorError, BayesMSCError)
    assert tau_posterior(Y, S, VAGUE, TAU_PRIORS[0]).cdf(50.0) == 1
