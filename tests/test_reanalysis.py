import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from bayes_msc.errors import BayesMSCError, PriorError, PublishedError
from bayes_msc.exact import add_noise, beyond, log_marginal_likelihood, mean_ratio, update
from bayes_msc.printed import Analysis, Arm, Estimate, Printed, Source
from bayes_msc.prior import Prior, stance
from bayes_msc.published import Published, load_published
from bayes_msc.quadrature import Grid
from bayes_msc.reanalysis import Reanalysis, reanalyze
from bayes_msc.reanalysis_tables import benefit_label

ESTIMATE, SE = -1.391184, 0.755289
STANCES = ("vague", "weak", "sceptical", "enthusiastic")


@pytest.fixture(scope="module")
def result() -> Reanalysis:
    return reanalyze(load_published("llufriu2014"))


def probability(result, name, threshold=1.0):
    table = result.statements
    rows = table[(table["stance"] == name) & (table["threshold"] == threshold)]
    assert len(rows) == 1
    return rows["probability"].iloc[0]


# the founding trial


def test_published_probabilities(result):
    found = [round(probability(result, name), 4) for name in STANCES]
    assert found == [0.9611, 0.9292, 0.8153, 0.9902]
    assert result.log_rate_ratio == pytest.approx(-1.391, abs=5e-4)
    assert result.se == pytest.approx(0.755, abs=5e-4)
    assert (result.analysis, result.route) == ("without-locf", "both arms' limits")


@pytest.mark.parametrize("name", STANCES)
@pytest.mark.parametrize("threshold", [1.0, 0.8, 0.5])
def test_against_numerical_integration(result, name, threshold):
    prior = stance(name)

    def joint(x):
        return float(prior.pdf(x)) * stats.norm.pdf(result.log_rate_ratio, x, result.se)

    marks = {"limit": 500, "epsabs": 1e-14}
    below = integrate.quad(joint, -12, math.log(threshold), **marks)[0]
    above = integrate.quad(joint, math.log(threshold), 12, **marks)[0]
    assert probability(result, name, threshold) == pytest.approx(below / (below + above), abs=1e-9)


def test_columns_follow_the_contract(result):
    assert list(result.statements.columns) == [
        "stance", "statement", "label", "threshold", "median", "mean", "lower", "upper",
        "probability", "prior_probability", "mcse",
    ]  # fmt: skip
    assert list(result.curve.columns) == ["stance", "threshold", "probability", "prior_probability"]
    assert list(result.densities.columns) == [
        "stance", "log_rate_ratio", "prior", "likelihood", "posterior",
    ]  # fmt: skip
    assert list(result.forest.columns) == ["label", "kind", "rate_ratio", "lower", "upper", "note"]
    assert list(result.prediction.columns[:9]) == [
        "stance", "external", "observed_rate_ratio", "predicted_median", "predicted_lower",
        "predicted_upper", "percentile", "log_score", "meaning",
    ]  # fmt: skip
    assert list(result.external.columns) == [
        "tau_prior", "mu_prior", "target", "rate_ratio", "lower", "upper", "probability_below_1",
        "probability_below_0.8", "probability_below_0.5", "method", "mcse", "failed_checks",
    ]  # fmt: skip
    assert (result.statements["mcse"] == 0).all()


def test_labels_are_plain(result):
    labels = set(result.statements["label"])
    rate = "probability that MSC lowers the rate of gadolinium-enhancing lesions"
    assert {rate, f"{rate} by at least 20 %", f"{rate} by at least half"} < labels


def test_curve_and_densities(result):
    for name in STANCES:
        curve = result.curve[result.curve["stance"] == name]
        assert curve["threshold"].is_monotonic_increasing
        assert curve["probability"].is_monotonic_increasing
        at_one = curve.loc[curve["threshold"] == 1.0, "probability"].iloc[0]
        assert at_one == pytest.approx(probability(result, name))
        dense = result.densities[result.densities["stance"] == name]
        step = np.diff(dense["log_rate_ratio"]).mean()
        assert dense["posterior"].sum() * step == pytest.approx(1, abs=2e-3)
        assert dense["likelihood"].sum() * step == pytest.approx(1, abs=2e-3)


def test_other_analysis():
    locf = reanalyze(load_published("llufriu2014"), ["vague"], analysis="locf", external=[])
    assert locf.log_rate_ratio == pytest.approx(-1.378, abs=5e-4)
    assert probability(locf, "vague") == pytest.approx(0.9615, abs=5e-4)
    assert locf.external.empty
    assert locf.prediction.empty
    assert list(locf.forest["kind"]) == ["trial"]
    assert list(locf.routes.loc[locf.routes["used"], "analysis"]) == ["locf"]


