"""The fast engine as a fit, and many refits in one call: against NUTS, in any order, by anyone."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import make_parallel
from scipy import integrate, stats

from bayes_msc import refits as module
from bayes_msc.diagnostics import converged, diagnose
from bayes_msc.errors import ModelError
from bayes_msc.estimands import prob_curve, summarize
from bayes_msc.fit import fit, load_fit, save_fit
from bayes_msc.graph import data_of
from bayes_msc.importance import EFFORT, Effort
from bayes_msc.model import Model
from bayes_msc.monte_carlo import ChainErrors, ReplicateErrors, errors_of
from bayes_msc.prior import Prior
from bayes_msc.refits import Stopped, refit_many, seed_of
from bayes_msc.sampler import Sampler, Settings, why_not_trusted
from bayes_msc.trial import Trial

CARD = "crossover-negative-binomial"


@pytest.fixture(scope="module")
def fast_fit(crossover: Trial) -> xr.DataTree:
    return fit(crossover, CARD, seed=5, engine="fast")


@pytest.fixture(scope="module")
def pairs(crossover: Trial) -> list[tuple[Model, Trial]]:
    model = Model.load(CARD)
    return [
        (model.with_prior("log_rate_ratio", Prior.normal(0.0, scale)), crossover)
        for scale in (0.2, 0.5, 1.0, 2.0)
    ]


@pytest.fixture(scope="module")
def table(pairs: list[tuple[Model, Trial]]) -> pd.DataFrame:
    return refit_many(pairs, seed=3)


def test_fast_and_nuts_agree(fast_fit: xr.DataTree, crossover_fit: xr.DataTree) -> None:
    assert fast_fit.attrs["engine"] == "adaptive importance sampling"
    assert fast_fit.attrs["refitted"] == ""
    for name in ("log_rate_ratio", "log_rate", "period_effect", "patient_sd", "overdispersion"):
        one, other = (f["posterior"][name].to_numpy() for f in (fast_fit, crossover_fit))
        sd = other.std()
        error = np.hypot(errors_of(fast_fit).of_mean(one), errors_of(crossover_fit).of_mean(other))
        assert one.mean() == pytest.approx(other.mean(), abs=max(4.5 * error, 0.02 * sd)), name
        assert one.std() == pytest.approx(sd, rel=0.08), name
    one, other = (summarize(f).set_index("label") for f in (fast_fit, crossover_fit))
    below = one.index[one["threshold"] == 1.0]
    assert one.loc[below, "probability"].item() == pytest.approx(
        other.loc[below, "probability"].item(), abs=0.02
    )


def test_fast_fit_has_every_group_and_its_own_checks(fast_fit: xr.DataTree) -> None:
    assert set(fast_fit.children) >= {"posterior", "log_likelihood", "log_prior", "importance"}
    points = fast_fit["importance"]
    assert np.exp(points["log_weight"].to_numpy()).sum() == pytest.approx(1.0)
    checks = diagnose(fast_fit)
    assert converged(checks)
    assert "Pareto k of the weights" in set(checks["check"])
    assert "R-hat" not in set(checks["check"])
    assert (summarize(fast_fit)["verdict"] == "ok").all()
    assert prob_curve(fast_fit)["mcse"].max() < 0.02


def test_fast_fit_survives_the_disk(fast_fit: xr.DataTree, tmp_path: Any) -> None:
    again = load_fit(save_fit(fast_fit, tmp_path / "fast.nc"))
    assert again["importance"].attrs == fast_fit["importance"].attrs
    pd.testing.assert_frame_equal(summarize(again), summarize(fast_fit))


def test_same_seed_same_fast_fit(crossover: Trial, fast_fit: xr.DataTree) -> None:
    again = fit(crossover, CARD, seed=5, engine="auto")
    xr.testing.assert_identical(again["posterior"].dataset, fast_fit["posterior"].dataset)


def test_bad_weights_are_flagged_before_the_number(fast_fit: xr.DataTree) -> None:
    spoilt = fast_fit.copy()
    spoilt["importance"].attrs["pareto_k"] = 0.9
    assert not converged(diagnose(spoilt))
    assert summarize(spoilt)["verdict"].str.contains("Pareto k of the weights 0.9").all()


def test_nuts_takes_over_where_weights_cannot_be_trusted(
    crossover: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = Sampler.fast

    def distrusted(self: Sampler, numbers: Any, seed: int, effort: Effort = EFFORT) -> Any:
        return replace(fast(self, numbers, seed, effort), trusted=False, pareto_k=1.3)

    monkeypatch.setattr(Sampler, "fast", distrusted)
    taken_over = fit(crossover, CARD, seed=11, engine="fast")
    assert taken_over.attrs["engine"] == "nutpie NUTS"
    assert "Pareto k 1.30, limit 0.7" in taken_over.attrs["refitted"]
    row = refit_many([(Model.load(CARD), crossover)]).iloc[0]
    assert row["engine"] == "nuts"
    assert "Pareto k 1.30" in row["note"]
    assert row["ok"]
    assert np.isnan(row["log_marginal_likelihood"])


def test_words_for_distrust(crossover: Trial) -> None:
    model = Model.load(CARD)
    found = Sampler.of(model, crossover).fast(data_of(model, crossover), 1)
    assert why_not_trusted(found) == ""
    assert "effective size 3" in why_not_trusted(replace(found, trusted=False, ess=3.0))
    assert "Pareto k inf" in why_not_trusted(replace(found, trusted=False, pareto_k=np.inf))


def test_sampled_effects_are_refused_by_fast(crossover: Trial) -> None:
    sampled = Model.load(CARD).with_patient_effect("sampled")
    with pytest.raises(ModelError, match='use engine="nuts"'):
        fit(crossover, sampled, engine="fast")
    with pytest.raises(ModelError, match="nuts, fast, auto"):
        fit(crossover, sampled, engine="quick")


def test_marginal_likelihood_is_the_integral_by_quadrature() -> None:
    trial = make_parallel([[3.0], [1.0], [0.0], [2.0], [5.0], [0.0]])
    model = Model.load("count-poisson").with_fixed("patient_sd", 0.0)
    model = model.with_prior("log_rate", Prior.normal(0.3, 0.8))
    counts = trial.seen["count"].to_numpy()
    treated = (trial.seen["treatment"] == trial.active).to_numpy()
    ratio = model.priors["log_rate_ratio"].frozen()

    def density(tau: float, a: float) -> float:
        logp = stats.poisson.logpmf(counts, np.exp(a + tau * treated)).sum()
        return float(np.exp(logp + stats.norm.logpdf(a, 0.3, 0.8)) * ratio.pdf(tau))

    exact = np.log(integrate.dblquad(density, -4.0, 4.5, -6.0, 5.0, epsabs=1e-13)[0])
    row = refit_many([(model, trial)]).iloc[0]
    assert row["engine"] == "fast"
    assert row["log_marginal_likelihood"] == pytest.approx(exact, abs=0.02)
    assert row["log_marginal_likelihood_se"] < 0.02


def test_rows_of_many_refits(table: pd.DataFrame, fast_fit: xr.DataTree) -> None:
    assert table["refit"].tolist() == [0, 1, 2, 3]
    assert (table["lower"] < table["median"]).all()
    assert (table["median"] < table["upper"]).all()
    # the wider the prior, the further the estimate may go from 1
    assert table["median"].is_monotonic_decreasing
    assert table["log_sd"].is_monotonic_increasing
    own = summarize(fast_fit).set_index("statement")
    card = table.iloc[2]
    assert card["median"] == pytest.approx(own.loc["rate_ratio", "median"], rel=0.02)
    assert card["lower"] == pytest.approx(own.loc["rate_ratio", "lower"], rel=0.06)


def test_place_in_the_run_decides_not_company(
    pairs: list[tuple[Model, Trial]], table: pd.DataFrame, crossover: Trial, parallel: Trial
) -> None:
    # another structure among them, in another process or thread, in another order of arrival
    mixed = [*pairs, (Model.load("count-poisson"), parallel)]
    with ThreadPoolExecutor(2) as executor:
        threaded = refit_many(mixed, seed=3, executor=executor)
    pd.testing.assert_frame_equal(threaded.iloc[:4], table)
    assert len({seed_of(1, i) for i in range(1000)} | {seed_of(2, i) for i in range(1000)}) == 2000


@pytest.mark.slow
def test_processes_give_the_same_to_the_last_bit(
    pairs: list[tuple[Model, Trial]], monkeypatch: pytest.MonkeyPatch
) -> None:
    many, opened = pairs * 30, []
    alone = refit_many(many, workers=1)
    own = module.local_pool
    monkeypatch.setattr(module, "_WORTH_PROCESSES", 0.0)
    monkeypatch.setattr(module, "local_pool", lambda n: opened.append(n) or own(n))
    pd.testing.assert_frame_equal(refit_many(many, workers=2), alone)
    assert opened == [2]


def test_stopped_run_keeps_what_is_finished(
    pairs: list[tuple[Model, Trial]], table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(ThreadPoolExecutor):
        """Does the first batch; Ctrl-C comes during the second."""

        calls = 0

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            future: Future[Any] = Future()
            if self.calls == 1:
                future.set_result(fn(*args, **kwargs))
            else:
                future.set_exception(KeyboardInterrupt())
            return future

    monkeypatch.setattr(module, "CHUNK", 2)
    with Interrupted(1) as executor, pytest.raises(Stopped, match="after 2 refits") as stopped:
        refit_many(pairs, seed=3, executor=executor)
    pd.testing.assert_frame_equal(stopped.value.finished, table.iloc[:2])


def test_nothing_to_refit_is_an_empty_table() -> None:
    assert refit_many([]).empty


def test_unknown_engine_lists_the_known(pairs: list[tuple[Model, Trial]]) -> None:
    with pytest.raises(ModelError, match="nuts, fast, auto"):
        refit_many(pairs, engine="stan")


def test_replicate_errors_measure_the_spread_between_replicates() -> None:
    rng = np.random.default_rng(4)
    replicate = rng.integers(0, 8, (4, 500))
    level = rng.normal(size=8)
    values = level[replicate] + 0.01 * rng.normal(size=(4, 500))
    errors = ReplicateErrors(replicate)
    # eight means of known spread: the error of their mean, not that of two thousand draws
    assert errors.of_mean(values) == pytest.approx(level.std(ddof=1) / np.sqrt(8), rel=0.15)
    assert errors.of_mean(values) > 5 * ChainErrors().of_mean(values)
    assert errors.of_median(values) > 0
    assert errors.of_probability(np.ones((4, 500), dtype=bool)) == 1 / 2000


def test_settings_are_shared_by_the_engines(fast_fit: xr.DataTree) -> None:
    default = Settings()
    sizes = fast_fit["posterior"].sizes
    assert (sizes["chain"], sizes["draw"]) == (default.chains, default.draws)
