"""Scans added up to periods, and the first period as a trial of its own."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_msc.errors import TrialError
from bayes_msc.summing import sum_rows
from bayes_msc.trial import Trial


def test_periods_hold_what_was_seen(crossover: Trial) -> None:
    summed = crossover.by_period()
    assert list(summed.data.columns) == [
        "patient",
        "sequence",
        "period",
        "treatment",
        "count",
        "exposure",
        "baseline",
    ]
    assert len(summed.data) == 18
    by = ["patient", "period"]
    seen = crossover.seen.groupby(by, sort=False)[["count", "exposure"]].sum()
    ours = summed.seen.set_index(by)
    np.testing.assert_array_equal(ours.loc[seen.index, "count"], seen["count"])
    np.testing.assert_array_equal(ours.loc[seen.index, "exposure"], seen["exposure"])
    # the last patient left: one scan of period 1, none of period 2
    left = summed.data[summed.data["patient"] == "S9"]
    assert left["exposure"].tolist() == [1.0, 2.0]
    assert left["count"].isna().tolist() == [False, True]
    assert summed.label == crossover.label
    assert summed.name == "crossover_example, summed"


def test_arms_keep_their_rates(crossover: Trial, parallel: Trial) -> None:
    for trial in (crossover, parallel):
        before, after = trial.arm_summary(), trial.by_period().arm_summary()
        for column in ("treatment", "events", "exposure", "rate"):
            assert list(before[column]) == list(after[column])


def test_summing_twice_changes_nothing(parallel: Trial) -> None:
    once = parallel.by_period()
    assert len(once.data) == parallel.n_patients
    assert once.by_period().data.equals(once.data)


def test_covariates_keep_their_first_value(epilepsy: Trial) -> None:
    summed = epilepsy.by_period()
    first = epilepsy.data.groupby("patient", sort=False).first()
    for name in (*epilepsy.covariates, "baseline"):
        assert summed.data.set_index("patient")[name].tolist() == first[name].tolist()


def test_first_period_is_a_parallel_trial(crossover: Trial) -> None:
    first = crossover.first_period()
    data = crossover.data[crossover.data["period"] == 1]
    assert first.design == "parallel"
    assert not {"period", "sequence"} & set(first.data.columns)
    assert first.data["count"].tolist() == pytest.approx(data["count"].tolist(), nan_ok=True)
    assert first.label == crossover.label
    assert first.sha256 != crossover.sha256
    with pytest.raises(TrialError, match="parallel trial: all of it is its first period"):
        first.first_period()


def test_order_of_rows_does_not_matter(crossover: Trial) -> None:
    shuffled = crossover.data.sample(frac=1, random_state=1)
    again = Trial(shuffled, **crossover.meta()).by_period().data
    ours = crossover.by_period().data
    keys = ["patient", "period"]
    assert (
        again.sort_values(keys)
        .reset_index(drop=True)
        .equals(ours.sort_values(keys).reset_index(drop=True))
    )


def test_sums_do_not_carry_a_count_forward(crossover: Trial) -> None:
    data = crossover.data.assign(count=np.nan)
    summed = sum_rows(data, ["patient", "period"])
    assert summed["count"].isna().all()
    assert (summed["exposure"] == 2.0).all()
