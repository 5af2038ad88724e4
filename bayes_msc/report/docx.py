"""A report as a Word document: real headings, tables and captions, figures at 300 dpi."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime
from functools import singledispatchmethod
from typing import Any

from bayes_msc.errors import OutputError
from bayes_msc.report.displaying import displayed
from bayes_msc.report.document import (
    Block,
    Code,
    Grid,
    Heading,
    Paragraph,
    Picture,
    Points,
    blocks,
)
from bayes_msc.report.results import Results

PAGE, MARGIN = (21.0, 29.7), 2.0
TEXT = PAGE[0] - 2 * MARGIN
INK, BLUE, AMBER, RED = "1D2430", "0B4F80", "7A4B00", "9B1C1C"
STYLES = {"subtitle": "Subtitle", "answer": "Answer", "notice": "Notice", "label": "Label"}
FONT = "Calibri"
LANGUAGE = "en-GB"
#: Characters in the longest cell of a row that is kept on one page.
WHOLE = 600
#: Rows of a table that is kept on one page.
SHORT = 16


def render_docx(results: Results, pictures: Mapping[str, bytes]) -> bytes:
    """Return the report as a Word document.

    Parameters
    ----------
    results : Results
        What the report says.
    pictures : Mapping of str to bytes
        PNG by figure name, one for every figure that the results name.

    Returns
    -------
    bytes
        A .docx file.

    Raises
    ------
    OutputError
        If python-docx is not installed, or a figure is missing.
    """
    try:
        import docx
    except ModuleNotFoundError as error:
        raise OutputError(
            f"{error.name} is needed for Word documents: pip install 'bayes-msc[docx]'"
        ) from None
    results = displayed(results)
    missing = [figure.name for figure in results.figures if figure.name not in pictures]
    if missing:
        raise OutputError(f"no PNG for the figures {', '.join(missing)}: draw them first")
    document = docx.Document()
    _set_up(document, results)
    writer = _Writer(document, pictures)
    for block in blocks(results):
        writer.add(block)
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


class _Writer:
    """Puts block after block into a document."""

    def __init__(self, document: Any, pictures: Mapping[str, bytes]) -> None:
        self._document = document
        self._pictures = pictures

    @singledispatchmethod
    def add(self, block: Block) -> None:
        """Add one block."""
        raise TypeError(f"no way to write a {type(block).__name__}")

    @add.register
    def _(self, block: Heading) -> None:
        self._document.add_heading(block.text, level=block.level - 1)

    @add.register
    def _(self, block: Paragraph) -> None:
        self._document.add_paragraph(block.text, style=STYLES.get(block.role, "Normal"))

    @add.register
    def _(self, block: Points) -> None:
        for item in block.items:
            paragraph = self._document.add_paragraph(item, style="List Bullet")
            if block.role == "notice":
                _colour(paragraph.runs[0], RED)

    @add.register
    def _(self, block: Code) -> None:
        self._document.add_paragraph(block.text, style="Command")

    @add.register
    def _(self, block: Grid) -> None:
        _caption(self._document, "Table", block.number, block.caption, keep=True)
        _table(self._document, block)
        self._document.add_paragraph(style="After table")

    @add.register
    def _(self, block: Picture) -> None:
        from docx.shared import Cm

        png = io.BytesIO(self._pictures[block.name])
        paragraph = self._document.add_paragraph(style="Figure")
        shape = paragraph.add_run().add_picture(png, width=Cm(TEXT))
        if shape.height > Cm(PAGE[1] - 2 * MARGIN - 3):
            shape.width = int(shape.width * Cm(PAGE[1] - 2 * MARGIN - 3) / shape.height)
            shape.height = Cm(PAGE[1] - 2 * MARGIN - 3)
        properties = shape._inline.docPr
        properties.set("descr", block.alt)
        properties.set("name", f"Figure {block.number}")
        _caption(self._document, "Figure", block.number, block.caption)


def _set_up(document: Any, results: Results) -> None:
    from docx.shared import Cm

    section = document.sections[0]
    section.page_width, section.page_height = (Cm(side) for side in PAGE)
    for side in ("left_margin", "right_margin", "top_margin", "bottom_margin"):
        setattr(section, side, Cm(MARGIN))
    _styles(document)
    _properties(document, results)
    _header(section, results.label)


def _styles(document: Any) -> None:
    from docx.enum.style import WD_STYLE_TYPE
    from docx.shared import Pt

    styles = document.styles
    looks: dict[str, tuple[float, str, bool, float, float]] = {
        "Normal": (10, INK, False, 0, 6),
        "Title": (20, INK, True, 0, 4),
        "Heading 1": (14, BLUE, True, 16, 4),
        "Subtitle": (11, INK, False, 0, 8),
        "Caption": (9, INK, False, 6, 4),
        "List Bullet": (10, INK, False, 0, 3),
        "Answer": (11.5, INK, False, 0, 6),
        "Notice": (10, RED, True, 0, 6),
        "Label": (11, AMBER, True, 0, 8),
        "Command": (8, INK, False, 4, 8),
        "Cell": (8, INK, False, 1, 1),
        "After table": (4, INK, False, 0, 4),
        "Figure": (10, INK, False, 6, 2),
    }
    for name, (size, colour, bold, before, after) in looks.items():
        known = name in [style.name for style in styles]
        style = styles[name] if known else styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH)
        if not known:
            style.base_style = styles["Normal"]
        _font(style, "Consolas" if name == "Command" else FONT)
        style.font.size, style.font.bold, style.font.italic = Pt(size), bold, False
        _colour(style, colour)
        style.paragraph_format.space_before = Pt(before)
        style.paragraph_format.space_after = Pt(after)
    styles["Figure"].paragraph_format.keep_with_next = True
    _without_spacing(styles["Subtitle"])


def _font(style: Any, name: str) -> None:
    """Set a font for all scripts; the theme's fonts would win otherwise."""
    from docx.oxml.ns import qn

    style.font.name = name
    fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
    for attribute in [key for key in fonts.attrib if "heme" in key]:
        del fonts.attrib[attribute]
    for script in ("w:ascii", "w:hAnsi", "w:eastAsia", "w:cs"):
        fonts.set(qn(script), name)


