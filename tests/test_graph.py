"""The PyMC graph of every card: its density, its gradient, its data, its predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import special, stats

from bayes_msc.graph import build, data_of
from bayes_msc.model import Model
from bayes_msc.predictive import prior_draws, simulate_counts
from bayes_msc.predictor import row_parameters
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


NORMAL = Prior.normal(0.0, 0.4, why="for a test")
VARIANTS: dict[str, Callable[[Model], Model]] = {
    "carryover": lambda m: m.with_carryover(0.5),
    "carryover-two-sided": lambda m: m.with_carryover(0.5, two_sided=True),
    "baseline-count": lambda m: m.with_term("baseline-count", NORMAL),
    "baseline-joint": lambda m: m.with_term("baseline-joint", NORMAL),
    "serial": lambda m: m.with_term("serial", NORMAL),
    "serial between 0 and 1": lambda m: m.with_term("serial", Prior.beta(1.5, 5.0)),
    "per-arm": lambda m: m.with_dispersion("per-arm"),
    "fixed": lambda m: m.with_fixed("overdispersion", 1.0),
    "all fixed": lambda m: m.with_fixed("overdispersion", 0.5).with_fixed("patient_sd", 0.4),
    "together": lambda m: (
        m.with_carryover(0.5)
        .with_term("baseline-joint", NORMAL)
        .with_term("serial", NORMAL)
        .with_dispersion("per-arm")
    ),
}


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


def free_scale(graph: pm.Model, variable: Any, value: Any) -> np.ndarray:
    """A value of a variable on the scale on which it is sampled."""
    transform = graph.rvs_to_transforms[variable]
    if transform is None:
        return np.asarray(value)
    forward = transform.forward(pt.constant(np.asarray(value, dtype=float)), *variable.owner.inputs)
    return np.asarray(forward.eval(mode="FAST_COMPILE"))


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
    """Priors and Jacobians by scipy, and each patient's integral by quad."""
    model, trial = pair
    graph, rows = build(model, trial), arrange(trial, model)
    values = {name: v[:3] for name, v in _draws(model, trial, 3).items()}
    function = quick(graph)
    for d in range(3):
        point = {name: v[d] for name, v in values.items() if name != "overdispersion"}
        eta = row_parameters(model, rows, {n: v[d : d + 1] for n, v in values.items()}).eta[0]
        k = point.get("sqrt_overdispersion", 0.0) ** 2
        likelihood = sum(
            reference(Case("", rows.count[i][s], eta[i][s], point["patient_sd"], k))
            for i in range(rows.n_patients)
            for s in [rows.seen[i] == 1]
        )
        priors = model.priors_for(trial)
        prior = sum(float(np.log(priors[name].pdf(v))) for name, v in point.items())
        positive = {"patient_sd", "sqrt_overdispersion"} & set(point)
        scales = {n: priors[n].parameters[0] for n in positive}
        free = [
            -special.ndtri_exp(-point[n] / scales[n]) if n in scales else point[n]
            for n in _order(graph)
        ]
        slopes = [
            np.log(scales[n]) + stats.norm.logpdf(x) - stats.norm.logsf(x)
            for n, x in zip(_order(graph), free, strict=True)
            if n in scales
        ]
        jacobian = sum(slopes)
        ours = function(np.array(free))[0]
        assert ours == pytest.approx(likelihood + prior + jacobian, rel=0, abs=1e-7)


