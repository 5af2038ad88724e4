"""Stances and the map of priors: exact for printed numbers, against new fits for counts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bayes_msc import plots
from bayes_msc.errors import BayesMSCError, ModelError, OutputError, PriorError, PublishedError
from bayes_msc.evidence import TAU_PRIORS, hierarchy
from bayes_msc.exact import ratio_summary, update
from bayes_msc.model import Model
from bayes_msc.prior import Prior, stance, stances
from bayes_msc.published import Published, load_published
from bayes_msc.reanalysis import reanalyze
from bayes_msc.refits import refit_many
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.prior_map import PriorMap, prior_map
from bayes_msc.sensitivity.stance_table import stance_priors, stance_table
from bayes_msc.sensitivity.subject import condensed, external_prior
from bayes_msc.trial import Trial

CARD = "crossover-negative-binomial"
OWN = Prior.normal(-0.3, 0.6, why="a reader's own")


@pytest.fixture(scope="module")
def founding() -> Published:
    return load_published("llufriu2014")


@pytest.fixture(scope="module")
def more_is_good() -> Published:
    return replace(load_published("mesems2021"), benefit="higher", endpoint="steps walked")


@pytest.fixture(scope="module")
def counted(crossover: Trial) -> PriorMap:
    # the narrow SD asks for new fits
    return prior_map(crossover, means=[-1.2, -0.5, 0.0, 0.4], sds=[0.02, 0.3, 1.0], own=OWN, seed=4)


def test_stances_of_printed_numbers_are_those_of_the_reanalysis(founding: Published) -> None:
    table = stance_table(founding, own=OWN).set_index("stance")
    assert list(table.index) == [*stances(), "external", "own"]
    said = reanalyze(founding, {**stances(), "own": OWN}).statements
    for name in (*stances(), "own"):
        rows = said[said["stance"] == name]
        ratio = rows[rows["statement"] == "rate_ratio"].iloc[0]
        for column in ("median", "lower", "upper"):
            assert table.loc[name, column] == pytest.approx(ratio[column])
        for c in (1.0, 0.8, 0.5):
            row = rows[rows["threshold"] == c].iloc[0]
            assert table.loc[name, f"prob_below_{c:g}"] == pytest.approx(row["probability"])
            prior = row["prior_probability"]
            assert table.loc[name, f"prior_prob_below_{c:g}"] == pytest.approx(prior)
    assert (table["mcse_below_1"] == 0).all()
    assert table.loc["vague", "rule_met"]
    assert not table.loc["sceptical", "rule_met"]


def test_the_external_stance_is_what_the_other_trial_foretells(founding: Published) -> None:
    """Both trials in one hierarchy give this trial the posterior that the external prior gives."""
    own, other = founding.effect()[1], load_published("mesems2021").effect()[1]
    found = stance_table(founding).set_index("stance").loc["external"]
    both = hierarchy(
        [own.log_rate_ratio, other.log_rate_ratio],
        [own.se, other.se],
        stance("vague"),
        TAU_PRIORS[0],
    ).trials[0]
    ends = np.exp(both.ppf([0.025, 0.5, 0.975]))
    np.testing.assert_allclose(found[["lower", "median", "upper"]].to_numpy(float), ends, rtol=1e-6)
    assert found["prob_below_1"] == pytest.approx(float(both.cdf(0.0)))


def test_condensing_keeps_moments_and_shape(reconstruction: Trial) -> None:
    other = load_published("mesems2021").effect()[1]
    whole = hierarchy([other.log_rate_ratio], [other.se], stance("vague"), TAU_PRIORS[0]).new_trial
    few = external_prior(reconstruction, None)
    assert few is not None
    assert len(few.parameters[0]) == 6  # type: ignore[arg-type]
    assert few.frozen().mean() == pytest.approx(whole.frozen().mean())
    assert few.frozen().std() == pytest.approx(whole.frozen().std())
    x = np.linspace(-4, 4, 401)
    assert np.abs(few.cdf(x) - whole.cdf(x)).max() < 0.004
    one = condensed(whole, 1)
    assert one.distribution == "normal"
    assert condensed(one, 3) is one


def test_stances_of_counts_are_new_fits(crossover: Trial) -> None:
    table = stance_table(crossover, CARD, own={"mine": OWN}, seed=2).set_index("stance")
    assert list(table.index) == [*stances(), "mine"]
    assert set(table["engine"]) == {"fast"}
    assert table["ok"].all()
    model = Model.load(CARD)
    other = refit_many(
        [(model.with_prior("log_rate_ratio", p), crossover) for p in (stance("sceptical"), OWN)],
        seed=77,
    )
    for i, name in enumerate(("sceptical", "mine")):
        error = math.hypot(table.loc[name, "mcse_below_1"], other.loc[i, "mcse_below_1"])
        gap = table.loc[name, "prob_below_1"] - other.loc[i, "prob_below_1"]
        assert abs(gap) < max(4.5 * error, 1e-3)
    assert table.loc["mine", "prior_prob_below_1"] == pytest.approx(0.6914625)
    # the sceptic is the one drawn to 1
    assert table["median"].idxmax() == "sceptical"


def test_an_external_prior_serves_counts_too(reconstruction: Trial) -> None:
    prior = external_prior(reconstruction, None)
    whole = external_prior(load_published("llufriu2014"), None)
    assert prior is not None
    assert whole is not None
    assert prior.cdf(0.0) == pytest.approx(whole.cdf(0.0), abs=0.003)
    assert external_prior(reconstruction, []) is None
    assert external_prior(reconstruction, OWN) is OWN


def test_the_model_brings_its_own_prior_unless_it_is_a_stance(crossover: Trial) -> None:
    model = Model.load(CARD)
    assert "model" not in stance_priors(crossover, model)
    odd = model.with_prior("log_rate_ratio", Prior.student_t(3, 0.0, 0.7, "heavy tails"))
    assert stance_priors(crossover, odd)["model"].distribution == "student_t"


def test_where_more_is_good_stances_and_columns_turn_round(more_is_good: Published) -> None:
    table = stance_table(more_is_good).set_index("stance")
    assert [n for n in table if str(n).startswith("prob_")] == [
        "prob_above_1",
        "prob_above_1.25",
        "prob_above_2",
    ]
    said = reanalyze(more_is_good, external=[]).statements
    for name in stances():
        row = said[(said["stance"] == name) & (said["threshold"] == 1.25)].iloc[0]
        assert table.loc[name, "prob_above_1.25"] == pytest.approx(row["probability"])
    found = prior_map(more_is_good, sds=[0.2, 1.0])
    assert found.cells["prior_mean"].max() == pytest.approx(math.log(5))
    assert found.cells["prob_above_1"].corr(found.cells["prior_mean"]) > 0


def test_map_of_printed_numbers_is_exact(founding: Published) -> None:
    found = prior_map(founding, rule=Rule(0.9, 0.8))
    assert len(found.cells) == 41 * 41
    assert set(found.cells["how"]) == {"exact"}
    assert "All 1681 cells are exact" in str(found)
    effect = founding.effect()[1]
    for row in found.cells.sample(20, random_state=1).to_dict("records"):
        prior = Prior.normal(row["prior_mean"], row["prior_sd"])
        posterior = update(prior, effect.log_rate_ratio, effect.se)
        summary = ratio_summary(posterior)
        for name in ("median", "lower", "upper"):
            assert row[name] == pytest.approx(summary[name])
        for c in (1.0, 0.9, 0.8, 0.5):
            assert row[f"prob_below_{c:g}"] == pytest.approx(float(posterior.cdf(math.log(c))))
    places = found.stances.set_index("stance")
    assert tuple(places.loc["sceptical", ["prior_mean", "prior_sd"]]) == (0.0, 0.4214)
    assert not places.loc["external", "exact_place"]


def test_map_of_counts_agrees_with_new_fits(crossover: Trial, counted: PriorMap) -> None:
    cells = counted.cells
    assert set(cells.loc[cells["prior_sd"] >= 0.3, "how"]) == {"reweighted"}
    again = int((cells["how"] == "refitted").sum())
    assert again > 0
    assert f"{again} fitted anew" in str(counted)
    model = Model.load(CARD)
    pairs = [
        (model.with_prior("log_rate_ratio", Prior.normal(m, s)), crossover)
        for m, s in cells[["prior_mean", "prior_sd"]].to_numpy()
    ]
    fitted = refit_many(pairs, seed=99)
    for c in (1.0, 0.8, 0.5):
        error = np.hypot(cells[f"mcse_below_{c:g}"], fitted[f"mcse_below_{c:g}"])
        gap = (cells[f"prob_below_{c:g}"] - fitted[f"prob_below_{c:g}"]).abs()
        assert (gap <= np.maximum(4.5 * error, 2e-3)).all()
        assert cells[f"mcse_below_{c:g}"].max() <= 0.006
    np.testing.assert_allclose(np.log(cells["median"]), np.log(fitted["median"]), atol=0.03)


def test_map_does_not_hang_on_workers_or_luck(crossover: Trial, counted: PriorMap) -> None:
    same = prior_map(
        crossover, means=[-1.2, -0.5, 0.0, 0.4], sds=[0.02, 0.3, 1.0], own=OWN, seed=4, workers=1
    )
    pd.testing.assert_frame_equal(same.cells, counted.cells)


def test_impossible_requests_name_the_repair(founding: Published, crossover: Trial) -> None:
    for means, sds, words in (
        ([0.0, -1.0], None, "means must rise"),
        ([], None, "means must be a list"),
        (None, [0.0, 1.0], "prior SD is 0"),
        (None, [0.1, math.inf], "sds must be a list"),
    ):
        with pytest.raises(BayesMSCError, match=words):
            prior_map(founding, means=means, sds=sds)
    with pytest.raises(BayesMSCError, match="a Trial or a Published is needed, not a str"):
        stance_table("llufriu2014")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="a model needs the counts"):
        stance_table(founding, CARD)
    with pytest.raises(BayesMSCError, match="calls a higher rate better"):
        stance_table(founding, rule=Rule(1.0, 0.95, "higher"))
    with pytest.raises(BayesMSCError, match="rate ratios above 0"):
        stance_table(founding, thresholds=[0.0])
    with pytest.raises(PriorError, match="a stance named 'weak' already"):
        stance_table(founding, own={"weak": OWN})
    with pytest.raises(PriorError, match="may be negative"):
        stance_table(founding, own=Prior.half_normal(1.0))
    with pytest.raises(PublishedError, match="counted twice"):
        stance_table(founding, external=["llufriu2014"])


def test_figures_show_the_tables(founding: Published) -> None:
    found = prior_map(founding)
    figure = plots.prior_map(found.cells, found.stances, found.rule)
    titles = [axes.get_title(loc="left") for axes in figure.axes[:4]]
    assert titles[:2] == ["P(rate ratio < 1)", "P(rate ratio < 0.8)"]
    marks = {
        line.get_label(): line.get_xydata()[0]
        for line in figure.axes[0].get_lines()
        if line.get_label() in stances()
    }
    for row in found.stances.head(4).to_dict("records"):
        np.testing.assert_allclose(marks[row["stance"]], [row["prior_mean"], row["prior_sd"]])
    table = stance_table(founding)
    axes = plots.stance_answers(table, found.rule).axes[0]
    shown = [text.get_text() for text in axes.texts]
    assert shown[: len(table)] == [f"{p:.3f}" for p in table["prob_below_1"]]
    with pytest.raises(OutputError, match="at least two"):
        plots.prior_map(found.cells.head(1), found.stances, found.rule)
