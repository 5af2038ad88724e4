"""Figure of several models of one trial: what each says, and how well it foretells patients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_msc.plots import style
from bayes_msc.plots.evidence import wrapped

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PREFIXES = ("crossover-", "count-")


def comparison(models: pd.DataFrame, averages: pd.DataFrame, label: str = "") -> Figure:
    """Draw the rate ratio of each model beside how well the model foretells patients.

    Parameters
    ----------
    models : DataFrame
        ``models`` of a ``bayes_msc.Comparison``: columns model, rate_ratio, lower, upper,
        probability, elpd_difference, difference_se, stacking_weight, told_apart; the best first.
    averages : DataFrame
        Its ``averages``: columns weights, rate_ratio, lower, upper, probability. Rows without
        numbers are left out.
    label : str
        What the counts are if they are not data.

    Notes
    -----
    Bars hold 95 % on the left, and reach two standard errors either way on the right.
    """
    averages = averages[averages["rate_ratio"].notna()]
    total = len(models) + len(averages)
    with style.look():
        figure = style.new_figure(1.1 + 0.42 * total, label)
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.25, 1.0])
        _ratios(left, models, averages)
        _predictions(right, models)
        left.set_ylim(total - 0.4, -0.6)
        for axes in (left, right):
            axes.axhline(len(models) - 0.5, color=style.GREY, linewidth=0.6)
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
    return figure


def _short(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return wrapped(name.replace("-", " "), 22)


def _ratios(axes: Axes, models: pd.DataFrame, averages: pd.DataFrame) -> None:
    ends = [
        np.log([part["lower"].min(), part["upper"].max()])
        for part in (models, averages)
        if len(part)
    ]
    low, high = max(float(np.min(ends)), -5.0), min(float(np.max(ends)), 4.0)
    style.ratio_axis(axes, *style.ratio_limits(low, high))
    style.shade_benefit(axes)
    row = 0
    for part, colour, mark in ((models, style.BLUE, "o"), (averages, style.ORANGE, "D")):
        for item in part.to_dict("records"):
            axes.plot(
                np.log([item["lower"], item["upper"]]), [row, row], color=colour,
                solid_capstyle="butt",
            )  # fmt: skip
            axes.plot(np.log(item["rate_ratio"]), row, mark, color=colour, markersize=5.5)
            row += 1
    names = [_short(str(name)) for name in models["model"]]
    names += [wrapped(f"averaged by {weights}", 22) for weights in averages["weights"]]
    axes.set_yticks(range(row), names)
    right = axes.secondary_yaxis("right")
    values = [*models["probability"], *averages["probability"]]
    right.set_yticks(range(row), [f"{float(value):.3f}" for value in values])
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    _heading(axes, "P(RR < 1)")


def _predictions(axes: Axes, models: pd.DataFrame) -> None:
    axes.axvline(0.0, color=style.INK, linewidth=0.9, zorder=1)
    for row, item in enumerate(models.to_dict("records")):
        colour = style.INK if item["told_apart"] else style.BLUE
        difference, reach = item["elpd_difference"], 2.0 * item["difference_se"]
        axes.plot(
            [difference - reach, difference + reach], [row, row], color=colour,
            solid_capstyle="butt",
        )  # fmt: skip
        axes.plot(difference, row, "s" if item["told_apart"] else "o", color=colour, markersize=5.5)
    axes.set_xlabel("elpd, difference to the best")
    right = axes.secondary_yaxis("right")
    shares = [f"{100 * float(weight):.0f} %" for weight in models["stacking_weight"]]
    right.set_yticks(range(len(models)), shares)
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    _heading(axes, "stacking\nweight")


def _heading(axes: Axes, text: str) -> None:
    """Put a heading over the numbers at the right of a panel."""
    axes.annotate(
        text, (1.0, 1.0), xytext=(4, 3), xycoords="axes fraction", textcoords="offset points",
        fontsize=8, va="bottom",
    )  # fmt: skip
