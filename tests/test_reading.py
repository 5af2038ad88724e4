"""Reading: encodings, dialects, workbooks, and clear refusals of what is no table."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayes_msc.errors import TrialError
from bayes_msc.reading import read_trial

ROLES = {"design": "crossover", "control": "placebo", "active": "MSC"}
ROWS = 12


def table() -> pd.DataFrame:
    """Three patients with two scans in each of two periods."""
    order = {"Zoë": ("MSC", "placebo"), "2": ("placebo", "MSC"), "NA": ("MSC", "placebo")}
    rows = [
        (patient, period, scan, arms[period - 1], 3 * scan + period, 0.5 * scan)
        for patient, arms in order.items()
        for period in (1, 2)
        for scan in (1, 2)
    ]
    names = ["patient", "period", "scan", "treatment", "count", "exposure"]
    return pd.DataFrame(rows, columns=names)


def csv_text(separator: str = ",", decimal: str = ".") -> str:
    return table().to_csv(index=False, sep=separator, decimal=decimal, lineterminator="\n")


EXPECTED = [3 * scan + period for _ in range(3) for period in (1, 2) for scan in (1, 2)]


def check(path: Path) -> None:
    trial = read_trial(path, **ROLES)
    assert trial.patients == ("Zoë", "2", "NA")
    assert trial.data["count"].tolist() == EXPECTED
    assert trial.data["exposure"].tolist() == [0.5, 1.0] * 6
    assert trial.name == path.stem
    assert trial.source == path.name


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".txt", ".CSV"])
@pytest.mark.parametrize(
    ("separator", "decimal"), [(",", "."), (";", ","), (";", "."), ("\t", ",")]
)
def test_separators_and_decimal_commas(tmp_path, ending, separator, decimal):
    path = tmp_path / f"counts{ending}"
    path.write_text(csv_text(separator, decimal), encoding="utf-8")
    check(path)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"]
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, encoding, line_end):
    path = tmp_path / "counts.csv"
    path.write_bytes(csv_text(";", ",").replace("\n", line_end).encode(encoding))
    check(path)


def test_utf_16_big_endian_with_a_mark(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_bytes(b"\xfe\xff" + csv_text().encode("utf-16-be"))
    check(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "sep=;\n" + text,
        lambda text: "\n\n" + text,
        lambda text: text + ";;;;;\n;;;;;\n",
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.replace("\n", ";\n"),
        lambda text: text.replace(";", " ; "),
        lambda text: text.replace("treatment", '"treatment"'),
    ],
)
def test_what_spreadsheets_leave_behind(tmp_path, change):
    path = tmp_path / "counts.csv"
    path.write_text(change(csv_text(";")), encoding="utf-8")
    check(path)


def test_parquet_and_excel(tmp_path):
    table().to_parquet(tmp_path / "counts.parquet")
    check(tmp_path / "counts.parquet")
    table().to_excel(tmp_path / "counts.xlsx", index=False)
    check(tmp_path / "counts.xlsx")


def test_numbers_as_names_stay_whole(tmp_path):
    path = tmp_path / "counts.xlsx"
    numbered = table().assign(patient=np.repeat([1.0, 2.0, 3.0], 4))
    numbered.to_excel(path, index=False)
    assert read_trial(path, **ROLES).patients == ("1", "2", "3")
    numbered.astype({"patient": int}).to_csv(tmp_path / "counts.csv", index=False)
    assert read_trial(tmp_path / "counts.csv", **ROLES).patients == ("1", "2", "3")


def workbook(path: Path, **sheets: pd.DataFrame) -> Path:
    with pd.ExcelWriter(path) as writer:
        for name, sheet in sheets.items():
            sheet.to_excel(writer, sheet_name=name, index=False)
    return path


def test_a_workbook_with_two_sheets_asks_which(tmp_path):
    notes = pd.DataFrame({"note": ["hello"]})
    path = workbook(tmp_path / "book.xlsx", gel=table(), notes=notes, bare=pd.DataFrame())
    with pytest.raises(TrialError, match=r"2 sheets with content, 'gel', 'notes': .*sheet="):
        read_trial(path, **ROLES)
    assert read_trial(path, sheet="gel", **ROLES).n_patients == 3
    with pytest.raises(
        TrialError, match=r"unknown sheet of book\.xlsx 'Gel': choose one of gel, notes"
    ):
        read_trial(path, sheet="Gel", **ROLES)
    with pytest.raises(TrialError, match="sheet 'bare' is empty"):
        read_trial(path, sheet="bare", **ROLES)


def test_empty_sheets_beside_the_table_do_not_matter(tmp_path):
    path = workbook(tmp_path / "book.xlsx", Sheet1=pd.DataFrame(), gel=table())
    assert read_trial(path, **ROLES).n_patients == 3
    with pytest.raises(TrialError, match=r"bare\.xlsx is empty"):
        read_trial(workbook(tmp_path / "bare.xlsx", bare=pd.DataFrame()), **ROLES)


def test_a_missing_openpyxl_names_the_extra(tmp_path, monkeypatch):
    path = workbook(tmp_path / "book.xlsx", gel=table())
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(TrialError, match=r"needs openpyxl: .*bayes-msc\[excel\]"):
        read_trial(path, **ROLES)


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00" + bytes(range(256))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("counts.csv", b"", r"counts.csv is empty$"),
        ("counts.csv", b" \n\n", r"counts.csv is empty$"),
        ("counts.csv", b"\xef\xbb\xbf", r"counts.csv is empty$"),
        ("counts.csv", b"patient,treatment,count,period\n", r"has a header but no rows below it$"),
        (
            "counts.csv",
            b"patient,treatment,count,period\n\n,,,\n",
            r"counts.csv: the table has no rows",
        ),
        ("counts.csv", PNG, r"counts.csv is not text"),
        ("counts.csv", b"patient\x00\x01\x02\xff\xfe", r"counts.csv is not text"),
        ("counts.csv", b"a,b\n\x07\x08,1\n", r"counts.csv is not text"),
        ("counts.csv", b"PK\x03\x04 zip", r"looks like an Excel workbook.*\.xlsx"),
        ("counts.csv", b"PAR1....", r"looks like a Parquet file"),
        ("counts.csv", b"just some prose\nin two lines\n", r"no column 'patient'"),
        ("counts.csv", b"a;b;count\n1;2;3\n", r"table has the columns 'a', 'b', 'count'$"),
        ("counts.csv", b"a,a\n1,2\n", r"occur more than once: 'a'"),
        ("counts.csv", b"patient,count\nA,1\nB,2,3\n", r"row 2 has 3 cells where the header has 2"),
        (
            "counts.csv",
            b"patient,count\nA,1,2\nB,2\n",
            r"row 1 has more cells where the header has 2",
        ),
        ("counts.csv", b'patient,count\nA,"1\nB,2\n', r"quotation mark is opened and never closed"),
        ("counts.xlsx", b"no workbook", r"counts.xlsx cannot be read as an Excel workbook"),
        ("counts.xlsx", b"PK\x03\x04" + bytes(50), r"cannot be read as an Excel workbook"),
        ("counts.parquet", b"PAR1 broken", r"counts.parquet cannot be read as a Parquet file"),
        ("counts.xls", b"x", r"old Excel file: save it as .xlsx"),
        ("counts.docx", b"x", r"unknown ending.*'.docx': choose one of .csv, .tsv, .txt, .xlsx"),
        ("counts", b"x", r"unknown ending.*'': choose one of .csv"),
    ],
)
def test_what_is_not_a_table_is_refused_in_few_lines(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TrialError, match=message) as caught:
        read_trial(path, **ROLES)
    assert len(str(caught.value).splitlines()) <= 3
    assert path.read_bytes() == content


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(TrialError, match=r"there is no file .*absent\.csv \(looked in "):
        read_trial(tmp_path / "absent.csv", **ROLES)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TrialError, match=r"folder\.csv is a folder"):
        read_trial(tmp_path / "folder.csv", **ROLES)


def test_rows_are_numbered_below_the_header(tmp_path):
    lines = csv_text().splitlines()
    lines[5] = lines[5].replace(",4,", ",-4,")
    lines.insert(3, "")
    path = tmp_path / "counts.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    # line 7 of the file, so row 6
    assert lines[6].count("-4") == 1
    with pytest.raises(
        TrialError, match=r"^counts.csv: the table has 1 fault:\n.*: row 6 \('-4'\)"
    ):
        read_trial(path, **ROLES)


def test_a_thousand_with_a_comma_is_not_one(tmp_path):
    path = tmp_path / "counts.csv"
    text = "patient;treatment;count\nA;drug;1,000\nB;placebo;2,0\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TrialError, match=r"count is not a number.*row 1 \('1,000'\)$"):
        read_trial(path, design="parallel", control="placebo", active="drug")


def test_columns_are_mapped_once(tmp_path):
    path = tmp_path / "counts.csv"
    renamed = table().rename(columns={"patient": "ID", "count": "gel", "treatment": "arm"})
    renamed.assign(age=[40.5] * 12).to_csv(path, index=False, sep=";", decimal=",")
    trial = read_trial(
        path,
        patient="ID",
        count="gel",
        treatment="arm",
        covariates=["age"],
        name="mine",
        endpoint="lesions",
        provenance="simulated",
        source="my desk",
        **ROLES,
    )
    assert trial.data["age"].tolist() == [40.5] * 12
    assert (trial.name, trial.source, trial.endpoint) == ("mine", "my desk", "lesions")
    assert trial.label == "simulated, not data"
    with pytest.raises(
        TrialError, match=r"(?s)no column 'patient'.*no column 'count'.*'ID', 'period'"
    ):
        read_trial(path, treatment="arm", **ROLES)


def test_labels_are_asked_for_with_what_the_file_holds(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text(csv_text(), encoding="utf-8")
    with pytest.raises(TrialError, match=r"say control=..., active=.*holds 'MSC', 'placebo'"):
        read_trial(path, design="crossover")


HEADERS = ["patient", "period", "scan", "treatment", "count", "exposure", "sequence", "baseline"]
FIELDS = st.one_of(
    st.integers(-1, 9).map(str),
    st.sampled_from(["A", "B", "MSC", "placebo", "", '"', '""', "1,5", "NA", "1e999", "a;b", "\t"]),
    st.text(max_size=3),
)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(HEADERS), min_size=1, max_size=9),
    st.lists(st.lists(FIELDS, min_size=1, max_size=9), max_size=6),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-16", "cp1252", "utf-8-sig"]),
)
def test_any_text_loads_or_raises_the_packages_error(tmp_path, headers, rows, separator, encoding):
    path = tmp_path / "any.csv"
    text = "\n".join(separator.join(row) for row in [headers, *rows])
    path.write_bytes(text.encode(encoding, errors="replace"))
    try:
        trial = read_trial(path, **ROLES)
    except TrialError:
        return
    assert len(trial.data) <= len(rows) + text.count("\r") + text.count("\n")


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from([".csv", ".xlsx", ".parquet"]),
    st.sampled_from([b"", b"PK\x03\x04", b"PAR1", b"\xff\xfe", b"patient,treatment,count\n"]),
    st.binary(max_size=80),
)
def test_any_bytes_load_or_raise_the_packages_error(tmp_path, ending, start, content):
    path = tmp_path / f"any{ending}"
    path.write_bytes(start + content)
    with pytest.raises(TrialError):
        read_trial(path, **ROLES)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.integers(0, 300), min_size=ROWS, max_size=ROWS),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-16", "latin-1"]),
    st.sets(st.integers(0, ROWS - 1), max_size=3),
)
def test_a_written_table_comes_back(tmp_path, counts, separator, encoding, missing):
    path = tmp_path / "any.csv"
    written = table().assign(count=pd.array(counts, dtype="Int64"))
    written.loc[list(missing), "count"] = pd.NA
    written.to_csv(path, index=False, sep=separator, encoding=encoding)
    data = read_trial(path, **ROLES).data
    expected = written["count"].astype(float).to_numpy()
    np.testing.assert_array_equal(data["count"].to_numpy(), expected)
