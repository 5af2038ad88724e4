"""Evidence rows: validated, read from a user's file, bundled with their grade."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from bayes_msc.errors import PublishedError
from bayes_msc.evidence import (
    SCALES,
    Evidence,
    evidence_from_table,
    evidence_table,
    load_evidence,
    read_evidence,
    unit_information_sd,
)
from bayes_msc.evidence.trials import evidence_rows
from bayes_msc.published import load_published


def test_a_printed_ratio_gives_its_logarithm_and_standard_error() -> None:
    row = Evidence.from_ratio("MESEMS", 0.94, lower=0.58, upper=1.5, n_active=69, n_control=75)
    assert row.estimate == pytest.approx(math.log(0.94))
    assert row.se == pytest.approx(math.log(1.5 / 0.58) / (2 * 1.959964), rel=1e-6)
    assert row.n == 144
    assert row.unit_sd == pytest.approx(row.se * 12)


@pytest.mark.parametrize(("name", "trial"), [("llufriu2014", "Llufriu"), ("mesems2021", "MESEMS")])
def test_bundled_rows_agree_with_the_printed_results(name: str, trial: str) -> None:
    ours = Evidence.from_published(load_published(name))
    rows = [
        row
        for row in load_evidence(trial, scale="log_rate_ratio")
        if "carried forward" not in row.outcome
    ]
    assert len(rows) == 1
    assert rows[0].estimate == pytest.approx(ours.estimate, abs=1e-3)
    assert rows[0].se == pytest.approx(ours.se, abs=2e-3)
    assert (rows[0].n_active, rows[0].n_control) == (ours.n_active, ours.n_control)
    assert rows[0].derived == ours.derived


def test_bundled_rows_have_a_source_and_call_derived_what_no_paper_prints() -> None:
    rows = load_evidence()
    assert len(rows) > 25
    assert all(row.source for row in rows)
    assert {row.scale for row in rows} <= set(SCALES)
    by_trial = {(row.trial, row.outcome): row for row in rows}
    petrou = [row for (trial, _), row in by_trial.items() if trial == "Petrou 2020"]
    assert petrou
    assert all(row.derived and not row.doi for row in petrou)
    assert not any(row.derived for row in rows if row.trial == "MESEMS 2021")
    # figures with a lost digit, or seen once only, are not here
    assert not any("?" in row.note for row in rows)
    assert not any("T2" in row.outcome for row in rows if row.trial.startswith("Llufriu"))


def test_derived_ratios_follow_from_the_numbers_in_their_notes() -> None:
    relapses = [r for r in load_evidence("relapses per patient") if r.route == "IV"]
    assert relapses[0].estimate == pytest.approx(math.log(9 / 18), abs=1e-3)
    assert relapses[0].se == pytest.approx(math.sqrt(1 / 9 + 1 / 18), abs=1e-3)
    free = [r for r in load_evidence("relapse-free") if r.route == "intrathecal"]
    assert free[0].estimate == pytest.approx(math.log(30 / 2 / (17 / 15)), abs=2e-3)
    assert free[0].se == pytest.approx(math.sqrt(1 / 30 + 1 / 2 + 1 / 17 + 1 / 15), abs=1e-3)
    (affirm,) = load_evidence("AFFIRM")
    assert affirm.estimate == pytest.approx(math.log(0.2 / 2.4), abs=1e-3)


def test_relevance_divides_the_standard_error_by_its_root() -> None:
    row = Evidence("a", -0.5, 0.3)
    assert row.se_used == 0.3
    assert row.weighted(0.25, "other cells").se_used == pytest.approx(0.6)


def test_a_mean_count_becomes_a_log_rate() -> None:
    (placebo,) = load_evidence("per scan at 6 months")
    rate = placebo.as_log_rate()
    assert (rate.scale, rate.derived) == ("log_rate", True)
    assert math.exp(rate.estimate) == pytest.approx(1.19)
    low, high = (math.exp(rate.estimate + z * rate.se_used) for z in (-1.96, 1.96))
    assert low == pytest.approx(0.87, abs=0.05)
    assert high == pytest.approx(1.51, abs=0.05)
    founding = load_evidence("adjusted mean, placebo (LOCF)")[0]
    assert founding.as_log_rate().se == founding.se
    with pytest.raises(PublishedError, match="only a mean count above 0 is a rate"):
        load_evidence("AFFIRM")[0].as_log_rate()
    with pytest.raises(PublishedError, match="neither se nor limits"):
        Evidence("a", 2.0, scale="mean_count").as_log_rate()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trial": " "}, "has no name"),
        ({"se": 0.0}, "se is 0: it must be above 0"),
        ({"estimate": math.nan}, "estimate is nan: it must be finite"),
        ({"lower": 0.1, "upper": 0.4}, "lies outside its limits"),
        ({"n_active": 0}, "n_active is 0"),
        ({"relevance": 0.0}, "above 0 and at most 1"),
        ({"relevance": 1.5}, "above 0 and at most 1"),
        ({"relevance": 0.5}, "without a relevance_reason: say why"),
        ({"scale": "hazard"}, "unknown scale of 'a' 'hazard': choose one of log_rate_ratio"),
        ({"design": "blind"}, "unknown design"),
    ],
)
def test_impossible_rows(change: dict[str, object], words: str) -> None:
    with pytest.raises(PublishedError, match=words):
        Evidence(**{"trial": "a", "estimate": -0.5, "se": 0.3, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("limits", [(0.0, 1.0), (0.9, 1.0), (0.5, 0.5), (0.5, math.inf)])
def test_impossible_limits(limits: tuple[float, float]) -> None:
    with pytest.raises(PublishedError, match="0 < lower <= ratio <= upper"):
        Evidence.from_ratio("a", 0.5, lower=limits[0], upper=limits[1])


def test_trials_on_different_scales_do_not_combine() -> None:
    free = load_evidence("relapse-free")[0]
    with pytest.raises(PublishedError, match="log_odds_ratio and a log_rate_ratio is needed"):
        evidence_rows([free])
    with pytest.raises(PublishedError, match="counted twice"):
        evidence_rows(["mesems2021", load_published("mesems2021")])
    with pytest.raises(PublishedError, match="no standard error"):
        evidence_rows(load_evidence("AFFIRM"))
    with pytest.raises(PublishedError, match="at least one"):
        evidence_rows([])
    with pytest.raises(PublishedError, match="a float is no evidence"):
        evidence_rows([0.5])  # type: ignore[list-item]


def test_a_users_file(tmp_path: Path) -> None:
    file = tmp_path / "others.csv"
    file.write_text(
        "trial,rate_ratio,lower,upper,n_active,n_control,relevance,relevance_reason,derived\n"
        "first,0.8,0.5,1.28,40,41,,,no\n"
        "second,0.5,0.2,1.25,,,0.5,other cells,yes\n",
        encoding="utf-8",
    )
    first, second = read_evidence(file)
    assert first == Evidence.from_ratio(
        "first", 0.8, lower=0.5, upper=1.28, n_active=40, n_control=41
    )
    assert (second.relevance, second.relevance_reason) == (0.5, "other cells")
    assert (second.derived, second.n) == (True, None)
    assert second.se_used == pytest.approx(second.se * math.sqrt(2))
    semicolons = tmp_path / "semicolons.csv"
    semicolons.write_text("trial;log_rate_ratio;se\na;-0,5;0,25\n", encoding="utf-8")
    assert read_evidence(semicolons) == [Evidence("a", -0.5, 0.25)]


def test_a_table_goes_there_and_back() -> None:
    rows = load_evidence()
    assert evidence_from_table(evidence_table(rows)) == rows


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"trial": ["a"]}, "has none of them: give either rate_ratio, lower and upper"),
        ({"trial": ["a"], "rate_ratio": [1.0]}, "also needs the column lower, upper"),
        ({"trial": ["a"], "log_rate_ratio": [1.0]}, "also needs the column se"),
        ({"log_rate_ratio": [1.0], "se": [1.0]}, "also needs the column trial"),
        ({"trial": ["a"], "hazard": [1]}, "unknown column of the table 'hazard'"),
        (
            {"trial": ["a", "b"], "log_rate_ratio": ["x", 1.0], "se": [0.2, -1.0]},
            r"log_rate_ratio is not a number: row 1 \(x\); se is not above 0: row 2 \(-1.0\)",
        ),
        (
            {"trial": ["a", None], "log_rate_ratio": [0.1, 0.2], "se": [0.2, None]},
            "trial is missing: row 2; se is missing: row 2",
        ),
        (
            {"trial": ["a"], "log_rate_ratio": [0.1], "se": [0.2], "derived": ["perhaps"]},
            "derived is neither yes nor no: row 1",
        ),
        (
            {"trial": ["a"], "log_rate_ratio": [0.1], "se": [0.2], "n_active": [3.5]},
            "n_active is 3.5: a whole number is needed",
        ),
        (
            {"trial": ["a"], "rate_ratio": [2.0], "lower": [0.5], "upper": [1.0]},
            "row 1: evidence 'a': the ratio 2 .* is impossible",
        ),
    ],
)
def test_every_fault_of_a_users_table_is_named(table: dict[str, list[object]], words: str) -> None:
    with pytest.raises(PublishedError, match=words):
        evidence_from_table(pd.DataFrame(table))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(PublishedError, match="there is no file"):
        read_evidence(tmp_path / "none.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(PublishedError, match=r"empty\.csv cannot be read as a table"):
        read_evidence(empty)
    header = tmp_path / "header.csv"
    header.write_text("trial,log_rate_ratio,se\n", encoding="utf-8")
    with pytest.raises(PublishedError, match="holds no row"):
        read_evidence(header)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"PK\x03\x04")
    with pytest.raises(PublishedError, match="not text"):
        read_evidence(binary)
    with pytest.raises(PublishedError, match="no bundled row"):
        load_evidence("homoeopathy")


def test_what_one_patient_tells() -> None:
    rows = [
        Evidence("a", 0.0, 0.5, n_active=4, n_control=4),
        Evidence("b", 0.0, 0.25, n_active=8, n_control=12),
    ]
    assert unit_information_sd(rows) == pytest.approx(math.sqrt(28 / (4 + 16)))
    with pytest.raises(PublishedError, match="number of patients of c is not known"):
        unit_information_sd([Evidence("c", 0.0, 0.5)])
