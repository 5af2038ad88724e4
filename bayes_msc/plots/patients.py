"""Figures of patients: what was counted in each, and how far each lies from the typical one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_msc.plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayes_msc.trial import Trial

#: Patients whose names fit beside a figure of one page, and inches of the tallest figure.
NAMED, TALLEST = 60, 8.5
PANELS = 24


def trajectories(trial: Trial) -> Figure:
    """Draw every patient's counts over time, treatment periods shaded, missing scans marked.

    Up to 24 patients get a panel each; more are drawn as lines, one panel an arm.

    Parameters
    ----------
    trial : Trial
        The trial; what its counts are, if not data, is written on the figure.
    """
    data, time = _with_time(trial.data)
    if time == "scan" and trial.exposure_unit != "scan":
        time = "visit"
    with style.look():
        if trial.n_patients <= PANELS:
            return _panel_a_patient(trial, data, time)
        return _panel_an_arm(trial, data, time)


def _with_time(data: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Add the column ``time``: the month, else the scan, else the row's place in its patient."""
    for name in ("month", "scan"):
        if name in data and data[name].notna().all():
            if name == "scan" and data.duplicated(["patient", "scan"]).any():
                break
            return data.assign(time=data[name].astype(float)), name
    order = data.groupby("patient", sort=False).cumcount() + 1.0
    counted = "period" if "period" in data and (order == data["period"]).all() else "visit"
    return data.assign(time=order), counted


def _top(trial: Trial, data: pd.DataFrame) -> float:
    highest = float(data["count"].max())
    return max(highest, float(data["baseline"].max())) if trial.has_baseline else highest


