"""Reports: one self-contained page, or a folder with page, numbers, figures and fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bayes_msc.report.html import render_html
from bayes_msc.report.results import Results, from_json, to_json
from bayes_msc.report.write import read_figures, read_results, write_html, write_results

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayes_msc.reanalysis import Reanalysis

__all__ = [
    "Results",
    "build",
    "from_json",
    "read_figures",
    "read_results",
    "render_html",
    "report",
    "to_json",
    "write_html",
    "write_results",
]


def build(
    source: Reanalysis | xr.DataTree, command: str = "", statements: pd.DataFrame | None = None
) -> tuple[Results, dict[str, str]]:
    """Turn a reanalysis or a fit into what its report says, and into its figures.

    Parameters
    ----------
    source : Reanalysis or DataTree
        What ``reanalyze`` or ``fit`` returned.
    command : str
        The command that was typed, for the manifest.
    statements : DataFrame, optional
        What ``summarize`` returned for thresholds or a ROPE of your own, for a fit.

    Returns
    -------
    Results
        The report.
    dict of str to str
        SVG text by figure name.
    """
    from bayes_msc.reanalysis import Reanalysis

    if isinstance(source, Reanalysis):
        from bayes_msc.report import reanalysis

        return reanalysis.build(source, command)
    from bayes_msc.report import analysis

    return analysis.build(source, command, statements)


def report(source: Reanalysis | xr.DataTree, path: str | Path, force: bool = False) -> Path:
    """Write the report on a reanalysis or a fit as one HTML file that opens offline.

    Parameters
    ----------
    source : Reanalysis or DataTree
        What ``reanalyze`` or ``fit`` returned.
    path : str or Path
        The file to write.
    force : bool
        Replace a file that is there already.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputError
        If the file is there and ``force`` is false, or cannot be written.

    Examples
    --------
    >>> import bayes_msc as bm
    >>> bm.report(bm.reanalyze(bm.load_published("llufriu2014")), "report.html")  # doctest: +SKIP
    """
    results, figures = build(source)
    return write_html(render_html(results, figures), path, force)