def by_hand(model: Model, trial: Trial, point: dict[str, float]) -> float:
    """Log likelihood of a crossover, patient by patient, from the table and scipy alone."""
    total = 0.0
    baseline = trial.data.groupby("patient", sort=False)["baseline"].first()
    for patient, scans in trial.seen.groupby("patient", sort=False):
        active_first = trial.data.query("patient == @patient and period == 1")["treatment"].eq(
            trial.active
        )
        counts, logs, shares, ks, before = [], [], [], [], None
        if "baseline-joint" in model.terms:
            counts.append(baseline[patient])
            logs.append(point["log_rate"] + point["baseline_level"])
            shares.append(1.0)
            ks.append(point.get("overdispersion", point.get("overdispersion_control")))
        for scan in scans.itertuples():
            treated = scan.treatment == trial.active
            log_mean = point["log_rate"] + np.log(scan.exposure) + point["log_rate_ratio"] * treated
            log_mean += point["period_effect"] * (scan.period == 2)
            if "baseline" in model.terms_for(trial):
                slope = np.log1p(baseline[patient]) - np.log1p(baseline).mean()
                log_mean += point["baseline_slope"] * slope
            if "baseline-count" in model.terms:
                log_mean += point["baseline_slope"] * (baseline[patient] - baseline.mean())
            if scan.period == 2 and not treated and active_first.all():
                effect = point.get("carryover_fraction", 0.0) * point["log_rate_ratio"]
                log_mean += point.get("carryover_effect", effect)
            plain, share = log_mean, 1.0
            if before and before[0] == (scan.period, scan.scan - 1):
                rho = point.get("serial_dependence", 0.0)
                log_mean += rho * (np.log(max(before[1], 0.5)) - before[2])
                share = 1.0 - rho
            before = ((scan.period, scan.scan), scan.count, plain)
            counts.append(scan.count)
            logs.append(log_mean)
            shares.append(share)
            arm = "overdispersion_active" if treated else "overdispersion_control"
            ks.append(point.get("overdispersion", point.get(arm)))
        total += np.log(_integral(np.array(counts), np.array(logs), np.array(shares), ks, point))
    return total


def _integral(
    counts: np.ndarray, logs: np.ndarray, shares: np.ndarray, ks: list, point: dict[str, float]
) -> float:
    """Likelihood of one patient on a fine grid of standardised effects."""
    z = np.linspace(-12.0, 12.0, 4001)
    mean = np.exp(logs[:, None] + point["patient_sd"] * shares[:, None] * z)
    n = 1.0 / np.array(ks, float)[:, None]
    density = stats.nbinom.logpmf(counts[:, None], n, n / (n + mean)).sum(axis=0)
    return float(np.exp(density + stats.norm.logpdf(z)).sum() * (z[1] - z[0]))


@pytest.mark.parametrize("name", VARIANTS)
def test_likelihood_of_every_term_by_hand(name: str, crossover: Trial, one_unseen: Trial) -> None:
    model = VARIANTS[name](Model.load("crossover-negative-binomial"))
    for trial in (crossover, one_unseen):
        graph = build(model, trial)
        values = _draws(model, trial, 2)
        likelihood = graph.compile_logp(vars=graph["count"], sum=True, mode="FAST_COMPILE")
        for d in range(2):
            point = {name: float(v[d]) for name, v in values.items()}
            ours = float(likelihood(_free(graph, point)))
            assert ours == pytest.approx(by_hand(model, trial, point), rel=1e-6)


def _free(graph: pm.Model, point: dict[str, float]) -> dict[str, np.ndarray]:
    """Values of the free variables on the scale on which they are sampled."""
    return {
        graph.rvs_to_values[variable].name: free_scale(graph, variable, point[variable.name])
        for variable in graph.free_RVs
    }


@pytest.fixture(scope="module")
def one_unseen(crossover: Trial) -> Trial:
    """The same trial without one scan in the table and with one that was not seen."""
    data = crossover.data
    data.loc[5, "count"] = np.nan
    return Trial(data.drop(index=9), **crossover.meta())


def test_a_treatment_effect_of_each_patient(crossover: Trial) -> None:
    prior = Prior.half_normal(0.5, why="for a test")
    model = Model.load("crossover-negative-binomial").with_varying_treatment(prior)
    graph, rows = build(model, crossover), arrange(crossover, model)
    point = {name: float(v[0]) for name, v in _draws(model, crossover, 1).items()}
    rng = np.random.default_rng(5)
    z, own = rng.normal(size=(2, 9))
    free = _free(graph, {**point, "z": z, "treatment_z": own})
    logp = graph.compile_logp(vars=graph["count"], sum=False, mode="FAST_COMPILE")
    plain = model.without_term("treatment-varies").with_patient_effect("integrated")
    eta = row_parameters(plain, rows, {n: np.array([v]) for n, v in point.items()}).eta[0]
    treated = rows.columns()["log_rate_ratio"]
    eta = eta + point["patient_sd"] * z[:, None]
    mean = np.exp(eta + treated * point["treatment_sd"] * own[:, None])
    n = 1.0 / point["overdispersion"]
    density = stats.nbinom.logpmf(rows.count, n, n / (n + mean))
    expected = np.where(rows.seen == 1, density, 0.0).sum(axis=1)
    np.testing.assert_allclose(logp(free)[0], expected, rtol=1e-7)


