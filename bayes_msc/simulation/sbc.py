"""Simulation-based calibration of a model in a design (Talts et al. 2018, arXiv 1804.06788).

Parameters are drawn from the priors of a card, a trial from the parameters, and the card is fitted
to that trial. Over many trials the posterior probability below the true value is uniform, if and
only if likelihood, priors and sampler belong together. It is taken for every free parameter, for
one patient's effect (and one patient's own treatment effect, where patients differ in them), and
for the log likelihood of the trial, which depends on the data and so also notices a posterior that
ignores them (Modrák et al. 2023, arXiv 2211.02383). A baseline that the model takes as an outcome
is simulated from the model too.

The fits are those of the fast engine; NUTS takes over where its weights are not to be trusted, and
does all the fits of a model whose patient effects are sampled. No trial is left out, however large
its counts (the simulation holds means below 1e15).
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bayes_msc.convergence import convergence
from bayes_msc.effects import recover
from bayes_msc.errors import ModelError
from bayes_msc.importance import Importance
from bayes_msc.model import Model
from bayes_msc.parameters import PARAMETERS
from bayes_msc.predictive import new_effects, prior_draws, simulate_rows
from bayes_msc.predictor import draws_of, row_parameters
from bayes_msc.processes import progress_bar
from bayes_msc.refits import TURN
from bayes_msc.rows import arrange
from bayes_msc.sampler import Sampler, Settings
from bayes_msc.simulation.uniformity import RANKS, SHARES, band, difference, rank_of, uniformity_p
from bayes_msc.simulation.workers import Workers
from bayes_msc.trial import Trial

#: Posterior draws behind the two quantities that are computed anew for each draw: with the truth as
#: many as there are places for a rank.
DRAWS = RANKS
CHUNK = 25
ENGINES = ("fast", "nuts", "none")
COLUMNS = ("card", "trial", "quantity", "share", "engine", "checked", "largest")

Draws = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Posterior:
    """Weighted draws of a fit.

    Attributes
    ----------
    points : dict of str to ndarray, shape (points,) or (points, patients)
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


@dataclass(frozen=True)
class Part:
    """Some trials of a calibration, with all that a worker needs."""

    model: Model
    fitted: Model
    blank: Trial
    seed: int
    numbers: range

    @property
    def place(self) -> int:
        """What tells the part from the others."""
        return self.numbers.start


def shares(
    model: Model,
    blank: Trial,
    trials: int | range,
    seed: int = 1,
    *,
    fitted: Model | None = None,
    workers: Workers | None = None,
    progress: bool | None = False,
) -> pd.DataFrame:
    """Simulate trials from a model's priors, fit each, and find the truth in each posterior.

    Parameters
    ----------
    model : Model
        The model that makes the trials; its priors must not look at the data.
    blank : Trial
        The design; its counts do not matter.
    trials : int or range
        How many, or which ones: a trial depends on the seed and on its number, not on the others.
    seed : int
    fitted : Model, optional
        The model that is fitted, by default the same; another one must be found out.
    workers : Workers, optional
        Where to run, by default here; the table does not depend on it.
    progress : bool, optional
        Whether to show a bar.

    Returns
    -------
    DataFrame
        Columns ``card``, ``trial``, ``quantity``, ``share`` (posterior probability below the
        truth), ``engine``, ``checked`` (whether the engine's checks passed) and ``largest`` (count
        of the trial). A fit without an answer has the engine ``"none"`` and no share.
    """
    numbers = range(trials) if isinstance(trials, int) else trials
    parts = [
        Part(model, fitted or model, blank, seed, numbers[start : start + CHUNK])
        for start in range(0, len(numbers), CHUNK)
    ]
    found = {}
    with progress_bar(len(numbers), progress, "trials") as advance:
        for place, table in (workers or Workers(1)).run(_work, parts, "place"):
            found[place] = table
            advance(table["trial"].nunique())
    return pd.concat([found[part.place] for part in parts], ignore_index=True)


def _work(part: Part) -> tuple[int, pd.DataFrame]:
    with TURN:
        rows = [row for number in part.numbers for row in _of_trial(part, number)]
    return part.place, pd.DataFrame(rows, columns=list(COLUMNS))


def _of_trial(part: Part, number: int) -> Iterator[tuple[object, ...]]:
    model, fitted = part.model, part.fitted
    rng = np.random.default_rng([part.seed, zlib.crc32(model.name.encode()), number])
    trial, truth = simulated(model, part.blank, rng)
    largest = int(trial.data["count"].max())
    posterior = posterior_of(fitted, trial, int(rng.integers(2**31)))
    if posterior is None:
        for quantity in quantities(fitted, truth):
            yield model.name, number, quantity, np.nan, "none", False, largest
        return
    for quantity, share in _shares(fitted, trial, truth, posterior, rng).items():
        yield model.name, number, quantity, share, posterior.engine, posterior.checked, largest


