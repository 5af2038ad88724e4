"""Simulation-based calibration of the model cards (Talts et al. 2018, arXiv 1804.06788).

Parameters are drawn from the priors of a card, a trial from the parameters, and the card is fitted
to that trial. Over many trials the posterior probability below the true value is uniform, if and
only if likelihood, priors and sampler belong together. It is taken for every free parameter, for
one patient's effect, and for the log likelihood of the trial, which depends on the data and so also
notices a posterior that ignores them (Modrák et al. 2023, arXiv 2211.02383).

The fits are those of the fast engine; NUTS takes over where its weights are not to be trusted. No
trial is left out, however large its counts (the simulation holds means below 1e15). A card centres
the prior of the rate on the trial's own counts; here it gets a prior that stands before the data.
That is the only change to a card.

Run it as ``python -m benchmarks.calibration [--cards NAME ...] [--trials N] [--workers N]``: it
writes ``docs/_static/calibration.csv`` and one figure a card; other cards keep their lines.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bayes_msc.convergence import convergence
from bayes_msc.effects import recover
from bayes_msc.errors import ModelError
from bayes_msc.graph import data_of
from bayes_msc.importance import Importance
from bayes_msc.model import Model
from bayes_msc.predictive import prior_draws, simulate_rows
from bayes_msc.predictor import draws_of, row_parameters
from bayes_msc.prior import Prior
from bayes_msc.rows import arrange
from bayes_msc.sampler import Sampler, Settings
from bayes_msc.trial import Trial
from benchmarks.calibration_figure import WORDS, draw
from benchmarks.uniformity import RANKS, rank_of, uniformity_p

FOLDER = Path(__file__).parents[1] / "docs" / "_static"
TRIALS = 300
#: Posterior draws behind the two quantities that are computed anew for each draw: with the truth as
#: many as there are places for a rank.
DRAWS = RANKS
CHUNK = 25
LOG_RATE = Prior.normal(0.5, 1.5, why="about 1.6 lesions a scan, as wide as on the card")
BASELINES = (0, 1, 2, 3, 5, 8, 1, 0, 12)

ENGINES = ("fast", "nuts", "none")
SHOWN = ["quantity", "trials", "p", "inside", "fast", "nuts", "none", "unchecked", "largest"]

Draws = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Posterior:
    """Weighted draws of a fit.

    Attributes
    ----------
    points : dict of str to ndarray, shape (points,)
    weights : ndarray of float, shape (points,)
        They sum to one.
    chosen : ndarray of int, shape (DRAWS,)
        Draws of equal weight, by their indices.
    engine : str
        ``"fast"`` or ``"nuts"``.
    checked : bool
        Whether the checks of the engine passed.
    """

    points: Draws
    weights: NDArray[np.float64]
    chosen: NDArray[np.int64]
    engine: str
    checked: bool


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


def as_trial(counts: NDArray[np.float64], design: str) -> Trial:
    """Put counts into the design."""
    table = design_table(design).assign(count=counts)
    return Trial(table, design=design, control="control", active="active", name="calibration")


def blank_trial(model: Model) -> Trial:
    """Trial of the design that a model is calibrated in, a count of 1 everywhere."""
    return as_trial(np.ones(36), "crossover" if model.design == "crossover" else "parallel")


def calibration_model(card: str) -> Model:
    """Return the card with a prior of log_rate that does not look at the data."""
    return Model.load(card).with_prior("log_rate", LOG_RATE)


def simulate(
    model: Model, blank: Trial, truth: Draws, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Simulate trials of new patients.

    Parameters
    ----------
    model : Model
    blank : Trial
        Its design; the counts do not matter.
    truth : dict of str to ndarray, shape (trials,)
        Parameters and what follows from them, as ``prior_draws`` gives them.
    rng : numpy.random.Generator

    Returns
    -------
    counts : ndarray of float, shape (trials, rows)
    effect : ndarray of float, shape (trials,)
        That of the first patient, on the log scale.
    """
    rows = arrange(blank, model)
    z = rng.normal(size=(len(truth["patient_sd"]), rows.n_patients))
    counts = rows.flat(simulate_rows(model, rows, truth, z, rng))
    return counts, truth["patient_sd"] * z[:, 0]


