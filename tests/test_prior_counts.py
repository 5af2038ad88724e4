"""What priors say as counts: closed forms beside draws, and words that follow the prior."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.prior_counts import BINS, prior_counts
from bayes_msc.trial import Trial


def point(model: Model, **values: float) -> Model:
    """A model whose parameters are set, but for the rate ratio."""
    for name, value in values.items():
        model = model.with_prior(name, Prior.fixed(value))
    return model


def known(crossover: Trial) -> Model:
    model = Model.load("crossover-negative-binomial").without_term("baseline")
    return point(
        model,
        log_rate=math.log(3.0) if model.log_rate_centre == "none" else 0.0,
        period_effect=0.0,
        sqrt_overdispersion=0.5,
        patient_sd=1e-9,
    )


def test_draws_agree_with_the_closed_form(crossover: Trial) -> None:
    model = known(crossover)
    mean = math.exp(float(np.asarray(model.priors_for(crossover)["log_rate"]["value"])))
    found = prior_counts(model, crossover, draws=8000)
    size = 1 / 0.25
    exact = stats.nbinom(size, size / (size + mean))
    control = found.counts[found.counts["treatment"] == crossover.control]
    ends = [*BINS[1:], np.inf]
    for (_, row), high in zip(control.iterrows(), ends, strict=True):
        p = float(exact.cdf(high - 1) - exact.cdf(row["low"] - 1))
        assert row["prior"] == pytest.approx(p, abs=4 * row["mcse"] + 1e-4)
    zero = found.quantities[found.quantities["quantity"].str.startswith("a count of 0")].iloc[0]
    assert zero["probability"] == pytest.approx(float(exact.pmf(0)), abs=4 * zero["mcse"])


def test_monte_carlo_error_is_the_spread_over_seeds(crossover: Trial) -> None:
    runs = [
        prior_counts("crossover-negative-binomial", crossover, draws=400, seed=s).quantities
        for s in range(30)
    ]
    own = [q.loc[q["quantity"].str.startswith("a count of 0"), "probability"].iloc[0] for q in runs]
    mcse = runs[0].loc[runs[0]["quantity"].str.startswith("a count of 0"), "mcse"].iloc[0]
    assert np.std(own, ddof=1) == pytest.approx(mcse, rel=0.45)


def test_rate_ratio_is_exact(crossover: Trial) -> None:
    table = prior_counts("crossover-poisson", crossover, draws=100).quantities
    prior = Model.load("crossover-poisson").priors["log_rate_ratio"]
    halved = table[table["quantity"].str.endswith("at most half")].iloc[0]
    assert halved["probability"] == pytest.approx(float(prior.cdf(math.log(0.5))))
    assert halved["mcse"] == 0
    ratio = table[table["quantity"].str.startswith("rate ratio")].iloc[0]
    assert ratio["upper"] == pytest.approx(math.exp(prior.interval()[1]))


def test_bins_hold_every_count_once(crossover: Trial) -> None:
    found = prior_counts("crossover-negative-binomial", crossover, draws=200).counts
    for _, own in found.groupby("treatment"):
        assert own["prior"].sum() == pytest.approx(1)
        assert own["observed"].sum() == pytest.approx(1)


def test_observed_values_are_those_of_the_trial(crossover: Trial) -> None:
    table = prior_counts("crossover-poisson", crossover, draws=100).quantities
    seen = crossover.seen
    own = seen[seen["treatment"] == crossover.control]
    by = own.groupby("patient")["count"].mean()
    values = table.set_index("quantity")["observed"]
    assert values.iloc[0] == pytest.approx(by.median())
    assert values.iloc[1] == own["count"].max()
    assert values.iloc[2] == pytest.approx((by == 0).mean())


@pytest.mark.parametrize("name", Model.names())
def test_every_prior_of_every_card_has_words(name: str, crossover: Trial, epilepsy: Trial) -> None:
    model = Model.load(name)
    trial = epilepsy if model.design == "parallel" else crossover
    table = prior_counts(model, trial, draws=50).parameters
    assert list(table["parameter"]) == list(model.priors_for(trial))
    assert all(len(words) > 15 for words in table["meaning"])
    assert not table["meaning"].str.contains("nan|inf|e\\+").any()


def test_words_follow_the_prior(crossover: Trial) -> None:
    model = Model.load("crossover-poisson")
    narrow = model.with_prior("log_rate_ratio", Prior.normal(math.log(0.5), 0.01))
    words = prior_counts(narrow, crossover, draws=50).parameters.set_index("parameter")["meaning"]
    assert words["log_rate_ratio"].endswith("rate × 0.49 to 0.51")
    fixed = model.with_prior("period_effect", Prior.fixed(0.0))
    words = prior_counts(fixed, crossover, draws=50).parameters.set_index("parameter")["meaning"]
    assert "not estimated" in words["period_effect"]


def test_same_seed_same_numbers(crossover: Trial) -> None:
    one, two = (prior_counts("crossover-poisson", crossover, draws=100, seed=3) for _ in range(2))
    assert one.quantities.equals(two.quantities)
    assert one.counts.equals(two.counts)
