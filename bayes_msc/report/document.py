"""A report as a plain sequence of blocks, for every output that is not a web page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bayes_msc.report.cell_formats import WORDS
from bayes_msc.report.results import Figure, Results, Section, Source, Table

CHECKS_FAILED = "Checks failed: read this before any number"
MADE = "How this was made"
#: Characters in a line of a table, in its longest words and texts, around a cell; bold is wider.
LINE, WORD, TEXT, AIR, BOLD = 105, 26, 200, 3, 1.3


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title of the report."""

    text: str
    level: int = 2
    key: str = ""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; its role is empty, ``subtitle``, ``label``, ``answer`` or ``notice``."""

    text: str
    role: str = ""


@dataclass(frozen=True)
class Points:
    """A list of points; its role is empty or ``notice``."""

    items: tuple[str, ...]
    role: str = ""


@dataclass(frozen=True)
class Code:
    """A command to type."""

    text: str


@dataclass(frozen=True)
class Grid:
    """A numbered table as text; ``widths`` are shares that add up to 1."""

    number: int
    name: str
    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    widths: tuple[float, ...]


@dataclass(frozen=True)
class Picture:
    """A numbered figure."""

    number: int
    name: str
    caption: str
    alt: str


Block = Heading | Paragraph | Points | Code | Grid | Picture


def blocks(results: Results) -> Iterator[Block]:
    """Walk through a report in the order in which it is read.

    Parameters
    ----------
    results : Results
        What the report says, as ``displayed`` shows it.

    Yields
    ------
    Block
        Tables and figures are numbered from 1, each in its own series.
    """
    counter = _Counter(results.label)
    yield from _opening(results)
    for section in results.sections:
        yield from _section(section, counter)
    if results.sources:
        yield Heading("Sources", key="sources")
        yield Points(tuple(source_text(source) for source in results.sources))
    yield Heading(MADE, key="made")
    yield Points(tuple(manifest_lines(results.manifest)))


def _opening(results: Results) -> Iterator[Block]:
    yield Heading(results.title, 1)
    if results.subtitle:
        yield Paragraph(results.subtitle, "subtitle")
    if results.label:
        yield Paragraph(results.label, "label")
    if results.banner:
        yield Heading(CHECKS_FAILED, key="checks-failed")
        yield Points(results.banner, "notice")
    yield Heading(results.question, key="answer")
    for sentence in results.answer:
        yield Paragraph(sentence, "answer")


def _section(section: Section, counter: _Counter) -> Iterator[Block]:
    yield Heading(section.heading, key=section.key)
    if section.label:
        yield Paragraph(section.label, "label")
    for notice in section.notices:
        yield Paragraph(f"Check failed. {notice}", "notice")
    for paragraph in section.paragraphs:
        yield Paragraph(paragraph)
    if section.points:
        yield Points(section.points)
    if section.code:
        yield Code(section.code)
    for table in section.tables:
        yield counter.grid(table, section.label)
    for figure in section.figures:
        yield counter.picture(figure, section.label)


class _Counter:
    """Numbers tables and figures, and puts the label of what is not data into each caption."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._tables = self._figures = 0

    def grid(self, table: Table, label: str) -> Grid:
        self._tables += 1
        shown = table.shown()
        headings = tuple(str(name) for name in shown.columns)
        rows = tuple(tuple(str(cell) for cell in row) for row in shown.to_numpy())
        numeric = tuple(i > 0 and c.format not in WORDS for i, c in enumerate(table.columns))
        caption = table.caption + self._marked(label)
        widths = _widths(headings, rows, numeric)
        return Grid(self._tables, table.name, caption, headings, rows, numeric, widths)

    def picture(self, figure: Figure, label: str) -> Picture:
        self._figures += 1
        caption = figure.caption + self._marked(label)
        return Picture(self._figures, figure.name, caption, figure.alt)

    def _marked(self, label: str) -> str:
        shown = label or self._label
        return f" ({shown})" if shown else ""


def _widths(
    headings: tuple[str, ...], rows: tuple[tuple[str, ...], ...], numeric: tuple[bool, ...]
) -> tuple[float, ...]:
    """Share a line: first the longest word of each column, then what is left to long texts."""
    least, whole = [], []
    for heading, *cells, number in zip(headings, *rows, numeric, strict=True):
        parts = [part for cell in cells for part in ([cell] if number else cell.split(" "))]
        longest = max([len(part) for part in parts], default=0)
        title = BOLD * max(len(part) for part in heading.split(" "))
        least.append(AIR + min(max(longest, title), WORD))
        whole.append(AIR + min(max([len(cell) for cell in cells], default=0), TEXT))
    excess = [max(all_ - word, 0.0) for all_, word in zip(whole, least, strict=True)]
    room = max(LINE - sum(least), 0.0)
    share = room / sum(excess) if sum(excess) else 0.0
    wanted = [word + share * more for word, more in zip(least, excess, strict=True)]
    return tuple(width / sum(wanted) for width in wanted)


def source_text(source: Source) -> str:
    """Return where numbers come from as one line: citation, address, certainty."""
    address = f"https://doi.org/{source.doi}" if source.doi else ""
    return " ".join(part for part in (source.text, address, source.certainty) if part)


def manifest_lines(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the manifest line by line, as the web page shows it."""
    for key, value in manifest.items():
        items = value.items() if isinstance(value, Mapping) else ()
        if value == {}:
            value = "none"
        shown = ", ".join(f"{name} {item}" for name, item in items) if items else str(value)
        yield f"{str(key).replace('_', ' ')}: {shown}"
