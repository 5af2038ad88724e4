"""Figures of other trials: forest of a meta-analysis, priors made of it, the next trial."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bayes_msc.plots import style
from bayes_msc.plots.evidence import wrapped

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FARTHEST = (-5.0, 4.0)


def meta_forest(
    effects: pd.DataFrame, summary: pd.DataFrame, benefit: str = "lower", label: str = ""
) -> Figure:
    """Draw trials as reported and as drawn towards each other, the mean effect and a new trial.

    Parameters
    ----------
    effects, summary : DataFrame
        Of a ``MetaAnalysis``.
    benefit : str
        ``lower`` or ``higher``: which rates are good.
    label : str
        What the counts are if they are not data.
    """
    ends = [effects["lower"], summary["lower"], effects["upper"], summary["upper"]]
    low = max(math.log(min(column.min() for column in ends[:2])), _FARTHEST[0])
    high = min(math.log(max(column.max() for column in ends[2:])), _FARTHEST[1])
    trials, rows = len(effects), len(effects) + len(summary)
    with style.look():
        figure = style.new_figure(1.3 + 0.5 * rows, label)
        axes = figure.subplots()
        style.ratio_axis(axes, *style.ratio_limits(low, high))
        style.shade_benefit(axes, benefit)
        for row, item in enumerate(effects.to_dict("records")):
            _interval(axes, row - 0.1, item["lower"], item["upper"], style.INK)
            size = 3 + 6 * math.sqrt(item["share"])
            axes.plot(
                math.log(item["rate_ratio"]), row - 0.1, "s", color=style.INK, markersize=size
            )
            _interval(axes, row + 0.22, item["own_lower"], item["own_upper"], style.BLUE)
            axes.plot(math.log(item["own_ratio"]), row + 0.22, "o", color=style.BLUE, markersize=4)
        for row, item in enumerate(summary.to_dict("records"), trials):
            _interval(axes, row, item["lower"], item["upper"], style.ORANGE)
            axes.plot(math.log(item["rate_ratio"]), row, "D", color=style.ORANGE, markersize=6)
        axes.axhline(trials - 0.5, color=style.GREY, linewidth=0.6)
        _names(axes, effects, summary)
        handles = [
            axes.plot([], [], "s-", color=style.INK, label="as reported (size: share)")[0],
            axes.plot([], [], "o-", color=style.BLUE, label="own effect, given all trials")[0],
            axes.plot([], [], "D-", color=style.ORANGE, label="all trials together")[0],
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _interval(axes: Axes, row: float, low: float, high: float, colour: str) -> None:
    axes.plot(np.log([low, high]), [row, row], color=colour, solid_capstyle="butt")


def _names(axes: Axes, effects: pd.DataFrame, summary: pd.DataFrame) -> None:
    words = {"mean effect": "mean effect", "new trial": "effect in a new trial\n(prediction)"}
    names = [wrapped(name, 30) for name in effects["trial"]]
    relevance = effects["relevance"]
    names = [
        name if r == 1 else f"{name}\n(relevance {r:g})"
        for name, r in zip(names, relevance, strict=True)
    ]
    names += [words.get(target, target) for target in summary["target"]]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    right = axes.secondary_yaxis("right")
    columns = ["rate_ratio", "lower", "upper"]
    cells = [*effects[columns].to_numpy().tolist(), *summary[columns].to_numpy().tolist()]
    right.set_yticks(range(len(names)), [f"{m:.2f} ({a:.2f} to {b:.2f})" for m, a, b in cells])
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)


def priors(densities: pd.DataFrame, title: str = "rate ratio", label: str = "") -> Figure:
    """Draw priors of a log ratio or log rate over each other.

    Parameters
    ----------
    densities : DataFrame
        Columns prior, value (on the log scale), density: from ``evidence.prior_densities``.
    title : str
        What the horizontal axis shows, after exponentiation.
    label : str
        What the counts are if they are not data.
    """
    seen = densities[densities["density"] > 0.02 * densities["density"].max()]
    low, high = float(seen["value"].min()), float(seen["value"].max())
    with style.look():
        figure = style.new_figure(3.1, label)
        axes = figure.subplots()
        style.ratio_axis(axes, low, high, title)
        for number, name in enumerate(dict.fromkeys(densities["prior"])):
            rows = densities[densities["prior"] == name]
            axes.plot(
                rows["value"],
                rows["density"],
                color=style.SERIES[number % len(style.SERIES)],
                linestyle=style.DASHES[number % len(style.DASHES)],
                label=name,
            )
        axes.set_ylim(bottom=0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def next_trial(table: pd.DataFrame, benefit: str = "lower", label: str = "") -> Figure:
    """Draw what the next trial will find, against its size.

    Parameters
    ----------
    table : DataFrame
        From ``next_trial``, one row a number of patients.
    benefit : str
        ``lower`` or ``higher``: which rates are good.
    label : str
        What the counts are if they are not data.
    """
    side, other = ("below", "above") if benefit == "lower" else ("above", "below")
    curves = {
        f"probability_{side}_1": f"finds a rate ratio {side} 1",
        f"probability_interval_{side}_1": f"its 95 % interval lies {side} 1",
        f"probability_interval_{other}_1": f"its 95 % interval lies {other} 1: harm",
    }
    with style.look():
        figure = style.new_figure(3.1, label)
        axes = figure.subplots()
        sizes = table["patients"].to_numpy(dtype=float)
        for number, (column, words) in enumerate(curves.items()):
            if column in table:
                axes.plot(
                    sizes,
                    table[column],
                    color=style.SERIES[number],
                    linestyle=style.DASHES[number],
                    label=words,
                )
        axes.set_xlim(left=0)
        style.percent_axis(axes)
        axes.grid(axis="y", color="#c9d0da", linewidth=0.6)
        axes.set_xlabel("patients in the next trial")
        axes.set_ylabel("probability")
        figure.legend(loc="outside lower center", ncols=2)
    return figure
