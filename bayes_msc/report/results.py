"""Results: all that a report says, as one value that survives the way through JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bayes_msc.errors import OutputError, one_of
from bayes_msc.report.cell_formats import FORMATS, WORDS

FORMAT = "bayes_msc results"
VERSION = 1


@dataclass(frozen=True)
class Column:
    """One column of a table as it is shown.

    Parameters
    ----------
    label : str
        Heading.
    source : tuple of str
        Columns of the data that it shows (two for an interval).
    format : str
        One of ``FORMATS``.

    Raises
    ------
    OutputError
        If the format is unknown.
    """

    label: str
    source: tuple[str, ...]
    format: str = "text"

    def __post_init__(self) -> None:
        one_of(self.format, FORMATS, "column format", OutputError)

    def show(self, row: Mapping[str, Any]) -> str:
        """Return the cell of one row as text."""
        values = [row[name] for name in self.source]
        if self.format not in WORDS:
            values = [math.nan if value is None else float(value) for value in values]
        shown: str = FORMATS[self.format](*values)  # type: ignore[operator]
        return shown


@dataclass(frozen=True, eq=False)
class Table:
    """A table of a report: unrounded numbers, and how each column is shown."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    data: pd.DataFrame

    def shown(self) -> pd.DataFrame:
        """Return the cells as text, one column a heading."""
        rows: list[dict[str, Any]] = [
            {str(k): v for k, v in row.items()} for row in self.data.to_dict("records")
        ]
        cells = [[column.show(row) for column in self.columns] for row in rows]
        return pd.DataFrame(cells, columns=[c.label for c in self.columns], dtype=object)


@dataclass(frozen=True)
class Figure:
    """A figure of a report: its file name without ending, caption and text alternative."""

    name: str
    caption: str
    alt: str


