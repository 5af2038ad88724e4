"""Calibration of a user's own card and design: it passes what is right and catches what is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayes_msc.errors import DesignError
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.simulation import calibrating as module
from bayes_msc.simulation.calibrating import Calibration, calibrate
from bayes_msc.simulation.design import Design, DropOut
from bayes_msc.simulation.sbc import shares

QUANTITIES = ("log_rate", "log_rate_ratio", "patient_sd", "patient_effect", "log_likelihood")
DESIGN = Design("parallel", active=4, control=4, drop_out=DropOut(0.1))
CARD = (
    Model.load("count-poisson")
    .with_prior("log_rate", Prior.normal(0.7, 0.8))
    .with_prior("patient_sd", Prior.half_normal(0.7))
)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    return calibrate(
        CARD, DESIGN, trials=120, seed=2, workers=1, cache=tmp_path_factory.mktemp("cache")
    )


def test_right_model_passes(right: Calibration) -> None:
    assert right.passed, right.table.to_string()
    assert set(right.table["quantity"]) == set(QUANTITIES)
    assert right.table["trials"].eq(120).all()
    assert "all ranks are uniform" in right.words()
    inside = (right.curves["difference"] >= right.curves["lower"] - 1e-9) & (
        right.curves["difference"] <= right.curves["upper"] + 1e-9
    )
    assert inside.mean() > 0.95


def test_error_in_a_prior_is_caught(right: Calibration) -> None:
    wrong = CARD.with_prior("log_rate_ratio", Prior.normal(0.8, 0.5, why="wrong"))
    found = shares(CARD, DESIGN.blank, 120, fitted=wrong)
    failed = Calibration(CARD, DESIGN, found)
    assert not failed.passed
    p = failed.table.set_index("quantity")["p_adjusted"]
    assert p["log_rate_ratio"] < 0.001
    assert "it FAILED for" in failed.words()
    assert "log_rate_ratio" in failed.words()


def test_result_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = calibrate(CARD, DESIGN, trials=20, workers=1, cache=tmp_path)
    monkeypatch.setattr(module, "shares", lambda *_, **__: pytest.fail("computed again"))
    again = calibrate(CARD, DESIGN, trials=20, workers=1, cache=tmp_path)
    pd.testing.assert_frame_equal(first.shares, again.shares)
    assert len(list(tmp_path.iterdir())) == 1
    other = CARD.with_prior("log_rate_ratio", Prior.normal(0, 0.9))
    for model, design, seed in (
        (other, DESIGN, 1),
        (CARD, replace(DESIGN, active=5), 1),
        (CARD, DESIGN, 2),
    ):
        with pytest.raises(pytest.fail.Exception, match="computed again"):
            calibrate(model, design, trials=20, seed=seed, workers=1, cache=tmp_path)


def test_what_cannot_be_calibrated_is_refused(tmp_path: Path) -> None:
    joint = CARD.with_term("baseline-joint", Prior.normal(0, 1))
    with pytest.raises(DesignError, match="cannot be calibrated with baseline-joint"):
        calibrate(joint, DESIGN, cache=tmp_path)
    with pytest.raises(DesignError, match="trials is 5: 20 at least"):
        calibrate(CARD, DESIGN, trials=5, cache=tmp_path)


def test_baselines_differ_between_patients() -> None:
    blank = module._with_baselines(replace(DESIGN, baseline=True))
    assert blank.data["baseline"].nunique() > 3


@pytest.mark.slow
def test_error_in_the_quadrature_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from bayes_msc import graph
    from bayes_msc.counts import marginal_logp
    from bayes_msc.sampler import Sampler

    wide = CARD.with_prior("patient_sd", Prior.half_normal(2.5)).with_prior(
        "log_rate", Prior.normal(0.0, 1.0)
    )
    sound = Calibration(wide, DESIGN, shares(wide, DESIGN.blank, 300))
    assert sound.passed, sound.table.to_string()

    def coarse(family: str):  # type: ignore[no-untyped-def]
        return lambda count, *rest: marginal_logp(family, count, *rest, n_nodes=2)

    monkeypatch.setattr(Sampler, "_compiled", {})
    monkeypatch.setattr(graph, "_logp", coarse)
    broken = Calibration(wide, DESIGN, shares(wide, DESIGN.blank, 300))
    assert not broken.passed, broken.table.to_string()
    assert np.isfinite(broken.table["p"]).all()
