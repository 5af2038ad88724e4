"""Figures that hold the counts against the fitted model: rootogram and LOO-PIT."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_msc.plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FREQUENCIES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
MOST_FREQUENCIES = 5
#: Most patients that get a mark of their own under the curve.
MARKED = 60


def rootogram(table: pd.DataFrame, events: str = "events", label: str = "") -> Figure:
    """Draw how often each count was observed, hung from how often the fit expects it.

    Parameters
    ----------
    table : DataFrame
        What ``bayes_msc.rootogram`` returned: columns group, count (one count or a range, as
        text), observed, expected, lower, upper. One panel a group.
    events : str
        What is counted.
    label : str
        What the counts are if they are not data.

    Notes
    -----
    Square roots of the frequencies, so that rare counts remain visible (Tukey 1972). A bar is as
    long as the root of the observed frequency and hangs from the expected one: it ends on the
    line at 0 if both agree, above it if the count was seen less often than expected, below it if
    more often. The band holds 95 % of the ends in trials drawn from the fit.
    """
    names = list(dict.fromkeys(table["group"]))
    with style.look():
        figure = style.new_figure(0.9 + 1.55 * len(names), label)
        panels = np.ravel(figure.subplots(len(names), 1, sharex=True, squeeze=False))
        for axes, name in zip(panels, names, strict=True):
            _hanging(axes, table[table["group"] == name], name)
        counts = [str(count) for count in dict.fromkeys(table["count"])]
        slant = 50 if sum(len(count) for count in counts) > 30 else 0
        panels[-1].set_xticks(
            range(len(counts)), counts, rotation=slant, ha="right" if slant else "center",
            rotation_mode="anchor",
        )  # fmt: skip
        panels[-1].set_xlabel(events)
        figure.supylabel("rows with this count (square-root scale)", fontsize=9)
        figure.legend(*_keys(panels), loc="outside lower center", ncols=4)
    return figure


def _hanging(axes: Axes, part: pd.DataFrame, name: str) -> None:
    x = np.arange(len(part))
    observed, expected, lower, upper = (
        np.sqrt(part[column].to_numpy(dtype=float))
        for column in ("observed", "expected", "lower", "upper")
    )
    inside = (lower <= observed) & (observed <= upper)
    axes.bar(
        x, upper - lower, 0.86, bottom=expected - upper, color=style.BLUE, alpha=0.22, linewidth=0,
        label="95 % of trials drawn",
    )  # fmt: skip
    for which, colour, text in (
        (inside, style.GREY, "observed"),
        (~inside, style.ORANGE, "observed, outside"),
    ):
        if which.any():
            axes.bar(
                x[which], -observed[which], 0.42, bottom=expected[which], color=colour, alpha=0.75,
                linewidth=0, label=text,
            )  # fmt: skip
    # a count that was expected and never seen has a bar of no length
    axes.plot(x[~inside], (expected - observed)[~inside], "D", color=style.ORANGE, markersize=3.5)
    axes.axhline(0.0, color=style.INK, linewidth=0.9)
    axes.plot(x, expected, "-o", color=style.BLUE, markersize=3.5, label="expected")
    axes.set_title(name)
    axes.tick_params(axis="x", length=0)
    bottom = float(np.min(expected - np.maximum(upper, observed)))
    axes.set_ylim(1.06 * bottom - 0.05, 1.06 * float(expected.max()) + 0.15)
    axes.set_xlim(-0.6, len(part) - 0.4)
    _frequency_ticks(axes, float(expected.max()))


def _keys(panels: Iterable[Axes]) -> tuple[list[Any], list[str]]:
    """Legend entries of several panels, each name once."""
    found: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    return list(found.values()), list(found)


def _frequency_ticks(axes: Axes, top: float) -> None:
    """Label the expected frequencies above the line; below it only differences of roots lie."""
    shown = [value for value in FREQUENCIES if np.sqrt(value) <= max(1.0, 1.1 * top)]
    if len(shown) > MOST_FREQUENCIES:
        shown = [0, *shown[-1:0:-2][::-1]]
    axes.set_yticks(np.sqrt(shown), [str(value) for value in shown])


def loo_pit(curve: pd.DataFrame, table: pd.DataFrame, label: str = "") -> Figure:
    """Draw how far the patients' places in their predictions are from evenly spread.

    Parameters
    ----------
    curve : DataFrame
        What ``bayes_msc.loo_pit_curve`` returned: columns group, patients, u, difference, lower,
        upper. One panel a group.
    table : DataFrame
        What ``bayes_msc.loo_pit`` returned, of which the curve was made: columns group, below,
        at_or_below, ok. Up to 60 of its rows are marked below the curve, each from the predicted
        probability of a smaller count to that of one as small or smaller.
    label : str
        What the counts are if they are not data.

    Notes
    -----
    The horizontal axis is the probability of a smaller count, predicted from the other patients.
    The shaded band holds the whole curve in 95 % of trials if the predictions are right.
    """
    names = list(dict.fromkeys(curve["group"]))
    marked = bool((table["group"].value_counts() <= MARKED).all())
    heights = [3.0, 1.4 if marked else 0.01]
    with style.look():
        figure = style.new_figure(3.9 if marked else 2.9, label)
        grid = figure.subplots(
            2, len(names), squeeze=False, sharex=True, sharey="row",
            gridspec_kw={"height_ratios": heights},
        )  # fmt: skip
        for column, name in enumerate(names):
            _difference(grid[0, column], curve[curve["group"] == name], name)
            grid[int(marked), column].set_xlabel("predicted P(smaller count)")
            if marked:
                _places(grid[1, column], table[table["group"] == name])
            else:
                grid[1, column].remove()
                grid[0, column].tick_params(labelbottom=True)
        grid[0, 0].set_ylabel("share up to here,\nminus even share")
        if marked:
            grid[1, 0].set_ylabel("one by one")
        if marked and not table["ok"].all():
            handles, labels = _keys(grid[1])
            figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _difference(axes: Axes, part: pd.DataFrame, name: str) -> None:
    axes.fill_between(
        part["u"], part["lower"], part["upper"], step="mid", color=style.BLUE, alpha=0.18,
        linewidth=0,
    )  # fmt: skip
    axes.axhline(0.0, color=style.GREY, linewidth=0.8)
    axes.plot(part["u"], part["difference"], color=style.INK)
    axes.set_title(f"{name} ({part['patients'].iloc[0]} patients)")
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "50 %", "", "100 %"])


def _places(axes: Axes, part: pd.DataFrame) -> None:
    part = part.assign(middle=(part["below"] + part["at_or_below"]) / 2).sort_values("middle")
    y = np.arange(len(part))
    ok = part["ok"].to_numpy(dtype=bool)
    for which, colour, text in (
        (ok, style.INK, "reweighting reliable"),
        (~ok, style.ORANGE, "patient too influential (Pareto k 0.7 or more)"),
    ):
        if which.any():
            own = part[which]
            axes.hlines(
                y[which], own["below"], own["at_or_below"], color=colour, linewidth=1.4, label=text
            )
            axes.plot(own["middle"], y[which], "o", color=colour, markersize=2.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    for quarter in (0.25, 0.5, 0.75):
        axes.axvline(quarter, color="#c9d0da", linewidth=0.6, zorder=0)
