"""The PyMC graph of every card: its density, its gradient, its data, its predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytest

from bayes_msc.graph import build, data_of
from bayes_msc.model import Model
from bayes_msc.predictive import linear_predictor, prior_draws, simulate_counts
from bayes_msc.prior import DISTRIBUTIONS, Prior
from bayes_msc.rows import arrange
from bayes_msc.trial import Trial
from benchmarks.quadrature import Case, reference

PAIRS = [
    ("count-poisson", "parallel"),
    ("count-negative-binomial", "parallel"),
    ("count-poisson", "epilepsy"),
    ("count-negative-binomial", "epilepsy"),
    ("count-negative-binomial", "crossover"),
    ("crossover-poisson", "crossover"),
    ("crossover-negative-binomial", "crossover"),
    ("crossover-negative-binomial", "reconstruction"),
]


@pytest.fixture(params=PAIRS, ids="-on-".join)
def pair(request: pytest.FixtureRequest) -> tuple[Model, Trial]:
    card, trial = request.param
    return Model.load(card), request.getfixturevalue(trial)


def quick(graph: pm.Model) -> Any:
    """Compile the log density and its gradient as one function of the free vector."""
    function = graph.logp_dlogp_function(mode="FAST_COMPILE", ravel_inputs=True)
    function.set_extra_values({})
    return function


def start(graph: pm.Model) -> np.ndarray:
    return pm.blocking.DictToArrayBijection.map(graph.initial_point()).data


@pytest.mark.parametrize("patient_effect", ["integrated", "sampled"])
def test_every_card_starts_with_a_finite_density_and_gradient(
    pair: tuple[Model, Trial], patient_effect: str
) -> None:
    model, trial = pair
    graph = build(model.with_patient_effect(patient_effect), trial)
    density, gradient = quick(graph)(start(graph))
    assert np.isfinite(density)
    assert np.isfinite(gradient).all()
    assert (gradient != 0).any()


def test_gradient_is_the_slope_of_the_density(pair: tuple[Model, Trial]) -> None:
    model, trial = pair
    graph = build(model, trial)
    function = quick(graph)
    at = start(graph) + np.random.default_rng(1).normal(scale=0.3, size=len(start(graph)))
    gradient = function(at)[1]
    step = 1e-5 * np.eye(len(at))
    slope = [(function(at + h)[0] - function(at - h)[0]) / 2e-5 for h in step]
    # the nodes move with the parameters: what is left of their error shows at the fifth digit
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=2e-4 * trial.n_patients)


def test_density_by_hand(pair: tuple[Model, Trial]) -> None:
    """Priors by scipy, Jacobians of the logarithms, and each patient's integral by quad."""
    model, trial = pair
    graph, rows = build(model, trial), arrange(trial, model)
    values = {name: v[:3] for name, v in _draws(model, trial, 3).items()}
    function = quick(graph)
    for d in range(3):
        point = {name: v[d] for name, v in values.items() if name != "overdispersion"}
        eta = linear_predictor(rows, {n: v[d : d + 1] for n, v in values.items()})[0]
        k = point.get("sqrt_overdispersion", 0.0) ** 2
        likelihood = sum(
            reference(Case("", rows.count[i][s], eta[i][s], point["patient_sd"], k))
            for i in range(rows.n_patients)
            for s in [rows.seen[i] == 1]
        )
        priors = model.priors_for(trial)
        prior = sum(float(np.log(priors[name].pdf(v))) for name, v in point.items())
        positive = ("patient_sd", "sqrt_overdispersion")
        jacobian = sum(np.log(v) for name, v in point.items() if name in positive)
        free = [np.log(point[n]) if n in positive else point[n] for n in _order(graph)]
        ours = function(np.array(free))[0]
        assert ours == pytest.approx(likelihood + prior + jacobian, rel=0, abs=1e-7)


def _draws(model: Model, trial: Trial, n: int) -> dict[str, np.ndarray]:
    draws = prior_draws(model, trial, n, np.random.default_rng(7))
    # pulled half way to the centre, where quad is not troubled by counts that cannot happen
    centre = float(model.priors_for(trial)["log_rate"].ppf(0.5))
    draws["log_rate"] = centre + 0.3 * (draws["log_rate"] - centre)
    return draws


def _order(graph: pm.Model) -> list[str]:
    return [variable.name for variable in graph.free_RVs]


def test_parameters_are_named_as_on_the_card(pair: tuple[Model, Trial]) -> None:
    model, trial = pair
    assert _order(build(model, trial)) == list(model.priors_for(trial))


