"""Figures of simulated trials: success, its errors, sample size, calibration."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_msc.plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Columns that tell the curves of a figure apart.
SERIES = ("design", "model", "prior", "rule")
_NORMAL = 1.959964
_PANELS = 4
_BAND = "bands: 95 %, from the number of trials"


def success_curves(table: pd.DataFrame, label: str = "simulated trials, not data") -> Figure:
    """Draw how often each rule succeeds against the true rate ratio.

    Parameters
    ----------
    table : DataFrame
        ``Characteristics.table``. One curve a design, model, prior and rule; at a rate ratio of 1
        a success is an error.
    label : str
        What tops the figure.

    Notes
    -----
    The bands are 95 % intervals from the number of simulated trials, not of anything clinical.
    """
    with style.look():
        figure = style.new_figure(3.6, label)
        axes = figure.subplots()
        _curves(axes, table, "success")
        style.percent_axis(axes)
        axes.set_ylabel("trials that meet the rule")
        axes.axhline(0.05, color=style.GREY, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(
            "5 %", (1, 0.05), (2, 2), ("axes fraction", "data"), "offset points",
            fontsize=7.5, color=style.GREY, ha="right",
        )  # fmt: skip
        _key(figure, axes)
    return figure


def sign_and_size(table: pd.DataFrame, label: str = "simulated trials, not data") -> Figure:
    """Draw what a success is worth: how often its sign is wrong, how much it exaggerates.

    Parameters
    ----------
    table : DataFrame
        ``Characteristics.table``; truths of no effect have neither error.
    label : str
        What tops the figure.
    """
    some = table[~table["is_null"] & np.isfinite(table["type_m"])]
    with style.look():
        figure = style.new_figure(4.9, label)
        upper, lower = figure.subplots(2, 1, sharex=True)
        _curves(upper, some, "type_s")
        top = float((some["type_s"] + _NORMAL * some["type_s_mcse"]).max())
        upper.set_ylim(0, min(max(0.05, 1.1 * top), 1.0))
        upper.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %")
        upper.set_ylabel("on the wrong side of 1")
        upper.set_title("Successes with the wrong sign (type S)")
        _curves(lower, some, "type_m")
        lower.set_ylim(bottom=0)
        lower.axhline(1.0, color=style.INK, linewidth=0.9, zorder=1)
        lower.set_ylabel("estimate / truth, in logs")
        lower.set_title("How much successes exaggerate (type M)")
        upper.set_xlabel("")
        _key(figure, upper)
    return figure


def success_map(table: pd.DataFrame, label: str = "simulated trials, not data") -> Figure:
    """Draw success as a map of designs and truths, one panel a model, prior and rule.

    Parameters
    ----------
    table : DataFrame
        ``Characteristics.table``.
    label : str
        What tops the figure.
    """
    keys = [name for name in SERIES[1:] if len(table[name].unique()) > 1] or ["rule"]
    groups = list(table.groupby(keys, sort=False, observed=True))
    shown = groups[:_PANELS]
    designs = list(dict.fromkeys(table["design"]))
    truths = list(dict.fromkeys(table["truth"]))
    words = [textwrap.fill(str(name), max(12, 52 // len(truths))) for name in truths]
    height = 0.34 * len(designs) * max(1, max(len(str(d)) for d in designs) // 24)
    below = 0.16 * max(text.count("\n") for text in words)
    with style.look():
        figure = style.new_figure(1.0 + below + len(shown) * (0.5 + height), label)
        panels = np.ravel(figure.subplots(len(shown), 1, sharex=True, squeeze=False))
        for axes, (key, group) in zip(panels, shown, strict=True):
            _map(axes, group, designs, truths)
            axes.set_title(_name(key), fontsize=8.5)
        panels[-1].set_xticks(range(len(truths)), words)
        left_out = len(groups) - len(shown)
        more = f"; {left_out} more panels are left out" if left_out else ""
        panels[-1].set_xlabel(f"truth (trials that meet the rule ± Monte Carlo error{more})")
    return figure


def _map(axes: Axes, group: pd.DataFrame, designs: list[str], truths: list[str]) -> None:
    grid = np.full((len(designs), len(truths)), np.nan)
    columns = ["design", "truth", "success", "success_mcse"]
    for design, truth, success, error in group[columns].itertuples(index=False):
        i, j = designs.index(design), truths.index(truth)
        grid[i, j] = success
        text = f"{100 * success:.0f} ± {100 * error:.1f} %"
        colour = "white" if success > 0.55 else style.INK
        axes.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
    axes.imshow(grid, cmap="Blues", vmin=0, vmax=1.05, aspect="auto")
    axes.set_yticks(range(len(designs)), [textwrap.fill(str(name), 24) for name in designs])
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def sample_size_curve(
    curve: pd.DataFrame,
    simulated: pd.DataFrame,
    target: float,
    patients: int | None,
    interval: tuple[float, float] = (math.nan, math.nan),
    label: str = "simulated trials, not data",
    ceiling: float | None = None,
) -> Figure:
    """Draw the probability of success against the number of patients, and where it is enough.

    Parameters
    ----------
    curve, simulated, target, patients, interval
        Of ``bayes_msc.simulation.sizing.SampleSize``.
    label : str
        What tops the figure.
    ceiling : float, optional
        What no number of patients gets beyond: of an assurance, the probability of a benefit.
    """
    with style.look():
        figure = style.new_figure(3.3, label)
        axes = figure.subplots()
        axes.fill_between(
            curve["patients"], curve["lower"], curve["upper"], color=style.BLUE, alpha=0.18, lw=0,
            label="95 % band of the curve",
        )  # fmt: skip
        axes.plot(curve["patients"], curve["success"], color=style.BLUE, label="curve")
        axes.errorbar(
            simulated["patients"], simulated["success"], _NORMAL * simulated["success_mcse"],
            fmt="o", markersize=4, color=style.INK, elinewidth=0.9, label="simulated (bars: 95 %)",
        )  # fmt: skip
        style.percent_axis(axes)
        axes.axhline(
            target, color=style.ORANGE, linewidth=1, linestyle=(0, (4, 2)),
            label=f"wanted: {100 * target:.3g} %",
        )  # fmt: skip
        if ceiling is not None:
            axes.axhline(
                ceiling, color=style.GREEN, linewidth=1.2, linestyle=(0, (1, 1.4)),
                label=f"ceiling: P(benefit) = {ceiling:.2f}",
            )  # fmt: skip
        if patients is not None:
            _mark(axes, patients, interval, float(curve["patients"].max()))
        axes.set_xlabel("patients")
        axes.set_ylabel("trials that succeed")
        _key(figure, axes)
    return figure


def _mark(axes: Axes, patients: int, interval: tuple[float, float], top: float) -> None:
    """Mark the number of patients that is enough, and its interval."""
    low, high = interval[0], min(interval[1], top)
    axes.axvspan(
        low, high, color=style.ORANGE, alpha=0.14, linewidth=0, label="95 % interval of the number"
    )
    axes.axvline(patients, color=style.ORANGE, linewidth=1)
    axes.annotate(
        f"{patients} patients", (patients, 0.03), (4, 0), textcoords="offset points",
        color=style.ORANGE, fontsize=8.5,
    )  # fmt: skip


def calibration_curves(
    curves: pd.DataFrame, title: str = "", names: dict[str, str] | None = None
) -> Figure:
    """Draw how far the ranks of each quantity stray from uniform, in their simultaneous bands.

    Parameters
    ----------
    curves : DataFrame
        ``Calibration.curves``: a curve that leaves its band speaks against the model.
    title : str
    names : dict of str to str, optional
        Words for the quantities.
    """
    quantities = list(dict.fromkeys(curves["quantity"]))
    columns = min(4, len(quantities))
    lines = math.ceil(len(quantities) / columns)
    with style.look():
        figure = style.new_figure(0.8 + 1.45 * lines)
        figure.suptitle(title, fontsize=9)
        panels = np.ravel(figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False))
        for axes, quantity in zip(panels, quantities, strict=False):
            one = curves[curves["quantity"] == quantity]
            axes.fill_between(
                one["share"], one["lower"], one["upper"], color=style.BLUE, alpha=0.18, lw=0
            )
            axes.axhline(0, color=style.GREY, linewidth=0.7)
            axes.plot(one["share"], one["difference"], color=style.BLUE, linewidth=1.3)
            words = (names or {}).get(quantity, quantity.replace("_", " "))
            axes.set_title(words, fontsize=8, fontweight="normal")
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        for empty in range(len(quantities), len(panels)):
            panels[empty].set_visible(False)
            panels[empty - columns].tick_params(labelbottom=True)
        figure.supxlabel("posterior probability below the truth", fontsize=8.5)
        figure.supylabel("ECDF minus uniform", fontsize=8.5)
    return figure


def _curves(axes: Axes, table: pd.DataFrame, what: str) -> None:
    keys = [name for name in SERIES if len(table[name].unique()) > 1] or ["rule"]
    for i, (key, group) in enumerate(table.groupby(keys, sort=False, observed=True)):
        line = group.sort_values("rate_ratio")
        x, y = np.log(line["rate_ratio"]), line[what]
        error = _NORMAL * line[f"{what}_mcse"]
        colour = style.SERIES[i % len(style.SERIES)]
        low = np.maximum(y - error, 0.0)
        axes.fill_between(x, low, y + error, color=colour, alpha=0.15, lw=0)
        axes.plot(
            x, y, color=colour, linestyle=style.DASHES[i % len(style.DASHES)],
            marker="o", markersize=3, label=_name(key),
        )  # fmt: skip
    axes.fill_between([], [], color=style.GREY, alpha=0.25, lw=0, label=_BAND)
    logs = np.log(table["rate_ratio"])
    low, high = style.ratio_limits(float(logs.min()), float(logs.max()))
    style.ratio_axis(axes, low, high, "true rate ratio")


def _name(key: Any) -> str:
    parts = [key] if isinstance(key, str) else list(key)
    return ", ".join(str(part) for part in parts if str(part))


def _key(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    widest = max((len(name) for name in names), default=0)
    figure.legend(handles, names, loc="outside lower center", ncols=1 if widest > 40 else 2)
