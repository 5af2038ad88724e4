"""Reports: one self-contained page, or a folder with page, numbers, figures and fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bayes_msc.report.csv_tables import csv_tables
from bayes_msc.report.displaying import names_in
from bayes_msc.report.docx import render_docx
from bayes_msc.report.formats import check_formats, write_one, write_report
from bayes_msc.report.html import render_html
from bayes_msc.report.markdown import render_markdown
from bayes_msc.report.pdf import render_pdf
from bayes_msc.report.pictures import Pictures
from bayes_msc.report.results import Results, from_json, to_json
from bayes_msc.report.write import read_figures, read_results, write_html, write_results

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayes_msc.companions import Companions
    from bayes_msc.reanalysis import Reanalysis

__all__ = [
    "Pictures",
    "Results",
    "build",
    "check_formats",
    "csv_tables",
    "from_json",
    "read_figures",
    "read_results",
    "render_docx",
    "render_html",
    "render_markdown",
    "render_pdf",
    "report",
    "to_json",
    "write_html",
    "write_report",
    "write_results",
]


def build(
    source: Reanalysis | xr.DataTree,
    command: str = "",
    statements: pd.DataFrame | None = None,
    files: Mapping[str, str] | None = None,
    beside: Companions | None = None,
) -> tuple[Results, Pictures]:
    """Turn a reanalysis or a fit into what its report says, and into its figures.

    Parameters
    ----------
    source : Reanalysis or DataTree
        What ``reanalyze`` or ``fit`` returned.
    command : str
        The command that was typed, for the manifest.
    statements : DataFrame, optional
        What ``summarize`` returned for thresholds or a ROPE of your own, for a fit.
    files : Mapping of str to str, optional
        SHA-256 of what was read, by name: see ``inputs.hashes``.
    beside : Companions, optional
        What ``companions`` returned for a fit: answers that stand beside it.

    Returns
    -------
    Results
        The report.
    Pictures
        SVG text by figure name, and PNG.
    """
    results, pictures = _built(source, command, statements, beside)
    results = replace(results, names=names_in(source))
    if files:
        results = replace(results, manifest={**results.manifest, "files": dict(files)})
    return results, pictures


def _built(
    source: Reanalysis | xr.DataTree,
    command: str,
    statements: pd.DataFrame | None,
    beside: Companions | None,
) -> tuple[Results, Pictures]:
    from bayes_msc.reanalysis import Reanalysis

    if isinstance(source, Reanalysis):
        from bayes_msc.report import reanalysis

        return reanalysis.build(source, command)
    from bayes_msc.report import analysis

    return analysis.build(source, command, statements, beside)


def report(
    source: Reanalysis | xr.DataTree,
    path: str | Path,
    force: bool = False,
    beside: Companions | None = None,
) -> Path:
    """Write the report on a reanalysis or a fit as one file, by default a page that opens offline.

    Parameters
    ----------
    source : Reanalysis or DataTree
        What ``reanalyze`` or ``fit`` returned.
    path : str or Path
        The file to write. Its ending names the format: ``.docx``, ``.pdf``, ``.md`` (with a folder
        of figures beside it), and HTML for any other.
    force : bool
        Replace a file that is there already.
    beside : Companions, optional
        What ``companions`` returned for the fit; by default what needs no further fit.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputError
        If the file is there and ``force`` is false, or cannot be written, or its format needs an
        extra that is not installed: the message says which.

    Examples
    --------
    >>> import bayes_msc as bm
    >>> bm.report(bm.reanalyze(bm.load_published("llufriu2014")), "report.html")  # doctest: +SKIP
    """
    results, figures = build(source, beside=beside)
    return write_one(results, figures, path, force)
