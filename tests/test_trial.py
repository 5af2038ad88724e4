"""Trial: what is accepted, what is refused and with which rows, and what stays the same."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayes_msc.errors import TrialError
from bayes_msc.trial import Trial

CROSSOVER = {"design": "crossover", "control": "placebo", "active": "MSC"}
PARALLEL = {"design": "parallel", "control": "placebo", "active": "drug"}


def crossover_table() -> pd.DataFrame:
    """Six patients, two periods, two scans; rows 1-4 are patient P1, MSC first."""
    rows = []
    for i in range(6):
        order = ("MSC", "placebo") if i % 2 == 0 else ("placebo", "MSC")
        for scan, month in enumerate((3, 6, 9, 12), 1):
            period = 1 if scan < 3 else 2
            count = (3 * i + 2 * scan) % 5
            rows.append((f"P{i + 1}", period, scan, month, order[period - 1], count, 1.0, i))
    names = ["patient", "period", "scan", "month", "treatment", "count", "exposure", "baseline"]
    return pd.DataFrame(rows, columns=names)


def parallel_table() -> pd.DataFrame:
    """Six patients, two scans; odd patients on placebo. Rows 1-2 are patient A."""
    return pd.DataFrame(
        {
            "patient": np.repeat(list("ABCDEF"), 2),
            "treatment": np.repeat(["placebo", "drug"] * 3, 2),
            "scan": [1, 2] * 6,
            "count": [4, 3, 1, 0, 2, 5, 0, 1, 3, 2, 1, 1],
        }
    )


def put(table: pd.DataFrame, column: str, **cells: object) -> pd.DataFrame:
    """Return the table with cells replaced; ``row3=-1`` puts -1 into data row 3."""
    values = table[column].astype(object) if column in table else pd.Series([None] * len(table))
    values = values.to_list()
    for key, value in cells.items():
        values[int(key.removeprefix("row")) - 1] = value
    return table.assign(**{column: pd.Series(values, dtype=object)})


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("count", {"row3": -1}, r"count is negative: row 3 \('-1'\)$"),
        ("count", {"row2": 1.5, "row4": 0.25}, r"not a whole number: row 2 \('1.5'\), row 4 "),
        ("count", {"row5": "many"}, r"count is not a number.*: row 5 \('many'\)$"),
        ("count", {"row5": True}, r"count is not a number.*: row 5 \('True'\)$"),
        ("count", {"row6": np.inf}, r"count is infinite or beyond 1e15: row 6 \('inf'\)$"),
        ("count", {"row6": [1]}, r"count is not a number.*: row 6"),
        ("exposure", {"row1": 0}, r"exposure is not above 0: row 1 \('0'\)$"),
        ("exposure", {"row7": -2.0}, r"exposure is not above 0: row 7 \('-2'\)$"),
        ("exposure", {"row8": None}, r"exposure is missing: row 8$"),
        ("exposure", {"row8": "long"}, r"exposure is not a number: row 8 \('long'\)$"),
        ("exposure", {"row8": np.inf}, r"exposure is infinite: row 8 \('inf'\)$"),
        (
            "scan",
            {"row2": 1},
            r"a patient's scan is there more than once: row 1 .*, row 2 \('P1'\)",
        ),
        ("scan", {"row2": 1.5}, r"scan is not a whole number: row 2"),
        ("scan", {"row2": None}, r"scan is missing: row 2"),
        ("month", {"row2": "June"}, r"month is not a number: row 2 \('June'\)"),
        (
            "treatment",
            {"row9": "MCS"},
            r"neither control 'placebo' nor active 'MSC': row 9 \('MCS'\)",
        ),
        ("treatment", {"row9": ""}, r"neither control 'placebo' nor active 'MSC': row 9$"),
        (
            "treatment",
            {"row1": "placebo"},
            r"two treatments in one period: row 1 .*, row 2 \('P1'\)$",
        ),
        (
            "treatment",
            {"row3": "MSC", "row4": "MSC"},
            r"same treatment in both periods: row 1 .*, row 2 .*, row 3 .*, row 4 \('P1'\)$",
        ),
        ("period", {"row4": 3}, r"period is neither 1 nor 2: row 4 \('3'\)$"),
        ("period", {"row4": 0}, r"period is neither 1 nor 2: row 4 \('0'\)$"),
        ("period", {"row4": "first"}, r"period is not a number: row 4 \('first'\)$"),
        ("period", {"row4": None}, r"period is missing: row 4$"),
        ("patient", {"row11": None}, r"patient has no name: row 11$"),
        ("patient", {"row11": "  "}, r"patient has no name: row 11$"),
        ("baseline", {"row6": 9}, r"more than one baseline: row 5 .*, row 6 .*, row 7 .*, row 8 "),
        (
            "baseline",
            {f"row{n}": -1 for n in range(1, 5)},
            r"baseline is negative: row 1 .*, row 4 ",
        ),
        (
            "baseline",
            {f"row{n}": None for n in range(1, 5)},
            r"baseline is missing: row 1, .*row 4$",
        ),
        ("sequence", {"row1": "MSC-first"}, r"sequence is missing: row 5, row 6"),
    ],
)
def test_each_fault_is_named_with_its_rows(column, cells, message):
    with pytest.raises(TrialError, match=f"(?m){message}"):
        Trial(put(crossover_table(), column, **cells), **CROSSOVER)


def sequences(*names: str) -> pd.DataFrame:
    """Return the crossover table with one sequence a patient."""
    return crossover_table().assign(sequence=np.repeat(names, 4))


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["MSC-first", "placebo-first"] * 2 + ["placebo-first", "placebo-first"], "17"),
        (["MSC-placebo", "placebo-MSC"] * 2 + ["MSC-placebo", "MSC-placebo"], "21"),
        (["msc then placebo", "placebo to msc"] * 2 + ["placebo → MSC"] * 2, "17"),
        # names without meaning mean what most of their patients did
        (["AB", "BA", "AB", "BA", "AB", "AB"], "21"),
    ],
)
def test_a_sequence_that_contradicts_the_periods(names, rows):
    with pytest.raises(TrialError, match=rf"sequence contradicts the periods: row {rows} \("):
        Trial(sequences(*names), **CROSSOVER)


@pytest.mark.parametrize(
    "names", [["MSC-first", "placebo-first"] * 3, ["AB", "BA"] * 3, ["2", "1"] * 3]
)
def test_a_given_sequence_is_kept(names):
    trial = Trial(sequences(*names), **CROSSOVER)
    assert trial.data["sequence"].tolist() == np.repeat(names, 4).tolist()


def test_two_sequences_of_one_patient():
    table = put(sequences(*["AB", "BA"] * 3), "sequence", row2="BA")
    with pytest.raises(TrialError, match=r"more than one sequence: row 1 .*, row 4"):
        Trial(table, **CROSSOVER)


def test_sequence_is_derived_and_implied_for_a_patient_seen_once():
    table = crossover_table().drop(index=[2, 3, 4, 5])
    data = Trial(table, **CROSSOVER).data
    assert data.groupby("patient")["sequence"].unique().str.join("|").to_dict() == {
        "P1": "MSC-placebo",
        "P2": "placebo-MSC",
        "P3": "MSC-placebo",
        "P4": "placebo-MSC",
        "P5": "MSC-placebo",
        "P6": "placebo-MSC",
    }


def test_parallel_patient_with_both_treatments():
    with pytest.raises(TrialError, match=r"both treatments in a parallel trial: row 1 .*, row 2"):
        Trial(put(parallel_table(), "treatment", row2="drug"), **PARALLEL)


def test_all_faults_are_reported_together():
    table = put(crossover_table(), "count", row1=-1, row2="x", row3=0.5)
    table = put(put(table, "period", row9=7), "exposure", row12=0)
    with pytest.raises(TrialError) as caught:
        Trial(table, **CROSSOVER)
    text = str(caught.value)
    assert text.startswith("the table has 5 kinds of fault:\n  - ")
    for part in ("row 1 ('-1')", "row 2 ('x')", "row 3 ('0.5')", "row 9 ('7')", "row 12 ('0')"):
        assert part in text


def test_long_lists_are_cut_short():
    table = pd.concat([parallel_table().assign(patient=f"Q{i}") for i in range(4)])
    table = table.assign(patient=np.arange(48), count=-1)
    with pytest.raises(TrialError, match=r"row 8 \('-1'\) and 40 more$"):
        Trial(table, **PARALLEL)


def test_an_arm_without_a_patient_lists_the_labels():
    table = parallel_table().assign(treatment="placebo")
    with pytest.raises(TrialError, match=r"no patient has the active treatment 'drug'.*'placebo'"):
        Trial(table, **PARALLEL)


def test_an_arm_without_a_seen_count():
    table = parallel_table()
    table.loc[table["treatment"] == "drug", "count"] = np.nan
    with pytest.raises(TrialError, match="every count of the active treatment 'drug' is missing"):
        Trial(table, **PARALLEL)


def test_nothing_filled_in():
    with pytest.raises(TrialError, match="nothing has been filled in yet"):
        Trial(parallel_table().assign(count=None), **PARALLEL)


@pytest.mark.parametrize("left_out", ["design", "control", "active"])
def test_roles_are_asked_for_with_the_labels_found(left_out):
    roles = {key: value for key, value in CROSSOVER.items() if key != left_out}
    with pytest.raises(TrialError, match=rf"say {left_out}=.*'treatment' holds 'MSC', 'placebo'"):
        Trial(crossover_table(), **roles)


def test_a_wrong_label_lists_the_labels_found():
    with pytest.raises(TrialError, match=r"control treatment 'Placebo'.*holds 'MSC', 'placebo'"):
        Trial(crossover_table(), **(CROSSOVER | {"control": "Placebo"}))
    with pytest.raises(TrialError, match=r"must differ .*'MSC', 'placebo'"):
        Trial(crossover_table(), **(CROSSOVER | {"control": "MSC"}))
    with pytest.raises(TrialError, match=r"unknown design 'cross-over'.*parallel, crossover"):
        Trial(crossover_table(), **(CROSSOVER | {"design": "cross-over"}))
    with pytest.raises(TrialError, match=r"unknown provenance 'guess'.*reconstruction"):
        Trial(crossover_table(), provenance="guess", **CROSSOVER)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (crossover_table().drop(columns="count"), {}, "no column 'count'.*\n.*'patient', 'period'"),
        (crossover_table().drop(columns="period"), {}, "no column 'period' for the period"),
        (crossover_table(), {"count": "gel"}, "no column 'gel' for the count"),
        (crossover_table(), {"baseline": "b0"}, "no column 'b0' for the baseline"),
        (crossover_table(), {"covariates": ["age"]}, "no column 'age' for a covariate"),
        (crossover_table(), {"covariates": "age"}, r"give a list, such as \['age'\]"),
        (crossover_table(), {"covariates": ["count"]}, "a covariate cannot be called 'count'"),
        (crossover_table(), {"exposure": "scan"}, "column 'scan' has 2 roles"),
        (crossover_table().rename(columns={"scan": "month"}), {}, "more than once: 'month'"),
        (crossover_table().iloc[:0], {}, "the table has no rows"),
        (crossover_table().map(lambda _: None), {}, "the table has no rows"),
        (pd.DataFrame(), {}, "no columns"),
        ([1, 2], {}, "not from list"),
    ],
)
def test_faults_of_whole_tables(table, options, message):
    with pytest.raises(TrialError, match=message):
        Trial(table, **CROSSOVER, **options)


def test_periods_do_not_belong_to_a_parallel_trial():
    with pytest.raises(TrialError, match="a parallel trial has no period"):
        Trial(parallel_table(), period="scan", **PARALLEL)
    trial = Trial(parallel_table().assign(period="winter"), **PARALLEL)
    assert list(trial.data) == ["patient", "scan", "treatment", "count", "exposure"]


def test_repeated_rows_without_a_scan_are_explained():
    table = parallel_table().drop(columns="scan")
    with pytest.raises(TrialError, match=r"more than one row for a patient \(.*scan=.*row 1"):
        Trial(table, **PARALLEL)
    table = crossover_table().drop(columns=["scan", "month"])
    with pytest.raises(TrialError, match="more than one row for a patient and period"):
        Trial(table, **CROSSOVER)


def test_months_alone_tell_scans_apart():
    table = crossover_table().drop(columns="scan")
    assert len(Trial(table, **CROSSOVER).data) == 24
    with pytest.raises(TrialError, match=r"month is there more than once: row 1 .*, row 2"):
        Trial(put(table, "month", row2=3), **CROSSOVER)


def test_canonical_table():
    shuffled = crossover_table().sample(frac=1, random_state=1).rename(columns={"count": "gel"})
    trial = Trial(shuffled, count="gel", **CROSSOVER)
    data = trial.data
    assert list(data) == [
        "patient",
        "sequence",
        "period",
        "scan",
        "month",
        "treatment",
        "count",
        "exposure",
        "baseline",
    ]
    assert data["period"].dtype == data["scan"].dtype == np.int64
    assert {str(data[c].dtype) for c in ("month", "count", "exposure", "baseline")} == {"float64"}
    assert trial.patients == tuple(shuffled["patient"].unique())
    for _, rows in data.groupby("patient"):
        assert rows["scan"].tolist() == [1, 2, 3, 4]
    assert trial.n_patients == 6
    assert trial.has_baseline


def test_exposure_is_one_by_default_and_empty_columns_count_as_absent():
    table = parallel_table().assign(exposure=None, baseline="", month=np.nan)
    trial = Trial(table, **PARALLEL)
    assert (trial.data["exposure"] == 1).all()
    assert not trial.has_baseline
    assert "month" not in trial.data


def test_a_baseline_may_stand_on_one_row_of_the_patient():
    table = crossover_table()
    table.loc[table["scan"] != 1, "baseline"] = np.nan
    assert Trial(table, **CROSSOVER).data["baseline"].tolist() == np.repeat(range(6), 4).tolist()


def test_blank_rows_are_left_out_and_the_others_keep_their_numbers():
    blank = pd.DataFrame([[None] * 8], columns=crossover_table().columns)
    top = crossover_table()
    table = pd.concat([top.iloc[:4].astype(object), blank, top.iloc[4:].astype(object)])
    assert len(Trial(table, **CROSSOVER).data) == 24
    table.iloc[6, 5] = -1
    with pytest.raises(TrialError, match=r"count is negative: row 7"):
        Trial(table, **CROSSOVER)


def test_missing_counts_are_kept_and_counted():
    table = put(crossover_table(), "count", row4=None, row8="NA", row7=".")
    trial = Trial(table, **CROSSOVER)
    assert len(trial.data) == 24
    assert len(trial.seen) == 21
    assert trial.seen.index.tolist() == list(range(21))
    assert trial.arm_summary()["missing"].tolist() == [1, 2]
    assert "missing counts: 3 not seen, of patient 'P1' (1), 'P2' (2)" in trial.warnings


def test_arm_summary_against_sums_by_hand():
    table = crossover_table().assign(exposure=2.0)
    summary = Trial(table, **CROSSOVER).arm_summary().set_index("treatment")
    assert summary.index.tolist() == ["placebo", "MSC"]
    for label in ("placebo", "MSC"):
        counts = table.loc[table["treatment"] == label, "count"]
        assert summary.loc[label, "events"] == counts.sum()
        assert summary.loc[label, "exposure"] == 24
        assert summary.loc[label, "rate"] == counts.sum() / 24
        assert summary.loc[label, "patients"] == 6


@pytest.mark.parametrize(
    ("table", "roles", "warning"),
    [
        (parallel_table().iloc[:8], PARALLEL, "few patients: only 2 patients had 'drug'"),
        (
            crossover_table().iloc[:20],
            CROSSOVER,
            "few patients: only 2 patients had 'placebo' first",
        ),
        (crossover_table().iloc[:4], CROSSOVER, "few patients: no patient had 'placebo' first"),
        (
            parallel_table().assign(count=[1, 1, 0, 0] * 3),
            PARALLEL,
            "all zeros: every count of 'drug' is zero",
        ),
        (
            put(parallel_table(), "count", row1=30),
            PARALLEL,
            "one patient dominates: 'A' carries 33 of 49 events (67%)",
        ),
    ],
)
def test_warnings(table, roles, warning):
    assert warning in Trial(table, **roles).warnings


def test_an_ordinary_table_has_no_warnings():
    assert Trial(crossover_table(), **CROSSOVER).warnings == ()


@pytest.mark.parametrize("kind", ["int64", "float64", "object", "str", "Int64", "category"])
def test_patient_names_are_text_without_a_decimal_point(kind):
    numbers = pd.Series(np.repeat(range(1, 7), 2))
    table = parallel_table().assign(patient=numbers.astype(kind))
    assert Trial(table, **PARALLEL).patients == ("1", "2", "3", "4", "5", "6")


def test_numeric_labels():
    table = parallel_table()
    table["treatment"] = (table["treatment"] == "drug").astype(float)
    trial = Trial(table, design="parallel", control="0", active="1")
    assert set(trial.data["treatment"]) == {"0", "1"}


def test_a_hostile_name_stays_text():
    table = parallel_table().replace({"patient": {"A": "<script>alert(1)</script>"}})
    table.loc[0:1, "count"] = 90
    trial = Trial(table, **PARALLEL, title="<b>x</b>", name="<i>")
    assert trial.patients[0] == "<script>alert(1)</script>"
    page = trial._repr_html_()
    assert "<script>" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;" in page


def test_the_trial_cannot_be_changed():
    trial = Trial(parallel_table(), **PARALLEL)
    before = trial.sha256
    table = trial.data
    table.loc[0, "count"] = 99
    table["patient"] = "A"
    assert trial.data["count"].tolist() == parallel_table()["count"].tolist()
    assert Trial.from_text(trial.to_csv_text(), trial.meta()).sha256 == before
    with pytest.raises(AttributeError):
        trial.name = "other"


def test_the_users_table_is_not_changed():
    table = put(crossover_table(), "count", row4=None)
    before = table.copy()
    Trial(table, **CROSSOVER)
    pd.testing.assert_frame_equal(table, before)


def test_labels_are_shown():
    trial = Trial(parallel_table(), provenance="reconstruction", **PARALLEL)
    assert trial.label == "reconstruction, not data"
    assert repr(trial).startswith("RECONSTRUCTION, NOT DATA\n")
    assert "RECONSTRUCTION, NOT DATA" in trial._repr_html_()
    assert (
        Trial(parallel_table(), provenance="simulated", **PARALLEL).label == "simulated, not data"
    )
    assert Trial(parallel_table(), **PARALLEL).label == ""


def round_trip(trial: Trial) -> None:
    """Assert that text and JSON give back the very same trial."""
    again = Trial.from_text(trial.to_csv_text(), json.loads(json.dumps(trial.meta())))
    pd.testing.assert_frame_equal(again.data, trial.data)
    assert again.sha256 == trial.sha256
    assert again.meta() == trial.meta()
    assert again.warnings == trial.warnings


def test_round_trip_of_an_awkward_trial():
    table = put(crossover_table(), "count", row4=None).assign(
        patient=np.repeat(["NA", 'a "b", c', "null", "1.0", "ü\n√", "=1+1"], 4),
        exposure=np.linspace(0.1, 1.3, 24),
        centre=["north, 1", None, "NA", "x"] * 6,
        age=np.repeat([31.5, np.nan, 1e-17, 44, 50, 1 / 3], 4),
    )
    trial = Trial(table, covariates=["centre", "age"], name="n", source='"q"', **CROSSOVER)
    assert trial.patients == ("NA", 'a "b", c', "null", "1.0", "ü √", "=1+1")
    round_trip(trial)


def test_from_text_refuses_unknown_keys_and_nonsense():
    trial = Trial(parallel_table(), **PARALLEL)
    with pytest.raises(TrialError, match=r"unknown key of a trial 'colour'.*exposure_unit"):
        Trial.from_text(trial.to_csv_text(), trial.meta() | {"colour": "red"})
    with pytest.raises(TrialError):
        Trial.from_text("", trial.meta())


CELLS = st.one_of(
    st.none(),
    st.integers(-2, 5),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(max_size=4),
    st.sampled_from(
        ["placebo", "MSC", "P1", "1", "2", "", "NA", "1,5", "MSC-first", pd.NA, pd.NaT]
    ),
    st.binary(max_size=2),
    st.lists(st.integers(), max_size=2),
    st.dates(),
    st.decimals(allow_nan=False),
    st.complex_numbers(),
)
LIKELY = {
    "patient": st.sampled_from(["A", "B", "C", 1, 2.0]),
    "treatment": st.sampled_from(["placebo", "MSC"]),
    "count": st.one_of(st.integers(0, 9), st.none()),
    "period": st.sampled_from([1, 2]),
    "scan": st.integers(1, 40),
    "sequence": st.sampled_from(["MSC-first", "placebo-first", None]),
    "month": st.one_of(st.none(), st.floats(0, 24)),
    "exposure": st.floats(0.1, 3),
    "baseline": st.integers(0, 2),
    "age": st.one_of(st.none(), st.floats(), st.text(max_size=3)),
}


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Tables from nearly right to nonsense."""
    wild = draw(st.booleans())
    columns = draw(st.lists(st.sampled_from(list(LIKELY)), unique=True, max_size=10))
    if draw(st.integers(0, 3)):
        columns = list(LIKELY)
    rows = draw(st.integers(0, 12))
    content = {}
    for name in columns:
        cell = st.one_of(CELLS, LIKELY[name]) if wild else LIKELY[name]
        values = draw(st.lists(cell, min_size=rows, max_size=rows))
        content[name] = pd.Series(values, dtype=object)
    table = pd.DataFrame(content)
    if draw(st.booleans()):
        table = table.infer_objects()
    return table


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), st.sampled_from(["parallel", "crossover"]), st.booleans())
def test_any_table_loads_or_raises_the_packages_error(table, design, with_age):
    try:
        trial = Trial(
            table,
            design=design,
            control="placebo",
            active="MSC",
            covariates=["age"] if with_age else [],
        )
    except TrialError:
        return
    assert (trial.seen["count"] >= 0).all()
    assert repr(trial)
    assert trial._repr_html_()
    round_trip(trial)