def shares(
    model: Model,
    trials: int | range = TRIALS,
    seed: int = 1,
    fitted: Model | None = None,
    executor: Executor | None = None,
) -> pd.DataFrame:
    """Simulate trials from a model's priors, fit each, and find the truth in each posterior.

    Parameters
    ----------
    model : Model
        The model that makes the trials.
    trials : int or range
        How many, or which ones: a trial depends on the seed and on its number, not on the others.
    seed : int
    fitted : Model, optional
        The model that is fitted, by default the same; another one must be found out.
    executor : concurrent.futures.Executor, optional
        Where to run, by default here; the table does not depend on it.

    Returns
    -------
    DataFrame
        Columns ``card``, ``trial``, ``quantity``, ``share`` (posterior probability below the
        truth), ``engine``, ``checked`` (whether the engine's checks passed) and ``largest`` (count
        of the trial). A fit without an answer has the engine ``"none"`` and no share.
    """
    numbers = range(trials) if isinstance(trials, int) else trials
    chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    jobs = [(model, fitted or model, seed, chunk) for chunk in chunks]
    run = executor.map if executor else map
    return pd.concat(run(_work, jobs), ignore_index=True)


_Job = tuple[Model, Model, int, range]


def processes(workers: int) -> ProcessPoolExecutor:
    """Return processes of this machine for ``shares``."""
    # a forked process would share the threads of the parent's numerical libraries
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def _work(job: _Job) -> pd.DataFrame:
    model, fitted, seed, numbers = job
    blank = blank_trial(model)
    found = [row for number in numbers for row in _of_trial(model, fitted, blank, seed, number)]
    names = ["card", "trial", "quantity", "share", "engine", "checked", "largest"]
    return pd.DataFrame(found, columns=names)


def _of_trial(
    model: Model, fitted: Model, blank: Trial, seed: int, number: int
) -> Iterator[tuple[object, ...]]:
    rng = np.random.default_rng([seed, zlib.crc32(model.name.encode()), number])
    truth = prior_draws(model, blank, 1, rng)
    counts, effect = simulate(model, blank, truth, rng)
    truth = {**truth, "patient_effect": effect}
    trial, largest = as_trial(counts[0], blank.design), int(counts.max())
    posterior = posterior_of(fitted, trial, int(rng.integers(2**31)))
    if posterior is None:
        for quantity in _quantities(fitted, truth):
            yield model.name, number, quantity, np.nan, "none", False, largest
        return
    for quantity, share in _shares(fitted, trial, truth, posterior, rng).items():
        yield model.name, number, quantity, share, posterior.engine, posterior.checked, largest


def _quantities(model: Model, truth: Draws) -> list[str]:
    free = [name for name in WORDS if name in truth and name in model.priors]
    return [*free, "patient_effect", "log_likelihood"]


def posterior_of(model: Model, trial: Trial, seed: int, engine: str = "auto") -> Posterior | None:
    """Fit by the fast engine, and by NUTS where it is not trusted; None where neither answers."""
    sampler = Sampler.of(model, trial)
    numbers = data_of(model, trial)
    rng = np.random.default_rng(seed)
    if engine == "auto":
        try:
            found = sampler.fast(numbers, seed)
        except ModelError:
            pass
        else:
            if found.trusted:
                return _of_points(sampler, found, rng)
    try:
        trace = sampler.nuts(numbers, Settings(), seed, cores=1)
    except RuntimeError:
        return None
    values = draws_of(trace)
    total = len(values["log_rate_ratio"])
    chosen = np.linspace(0, total - 1, DRAWS).round().astype(np.int64)
    checked = bool(convergence(trace)["ok"].all())
    return Posterior(values, np.full(total, 1.0 / total), chosen, "nuts", checked)


def _of_points(sampler: Sampler, found: Importance, rng: np.random.Generator) -> Posterior:
    values = sampler.density.constrained(found.points)
    return Posterior(values, found.weights, found.choose(DRAWS, rng), "fast", True)