def simulated(model: Model, blank: Trial, rng: np.random.Generator) -> tuple[Trial, Draws]:
    """Simulate one trial from a model's priors.

    Returns
    -------
    trial : Trial
    truth : dict of str to ndarray, shape (1,) or (1, patients)
        Parameters, and the patients' effects as ``z`` and ``patient_log_rate_ratio``.
    """
    truth = prior_draws(model, blank, 1, rng)
    rows = arrange(blank, model)
    z = rng.normal(size=(1, rows.n_patients))
    truth = new_effects(truth, rows.n_patients, rng)
    counts = simulate_rows(model, rows, truth, z, rng)
    baseline = None
    if "baseline-joint" in model.terms_for(blank):
        first = np.where(rows.seen[:, 0] > 0, counts[0, :, 0], np.nan)
        baseline = dict(zip(rows.patients, first, strict=True))
    return with_counts(blank, rows.flat(counts)[0], baseline), {**truth, "z": z}


def with_counts(
    blank: Trial, counts: NDArray[np.float64], baseline: Mapping[str, float] | None = None
) -> Trial:
    """Return a trial of the same design with other counts, and other baselines by patient."""
    new = copy.copy(blank)
    # what was computed of the blank trial's counts goes
    new.__dict__.pop("sha256", None)
    table = blank.data
    table.loc[table["count"].notna(), "count"] = counts.astype(float)
    if baseline is not None:
        table["baseline"] = table["patient"].astype(str).map(baseline)
    object.__setattr__(new, "_table", table)
    return new


def simulate_trials(
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


def quantities(model: Model, truth: Draws) -> list[str]:
    """What is calibrated: free parameters in their order, and what depends on the data.

    A parameter of the fitted model alone has no truth to be found.
    """
    return [*_free(model, truth), *_of_patient(model), "log_likelihood"]


def _free(model: Model, truth: Draws) -> list[str]:
    known = [
        name for name in (*PARAMETERS, *model.priors) if name in model.priors and name in truth
    ]
    return [name for name in dict.fromkeys(known) if not model.priors[name].is_fixed]


def _of_patient(model: Model) -> list[str]:
    varies = "treatment_sd" in model.priors
    return ["patient_effect", *(["patient_log_rate_ratio"] if varies else [])]


def posterior_of(model: Model, trial: Trial, seed: int, engine: str = "auto") -> Posterior | None:
    """Fit by the fast engine, and by NUTS where it is not trusted; None where neither answers."""
    from bayes_msc.graph import data_of

    sampler = Sampler.of(model, trial)
    numbers = data_of(model, trial)
    rng = np.random.default_rng(seed)
    if engine == "auto" and model.patient_effect == "integrated":
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
    points, weights = posterior.points, posterior.weights
    found = {name: float(weights @ (points[name] < truth[name])) for name in _free(model, truth)}
    joint = _with_truth_last(model, truth, posterior)
    rows = arrange(trial, model)
    at = row_parameters(model, rows, joint)
    eta, loading = at.eta, at.loading
    sampled = model.patient_effect == "sampled"
    if sampled:
        # given the patients' effects nothing is left to integrate
        eta, loading = eta + loading * joint["z"][:, :, None], np.zeros(loading.shape)
    drawn, log_likelihood = recover(
        model.family, rows, eta, loading, at.overdispersion, at.zero_part, rng
    )
    effect = joint["patient_sd"] * (joint["z"] if sampled else drawn)[:, 0]
    effect[-1] = float(truth["patient_sd"][0] * truth["z"][0, 0])
    found["patient_effect"] = _share(effect, rng)
    if "patient_log_rate_ratio" in joint:
        found["patient_log_rate_ratio"] = _share(joint["patient_log_rate_ratio"][:, 0], rng)
    found["log_likelihood"] = _share(log_likelihood.sum(axis=1), rng)
    return found


def _with_truth_last(model: Model, truth: Draws, posterior: Posterior) -> Draws:
    """Chosen draws, and the truth as one more, to go through the same likelihood."""
    points, chosen, free = posterior.points, posterior.chosen, _free(model, truth)
    joint = {name: np.append(points[name][chosen], truth[name]) for name in free}
    fixed = [name for name in model.priors if name in truth and name not in joint]
    joint |= {name: np.full(DRAWS + 1, truth[name][0]) for name in fixed}
    if model.patient_effect == "sampled":
        joint["z"] = np.vstack([points["z"][chosen], truth["z"]])
    if "treatment_sd" in model.priors:
        # where the truth knows no such differences, all patients have the common ratio
        common = np.full(truth["z"].shape, truth["log_rate_ratio"][0])
        own = truth.get("patient_log_rate_ratio", common)
        every = np.vstack([points["patient_log_rate_ratio"][chosen], own])
        joint["patient_log_rate_ratio"] = every
    return joint


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


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """Give the ECDF of each quantity's ranks minus the uniform one, with its simultaneous band.

    Parameters
    ----------
    table : DataFrame
        From ``shares``.

    Returns
    -------
    DataFrame
        Columns ``quantity``, ``share``, ``difference``, ``lower`` and ``upper`` (the band holds
        95 % of whole curves where all is well).
    """
    parts = []
    for quantity, group in table.dropna(subset="share").groupby("quantity", sort=False):
        rank = rank_of(group["share"].to_numpy())
        low, high = band(len(rank))
        columns = {"share": SHARES, "difference": difference(rank), "lower": low, "upper": high}
        parts.append(pd.DataFrame({"quantity": quantity, **columns}))
    return pd.concat(parts, ignore_index=True)
