"""Simulation-based calibration of the model cards (Talts et al. 2018, arXiv 1804.06788).

Parameters are drawn from the priors of a card, a trial from the parameters, and the card is fitted
to that trial. Over many trials the rank of the true value among the posterior draws is uniform, if
and only if likelihood, priors and sampler belong together. Ranks are taken for the parameters, for
one patient's effect, and for the log likelihood of the trial, which depends on the data and so also
notices a posterior that ignores them (Modrak et al. 2023, arXiv 2211.02383).

Run it as ``python benchmarks/calibration.py [trials]``: writes ``docs/_static/calibration.csv`` and
one figure a card.
"""

from __future__ import annotations

import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from bayes_msc.effects import recover
from bayes_msc.model import Model
from bayes_msc.predictive import prior_draws
from bayes_msc.predictor import row_parameters
from bayes_msc.prior import Prior
from bayes_msc.rows import arrange
from bayes_msc.sampler import Sampler, Settings
from bayes_msc.trial import Trial

FOLDER = Path(__file__).parents[1] / "docs" / "_static"
CARDS = (
    "count-poisson",
    "count-negative-binomial",
    "crossover-poisson",
    "crossover-negative-binomial",
)
TRIALS = 200
#: Posterior draws that the true value is ranked among, so that there are RANKS + 1 places.
RANKS = 99
SETTINGS = Settings(draws=400, tune=300, chains=2)
#: A card centres log_rate on the data; calibration needs a prior that stands before the data.
LOG_RATE = Prior.normal(0.5, 1.5, why="about 1.6 lesions a scan, as wide as on the card")
BASELINES = (0, 1, 2, 3, 5, 8, 1, 0, 12)

WORDS = {
    "log_rate": "log rate",
    "log_rate_ratio": "log rate ratio",
    "period_effect": "period effect",
    "baseline_slope": "baseline slope",
    "sqrt_overdispersion": "sqrt(overdispersion)",
    "patient_sd": "patient SD",
    "patient_effect": "one patient's effect",
    "log_likelihood": "log likelihood of the trial",
}


def design_table(design: str) -> pd.DataFrame:
    """Nine patients, five and four, four scans each: in two periods, or in parallel arms."""
    rows = []
    for patient in range(9):
        first = "active" if patient < 5 else "control"
        second = {"active": "control", "control": "active"}[first]
        for scan in range(4):
            period = 1 + scan // 2 if design == "crossover" else 1
            treatment = first if period == 1 else second
            rows.append((f"P{patient + 1}", period, scan + 1, treatment, BASELINES[patient]))
    table = pd.DataFrame(rows, columns=["patient", "period", "scan", "treatment", "baseline"])
    return table if design == "crossover" else table.drop(columns="period")


def as_trial(table: pd.DataFrame, counts: NDArray[np.float64], design: str) -> Trial:
    """Put counts into the design."""
    with_counts = table.assign(count=counts)
    return Trial(with_counts, design=design, control="control", active="active", name="calibration")


