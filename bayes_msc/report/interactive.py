"""What makes the page answer to its reader: data for the scripts, the scripts, and their hashes."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from bayes_msc.report.results import Results

STATIC = "static"
COMMON = ("numbers.js", "address.js", "drawing.js")
#: Script of each part of the page; a part without data is not there.
SCRIPTS = {
    "prior": "prior_panel.js",
    "left_out": "left_out.js",
    "specifications": "specification_filter.js",
}
#: Section below which a part stands: the first that the report has, else the last of the report.
PLACES = {
    "prior": ("stances", "effect"),
    "left_out": ("left-out", "patients-left-out", "leave-one-out"),
    "specifications": ("specifications", "specification-curve"),
}
_ANSWER = ("median", "lower", "upper", "prob_below_1")
_NOBODY = ("nobody", "")
_MOST_OPTIONS = 12


def parts_of(results: Results) -> dict[str, dict[str, Any]]:
    """Return the data of every part of the page that the results can feed.

    Parameters
    ----------
    results : Results
        ``panel`` feeds the reader's prior. A table ``leave_one_out`` (``patient`` or ``left_out``,
        ``median``, ``lower``, ``upper``, ``prob_below_1``; the row of nobody named ``"nobody"``)
        feeds the patients to switch off; a table ``specifications`` (the same four numbers, and
        one column of text a choice) feeds the filter.

    Returns
    -------
    dict of str to dict
        By the keys of ``SCRIPTS``; what there is no table for is missing.
    """
    found = {
        "prior": _prior(results),
        "left_out": _left_out(results.tables),
        "specifications": _specifications(results.tables),
    }
    return {name: data for name, data in found.items() if data}


def places_of(results: Results, parts: Iterable[str]) -> dict[str, list[str]]:
    """Return the parts that stand below each section, by the section's key."""
    keys = [section.key for section in results.sections]
    placed: dict[str, list[str]] = {}
    for part in parts:
        place = next((key for key in PLACES[part] if key in keys), keys[-1] if keys else "")
        placed.setdefault(place, []).append(part)
    return placed


def _prior(results: Results) -> dict[str, Any]:
    panel = dict(results.panel)
    if not panel:
        return {}
    return panel | {"log_widths": [math.log(width) for width in panel["widths"]]}


def _left_out(tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    for name in ("left_out", "leave_one_out"):
        table = tables.get(name, pd.DataFrame()).rename(columns={"left_out": "patient"})
        if {"patient", *_ANSWER} <= set(table.columns):
            rows = _rows(table, ("patient", *_ANSWER))
            whole = [row for row in rows if row["patient"] in _NOBODY]
            rest = [row for row in rows if row["patient"] not in _NOBODY]
            return {"whole": whole[0] if whole else None, "rows": rest} if rest else {}
    return {}


def _specifications(tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    table = tables.get("specifications", pd.DataFrame())
    if table.empty or not set(_ANSWER) <= set(table.columns):
        return {}
    options = {name: _options(table[name]) for name in map(str, table.columns)}
    choices = {name: found for name, found in options.items() if 1 < len(found) <= _MOST_OPTIONS}
    known = table[table[list(_ANSWER)].notna().all(axis=1)].sort_values("median", kind="stable")
    if not choices or known.empty:
        return {}
    return {"choices": choices, "rows": _rows(known, (*choices, *_ANSWER))}


def _options(column: pd.Series[Any]) -> list[str]:
    """Return the options of a choice; none of a column that is not all text, nor of a label."""
    values = list(dict.fromkeys(column))
    named = column.name not in ("engine", "label", "patient")
    return values if named and all(isinstance(value, str) for value in values) else []


def _rows(table: pd.DataFrame, columns: Iterable[str]) -> list[dict[str, Any]]:
    return [{name: _cell(row[name]) for name in columns} for row in table.to_dict("records")]


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return value
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else None


@cache
def _read(name: str) -> str:
    return resources.files("bayes_msc.report").joinpath(STATIC, name).read_text(encoding="utf-8")


def script_of(parts: Iterable[str], figures: bool = False) -> str:
    """Return the script of a page with these parts and with figures; empty without either."""
    names = [*(SCRIPTS[part] for part in parts), *(["hover.js"] if figures else [])]
    return "\n".join(_read(name) for name in (*COMMON, *names)) if names else ""


def style() -> str:
    """Return the style of the parts."""
    return _read("panel.css")


def policy(script: str, styles: Iterable[str]) -> str:
    """Return a content-security-policy under which nothing is fetched and only our code runs.

    Parameters
    ----------
    script : str
        Text of the page's one script element; may be empty.
    styles : iterable of str
        Text of each of its style elements, those within figures too.

    Notes
    -----
    Style *attributes*, of which figures and tables are full, cannot fetch either: ``default-src``
    covers what they could name.
    """
    hashes = " ".join(dict.fromkeys(_hash(text) for text in styles))
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}" if script else "script-src 'none'",
            # for browsers that do not know the two that follow
            "style-src 'unsafe-inline'",
            f"style-src-elem {hashes}",
            "style-src-attr 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def styles_in(svg: str) -> list[str]:
    """Return the text of every style element of a figure."""
    return re.findall(r"<style[^>]*>(.*?)</style>", svg, flags=re.DOTALL)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