def test_external_by_default_and_by_hand(result):
    assert [t.name for t in result.external_trials] == ["mesems2021"]
    this = result.external.query("target == 'this trial' and tau_prior == 'HalfNormal(0.5)'")
    assert this["probability_below_1"].iloc[0] == pytest.approx(0.877, abs=5e-4)
    by_hand = reanalyze(load_published("llufriu2014"), external=[load_published("mesems2021")])
    np.testing.assert_array_equal(result.external["rate_ratio"], by_hand.external["rate_ratio"])
    assert list(result.forest["kind"]) == ["trial", "external"] + ["combined"] * 6


def test_prediction(result):
    assert len(result.prediction) == 8
    plain = result.prediction[result.prediction["heterogeneity"].str.startswith("none")]
    row = plain.set_index("stance").loc["vague"]
    v = 1 / (1 / 2.5**2 + 1 / result.se**2)
    centre, sd = v * result.log_rate_ratio / result.se**2, math.hypot(math.sqrt(v), 0.2424)
    assert row["percentile"] == pytest.approx(
        100 * stats.norm.cdf(math.log(0.94), centre, sd), abs=0.01
    )
    assert row["log_score"] == pytest.approx(
        stats.norm.logpdf(math.log(0.94), centre, sd), abs=1e-4
    )
    assert row["predicted_lower"] == pytest.approx(math.exp(centre - 1.959964 * sd), rel=1e-3)
    assert plain.set_index("stance")["log_score"].idxmax() == "sceptical"
    assert "0.94" in row["meaning"]


def test_text(result):
    assert "sceptical: rate ratio 0.72" in str(result)
    assert "<strong>" in result._repr_html_()


# exact posteriors


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.05, 1), st.floats(-3, 3), st.floats(0.05, 3)), min_size=1, max_size=4
    ),
    st.floats(-3, 3),
    st.floats(0.05, 2),
)
def test_mixtures_against_quadrature(parts, estimate, se):
    w, m, s = np.array(parts).T
    prior = Prior.normal_mixture(w / w.sum(), m, s)
    exact = update(prior, estimate, se)
    x = np.linspace(-12, 12, 48001)
    joint = prior.pdf(x) * stats.norm.pdf(estimate, x, se)
    total = integrate.trapezoid(joint, x)
    assert log_marginal_likelihood(prior, estimate, se) == pytest.approx(math.log(total), abs=1e-6)
    for c in (-1.0, 0.0, 0.7):
        inside = x <= c + 1e-9
        below = integrate.trapezoid(joint[inside], x[inside]) / total
        assert float(exact.cdf(c)) == pytest.approx(below, abs=2e-4)
    assert mean_ratio(exact) == pytest.approx(
        integrate.trapezoid(joint * np.exp(x), x) / total, rel=1e-5
    )


@pytest.mark.parametrize(
    ("prior", "estimate", "se"),
    [
        (Prior.student_t(3, 0, 1), ESTIMATE, SE),
        (Prior.student_t(1, 0, 0.1), ESTIMATE, SE),
        (Prior.student_t(2, 4, 0.02), -2.0, 0.5),
        (Prior.student_t(30, -0.7, 0.4), 0.5, 0.05),
        (Prior.student_t(4, 0, 0.001), -0.5, 0.5),
    ],
    ids=str,
)
def test_other_priors_against_a_dense_grid(prior, estimate, se):
    exact = update(prior, estimate, se)
    assert isinstance(exact, Grid)
    # cubic stretching puts the points where the narrow priors and the likelihood are
    u = np.linspace(-1, 1, 400001)
    centre = float(prior["loc"])
    x = centre + 30 * (u**5 + 1e-4 * u)
    slope = 30 * (5 * u**4 + 1e-4)
    joint = prior.pdf(x) * stats.norm.pdf(estimate, x, se) * slope
    total = integrate.trapezoid(joint, u)
    assert exact.log_total == pytest.approx(math.log(total), abs=1e-7)
    running = integrate.cumulative_trapezoid(joint, u, initial=0) / total
    for c in (-1.0, -0.3, 0.0, 0.4):
        assert float(exact.cdf(c)) == pytest.approx(float(np.interp(c, x, running)), abs=1e-6)
    for q in (0.025, 0.5, 0.975):
        assert float(exact.cdf(exact.ppf(q))) == pytest.approx(q, abs=1e-10)
    assert mean_ratio(exact) == pytest.approx(
        integrate.trapezoid(joint * np.exp(x), u) / total, rel=1e-6
    )
    assert float(exact.pdf(0.1)) == pytest.approx(
        float(prior.pdf(0.1)) * stats.norm.pdf(estimate, 0.1, se) / total, rel=1e-6
    )


def test_student_with_many_degrees_of_freedom_is_normal():
    grid = update(Prior.student_t(1e8, 0, 1), ESTIMATE, SE)
    closed = update(Prior.normal(0, 1), ESTIMATE, SE)
    x = np.linspace(-4, 2, 13)
    np.testing.assert_allclose(grid.cdf(x), closed.cdf(x), atol=1e-7)
    np.testing.assert_allclose(
        add_noise(grid, 0.3).cdf(x), add_noise(closed, 0.3).cdf(x), atol=1e-7
    )


