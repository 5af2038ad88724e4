"""Figures of a published trial: stances, probability curves, forest."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from bayes_msc.plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KIND_COLOURS = {"trial": style.BLUE, "external": style.INK, "combined": style.ORANGE}
KIND_MARKS = {"trial": "s", "external": "s", "combined": "D"}


def stance_densities(densities: pd.DataFrame, benefit: str = "lower", label: str = "") -> Figure:
    """Draw prior, likelihood and posterior of each stance, one panel a stance.

    Parameters
    ----------
    densities : DataFrame
        Columns stance, log_rate_ratio, prior, likelihood, posterior.
    benefit : str
        ``lower`` or ``higher``: which rates are good.
    label : str
        What the counts are if they are not data.
    """
    names = list(dict.fromkeys(densities["stance"]))
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    low, high = _busy_range(densities)
    densities = densities[densities["log_rate_ratio"].between(low, high)]
    with style.look():
        figure = style.new_figure(0.7 + 1.75 * rows, label)
        grid = np.ravel(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False))
        top = _tallest(densities)
        for axes, name in zip(grid, names, strict=False):
            style.ratio_axis(axes, low, high, "")
            style.shade_benefit(axes, benefit)
            _stance_panel(axes, densities[densities["stance"] == name], name)
            axes.set_ylim(0, 1.06 * top)
        for axes in grid[len(names) :]:
            axes.remove()
        for axes in grid[max(len(names) - columns, 0) : len(names)]:
            axes.set_xlabel("rate ratio")
            axes.tick_params(labelbottom=True)
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _stance_panel(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    x = rows["log_rate_ratio"]
    axes.fill_between(x, rows["posterior"], color=style.BLUE, alpha=0.18, linewidth=0)
    axes.plot(x, rows["prior"], color=style.ORANGE, linestyle=(0, (5, 2)), label="prior")
    axes.plot(
        x, rows["likelihood"], color=style.INK, linestyle=(0, (1, 1.2)), label="trial (likelihood)"
    )
    axes.plot(x, rows["posterior"], color=style.BLUE, linewidth=2, label="posterior")
    axes.set_title(name)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _busy_range(densities: pd.DataFrame) -> tuple[float, float]:
    """Range of the axis in which any likelihood or posterior is to be seen."""
    height = densities[["likelihood", "posterior"]]
    seen = densities["log_rate_ratio"][(height > 0.004 * height.max()).any(axis=1)]
    return style.ratio_limits(float(seen.min()), max(float(seen.max()), float(np.log(2))), 0.0)


def _tallest(densities: pd.DataFrame) -> float:
    return float(np.max(densities[["prior", "likelihood", "posterior"]].to_numpy(dtype=float)))


def probability_curves(curve: pd.DataFrame, benefit: str = "lower", label: str = "") -> Figure:
    """Draw, for each stance, the probability that the rate ratio lies below each threshold.

    Parameters
    ----------
    curve : DataFrame
        Columns stance, threshold, probability.
    benefit : str
        ``lower`` or ``higher``: which rates are good.
    label : str
        What the counts are if they are not data.
    """
    with style.look():
        figure = style.new_figure(3.5, label)
        axes = figure.subplots()
        threshold_axis(axes, curve, benefit)
        for number, name in enumerate(dict.fromkeys(curve["stance"])):
            rows = curve[curve["stance"] == name]
            axes.plot(
                np.log(rows["threshold"]),
                rows["probability"],
                color=style.SERIES[number % len(style.SERIES)],
                linestyle=style.DASHES[number % len(style.DASHES)],
                label=name,
            )
        place = "upper left" if benefit == "lower" else "upper right"
        axes.legend(loc=place, title="prior stance", alignment="left")
    return figure


def threshold_axis(axes: Axes, curve: pd.DataFrame, benefit: str) -> None:
    """Set up the axes of a curve of probabilities over thresholds."""
    moving = curve[curve["probability"].between(0.004, 0.996)]
    moving = moving if len(moving) > 1 else curve
    ends = np.log([moving["threshold"].min(), moving["threshold"].max()])
    side = "below" if benefit == "lower" else "above"
    title = f"threshold c for the rate ratio (the probability is that of a ratio {side} c)"
    style.ratio_axis(axes, *style.ratio_limits(float(ends[0]), float(ends[1]), 0.0), title)
    style.shade_benefit(axes, benefit)
    style.percent_axis(axes)
    axes.grid(axis="y", color="#c9d0da", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel("probability")


def forest(table: pd.DataFrame, benefit: str = "lower", label: str = "") -> Figure:
    """Draw trials and their combinations as points with 95 % intervals.

    Parameters
    ----------
    table : DataFrame
        Columns label, kind (trial, external or combined), rate_ratio, lower, upper, note.
    benefit : str
        ``lower`` or ``higher``: which rates are good.
    label : str
        What the counts are if they are not data.
    """
    low, high = np.log(table["lower"].min()), np.log(table["upper"].max())
    with style.look():
        figure = style.new_figure(1.0 + 0.46 * len(table), label)
        axes = figure.subplots()
        style.ratio_axis(axes, *style.ratio_limits(max(low, -5.0), min(high, 4.0)))
        style.shade_benefit(axes, benefit)
        for row, item in enumerate(table.itertuples(index=False)):
            kind = str(item.kind)
            colour = KIND_COLOURS.get(kind, style.INK)
            ends = [np.log(float(str(item.lower))), np.log(float(str(item.upper)))]
            axes.plot(ends, [row, row], color=colour, solid_capstyle="butt")
            axes.plot(
                np.log(float(str(item.rate_ratio))),
                row,
                KIND_MARKS.get(kind, "o"),
                color=colour,
                markersize=6.5,
            )
        _forest_rows(axes, table)
    return figure


def _forest_rows(axes: Axes, table: pd.DataFrame) -> None:
    rows = np.arange(len(table))
    axes.set_yticks(rows - 0.14, [wrapped(str(name), 44) for name in table["label"]])
    notes = [re.split(r"; |, mu ~", str(note))[0] for note in table["note"]]
    axes.set_yticks(rows + 0.2, notes, minor=True)
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.tick_params(axis="y", which="both", length=0)
    axes.tick_params(axis="y", which="minor", labelsize=7, labelcolor=style.GREY)
    axes.spines["left"].set_visible(False)
    right = axes.secondary_yaxis("right")
    cells = table[["rate_ratio", "lower", "upper"]].itertuples(index=False)
    texts = [f"{item[0]:.2f} ({item[1]:.2f} to {item[2]:.2f})" for item in cells]
    right.set_yticks(range(len(table)), texts)
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    kinds = list(table["kind"])
    for row in range(1, len(kinds)):
        if kinds[row] == "combined" and kinds[row - 1] != "combined":
            axes.axhline(row - 0.5, color=style.GREY, linewidth=0.6)


def wrapped(text: str, width: int) -> str:
    """Break a long row name over lines."""
    return "\n".join(textwrap.wrap(text, width)) or text
