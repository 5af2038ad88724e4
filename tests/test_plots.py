"""Every figure is well-formed, repeatable SVG that keeps its hands off global settings."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from report_samples import (
    EVIL,
    alone,
    crossover,
    fake_fit,
    founding,
    more_is_good,
    parallel,
)

from bayes_msc import plots
from bayes_msc.fit import model_of, trial_of
from bayes_msc.pit import loo_pit_curve
from bayes_msc.plots import style
from bayes_msc.prior import Prior
from bayes_msc.published import Published
from bayes_msc.report import tables
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.prior_map import prior_map
from bayes_msc.sensitivity.stance_table import stance_table

LABEL = "simulated, not data"


def of_fit(draw: Callable[..., Figure]) -> Callable[[], Figure]:
    def made() -> Figure:
        fit = fake_fit(crossover())
        return draw(fit, model_of(fit).priors_for(trial_of(fit)))

    return made


ROOTOGRAM = pd.DataFrame(
    {
        "group": "all",
        "count": ["0", "1", "2–3", "4+"],
        "observed": [4, 2, 0, 3],
        "expected": [3.5, 2.2, 0.8, 0.5],
        "lower": [1, 0, 0, 0],
        "upper": [6, 5, 3, 2],
    }
)


def loo_pit_figure(patients: int, label: str = "") -> Figure:
    at = (np.arange(patients) + 1) / patients
    table = pd.DataFrame(
        {
            "group": "all",
            "patient": [EVIL + str(i) for i in range(patients)],
            "below": at - 1 / patients,
            "at_or_below": at,
            "ok": at < 0.9,
        }
    )
    return plots.loo_pit(loo_pit_curve(table), table, label)


def small_map(published: Published) -> Figure:
    sds = np.geomspace(0.1, 2.5, 9).tolist()
    found = prior_map(published, sds=sds, own={EVIL: Prior.normal(0.1, 0.7)}, external=[])
    return plots.prior_map(found.cells, found.stances, found.rule, LABEL)


def stances_figure(published: Published, label: str = "") -> Figure:
    table = stance_table(published, own={EVIL: Prior.normal(0.1, 0.7)}, external=[])
    return plots.stance_answers(table, Rule(1.0, 0.9, published.benefit), label)


MODELS = pd.DataFrame(
    {
        "model": ["crossover-poisson", "count-negative-binomial", EVIL],
        "rate_ratio": [0.5, 0.6, 0.4],
        "lower": [0.2, 0.3, 0.001],
        "upper": [0.9, 1.4, 80.0],
        "probability": [0.99, 0.9, 0.8],
        "elpd_difference": [0.0, -2.0, -30.0],
        "difference_se": [0.0, 1.5, 4.0],
        "stacking_weight": [0.75, 0.25, 0.0],
        "told_apart": [False, False, True],
    }
)
AVERAGES = pd.DataFrame(
    {
        "weights": ["stacking weights", "model probabilities"],
        "rate_ratio": [0.5, np.nan],
        "lower": [0.2, np.nan],
        "upper": [1.1, np.nan],
        "probability": [0.95, np.nan],
    }
)
CURVE = pd.DataFrame({"threshold": [0.1, 0.5, 1.0, 2.0], "probability": [0.0, 0.3, 0.9, 1.0]})
PATIENTS = pd.DataFrame(
    {"patient": [EVIL, "b"], "fold": [2.0, 0.5], "lower": [0.8, 0.01], "upper": [5.0, 1.4]}
)
SIMULATED = pd.DataFrame(
    {
        "design": ["nine", "nine", "ninety", "ninety"],
        "truth": ["RR 1", "RR 0.5"] * 2,
        "model": EVIL,
        "prior": "weak",
        "rule": "P(RR < 1) of 0.95 or more",
        "rate_ratio": [1.0, 0.5] * 2,
        "is_null": [True, False] * 2,
        "success": [0.05, 0.5, 0.04, 1.0],
        "success_mcse": [0.01, 0.02, 0.01, 0.002],
        "type_s": [np.nan, 0.01, np.nan, 0.0],
        "type_s_mcse": [np.nan, 0.01, np.nan, 0.002],
        "type_m": [np.nan, 1.6, np.nan, 1.0],
        "type_m_mcse": [np.nan, 0.1, np.nan, 0.02],
    }
)
SIZES = pd.DataFrame(
    {"patients": [10, 20, 40], "success": [0.4, 0.7, 0.9], "lower": [0.3, 0.6, 0.8]}
).assign(upper=[0.5, 0.75, 0.95], success_mcse=0.03)
RANKS = pd.DataFrame({"quantity": "log_rate", "share": [0.2, 0.5, 0.8]}).assign(
    difference=[0.01, -0.02, 0.0], lower=-0.1, upper=0.1
)
FIGURES: dict[str, Callable[[], Figure]] = {
    "stances": lambda: plots.stance_densities(founding().densities),
    "one-stance": lambda: plots.stance_densities(alone().densities),
    "curves": lambda: plots.probability_curves(founding().curve),
    "curves-higher": lambda: plots.probability_curves(more_is_good().curve, "higher"),
    "forest": lambda: plots.forest(founding().forest),
    "forest-of-one": lambda: plots.forest(alone().forest, label=LABEL),
    "trajectories": lambda: plots.trajectories(crossover(first=EVIL, provenance="simulated")),
    "trajectories-many": lambda: plots.trajectories(parallel(30)),
    "trajectories-crossover-many": lambda: plots.trajectories(crossover(30)),
    "trajectories-parallel-few": lambda: plots.trajectories(parallel(5)),
    "patient-effects": lambda: plots.patient_effects(PATIENTS, LABEL),
    "rate-ratio": of_fit(lambda fit, priors: plots.rate_ratio(fit, priors["log_rate_ratio"])),
    "prior-posterior": of_fit(plots.prior_posterior),
    "probability-curve": lambda: plots.probability_curve(CURVE, LABEL),
    "rootogram": lambda: plots.rootogram(ROOTOGRAM, "lesions", LABEL),
    "comparison": lambda: plots.comparison(MODELS, AVERAGES, LABEL),
    "comparison-of-one": lambda: plots.comparison(MODELS[:1], AVERAGES[1:]),
    "prior-map": lambda: small_map(founding().published),
    "prior-map-higher": lambda: small_map(more_is_good().published),
    "stance-answers": lambda: stances_figure(founding().published, LABEL),
    "stance-answers-higher": lambda: stances_figure(more_is_good().published),
    "loo-pit": lambda: loo_pit_figure(9, LABEL),
    "success-curves": lambda: plots.success_curves(SIMULATED),
    "success-map": lambda: plots.success_map(SIMULATED),
    "sign-and-size": lambda: plots.sign_and_size(SIMULATED),
    "sample-size": lambda: plots.sample_size_curve(SIZES, SIZES, 0.8, 27, (24.0, np.inf)),
    "sample-size-none": lambda: plots.sample_size_curve(SIZES, SIZES, 0.99, None, (np.inf, np.inf)),
    "calibration": lambda: plots.calibration_curves(RANKS, "a card"),
    "loo-pit-many": lambda: loo_pit_figure(80),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_repeatable_self_contained_svg(name: str) -> None:
    before = dict(mpl.rcParams)
    svg = plots.to_svg(FIGURES[name](), name)
    assert dict(mpl.rcParams) == before
    assert svg == plots.to_svg(FIGURES[name](), name)
    root = ET.fromstring(svg)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert all(str(i).startswith(f"{name}-") for i in ids)
    links = re.findall(r'(?:href="|url\()#([^")]+)', svg)
    assert set(links) <= set(ids)
    assert "<script" not in svg
    assert "<!--" not in svg
    assert len(svg) < 250_000


def test_inlined_figures_share_no_id() -> None:
    found = [
        set(re.findall(r'\bid="([^"]+)"', plots.to_svg(FIGURES["curves"](), name)))
        for name in ("one", "two")
    ]
    assert found[0].isdisjoint(found[1])


def test_importing_plots_does_not_import_pyplot() -> None:
    import subprocess
    import sys

    code = "import sys, bayes_msc.plots; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def lines(figure: Figure, label: str) -> list[np.ndarray]:
    found = [line for axes in figure.axes for line in axes.get_lines() if line.get_label() == label]
    return [np.asarray(line.get_xydata(), dtype=float) for line in found]


def test_curves_show_the_table_as_it_is() -> None:
    table = founding().curve
    drawn = lines(plots.probability_curves(table), "sceptical")[0]
    own = table[table["stance"] == "sceptical"]
    np.testing.assert_allclose(drawn[:, 0], np.log(own["threshold"]))
    np.testing.assert_allclose(drawn[:, 1], own["probability"])


def test_forest_keeps_order_and_values() -> None:
    table = founding().forest
    axes = plots.forest(table).axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == list(table["label"])
    points = [line.get_xdata()[0] for line in axes.get_lines() if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(np.exp(np.asarray(points, float)), table["rate_ratio"])


def test_benefit_side_is_shaded_where_it_lies() -> None:
    def shaded(figure: Figure) -> tuple[float, float]:
        patch = next(p for p in figure.axes[0].patches if p.get_facecolor()[2] > 0.9)
        box = patch.get_extents().transformed(figure.axes[0].transData.inverted())
        return float(box.x0), float(box.x1)

    assert shaded(FIGURES["curves"]())[1] == pytest.approx(0, abs=1e-6)
    assert shaded(FIGURES["curves-higher"]())[0] == pytest.approx(0, abs=1e-6)


def test_trajectories_mark_what_was_not_seen() -> None:
    trial = crossover()
    figure = plots.trajectories(trial)
    marks = [line for axes in figure.axes for line in axes.get_lines() if line.get_marker() == "x"]
    assert len(marks) == 1
    assert len(marks[0].get_xdata()) == int(trial.data["count"].isna().sum())
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["placebo", "drug", "baseline", "not seen"]
    full = plots.trajectories(crossover(missing=False))
    assert "not seen" not in [text.get_text() for text in full.legends[0].get_texts()]


def test_trajectories_draw_every_count_once() -> None:
    trial = crossover()
    drawn = [
        float(y)
        for axes in plots.trajectories(trial).axes
        for line in axes.get_lines()
        if line.get_marker() in ("o", "s") and line.get_markerfacecolor() != "white"
        for y in line.get_ydata()
    ]
    assert sorted(drawn) == sorted(trial.seen["count"])


def test_label_stands_on_the_figure() -> None:
    for name in ("trajectories", "patient-effects", "probability-curve", "rootogram", "loo-pit"):
        assert FIGURES[name]().get_suptitle() == LABEL
    assert FIGURES["stances"]().get_suptitle() == ""


@pytest.mark.parametrize(("low", "high"), [(-0.3, 0.3), (-3.0, 1.0), (-9.0, 9.0), (-14.0, 14.0)])
def test_ratio_ticks_are_few_and_hold_one(low: float, high: float) -> None:
    axes = style.new_figure(2.0).subplots()
    style.ratio_axis(axes, low, high)
    shown = [text.get_text() for text in axes.get_xticklabels()]
    assert 1 <= len(shown) <= style.MOST_TICKS
    np.testing.assert_allclose([float(t) for t in shown], np.exp(axes.get_xticks()), rtol=1e-9)


def test_patient_table_is_the_quantiles() -> None:
    fit = fake_fit(crossover())
    trial = trial_of(fit)
    table = tables.patient_table(fit, trial)
    one = np.exp(fit["posterior"]["patient_effect"].isel(patient=2).to_numpy().ravel())
    np.testing.assert_allclose(
        table.loc[2, ["lower", "fold", "upper"]].astype(float),
        np.quantile(one, [0.025, 0.5, 0.975]),
        rtol=2e-3,
    )
    assert table["events"].sum() == trial.seen["count"].sum()
    assert table["share"].sum() == pytest.approx(1)


def test_rootogram_hangs_what_was_seen_from_what_was_expected() -> None:
    axes = plots.rootogram(ROOTOGRAM).axes[0]
    inside, outside = (
        {round(bar.get_x() + bar.get_width() / 2): bar for bar in container}
        for container in axes.containers[1:]
    )
    assert (sorted(inside), sorted(outside)) == ([0, 1, 2], [3])
    for place, row in enumerate(ROOTOGRAM.to_dict("records")):
        bar = inside[place] if place in inside else outside[place]
        assert bar.get_y() == pytest.approx(row["expected"] ** 0.5)
        assert bar.get_height() == pytest.approx(-(row["observed"] ** 0.5))
    band = axes.containers[0][3]
    ends = (0.5**0.5 - 2**0.5, 0.5**0.5)
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx(ends)


def test_loo_pit_marks_each_patient_and_those_who_cannot_be_left_out() -> None:
    curve, marks = FIGURES["loo-pit"]().axes
    assert curve.get_title(loc="left") == "all (9 patients)"
    points = [line for line in marks.get_lines() if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in points] == [8, 1]
    middle = np.concatenate([line.get_xdata() for line in points])
    np.testing.assert_allclose(middle, (np.arange(9) + 0.5) / 9)
    many = FIGURES["loo-pit-many"]()
    assert len(many.axes) == 1


def test_comparison_shows_the_numbers_of_its_tables() -> None:
    figure = plots.comparison(MODELS, AVERAGES, LABEL)
    left, right = figure.axes[:2]
    names = [text.get_text().replace("\n", " ") for text in left.get_yticklabels()]
    assert names[:2] == ["poisson", "negative binomial"]
    # what has no numbers has no row
    assert names[3:] == ["averaged by stacking weights"]
    shown = [text.get_text() for axes in (left, right) for child in axes.child_axes
             for text in child.get_yticklabels()]  # fmt: skip
    assert shown == ["0.990", "0.900", "0.800", "0.950", "75 %", "25 %", "0 %"]
    bars = [line.get_xdata() for line in right.lines if len(line.get_xdata()) == 2]
    reach = [sorted(map(float, ends)) for ends in bars]
    assert [-5.0, 1.0] in reach
    assert [-38.0, -22.0] in reach
    points = [float(line.get_xdata()[0]) for line in left.lines if line.get_marker() in "oD"]
    assert points == pytest.approx(np.log([0.5, 0.6, 0.4, 0.5]))


def test_many_patients_stay_on_one_page_and_few_keep_their_names() -> None:
    crowd = pd.concat([PATIENTS] * 100, ignore_index=True)
    figure = plots.patient_effects(crowd)
    assert figure.get_size_inches()[1] <= 8.5
    assert not figure.axes[0].get_yticklabels()
    assert f"{len(crowd)} patients" in figure.axes[0].get_ylabel()
    few = plots.patient_effects(PATIENTS)
    assert [t.get_text() for t in few.axes[0].get_yticklabels()] == [
        name[:24] for name in PATIENTS["patient"]
    ]


def test_png_has_the_resolution_that_is_asked_for() -> None:
    content = plots.to_png(plots.patient_effects(PATIENTS), dpi=100)
    width = int.from_bytes(content[16:20], "big")
    assert content[:4] == b"\x89PNG"
    assert width == 640


def test_shades_of_the_prior_map_are_told_apart_in_grey() -> None:
    from matplotlib.colors import to_rgb

    from bayes_msc.plots.prior_sensitivity import LEVELS, SHADES

    grey = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in map(to_rgb, SHADES)]
    assert len(SHADES) == len(LEVELS) - 1
    # the more probable, the darker: no two shades of the scale look the same on paper
    assert all(light - dark > 0.05 for light, dark in itertools.pairwise(grey))


def test_hostile_names_leave_room_to_draw() -> None:
    table = pd.DataFrame({"patient": ["x" * 10_000, "a\u202eb"], "fold": [1.0, 2.0]})
    figure = plots.patient_effects(table.assign(lower=0.5, upper=3.0))
    svg = plots.to_svg(figure, "names")
    assert len(svg) < 100_000
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert max(map(len, names)) <= 40
    assert "a⟨U+202E⟩b" in names
