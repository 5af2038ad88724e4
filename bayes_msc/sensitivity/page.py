"""The page of an analysis of sensitivity: it stands alone, figures and tables within."""

from __future__ import annotations

import html
from collections.abc import Mapping

import pandas as pd

#: Rows of a table that a page shows; the CSV has all.
SHOWN_ROWS = 40
_STYLE = (
    "body{font:15px/1.5 sans-serif;color:#1d2430;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;font-size:12px;display:block;overflow-x:auto}"
    "td,th{padding:.2rem .5rem;border-bottom:1px solid #ddd;text-align:left;white-space:nowrap}"
    "svg{max-width:100%;height:auto}"
)


def table_html(table: pd.DataFrame) -> str:
    """Return the first rows of a table as HTML."""
    return str(table.head(SHOWN_ROWS).round(3).to_html(index=False, escape=True))


def page(
    name: str, head: str, tables: Mapping[str, pd.DataFrame], pictures: Mapping[str, str]
) -> str:
    """Put a page together.

    Parameters
    ----------
    name : str
        Its title.
    head : str
        HTML of the ranking and the sentences.
    tables : mapping of str to DataFrame
    pictures : mapping of str to str
        SVG by the name of its table; that of the ranking is ``what_moves``.
    """
    parts = [pictures.get("what_moves", ""), head]
    for key, table in tables.items():
        rest = len(table) - SHOWN_ROWS
        more = f"<p>{rest} more rows are in the CSV file of this table.</p>" if rest > 0 else ""
        title = html.escape(key.replace("_", " "))
        parts.append(f"<h2>{title}</h2>{pictures.get(key, '')}{table_html(table)}{more}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Sensitivity: {html.escape(name)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{html.escape(name)}</h1>\n{'\n'.join(parts)}\n</body></html>\n"
    )
