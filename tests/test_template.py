"""Template: an empty table that the reader accepts once it is filled in, and never overwrites."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bayes_msc.errors import OutputError, TrialError
from bayes_msc.reading import read_trial
from bayes_msc.template import template_table, write_template

ROLES = {"control": "placebo", "active": "MSC"}


@pytest.mark.parametrize("design", ["crossover", "parallel"])
@pytest.mark.parametrize("patients", [2, 9, 40])
def test_a_filled_template_is_a_trial(tmp_path, design, patients):
    path = write_template(tmp_path / "gel.csv", design, patients)
    with pytest.raises(TrialError, match="nothing has been filled in yet") as caught:
        read_trial(path, design=design, **ROLES)
    assert "1 fault:" in str(caught.value)
    table = pd.read_csv(path)
    table["count"], table["baseline"] = range(len(table)), 3
    table.to_csv(path, index=False)
    trial = read_trial(path, design=design, **ROLES)
    assert trial.n_patients == patients
    assert trial.has_baseline
    assert trial.data["count"].tolist() == list(range(len(table)))


def test_the_founding_trials_shape():
    table = template_table()
    assert list(table) == [
        "patient",
        "sequence",
        "period",
        "scan",
        "month",
        "treatment",
        "count",
        "baseline",
    ]
    first = table.drop_duplicates("patient")
    assert first["patient"].tolist() == [f"P{i}" for i in range(1, 10)]
    assert first["sequence"].value_counts().to_dict() == {"MSC-placebo": 5, "placebo-MSC": 4}
    assert table.groupby("period")["month"].unique().map(list).to_dict() == {1: [3, 6], 2: [9, 12]}
    assert (table["count"] == "").all()


def test_the_parallel_shape():
    table = template_table("parallel", 3)
    assert list(table) == ["patient", "scan", "month", "treatment", "count", "baseline"]
    assert table.groupby("patient")["treatment"].nunique().tolist() == [1, 1, 1]
    assert sorted(table["month"].unique()) == [3, 6]


def test_labels_of_ones_own(tmp_path):
    path = write_template(tmp_path / "a.csv", "crossover", 4, active="drug", control="sham")
    assert set(pd.read_csv(path)["treatment"]) == {"drug", "sham"}


def test_counts_without_a_baseline_are_enough(tmp_path):
    path = write_template(tmp_path / "gel.csv")
    pd.read_csv(path).assign(count=1).to_csv(path, index=False)
    assert not read_trial(path, design="crossover", **ROLES).has_baseline


def test_nothing_is_overwritten_unless_forced(tmp_path):
    path = tmp_path / "gel.csv"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match=r"gel\.csv is there already"):
        write_template(path)
    assert path.read_text(encoding="utf-8") == "mine"
    write_template(path, force=True)
    assert path.read_text(encoding="utf-8").startswith("patient,sequence,")
    assert [file.name for file in tmp_path.iterdir()] == ["gel.csv"]


def test_a_failed_or_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "gel.csv"
    path.write_text("mine", encoding="utf-8")

    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_template(path, force=True)
    assert [file.name for file in tmp_path.iterdir()] == ["gel.csv"]
    assert path.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("gel.xlsx", {}, OutputError, r"does not end in \.csv"),
        ("absent/gel.csv", {}, OutputError, r"cannot be written: No such file or directory"),
        ("gel.csv", {"design": "factorial"}, TrialError, r"unknown design 'factorial'"),
        ("gel.csv", {"patients": 1}, TrialError, r"patients is 1: choose 2 to"),
        ("gel.csv", {"patients": 10**9}, TrialError, r"choose 2 to 100000"),
        ("gel.csv", {"patients": 2.5}, TrialError, r"a whole number is needed"),
        ("gel.csv", {"active": "placebo"}, TrialError, r"must differ"),
    ],
)
def test_refusals(tmp_path, name, options, error, message):
    with pytest.raises(error, match=message):
        write_template(tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_a_file(tmp_path):
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write_template(tmp_path / "x.csv", force=True)
