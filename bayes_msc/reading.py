"""Files of counts: CSV in the encodings and dialects that people have, Excel, Parquet."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import pandas as pd

from bayes_msc.cells import cell_text, column_numbers, column_text
from bayes_msc.decoding import decoded
from bayes_msc.errors import TrialError, one_of
from bayes_msc.roles import ROLES, TEXT_ROLES, quoted
from bayes_msc.trial import Trial

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}


@dataclass(frozen=True)
class Layout:
    """What the reader must know about the columns before it reads them.

    Parameters
    ----------
    text : frozenset of str
        Columns that stay text: patient, sequence, treatment.
    numeric : frozenset of str
        Columns that hold numbers.
    wanted : frozenset of str
        Columns that the table must have, to tell the separator.
    count : str
        The column with the counts.
    sheet : str or None
        Sheet of a workbook.
    """

    text: frozenset[str]
    numeric: frozenset[str]
    wanted: frozenset[str]
    count: str
    sheet: str | None


def read_trial(
    path: str | Path,
    *,
    design: str | None = None,
    control: str | None = None,
    active: str | None = None,
    patient: str = "patient",
    treatment: str = "treatment",
    count: str = "count",
    period: str | None = None,
    sequence: str | None = None,
    scan: str | None = None,
    month: str | None = None,
    exposure: str | None = None,
    baseline: str | None = None,
    covariates: Sequence[str] = (),
    name: str | None = None,
    title: str = "",
    endpoint: str = "events",
    exposure_unit: str = "scan",
    provenance: str = "data",
    source: str | None = None,
    sheet: str | None = None,
) -> Trial:
    """Read a trial from a file.

    Parameters
    ----------
    path : str or pathlib.Path
        ``.csv``, ``.tsv`` or ``.txt`` (comma, semicolon or tab; UTF-8, UTF-16, Windows-1252 or
        Latin-1; decimal comma where the comma does not separate), ``.xlsx``, or ``.parquet``.
    design, control, active : str
        As for ``Trial``; asked for, never guessed.
    patient, treatment, count, period, sequence, scan, month, exposure, baseline : str, optional
        Names of the columns, as for ``Trial``.
    covariates : sequence of str
        Further columns to keep.
    name : str, optional
        A short name; by default the file's name without its ending.
    title, endpoint, exposure_unit, provenance : str
        As for ``Trial``.
    source : str, optional
        Where the counts come from; by default the file's name.
    sheet : str, optional
        Sheet of a workbook that has more than one with content.

    Returns
    -------
    Trial

    Raises
    ------
    TrialError
        If the file cannot be read as a table, or the table is not a trial. Row 1 is the first
        row below the header: line 2 of the file.
    """
    file = Path(path)
    columns = {
        "patient": patient,
        "sequence": sequence,
        "treatment": treatment,
        "count": count,
        "period": period,
        "scan": scan,
        "month": month,
        "exposure": exposure,
        "baseline": baseline,
    }
    named = {role: columns[role] or role for role in ROLES}
    layout = Layout(
        text=frozenset(named[role] for role in TEXT_ROLES),
        numeric=frozenset(named[role] for role in ROLES if role not in TEXT_ROLES),
        wanted=frozenset((patient, treatment, count)),
        count=count,
        sheet=sheet,
    )
    table = read_table(file, layout)
    try:
        return Trial(
            table,
            design=design,
            control=control,
            active=active,
            patient=patient,
            treatment=treatment,
            count=count,
            period=period,
            sequence=sequence,
            scan=scan,
            month=month,
            exposure=exposure,
            baseline=baseline,
            covariates=covariates,
            name=file.stem if name is None else name,
            title=title,
            endpoint=endpoint,
            exposure_unit=exposure_unit,
            provenance=provenance,
            source=file.name if source is None else source,
        )
    except TrialError as error:
        raise TrialError(f"{file.name}: {error}") from None


def read_table(path: Path, layout: Layout) -> pd.DataFrame:
    """Read a file as a table, choosing the reader by the file's ending.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    layout : Layout
        What is known about its columns.

    Returns
    -------
    pandas.DataFrame
        Row for row as in the file.

    Raises
    ------
    TrialError
        If there is no such file, or it is not a table.
    """
    try:
        if path.is_dir():
            raise TrialError(f"{path} is a folder: name the file in it")
        if not path.exists():
            raise TrialError(f"there is no file {path} (looked in {Path.cwd()})")
        kind = path.suffix.lower()
        if kind == ".xls":
            raise TrialError(f"{path.name} is an old Excel file: save it as .xlsx or .csv")
        one_of(kind, READERS, f"ending of the file name {path.name!r},", TrialError)
        if path.stat().st_size == 0:
            raise TrialError(f"{path.name} is empty")
        table = READERS[kind](path, layout)
    except (OSError, ValueError) as error:
        if isinstance(error, TrialError):
            raise
        raise TrialError(f"{path} cannot be read: {_first_line(error)}") from None
    if table.empty:
        raise TrialError(f"{path.name} has a header but no rows below it")
    return table


def _read_text(path: Path, layout: Layout) -> pd.DataFrame:
    text = decoded(path.read_bytes(), path.name)
    if not text.strip():
        raise TrialError(f"{path.name} is empty")
    # newline=None makes old Mac and Windows line ends alike
    stream = StringIO(text, newline=None)
    announced = re.match(r"sep=(.)\n", stream.getvalue()[:6])
    if announced:
        stream.readline()
    start = stream.tell()
    headers: dict[str, tuple[list[str], int]] = {}
    for separator in SEPARATORS:
        stream.seek(start)
        headers[separator] = (_header(stream, separator, path.name), stream.tell())
    separator = max(
        SEPARATORS, key=lambda s: (len(layout.wanted & set(headers[s][0])), len(headers[s][0]))
    )
    names, end = headers[separator]
    stream.seek(end)
    table = _parsed(stream, separator, names, layout, path.name)
    return table if separator == "," else _decimal_commas(table, layout)


def _header(stream: StringIO, separator: str, name: str) -> list[str]:
    """Return the column names from the first line that is not blank, and stop below it."""
    try:
        # readline, not iteration: the stream must know where it stands
        for row in csv.reader(iter(stream.readline, ""), delimiter=separator):
            names = [cell.strip() for cell in row]
            if any(names):
                return names
    except csv.Error as error:
        raise TrialError(f"{name} has a header that cannot be read: {error}") from None
    return []


def _parsed(
    stream: StringIO, separator: str, names: Sequence[str], layout: Layout, file: str
) -> pd.DataFrame:
    """Return the rows below the header; columns of names and labels stay text."""
    types = {i: "str" for i, name in enumerate(names) if name in layout.text}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                stream,
                sep=separator,
                header=None,
                names=list(range(len(names))),
                index_col=False,
                dtype=types,
                keep_default_na=False,
                na_values=[""],
                skip_blank_lines=False,
                low_memory=False,
            )
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=list(names))
    except pd.errors.ParserWarning:
        raise TrialError(_ragged(file, "row 1", "more", len(names), separator)) from None
    except pd.errors.ParserError as error:
        found = re.search(r"in line (\d+), saw (\d+)", str(error))
        if found is None:
            hint = "a quotation mark is opened and never closed?"
            raise TrialError(f"{file} cannot be read: {_first_line(error)} ({hint})") from None
        row, cells = f"row {found[1]}", found[2]
        raise TrialError(_ragged(file, row, cells, len(names), separator)) from None
    return _without_unnamed(table.set_axis(list(names), axis=1))


def _ragged(file: str, row: str, cells: str, columns: int, separator: str) -> str:
    return (
        f"{file}: {row} has {cells} cells where the header has {columns} "
        f"({SEPARATORS[separator]} separated): put text that holds the separator in quotes"
    )


def _without_unnamed(table: pd.DataFrame) -> pd.DataFrame:
    """Drop columns that have neither a name nor content, as spreadsheets leave them."""
    bare = [
        str(name) == "" and bool((column_text(table.iloc[:, i]) == "").all())
        for i, name in enumerate(table.columns)
    ]
    return table.loc[:, [not drop for drop in bare]]


def _decimal_commas(table: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """Read 1,5 as 1.5; but not 1,000 in the counts, which may mean a thousand."""
    for i, name in enumerate(table.columns):
        column = table.iloc[:, i]
        if name in layout.text or pd.api.types.is_numeric_dtype(column):
            continue
        decimals = r"(\d{1,2}|\d{4,})" if name == layout.count else r"(\d+)"
        text = column_text(column)
        pointed = text.str.replace(rf"^([+-]?\d+),{decimals}$", r"\1.\2", regex=True)
        if name in layout.numeric or not column_numbers(pointed)[1].any():
            table.isetitem(i, pointed.to_numpy())
    return table


def _read_excel(path: Path, layout: Layout) -> pd.DataFrame:
    if find_spec("openpyxl") is None:
        raise TrialError(
            f"{path.name} is an Excel file, and reading those needs openpyxl: "
            "install it with  pip install 'bayes-msc[excel]', or save the sheet as CSV"
        )
    try:
        with warnings.catch_warnings():
            # openpyxl warns of styles and validations that it leaves out
            warnings.simplefilter("ignore", UserWarning)
            book = pd.read_excel(
                path,
                sheet_name=None,
                header=None,
                dtype=object,
                keep_default_na=False,
                engine="openpyxl",
            )
    except Exception as error:
        # a damaged workbook fails in many ways: zip, XML, missing parts
        reason = _first_line(error)
        raise TrialError(f"{path.name} cannot be read as an Excel workbook: {reason}") from None
    sheets = {
        str(name): list(sheet.itertuples(index=False, name=None)) for name, sheet in book.items()
    }
    rows = _chosen_sheet(sheets, layout.sheet, path.name)
    top = next(i for i, row in enumerate(rows) if not _blank(row))
    names, body = [cell_text(cell) for cell in rows[top]], rows[top + 1 :]
    return _without_unnamed(pd.DataFrame(body, columns=range(len(names))).set_axis(names, axis=1))


def _blank(cells: Iterable[object]) -> bool:
    return all(cell_text(cell) == "" for cell in cells)


def _chosen_sheet(
    sheets: Mapping[str, list[tuple[object, ...]]], asked: str | None, file: str
) -> list[tuple[object, ...]]:
    """Return the rows of the sheet that is asked for, or of the only one with content."""
    if asked is not None:
        one_of(asked, sheets, f"sheet of {file}", TrialError)
    filled = {name: rows for name, rows in sheets.items() if not all(map(_blank, rows))}
    if asked is None and len(filled) > 1:
        raise TrialError(
            f"{file} has {len(filled)} sheets with content, {quoted(list(filled))}: "
            "say which one with sheet=..."
        )
    chosen = next(iter(filled), "") if asked is None else asked
    if chosen not in filled:
        raise TrialError(f"{file} is empty" if asked is None else f"sheet {asked!r} is empty")
    return filled[chosen]


def _read_parquet(path: Path, layout: Layout) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except Exception as error:
        # pyarrow raises its own errors, OSError, or worse on a damaged file
        reason = _first_line(error)
        raise TrialError(f"{path.name} cannot be read as a Parquet file: {reason}") from None


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


READERS: Mapping[str, Callable[[Path, Layout], pd.DataFrame]] = {
    ".csv": _read_text,
    ".tsv": _read_text,
    ".txt": _read_text,
    ".xlsx": _read_excel,
    ".parquet": _read_parquet,
}
