"""The formats of a report: written from a folder of results, each in one step or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bayes_msc.errors import OutputError, one_of
from bayes_msc.files import replace_file
from bayes_msc.report.docx import render_docx
from bayes_msc.report.html import render_html
from bayes_msc.report.markdown import render_markdown
from bayes_msc.report.pdf import render_pdf
from bayes_msc.report.pictures import Pictures
from bayes_msc.report.results import Results
from bayes_msc.report.write import FIGURES, read_figures, read_pngs, read_results

Figures = Callable[[], Mapping[str, str]]
Pngs = Callable[[], Mapping[str, bytes]]


@dataclass(frozen=True)
class _Parts:
    """What a format may need; figures are read only by those that show them."""

    results: Results
    svg: Figures
    png: Pngs
    place: str = FIGURES


def _html(parts: _Parts) -> bytes:
    return render_html(parts.results, parts.svg()).encode("utf-8")


def _docx(parts: _Parts) -> bytes:
    return render_docx(parts.results, parts.png())


def _pdf(parts: _Parts) -> bytes:
    return render_pdf(parts.results, parts.svg())


def _markdown(parts: _Parts) -> bytes:
    return render_markdown(parts.results, parts.place).encode("utf-8")


#: Ending of the file and what writes it, by the name of the format.
FORMATS: Mapping[str, Callable[[_Parts], bytes]] = {
    "html": _html,
    "docx": _docx,
    "pdf": _pdf,
    "md": _markdown,
}


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Return the formats asked for, each once.

    Parameters
    ----------
    formats : sequence of str
        Among ``html``, ``docx``, ``pdf`` and ``md``.

    Raises
    ------
    OutputError
        If one is unknown, or none is given.
    """
    wanted = tuple(dict.fromkeys(name.strip().lower().removeprefix(".") for name in formats))
    for name in wanted:
        one_of(name, FORMATS, "format", OutputError)
    if not wanted:
        raise OutputError(f"no format is given: choose among {', '.join(FORMATS)}")
    return wanted


def write_report(
    folder: str | Path,
    formats: Sequence[str] = tuple(FORMATS),
    out: str | Path | None = None,
    force: bool = False,
) -> dict[str, Path]:
    """Write the report of a folder of results in one or more formats.

    Parameters
    ----------
    folder : str or Path
        What ``write_results`` wrote.
    formats : sequence of str
        Among ``html``, ``docx``, ``pdf`` and ``md``; the last three show the same numbers, tables
        and figures as the web page.
    out : str or Path, optional
        Where to write the one format that is asked for; by default ``report.<format>`` in the
        folder, where it replaces an older one.
    force : bool
        Replace a file that is there already at ``out``.

    Returns
    -------
    dict of str to Path
        The files, by format.

    Raises
    ------
    OutputError
        If a format is unknown or lacks its extra, ``out`` stands for several formats, or a file
        cannot be read or written.
    """
    wanted, folder = check_formats(formats), Path(folder)
    if out is not None and len(wanted) > 1:
        raise OutputError(f"{out} is one file, but {', '.join(wanted)} were asked for")
    results = read_results(folder)
    parts = _Parts(
        results,
        lambda: read_figures(folder, results),
        lambda: read_pngs(folder, results),
        FIGURES if out is None else _seen_from(Path(out), folder / FIGURES),
    )
    # everything is made before anything is written
    made = {name: FORMATS[name](parts) for name in wanted}
    paths = {name: Path(out) if out else folder / f"report.{name}" for name in wanted}
    for name, content in made.items():
        write_bytes(content, paths[name], force or out is None)
    return paths


def write_one(results: Results, pictures: Pictures, path: str | Path, force: bool) -> Path:
    """Write a report as one file, in the format that its ending names (HTML for any other).

    Markdown keeps its figures in a folder beside it.

    Raises
    ------
    OutputError
        If the file is there and ``force`` is false, the format lacks its extra, or it cannot be
        written.
    """
    path = Path(path)
    name = path.suffix.lower().removeprefix(".")
    place = path.with_name(f"{path.stem}_figures")
    parts = _Parts(results, lambda: pictures, lambda: pictures.png, place.name)
    written = write_bytes(FORMATS.get(name, _html)(parts), path, force)
    if name == "md":
        place.mkdir(exist_ok=True)
        for figure in results.figures:
            svg = pictures[figure.name].encode("utf-8")
            write_bytes(svg, place / f"{figure.name}.svg", force=True)
    return written


def write_bytes(content: bytes, path: Path, force: bool) -> Path:
    """Write one file in one step, or not at all.

    Raises
    ------
    OutputError
        If the file is there and ``force`` is false, is a folder, or cannot be written.
    """
    return replace_file(path, lambda draft: draft.write_bytes(content), force=force)


def _seen_from(file: Path, folder: Path) -> str:
    """Return the way to a folder from where a file stands."""
    return Path(os.path.relpath(folder, file.absolute().parent)).as_posix()
