"""Figures of a trial's course: who was seen when, and what was planned for whom."""

from __future__ import annotations

from itertools import pairwise
from textwrap import fill
from typing import TYPE_CHECKING

from bayes_msc.plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of the arms: dark with white words, light with dark ones, so that grey tells them apart.
_LIGHT = "#e4e7ec"


def flow(table: pd.DataFrame, active: str, unit: str = "scan", label: str = "") -> Figure:
    """Draw the flow of patients: a box for each sequence and period, or for each arm.

    Parameters
    ----------
    table : DataFrame
        From ``bayes_msc.flow.flow``.
    active : str
        Label of the active treatment, which is drawn dark.
    unit : str
        What a row of the trial is, in the singular.
    label : str
        What the counts are if they are not data.
    """
    total = int(table.drop_duplicates("group")["patients"].sum())
    texts = [_counted(row, unit) for _, row in table.iterrows()]
    return _boxes(table.assign(text=texts), f"{total} patients in the analysis", active, label)


def printed_flow(table: pd.DataFrame, active: str) -> Figure:
    """Draw the flow of patients as far as it is printed.

    Parameters
    ----------
    table : DataFrame
        One row a sequence and period, or an arm: ``group``, ``period``, ``treatment``,
        ``patients`` who began and who ``left`` (NaN where not known), ``note``.
    active : str
        Label of the active treatment, which is drawn dark.
    """
    began = table.loc[table["period"] == 1, "patients"]
    top = "patients" if began.isna().any() else f"{began.sum():g} patients"
    texts = [_told(row) for _, row in table.iterrows()]
    return _boxes(table.assign(text=texts), top, active, "")


def _told(row: pd.Series[float]) -> str:
    if row["patients"] != row["patients"]:
        return "numbers not known here"
    lines = [f"{row['patients']:g} patients began"]
    if row["left"] != row["left"]:
        lines.append("who left: not known here")
    elif row["left"]:
        said = f"{row['left']:g} left {row['note']}".strip()
        lines.append(fill(said, 30, max_lines=3, placeholder=" …"))
    return "\n".join(lines)


def _boxes(table: pd.DataFrame, top: str, active: str, label: str) -> Figure:
    """Draw one box a row, with its ``text`` below its treatment."""
    groups = list(dict.fromkeys(table["group"]))
    periods = int(table["period"].max())
    with style.look():
        figure = style.new_figure(1.5 + 1.05 * periods, label)
        axes = figure.subplots()
        axes.set_axis_off()
        axes.set_xlim(-0.5, len(groups) - 0.5)
        axes.set_ylim(-periods - 0.55, 1.5)
        middle = (len(groups) - 1) / 2
        _box(axes, middle, 1.15, top)
        for place, group in enumerate(groups):
            own = table[table["group"] == group]
            n = float(own["patients"].iloc[0])
            size = f": {n:g} patients" if n == n else ""
            corners = [(middle, 1.15), (middle, 0.7), (place, 0.7), (place, -periods)]
            for start, end in pairwise(corners):
                # an arrow without a head: a line would be read out as values
                arrow = {"arrowstyle": "-", "color": style.GREY, "linewidth": 1}
                ends = {"shrinkA": 0, "shrinkB": 0}
                # below the boxes, whichever is drawn first
                axes.annotate("", end, start, arrowprops={**arrow, **ends}, zorder=1)
            _box(axes, place, 0.25, f"{_short(group, len(groups))}{size}")
            for _, row in own.iterrows():
                _period(axes, place, row, active, periods > 1)
    return figure


def _short(text: str, groups: int) -> str:
    most = 64 // groups - 14
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _counted(row: pd.Series[float], unit: str) -> str:
    words = [
        f"{row['seen_patients']:g} of {row['patients']:g} patients seen",
        f"{row['seen']:g} of {row['expected']:g} {unit}s counted",
    ]
    if row["left"]:
        words.append(f"left here: {row['left']:g}")
    return "\n".join(words)


def _period(axes: Axes, place: int, row: pd.Series[float], active: str, several: bool) -> None:
    height = -float(row["period"])
    treatment = str(row["treatment"])
    title = f"Period {row['period']:g}: {treatment}" if several else treatment
    words = title if len(title) <= 30 else f"{title[:29]}…"
    _box(axes, place, height, f"{words}\n{row['text']}", dark=treatment == active)


def _box(axes: Axes, x: float, y: float, text: str, dark: bool | None = None) -> None:
    face = {None: "white", True: style.BLUE, False: _LIGHT}[dark]
    axes.text(
        x,
        y,
        text,
        ha="center",
        va="center",
        fontsize=8.5,
        color="white" if dark else style.INK,
        linespacing=1.35,
        zorder=3,
        bbox={"boxstyle": "round,pad=0.45", "facecolor": face, "edgecolor": style.GREY, "lw": 0.8},
    )


