"""The figure of the benchmarks, drawn from their table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_msc.plots.style import GREY, look, new_figure, to_svg
from benchmarks.compile import ENGINES, STEPS
from benchmarks.engines import OURS
from benchmarks.growth import FIT, GRADIENT
from benchmarks.speed import RATE

OUR_COLOUR, OTHER_COLOUR = "#0b6e99", "#b5532a"
SHADES = ("#c9d6dd", "#8fb3c4", "#0b6e99", "#e0a184")


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw speed, growth and first compile; a panel without numbers says so."""
    with look():
        figure = new_figure(8.0)
        figure.get_layout_engine().set(h_pad=0.12)
        panels = figure.subplots(3, 1, height_ratios=(1.3, 1.2, 0.9))
        for axes, panel in zip(panels, (_speed, _growth, _compile), strict=True):
            panel(axes, table[np.isfinite(table["value"])])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_svg(figure, "benchmarks"), encoding="utf-8")


def _empty(axes: Any) -> None:
    axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes)
    axes.set(xticks=[], yticks=[])


def _speed(axes: Any, table: pd.DataFrame) -> None:
    axes.set_title("9 patients: worst-parameter effective draws a second")
    rows = table[(table["benchmark"] == "speed") & (table["measure"] == RATE)]
    if rows.empty:
        _empty(axes)
        return
    rows = rows.sort_values("value")
    for place, row in enumerate(rows.to_dict("records")):
        colour = OUR_COLOUR if row["case"] == OURS else OTHER_COLOUR
        axes.plot([row["low"], row["high"]], [place, place], color=colour, lw=1.2)
        axes.plot(row["value"], place, "o", color=colour, ms=5)
        axes.annotate(
            f"{row['value']:,.0f}",
            (row["high"], place),
            (6, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set(xscale="log", yticks=range(len(rows)), yticklabels=rows["case"])
    axes.set_xlim(rows["low"].min() / 1.5, rows["high"].max() * 2.5)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("median and range of the repetitions, logarithmic scale")


def _growth(axes: Any, table: pd.DataFrame) -> None:
    axes.set_title("Time of one gradient against the number of patients, 2 periods")
    drawn = [
        _line(axes, table, GRADIENT, "o-", OUR_COLOUR, "by itself"),
        _line(axes, table, FIT, "s--", OTHER_COLOUR, "within NUTS, two chains at once"),
    ]
    if not any(drawn):
        _empty(axes)
        return
    axes.set(xscale="log", yscale="log", xlabel="patients", ylabel="milliseconds")
    low, high = axes.get_ylim()
    ends = np.array(axes.get_xlim())
    # lines of cost in proportion to patients
    for power in range(-7, 4):
        axes.plot(ends, 10.0**power * ends, color=GREY, lw=0.5, zorder=0)
    axes.set(xlim=ends, ylim=(low, high))
    axes.legend(title="thin lines: proportional", loc="upper left", frameon=True, framealpha=1)


def _line(
    axes: Any, table: pd.DataFrame, measure: str, style: str, colour: str, label: str
) -> bool:
    chosen = (table["benchmark"] == "growth") & (table["measure"] == measure)
    rows = table[chosen & table["case"].str.endswith(" patients")]
    numbers = rows["case"].str.split().str[0].astype(int)
    if len(rows):
        axes.plot(numbers, 1e3 * rows["value"], style, color=colour, ms=4, label=label)
    return bool(len(rows))


def _compile(axes: Any, table: pd.DataFrame) -> None:
    axes.set_title("A first fit in a new process")
    rows = table[table["benchmark"] == "compile"]
    if rows.empty:
        _empty(axes)
        return
    cases = [f"{engine}, {state}" for state in ("cached", "nothing cached") for engine in ENGINES]
    values = rows.pivot_table(index="case", columns="measure", values="value").reindex(cases)
    left = np.zeros(len(cases))
    for step, shade in zip(STEPS, SHADES, strict=True):
        width = values[step].fillna(0.0).to_numpy() if step in values else np.zeros(len(cases))
        axes.barh(cases, width, left=left, color=shade, label=step)
        left += width
    axes.set_xlabel("seconds")
    axes.legend(ncols=len(STEPS), loc="upper center", bbox_to_anchor=(0.5, -0.35))
