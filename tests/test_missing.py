"""What was planned and not seen, and the last count carried forward."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_msc.missing import ABSENT, CUT_SHORT, EMPTY, carry_forward, plan_of, unseen
from bayes_msc.trial import Trial


def parallel_table(rows: list[tuple[object, ...]]) -> Trial:
    table = pd.DataFrame(rows, columns=["patient", "treatment", "scan", "count", "exposure"])
    return Trial(table, design="parallel", control="placebo", active="drug", name="small")


def without(trial: Trial, patient: str, **at: int) -> Trial:
    """Take rows of a patient out of the table altogether."""
    table = trial.data
    gone = table["patient"] == patient
    for name, value in at.items():
        gone &= table[name] == value
    return Trial(table[~gone], **trial.meta())


def test_unseen_scans_of_the_founding_trial(reconstruction: Trial) -> None:
    table = unseen(reconstruction)
    assert table["patient"].tolist() == ["P4", "P4"]
    assert table["treatment"].tolist() == ["placebo", "MSC"]
    assert table["rows"].tolist() == [1, 2]
    assert table["exposure"].tolist() == [1.0, 2.0]
    assert table["seen_exposure"].tolist() == [1.0, 0.0]
    assert table["words"][0] == (
        "patient P4, period 1, on placebo as planned: 1 of 2 scans not seen (row without a count)"
    )


def test_summed_periods_lack_exposure_instead_of_rows(reconstruction: Trial) -> None:
    table = unseen(reconstruction.by_period())
    assert table["why"].tolist() == [CUT_SHORT, EMPTY]
    assert table["exposure"].tolist() == [1.0, 2.0]
    assert table["rows"].tolist() == [0, 1]


def test_rows_that_are_not_there_are_planned_all_the_same(reconstruction: Trial) -> None:
    cut = without(without(reconstruction, "P4", period=2), "M2", scan=3)
    table = unseen(cut)
    assert table["patient"].tolist() == ["M2", "P4", "P4"]
    assert table["why"].tolist() == [ABSENT, EMPTY, ABSENT]
    # the second period of P4 has no row: the treatment is the one that P4 had not had
    assert table["treatment"].tolist() == ["placebo", "placebo", "MSC"]
    expected = reconstruction.data
    gone = (expected["patient"] == "M2") & (expected["scan"] == 3)
    expected["count"] = expected["count"].mask(gone)
    pd.testing.assert_frame_equal(plan_of(cut).trial.data, expected)


def test_a_scan_that_few_patients_have_was_not_planned() -> None:
    rows = [(f"P{i}", ("placebo", "drug")[i % 2], 1, 2, 1.0) for i in range(6)]
    extra = [*rows, ("P0", "placebo", 2, 1, 1.0)]
    assert unseen(parallel_table(extra)).empty
    most = [*extra, ("P1", "drug", 2, 1, 1.0), ("P2", "placebo", 2, 0, 1.0)]
    assert unseen(parallel_table(most))["patient"].tolist() == ["P3", "P4", "P5"]


def test_small_differences_of_exposure_are_no_drop_out() -> None:
    exposures = [1.0, 0.97, 1.02, 0.5]
    rows = [(f"P{i}", ("placebo", "drug")[i % 2], 1, 2, e) for i, e in enumerate(exposures)]
    table = unseen(parallel_table(rows))
    assert table["patient"].tolist() == ["P3"]
    assert table["exposure"][0] == pytest.approx(np.median(exposures) - 0.5)


def test_added_rows_leave_covariates_and_baselines_as_they_are() -> None:
    table = pd.DataFrame(
        {
            "patient": ["A", "A", "B", "B", "C", "D", "D"],
            "treatment": ["p", "p", "d", "d", "p", "d", "d"],
            "month": [3, 6, 3, 6, 3, 3, 6],
            "count": [1, 2, 0, 1, 4, 0, 0],
            "baseline": [3, 3, 1, 1, 7, 0, 0],
            "age": [30.0, 31.0, 40.0, 41.0, 50.0, 20.0, 21.0],
            "centre": ["x", "x", "y", "y", "y", "x", "x"],
        }
    )
    roles = {"design": "parallel", "control": "p", "active": "d"}
    trial = Trial(table, covariates=["age", "centre"], **roles)
    added = plan_of(trial).trial.data
    row = added[added["patient"] == "C"].iloc[1]
    assert (row["month"], row["baseline"], row["age"], row["centre"]) == (6, 7, 50.0, "y")
    assert np.isnan(row["count"])


def test_carried_forward_by_hand(reconstruction: Trial) -> None:
    carried = carry_forward(reconstruction)
    expected = reconstruction.data
    expected.loc[expected["count"].isna(), "count"] = 31.0
    pd.testing.assert_frame_equal(carried.data, expected)
    # the totals of the first period that the article prints
    first = carried.first_period().arm_summary().set_index("treatment")["events"]
    assert first.to_dict() == {"placebo": 84, "MSC": 36}


def test_carried_within_the_period_only(reconstruction: Trial) -> None:
    carried = carry_forward(reconstruction, across_periods=False).data
    own = carried.loc[carried["patient"] == "P4", "count"]
    assert own.iloc[:2].tolist() == [31.0, 31.0]
    assert own.iloc[2:].isna().all()


def test_summed_counts_are_carried_as_rates(reconstruction: Trial) -> None:
    by_scan = carry_forward(reconstruction).by_period().data
    summed = carry_forward(reconstruction.by_period()).data
    pd.testing.assert_frame_equal(summed, by_scan)


def test_nothing_before_nothing_carried() -> None:
    rows = [(f"P{i}", ("placebo", "drug")[i % 2], s, 2, 1.0) for i in range(4) for s in (1, 2, 3)]
    trial = parallel_table(rows)
    table = trial.data
    table.loc[[0, 2], "count"] = np.nan
    carried = carry_forward(Trial(table, **trial.meta())).data
    assert np.isnan(carried["count"][0])
    assert carried["count"][2] == 2.0


def test_carried_counts_say_what_they_are(reconstruction: Trial, crossover: Trial) -> None:
    carried = carry_forward(reconstruction)
    assert carried.label == "reconstruction, not data; some counts carried forward, not seen"
    assert carried.name == "llufriu2014_reconstructed, carried forward"
    assert "carried forward" in carried.title
    assert any(text.startswith("counts carried forward: ") for text in carried.warnings)
    assert carry_forward(crossover).label.startswith("simulated, not data; ")
    again = Trial.from_text(carried.to_csv_text(), carried.meta())
    assert (again.label, again.warnings) == (carried.label, carried.warnings)


def test_complete_trial_stays_as_it_is(epilepsy: Trial) -> None:
    assert unseen(epilepsy).empty
    assert "words" in unseen(epilepsy)
    assert carry_forward(epilepsy) is epilepsy
