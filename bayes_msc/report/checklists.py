"""Reporting checklists, filled in from what a report really holds."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd

from bayes_msc.report.document import MADE
from bayes_msc.report.results import Column, Results, Section, Table

KEY, HEADING = "checklists", "Reporting checklists"
INTRODUCTION = (
    "Each item with its place in this report, or why it is not there. “Not done” is no reproach to "
    "the trial: it says what this report does not hold."
)
FDA_UNSEEN = (
    "The full text of the FDA's draft was not consulted for its topics: check it before a "
    "submission."
)
#: A reanalysis whose combination with other trials was sampled, or which holds fits to
#: reconstructed counts too.
SAMPLED = COMBINED, RECONSTRUCTED = "combined", "reconstructed"
DONE, NOT_DONE, NEEDLESS = "done", "not done", "does not apply"


@dataclass(frozen=True)
class Item:
    """One item of a checklist for one kind of report."""

    step: str
    item: str
    places: tuple[str, ...]
    otherwise: str
    needless: str = ""
    note: str = ""


@cache
def _lists() -> Mapping[str, Any]:
    path = resources.files("bayes_msc.report").joinpath("checklists.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def checklist_names(results: Results) -> tuple[str, ...]:
    """Return the checklists that concern a report: CONSORT's only for a fit to a crossover."""
    design = str(results.manifest.get("design", ""))
    return tuple(
        name
        for name, content in _lists().items()
        if "design" not in content or (results.kind == "fit" and content["design"] == design)
    )


def items(name: str, kind: str) -> tuple[Item, ...]:
    """Return the items of a checklist for a kind of report: ``fit`` or ``reanalysis``.

    Or for a reanalysis of which a part was sampled (``SAMPLED``): what it does not say otherwise is
    as for any reanalysis.
    """
    return tuple(_item(entry, kind) for entry in _lists()[name]["items"])


def _item(entry: Mapping[str, Any], kind: str) -> Item:
    own = any(key in entry for key in (kind, f"{kind}_needless", f"{kind}_otherwise"))
    kind = kind if own or kind not in SAMPLED else "reanalysis"
    return Item(
        entry["step"],
        entry["item"],
        tuple(entry.get(kind, ())),
        entry.get(f"{kind}_otherwise", entry["otherwise"]),
        entry.get(f"{kind}_needless", ""),
        entry.get(f"{kind}_note", ""),
    )


def kind_of(results: Results) -> str:
    """Return for which kind of report items are asked: a reanalysis may hold sampled parts."""
    if results.kind != "reanalysis" or "seed" not in results.manifest:
        return results.kind
    keys = {section.key for section in results.sections}
    return RECONSTRUCTED if "reconstruction" in keys else COMBINED


def with_checklists(results: Results) -> Results:
    """Return the report with its checklists as one more section.

    Parameters
    ----------
    results : Results
        A report that is complete but for them.
    """
    tables = tuple(_table(name, results) for name in checklist_names(results))
    section = Section(KEY, HEADING, (INTRODUCTION, FDA_UNSEEN), tables=tables)
    others = tuple(item for item in results.sections if item.key != KEY)
    return replace(results, sections=(*others, section))


def _table(name: str, results: Results) -> Table:
    rows = [_row(item, results) for item in items(name, kind_of(results))]
    columns = (
        Column("step", ("step",)),
        Column("item", ("item",)),
        Column("state", ("state",)),
        Column("where, or why not", ("where",)),
    )
    names = ["step", "item", "state", "where"]
    data = pd.DataFrame(rows, columns=names)
    return Table(f"checklist-{name}", _lists()[name]["title"], columns, data)


def _row(item: Item, results: Results) -> tuple[str, str, str, str]:
    if item.needless:
        return item.step, item.item, NEEDLESS, item.needless
    found = [_place(place, results) for place in item.places]
    if not found or not all(found):
        return item.step, item.item, NOT_DONE, item.otherwise
    where = "; ".join(dict.fromkeys(found))
    return item.step, item.item, DONE, f"{where} ({item.note})" if item.note else where


def _place(expression: str, results: Results) -> str:
    """Return the first of several places that is there, in words; empty if none is."""
    places = (_words(place, results) for place in expression.split("|"))
    return next((place for place in places if place), "")


def _words(place: str, results: Results) -> str:
    if place == "answer":
        return "the answer at the top" if results.answer else ""
    if place.startswith("made:"):
        key = place.removeprefix("made:")
        # a seed of 0 is a seed
        recorded = results.manifest.get(key) not in (None, "")
        return f"“{MADE}”: {key.replace('_', ' ')}" if recorded else ""
    key, _, part = place.partition("/")
    section = next((item for item in results.sections if item.key == key), None)
    if section is None or (part and part not in _parts(section)):
        return ""
    return f"“{section.heading}”"


def _parts(section: Section) -> Sequence[str]:
    return [*(table.name for table in section.tables), *(item.name for item in section.figures)]
