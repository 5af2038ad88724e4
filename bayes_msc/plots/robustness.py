"""Figures of robustness: patients left out, drop-out, carryover, specifications, the ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_msc.plots import style
from bayes_msc.plots.evidence import wrapped

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayes_msc.rule import Rule

MARKS = ("o", "s", "D", "^")


def patients_left_out(table: pd.DataFrame, rule: Rule, label: str = "") -> Figure:
    """Draw the rate ratio without each patient.

    Parameters
    ----------
    table : DataFrame
        From ``bayes_msc.sensitivity.leave_patients_out``.
    rule : Rule
        Whose statement's probability is written at the right; bold where the rule is met.
    label : str
        What the counts are if they are not data.

    Notes
    -----
    Bars hold 95 %; the column of percentages is each patient's share of all events.
    """
    known = table[table["median"].notna()]
    names = [_patient(row) for row in known.to_dict("records")]
    figure = _answers(known, names, rule, label, first=1)
    axes = figure.axes[0]
    axes.set_ylabel("left out (share of all events)")
    return figure


def _patient(row: Mapping[Any, Any]) -> str:
    return "nobody" if not row["treatment"] else f"{row['left_out']} ({row['share']:.0%})"


def carryover(table: pd.DataFrame, rule: Rule, label: str = "") -> Figure:
    """Draw the rate ratio under carryover priors of growing width, and of period 1 alone.

    Parameters
    ----------
    table : DataFrame
        From ``bayes_msc.sensitivity.carryover_widths``.
    rule : Rule
        Whose statement's probability is written at the right; bold where the rule is met.
    label : str
        What the counts are if they are not data.
    """
    return _answers(table, [_carryover(row) for row in table.to_dict("records")], rule, label)


def _carryover(row: Mapping[Any, Any]) -> str:
    kind = str(row["carryover"])
    if kind == "none":
        return "no carryover"
    return f"{kind}, SD {row['width']:g}" if row["width"] == row["width"] else "period 1 alone"


def _answers(
    table: pd.DataFrame, names: Sequence[str], rule: Rule, label: str, first: int = 0
) -> Figure:
    """One interval a row from above, the probability at the right; the first rows stand apart."""
    with style.look():
        figure = style.new_figure(1.0 + 0.27 * len(table), label)
        axes = figure.subplots()
        ends = np.log(table[["lower", "upper"]].to_numpy(float))
        low, high = max(float(ends.min()), -4.0), min(float(ends.max()), 4.0)
        style.ratio_axis(axes, *style.ratio_limits(low, high))
        style.shade_benefit(axes, rule.benefit)
        for place, row in enumerate(table.to_dict("records")):
            colour = style.INK if place < first else style.BLUE
            axes.plot(np.log([row["lower"], row["upper"]]), [place, place], color=colour)
            axes.plot(np.log(row["median"]), place, "o", color=colour, markersize=5)
            _beside(axes, place, row["prob"], bool(row["rule_met"]))
        if first:
            axes.axvline(np.log(table["median"].iloc[0]), color=style.INK, linewidth=0.7, ls=":")
        axes.annotate(
            rule.statement, (1.02, 1.0), xycoords="axes fraction", va="bottom", fontsize=8.5
        )
        axes.set_yticks(range(len(table)), list(names))
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure


def _beside(axes: Axes, place: float, prob: float, met: bool) -> None:
    axes.annotate(
        f"{prob:.3f}",
        (1.02, place),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=8.5,
        fontweight="bold" if met else "normal",
        annotation_clip=False,
    )


def tipping(curve: pd.DataFrame, points: pd.DataFrame, rule: Rule, label: str = "") -> Figure:
    """Draw the probability of the rule's statement against the multiplier on unseen events.

    Parameters
    ----------
    curve, points : DataFrame
        Of a ``bayes_msc.sensitivity.TippingPoint``.
    rule : Rule
        Drawn as a line; a diamond marks where the answer turns.
    label : str
        What the counts are if they are not data.

    Notes
    -----
    Bands are two Monte Carlo errors either way.
    """
    with style.look():
        figure = style.new_figure(3.4, label)
        axes = figure.subplots()
        for i, (name, part) in enumerate(curve.groupby("treatment", sort=False)):
            colour, dash = style.SERIES[i], style.DASHES[i]
            own = part.sort_values("delta")
            axes.plot(own["delta"], own["prob"], color=colour, ls=dash, label=f"unseen on {name}")
            axes.fill_between(
                own["delta"], own["prob"] - 2 * own["mcse"], own["prob"] + 2 * own["mcse"],
                color=colour, alpha=0.18, linewidth=0,
            )  # fmt: skip
        for i, tip in enumerate(points["delta"]):
            if np.isfinite(tip):
                axes.plot(tip, rule.probability, "D", color=style.SERIES[i], zorder=4)
        axes.axhline(rule.probability, color=style.GREY, linewidth=0.9)
        axes.axvline(1.0, color=style.GREY, linewidth=0.7, ls=":")
        axes.set_xscale("log", base=2)
        ticks = sorted(curve["delta"].unique())
        axes.set_xticks(ticks, [f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("unseen events, times what the seen ones foretell")
        axes.set_ylabel(rule.statement)
        span = [
            *(curve["prob"] - curve["mcse"]),
            *(curve["prob"] + curve["mcse"]),
            rule.probability,
        ]
        axes.set_ylim(max(0.0, min(span) - 0.05), min(1.005, max(span) + 0.05))
        axes.text(
            1.0, rule.probability, "rule ", transform=axes.get_yaxis_transform(),
            ha="right", va="bottom", color=style.GREY, fontsize=8,
        )  # fmt: skip
        axes.legend(loc="best")
    return figure


def specification_curve(
    specifications: pd.DataFrame, choices: pd.DataFrame, rule: Rule, label: str = ""
) -> Figure:
    """Draw every specification, sorted, above the dashboard of what was chosen in each.

    Parameters
    ----------
    specifications, choices : DataFrame
        Of a ``bayes_msc.sensitivity.SpecificationCurve``.
    rule : Rule
        Drawn as a line in the upper panel.
    label : str
        What the counts are if they are not data.

    Notes
    -----
    The panels share their horizontal axis: a column is one specification. Choices stand in order of
    importance. A mark is drawn for each specification that has the option.
    """
    table = specifications.sort_values("prob", kind="stable")
    rows = [
        (str(choice), str(option))
        for choice in choices["choice"]
        for option in table[choice].unique()
    ]
    places = np.arange(1, len(table) + 1)
    with style.look():
        figure = style.new_figure(3.6 + 0.17 * len(rows), label)
        upper, middle, lower = figure.subplots(
            3, 1, sharex=True, height_ratios=[1.3, 1.3, 0.15 * len(rows) + 0.4]
        )
        _curve(upper, middle, table, places, rule)
        _dashboard(lower, table, rows, places)
        lower.set_xlabel(f"{len(table)} specifications, sorted by {rule.statement}")
        lower.set_xlim(0, len(table) + 1)
    return figure


def _curve(upper: Axes, middle: Axes, table: pd.DataFrame, places: Any, rule: Rule) -> None:
    met = table["rule_met"].to_numpy(bool)
    middles = np.log(table["median"].to_numpy(float))
    ends = np.log(table[["lower", "upper"]].to_numpy(float))
    for own, colour in ((~met, style.GREY), (met, style.BLUE)):
        upper.plot(places[own], table["prob"][own], ".", color=colour, markersize=3)
        middle.plot(*_strokes(places[own], *ends[own].T), color=colour, linewidth=0.5, alpha=0.4)
        middle.plot(places[own], middles[own], ".", color=colour, markersize=3)
    upper.axhline(rule.probability, color=style.INK, linewidth=0.8)
    upper.set_ylabel(rule.statement)
    middle.axhline(0.0, color=style.INK, linewidth=0.8)
    ticks = [0.1, 0.2, 0.5, 1, 2, 5]
    middle.set_yticks(np.log(ticks), [f"{tick:g}" for tick in ticks])
    low, high = np.log(table["lower"].quantile(0.02)), np.log(table["upper"].quantile(0.98))
    middle.set_ylim(min(low, -0.2), max(high, 0.2))
    middle.set_ylabel("rate ratio")


def _strokes(places: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """Vertical strokes as one path, a fraction of the size of as many lines."""
    gaps = np.full(len(places), np.nan)
    low, high = (np.broadcast_to(end, len(places)) for end in (low, high))
    return np.repeat(places, 3), np.stack([low, high, gaps], axis=1).ravel()


def _dashboard(
    axes: Axes, table: pd.DataFrame, rows: Sequence[tuple[str, str]], places: Any
) -> None:
    names, before = [], ""
    for row, (choice, option) in enumerate(rows):
        chosen = (table[choice] == option).to_numpy(bool)
        strokes = _strokes(places[chosen], row - 0.32, row + 0.32)
        axes.plot(*strokes, color=style.INK, linewidth=0.5)
        if choice != before and row:
            axes.axhline(row - 0.5, color=style.GREY, linewidth=0.5)
        names.append(f"{choice.replace('_', ' ')}: {option}" if choice != before else option)
        before = choice
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def what_moves(ranking: pd.DataFrame, rule: Rule, label: str = "") -> Figure:
    """Draw how far each question moves the probability of the rule's statement.

    Parameters
    ----------
    ranking : DataFrame
        Of a ``bayes_msc.Sensitivity``: ``what``, ``prob``, ``lowest``, ``highest``, ``turns``.
    rule : Rule
        Drawn as a line; orange bars cross it.
    label : str
        What the counts are if they are not data.
    """
    with style.look():
        figure = style.new_figure(1.0 + 0.4 * len(ranking), label)
        axes = figure.subplots()
        for place, row in enumerate(ranking.to_dict("records")):
            colour = style.ORANGE if row["turns"] else style.BLUE
            axes.plot(
                [row["lowest"], row["highest"]], [place, place], color=colour, linewidth=6,
                solid_capstyle="butt", alpha=0.85,
            )  # fmt: skip
            axes.plot(row["prob"], place, "o", color=style.INK, markersize=4, zorder=4)
        axes.axvline(rule.probability, color=style.INK, linewidth=0.9)
        axes.annotate(
            "rule", (rule.probability, 1.0), xycoords=("data", "axes fraction"), va="bottom",
            ha="center", fontsize=8,
        )  # fmt: skip
        low = min(float(ranking["lowest"].min()), rule.probability)
        high = max(float(ranking["highest"].max()), rule.probability)
        axes.set_xlim(low - 0.04, high + 0.04)
        axes.set_yticks(range(len(ranking)), [wrapped(str(n), 34) for n in ranking["what"]])
        axes.set_ylim(len(ranking) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"{rule.statement} (dot: the model as it is)")
    return figure