def _shares(
    model: Model, trial: Trial, truth: Draws, posterior: Posterior, rng: np.random.Generator
) -> dict[str, float]:
    """Posterior probability below the truth of every quantity."""
    names = [name for name in _quantities(model, truth) if name in model.priors]
    found = {
        name: float(posterior.weights @ (posterior.points[name] < truth[name])) for name in names
    }
    # the truth goes through the same likelihood as one more draw, the last
    joint = {n: np.append(posterior.points[n][posterior.chosen], truth[n]) for n in names}
    rows = arrange(trial, model)
    at = row_parameters(model, rows, joint)
    z, log_likelihood = recover(
        model.family, rows, at.eta, at.loading, at.overdispersion, at.zero_part, rng
    )
    effect = joint["patient_sd"] * z[:, 0]
    effect[-1] = truth["patient_effect"][0]
    found["patient_effect"] = _share(effect, rng)
    found["log_likelihood"] = _share(log_likelihood.sum(axis=1), rng)
    return found


def _share(values: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Share of draws below the last value, at a random place between its neighbours."""
    return float(((values[:-1] < values[-1]).sum() + rng.random()) / len(values))


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Judge each card and quantity.

    Parameters
    ----------
    table : DataFrame
        From ``shares``.

    Returns
    -------
    DataFrame
        Columns ``card``, ``quantity``, ``trials`` (with an answer), ``p`` (of uniform ranks),
        ``inside`` (trials whose 95 % equal-tailed interval held the truth), ``coverage`` with the
        ends ``lower`` and ``upper`` of its 95 % interval (Clopper-Pearson), ``fast``, ``nuts`` and
        ``none`` (trials by engine), ``unchecked`` (NUTS fits whose checks failed) and ``largest``
        (count).
    """
    groups = table.groupby(["card", "quantity"], sort=False)
    return pd.DataFrame([{"card": c, "quantity": q, **_verdict(g)} for (c, q), g in groups])


def _verdict(group: pd.DataFrame) -> dict[str, object]:
    share = group["share"].dropna().to_numpy()
    inside = int((np.abs(share - 0.5) <= 0.475).sum())
    ends = stats.binomtest(inside, len(share)).proportion_ci(0.95)
    engines = group["engine"].value_counts()
    return {
        "trials": len(share),
        "p": uniformity_p(rank_of(share)),
        "inside": inside,
        "coverage": inside / len(share),
        "lower": float(ends.low),
        "upper": float(ends.high),
        **{engine: int(engines.get(engine, 0)) for engine in ENGINES},
        "unchecked": int(((group["engine"] == "nuts") & ~group["checked"].astype(bool)).sum()),
        "largest": int(group["largest"].max()),
    }


def adjusted(p: ArrayLike) -> NDArray[np.float64]:
    """Holm's correction for the number of p, which holds however they hang together."""
    from statsmodels.stats.multitest import multipletests

    return np.asarray(multipletests(p, method="holm")[1])


def write(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Write the figure and the lines of the cards in a table; the lines of others stay."""
    found = verdicts(table)
    for card in found["card"].unique():
        draw(table[table["card"] == card], card, folder / f"calibration-{card}.svg")
    path = folder / "calibration.csv"
    if path.exists():
        old = pd.read_csv(path)
        both = pd.concat([old[~old["card"].isin(found["card"])], found])
    else:
        both = found
    both = both.sort_values("card", kind="stable")
    both.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration")
    parser.add_argument("--cards", nargs="+", choices=Model.names(), default=Model.names())
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    return parser.parse_args()


def main() -> None:
    chosen = _arguments()
    with processes(chosen.workers) as pool:
        for card in chosen.cards:
            start = time.perf_counter()
            table = shares(calibration_model(card), chosen.trials, chosen.seed, executor=pool)
            found = write(table, chosen.folder)
            seconds = time.perf_counter() - start
            print(f"{card}: {chosen.trials} trials in {seconds:.0f} s", flush=True)
            print(found[SHOWN].to_string(index=False, float_format="%.3f"), flush=True)


if __name__ == "__main__":
    main()
