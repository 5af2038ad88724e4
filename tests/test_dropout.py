"""The answer under each strategy for unseen counts: against the seen counts, and by reweighting."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_msc.dropout import COLUMNS, _refits, _spread, _with_held_priors, drop_out
from bayes_msc.effects import recover
from bayes_msc.errors import ModelError
from bayes_msc.fit import fit
from bayes_msc.imputation import completed, draw_counts
from bayes_msc.missing import plan_of
from bayes_msc.model import Model
from bayes_msc.predictor import draws_of, row_parameters
from bayes_msc.rows import arrange
from bayes_msc.trial import Trial

CARD = "crossover-negative-binomial"


@pytest.fixture(scope="module")
def table(crossover: Trial) -> pd.DataFrame:
    return drop_out(
        crossover, CARD, imputations=16, deltas=(2.0,), intercurrent_event="left", seed=11
    )


def test_one_row_a_question(table: pd.DataFrame) -> None:
    assert list(table) == list(COLUMNS)
    assert table["strategy"].tolist() == [
        "seen only",
        "own-arm",
        "jump-to-reference",
        "copy-reference",
        "delta",
        "last count carried forward",
    ]
    assert table["ich_strategy"].tolist() == [
        "while on treatment",
        "hypothetical",
        *["treatment policy"] * 3,
        "none",
    ]
    assert (table["intercurrent_event"] == "left").all()
    assert table["unseen"].tolist() == [0, 3, 3, 3, 3, 3]
    assert table["delta"].isna().tolist() == [True] * 4 + [False, True]
    assert table["assumption"].iloc[-1].startswith("WARNING")
    assert table["label"].iloc[0] == "simulated, not data"
    assert table["label"].iloc[1].endswith("drawn from a model, not seen")
    assert table["label"].iloc[-1].endswith("carried forward, not seen")
    assert (table["lower"] < table["median"]).all()
    assert (table["median"] < table["upper"]).all()


def test_missing_at_random_is_what_the_likelihood_says(table: pd.DataFrame) -> None:
    seen, own = table.iloc[0], table.iloc[1]
    error = np.hypot(seen["mcse"], own["mcse"])
    assert abs(seen["probability"] - own["probability"]) < 4 * error
    assert np.log(own["median"]) == pytest.approx(np.log(seen["median"]), abs=0.1)


def test_refits_agree_with_reweighted_draws(crossover: Trial) -> None:
    model, plan = Model.load(CARD), plan_of(crossover)
    # Many draws: a completion may be extreme, and few draws then carry all of the weight.
    draws = draws_of(fit(crossover, CARD, draws=8_000, seed=11))
    few = _spread(draws, 3)
    held = _with_held_priors(model, crossover)
    refits = _refits(plan, held, few, "delta", 1.5, "both", 4)
    counts = draw_counts(plan, model, few, "delta", 1.5, "both", np.random.default_rng(4))
    for own, refit in zip(counts, refits, strict=True):
        gain = log_likelihood(completed(plan, own), model, draws) - log_likelihood(
            crossover, model, draws
        )
        weight = np.exp(gain - gain.max())
        weight /= weight.sum()
        size = 1.0 / (weight**2).sum()
        assert size > 200
        mean = weight @ draws["log_rate_ratio"]
        error = draws["log_rate_ratio"].std() / np.sqrt(size)
        assert refit.ok
        assert refit.log_rate_ratio.mean() == pytest.approx(mean, abs=5 * error)


def log_likelihood(trial: Trial, model: Model, draws: dict[str, np.ndarray]) -> np.ndarray:
    rows = arrange(trial, model)
    at = row_parameters(model, rows, draws)
    numbers = (at.eta, at.loading, at.overdispersion, at.zero_part)
    return recover(model.family, rows, *numbers, np.random.default_rng(0))[1].sum(axis=1)


def test_refits_keep_the_prior_of_the_rate(crossover: Trial) -> None:
    model = Model.load(CARD)
    held = _with_held_priors(model, crossover)
    full = completed(plan_of(crossover), np.array([500, 500, 500]))
    expected = model.priors_for(crossover)["log_rate"].parameters
    assert held.priors_for(full)["log_rate"].parameters == expected
    assert model.priors_for(full)["log_rate"].parameters != expected


def test_complete_trial_has_one_answer_and_a_sentence(crossover: Trial) -> None:
    stayed = crossover.data.groupby("patient")["count"].transform(lambda y: y.notna().all())
    complete = Trial(crossover.data[stayed], **crossover.meta())
    found = drop_out(complete, CARD, seed=2)
    assert len(found) == 1
    assert found["assumption"][0].startswith("everything that was planned was seen")


def test_what_is_refused(crossover: Trial) -> None:
    with pytest.raises(ModelError, match="imputations is 1: take 2 or more"):
        drop_out(crossover, CARD, imputations=1)
    with pytest.raises(ModelError, match="unknown strategy for unseen counts 'worst'"):
        drop_out(crossover, CARD, strategies=["worst"])
    with pytest.raises(ModelError, match="delta is -1"):
        drop_out(crossover, CARD, deltas=[-1.0])
    fixed = Model.load(CARD).with_fixed("log_rate_ratio", 0.0)
    with pytest.raises(ModelError, match="log_rate_ratio is set"):
        drop_out(crossover, fixed)
