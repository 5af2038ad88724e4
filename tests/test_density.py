"""The vectorised density of a PyMC model is the model's own, for any data."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from scipy.special import log_ndtr

from bayes_msc.datasets import load_trial
from bayes_msc.density import Density
from bayes_msc.errors import ModelError
from bayes_msc.graph import build, data_of
from bayes_msc.importance import sample
from bayes_msc.model import Model
from bayes_msc.trial import Trial

CARD = "crossover-negative-binomial"


@pytest.fixture(scope="module")
def graph() -> pm.Model:
    return build(Model.load(CARD), load_trial("crossover_example"))


@pytest.fixture(scope="module")
def density(graph: pm.Model) -> Density:
    return Density(graph)


@pytest.fixture
def points(density: Density) -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=(12, density.dimension))
    return density.start() + 0.8 * noise


def one_by_one(graph: pm.Model, points: np.ndarray) -> list[float]:
    names = [variable.name for variable in graph.value_vars]
    logp = graph.compile_logp()
    return [float(logp(dict(zip(names, map(np.asarray, point), strict=True)))) for point in points]


def small() -> pm.Model:
    """A model with a vector, every kind of transformation, and data of any length."""
    with pm.Model() as model:
        y = pm.Data("y", np.array([0.3, -0.1, 1.4]))
        mean = pm.Normal("mean", 0.0, 2.0)
        share = pm.Beta("share", 2.0, 3.0)
        sds = pm.HalfNormal("sds", 1.0, shape=2)
        bounded = pm.TruncatedNormal("bounded", 0.0, 1.0, upper=0.0)
        pm.Deterministic("variance", sds**2)
        pm.Deterministic("constant", pm.math.constant(2.0))
        pm.Normal("seen", mean + share + bounded, sds[0] + sds[1], observed=y)
    return model


def test_names_axes_and_start_follow_the_model(density: Density, graph: pm.Model) -> None:
    assert density.names == tuple(variable.name for variable in graph.free_RVs)
    kinds = dict(zip(density.names, density.axes, strict=True))
    assert kinds["log_rate_ratio"] == "real"
    assert kinds["patient_sd"] == kinds["sqrt_overdispersion"] == "scale"
    initial = graph.initial_point()
    assert density.start() == pytest.approx([float(initial[v.name]) for v in graph.value_vars])


def test_many_points_give_what_the_model_gives_one_by_one(
    density: Density, graph: pm.Model, points: np.ndarray
) -> None:
    assert density.logp(points) == pytest.approx(one_by_one(graph, points), abs=1e-6)
    assert density.logp(points[:1]) == pytest.approx(density.logp(points)[:1], abs=1e-10)


def test_the_gradient_is_the_slope_of_the_density(density: Density, points: np.ndarray) -> None:
    value, gradient = density.logp_and_gradient(points)
    assert value == pytest.approx(density.logp(points), abs=1e-6)
    step = 1e-5 * np.eye(density.dimension)
    for point, slope in zip(points[:4], gradient, strict=False):
        differences = density.logp(point + step) - density.logp(point - step)
        assert slope == pytest.approx(differences / 2e-5, rel=1e-4, abs=1e-4)


def test_other_data_compile_nothing(
    density: Density, graph: pm.Model, points: np.ndarray, reconstruction: Trial
) -> None:
    before, compiled = density.logp(points), density._logp
    start = density.start()
    density.set_data(data_of(Model.load(CARD), reconstruction))
    after = density.logp(points)
    assert density._logp is compiled
    assert after == pytest.approx(one_by_one(graph, points), abs=1e-6)
    assert np.abs(after - before).min() > 0.01
    assert density.start()[0] != start[0]
    # another number of patients: without the first two
    data = data_of(Model.load(CARD), reconstruction)
    density.set_data({name: data[name][2:] for name in ("observed", "rows")})
    fewer = density.logp(points)
    assert fewer == pytest.approx(one_by_one(graph, points), abs=1e-6)
    assert np.abs(fewer - after).min() > 0.01
    density.set_data(data_of(Model.load(CARD), load_trial("crossover_example")))
    assert density.logp(points) == pytest.approx(before, abs=1e-10)


def test_points_come_back_on_their_own_scale(density: Density, points: np.ndarray) -> None:
    values = density.constrained(points)
    column = dict(zip(density.names, points.T, strict=True))
    assert values["log_rate"] == pytest.approx(column["log_rate"])
    # both priors have the scale 1
    assert values["patient_sd"] == pytest.approx(-log_ndtr(-column["patient_sd"]))
    roots = -log_ndtr(-column["sqrt_overdispersion"])
    assert values["overdispersion"] == pytest.approx(roots**2)


def test_vectors_and_every_transformation() -> None:
    model = small()
    density = Density(model)
    assert density.names == ("mean", "share", "sds[0]", "sds[1]", "bounded")
    assert density.axes == ("real", "unit", "positive", "positive", "positive")
    points = np.random.default_rng(2).normal(size=(5, 5))
    logp = model.compile_logp()
    names = [variable.name for variable in model.value_vars]
    for point, value in zip(points, density.logp(points), strict=True):
        parts = (np.asarray(point[0]), np.asarray(point[1]), point[2:4], np.asarray(point[4]))
        assert value == pytest.approx(float(logp(dict(zip(names, parts, strict=True)))))
    values = density.constrained(points)
    assert values["variance"].shape == (5, 2)
    assert values["variance"] == pytest.approx(np.exp(2 * points[:, 2:4]))
    assert values["share"] == pytest.approx(1 / (1 + np.exp(-points[:, 1])))
    assert (values["bounded"] < 0).all()
    assert values["constant"] == pytest.approx(np.full(5, 2.0))
    assert density.logp_and_gradient(points)[1].shape == (5, 5)


def test_wrong_points_and_unknown_data_are_named(density: Density) -> None:
    with pytest.raises(ModelError, match=r"shape \(3, 2\).*log_rate"):
        density.logp(np.zeros((3, 2)))
    with pytest.raises(ModelError, match="counts"):
        density.set_data({"counts": np.zeros(3)})


def test_importance_sampling_agrees_with_nuts_on_the_example(
    density: Density, crossover_fit: object, crossover: Trial
) -> None:
    density.set_data(data_of(Model.load(CARD), crossover))
    interest = density.names.index("log_rate_ratio")
    found = sample(density.logp, density.start(), density.axes, interest=interest, seed=3)
    assert found.trusted
    values = density.constrained(found.points)
    draws = crossover_fit["posterior"]  # type: ignore[index]
    for name in ("log_rate", "log_rate_ratio", "period_effect", "patient_sd", "overdispersion"):
        nuts = draws[name].to_numpy().ravel()
        assert found.mean(values[name]) == pytest.approx(nuts.mean(), abs=0.1 * nuts.std())
    below = float((draws["log_rate_ratio"].to_numpy() < 0).mean())
    assert found.probability_below(0.0)[0] == pytest.approx(below, abs=0.02)
