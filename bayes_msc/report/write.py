"""Write a folder of results in one step, or not at all; read it back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from bayes_msc.errors import OutputError
from bayes_msc.files import replace_file
from bayes_msc.folders import check_free, put, staged, writable
from bayes_msc.report.html import render_html
from bayes_msc.report.results import Results, from_json, to_json

REPORT, RESULTS, FIT, FIGURES = "report.html", "results.json", "fit.nc", "figures"
OWNED = (REPORT, RESULTS, FIT, FIGURES)
SaveFit = Callable[[Path], object]


def write_results(
    results: Results,
    folder: str | Path,
    figures: Mapping[str, str],
    fit: SaveFit | None = None,
    force: bool = False,
) -> Path:
    """Write report, results, figures and fit into a folder, all or nothing.

    Parameters
    ----------
    results : Results
        What the report says.
    folder : str or Path
        Where to write; made if it is not there. Files of others in it are left alone.
    figures : Mapping of str to str
        SVG text by figure name.
    fit : callable, optional
        Called with the path at which to save the fit.
    force : bool
        Replace results that are there already.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputError
        If the folder holds results and ``force`` is false, is a file, or cannot be written.
    """
    folder = Path(folder)
    with writable(folder):
        check_folder(folder, force)
        with staged(folder) as stage:
            (stage / REPORT).write_text(render_html(results, figures), encoding="utf-8")
            (stage / RESULTS).write_text(to_json(results), encoding="utf-8")
            (stage / FIGURES).mkdir()
            for name, svg in figures.items():
                (stage / FIGURES / f"{name}.svg").write_text(svg, encoding="utf-8")
            if fit is not None:
                fit(stage / FIT)
            _put(folder, stage)
    return folder


def write_html(html: str, path: str | Path, force: bool = False) -> Path:
    """Write one HTML file in one step, or not at all.

    Raises
    ------
    OutputError
        If the file is there and ``force`` is false, is a folder, or cannot be written.
    """
    return replace_file(Path(path), lambda draft: draft.write_text(html, "utf-8"), force=force)


def read_results(folder: str | Path) -> Results:
    """Read ``results.json`` of a folder.

    Raises
    ------
    OutputError
        If the folder or the file is missing or is not what ``write_results`` wrote.
    """
    path = Path(folder) / RESULTS
    if not path.is_file():
        raise OutputError(f"{folder} holds no {RESULTS}: name a folder written with --out")
    return from_json(_read(path), str(path))


def read_figures(folder: str | Path, results: Results) -> dict[str, str]:
    """Read the SVG text of every figure that the results name.

    Raises
    ------
    OutputError
        If a figure is missing.
    """
    found = {}
    for figure in results.figures:
        path = Path(folder) / FIGURES / f"{figure.name}.svg"
        if not path.is_file():
            raise OutputError(f"{path} is missing: run the analysis again")
        found[figure.name] = _read(path)
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{path} cannot be read: {error}") from None


def check_folder(folder: Path, force: bool) -> None:
    """Refuse a folder before long work is done for it.

    Raises
    ------
    OutputError
        If it is a file, or holds results and ``force`` is false.
    """
    check_free(folder, OWNED, force)


def _put(folder: Path, stage: Path) -> None:
    """Move the finished results to their place, with the figures of others that were there."""
    if folder.exists():
        for item in _foreign_figures(folder):
            if not (stage / FIGURES / item.name).exists():
                shutil.copy2(item, stage / FIGURES / item.name, follow_symlinks=False)
    put(folder, stage, OWNED)


def _foreign_figures(folder: Path) -> list[Path]:
    """List the files under ``figures`` that no earlier results there name."""
    place = folder / FIGURES
    if not place.is_dir():
        return []
    try:
        ours = {f"{figure.name}.svg" for figure in read_results(folder).figures}
    except OutputError:
        ours = set()
    return [item for item in place.iterdir() if item.is_file() and item.name not in ours]
