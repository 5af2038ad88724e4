"""What stands beside a fit, each part against the function that it comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_msc.companions import companions, stored_only
from bayes_msc.comparators import comparators
from bayes_msc.errors import OutputError
from bayes_msc.estimands import answer
from bayes_msc.fit import model_of, trial_of
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.report import build
from bayes_msc.simulation.calibrating import Calibration
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.shipped import FOUNDING, cited, like, shipped_calibration
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


def test_no_other_trial_is_no_section(crossover_fit: xr.DataTree) -> None:
    assert companions(crossover_fit, ["evidence"], external=[]).evidence is None


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
