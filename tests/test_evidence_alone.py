"""Other trials as the prior of a patient-level model: weights, conflict, patients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

from bayes_msc import plots
from bayes_msc.errors import ModelError, PriorError, PublishedError
from bayes_msc.evidence import (
    Evidence,
    external_prior,
    in_short,
    posterior_weights,
    prior_conflict,
    prior_densities,
    rate_prior,
    robustify,
    trial_alone,
)
from bayes_msc.evidence.robust import component_weights_of_draws
from bayes_msc.fit import fit
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.published import load_published
from bayes_msc.refits import refit_many
from bayes_msc.trial import Trial

CARD = "count-poisson"


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(CARD)


@pytest.fixture(scope="module")
def robust() -> Prior:
    return robustify(Prior.normal(0.6, 0.25), 0.3, unit_sd=1.5)


@pytest.fixture(scope="module")
def borrowing_fit(parallel: Trial, model: Model, robust: Prior) -> xr.DataTree:
    return fit(parallel, model.with_prior("log_rate_ratio", robust), engine="auto", seed=3)


def test_weights_are_ratios_of_marginal_likelihoods(
    parallel: Trial, model: Model, robust: Prior, borrowing_fit: xr.DataTree
) -> None:
    ours = posterior_weights(borrowing_fit)
    parts = [Prior.normal(0.6, 0.25), Prior.normal(0, 1.5)]
    found = refit_many([(model.with_prior("log_rate_ratio", p), parallel) for p in parts], seed=5)
    log = np.log([0.7, 0.3]) + found["log_marginal_likelihood"].to_numpy()
    theirs = np.exp(log - log.max())
    theirs /= theirs.sum()
    error = 4 * ours["mcse"].max() + 0.01
    np.testing.assert_allclose(ours["posterior_weight"], theirs, atol=error)
    assert ours["prior_weight"].tolist() == pytest.approx([0.7, 0.3])
    assert (ours["mcse"] > 0).all()
    # these patients got better, the other trials say they would get worse
    assert ours["posterior_weight"].iloc[-1] > 0.3


@pytest.mark.slow
def test_engines_agree_on_the_weights(
    parallel: Trial, model: Model, robust: Prior, borrowing_fit: xr.DataTree
) -> None:
    drawn = fit(parallel, model.with_prior("log_rate_ratio", robust), engine="nuts", seed=4)
    ours, theirs = posterior_weights(borrowing_fit), posterior_weights(drawn)
    gap = (ours["posterior_weight"] - theirs["posterior_weight"]).abs().max()
    assert gap < 4 * math.hypot(ours["mcse"].max(), theirs["mcse"].max())


def test_a_trial_alone_is_what_is_left_without_the_prior(parallel: Trial, model: Model) -> None:
    alone = trial_alone(parallel, model, seed=2)
    assert alone.patients == 9
    assert alone.unit_sd == pytest.approx(3 * alone.se)
    vague = model.with_prior("log_rate_ratio", Prior.normal(0, 50))
    flat = refit_many([(vague, parallel)], seed=6).iloc[0]
    assert alone.estimate == pytest.approx(flat["log_mean"], abs=0.15 * flat["log_sd"])
    assert alone.se == pytest.approx(flat["log_sd"], rel=0.12)


def test_published_trials_alone() -> None:
    published = load_published("mesems2021")
    alone = trial_alone(published)
    assert alone.unit_sd == pytest.approx(12 * published.effect()[1].se)
    with pytest.raises(PublishedError, match="needs se, n_active and n_control"):
        trial_alone(Evidence("a", -0.5, 0.2))


def test_conflict_of_patients_with_other_trials(parallel: Trial, model: Model) -> None:
    against = Prior.normal(3.0, 0.2)
    row = prior_conflict(parallel, against, model).iloc[0]
    assert row["tail_p"] < 0.01
    assert row["verdict"] == "the trial contradicts its prior"
    robust = robustify(against, 0.2, unit_sd=1.5)
    assert prior_conflict(parallel, robust, model)["vague_after"].iloc[0] > 0.9
    published = prior_conflict(load_published("llufriu2014"), Prior.normal(0, 0.2)).iloc[0]
    effect = load_published("llufriu2014").effect()[1]
    z = effect.log_rate_ratio / math.hypot(0.2, effect.se)
    assert published["tail_p"] == pytest.approx(math.erfc(abs(z) / math.sqrt(2)))


def test_other_trials_as_the_prior_of_the_control_rate(parallel: Trial, model: Model) -> None:
    borrowed = rate_prior([60, 45], [30.0, 25.0], "half-normal-0.5", Prior.normal(0, 2))
    prior = in_short(borrowed, robust=0.2, unit_sd=1.5, centre=math.log(2))
    chosen = model.with_prior("log_rate", prior).with_fixed("patient_sd", 0)
    weights = posterior_weights(fit(parallel, chosen, engine="auto", seed=8), "log_rate")
    assert weights["posterior_weight"].sum() == pytest.approx(1)
    assert weights["prior_weight"].iloc[-1] == pytest.approx(0.2)
    alone = trial_alone(parallel, model.with_fixed("patient_sd", 0), parameter="log_rate", seed=8)
    conjugate = prior_conflict(parallel, prior, chosen, parameter="log_rate", seed=8).iloc[0]
    assert conjugate["estimate"] == pytest.approx(alone.estimate, abs=0.1)
    after = float(weights["posterior_weight"].iloc[-1])
    # normal approximation against the fit
    assert conjugate["vague_after"] == pytest.approx(after, abs=0.05)


def test_shares_of_draws_sum_to_one() -> None:
    prior = Prior.normal_mixture([0.5, 0.5], [-5.0, 5.0], [0.5, 0.5])
    draws = np.array([[-5.0, 5.0, 5.2], [5.1, 4.9, -5.1]])
    shares, means = component_weights_of_draws(prior, draws)
    assert shares.shape == (2, 3, 2)
    np.testing.assert_allclose(shares.sum(axis=-1), 1)
    np.testing.assert_allclose(means, [2 / 6, 4 / 6])


def test_faults(parallel: Trial, parallel_fit: xr.DataTree) -> None:
    with pytest.raises(ModelError, match="needs a model"):
        trial_alone(parallel)
    with pytest.raises(ModelError, match="log_rate_ratio, log_rate"):
        trial_alone(parallel, CARD, parameter="period_effect")
    with pytest.raises(PriorError, match="only a mixture of normals has weights"):
        posterior_weights(parallel_fit)


def test_figure_of_priors() -> None:
    exact = external_prior("mesems2021", "half-normal-0.5", robust=0)
    robust = external_prior("mesems2021", "half-normal-0.5")
    densities = prior_densities({"external": exact, "robust": robust})
    one, two = plots.priors(densities), plots.priors(densities)
    assert [line.get_label() for line in one.axes[0].lines][-2:] == ["external", "robust"]
    assert plots.to_svg(one, "priors") == plots.to_svg(two, "priors")
