"""What a figure says where: every mark's place and its value in words, for a page to show on hover.

Read off the drawn figure itself, so that a new figure needs nothing of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mark = tuple[float, float, str]
Words = Callable[[float], str]

#: Marks kept of one curve, evenly spaced: closer ones could not be told apart by hand.
MOST_MARKS = 60
_NEAR = 1e-6


def readings(figure: Figure) -> list[Mark]:
    """Return the marks of a figure that has been drawn.

    Parameters
    ----------
    figure : Figure
        With lines, points and horizontal intervals; bars and fills are passed over.

    Returns
    -------
    list of (float, float, str)
        Place from the left and from the top, each as a share of the figure, and the value.
    """
    width, height = figure.bbox.width, figure.bbox.height
    titles = [str(axes.get_xlabel()) for axes in figure.axes if axes.get_xlabel()]
    found: dict[Mark, None] = {}
    for axes in figure.axes:
        named = str(axes.get_xlabel()) or (titles[0] if len(set(titles)) == 1 else "")
        for x, y, text in _of_axes(axes, named.split(" (")[0], len(figure.axes) > 1):
            place = axes.transData.transform((x, y))
            if axes.get_window_extent().padded(1).contains(*place):
                share = (float(place[0]) / width, 1 - float(place[1]) / height)
                found[
                    round(float(share[0]), 4), round(float(share[1]), 4), " ".join(text.split())
                ] = None
    return list(found)


def _of_axes(axes: Axes, across_name: str, several: bool) -> Iterator[Mark]:
    across, up = _words(axes.xaxis), _words(axes.yaxis)
    rows, spans = _rows(axes), list(_spans(axes))
    title = axes.get_title(loc="left") if several else ""
    for line in axes.get_lines():
        series = str(line.get_label())
        if up is _square and series.startswith("_"):
            continue  # a difference of roots, whose square means nothing
        said = [title, "" if series.startswith("_") else series]
        for x, y in _points(line, axes, MOST_MARKS if up is not _nothing else MOST_MARKS // 2):
            if rows:
                row = min(rows, key=lambda at: abs(at - y))
                yield x, y, f"{rows[row]}: {across(x)}{_span(spans, x, y, across)}"
            else:
                place = ", ".join(word for word in (*said, f"{across_name} {across(x)}") if word)
                yield x, y, f"{place}: {up(y)}" if up is not _nothing else place


def _points(line: Line2D, axes: Axes, most: int) -> list[tuple[float, float]]:
    """Return the data of a curve or of marks; nothing of a rule or of an interval."""
    if line.get_transform() != axes.transData:
        return []
    xy = np.column_stack([np.asarray(v, dtype=float) for v in line.get_data()])
    marked = line.get_marker() not in ("None", "", None)
    if len(xy) < 3 and not marked:
        return []
    if len(xy) > most and not marked:
        xy = xy[np.linspace(0, len(xy) - 1, most).astype(int)]
    return [(float(x), float(y)) for x, y in xy if math.isfinite(x) and math.isfinite(y)]


def _spans(axes: Axes) -> Iterator[tuple[float, float, float]]:
    """Return height, left and right of every horizontal interval."""
    segments: list[Array] = [
        np.column_stack([np.asarray(v, dtype=float) for v in line.get_data()])
        for line in axes.get_lines()
        if line.get_transform() == axes.transData and len(np.asarray(line.get_xdata())) == 2
    ]
    for collection in axes.collections:
        if isinstance(collection, LineCollection):
            segments += [np.asarray(segment, dtype=float) for segment in collection.get_segments()]
    for segment in segments:
        if len(segment) == 2 and abs(segment[0, 1] - segment[1, 1]) < _NEAR:
            yield float(segment[0, 1]), float(segment[:, 0].min()), float(segment[:, 0].max())


def _span(spans: list[tuple[float, float, float]], x: float, y: float, words: Words) -> str:
    for height, low, high in spans:
        if abs(height - y) < _NEAR and low - _NEAR <= x <= high + _NEAR:
            return f" ({words(low)} to {words(high)})"
    return ""


def _labels(axis: Axis) -> dict[float, str]:
    ticks = axis.get_major_ticks()
    places = axis.get_majorticklocs()
    found = {
        float(place): tick.label1.get_text()
        for place, tick in zip(places, ticks, strict=False)
        if tick.label1.get_text()
    }
    return {place: text.replace("−", "-") for place, text in found.items()}


def _rows(axes: Axes) -> dict[float, str]:
    """Return what stands beside each row of an axis of names; empty for an axis of numbers."""
    labels = _labels(axes.yaxis)
    if not labels or all(_number(text) is not None for text in labels.values()):
        return {}
    return {place: " ".join(text.split()) for place, text in labels.items()}


def _words(axis: Axis) -> Words:
    labels = _labels(axis)
    numbers = {place: _number(text) for place, text in labels.items()}
    known = {place: value for place, value in numbers.items() if value is not None}
    if not known:
        return _nothing
    if len(known) < len(labels):
        return lambda at: next((labels[x] for x in labels if abs(x - at) < _NEAR), "")
    if any("%" in text for text in labels.values()):
        return _percent
    for scale, words in ((_same, _plain), (math.exp, _ratio), (_squared, _square)):
        # a label may be rounded
        if all(math.isclose(scale(at), v, rel_tol=0.03, abs_tol=1e-3) for at, v in known.items()):
            return words
    return _nothing


def _number(text: str) -> float | None:
    try:
        return float(text.replace("%", "").replace(",", "").strip())
    except ValueError:
        return None


def _same(value: float) -> float:
    return value


def _squared(value: float) -> float:
    return value**2


def _square(value: float) -> str:
    return _plain(value**2)


def _plain(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _ratio(value: float) -> str:
    ratio = math.exp(value)
    return f"{ratio:.2f}" if 0.005 <= ratio < 10 else f"{ratio:.3g}"


def _percent(value: float) -> str:
    if value >= 0.995:
        return ">99 %"
    whole = round(100 * value)
    return "<1 %" if whole < 1 else f"{whole} %"


def _nothing(value: float) -> str:
    return ""
