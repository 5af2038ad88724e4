"""Pieces of HTML that objects show in a notebook: every text and every cell is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from bayes_msc.plain_text import clean, isolated

if TYPE_CHECKING:
    import pandas as pd

#: A longer table is cut, and says so.
MOST_ROWS = 40
#: A longer text is cut: a name of ten thousand characters is no name.
MOST_LETTERS = 2000


def escaped(text: object) -> str:
    """Return text that is only text, whatever it holds; very long text is cut."""
    words = str(text)
    words = words if len(words) <= MOST_LETTERS else f"{words[: MOST_LETTERS - 1]}…"
    lines = [isolated(clean(line)) for line in words.split("\n")]
    return html.escape("\n".join(lines))


def heading(text: object) -> str:
    """Return a line in bold."""
    return f"<p><strong>{escaped(text)}</strong></p>"


def banner(label: str) -> str:
    """Return what must be said of counts that are not data; nothing for data."""
    return heading(label.upper()) if label else ""


def paragraph(text: object) -> str:
    """Return a paragraph."""
    return f"<p>{escaped(text)}</p>"


def points(texts: Iterable[object]) -> str:
    """Return a list of points; nothing if there is none."""
    items = "".join(f"<li>{escaped(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def listing(pairs: Mapping[str, object]) -> str:
    """Return names with what they stand for."""
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{escaped(name)}</th>'
        f'<td style="text-align:left">{escaped(value)}</td></tr>'
        for name, value in pairs.items()
    )
    return f"<table>{rows}</table>"


def table(frame: pd.DataFrame, places: int = 3, caption: str = "") -> str:
    """Return a table with rounded numbers, cut after forty rows.

    Parameters
    ----------
    frame : DataFrame
    places : int
        Decimals of numbers.
    caption : str
    """
    part = frame.head(MOST_ROWS)
    cells = [[_cell(value, places) for value in row] for row in part.itertuples(index=False)]
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in part.columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in cells)
    rest = len(frame) - len(part)
    more = paragraph(f"and {rest} more rows") if rest > 0 else ""
    title = f"<caption>{escaped(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: object, places: int) -> str:
    if isinstance(value, float):
        if value != value:  # NaN: there is no such number
            return "–"
        return f"{value:.{places}f}" if abs(value) >= 10**-places or value == 0 else f"{value:.2g}"
    return escaped(value)


def block(*parts: str) -> str:
    """Return the parts as one piece."""
    return f"<div>{''.join(parts)}</div>"
