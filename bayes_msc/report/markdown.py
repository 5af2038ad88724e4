"""A report as Markdown, with its figures in files beside it."""

from __future__ import annotations

import re
from urllib.parse import quote

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

_SPECIAL = re.compile(r"([\\`*_\[\]{}<>|~$&#!^@])")
_OPENING = re.compile(r"^(\s*)([-+=:]|\d{1,9}(?=[.)]))")
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp)(:)|\b(www)(\.)")
_DOI = re.compile(r"https://doi\.org/10\.[0-9]{4,9}/[A-Za-z0-9.()_/-]+(?=\s|$)")
LEADS = {"label": "**", "notice": "**", "subtitle": "*"}


def escape(text: str) -> str:
    """Return text in which nothing is Markdown, HTML, a formula, a mention or a link.

    Parameters
    ----------
    text : str
        One line.
    """
    text = _SPECIAL.sub(r"\\\1", text)
    text = _ADDRESS.sub(lambda m: f"{m[1] or m[3]}\\{m[2] or m[4]}", text)
    return _OPENING.sub(_quoted, text)


def _quoted(found: re.Match[str]) -> str:
    """Keep a line from opening a list or a rule; the dot of a numbered point is what counts."""
    number = found[2].isdigit()
    return f"{found[1]}{found[2]}\\" if number else f"{found[1]}\\{found[2]}"


def render_markdown(results: Results, figures: str = "figures") -> str:
    """Return the report as Markdown with pipe tables.

    Parameters
    ----------
    results : Results
        What the report says.
    figures : str
        Folder of the SVG files, seen from where the text will stand.

    Returns
    -------
    str
        CommonMark and pipe tables, as GitHub, Pandoc and most journals' editors read them.
    """
    return "\n\n".join(_block(block, figures) for block in blocks(displayed(results))) + "\n"


def _block(block: Block, figures: str) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {escape(block.text)}"
        case Paragraph():
            mark = LEADS.get(block.role, "")
            text = escape(block.text.strip())
            return f"{mark}{text}{mark}" if text else ""
        case Points():
            return "\n".join(f"- {_linked(item)}" for item in block.items)
        case Code():
            return _fenced(block.text)
        case Grid():
            return _grid(block)
        case Picture():
            address = quote(f"{figures}/{block.name}.svg")
            return (
                f"![{escape(block.alt)}]({address})\n\n"
                f"**Figure {block.number}.** {escape(block.caption)}"
            )


def _fenced(text: str) -> str:
    """Return text between fences that are longer than any in it."""
    runs = [len(run) for run in re.findall("`+", text)]
    fence = "`" * max(3, 1 + max(runs, default=0))
    return f"{fence}\n{text}\n{fence}"


def _grid(grid: Grid) -> str:
    lines = [grid.headings, tuple("--:" if n else ":--" for n in grid.numeric), *grid.rows]
    shown = [
        f"| {' | '.join(row if i == 1 else [escape(cell) for cell in row])} |"
        for i, row in enumerate(lines)
    ]
    return f"**Table {grid.number}.** {escape(grid.caption)}\n\n" + "\n".join(shown)


def _linked(text: str) -> str:
    """Escape a point, but leave the address of a DOI as a link."""
    pieces, at = [], 0
    for found in _DOI.finditer(text):
        pieces += [escape(text[at : found.start()]), f"<{found[0]}>"]
        at = found.end()
    return "".join([*pieces, escape(text[at:])])