def simulate(
    table: pd.DataFrame, truth: dict[str, float], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Simulate counts and patient effects from the formula on the card, by hand."""
    patient = pd.factorize(table["patient"])[0]
    log_baseline = np.log1p(table["baseline"].to_numpy(float))
    effect = truth["patient_sd"] * rng.normal(size=patient.max() + 1)
    log_mean = (
        truth["log_rate"]
        + truth["log_rate_ratio"] * (table["treatment"] == "active").to_numpy(float)
        + truth["baseline_slope"] * (log_baseline - np.log1p(BASELINES).mean())
        + effect[patient]
    )
    if "period" in table:
        log_mean = log_mean + truth["period_effect"] * (table["period"] == 2).to_numpy(float)
    mean = np.exp(log_mean)
    if "overdispersion" in truth:
        k = truth["overdispersion"]
        mean = mean * rng.gamma(1.0 / k, k, size=len(mean))
    return rng.poisson(np.minimum(mean, 1e12)).astype(float), effect


def calibration_model(card: str) -> Model:
    """Return the card with a prior of log_rate that does not look at the data."""
    return Model.load(card).with_prior("log_rate", LOG_RATE)


def ranks(
    model: Model, trials: int = TRIALS, seed: int = 1, fitted: Model | None = None
) -> pd.DataFrame:
    """Simulate trials from a model's priors and rank the truth among the draws of each fit.

    Parameters
    ----------
    model : Model
        The model that makes the trials.
    trials : int
    seed : int
    fitted : Model, optional
        The model that is fitted, by default the same; another one must be found out.

    Returns
    -------
    DataFrame
        Columns ``card``, ``trial``, ``quantity``, ``rank`` (0 to RANKS).
    """
    design = "crossover" if model.design == "crossover" else "parallel"
    table = design_table(design)
    rng = np.random.default_rng(seed)
    blank = as_trial(table, np.ones(len(table)), design)
    prior = prior_draws(model, blank, trials, rng)
    found = []
    for number in range(trials):
        truth = {name: float(values[number]) for name, values in prior.items()}
        counts, effect = simulate(table, truth, rng)
        trial = as_trial(table, counts, design)
        one = _rank_one(fitted or model, trial, {**truth, "patient_effect": effect[0]}, number)
        found += [(model.name, number, quantity, rank) for quantity, rank in one.items()]
    return pd.DataFrame(found, columns=["card", "trial", "quantity", "rank"])


def _rank_one(model: Model, trial: Trial, truth: dict[str, float], seed: int) -> dict[str, int]:
    fit = Sampler.of(model, trial).sample(model, trial, SETTINGS, seed=seed)
    posterior = fit["posterior"].dataset
    total = SETTINGS.chains * SETTINGS.draws
    keep = np.linspace(0, total - 1, RANKS).round().astype(int)
    names = [name for name in truth if name != "patient_effect" and name in posterior]
    draws = {name: posterior[name].to_numpy().reshape(-1)[keep] for name in names}
    # the truth goes through the same likelihood as one more draw, the last
    joint = {name: np.append(draws[name], truth[name]) for name in names}
    rows = arrange(trial, model)
    at = row_parameters(model, rows, joint)
    z, log_likelihood = recover(model.family, rows, *vars(at).values(), np.random.default_rng(seed))
    effect = joint["patient_sd"][:, None] * z
    whole = log_likelihood.sum(axis=1)
    rank = {name: int((draws[name] < truth[name]).sum()) for name in names}
    rank.pop("overdispersion", None)
    rank["patient_effect"] = int((effect[:-1, 0] < truth["patient_effect"]).sum())
    rank["log_likelihood"] = int((whole[:-1] < whole[-1]).sum())
    return rank


@cache
def _tails(n: int) -> NDArray[np.float64]:
    """Two-sided binomial p of every count below every place, shape (RANKS, n + 1)."""
    below, share = np.arange(n + 1), np.arange(1, RANKS + 1)[:, None] / (RANKS + 1)
    low, high = stats.binom.cdf(below, n, share), stats.binom.sf(below - 1, n, share)
    return np.asarray(2.0 * np.minimum(low, high))


def _below(ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many ranks lie below each of the places 1 to RANKS, shape (samples, RANKS)."""
    samples = len(ranks)
    cell = ranks + (RANKS + 1) * np.arange(samples)[:, None]
    histogram = np.bincount(cell.ravel(), minlength=samples * (RANKS + 1))
    return histogram.reshape(samples, RANKS + 1).cumsum(axis=1)[:, :-1]


def _pointwise(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Smallest pointwise p of the ECDF of each sample, shape (samples,)."""
    return _tails(ranks.shape[1])[np.arange(RANKS), _below(ranks)].min(axis=1)


@cache
def _null(n: int, replicates: int = 20_000) -> NDArray[np.float64]:
    """Sorted smallest p of samples of n ranks that are uniform."""
    rng = np.random.default_rng(20)
    return np.sort(_pointwise(rng.integers(0, RANKS + 1, (replicates, n))))


def uniformity_p(ranks: NDArray[np.int64]) -> float:
    """Probability that uniform ranks stray as far from the diagonal anywhere as these do.

    The band is simultaneous in the sense of Sailynoja, Burkner & Vehtari 2022 (Statistics and
    Computing 32:32), its level found by simulation.
    """
    null = _null(len(ranks))
    smallest = float(_pointwise(np.asarray(ranks)[None, :])[0])
    at = np.searchsorted(null, smallest * (1 + 1e-9))
    return float((at + 1) / (len(null) + 1))


def band(n: int, level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper edge of ECDF minus uniform that hold ``level`` of uniform samples whole."""
    share = np.arange(1, RANKS + 1) / (RANKS + 1)
    gamma = float(np.quantile(_null(n), 1.0 - level))
    low, high = stats.binom.ppf(gamma / 2, n, share), stats.binom.isf(gamma / 2, n, share)
    return low / n - share, high / n - share


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """One row a card and quantity: number of trials, p of uniformity."""
    rows = [
        (card, quantity, len(group), uniformity_p(group["rank"].to_numpy()))
        for (card, quantity), group in table.groupby(["card", "quantity"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["card", "quantity", "trials", "p"])


def draw(table: pd.DataFrame, card: str, path: Path) -> None:
    """Draw ECDF minus uniform for every quantity of a card, with the simultaneous 95 % band."""
    from matplotlib.figure import Figure

    chosen = table[table["card"] == card]
    quantities = [name for name in WORDS if name in set(chosen["quantity"])]
    figure = Figure(figsize=(8.4, 4.4), layout="constrained")
    panels = figure.subplots(2, 4, sharex=True, sharey=True).ravel()
    share = np.arange(1, RANKS + 1) / (RANKS + 1)
    for axes, quantity in zip(panels, quantities, strict=False):
        rank = chosen.loc[chosen["quantity"] == quantity, "rank"].to_numpy()
        low, high = band(len(rank))
        below = _below(rank[None, :])[0] / len(rank)
        axes.fill_between(share, low, high, color="#0b6e99", alpha=0.15, lw=0)
        axes.axhline(0, color="0.5", lw=0.6)
        axes.plot(share, below - share, color="#0b6e99", lw=1.4)
        axes.set_title(WORDS[quantity], fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    for empty in range(len(quantities), len(panels)):
        panels[empty].set_visible(False)
        panels[empty - 4].tick_params(labelbottom=True)
    n = chosen["trial"].nunique()
    figure.suptitle(f"{card}: {n} trials simulated from the priors and fitted", fontsize=10)
    figure.supxlabel("rank of the truth among the posterior draws (share)", fontsize=9)
    figure.supylabel("ECDF minus uniform", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS
    tables = []
    for seed, card in enumerate(CARDS, 1):
        start = time.perf_counter()
        tables.append(ranks(calibration_model(card), trials, seed))
        print(f"{card}: {trials} trials in {time.perf_counter() - start:.0f} s", flush=True)
        print(verdicts(tables[-1]).to_string(index=False, float_format="%.3f"), flush=True)
        draw(tables[-1], card, FOLDER / f"calibration-{card}.svg")
    pd.concat(tables).to_csv(FOLDER / "calibration.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
