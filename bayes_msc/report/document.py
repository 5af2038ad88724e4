"""A report as a plain sequence of blocks, for every output that is not a web page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bayes_msc.report.cell_formats import WORDS
from bayes_msc.report.results import Figure, Results, Section, Source, Table

CHECKS_FAILED = "Checks failed: read this before any number"
MADE = "How this was made"
#: C0 and C1 controls, lone surrogates and the two non-characters: no file format takes them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
#: Embeddings, overrides and isolates: they would turn the words after them round.
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
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


def clean(text: str) -> str:
    """Return text that every file format takes, and that reads in the order it is written.

    Line breaks become spaces, control characters the replacement character, and the invisible
    characters that would turn the following words round are spelt out.
    """
    text = _CONTROLS.sub("\ufffd", re.sub(r"[\r\n\t\u2028\u2029]+", " ", text))
    return _TURNS.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def blocks(results: Results) -> Iterator[Block]:
    """Walk through a report in the order in which it is read.

    Parameters
    ----------
    results : Results
        What the report says.

    Yields
    ------
    Block
        Cleaned: see ``clean``. Tables and figures are numbered from 1, each in its own series.
    """
    counter = _Counter(results.label)
    yield from _opening(results)
    for section in results.sections:
        yield from _section(section, counter)
    if results.sources:
        yield Heading("Sources", key="sources")
        yield Points(tuple(clean(source_text(source)) for source in results.sources))
    yield Heading(MADE, key="made")
    yield Points(tuple(manifest_lines(results.manifest)))


def _opening(results: Results) -> Iterator[Block]:
    yield Heading(clean(results.title), 1)
    if results.subtitle:
        yield Paragraph(clean(results.subtitle), "subtitle")
    if results.label:
        yield Paragraph(clean(results.label), "label")
    if results.banner:
        yield Heading(CHECKS_FAILED, key="checks-failed")
        yield Points(tuple(clean(line) for line in results.banner), "notice")
    yield Heading(clean(results.question), key="answer")
    for sentence in results.answer:
        yield Paragraph(clean(sentence), "answer")


def _section(section: Section, counter: _Counter) -> Iterator[Block]:
    yield Heading(clean(section.heading), key=section.key)
    for notice in section.notices:
        yield Paragraph(f"Check failed. {clean(notice)}", "notice")
    for paragraph in section.paragraphs:
        yield Paragraph(clean(paragraph))
    if section.points:
        yield Points(tuple(clean(point) for point in section.points))
    if section.code:
        yield Code("\n".join(clean(line) for line in section.code.splitlines()))
    for table in section.tables:
        yield counter.grid(table)
    for figure in section.figures:
        yield counter.picture(figure)


class _Counter:
    """Numbers tables and figures, and puts the label of what is not data into each caption."""

    def __init__(self, label: str) -> None:
        self._label = f" ({label})" if label else ""
        self._tables = self._figures = 0

    def grid(self, table: Table) -> Grid:
        self._tables += 1
        shown = table.shown()
        headings = tuple(clean(str(name)) for name in shown.columns)
        rows = tuple(tuple(clean(str(cell)) for cell in row) for row in shown.to_numpy())
        numeric = tuple(i > 0 and c.format not in WORDS for i, c in enumerate(table.columns))
        caption = clean(table.caption + self._label)
        widths = _widths(headings, rows, numeric)
        return Grid(self._tables, table.name, caption, headings, rows, numeric, widths)

    def picture(self, figure: Figure) -> Picture:
        self._figures += 1
        caption = clean(figure.caption + self._label)
        return Picture(self._figures, figure.name, caption, clean(figure.alt))


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
        shown = ", ".join(f"{name} {item}" for name, item in items) if items else str(value)
        yield clean(f"{str(key).replace('_', ' ')}: {shown}")
