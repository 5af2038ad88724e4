"""Figures of what the prior does to the answer: the map of priors, and the answer by stance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_msc.errors import OutputError
from bayes_msc.plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayes_msc.rule import Rule

#: Limits of the shades of a probability.
LEVELS = (0.0, 0.2, 0.5, 0.8, 0.9, 0.95, 0.975, 1.0)
SHADES = (
    "#fff5e6",
    "#fbdcae",
    "#d9cbb4",
    "#a9bfd6",
    "#7da3c8",
    "#4a7fb0",
    "#1d4e80",
)
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_SD_TICKS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0)
_Z = 1.96


def prior_map(cells: pd.DataFrame, stances: pd.DataFrame, rule: Rule, label: str = "") -> Figure:
    """Draw the answer over prior mean and prior SD, with the known stances marked.

    Two panels with the probabilities of benefit, two with the ends of the 95 % interval.

    Parameters
    ----------
    cells, stances : DataFrame
        From ``bayes_msc.sensitivity.prior_map``.
    rule : Rule
        Its line is drawn in the panel with its threshold.
    label : str
        What the counts are if they are not data.

    Raises
    ------
    OutputError
        If there are fewer than two means or two SDs: that is no map.
    """
    if min(cells["prior_mean"].nunique(), cells["prior_sd"].nunique()) < 2:
        raise OutputError("a map is drawn from at least two prior means and two prior SDs")
    chances = [str(name) for name in cells if str(name).startswith("prob_")]
    own = f"prob_{'below' if rule.benefit == 'lower' else 'above'}_{rule.threshold:g}"
    # at most two: the rule's own first
    shown = [own, *(name for name in chances if name != own)][:2]
    with style.look():
        figure = style.new_figure(6.3, label)
        grid = np.ravel(figure.subplots(2, 2, sharex=True, sharey=True))
        for axes, name in zip(grid, shown, strict=False):
            filled = _probability_panel(axes, cells, name, rule if name == own else None)
        for axes in grid[len(shown) : 2]:
            axes.set_visible(False)
        _limit_panel(grid[2], cells, "lower", "lower end of the 95 % interval")
        _limit_panel(grid[3], cells, "upper", "upper end of the 95 % interval")
        for axes in grid:
            _prior_axes(axes, cells)
            _mark(axes, stances, cells)
        for axes in grid[2:]:
            axes.set_xlabel("rate ratio expected beforehand")
        for axes in grid[::2]:
            axes.set_ylabel("prior: 95 % within ×/÷ this")
        bar = figure.colorbar(filled, ax=grid[:2].tolist(), shrink=0.9, pad=0.01)
        bar.set_ticks(list(LEVELS), labels=[f"{level:g}" for level in LEVELS])
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _table(cells: pd.DataFrame, column: str) -> Any:
    return cells.pivot_table(index="prior_sd", columns="prior_mean", values=column)


def _probability_panel(axes: Axes, cells: pd.DataFrame, name: str, rule: Rule | None) -> Any:
    table = _table(cells, name)
    x, y, z = table.columns.to_numpy(), table.index.to_numpy(), table.to_numpy()
    filled = axes.contourf(x, y, z, levels=LEVELS, colors=SHADES)
    _, side, threshold = name.split("_")
    axes.set_title(f"P(rate ratio {'<' if side == 'below' else '>'} {threshold})")
    if rule is not None and z.min() < rule.probability < z.max():
        axes.contour(x, y, z, levels=[rule.probability], colors=[style.INK], linewidths=1.8)
        axes.plot([], [], color=style.INK, linewidth=1.8, label=f"the rule: {rule.words()}")
    return filled


def _limit_panel(axes: Axes, cells: pd.DataFrame, column: str, title: str) -> None:
    table = _table(cells, column)
    x, y, z = table.columns.to_numpy(), table.index.to_numpy(), np.log(table.to_numpy())
    levels = [k for k in _levels(float(z.min()), float(z.max())) if abs(k) > 1e-9]
    lines = axes.contour(
        x, y, z, levels=levels, colors=[style.GREY], linewidths=0.9, linestyles="-"
    )
    axes.clabel(lines, fmt=lambda k: f"{math.exp(k):.3g}", fontsize=7.5, colors=style.INK)
    if z.min() < 0 < z.max():
        one = axes.contour(x, y, z, levels=[0.0], colors=[style.ORANGE], linewidths=1.8)
        axes.clabel(one, fmt=lambda k: "1", fontsize=8.5)
    axes.set_title(title)


def _levels(low: float, high: float) -> list[float]:
    """Round rate ratios between two ends on the log scale."""
    for steps in ((1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), (1, 2, 5)):
        ratios = [s * 10.0**p for p in range(-4, 5) for s in steps]
        found = [math.log(r) for r in ratios if low < math.log(r) < high]
        if len(found) <= 9:
            return found
    return found


def _prior_axes(axes: Axes, cells: pd.DataFrame) -> None:
    low, high = float(cells["prior_mean"].min()), float(cells["prior_mean"].max())
    ticks = [r for r in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5) if low <= math.log(r) <= high]
    axes.set_xlim(low, high)
    axes.set_xticks([math.log(r) for r in ticks], [f"{r:g}" for r in ticks])
    narrow, wide = float(cells["prior_sd"].min()), float(cells["prior_sd"].max())
    axes.set_yscale("log")
    axes.set_ylim(narrow, wide)
    sds = [s for s in _SD_TICKS if narrow <= s <= wide]
    axes.set_yticks(sds, [_fold(math.exp(_Z * s)) for s in sds])
    axes.minorticks_off()
    if low < 0 < high:
        axes.axvline(0.0, color=style.INK, linewidth=0.7, linestyle=(0, (2, 3)))


def _fold(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _mark(axes: Axes, stances: pd.DataFrame, cells: pd.DataFrame) -> None:
    inside = stances[
        stances["prior_mean"].between(cells["prior_mean"].min(), cells["prior_mean"].max())
        & stances["prior_sd"].between(cells["prior_sd"].min(), cells["prior_sd"].max())
    ]
    for mark, row in zip(MARKS, inside.to_dict("records"), strict=False):
        axes.plot(
            row["prior_mean"],
            row["prior_sd"],
            mark,
            markersize=6.5,
            markerfacecolor="white",
            markeredgecolor=style.INK,
            linestyle="none",
            clip_on=False,
            zorder=5,
            label=row["stance"] + ("" if row["exact_place"] else " (mean and SD)"),
        )


def stance_answers(table: pd.DataFrame, rule: Rule, label: str = "") -> Figure:
    """Draw the rate ratio with its 95 % interval under each stance, the probability beside it.

    Parameters
    ----------
    table : DataFrame
        From ``bayes_msc.sensitivity.stance_table``.
    rule : Rule
        Whose statement's probability is written at the right; bold where the rule is met.
    label : str
        What the counts are if they are not data.
    """
    column = f"prob_{'below' if rule.benefit == 'lower' else 'above'}_{rule.threshold:g}"
    places: Sequence[float] = list(range(len(table)))[::-1]
    with style.look():
        figure = style.new_figure(0.9 + 0.38 * len(table), label)
        axes = figure.subplots()
        ends = np.log(table[["lower", "upper"]].to_numpy(float))
        style.ratio_axis(axes, *style.ratio_limits(float(ends.min()), float(ends.max()), 0.06))
        style.shade_benefit(axes, rule.benefit)
        for place, row in zip(places, table.to_dict("records"), strict=True):
            low, middle, high = (math.log(row[name]) for name in ("lower", "median", "upper"))
            axes.plot([low, high], [place, place], color=style.BLUE, linewidth=2.2)
            axes.plot(middle, place, "o", color=style.BLUE, markersize=6)
            axes.annotate(
                f"{row[column]:.3f}",
                (1.02, place),
                xycoords=("axes fraction", "data"),
                va="center",
                fontweight="bold" if row["rule_met"] else "normal",
                annotation_clip=False,
            )
        axes.annotate(
            rule.statement,
            (1.02, len(table) - 0.35),
            xycoords=("axes fraction", "data"),
            va="bottom",
            annotation_clip=False,
        )
        axes.set_yticks(places, [str(name) for name in table["stance"]])
        axes.set_ylim(-0.6, len(table) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure
