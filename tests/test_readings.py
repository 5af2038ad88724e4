"""What is read off a figure is what was drawn into it."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from report_samples import EVIL, crossover, fake_fit, founding

from bayes_msc import plots
from bayes_msc.checks import rootogram
from bayes_msc.plots import style
from bayes_msc.plots.readings import Mark


def marks_of(figure: Figure, name: str = "sample") -> list[Mark]:
    root = ET.fromstring(plots.to_svg(figure, name))
    return [(x, y, text) for x, y, text in json.loads(root.attrib["data-readings"])]


def test_curve_reads_threshold_and_probability() -> None:
    threshold = np.geomspace(0.1, 4, 41)
    chance = np.clip((np.log(threshold) + 1.5) / 2, 0, 1)
    curve = pd.DataFrame({"threshold": threshold, "probability": chance})
    marks = marks_of(plots.probability_curve(curve))
    assert len(marks) > 20
    for _, _, text in marks:
        c, p = text.rsplit("ratio ", 1)[1].removesuffix(" %").split(": ")
        expected = 100 * np.interp(math.log(float(c)), np.log(threshold), chance)
        assert float(p.strip("<>")) == pytest.approx(expected, abs=1.6)


def test_row_reads_its_name_and_interval() -> None:
    forest = founding().forest
    texts = [text for _, _, text in marks_of(plots.forest(forest))]
    row = forest.iloc[1]
    assert (
        f"MESEMS 2021: {row['rate_ratio']:.2f} ({row['lower']:.2f} to {row['upper']:.2f})" in texts
    )
    assert len(texts) == len(forest)


def test_place_is_where_the_mark_is_drawn() -> None:
    with style.look():
        figure = style.new_figure(2.0)
        axes = figure.subplots()
        axes.plot([0.0, 1.0, 2.0], [5.0, 6.0, 9.0], "o", label="seen")
        axes.set_xlabel("month")
    svg = ET.fromstring(plots.to_svg(figure, "sample"))
    _, _, wide, high = (float(v) for v in svg.attrib["viewBox"].split())
    drawn = [
        (float(node.attrib["x"]) / wide, float(node.attrib["y"]) / high)
        for node in svg.iter("{http://www.w3.org/2000/svg}use")
        if "fill" in node.attrib.get("style", "")
    ]
    found = json.loads(svg.attrib["data-readings"])
    assert [text for *_, text in found] == [
        "seen, month 0: 5",
        "seen, month 1: 6",
        "seen, month 2: 9",
    ]
    for x, y, _ in found:
        assert min(math.hypot(x - a, y - b) for a, b in drawn) < 0.002


def test_roots_are_read_as_what_they_are_roots_of() -> None:
    table = rootogram(fake_fit(crossover()))
    texts = [text for *_, text in marks_of(plots.rootogram(table, "lesions", ""))]
    whole = table[table["group"] == "all"].reset_index(drop=True)
    for _, row in whole.iterrows():
        said = next(t for t in texts if t.startswith(f"all, expected, lesions {row['count']}: "))
        assert float(said.rsplit(": ", 1)[1]) == pytest.approx(row["expected"], rel=0.01)


def test_long_curves_are_thinned_and_rules_passed_over() -> None:
    with style.look():
        figure = style.new_figure(2.0)
        axes = figure.subplots()
        axes.plot(np.linspace(0, 1, 1000), np.linspace(0, 1, 1000))
        axes.axhline(0.5)
        axes.axvline(0.5)
    assert len(marks_of(figure)) == 60


def test_hostile_names_stay_text() -> None:
    forest = founding().forest.assign(label=EVIL)
    svg = plots.to_svg(plots.forest(forest), "forest")
    assert "<script>" not in svg
    assert any("<script>" in text for *_, text in marks_of(plots.forest(forest)))
