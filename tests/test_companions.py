"""What stands beside a fit, each part against the function that it comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_msc.companions import _recipe, companions, ladder_cards, stored_only
from bayes_msc.comparators import comparators
from bayes_msc.errors import OutputError
from bayes_msc.estimands import answer
from bayes_msc.evidence.trials import Evidence
from bayes_msc.fit import model_of, trial_of
from bayes_msc.model import Model
from bayes_msc.other_family import as_family
from bayes_msc.parameters import FAMILY_PARAMETERS
from bayes_msc.prior import Prior
from bayes_msc.published import load_published
from bayes_msc.report import build
from bayes_msc.simulation.calibrating import Calibration
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.shipped import FOUNDING, cited, design_of, like, shipped_calibration
from bayes_msc.trial import Trial
from benchmarks.calibration import FOLDER, blank_trial

TABLE = FOLDER / "calibration.csv"


def test_quick_parts(crossover_fit: xr.DataTree) -> None:
    found = companions(crossover_fit)
    trial = trial_of(crossover_fit)
    assert found.first_period is not None
    assert found.comparators is not None
    whole = found.first_period.set_index("estimand").loc["whole crossover"]
    own = answer(crossover_fit)
    assert whole["median"] == own["median"]
    assert whole["probability"] == own["probability"]
    pd.testing.assert_frame_equal(found.comparators, comparators(trial, seed=1))
    assert found.ladder is None
    assert found.evidence is None
    assert not found.skipped
    results, figures = build(crossover_fit, beside=found)
    keys = [section.key for section in results.sections]
    for key in ("stances", "first-period", "comparators", "calibration"):
        assert key in keys
        assert key == "calibration" or {"stances": "changes"}.get(key, key) in figures


def test_numbers_read_the_same_in_every_section(crossover_fit: xr.DataTree) -> None:
    results, _ = build(crossover_fit, beside=companions(crossover_fit))
    statements = results.tables["statements"]
    ratio = statements[statements["statement"] == "rate_ratio"].iloc[0]
    first = results.tables["changes"].iloc[0]
    whole = results.tables["first_period"].iloc[1]
    for name in ("median", "lower", "upper"):
        assert first[name] == ratio[name]
        assert whole[name] == pytest.approx(ratio[name], rel=1e-12)


def test_without_new_fits_only_stored_draws_speak(crossover_fit: xr.DataTree) -> None:
    found = stored_only(crossover_fit)
    assert found.first_period is None
    assert found.comparators is None
    assert "fitted anew" not in set(found.changes["how"])


def test_unknown_part_is_refused(crossover_fit: xr.DataTree) -> None:
    with pytest.raises(OutputError, match="ladder"):
        companions(crossover_fit, ["leader"])


def test_other_trials_become_a_prior(reconstruction_fit: xr.DataTree) -> None:
    found = companions(reconstruction_fit, ["evidence"])
    assert found.evidence is not None
    assert [row.trial for row in found.evidence.trials] == ["MESEMS 2021"]
    alone, robust, whole = (row for _, row in found.evidence.answers.iterrows())
    assert alone["probability"] == answer(reconstruction_fit)["probability"]
    # the more of the other trial, the narrower
    widths = [np.log(row["upper"] / row["lower"]) for row in (alone, robust, whole)]
    assert widths == sorted(widths, reverse=True)
    assert 0 < found.evidence.vague_after < 1
    assert found.evidence.patients > 0
    results, _ = build(reconstruction_fit, beside=found)
    assert "evidence" in [section.key for section in results.sections]
    fda = next(t for s in results.sections for t in s.tables if t.name == "checklist-fda").data
    row = fda[fda["step"] == "borrowing"].iloc[0]
    assert row["state"] == "done"


@pytest.mark.parametrize("external", [None, []])
def test_evidence_without_another_trial_says_so(
    crossover_fit: xr.DataTree, external: list[str] | None
) -> None:
    found = companions(crossover_fit, ["evidence"], external=external)
    assert found.evidence is None
    assert "--external" in found.skipped["evidence"]
    results, _ = build(crossover_fit, beside=found)
    points = [point for section in results.sections for point in section.points]
    assert any(point.startswith("Not made: evidence: no other trial is named") for point in points)


def test_other_trials_are_kept_all_or_none() -> None:
    row = Evidence.from_ratio("by hand", 0.8, lower=0.5, upper=1.28)
    printed = load_published("mesems2021")
    kept = _recipe(["evidence"], ["mesems2021", printed], None, None, 1)
    assert kept["external"] == [printed.to_toml()] * 2
    assert kept["lost"] == {}
    mixed = _recipe(["comparators", "evidence"], [printed, row], None, None, 1)
    assert mixed["external"] is None
    assert mixed["parts"] == ["comparators"]
    assert "TOML" in mixed["lost"]["evidence"]


def test_ladder_keeps_terms_and_priors_of_the_fit(crossover: Trial) -> None:
    mine = (
        Model.load("crossover-negative-binomial-carryover")
        .with_prior("period_effect", Prior.normal(0.0, 0.123, "mine"))
        .with_prior("log_rate", Prior.normal(0.7, 0.9, "mine"))
        .with_prior("sqrt_overdispersion", Prior.half_normal(0.456, "mine"))
        .with_covariate("age", Prior.normal(0.0, 0.2, "mine"))
    )
    cards = ladder_cards(mine, crossover)
    assert {card.family for card in cards.values()} == set(FAMILY_PARAMETERS) - {mine.family}
    shared = [name for name in mine.priors if name != "sqrt_overdispersion"]
    for card in cards.values():
        assert card.terms == mine.terms
        assert card.covariates == ("age",)
        assert card.log_rate_centre == "none"
        assert {name: card.priors[name] for name in shared} == {
            name: mine.priors[name] for name in shared
        }
        own = FAMILY_PARAMETERS[card.family]
        assert set(card.priors) == {*shared, *own}
        if "sqrt_overdispersion" in own:
            assert card.priors["sqrt_overdispersion"] == mine.priors["sqrt_overdispersion"]
    zeros = cards["crossover-zero-inflated-poisson"].priors["zero_inflation"]
    assert zeros == Model.load("crossover-zero-inflated-poisson").priors["zero_inflation"]


def test_another_family_keeps_an_overdispersion_of_either_arm(crossover: Trial) -> None:
    mine = Model.load("crossover-negative-binomial").with_dispersion("per-arm")
    other = as_family(mine, crossover, "negative-binomial-1")
    assert other.dispersion == "per-arm"
    assert as_family(mine, crossover, "poisson").dispersion == "common"
    assert as_family(mine, crossover, mine.family) is mine


# the shipped calibration


def test_shipped_table_is_the_published_one() -> None:
    published = pd.read_csv(TABLE)
    for card, own in published.groupby("card"):
        shipped = shipped_calibration(str(card))
        shared = ["quantity", "trials", "p", "inside", "coverage", "lower", "upper"]
        pd.testing.assert_frame_equal(
            shipped[shared], own[shared].reset_index(drop=True), check_names=False
        )
    assert set(published["card"]) <= set(Model.names())


def test_shipped_table_goes_into_the_wheel() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert '"docs/_static/calibration.csv" = "bayes_msc/calibration.csv"' in text


@pytest.mark.parametrize("card", ["count-poisson", "crossover-negative-binomial"])
def test_founding_design_is_the_one_of_the_benchmark(card: str) -> None:
    blank = blank_trial(Model.load(card))
    assert like(blank, FOUNDING[blank.design])
    assert not like(blank, FOUNDING[{"crossover": "parallel"}.get(blank.design, "crossover")])


def test_design_of_a_trial_adds_its_sequences_up(crossover: Trial) -> None:
    design = design_of(crossover)
    assert (design.active, design.control, design.scans) == (5, 4, 2)
    assert like(crossover, design)
    # the same patients, those of another site under a name of their own
    table = crossover.data
    there = table["patient"].isin(table["patient"].unique()[:3])
    table["sequence"] = table["sequence"].astype(str).mask(there, table["sequence"] + ", site 2")
    apart = Trial(table, **crossover.meta())
    assert design_of(apart) == design
    assert like(apart, design)


def test_citation_says_whose_card_and_design(
    crossover: Trial, epilepsy: Trial, crossover_fit: xr.DataTree
) -> None:
    model = model_of(crossover_fit)
    own = cited(model, crossover)
    assert own is not None
    assert (own.own_card, own.own_design, own.asked) == (True, True, False)
    changed = cited(model.with_prior("log_rate_ratio", Prior.normal(0, 0.1)), crossover)
    assert changed is not None
    assert not changed.own_card
    other = cited(Model.load("count-negative-binomial"), epilepsy)
    assert other is not None
    assert not other.own_design


def test_card_that_was_never_calibrated_has_no_citation(crossover: Trial) -> None:
    text = Model.load("crossover-poisson").to_toml()
    assert cited(Model.from_toml(text, "my-own"), crossover) is None


def test_calibration_on_request_is_cited(crossover: Trial, crossover_fit: xr.DataTree) -> None:
    model = model_of(crossover_fit)
    numbers = np.random.default_rng(1).uniform(size=(100, 2))
    rows = [
        ("card", trial, quantity, share, "fast", True, 3)
        for trial, pair in enumerate(numbers)
        for quantity, share in zip(("log_rate_ratio", "patient_sd"), pair, strict=True)
    ]
    names = ["card", "trial", "quantity", "share", "engine", "checked", "largest"]
    design = Design("crossover", active=5, control=4, scans=2, baseline=True)
    made = Calibration(model, design, pd.DataFrame(rows, columns=names))
    found = cited(model, crossover, made)
    assert found is not None
    assert (found.own_card, found.own_design, found.asked) == (True, True, True)
    results, _ = build(crossover_fit, beside=companions(crossover_fit, (), calibration=made))
    section = next(s for s in results.sections if s.key == "calibration")
    assert "on request: 100 trials" in section.paragraphs[0]
    assert "this very design" in section.paragraphs[1]