def design(plan: pd.DataFrame, active: str, baseline: bool = False, label: str = "") -> Figure:
    """Draw the design: a bar for each sequence or arm, its treatments in order, and every scan.

    Parameters
    ----------
    plan : DataFrame
        From ``bayes_msc.flow.planned_scans``.
    active : str
        Label of the active treatment, which is drawn dark.
    baseline : bool
        Whether there is a baseline before treatment.
    label : str
        What the counts are if they are not data.
    """
    step = _step(sorted(plan["time"].unique()))
    return _design(plan, active, float(plan["time"].min()) - step, baseline, label)


def printed_design(plan: pd.DataFrame, active: str, baseline: bool = False) -> Figure:
    """Draw the design as far as it is printed: what is not known is an open, dashed bar.

    Parameters
    ----------
    plan : DataFrame
        One row a sequence (or arm), period and planned count: ``group``, ``period``, ``treatment``,
        ``time`` since treatment began (NaN, in one row, where a period's times are not known),
        ``patients`` of the group and ``seen`` (NaN where not known), ``unit``.
    active : str
        Label of the active treatment, which is drawn dark.
    baseline : bool
        Whether there is a count before treatment.
    """
    return _design(plan, active, 0.0, baseline, "")


def _design(plan: pd.DataFrame, active: str, start: float, baseline: bool, label: str) -> Figure:
    groups = list(dict.fromkeys(plan["group"]))
    unit = str(plan["unit"].iloc[0])
    # the beginning of treatment is a time, and no place among scans
    begun = unit != "scan" and start == 0.0
    known = sorted(plan["time"].dropna().unique())
    step = _step(known)
    with style.look():
        figure = style.new_figure(1.1 + 0.85 * len(groups), label)
        axes = figure.subplots()
        end = start
        for place, group in enumerate(groups):
            own = plan[plan["group"] == group]
            right = _bar(axes, place, own, active, start if unit != "scan" else start + step / 2)
            end = max(end, right)
            _scans(axes, place, own)
            if baseline:
                axes.plot(
                    start, place, "D", color="white", markeredgecolor=style.INK, ms=6, zorder=4
                )
        axes.set_yticks(range(len(groups)), [_named(plan, group) for group in groups])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(groups) - 0.35, -0.6)
        axes.spines["left"].set_visible(False)
        times = sorted({*known, *([start] if baseline or begun else [])})
        shown = times if len(times) <= 12 else times[:: -(-len(times) // 12)]
        axes.set_xticks(shown, [f"{time:g}" for time in shown])
        axes.set_xlim(start - 0.45 * step, max(end, *times) + 0.45 * step)
        axes.set_xlabel(unit)
    return figure


def _step(times: list[float]) -> float:
    return min((b - a for a, b in pairwise(times)), default=1.0)


def _named(plan: pd.DataFrame, group: str) -> str:
    patients = float(plan.loc[plan["group"] == group, "patients"].iloc[0])
    return f"{_wrapped(group)}\n{patients:g} patients" if patients == patients else _wrapped(group)


def _wrapped(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:21]}…"


def _bar(axes: Axes, place: int, own: pd.DataFrame, active: str, start: float) -> float:
    """Treatments in order; by time a period ends with its last scan, else midway to the next.

    A period without times is drawn as long as the one before, open. Returns where the bar ends.
    """
    left, length = start, 1.0
    timed = own["unit"].iloc[0] != "scan"
    for _, part in own.groupby("period", sort=True):
        treatment = str(part["treatment"].iloc[0])
        told = bool(part["time"].notna().all())
        right = float(part["time"].max()) + (0.0 if timed else 0.5) if told else left + length
        dark = told and treatment == active
        axes.barh(
            place,
            right - left,
            left=left,
            height=0.56,
            color=("white" if not told else style.BLUE if dark else _LIGHT),
            edgecolor="white" if told else style.GREY,
            linestyle="-" if told else "--",
            linewidth=1.5 if told else 1.0,
            zorder=2,
        )
        name = treatment if len(treatment) <= 26 else f"{treatment[:25]}…"
        axes.text(
            (left + right) / 2,
            place - (0.12 if told else 0),
            name if told else f"{name}\ntimes not known here",
            ha="center",
            va="center",
            color="white" if dark else style.INK,
            fontweight="bold",
            fontsize=8.5,
            zorder=3,
        )
        left, length = right, right - left
    return left


def _scans(axes: Axes, place: int, own: pd.DataFrame) -> None:
    """A mark for each planned scan, hollow where somebody was not seen, with how many were."""
    words = len(own) <= 12
    for _, scan in own.dropna(subset="time").iterrows():
        counted = scan["seen"] == scan["seen"]
        whole = not counted or scan["seen"] == scan["patients"]
        axes.plot(
            scan["time"],
            place + 0.14,
            "o",
            ms=6,
            color=style.INK if whole else "white",
            markeredgecolor="white" if whole else style.ORANGE,
            markeredgewidth=0.8 if whole else 1.6,
            zorder=4,
        )
        if words and counted:
            text = f"{scan['seen']:g} of {scan['patients']:g}"
            axes.text(scan["time"], place + 0.42, text, ha="center", va="center", fontsize=7.5)