def test_fixed_numbers_are_data_and_no_variables(crossover: Trial) -> None:
    model = Model.load("crossover-negative-binomial").with_fixed("overdispersion", 1.0)
    graph = build(model, crossover)
    assert "sqrt_overdispersion" not in graph.named_vars
    assert "overdispersion" not in graph.named_vars
    likelihood = graph.compile_logp(vars=graph["count"], sum=True, mode="FAST_COMPILE")
    at = graph.initial_point()
    first = float(likelihood(at))
    with graph:
        pm.set_data(data_of(model.with_fixed("overdispersion", 0.2), crossover))
    assert float(likelihood(at)) != first


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
    np.testing.assert_array_equal(data["rows"], rows.table)


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


@pytest.mark.parametrize("distribution", ["half_normal", "exponential"])
def test_the_scale_of_a_standard_deviation_has_its_inverse_and_its_slope(
    distribution: str, parallel: Trial
) -> None:
    prior = Prior(distribution, (2.5,), why="to compare")
    graph = build(Model.load("count-poisson").with_prior("patient_sd", prior), parallel)
    variable = graph["patient_sd"]
    transform, inputs = graph.rvs_to_transforms[variable], variable.owner.inputs
    x = pt.dvector("x")
    sd = transform.backward(x, *inputs)
    there_and_back = pytensor.function(
        [x],
        [sd, transform.forward(sd, *inputs), transform.log_jac_det(x, *inputs)],
        mode="FAST_COMPILE",
    )
    points = np.array([-30.0, -8.0, -2.0, -0.3, 0.0, 0.4, 3.0, 8.0])
    values, back, slopes = there_and_back(points)
    scale = 2.5 if distribution == "half_normal" else 1 / 2.5
    np.testing.assert_allclose(values, -scale * special.log_ndtr(-points), rtol=1e-12)
    np.testing.assert_allclose(back, points, rtol=1e-9, atol=1e-9)
    step = 1e-5
    rise = there_and_back(points + step)[0] - there_and_back(points - step)[0]
    np.testing.assert_allclose(slopes, np.log(rise / (2 * step)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("distribution", sorted(set(DISTRIBUTIONS) - {"fixed", "beta"}))
def test_prior_densities_are_the_same_in_pymc(distribution: str, parallel: Trial) -> None:
    numbers: dict[str, tuple[Any, ...]] = {
        "normal": (-0.2, 0.7),
        "student_t": (3.0, 1.4, 2.5),
        "normal_mixture": ((0.3, 0.7), (-1.0, 0.5), (0.4, 1.1)),
        "half_normal": (0.8,),
        "half_cauchy": (0.8,),
        "half_student_t": (4.0, 0.8),
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
        free = free_scale(graph, graph[parameter], value)
        ours = float(logp({**point, name: np.array(free)}))
        assert ours == pytest.approx(float(np.log(prior.pdf(value))), abs=1e-8)


def test_beta_prior_is_the_same_in_pymc(crossover: Trial) -> None:
    prior = Prior.beta(1.5, 5.0, why="to compare")
    model = Model.load("crossover-negative-binomial-serial").with_prior("serial_dependence", prior)
    graph = build(model, crossover)
    logp = graph.compile_logp(vars=graph["serial_dependence"], jacobian=False, mode="FAST_COMPILE")
    name = graph.rvs_to_values[graph["serial_dependence"]].name
    for value in (0.05, 0.4):
        ours = float(logp({**graph.initial_point(), name: np.array(special.logit(value))}))
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
    ours = simulate_counts(model, rows, prior_draws(model, crossover, 4000, rng), rng)
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
