"""Write a folder of results in one step, or not at all; read it back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from bayes_msc.errors import OutputError
from bayes_msc.files import replace_file
from bayes_msc.folders import check_free, put, staged, writable
from bayes_msc.report.csv_tables import csv_tables
from bayes_msc.report.html import render_html
from bayes_msc.report.pictures import Pictures
from bayes_msc.report.results import Results, from_json, to_json

REPORT, RESULTS, FIT, FIGURES = "report.html", "results.json", "fit.nc", "figures"
TABLES, REFERENCES = "tables", "references.bib"
#: The other formats are written later, on request; those of older results go with them.
OTHERS = ("report.docx", "report.pdf", "report.md")
OWNED = (REPORT, RESULTS, FIT, FIGURES, TABLES, REFERENCES, *OTHERS)
SaveFit = Callable[[Path], object]


def write_results(
    results: Results,
    folder: str | Path,
    figures: Mapping[str, str],
    fit: SaveFit | None = None,
    force: bool = False,
) -> Path:
    """Write report, results, tables, figures and fit into a folder, all or nothing.

    Parameters
    ----------
    results : Results
        What the report says.
    folder : str or Path
        Where to write; made if it is not there. Files of others in it are left alone.
    figures : Mapping of str to str
        SVG text by figure name; ``Pictures`` are written as PNG too.
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
            _put_figures(stage / FIGURES, figures)
            _put_texts(stage, results)
            if fit is not None:
                fit(stage / FIT)
            _put(folder, stage)
    return folder


def _put_figures(place: Path, figures: Mapping[str, str]) -> None:
    place.mkdir()
    for name, svg in figures.items():
        (place / f"{name}.svg").write_text(svg, encoding="utf-8")
    if isinstance(figures, Pictures):
        for name, png in figures.png.items():
            (place / f"{name}.png").write_bytes(png)


def _put_texts(stage: Path, results: Results) -> None:
    (stage / TABLES).mkdir()
    for name, text in csv_tables(results).items():
        (stage / TABLES / f"{name}.csv").write_text(text, encoding="utf-8")
    if results.bibliography:
        (stage / REFERENCES).write_text(results.bibliography, encoding="utf-8")


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


def read_pngs(folder: str | Path, results: Results) -> dict[str, bytes]:
    """Read the PNG of every figure that the results name.

    Raises
    ------
    OutputError
        If a figure is missing or cannot be read.
    """
    found = {}
    for figure in results.figures:
        path = Path(folder) / FIGURES / f"{figure.name}.png"
        try:
            found[figure.name] = path.read_bytes()
        except FileNotFoundError:
            raise OutputError(f"{path} is missing: run the analysis again") from None
        except OSError as error:
            raise OutputError(f"{path} cannot be read: {error}") from None
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
    """Move the finished results to their place, with the files of others that were there."""
    for item in _foreign_files(folder) if folder.exists() else []:
        target = stage / item.relative_to(folder)
        if not target.exists():
            shutil.copy2(item, target, follow_symlinks=False)
    put(folder, stage, OWNED)


def _foreign_files(folder: Path) -> list[Path]:
    """List the files under ``figures`` and ``tables`` that no earlier results there name."""
    try:
        old = read_results(folder)
    except OutputError:
        ours = set()
    else:
        figures = [figure.name for figure in old.figures]
        ours = {Path(FIGURES, f"{name}.{kind}") for name in figures for kind in ("svg", "png")}
        ours |= {Path(TABLES, f"{name}.csv") for name in csv_tables(old)}
    there = [item for place in (FIGURES, TABLES) for item in _files(folder / place)]
    return [item for item in there if item.relative_to(folder) not in ours]


def _files(place: Path) -> list[Path]:
    return [item for item in place.iterdir() if item.is_file()] if place.is_dir() else []
