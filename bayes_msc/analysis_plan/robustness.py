"""The report's sections on what moves the conclusion: a question, a sentence, a figure each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bayes_msc.report.results import Column, Figure, Section, Table
from bayes_msc.sensitivity.page import PARTS, RANKING
from bayes_msc.sensitivity.whole import PAGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

    from bayes_msc.sensitivity import Sensitivity

#: Sections under which the page puts a part to play with, and tables that feed it.
_KEYS = {"patients": "patients-left-out", "specifications": "specifications"}
_FED = {"patients": "left_out", "specifications": "specifications"}
_FORMATS = {"lowest": "fixed", "highest": "fixed"}


def sections_of(found: Sensitivity) -> tuple[Section, ...]:
    """Return the ranking, then a section for every question that was asked.

    Parameters
    ----------
    found : Sensitivity
    """
    drawn = set(found.figures())
    sections = [_ranked(found, drawn)]
    for name, part in PARTS.items():
        if not part.title or not len(found.tables.get(name, ())):
            continue
        said = found.statements.get(part.said, "")
        figures = (Figure(_file(name), part.about, said or part.title),) if name in drawn else ()
        key = _KEYS.get(name, f"robust-{name.replace('_', '-')}")
        sections.append(Section(key, part.title, (said,) if said else (), figures=figures))
    return tuple(sections)


def tables_of(found: Sensitivity) -> dict[str, pd.DataFrame]:
    """Return the tables that the report keeps, by their names in it."""
    fed = {name: found.tables[own] for own, name in _FED.items() if len(found.tables.get(own, ()))}
    return {"what_moves": found.ranking, **fed} if len(found.ranking) else fed


def figures_of(found: Sensitivity) -> dict[str, MatplotlibFigure]:
    """Return the figures by their names in the report."""
    return {_file(name): figure for name, figure in found.figures().items()}


def _file(name: str) -> str:
    return f"robust-{name.replace('_', '-')}"


def _ranked(found: Sensitivity, drawn: set[str]) -> Section:
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    if len(found.ranking):
        columns = tuple(
            Column(words, (name,), _FORMATS.get(name, "text")) for name, words in RANKING.items()
        )
        shown = found.ranking.assign(turns=found.ranking["turns"].map({True: "yes", False: "no"}))
        caption = f"{found.rule.statement} under each change, the largest first."
        tables = (Table("what-moves", caption, columns, shown),)
    if "what_moves" in drawn:
        first = found.ranking.iloc[0]
        alt = (
            f"One bar for each change; the longest, {first['what']}, runs from "
            f"{first['lowest']:.3f} to {first['highest']:.3f}."
        )
        words = "Each bar: how far one change moves the probability. The line is the rule."
        figures = (Figure(_file("what_moves"), words, alt),)
    return Section(
        "sensitivity",
        "What moves the conclusion",
        (
            f"The rule: {found.rule.words()}. Each change below was made alone, by fits of its "
            f"own; all tables are in {PAGE} and the files beside it.",
        ),
        points=tuple(f"not made: {name}: {words}" for name, words in found.skipped.items()),
        tables=tables,
        figures=figures,
    )
