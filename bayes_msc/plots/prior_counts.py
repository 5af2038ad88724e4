"""What the priors expect as counts, beside what was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_msc.plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def prior_counts(counts: pd.DataFrame, events: str = "events", label: str = "") -> Figure:
    """Draw how often the priors expect each count in a new patient, one panel an arm.

    Parameters
    ----------
    counts : DataFrame
        ``counts`` of ``bayes_msc.prior_counts.prior_counts``.
    events : str
        What is counted, in the plural.
    label : str
        What the counts are if they are not data.
    """
    arms = list(dict.fromkeys(counts["treatment"]))
    with style.look():
        figure = style.new_figure(3.0, label)
        panels = figure.subplots(1, len(arms), sharey=True, squeeze=False)[0]
        for axes, arm in zip(panels, arms, strict=True):
            own = counts[counts["treatment"] == arm]
            places = np.arange(len(own))
            axes.bar(places, own["prior"], width=0.8, color="#b9c3d1", label="the priors expect")
            axes.plot(
                places, own["observed"], "D", color=style.BLUE, ms=5, clip_on=False, zorder=3,
                label="were counted in this trial",
            )  # fmt: skip
            axes.set_xticks(
                places, list(own["bin"]), rotation=45, ha="right", rotation_mode="anchor"
            )
            axes.set_title(str(arm) if len(str(arm)) <= 34 else f"{str(arm)[:33]}…")
            axes.set_xlabel(f"{events} in one count" if len(events) <= 30 else "one count")
        top = float(max(counts["prior"].max(), counts["observed"].max()))
        panels[0].set_ylim(0, 1.08 * top)
        step = next(s for s in (0.05, 0.1, 0.2, 0.25) if top / s <= 5)
        ticks = np.arange(0, 1.08 * top, step)
        panels[0].set_yticks(ticks, [f"{100 * tick:.0f} %" for tick in ticks])
        panels[0].set_ylabel("share of counts")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure
