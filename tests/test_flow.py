"""The flow of patients, counted by hand, and the plan that it is held against."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_msc.flow import flow, planned_scans
from bayes_msc.trial import Trial


def small() -> Trial:
    """Two sequences; P2 misses a scan and comes back, P4 leaves in period 1, P3 in period 2."""
    orders = {"P1": "ab", "P2": "ab", "P3": "ba", "P4": "ba"}
    unseen = {("P2", 2), ("P4", 2), ("P4", 3), ("P4", 4), ("P3", 4)}
    rows = [
        (
            p,
            scan,
            1 + (scan - 1) // 2,
            order[(scan - 1) // 2],
            np.nan if (p, scan) in unseen else scan,
        )
        for p, order in orders.items()
        for scan in range(1, 5)
    ]
    names = ["patient", "scan", "period", "treatment", "count"]
    table = pd.DataFrame(rows, columns=names)
    return Trial(table, design="crossover", control="a", active="b", scan="scan")


def test_flow_of_a_small_crossover_counted_by_hand() -> None:
    found = flow(small()).set_index(["treatment", "period"])
    assert found["patients"].to_list() == [2, 2, 2, 2]
    # those that begin with the active treatment stand first
    assert list(found.index) == [("b", 1), ("a", 2), ("a", 1), ("b", 2)]
    by = found.to_dict("index")
    assert (by["b", 1]["seen"], by["b", 1]["expected"], by["b", 1]["left"]) == (3, 4, 1)
    assert (by["a", 2]["seen"], by["a", 2]["seen_patients"], by["a", 2]["left"]) == (1, 1, 1)
    # a scan missed in between is no drop-out
    assert (by["a", 1]["seen"], by["a", 1]["complete"], by["a", 1]["left"]) == (3, 1, 0)
    assert (by["b", 2]["seen"], by["b", 2]["complete"], by["b", 2]["left"]) == (4, 2, 0)
    assert by["b", 2]["events"] == 14


def test_rows_that_are_absent_count_like_empty_ones() -> None:
    whole = small()
    absent = Trial(whole.seen, **whole.meta())
    pd.testing.assert_frame_equal(flow(absent), flow(whole))


def test_flow_adds_up_to_the_trial(reconstruction: Trial, epilepsy: Trial) -> None:
    for trial in (reconstruction, epilepsy):
        found = flow(trial)
        assert found["seen"].sum() == len(trial.seen)
        assert found["events"].sum() == trial.seen["count"].sum()
        assert found.drop_duplicates("group")["patients"].sum() == trial.n_patients


def test_parallel_trial_has_one_row_an_arm(epilepsy: Trial) -> None:
    found = flow(epilepsy)
    assert found["group"].to_list() == [epilepsy.active, epilepsy.control]
    assert found["patients"].to_list() == [31, 28]
    assert found["period"].to_list() == [1, 1]
    assert found["left"].sum() == 0


def test_exposure_cut_short_is_named() -> None:
    table = small().data.assign(exposure=1.0)
    table.loc[0, "exposure"] = 0.5
    short = Trial(table, design="crossover", control="a", active="b", scan="scan")
    row = flow(short).set_index(["treatment", "period"]).loc[("a", 1)]
    assert (row["cut_short"], row["complete"]) == (1, 0)


def test_planned_scans_say_who_was_seen() -> None:
    found = planned_scans(small())
    assert len(found) == 8
    own = found[found["treatment"] == "b"].sort_values(["group", "scan"])
    assert own["patients"].unique().tolist() == [2]
    seen = {(r["group"], r["scan"]): r["seen"] for _, r in found.iterrows()}
    first, second = dict.fromkeys(found["group"])
    assert [seen[first, s] for s in range(1, 5)] == [2, 1, 1, 0]
    assert [seen[second, s] for s in range(1, 5)] == [2, 1, 2, 2]
    assert found["unit"].unique().tolist() == ["scan"]


@pytest.mark.parametrize("months", [(3.0, 6.0, 9.0, 12.0)])
def test_months_are_the_time_where_they_are_known(months: tuple[float, ...]) -> None:
    table = small().data
    table["month"] = table["scan"].map(dict(enumerate(months, start=1)))
    trial = Trial(table, design="crossover", control="a", active="b", scan="scan", month="month")
    found = planned_scans(trial)
    assert sorted(found["time"].unique()) == list(months)
    assert found["unit"].unique().tolist() == ["month"]
