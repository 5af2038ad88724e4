"""The parts of the benchmarks that judge and tell: agreement, tables, goals, what is skipped."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks import __main__ as command
from benchmarks import engines, growth, peer, refits, simulation, speed, whole_run
from benchmarks.agreement import PARAMETERS, SAME, Statement, disagreement, statement, worst_ess
from benchmarks.engines import OURS, Engine
from benchmarks.figure import draw
from benchmarks.goals import GOALS, SPEED, verdicts
from benchmarks.measures import Measure, as_table, merged, read, repeated, skipped, write
from benchmarks.peer import Ask, Peer, PeerError, Refit, exchange
from benchmarks.simulated import crossover

ASK = Ask(seed=1, chains=2, tune=10, draws=1000, cores=2, target_accept=0.9)


def independent(seed: int, shift: float = 0.0, draws: int = 1000) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(-0.5 + shift * (name == "log_rate_ratio"), 1.0, (4, draws))
        for name in PARAMETERS
    }


def test_statement_is_that_of_all_runs_together() -> None:
    said = statement([independent(1), independent(2)])
    assert said.mean == pytest.approx(-0.5, abs=0.05)
    assert said.sd == pytest.approx(1.0, abs=0.05)
    assert said.probability == pytest.approx(stats.norm.cdf(0.5), abs=0.02)
    assert said.ess == pytest.approx(8000, rel=0.15)


def test_worst_parameter_is_the_one_that_hardly_moves() -> None:
    draws = independent(3)
    draws["patient_sd"] = np.cumsum(draws["patient_sd"], axis=1)
    ess, worst = worst_ess(draws)
    assert worst == "patient_sd"
    assert ess < 50


def test_same_posterior_agrees_and_another_does_not() -> None:
    truth = statement([independent(4, draws=10_000)])
    for seed in range(5, 25):
        assert disagreement(statement([independent(seed)]), truth, SAME) == ""
    other = disagreement(statement([independent(5, shift=0.3)]), truth, SAME)
    assert "mean of log RR" in other
    assert "P(RR < 1)" in other


def test_draws_that_are_not_numbers_never_agree() -> None:
    broken = Statement(np.nan, np.nan, np.nan, 100.0)
    assert disagreement(broken, Statement(-0.5, 1.0, 0.7, 100.0), SAME)


def fake(seconds: float, shift: float = 0.0) -> Engine:
    def refit(ask: Ask) -> Refit:
        return Refit(seconds * (3 - ask.cores), independent(ask.seed, shift), 0)

    return Engine("fake", refit)


def engine(name: str, seconds: float, shift: float = 0.0) -> Engine:
    return Engine(name, fake(seconds, shift).refit)


def report_of(*some: Engine) -> pd.DataFrame:
    timed, failed = speed.interleaved(some, ASK, 3)
    return as_table([*speed.report(some, timed, Refit(1.0, independent(99), 0)), *failed])


def row(table: pd.DataFrame, measure: str, case: str) -> pd.Series:
    chosen = table[(table["measure"] == measure) & (table["case"] == case)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_ratio_is_taken_against_the_faster_of_two_targets() -> None:
    table = report_of(engine(OURS, 1.0), engine("brms", 40.0), engine("brms, target 0.8", 20.0))
    ratio = row(table, SPEED, "brms")
    assert ratio["value"] == pytest.approx(20.0, rel=0.2)
    assert ratio["low"] <= ratio["value"] <= ratio["high"]
    assert ratio["note"] == "against brms, target 0.8"


def test_no_speed_of_an_engine_with_another_posterior() -> None:
    table = report_of(engine(OURS, 1.0), engine("other", 0.1, shift=1.0))
    other = row(table, speed.RATE, "other")
    assert np.isnan(other["value"])
    assert "another posterior" in other["note"]
    assert not ((table["measure"] == SPEED) & (table["case"] == "other")).any()


def test_an_engine_that_fails_is_skipped_and_the_others_go_on() -> None:
    calls = []

    def fail_later(ask: Ask) -> Refit:
        calls.append(ask)
        if len(calls) > 3:
            raise PeerError("out of memory")
        return Refit(1.0, independent(1), 0)

    table = report_of(engine(OURS, 1.0), Engine("weak", fail_later))
    assert row(table, speed.RATE, "weak")["note"] == "skipped: out of memory"
    assert row(table, speed.RATE, OURS)["value"] > 0
    assert len(calls) == 4


def test_chains_run_on_as_many_cores_as_is_faster() -> None:
    asked = []

    def slow_to_start(ask: Ask) -> Refit:
        asked.append(ask.cores)
        return Refit(1.0 if ask.cores == 1 else 5.0, independent(ask.seed), 0)

    speed.interleaved([Engine("x", slow_to_start)], ASK, 2)
    assert asked[-2:] == [1, 1]
    assert 2 in asked


def test_an_engine_asks_for_its_own_target_and_draws() -> None:
    seen: list[Ask] = []

    def refit(ask: Ask) -> Refit:
        seen.append(ask)
        return Refit(1.0, {}, 0)

    Engine("x", refit, target_accept=0.8, tune=30, more_draws=10).run(ASK)
    assert (seen[0].target_accept, seen[0].draws, seen[0].seed) == (0.8, 10_000, 1)
    assert seen[0].tune == 30


def test_peers_get_the_models_own_numbers() -> None:
    model, trial = engines.question()
    data = exchange(model, trial)
    seen = trial.seen
    assert data["count"] == seen["count"].tolist()
    assert data["treated"] == (seen["treatment"] == trial.active).astype(float).tolist()
    assert data["second"] == (seen["period"] == 2).astype(float).tolist()
    np.testing.assert_allclose(np.exp(data["log_exposure"]), seen["exposure"])
    assert data["patient"] == (pd.factorize(seen["patient"])[0] + 1).tolist()
    pooled = np.log((seen["count"].sum() + 0.5) / seen["exposure"].sum())
    assert data["priors"]["log_rate"]["loc"] == pytest.approx(pooled)
    assert data["priors"]["log_rate_ratio"] == {"loc": 0.0, "scale": 1.0}
    assert data["priors"]["sqrt_overdispersion"] == {"scale": 1.0}


def test_peers_priors_of_the_overdispersion() -> None:
    """Half-normal on sqrt(k) is inverse gamma on 1 / k; the Cauchy has the same median."""
    scale = 0.7
    size = np.array([0.2, 1.0, 5.0])
    half_normal = stats.halfnorm(scale=scale).sf(size**-0.5)
    np.testing.assert_allclose(stats.invgamma(0.5, scale=0.5 / scale**2).cdf(size), half_normal)
    median = 1 / (stats.norm.ppf(0.75) * scale) ** 2
    assert stats.halfnorm(scale=scale).sf(median**-0.5) == pytest.approx(0.5)
    assert stats.halfcauchy(scale=median).cdf(median) == pytest.approx(0.5)


SERVER = """
import json, sys
print("noise", flush=True)
print("@ready", flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    if ask["seed"] == 13:
        sys.exit("no luck")
    answer = {"seconds": 0.5, "divergences": 2, "draws": {"log_rate": [[1.0, 2.0], [3.0, 4.0]]}}
    with open(ask["out"], "w") as out:
        json.dump(answer, out)
    print("@done", flush=True)
"""


def test_a_peer_answers_and_its_last_words_are_kept() -> None:
    with Peer([sys.executable, "-c", SERVER], {}) as running:
        for seed in (1, 2):
            answer = running.refit(Ask(seed, 2, 10, 2, 1, 0.9))
            assert (answer.seconds, answer.divergences) == (0.5, 2)
            assert answer.draws["log_rate"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
        with pytest.raises(PeerError, match="no luck"):
            running.refit(Ask(13, 2, 10, 2, 1, 0.9))


def test_a_peer_that_cannot_start_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PeerError, match="no-such-program"):
        Peer(["no-such-program"], {})
    with pytest.raises(PeerError, match="boom"):
        Peer([sys.executable, "-c", "raise SystemExit('boom')"], {})
    monkeypatch.setattr(peer.shutil, "which", lambda name: None)
    with pytest.raises(PeerError, match="Rscript is not installed"):
        peer.r_version("rstanarm")
    notes = [measure.note for measure in engines.peer_versions()]
    assert len(notes) == len(engines.PEERS)
    assert all(note.startswith("skipped: ") for note in notes)


def test_median_and_range() -> None:
    measure = repeated("a", "b", "c", [3.0, 1.0, 2.0], "s")
    assert (measure.value, measure.low, measure.high) == (2.0, 1.0, 3.0)


def test_a_benchmark_that_runs_again_replaces_its_own_rows(tmp_path: Path) -> None:
    old = as_table([Measure("speed", "rate", "x", 1.0), Measure("memory", "gained", "y", 2.0)])
    new = as_table([Measure("speed", "rate", "z", 3.0, note="a, b")])
    path = tmp_path / "deep" / "table.csv"
    write(merged(old, new), path)
    back = read(path)
    assert back[["benchmark", "case", "note"]].to_numpy().tolist() == [
        ["memory", "y", ""],
        ["speed", "z", "a, b"],
    ]
    assert read(tmp_path / "none.csv").empty


def test_every_goal_is_judged() -> None:
    nothing = verdicts(as_table([]))
    assert set(nothing["met"]) == {"not measured"}
    assert len(nothing) == len(GOALS)
    assert nothing["goal"].str.match(r"^at (least|most) [\d.]+").all()
    for goal in GOALS:
        limit = goal.least if np.isfinite(goal.least) else goal.most
        better = 1 if np.isfinite(goal.least) else -1
        for value, met in ((limit, "yes"), (limit + better, "yes"), (limit - better, "no")):
            table = as_table([Measure(goal.benchmark, goal.measure, goal.case, value)])
            assert (verdicts(table)["met"] == met).sum() == 1


def test_a_goal_that_was_skipped_says_why() -> None:
    goal = GOALS[0]
    table = as_table([skipped(goal.benchmark, goal.measure, goal.case, "not installed")])
    first = verdicts(table).iloc[0]
    assert (first["measured"], first["met"]) == ("skipped: not installed", "not measured")


def test_exponent_of_growth() -> None:
    sizes = [10, 100, 1000]
    assert growth.exponent(sizes, [0.1, 1.0, 10.0]) == pytest.approx(1.0)
    assert growth.exponent(sizes, [1.0, 100.0, 10_000.0]) == pytest.approx(2.0)


def test_simulated_crossover_has_the_size_and_the_effects_asked_for() -> None:
    trial = crossover(2000, rows=4)
    table = trial.data
    assert (trial.n_patients, len(table), trial.label) == (2000, 8000, "simulated, not data")
    assert (table.groupby("patient")["treatment"].nunique() == 2).all()
    rates = trial.arm_summary().set_index("treatment")["rate"]
    assert np.log(rates["drug"] / rates["placebo"]) == pytest.approx(-0.7, abs=0.1)


def test_refits_differ_in_their_priors() -> None:
    model, trial = engines.question()
    models = [m for m, _ in refits.pairs(model, trial, 10)]
    assert len({m.sha256 for m in models}) == 10


def test_seconds_of_a_trial_between_two_shares_of_a_run() -> None:
    # ten seconds of start, then 100 trials at 0.1 s and 100 at 0.2 s each
    found = {"trials": [50, 100, 150, 200], "at": [15.0, 20.0, 30.0, 40.0]}
    assert simulation.seconds_a_trial(found, 0.25, 0.5) == pytest.approx(0.1)
    assert simulation.seconds_a_trial(found, 0.5, 1.0) == pytest.approx(0.2)
    assert simulation.seconds_a_trial(found, 0.25, 1.0) == pytest.approx(25 / 150)


def test_peers_are_asked_the_trials_of_the_run_in_their_order() -> None:
    [cell] = whole_run.plan().cells
    trials = cell.trials(whole_run.plan().seed, 0, whole_run.plan().effort.size)
    asks = list(simulation._asks(cell, 3, 2))
    for k, ask in enumerate(asks):
        assert ask.trial is not None
        assert ask.trial["count"] == trials.count[k].ravel().tolist()
        rate = np.log((trials.count[k].sum() + 0.5) / 18)
        assert ask.trial["priors"]["log_rate"]["loc"] == pytest.approx(rate)
        assert json.loads(json.dumps(asdict(ask)))["trial"] == ask.trial


def test_goals_of_the_simulation_name_its_measures() -> None:
    named = {value for key, value in vars(simulation).items() if key.isupper()}
    goals = [goal for goal in GOALS if goal.benchmark == "simulation"]
    assert len(goals) == 9
    assert {goal.measure for goal in goals} <= named
    assert {goal.case for goal in goals} >= {f"{simulation.ROWS} rows", "2 workers", "rstanarm"}


def test_figure_is_drawn_with_and_without_numbers(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.svg"
    draw(as_table([]), path)
    assert path.read_text(encoding="utf-8").startswith("<?xml")
    rows = [
        repeated("speed", speed.RATE, OURS, [900.0, 1000.0]),
        repeated("speed", speed.RATE, "other", [90.0, 100.0]),
        *(Measure("growth", growth.GRADIENT, f"{n} patients", 1e-5 * n) for n in (9, 30)),
        *(
            Measure("compile", step, "nuts, cached", 1.0)
            for step in ("import", "build", "compile", "first answer")
        ),
    ]
    before = path.stat().st_size
    draw(as_table(rows), path)
    assert path.stat().st_size > before


def test_command_line() -> None:
    assert command.arguments([]).out == command.PAGES
    assert command.arguments(["--quick"]).out != command.PAGES
    chosen = command.arguments(["--only", "speed", "--only", "memory", "--out", "x"])
    assert (chosen.only, chosen.out) == (["speed", "memory"], Path("x"))
    with pytest.raises(SystemExit):
        command.arguments(["--only", "nothing"])
    assert all((Path(command.__file__).parent / f"{name}.py").is_file() for name in command.NAMES)


def test_tables_alone_are_written_without_running_anything(tmp_path: Path) -> None:
    write(
        as_table([Measure("memory", "memory gained", "10000 refits", 12.0)]),
        tmp_path / "benchmarks.csv",
    )
    command.main(["--tables", "--out", str(tmp_path)])
    goals = pd.read_csv(tmp_path / "benchmarks-goals.csv")
    assert goals.loc[goals["met"] == "yes", "measured"].tolist() == ["12 MB"]
    assert (tmp_path / "benchmarks.svg").is_file()