def test_every_number_is_data(pair: tuple[Model, Trial]) -> None:
    model, trial = pair
    graph = build(model, trial)
    data = data_of(model, trial)
    assert set(data) == {variable.name for variable in graph.data_vars}
    for name, value in data.items():
        np.testing.assert_array_equal(graph[name].get_value(), value)
    rows, priors = arrange(trial, model), model.priors_for(trial)
    assert data["prior_numbers"].tolist() == [x for p in priors.values() for x in p.parameters]
    np.testing.assert_array_equal(data["observed"], rows.count)
    np.testing.assert_array_equal(data["rows"][:, :, 0], rows.seen)
    np.testing.assert_array_equal(data["rows"][:, :, 1], rows.log_exposure)
    np.testing.assert_array_equal(data["rows"][:, :, 2:], rows.design)


def test_other_numbers_need_no_other_graph(crossover: Trial, reconstruction: Trial) -> None:
    model = Model.load("crossover-negative-binomial")
    other = model.with_prior("log_rate_ratio", Prior.normal(-0.5, 0.3, why="another opinion"))
    graph = build(model, crossover)
    with graph:
        pm.set_data(
            data_of(other, reconstruction),
            coords={"patient": list(arrange(reconstruction, other).patients)},
        )
    fresh = build(other, reconstruction)
    at = start(fresh) + 0.1
    np.testing.assert_allclose(quick(graph)(at)[0], quick(fresh)(at)[0], rtol=1e-12)


def test_one_log_likelihood_a_patient(pair: tuple[Model, Trial]) -> None:
    model, trial = pair
    graph = build(model, trial)
    value = graph.compile_logp(vars=graph["count"], sum=False, mode="FAST_COMPILE")
    (by_patient,) = value(graph.initial_point())
    assert by_patient.shape == (arrange(trial, model).n_patients,)
    assert np.isfinite(by_patient).all()


@pytest.mark.parametrize("distribution", sorted(DISTRIBUTIONS))
def test_prior_densities_are_the_same_in_pymc(distribution: str, parallel: Trial) -> None:
    numbers: dict[str, tuple[Any, ...]] = {
        "normal": (-0.2, 0.7),
        "student_t": (3.0, 1.4, 2.5),
        "normal_mixture": ((0.3, 0.7), (-1.0, 0.5), (0.4, 1.1)),
        "half_normal": (0.8,),
        "half_cauchy": (0.8,),
        "exponential": (2.0,),
        "gamma": (2.0, 0.5),
        "lognormal": (0.2, 0.6),
    }
    prior = Prior(distribution, numbers[distribution], why="to compare")
    parameter = "patient_sd" if prior.support == "positive" else "log_rate_ratio"
    graph = build(Model.load("count-poisson").with_prior(parameter, prior), parallel)
    logp = graph.compile_logp(vars=graph[parameter], jacobian=False, mode="FAST_COMPILE")
    point = graph.initial_point()
    name = graph.rvs_to_values[graph[parameter]].name
    for value in (0.1, 0.9, 2.5):
        free = np.log(value) if prior.support == "positive" else value
        ours = float(logp({**point, name: np.array(free)}))
        assert ours == pytest.approx(float(np.log(prior.pdf(value))), abs=1e-8)


# drawing counts is not worth compiling
OBJECT_MODE = pytest.mark.filterwarnings("ignore:Numba will use object mode to run CustomDist")


@OBJECT_MODE
def test_prior_predictive_counts_of_the_graph(crossover: Trial) -> None:
    model = Model.load("crossover-negative-binomial").with_prior(
        "log_rate", Prior.normal(0.5, 0.5, why="counts with a mean that settles")
    )
    model = model.with_prior("patient_sd", Prior.half_normal(0.4, why="the same"))
    graph, rows = build(model, crossover), arrange(crossover, model)
    with graph:
        drawn = pm.sample_prior_predictive(draws=4000, random_seed=3)
    counts = drawn["prior_predictive"]["count"].to_numpy()[0]
    assert counts.shape == (4000, *rows.count.shape)
    assert np.isfinite(counts).all()
    assert (counts >= 0).all()
    assert (counts == np.round(counts)).all()
    rng = np.random.default_rng(4)
    ours = simulate_counts(model.family, rows, prior_draws(model, crossover, 4000, rng), rng)
    for statistic in (lambda y: np.log1p(y).mean(axis=1), lambda y: (y == 0).mean(axis=1)):
        graphs, numpys = statistic(rows.flat(counts)), statistic(ours)
        error = np.sqrt((graphs.var() + numpys.var()) / 4000)
        assert graphs.mean() == pytest.approx(numpys.mean(), abs=4 * error)


@OBJECT_MODE
def test_unseen_rows_are_not_predicted(reconstruction: Trial) -> None:
    model = Model.load("crossover-poisson")
    graph, rows = build(model, reconstruction), arrange(reconstruction, model)
    counts = pm.draw(graph["count"], draws=200, random_seed=1)
    assert (counts[:, rows.seen == 0] == 0).all()
    assert (counts[:, rows.seen == 1] > 0).any()
