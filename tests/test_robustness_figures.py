"""Figures of robustness, from invented tables: repeatable SVG that says what the table says."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from report_samples import EVIL

from bayes_msc import plots
from bayes_msc.rule import Rule

LABEL = "simulated, not data"
ANSWERS = {
    "median": [0.5, 0.6, 0.4],
    "lower": [0.2, 0.3, 0.001],
    "upper": [0.9, 1.4, 80.0],
    "prob": [0.99, 0.9, 0.8],
    "rule_met": [True, False, False],
}
PATIENTS = pd.DataFrame(
    {
        "left_out": ["nobody", EVIL, "b"],
        "treatment": ["", "drug", "placebo"],
        "share": [0.0, 0.7, 0.3],
        **ANSWERS,
    }
)
CARRYOVER = pd.DataFrame(
    {
        "carryover": ["none", "either direction", "first period"],
        "width": [0.0, 1.0, np.nan],
        **ANSWERS,
    }
)
DELTAS = pd.DataFrame(
    {
        "treatment": ["drug"] * 3 + [EVIL] * 3,
        "delta": [0.25, 1.0, 4.0] * 2,
        "prob": [0.98, 0.96, 0.9, 0.93, 0.96, 0.99],
        "mcse": 0.005,
    }
)
POINTS = pd.DataFrame({"treatment": ["drug", EVIL], "delta": [1.4, np.nan]})
SPECIFICATIONS = pd.DataFrame({"family": ["poisson", EVIL, "poisson"], "rows": "scan", **ANSWERS})
CHOICES = pd.DataFrame({"choice": ["family"]})
RANKING = pd.DataFrame(
    {
        "what": ["one patient left out", EVIL],
        "prob": 0.96,
        "lowest": [0.8, 0.955],
        "highest": [0.97, 0.98],
        "turns": [True, False],
    }
)
FIGURES: dict[str, Callable[[], Figure]] = {
    "patients": lambda: plots.patients_left_out(PATIENTS, Rule(), LABEL),
    "carryover": lambda: plots.carryover(CARRYOVER, Rule(), LABEL),
    "tipping": lambda: plots.tipping(DELTAS, POINTS, Rule(), LABEL),
    "curve": lambda: plots.specification_curve(SPECIFICATIONS, CHOICES, Rule(), LABEL),
    "what-moves": lambda: plots.what_moves(RANKING, Rule(), LABEL),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_repeatable_svg_with_its_label(name: str) -> None:
    figure = FIGURES[name]()
    assert figure.get_suptitle() == LABEL
    svg = plots.to_svg(figure, name)
    assert svg == plots.to_svg(FIGURES[name](), name)
    ids = [element.get("id") for element in ET.fromstring(svg).iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert "<script" not in svg


def texts(figure: Figure) -> list[str]:
    axes = figure.axes[0]
    return [text.get_text() for text in (*axes.texts, *axes.get_yticklabels())]


def test_answers_stand_beside_their_rows() -> None:
    found = texts(FIGURES["patients"]())
    assert {"0.990", "0.900", "0.800", "nobody", "b (30%)", "P(RR < 1)"} <= set(found)
    bold = [t.get_text() for t in FIGURES["patients"]().axes[0].texts if t.get_weight() == "bold"]
    assert bold == ["0.990"]
    assert {"no carryover", "either direction, SD 1", "period 1 alone"} <= set(
        texts(FIGURES["carryover"]())
    )


def test_the_tipping_point_is_marked_where_the_table_has_one() -> None:
    axes = FIGURES["tipping"]().axes[0]
    marks = [line.get_xydata().tolist() for line in axes.get_lines() if line.get_marker() == "D"]
    assert marks == [[[1.4, 0.95]]]


def test_every_specification_has_its_stroke_on_the_dashboard() -> None:
    lower = FIGURES["curve"]().axes[2]
    names = [label.get_text() for label in lower.get_yticklabels()]
    assert len(names) == 2
    strokes = [
        sorted(set(line.get_xdata()))
        for line in lower.get_lines()
        if len(line.get_xdata()) % 3 == 0
    ]
    # sorted by probability: the middle one is the odd family
    assert sorted(strokes) == [[1, 3], [2]]


def test_the_rule_is_inside_the_ranking() -> None:
    axes = FIGURES["what-moves"]().axes[0]
    low, high = axes.get_xlim()
    assert low < 0.8
    assert high > 0.98
