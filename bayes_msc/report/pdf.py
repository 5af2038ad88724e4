"""A report as PDF, set by Typst: the wheel carries the compiler, nothing is fetched."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, Final

from bayes_msc.errors import OutputError
from bayes_msc.report.displaying import displayed
from bayes_msc.report.document import Block, blocks
from bayes_msc.report.results import Results

TEMPLATE = ("templates", "report.typ")
#: A tagged PDF with text alternatives, as screen readers need it.
STANDARD: Final = "ua-1"


def render_pdf(results: Results, figures: Mapping[str, str]) -> bytes:
    """Return the report as a tagged PDF (PDF/UA-1) with vector figures.

    All text reaches the template as data (JSON), never as markup.

    Parameters
    ----------
    results : Results
        What the report says.
    figures : Mapping of str to str
        SVG text by figure name, one for every figure that the results name.

    Returns
    -------
    bytes
        A PDF with its fonts inside.

    Raises
    ------
    OutputError
        If typst is not installed, or a figure is missing.
    """
    try:
        import typst
    except ModuleNotFoundError as error:
        raise OutputError(f"{error.name} is needed for PDF: pip install 'bayes-msc[pdf]'") from None
    results = displayed(results)
    missing = [figure.name for figure in results.figures if figure.name not in figures]
    if missing:
        raise OutputError(f"no SVG for the figures {', '.join(missing)}: draw them first")
    with tempfile.TemporaryDirectory(prefix="bayes-msc-pdf-") as folder:
        main = _lay_out(Path(folder), results, figures)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", typst.TypstWarning)
            made = typst.compile(
                str(main),
                root=folder,
                font_paths=[str(_fonts())],
                ignore_system_fonts=True,
                format="pdf",
                pdf_standards=STANDARD,
            )
    return made


def _lay_out(folder: Path, results: Results, figures: Mapping[str, str]) -> Path:
    """Put the template, the text and the figures where the compiler may read them."""
    template = resources.files("bayes_msc.report").joinpath(*TEMPLATE)
    main = folder / "report.typ"
    main.write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    content = {
        "title": results.title,
        "label": results.label,
        "blocks": [_plain(block) for block in blocks(results)],
    }
    (folder / "report.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    for figure in results.figures:
        (folder / f"{figure.name}.svg").write_text(figures[figure.name], encoding="utf-8")
    return main


def _plain(block: Block) -> dict[str, Any]:
    return {"kind": type(block).__name__.lower(), **asdict(block)}


def _fonts() -> Path:
    """Folder of the fonts that the figures use; matplotlib brings it along."""
    import matplotlib as mpl

    return Path(mpl.get_data_path()) / "fonts" / "ttf"