def _panel_a_patient(trial: Trial, data: pd.DataFrame, time: str) -> Figure:
    columns = min(5 if trial.n_patients > 12 else 3, trial.n_patients)
    rows = -(-trial.n_patients // columns)
    figure = style.new_figure(0.9 + 1.35 * rows, trial.label)
    grid = np.ravel(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False))
    times = sorted(data["time"].unique())
    start = times[0] - _gap(times)
    for axes, (patient, own) in zip(grid, data.groupby("patient", sort=False), strict=False):
        _patient(axes, str(patient), own, trial, start, time)
    style.count_axis(grid[0], _top(trial, data))
    shown = times if len(times) <= 6 else times[:: -(-len(times) // 6)]
    grid[0].set_xticks(shown, [f"{value:g}" for value in shown])
    grid[0].set_xlim(start - 0.35 * _gap(times), times[-1] + 0.35 * _gap(times))
    for axes in grid[trial.n_patients :]:
        axes.remove()
    for axes in grid[trial.n_patients - columns : trial.n_patients]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(time)
    figure.supylabel(trial.endpoint, fontsize=9)
    _legend(figure, trial, data)
    return figure


def _gap(times: list[float]) -> float:
    return min(np.diff(times)) if len(times) > 1 else 1.0


def _patient(
    axes: Axes, name: str, own: pd.DataFrame, trial: Trial, start: float, time: str
) -> None:
    for left, right, treatment in _spans(own, start, time):
        axes.axvspan(left, right, color=_shade(treatment, trial), zorder=0, linewidth=0)
    seen = own[own["count"].notna()]
    unseen = own[own["count"].isna()]
    axes.plot(seen["time"], seen["count"], color=style.INK, linewidth=1.1, zorder=2)
    for treatment, mark in ((trial.control, "o"), (trial.active, "s")):
        part = seen[seen["treatment"] == treatment]
        if part.empty:  # an empty line that is not clipped would take the whole figure
            continue
        axes.plot(
            part["time"],
            part["count"],
            mark,
            color=_colour(treatment, trial),
            markersize=4.5,
            clip_on=False,
            zorder=3,
        )
    if len(unseen):
        zeros = np.zeros(len(unseen))
        axes.plot(unseen["time"], zeros, "x", color=style.ORANGE, markersize=6, zorder=3)
    if "baseline" in own:
        axes.plot(
            start,
            own["baseline"].iloc[0],
            "o",
            markerfacecolor="white",
            markeredgecolor=style.GREY,
            markersize=4.5,
            clip_on=False,
            zorder=3,
        )
    axes.set_title(name if len(name) <= 18 else f"{name[:17]}…", fontsize=8.5)


def _spans(own: pd.DataFrame, start: float, time: str) -> list[tuple[float, float, str]]:
    """Give left edge, right edge and treatment of each period.

    A scan closes the time before it, so by month a period runs from the last scan of the one
    before; by visit number the edge lies midway.
    """
    blocks = (own["treatment"] != own["treatment"].shift()).cumsum()
    spans: list[tuple[float, float, str]] = []
    for _, block in own.groupby(blocks, sort=False):
        first, last = float(block["time"].min()), float(block["time"].max())
        if time == "month":
            left = spans[-1][1] if spans else start
            right = last
        else:
            left, right = first - 0.5, last + 0.5
        spans.append((left, right, str(block["treatment"].iloc[0])))
    return spans


def _shade(treatment: str, trial: Trial) -> str:
    return style.BENEFIT if treatment == trial.active else "#ececec"


def _colour(treatment: str, trial: Trial) -> str:
    return style.BLUE if treatment == trial.active else style.INK


def _legend(figure: Figure, trial: Trial, data: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D

    def key(label: str, mark: str, colour: str, face: str = "") -> Line2D:
        return Line2D(
            [], [], linestyle="", marker=mark, color=colour, markerfacecolor=face or colour,
            label=label,
        )  # fmt: skip

    handles = [
        key(trial.control, "o", style.INK),
        key(trial.active, "s", style.BLUE),
    ]
    if trial.has_baseline:
        handles.append(key("baseline", "o", style.GREY, "white"))
    if data["count"].isna().any():
        handles.append(key("not seen", "x", style.ORANGE))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)


def _panel_an_arm(trial: Trial, data: pd.DataFrame, time: str) -> Figure:
    figure = style.new_figure(3.4, trial.label)
    grid = figure.subplots(1, 2, sharex=True, sharey=True)
    groups = _arm_of(trial, data)
    for axes, arm in zip(grid, dict.fromkeys(groups.values()), strict=True):
        part = data[data["patient"].map(groups.__getitem__) == arm]
        colour = _colour(arm if trial.design == "parallel" else "", trial)
        for _, own in part.groupby("patient", sort=False):
            seen = own[own["count"].notna()]
            axes.plot(
                seen["time"], seen["count"], color=colour, alpha=0.45, linewidth=1, marker="o",
                markersize=2.2,
            )  # fmt: skip
        axes.set_title(f"{arm} (n = {part['patient'].nunique()})")
        axes.set_xlabel(time)
    times = sorted(data["time"].unique())
    if len(times) <= 12:
        grid[0].set_xticks(times, [f"{value:g}" for value in times])
    style.count_axis(grid[0], float(data["count"].max()))
    grid[0].set_ylabel(trial.endpoint)
    return figure


def _arm_of(trial: Trial, data: pd.DataFrame) -> dict[str, str]:
    """Arm of each patient: the treatment, or in a crossover the sequence."""
    column = "treatment" if trial.design == "parallel" else "sequence"
    first = data.drop_duplicates("patient")
    found = dict(zip(first["patient"].astype(str), first[column].astype(str), strict=True))
    return dict(sorted(found.items(), key=lambda item: item[1] != trial.control))


def patient_effects(table: pd.DataFrame, label: str = "") -> Figure:
    """Draw each patient's rate as a multiple of the typical patient's.

    Parameters
    ----------
    table : DataFrame
        Columns patient, fold, lower, upper; one row a patient, in the order to be shown.
    label : str
        What the counts are if they are not data.
    """
    low, high = np.log(table["lower"].min()), np.log(table["upper"].max())
    many, crowd = len(table) > 30, len(table) > NAMED
    with style.look():
        height = 0.9 + (0.13 if many else 0.26) * len(table)
        figure = style.new_figure(min(height, TALLEST), label)
        axes = figure.subplots()
        title = "rate as a multiple of the typical patient's"
        style.ratio_axis(axes, *style.ratio_limits(float(low), float(high)), title)
        rows = np.arange(len(table))
        axes.hlines(
            rows,
            np.log(table["lower"]),
            np.log(table["upper"]),
            color=style.BLUE,
            linewidth=0.7 if crowd else 1.6,
        )
        size = 2 if crowd else 4
        axes.plot(np.log(table["fold"]), rows, "o", color=style.BLUE, markersize=size)
        # more names than a page holds: the table of patients has them
        names = [] if crowd else [str(name)[:24] for name in table["patient"]]
        axes.set_yticks(rows[: len(names)], names)
        if crowd:
            axes.set_ylabel(f"{len(table)} patients, highest rate at the top")
        axes.tick_params(axis="y", length=0, labelsize=6.5 if many else 8.5)
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.grid(axis="x", color="#e1e5eb", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure
