"""The report as it is shown: names of users short, whole and unable to disturb what is beside them.

Stored results keep every text as it is; all outputs pass through here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayes_msc.plain_text import LONGEST, clean, isolated, runs_leftwards, shortened
from bayes_msc.report.results import Column, Figure, Results, Section, Source, Table

if TYPE_CHECKING:
    import xarray as xr

    from bayes_msc.reanalysis import Reanalysis

Show = Callable[[str], str]
#: Articles have longer titles than patients have names.
LONGEST_TITLE = 180


def telling(names: Iterable[object]) -> tuple[str, ...]:
    """Return those of some names that cannot be shown as they are within a sentence."""
    texts = dict.fromkeys(str(name) for name in names)
    return tuple(t for t in texts if len(t) > LONGEST or runs_leftwards(t))


def names_in(source: Reanalysis | xr.DataTree) -> tuple[str, ...]:
    """Return the names that users gave in what a report is made from, as far as they need care."""
    from bayes_msc.reanalysis import Reanalysis

    if isinstance(source, Reanalysis):
        trials = (source.published, *source.external_trials)
        words = [
            name
            for trial in trials
            for name in (trial.active.label, trial.control.label, trial.short_title, trial.endpoint)
        ]
        flow = [name for row in source.published.flow for name in (row.group, row.treatment)]
        return telling([*words, *flow])
    from bayes_msc.fit import trial_of

    trial = trial_of(source)
    return telling((*trial.patients, trial.active, trial.control, trial.name, trial.endpoint))


def displayed(results: Results) -> Results:
    """Return the report as every output shows it.

    Names that are too long are shortened, names of a script that runs from right to left are
    isolated from the words around them, and invisible characters are spelt out.

    Parameters
    ----------
    results : Results
    """
    show = _shower(results)
    return replace(
        results,
        title=shortened(results.title, LONGEST_TITLE),
        question=show(results.question),
        answer=tuple(map(show, results.answer)),
        sections=tuple(_section(section, show) for section in results.sections),
        tables={name: _frame(frame, show) for name, frame in results.tables.items()},
        sources=tuple(
            Source(show(s.text), clean(s.doi), show(s.certainty)) for s in results.sources
        ),
        manifest=_inside(results.manifest, show),
        label=show(results.label),
        subtitle=show(results.subtitle),
        banner=tuple(map(show, results.banner)),
        panel=_inside(results.panel, show),
    )


def _shower(results: Results) -> Show:
    """Return what makes a text fit to be shown, given the names in this report that need care."""
    whole = {*results.names, *telling([results.title])}
    # a sentence may begin with a name
    spelt = {form: name for name in whole for form in (name, name[:1].upper() + name[1:])}
    if not spelt:
        return clean
    longest_first = sorted(spelt, key=len, reverse=True)
    found = re.compile("|".join(map(re.escape, longest_first)))
    short = {form: isolated(shortened(form)) for form in spelt}

    def show(text: str) -> str:
        parts, last = [], 0
        for match in found.finditer(text):
            parts += [clean(text[last : match.start()]), short[match[0]]]
            last = match.end()
        return "".join([*parts, clean(text[last:])])

    return show


def _section(section: Section, show: Show) -> Section:
    return replace(
        section,
        heading=show(section.heading),
        paragraphs=tuple(map(show, section.paragraphs)),
        points=tuple(map(show, section.points)),
        code="\n".join(map(show, section.code.splitlines())),
        tables=tuple(_table(table, show) for table in section.tables),
        figures=tuple(Figure(f.name, show(f.caption), show(f.alt)) for f in section.figures),
        notices=tuple(map(show, section.notices)),
    )


def _table(table: Table, show: Show) -> Table:
    columns = tuple(Column(show(c.label), c.source, c.format) for c in table.columns)
    return Table(table.name, show(table.caption), columns, _frame(table.data, show))


def _frame(frame: pd.DataFrame, show: Show) -> pd.DataFrame:
    words = [
        name
        for name in frame.columns
        if any(isinstance(value, str) for value in frame[name].to_numpy())
    ]
    made = {name: [_inside(value, show) for value in frame[name]] for name in words}
    return frame.assign(**made) if words else frame


def _inside(value: Any, show: Show) -> Any:
    if isinstance(value, str):
        return show(value)
    if isinstance(value, Mapping):
        return {show(str(key)): _inside(item, show) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_inside(item, show) for item in value]
    return value
