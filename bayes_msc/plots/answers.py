"""Rate ratios beside each other, each with its interval and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_msc.plots import style
from bayes_msc.plots.evidence import wrapped

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Ends of the axis on the log scale; an interval beyond them ends in an arrow.
_LOW, _HIGH = -4.0, 4.0


def answers(table: pd.DataFrame, heading: str = "P(RR < 1)", label: str = "") -> Figure:
    """Draw rate ratios with their intervals, one below the other.

    Parameters
    ----------
    table : DataFrame
        ``name``; ``median``, ``lower``, ``upper`` of a rate ratio (rows without are named and left
        empty); ``beside``, text at the right; ``ours`` (whether drawn as the answer itself).
    heading : str
        Over the texts at the right.
    label : str
        What the counts are if they are not data.
    """
    known = table[table["median"].notna() & (table["median"] > 0)]
    ends = np.log(known[["lower", "upper"]].clip(lower=1e-9).to_numpy(float))
    low = max(float(ends.min(initial=0.0)), _LOW)
    high = min(float(ends.max(initial=0.0)), _HIGH)
    names = [wrapped(str(name)[:90], 34) for name in table["name"]]
    lines = sum(1 + 0.55 * name.count("\n") for name in names)
    with style.look():
        figure = style.new_figure(0.95 + 0.3 * lines, label)
        axes = figure.subplots()
        style.ratio_axis(axes, *style.ratio_limits(low, high))
        style.shade_benefit(axes)
        left, right = axes.get_xlim()
        for place, row in enumerate(table.to_dict("records")):
            colour = style.BLUE if row["ours"] else style.INK
            if row["median"] == row["median"] and row["median"] > 0:
                start, end = (np.log(max(row[key], 1e-9)) for key in ("lower", "upper"))
                ends_at = [max(start, left), min(end, right)]
                axes.plot(
                    ends_at, [place, place], color=colour, linewidth=2.2 if row["ours"] else 1.4
                )
                for edge, mark, beyond in ((left, "<", start < left), (right, ">", end > right)):
                    if beyond:
                        axes.plot(edge, place, mark, color=colour, markersize=4, clip_on=False)
                mark = "D" if row["ours"] else "o"
                middle = np.log(row["median"])
                if left <= middle <= right:
                    axes.plot(middle, place, mark, color=colour, markersize=5.5)
            axes.annotate(
                str(row["beside"]),
                (1.02, place),
                xycoords=("axes fraction", "data"),
                va="center",
                annotation_clip=False,
            )
        axes.annotate(
            heading,
            (1.02, -0.75),
            xycoords=("axes fraction", "data"),
            va="bottom",
            annotation_clip=False,
        )
        axes.set_yticks(range(len(table)), names)
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure
