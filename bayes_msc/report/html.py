"""One self-contained HTML page from results and the SVG text of their figures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from bayes_msc.errors import OutputError
from bayes_msc.report import interactive
from bayes_msc.report.cell_formats import FORMATS, WORDS
from bayes_msc.report.displaying import displayed
from bayes_msc.report.results import Figure, Results, Table

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = "templates"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("bayes_msc.report", TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["fixed"] = FORMATS["fixed"]
    return environment


def render_html(results: Results, figures: Mapping[str, str]) -> str:
    """Return the report as one HTML page that needs no network.

    Parameters
    ----------
    results : Results
        What the report says.
    figures : Mapping of str to str
        SVG text by figure name, one for every figure that the results name.

    Returns
    -------
    str
        HTML with inline style and inline figures.

    Raises
    ------
    OutputError
        If a figure is missing.
    """
    from jinja2.utils import htmlsafe_json_dumps
    from markupsafe import Markup

    missing = [figure.name for figure in results.figures if figure.name not in figures]
    if missing:
        raise OutputError(f"no SVG for the figures {', '.join(missing)}: draw them first")
    results = displayed(results)
    parts = interactive.parts_of(results)
    script = interactive.script_of(parts, bool(results.figures))
    style = _style(bool(script))
    inner = [text for svg in figures.values() for text in interactive.styles_in(svg)]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            results=results,
            policy=Markup(interactive.policy(script, (style, *inner))),
            style=Markup(style),
            script=Markup(script),
            parts=parts,
            places=interactive.places_of(results, parts),
            data={name: htmlsafe_json_dumps(data) for name, data in parts.items()},
            table=table_html,
            figure=lambda item: figure_html(item, figures[item.name]),
        )
    )


def _style(interactive_parts: bool) -> str:
    style = resources.files("bayes_msc.report").joinpath(TEMPLATES, "report.css")
    text = style.read_text(encoding="utf-8")
    return text + interactive.style() if interactive_parts else text


def table_html(table: Table, label: str = "") -> Markup:
    """Return one table as HTML: row headings in the first column, its caption inside.

    Cells and headings are escaped; the look is left to the page's own style.
    """
    from great_tables import GT
    from markupsafe import Markup, escape

    shown = table.shown()
    rows, *rest = shown.columns
    numeric = [c.label for c in table.columns[1:] if c.format not in WORDS]
    made = GT(shown, id=f"table-{table.name}", rowname_col=rows)
    made = made.tab_stubhead(rows).cols_align("left", [c for c in rest if c not in numeric])
    if numeric:
        made = made.cols_align("right", numeric)
    html = made.as_raw_html()
    body = html[html.index("<table") : html.rindex("</table>") + len("</table>")]
    opened = body.index(">") + 1
    marked = f' <em class="label">({escape(label)})</em>' if label else ""
    caption = f"<caption><span>{escape(table.caption)}{marked}</span></caption>"
    return Markup(body[:opened] + caption + body[opened:])


def figure_html(figure: Figure, svg: str) -> Markup:
    """Return an SVG for inlining: no XML prologue, named for those who cannot see it."""
    from markupsafe import Markup, escape

    start = svg.index("<svg") + len("<svg")
    named = f' role="img" aria-label="{escape(figure.alt)}"'
    return Markup("<svg" + named + svg[start:])