def test_one_normal_as_a_mixture():
    split = Prior.normal_mixture([0.4, 0.6], [0, 0], [1, 1])
    x = np.linspace(-4, 2, 13)
    np.testing.assert_allclose(
        update(split, ESTIMATE, SE).cdf(x), update(Prior.normal(0, 1), ESTIMATE, SE).cdf(x)
    )


def test_grid_of_nothing():
    with pytest.raises(BayesMSCError, match="cannot be integrated"):
        Grid.of(lambda x: np.full_like(x, -np.inf), [0.0, 1.0])


def test_prior_mean_that_does_not_exist():
    assert math.isnan(mean_ratio(Prior.student_t(3, 0, 1)))


# choices


def example(benefit="higher", value="2.0", lower="1.0", upper="4.0"):
    return Published(
        name="example",
        title="An example",
        question="Does it work?",
        endpoint="healed ulcers",
        benefit=benefit,
        follow_up="6 months",
        active=Arm("drug", 10),
        control=Arm("placebo", 12),
        source=Source("Somebody 2020"),
        certainty="high",
        analyses={
            "main": Analysis(
                ratio=Estimate(Printed.parse(value), Printed.parse(lower), Printed.parse(upper))
            )
        },
    )


def test_higher_is_the_mirror_image_of_lower():
    higher = reanalyze(example())
    lower = reanalyze(example("lower", "0.5", "0.25", "1.0"))
    assert higher.thresholds == (1.0, 1.25, 2.0)
    columns = ["probability", "prior_probability"]
    np.testing.assert_allclose(higher.statements[columns], lower.statements[columns], rtol=1e-9)
    assert higher.stances["enthusiastic"]["loc"] == pytest.approx(math.log(2))
    assert "mirror image" in higher.stances["enthusiastic"].why
    assert set(higher.statements["statement"]) >= {"prob_rate_ratio_above"}
    assert any("at least doubles" in label for label in higher.statements["label"])


def test_own_priors_and_thresholds_are_taken_as_they_are():
    own = {"mine": Prior.student_t(3, 0.1, 0.5, why="why not")}
    found = reanalyze(example(), own, thresholds=[0.9, 1, 1])
    assert found.stances == own
    assert found.thresholds == (0.9, 1.0)
    posterior = update(own["mine"], found.log_rate_ratio, found.se)
    assert probability(found, "mine", 0.9) == pytest.approx(float(beyond(posterior, 0.9, "higher")))


@pytest.mark.parametrize(
    ("benefit", "threshold", "end"),
    [
        ("lower", 1, "lowers the rate of healed ulcers"),
        ("lower", 0.75, "lowers the rate of healed ulcers by at least 25 %"),
        ("lower", 0.5, "lowers the rate of healed ulcers by at least half"),
        ("lower", 1.25, "does not raise the rate of healed ulcers by 25 % or more"),
        ("higher", 1, "raises the rate of healed ulcers"),
        ("higher", 1.5, "raises the rate of healed ulcers by at least 50 %"),
        ("higher", 2, "at least doubles the rate of healed ulcers"),
        ("higher", 0.8, "does not lower the rate of healed ulcers by 20 % or more"),
    ],
)
def test_wording(benefit, threshold, end):
    said = benefit_label(example(benefit), threshold)
    assert said == f"probability that drug {end}"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"stances": ["hopeful"]}, PriorError, "vague, weak, sceptical, enthusiastic"),
        ({"stances": []}, PriorError, "no stance"),
        ({"stances": {"mine": 3}}, PriorError, "a Prior is needed"),
        ({"stances": {"mine": Prior.half_normal(1)}}, PriorError, "may be negative"),
        ({"analysis": "itt"}, PublishedError, "locf, without-locf"),
        ({"external": ["nobody"]}, PublishedError, "llufriu2014, mesems2021"),
        ({"external": ["llufriu2014"]}, PublishedError, "counted twice"),
        ({"external": ["mesems2021", "mesems2021"]}, PublishedError, "counted twice"),
        ({"external": [example()]}, PublishedError, "same question"),
        ({"thresholds": [0]}, PublishedError, "above 0"),
        ({"thresholds": []}, PublishedError, "above 0"),
        ({"thresholds": ["half"]}, PublishedError, "list of rate ratios"),
        ({"method": "jags"}, PublishedError, "quadrature, pymc"),
        ({"mu_prior": Prior.half_normal(1)}, PriorError, "mu_prior"),
        ({"tau_priors": []}, PriorError, "at least one"),
        ({"tau_priors": [Prior.normal(0, 1)]}, PriorError, "cannot be negative"),
    ],
)
def test_bad_input(arguments, error, words):
    with pytest.raises(error, match=words):
        reanalyze(load_published("llufriu2014"), **arguments)


def test_a_name_is_not_a_published_trial():
    with pytest.raises(PublishedError, match="load_published"):
        reanalyze("llufriu2014")


def test_one_name_is_a_list_of_one():
    assert list(reanalyze(example(), "weak").stances) == ["weak"]
