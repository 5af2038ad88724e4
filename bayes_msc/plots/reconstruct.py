"""Figures of reconstructed data sets: each one's answer, and the answer averaged over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_msc.plots import style
from bayes_msc.plots.evidence import wrapped

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More data sets than this are drawn as the heaviest ones only.
MOST_SETS = 20
NAMES = {"model": "averaged, weighted by the model", "uniform": "averaged, all alike"}


def averaged(summary: pd.DataFrame, refits: pd.DataFrame, label: str) -> Figure:
    """Draw the rate ratio of each reconstructed data set, with its weight, and the averages.

    Parameters
    ----------
    summary : DataFrame
        ``summary`` of a ``bayes_msc.reconstruct.Averaged``: weights, median, lower, upper.
    refits : DataFrame
        Its ``refits``: candidate, weight, median, lower, upper.
    label : str
        What the counts are.
    """
    left_out = len(refits) - MOST_SETS
    shown = refits.nlargest(MOST_SETS, "weight").sort_values("candidate")
    rows = [
        (f"data set {item['candidate']}", item, style.BLUE, f"{100 * item['weight']:.0f} %")
        for item in shown.to_dict("records")
    ]
    rows += [
        (wrapped(NAMES[item["weights"]], 24), item, style.ORANGE, "")
        for item in summary.to_dict("records")
    ]
    with style.look():
        figure = style.new_figure(1.15 + 0.34 * len(rows), label)
        axes = figure.subplots()
        _intervals(axes, rows)
        axes.axhline(len(shown) - 0.5, color=style.GREY, linewidth=0.6)
        _heading(axes, "weight")
        if left_out > 0:
            axes.set_title(f"The {MOST_SETS} heaviest of {len(refits)} data sets")
    return figure


def two_periods(answers: pd.DataFrame, label: str) -> Figure:
    """Draw the answers of the first period and of both, with and without the heaviest patient.

    Parameters
    ----------
    answers : DataFrame
        From ``bayes_msc.crossover_answers``: analysis, patients, median, lower, upper, probability.
    label : str
        What the counts are.
    """
    rows = [
        (
            wrapped(str(item["analysis"]), 34) if item["patients"] == "all" else item["patients"],
            item,
            style.BLUE if item["patients"] == "all" else style.ORANGE,
            f"{item['probability']:.2f}",
        )
        for name in dict.fromkeys(answers["analysis"])
        for item in answers[answers["analysis"] == name].to_dict("records")
    ]
    with style.look():
        figure = style.new_figure(1.1 + 0.36 * len(rows), label)
        axes = figure.subplots()
        _intervals(axes, rows)
        each = answers["patients"].nunique()
        for row in range(each, len(rows), each):
            axes.axhline(row - 0.5, color=style.GREY, linewidth=0.4)
        _heading(axes, "P(RR < 1)")
    return figure


def _intervals(axes: Axes, rows: list[tuple[str, dict[Any, Any], str, str]]) -> None:
    ends = np.log([[item["lower"], item["upper"]] for _, item, _, _ in rows])
    low, high = max(float(ends.min()), -5.0), min(float(ends.max()), 4.0)
    style.ratio_axis(axes, *style.ratio_limits(low, high))
    style.shade_benefit(axes)
    for row, (_, item, colour, _) in enumerate(rows):
        limits = np.log([item["lower"], item["upper"]])
        axes.plot(limits, [row, row], color=colour, solid_capstyle="butt")
        axes.plot(np.log(item["median"]), row, "o", color=colour, markersize=5)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(rows)), [text for *_, text in rows])
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)


def _heading(axes: Axes, text: str) -> None:
    axes.annotate(
        text, (1.0, 1.0), xytext=(4, 3), xycoords="axes fraction", textcoords="offset points",
        fontsize=8, va="bottom",
    )  # fmt: skip
