"""The tables of a report as CSV: every number in full."""

from __future__ import annotations

import pandas as pd

from bayes_msc.report.results import Results

LABEL = "label"


def csv_tables(results: Results) -> dict[str, str]:
    """Return every table of a report as CSV text, unrounded.

    Parameters
    ----------
    results : Results
        What the report says.

    Returns
    -------
    dict of str to str
        CSV by the table's name. Where the counts are no data, a last column says so in every row.
    """
    frames = {name.replace("_", "-"): frame for name, frame in results.tables.items()}
    for section in results.sections:
        for table in section.tables:
            frames.setdefault(table.name.replace("_", "-"), table.data)
    return {name: _text(frame, results.label) for name, frame in frames.items()}


def _text(frame: pd.DataFrame, label: str) -> str:
    marked = frame.assign(**{LABEL: label}) if label else frame
    text: str = marked.to_csv(index=False, lineterminator="\n")
    return text