@dataclass(frozen=True, eq=False)
class Section:
    """One section: heading, paragraphs, points, a command, tables and figures, in this order.

    ``notices`` name the failed checks on which its numbers depend; they stand above them.
    ``label`` says what its counts are if they are not data, where the rest of the report is.
    """

    key: str
    heading: str
    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    code: str = ""
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    notices: tuple[str, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Source:
    """Where numbers come from: citation, DOI or other address, certainty in words."""

    text: str
    doi: str = ""
    certainty: str = ""


@dataclass(frozen=True, eq=False)
class Results:
    """All that a report says.

    Parameters
    ----------
    kind : str
        ``reanalysis`` of printed numbers or ``fit`` to counts.
    title, question : str
        Headline and the question answered.
    answer : tuple of str
        The answer, sentence by sentence.
    sections : tuple of Section
        The report in order.
    tables : Mapping of str to DataFrame
        Every statement, diagnostic and check in full, unrounded.
    sources : tuple of Source
        Where the numbers come from.
    manifest : Mapping
        Hashes of data and card, seed, versions, command, time.
    label : str
        Empty for data; otherwise what the counts are instead.
    subtitle : str
        What was done, and to whose numbers.
    banner : tuple of str
        Failed checks, each with what to do.
    bibliography : str
        BibTeX of what the report cites.
    recipe : Mapping
        What it takes to run the analysis again, beside the manifest and the fit.
    panel : Mapping
        What a reader's own prior needs (see ``bayes_msc.report.panel``); empty for no panel.
    names : tuple of str
        Names of users that cannot be shown as they are within a sentence: see ``displaying``.
    """

    kind: str
    title: str
    question: str
    answer: tuple[str, ...]
    sections: tuple[Section, ...]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    subtitle: str = ""
    banner: tuple[str, ...] = ()
    bibliography: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    panel: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures in order."""
        return tuple(figure for section in self.sections for figure in section.figures)


def to_json(results: Results) -> str:
    """Return the results as strict JSON: no NaN, no infinity (both become null)."""
    content = {
        "format": FORMAT,
        "format_version": VERSION,
        "kind": results.kind,
        "title": results.title,
        "label": results.label,
        "subtitle": results.subtitle,
        "banner": list(results.banner),
        "question": results.question,
        "answer": list(results.answer),
        "tables": {name: _frame_out(frame) for name, frame in results.tables.items()},
        "sections": [
            _section_out(section, section.label or results.label) for section in results.sections
        ],
        "sources": [vars(source) for source in results.sources],
        "manifest": dict(results.manifest),
        "bibliography": results.bibliography,
        "recipe": dict(results.recipe),
        "panel": dict(results.panel),
        "names": list(results.names),
    }
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _section_out(section: Section, label: str) -> dict[str, Any]:
    figures = [
        {**vars(figure), "file": f"figures/{figure.name}.svg", "label": label}
        for figure in section.figures
    ]
    tables = [
        {
            "name": table.name,
            "caption": table.caption,
            "label": label,
            "columns": [vars(column) for column in table.columns],
            "data": _frame_out(table.data),
        }
        for table in section.tables
    ]
    return {**vars(section), "tables": tables, "figures": figures}


def _frame_out(frame: pd.DataFrame) -> dict[str, Any]:
    return {"columns": [str(c) for c in frame.columns], "rows": frame.to_numpy(object).tolist()}


def _plain(value: Any) -> Any:
    """Turn NumPy scalars, tuples and mappings into what JSON knows; NaN and infinity to None."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)


def from_json(text: str, origin: str = "results.json") -> Results:
    """Read results back from JSON.

    Parameters
    ----------
    text : str
        What ``to_json`` wrote.
    origin : str
        Where the text comes from, for the message.

    Raises
    ------
    OutputError
        If the text is not JSON, not results, or of another version of the format.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise OutputError(f"{origin} is not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise OutputError(f"{origin} does not hold results: its key 'format' must be {FORMAT!r}")
    if content.get("format_version") != VERSION:
        raise OutputError(
            f"{origin} has format_version {content.get('format_version')!r}: this version of "
            f"bayes_msc reads {VERSION}; run the analysis again"
        )
    try:
        return _results_in(content)
    except KeyError as error:
        raise OutputError(f"{origin} lacks the key {error}: run the analysis again") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise OutputError(f"{origin} is damaged ({error}): run the analysis again") from None


def _results_in(content: dict[str, Any]) -> Results:
    return Results(
        kind=content["kind"],
        title=content["title"],
        question=content["question"],
        answer=tuple(content["answer"]),
        sections=tuple(_section_in(section) for section in content["sections"]),
        tables={name: _frame_in(frame) for name, frame in content["tables"].items()},
        sources=tuple(Source(**source) for source in content["sources"]),
        manifest=content["manifest"],
        label=content["label"],
        subtitle=content["subtitle"],
        banner=tuple(content["banner"]),
        # results of the first edition have none of these
        bibliography=content.get("bibliography", ""),
        recipe=content.get("recipe", {}),
        panel=content.get("panel", {}),
        names=tuple(content.get("names", ())),
    )


def _section_in(content: dict[str, Any]) -> Section:
    tables = tuple(
        Table(
            table["name"],
            table["caption"],
            tuple(Column(c["label"], tuple(c["source"]), c["format"]) for c in table["columns"]),
            _frame_in(table["data"]),
        )
        for table in content["tables"]
    )
    figures = tuple(Figure(f["name"], f["caption"], f["alt"]) for f in content["figures"])
    return Section(
        content["key"],
        content["heading"],
        tuple(content["paragraphs"]),
        tuple(content["points"]),
        content["code"],
        tables,
        figures,
        tuple(content["notices"]),
        content["label"],
    )


def _frame_in(content: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(content["rows"], columns=content["columns"], dtype=object)
    for name in frame.columns:
        values = list(frame[name])
        if values and all(_is_number(v) for v in values):
            frame[name] = pd.to_numeric(frame[name])
    return frame.infer_objects()


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