def _without_spacing(style: Any) -> None:
    """Take out the wide letter spacing of the default subtitle."""
    from docx.oxml.ns import qn

    for element in style.element.rPr.findall(qn("w:spacing")):
        style.element.rPr.remove(element)


def _colour(item: Any, colour: str) -> None:
    from docx.shared import RGBColor

    item.font.color.rgb = RGBColor.from_string(colour)


def _properties(document: Any, results: Results) -> None:
    core = document.core_properties
    # the format allows no more than 255 characters
    core.title, core.subject = results.title[:255], results.question[:255]
    core.author, core.language, core.comments = "bayes-msc", LANGUAGE, results.label[:255]
    time = str(results.manifest.get("time", ""))
    made = datetime.fromisoformat(time) if time else datetime(2000, 1, 1)
    core.created = core.modified = made.replace(tzinfo=None)


def _header(section: Any, label: str) -> None:
    if label:
        paragraph = section.header.paragraphs[0]
        _colour(paragraph.add_run(label), AMBER)
    footer = section.footer.paragraphs[0]
    footer.alignment = 1
    _field(footer, "PAGE", "1")


def _caption(document: Any, kind: str, number: int, text: str, keep: bool = False) -> None:
    paragraph = document.add_paragraph(style="Caption")
    paragraph.add_run(f"{kind} ").bold = True
    _field(paragraph, f"SEQ {kind} \\* ARABIC", str(number)).bold = True
    paragraph.add_run(". ").bold = True
    paragraph.add_run(text)
    paragraph.paragraph_format.keep_with_next = keep


def _field(paragraph: Any, instruction: str, shown: str) -> Any:
    """Add a field that Word can update, such as a caption's number; return the run shown."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    def mark(kind: str) -> None:
        element = OxmlElement("w:fldChar")
        element.set(qn("w:fldCharType"), kind)
        paragraph.add_run()._r.append(element)

    mark("begin")
    code = OxmlElement("w:instrText")
    code.set(qn("xml:space"), "preserve")
    code.text = f" {instruction} "
    paragraph.add_run()._r.append(code)
    mark("separate")
    run = paragraph.add_run(shown)
    mark("end")
    return run


def _table(document: Any, grid: Grid) -> None:
    from docx.shared import Cm

    table = document.add_table(rows=0, cols=len(grid.headings))
    table.autofit = False
    widths = [Cm(TEXT * width) for width in grid.widths]
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    # the rows of a short table stay together: none is left alone on the next page
    together = len(grid.rows) if len(grid.rows) <= SHORT else 1
    for number, row in enumerate((grid.headings, *grid.rows)):
        line = table.add_row()
        if max(len(text) for text in row) < WHOLE:
            _mark(line, "w:cantSplit")
        cells = line.cells
        for i, (cell, text) in enumerate(zip(cells, row, strict=True)):
            _cell(cell, text, widths[i], bold=number == 0, right=grid.numeric[i])
            cell.paragraphs[0].paragraph_format.keep_with_next = number < together or None
    _rules(table)
    _mark(table.rows[0], "w:tblHeader")


def _cell(cell: Any, text: str, width: int, *, bold: bool, right: bool) -> None:
    cell.width = width
    paragraph = cell.paragraphs[0]
    paragraph.style = "Cell"
    run = paragraph.add_run(text)
    run.bold = bold or None
    if right:
        paragraph.alignment = 2


def _rules(table: Any) -> None:
    """Draw the three lines of a printed table: above, under the heading, below."""
    _borders(table._tbl.tblPr, "w:tblBorders", ("top", "bottom"), 8)
    for cell in table.rows[0].cells:
        _borders(cell._tc.get_or_add_tcPr(), "w:tcBorders", ("bottom",), 4)


def _borders(parent: Any, tag: str, sides: tuple[str, ...], size: int) -> None:
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    borders = OxmlElement(tag)
    for side in sides:
        line = OxmlElement(f"w:{side}")
        for key, value in (("val", "single"), ("sz", str(size)), ("color", INK)):
            line.set(qn(f"w:{key}"), value)
        borders.append(line)
    parent.append(borders)


def _mark(row: Any, tag: str) -> None:
    """Set a property of a row: repeated on every page (a heading), or kept on one page."""
    from docx.oxml import OxmlElement

    row._tr.get_or_add_trPr().append(OxmlElement(tag))
