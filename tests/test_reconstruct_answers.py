"""From reconstructed data sets to an answer: averages, weights, both periods, the command."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import typer
from scipy.stats import binomtest, norm
from typer.testing import CliRunner

from bayes_msc import plots
from bayes_msc.cli.reconstruction import reconstruct as command
from bayes_msc.datasets import load_trial
from bayes_msc.errors import ReconstructionError
from bayes_msc.model import Model
from bayes_msc.reconstruct import (
    Averaged,
    average_reconstruction,
    average_trials,
    coverage_check,
    crossover_answers,
    parse_paper,
    reconstruct,
)
from bayes_msc.reconstruct.averaging import _quantile, _weights
from bayes_msc.reconstruct.coverage import Truth, _simulated, holds, paper_of, shares
from bayes_msc.reconstruct.two_periods import heaviest
from bayes_msc.refits import refit_many
from bayes_msc.trial import Trial

CARD = "crossover-negative-binomial"
PRINTED = """
control = "placebo"
active = "drug"
arms = [{name = "drug", first = "drug", n = 5}, {name = "placebo", first = "placebo", n = 4}]
[[summaries]]
quantity = "total"
of = ["drug"]
mean = "2.40"
sd = "2.07"
median = "2"
[[summaries]]
quantity = "total"
of = ["placebo"]
mean = "6.50"
sd = "4.20"
minimum = "2"
"""


@pytest.fixture(scope="module")
def candidates() -> list[Trial]:
    return [load_trial("llufriu2014_reconstructed", candidate=k) for k in range(1, 7)]


@pytest.fixture(scope="module")
def averaged(candidates: list[Trial]) -> Averaged:
    return average_trials(candidates, [360] * 6, CARD, workers=1, progress=False)


def test_average_is_the_mixture_of_the_refits(candidates, averaged):
    """Against the refits themselves, each taken as normal on the log scale."""
    table = refit_many(
        [(Model.load(CARD), trial) for trial in candidates], workers=1, progress=False
    )
    evidence = np.exp(table["log_marginal_likelihood"] - table["log_marginal_likelihood"].max())
    weight = (evidence / evidence.sum()).to_numpy()
    np.testing.assert_allclose(averaged.refits["weight"], weight, rtol=0.05)
    row = averaged.summary.set_index("weights").loc["model"]
    chance = norm.cdf(
        math.log(row["upper"]), table["log_mean"], table["log_sd"]
    )  # fmt: skip
    assert weight @ chance == pytest.approx(0.975, abs=0.006)
    below = weight @ table["prob_below_1"].to_numpy()
    first = averaged.probabilities.query("weights == 'model' and threshold == 1").iloc[0]
    assert first["probability"] == pytest.approx(below, abs=0.005)
    centre = weight @ table["log_mean"]
    between = weight @ (table["log_mean"] - centre) ** 2
    share = between / (between + weight @ table["log_sd"] ** 2)
    assert row["share_not_having_data"] == pytest.approx(share, rel=0.1)
    assert 0.01 < share < 0.1


def test_average_of_one_is_its_own_refit(candidates):
    (row,) = refit_many([(Model.load(CARD), candidates[0])], workers=1).to_dict("records")
    one = average_trials(candidates[:1], [1], CARD, workers=1, progress=False).summary.iloc[0]
    for what in ("median", "lower", "upper"):
        assert one[what] == pytest.approx(row[what], rel=0.01)
    assert one["share_not_having_data"] == 0


def test_orders_count_as_often_as_the_data_set_stands_there(candidates):
    twice = average_trials(
        [candidates[0], candidates[0], candidates[1]], [1, 1, 1], CARD, workers=1, progress=False
    )
    once = average_trials(candidates[:2], [2, 1], CARD, workers=1, progress=False)
    for a, b in zip(twice.summary.to_dict("records"), once.summary.to_dict("records"), strict=True):
        assert a["median"] == pytest.approx(b["median"], rel=0.01)
        assert a["upper"] == pytest.approx(b["upper"], rel=0.01)


def test_weights_without_evidence():
    table = pd.DataFrame({"log_marginal_likelihood": [-3.0, np.nan, -3.0 + math.log(3)]})
    found = _weights(table, np.array([1.0, 1.0, 2.0]))
    assert found["model"][2] / found["model"][0] == pytest.approx(6.0)
    assert found["uniform"].tolist() == [0.25, 0.25, 0.5]
    blind = _weights(pd.DataFrame({"log_marginal_likelihood": [np.nan, np.nan]}), np.ones(2))
    assert blind["model"].tolist() == [0.5, 0.5]


def test_quantiles_of_a_known_curve():
    from bayes_msc.reconstruct.averaging import GRID

    curve = 0.3 * norm.cdf(GRID, -1.0, 0.5) + 0.7 * norm.cdf(GRID, 0.4, 0.3)
    for tail in (0.025, 0.5, 0.975):
        at = _quantile(curve, tail)
        exact = 0.3 * norm.cdf(at, -1.0, 0.5) + 0.7 * norm.cdf(at, 0.4, 0.3)
        assert exact == pytest.approx(tail, abs=2e-4)


def test_every_table_is_labelled(averaged):
    for table in (averaged.summary, averaged.probabilities, averaged.refits, averaged.curve):
        assert (table["label"] == "reconstruction, not data").all()
    assert "RECONSTRUCTION, NOT DATA" in repr(averaged)


def test_both_periods_with_and_without_the_heaviest_patient(candidates):
    answers = crossover_answers(candidates[:1], workers=1, progress=False)
    assert heaviest(candidates[0]) == "P4"
    assert answers["patients"].tolist() == ["all"] * 5 + ["without P4"] * 5
    whole = answers[answers["patients"] == "all"].set_index("analysis")
    printed, seen = whole.iloc[0], whole.iloc[1]
    # carrying one scan of 31 forward hardly moves the ratio; the second period does
    assert printed["median"] == pytest.approx(seen["median"], rel=0.1)
    assert printed["probability"] > whole.loc["both periods: period and baseline", "probability"]
    without = answers[answers["patients"] == "without P4"]
    assert (without["median"].to_numpy() > whole["median"].to_numpy()).all()
    assert (answers["label"] == "reconstruction, not data").all()
    (row,) = refit_many([(Model.load(CARD), candidates[0])], thresholds=(1.0,), workers=1).to_dict(
        "records"
    )
    both = whole.loc["both periods: period and baseline"]
    assert both["probability"] == pytest.approx(row["prob_below_1"], abs=0.01)
    figure = plots.two_periods(answers, "reconstruction, not data")
    assert figure._suptitle.get_text() == "reconstruction, not data"


def test_only_crossovers_have_two_periods(parallel):
    with pytest.raises(ReconstructionError, match="crossover"):
        crossover_answers([parallel])


def test_nothing_and_too_much_are_refused(candidates):
    broken = parse_paper(PRINTED.replace("2.07", "2.09"), "broken")
    with pytest.raises(ReconstructionError, match="nothing to average"):
        average_reconstruction(reconstruct(broken), CARD)
    with pytest.raises(ReconstructionError, match="no data set"):
        average_trials([], [], CARD)
    with pytest.raises(ReconstructionError, match="hours"):
        average_trials(candidates[:1] * 5001, [1] * 5001, CARD)


def test_figure_shows_every_data_set(averaged):
    figure = plots.averaged(averaged.summary, averaged.refits, averaged.label)
    (axes, *_) = figure.axes
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names[:6] == [f"data set {k}" for k in range(1, 7)]
    assert len(names) == 8
    assert figure._suptitle.get_text() == "reconstruction, not data"


def test_truth_is_among_the_data_sets_of_simulated_trials():
    rng = np.random.default_rng(5)
    sizes = []
    for _ in range(25):
        _, counts = _simulated(Truth(), (5, 4), rng)
        found = reconstruct(paper_of(counts, 2, order_statistics=True), listed=400)
        assert holds(found, counts)
        found = reconstruct(paper_of(counts, 1, order_statistics=False), listed=400)
        assert holds(found, counts)
        sizes.append(len(found.datasets))
    assert max(sizes) > 10


@pytest.mark.slow
def test_averaged_posterior_covers_at_the_nominal_rate():
    """Truths from the prior: 95 % intervals hold 95 % of them, within the noise of 200 trials."""
    table = coverage_check(200, seed=1)
    assert table["truth_found"].all()
    for column in ("covered", "complete_covered"):
        assert binomtest(int(table[column].sum()), len(table), 0.95).pvalue > 0.005
    assert len(shares(table)) == 4
    assert (table["label"] == "simulated, not data").all()


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(command)
    return made


def test_the_command_writes_labelled_files(app, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(PRINTED)
    out = tmp_path / "out"
    result = CliRunner().invoke(app, [str(path), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "RECONSTRUCTION, NOT DATA" in result.output
    names = sorted(file.name for file in out.iterdir())
    assert names == ["reconstruction-not-data-counts.csv", "reconstruction-not-data-steps.csv"]
    table = pd.read_csv(out / names[0])
    assert set(table["label"]) == {"reconstruction, not data"}
    again = CliRunner().invoke(app, [str(path), "--out", str(out)])
    assert again.exit_code == 2
    forced = CliRunner().invoke(app, [str(path), "--out", str(out), "--force"])
    assert forced.exit_code == 0


def test_the_command_says_which_digit_is_wrong(app, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(PRINTED.replace("2.07", "2.09"))
    result = CliRunner().invoke(app, [str(path), "--relax"])
    assert result.exit_code == 1
    assert "NOTHING FITS" in result.output
    assert "2.07" in result.output
    unknown = CliRunner().invoke(app, ["nobody"])
    assert unknown.exit_code == 2
