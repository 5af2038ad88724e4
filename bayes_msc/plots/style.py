"""What all figures share: look, colours that survive grey and colour blindness, axes, SVG."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.sax.saxutils import quoteattr

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator
from numpy.typing import ArrayLike, NDArray

from bayes_msc.plain_text import shortened
from bayes_msc.plots.readings import readings

BLUE, ORANGE, GREEN, PURPLE, INK, GREY = (
    "#0072B2",
    "#D55E00",
    "#007A5A",
    "#8A4F9E",
    "#1d2430",
    "#6b7585",
)
SERIES = (BLUE, ORANGE, GREEN, PURPLE, "#7A5C00", INK)
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)), (0, (3, 2)), "-")
BENEFIT = "#dcebf5"
WIDTH = 6.4
PRINT = 300
#: Letters in the name beside a mark or in a legend, and in any other line of a figure.
LONGEST_TICK, LONGEST_LINE = 40, 110
LOOK = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
}
TICKS = ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
MOST_TICKS = 8


@contextmanager
def look() -> Iterator[None]:
    """Give the house style for as long as a figure is drawn; settings of others come back."""
    with mpl.rc_context(LOOK):
        yield


def new_figure(height: float, label: str = "") -> Figure:
    """Return an empty figure of the report's width; a label that counts are not data tops it."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    if label:
        figure.suptitle(label, fontsize=8.5, color="#7a4b00", fontweight="bold", ha="center")
    return figure


def to_svg(figure: Figure, name: str) -> str:
    """Return a figure as SVG text that is the same in every run and can stand beside others.

    Its attribute ``data-readings`` holds the marks and their values (see ``plots.readings``).

    Parameters
    ----------
    figure : Figure
        What one of the functions of this package returned.
    name : str
        Name of the figure; it is put before every id, so that inlined figures cannot clash.
    """
    tidy(figure)
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({**LOOK, "svg.hashsalt": f"bayes_msc {name}"}):
        figure.savefig(buffer, format="svg", metadata=metadata)
    text = re.sub(r"<!-- .*? -->\n?", "", buffer.getvalue(), flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'\b((?:xlink:)?href)="#', rf'\1="#{name}-', text)
    text = text.replace("url(#", f"url(#{name}-")
    marks = json.dumps(readings(figure), ensure_ascii=False, separators=(",", ":"))
    start = text.index("<svg") + len("<svg")
    return f"{text[:start]} data-readings={quoteattr(marks)}{text[start:]}"


def to_png(figure: Figure, dpi: int = PRINT) -> bytes:
    """Return a figure as PNG, by default at the resolution that journals ask for.

    Parameters
    ----------
    figure : Figure
        What one of the functions of this package returned.
    dpi : int
        Dots per inch.
    """
    tidy(figure)
    buffer = io.BytesIO()
    with mpl.rc_context(LOOK):
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def tidy(figure: Figure) -> None:
    """Make the names in a figure fit to be shown: none so long that it leaves no room to draw.

    Parameters
    ----------
    figure : Figure
        Changed where it stands; all but hostile names stay as they are.
    """
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_locator(), FixedLocator):
                names = [label.get_text() for label in axis.get_ticklabels()]
                # a line break was put there by a figure that wraps its names
                short = [
                    "\n".join(shortened(line, LONGEST_TICK) for line in name.split("\n"))
                    for name in names
                ]
                if short != names:
                    axis.set_ticks(axis.get_ticklocs(), short)
    keys = [text for legend in figure.findobj(Legend) for text in legend.findobj(Text)]
    for text in figure.findobj(Text):
        longest = LONGEST_TICK if text in keys else LONGEST_LINE
        lines = [shortened(line, longest) for line in text.get_text().split("\n")]
        text.set_text("\n".join(lines))


def ratio_limits(low: float, high: float, edge: float = 0.05) -> tuple[float, float]:
    """Return limits on the log scale that hold both ends and the value 0, with some air."""
    low, high = min(low, -0.1), max(high, 0.1)
    air = edge * (high - low)
    return low - air, high + air


def ratio_axis(axes: Any, low: float, high: float, title: str = "rate ratio") -> None:
    """Label a log-rate-ratio axis in rate ratios and mark no effect."""
    ticks = _ratio_ticks(low, high)
    axes.set_xlim(low, high)
    axes.set_xticks([math.log(tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    axes.axvline(0.0, color=INK, linewidth=0.9, zorder=1)
    if title:
        axes.set_xlabel(title)


def _ratio_ticks(low: float, high: float) -> list[float]:
    """Give round ratios between two ends on the log scale, as many as can be read."""
    ticks: list[float] = []
    for steps in TICKS:
        all_ticks = [step * 10.0**power for power in range(-6, 7) for step in steps]
        ticks = [tick for tick in all_ticks if low <= math.log(tick) <= high]
        if len(ticks) <= MOST_TICKS:
            return ticks
    return ticks[:: -(-len(ticks) // MOST_TICKS)]


def shade_benefit(axes: Any, benefit: str = "lower") -> None:
    """Shade the good side of no effect: ``lower`` rates or ``higher`` ones."""
    low, high = axes.get_xlim()
    left, right = (low, 0.0) if benefit == "lower" else (0.0, high)
    axes.axvspan(left, right, color=BENEFIT, zorder=0, linewidth=0)


def count_axis(axes: Any, highest: float) -> None:
    """Set a square-root scale for counts with whole-number ticks."""
    top = max(float(highest), 1.0)
    axes.set_yscale("function", functions=(_signed_root, _signed_square))
    axes.set_ylim(-0.001 * top, top * 1.12)
    steps = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
    ticks = [step for step in steps if step <= top * 1.05]
    if len(ticks) > 5:
        ticks = [0, *ticks[-1:0:-2][::-1]]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def _signed_root(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=float)
    return np.asarray(np.sign(array) * np.sqrt(np.abs(array)))


def _signed_square(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=float)
    return np.asarray(np.sign(array) * array**2)


def percent_axis(axes: Any) -> None:
    """Set the vertical axis to probabilities from 0 to 100 %."""
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
