"""What would change an answer: reweighted draws against new fits, and the sentence on it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

from bayes_msc.changes import NOTHING, PATIENT, PRIOR, REFITTED, REWEIGHTED, UNKNOWN, changes
from bayes_msc.estimands import answer
from bayes_msc.fit import model_of, trial_of
from bayes_msc.leaving_out import as_for, without_patient
from bayes_msc.prior import Prior, stances
from bayes_msc.refits import refit_many
from bayes_msc.report.change_prose import Move, what_would_change
from bayes_msc.report.prose import Words
from bayes_msc.reweighting import reweighted


def test_first_row_is_the_fit_as_it_stands(crossover_fit: xr.DataTree) -> None:
    first = changes(crossover_fit).iloc[0]
    found = answer(crossover_fit)
    assert first["kind"] == NOTHING
    assert first["probability"] == pytest.approx(found["probability"], abs=1e-9)
    assert first["median"] == pytest.approx(found["median"], rel=1e-3)


def test_reweighted_answers_are_those_of_new_fits(crossover_fit: xr.DataTree) -> None:
    trial, model = trial_of(crossover_fit), model_of(crossover_fit)
    table = changes(crossover_fit)
    known = table[(table["how"] == REWEIGHTED) & (table["kind"] != NOTHING)]
    assert (known["kind"] == PATIENT).sum() >= 4
    assert (known["kind"] == PRIOR).sum() >= 2
    held = as_for(model, trial)
    pairs = [
        (model.with_prior("log_rate_ratio", row["name"]), trial)
        if row["kind"] == PRIOR
        else (held, without_patient(trial, row["name"]))
        for _, row in known.iterrows()
    ]
    new = refit_many(pairs, thresholds=(1.0,), workers=1, progress=False)
    error = np.hypot(known["mcse"].to_numpy(), new["mcse_below_1"].to_numpy())
    apart = np.abs(known["probability"].to_numpy() - new["prob_below_1"].to_numpy())
    assert (apart < 4 * error + 0.01).all()
    np.testing.assert_allclose(known["median"], new["median"], rtol=0.12)


def test_new_fits_fill_only_what_the_draws_cannot_tell(reconstruction_fit: xr.DataTree) -> None:
    before, after = changes(reconstruction_fit), changes(reconstruction_fit, exact=True)
    lost = (before["how"] == UNKNOWN).to_numpy()
    assert lost.any()
    assert before.loc[lost, "probability"].isna().all()
    assert set(after.loc[lost, "how"]) == {REFITTED}
    assert after.loc[lost, "probability"].between(0, 1).all()
    same = ["name", "median", "probability", "how"]
    assert after.loc[~lost, same].equals(before.loc[~lost, same])


def test_every_other_stance_and_every_patient_has_a_row(crossover_fit: xr.DataTree) -> None:
    table = changes(crossover_fit)
    own = table["name"].iloc[0]
    priors = table.loc[table["kind"] == PRIOR, "name"].to_list()
    assert priors == [name for name in stances() if name != own]
    assert len(table[table["kind"] == PATIENT]) == trial_of(crossover_fit).n_patients


def test_reweighting_a_normal_posterior_has_a_closed_form() -> None:
    draws = np.random.default_rng(1).normal(-0.5, 0.4, 40_000)
    # a flat prior replaced by Normal(0, 0.5): precisions add up
    prior = Prior.normal(0.0, 0.5)
    found = reweighted(draws, np.log(prior.pdf(draws)), 1.0)
    precision = 1 / 0.4**2 + 1 / 0.5**2
    mean, sd = -0.5 / 0.4**2 / precision, precision**-0.5
    exact = 0.5 * (1 + math.erf(-mean / sd / math.sqrt(2)))
    assert found.ok
    assert found.probability == pytest.approx(exact, abs=4 * found.mcse)
    assert found.median == pytest.approx(math.exp(mean), rel=0.01)


def test_draws_that_do_not_reach_give_no_number() -> None:
    draws = np.random.default_rng(1).normal(-0.5, 0.4, 4000)
    far = reweighted(draws, np.log(Prior.normal(3.0, 0.1).pdf(draws) + 1e-300), 1.0)
    assert not far.ok
    assert math.isnan(far.probability)


WORDS = Words("MSC", "placebo", "lesions")


@pytest.mark.parametrize("now", np.linspace(0.01, 0.99, 15))
@pytest.mark.parametrize("other", np.linspace(0.01, 0.99, 15))
def test_sentence_says_change_only_where_the_wording_changes(now: float, other: float) -> None:
    from bayes_msc.report.prose import benefit

    text = what_would_change(float(now), [Move(PRIOR, "sceptical", float(other))], WORDS)
    one, two = (benefit(float(p), WORDS) for p in (now, other))
    # the words without their numbers
    same = one.split("(")[0] == two.split("(")[0]
    assert text.startswith("Nothing that was tried") == same
    assert text.endswith(".")
    assert text.count(".") == 1
    assert "significant" not in text


def test_unknown_changes_are_named_and_never_counted() -> None:
    moves = [Move(PATIENT, "P1", math.nan), Move(PATIENT, "P2", 0.9), Move(PRIOR, "vague", 0.91)]
    text = what_would_change(0.9, moves, WORDS)
    assert "what leaving out P1 would do, the draws cannot tell" in text
    assert "nan" not in text
    assert "not tried" in what_would_change(0.9, moves[:1], WORDS)


def test_the_patient_who_moves_it_most_is_named() -> None:
    moves = [Move(PATIENT, "P1", 0.7), Move(PATIENT, "P2", 0.3), Move(PRIOR, "sceptical", 0.75)]
    text = what_would_change(0.97, moves, WORDS).replace("\u00a0", " ")
    assert "30 % without patient P2" in text
    assert "P1" not in text
    assert "75 % for a sceptic" in text
