"""Fit a model to a trial: compile a structure once, sample with nutpie, return a DataTree."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr

from bayes_msc.convergence import convergence, enough_draws
from bayes_msc.errors import ModelError, OutputError, one_of
from bayes_msc.files import replace_file
from bayes_msc.groups import assemble
from bayes_msc.identification import identification
from bayes_msc.model import Model
from bayes_msc.rows import arrange
from bayes_msc.sampler import ENGINES, Sampler, Settings, why_not_trusted
from bayes_msc.trial import Trial

PACKAGES = ("bayes-msc", "pymc", "pytensor", "nutpie", "numba", "arviz", "numpy", "pandas", "scipy")


NUTS, IMPORTANCE = "nutpie NUTS", "adaptive importance sampling"
TOO_FEW = "too few draws for the Monte Carlo error of a probability"
#: Second attempt, where the diagnostics of the first failed.
CAREFUL = Settings(draws=2000, tune=2000, chains=4, target_accept=0.99)


def fit(
    trial: Trial,
    model: Model | str | Path,
    *,
    seed: int = 1,
    draws: int = 1000,
    tune: int = Settings.tune,
    chains: int = 4,
    target_accept: float = Settings.target_accept,
    engine: str = "nuts",
    cores: int | None = None,
    progress: bool | None = None,
) -> xr.DataTree:
    """Fit a model to a trial, by NUTS unless asked otherwise.

    With NUTS, if the draws are too few for the Monte Carlo error of P(rate ratio < 1, 0.8 or 0.5),
    the fit is repeated once with more of them; if a convergence check fails, with four times the
    tuning, twice the draws and a target acceptance of 0.99. The attribute ``refitted`` says why.

    The fast engine samples the same density by adaptive importance sampling, in a hundredth of the
    time. Where its weights cannot be trusted the fit is made by NUTS, and ``refitted`` says why.

    Parameters
    ----------
    trial : Trial
    model : Model, str or Path
        A model, the name of a card, or the path of a card.
    seed : int
        The same seed gives the same fit on any number of cores.
    draws, tune, chains : int
        Draws kept and discarded in each chain, number of chains.
    target_accept : float
        Target acceptance rate of NUTS.
    engine : str
        ``"nuts"``; ``"fast"``, for models with an integrated patient effect; ``"auto"``, which is
        fast for those and NUTS for others.
    cores : int, optional
        Chains that run at once; by default as many as there are cores.
    progress : bool, optional
        Whether to show a progress bar; by default where there is a terminal to show it on.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior``, ``sample_stats``, ``log_likelihood`` (one value a patient),
        ``log_prior``, ``prior``, ``prior_predictive``, ``posterior_predictive`` (a new trial of
        the same design, with new patients, at each draw), ``observed_data``, ``constant_data``.
        The attributes carry the card, the data, the seed and the versions, and as ``warnings``
        the parameters that the prior alone or mainly informs. From the fast engine also
        ``importance``: the points with their weights, and as attributes the log marginal
        likelihood, its standard error and the Pareto k.

    Raises
    ------
    ModelError
        If the model does not fit the trial, or a setting is impossible.
    """
    card = model if isinstance(model, Model) else Model.load(model)
    settings = Settings(draws, tune, chains, target_accept)
    progress = sys.stderr.isatty() if progress is None else progress
    one_of(engine, ENGINES, "engine", ModelError)
    rows = arrange(trial, card)
    sampler = Sampler.of(card, trial)
    raw, failed = None, ""
    if engine == "fast" or (engine == "auto" and card.patient_effect == "integrated"):
        raw, failed = _fast(sampler, card, trial, settings, seed)
    name = NUTS if raw is None else IMPORTANCE
    if raw is None:
        raw, settings, reason = _nuts(sampler, card, trial, settings, seed, cores, progress)
        failed = "; ".join(filter(None, (failed, reason)))
    tree = assemble(trial, card, rows, raw, seed)
    tree.attrs.update(_attributes(trial, card, settings, seed, failed))
    tree.attrs["engine"] = name
    return tree


def repeat(
    stored: xr.DataTree, *, cores: int | None = None, progress: bool | None = None
) -> xr.DataTree:
    """Make a fit once more from its own attributes, with the settings it ended with.

    There is no second attempt: where the first had failed, the settings stored are those of the
    second. On the same versions and the same kind of processor the draws are the same.

    Parameters
    ----------
    stored : xarray.DataTree
        From ``fit`` or ``load_fit``.
    cores : int, optional
        Chains that run at once; by default as many as there are cores.
    progress : bool, optional
        Whether to show a progress bar; by default where there is a terminal to show it on.

    Returns
    -------
    xarray.DataTree
        As from ``fit``.
    """
    trial, card = trial_of(stored), model_of(stored)
    settings, seed = Settings(**json.loads(stored.attrs["settings"])), int(stored.attrs["seed"])
    progress = sys.stderr.isatty() if progress is None else progress
    rows, sampler = arrange(trial, card), Sampler.of(card, trial)
    raw, failed = None, ""
    if stored.attrs["engine"] == IMPORTANCE:
        raw, failed = _fast(sampler, card, trial, settings, seed)
    name = NUTS if raw is None else IMPORTANCE
    if raw is None:
        raw = sampler.sample(card, trial, settings, seed, cores, progress)
    tree = assemble(trial, card, rows, raw, seed)
    tree.attrs.update(_attributes(trial, card, settings, seed, failed))
    tree.attrs["engine"] = name
    return tree


def _fast(
    sampler: Sampler, model: Model, trial: Trial, settings: Settings, seed: int
) -> tuple[xr.DataTree | None, str]:
    """Draws by importance sampling, or none and the reason why."""
    from bayes_msc.graph import data_of

    try:
        found = sampler.fast(data_of(model, trial), seed)
    except ModelError as error:
        if model.patient_effect == "sampled":
            raise
        return None, f"importance sampling: {error}"
    reason = why_not_trusted(found)
    return (None, reason) if reason else (sampler.tree(found, settings, seed), "")


def _nuts(
    sampler: Sampler,
    model: Model,
    trial: Trial,
    settings: Settings,
    seed: int,
    cores: int | None,
    progress: bool,
) -> tuple[xr.DataTree, Settings, str]:
    """Draws by NUTS, a second time where the first is not good enough, and the reason why."""
    raw = sampler.sample(model, trial, settings, seed, cores, progress)
    failed = _failures(raw)
    if failed:
        settings = _more_draws(settings) if failed == TOO_FEW else _more_careful(settings)
        raw = sampler.sample(model, trial, settings, seed, cores, progress)
    return raw, settings, failed


def fit_poisson(trial: Trial, *, seed: int = 1, progress: bool | None = None) -> xr.DataTree:
    """Fit the Poisson card for the trial's design: see ``fit``."""
    return fit(trial, card_for(trial, "poisson"), seed=seed, progress=progress)


def fit_negative_binomial(
    trial: Trial, *, seed: int = 1, progress: bool | None = None
) -> xr.DataTree:
    """Fit the negative-binomial card for the trial's design: see ``fit``."""
    return fit(trial, card_for(trial, "negative-binomial"), seed=seed, progress=progress)


def card_for(trial: Trial, family: str) -> str:
    """Name of the card for a trial's design and a family."""
    return f"{'crossover' if trial.design == 'crossover' else 'count'}-{family}"


def _failures(raw: xr.DataTree) -> str:
    checks = convergence(raw)
    failed = [
        f"{row['check']} {row['value']:.4g} ({row['target']}), limit {row['limit']}"
        for row in checks[~checks["ok"]].to_dict("records")
    ]
    if not enough_draws(raw):
        failed.append(TOO_FEW)
    return "; ".join(failed)


def _more_draws(settings: Settings) -> Settings:
    return replace(settings, draws=max(2 * settings.draws, CAREFUL.draws))


def _more_careful(settings: Settings) -> Settings:
    return Settings(
        max(2 * settings.draws, CAREFUL.draws),
        max(4 * settings.tune, CAREFUL.tune),
        max(settings.chains, CAREFUL.chains),
        max(settings.target_accept, CAREFUL.target_accept),
    )


def _attributes(
    trial: Trial, model: Model, settings: Settings, seed: int, failed: str
) -> dict[str, Any]:
    return {
        "model_name": model.name,
        "model_card": model.to_toml(),
        "model_sha256": model.sha256,
        "trial": json.dumps(trial.meta(), ensure_ascii=False),
        "data_csv": trial.to_csv_text(),
        "data_sha256": trial.sha256,
        "label": trial.label,
        "seed": seed,
        "settings": json.dumps(asdict(settings)),
        "refitted": failed,
        "warnings": json.dumps(identification(trial, model), ensure_ascii=False),
        "versions": json.dumps({name: version(name) for name in PACKAGES}),
    }


def trial_of(fit: xr.DataTree) -> Trial:
    """Return the trial that a fit was made from, rebuilt from the fit's own attributes."""
    return Trial.from_text(fit.attrs["data_csv"], json.loads(fit.attrs["trial"]))


def model_of(fit: xr.DataTree) -> Model:
    """Return the model of a fit, rebuilt from the fit's own attributes."""
    return Model.from_toml(fit.attrs["model_card"], fit.attrs["model_name"])


def save_fit(fit: xr.DataTree, path: str | Path, *, force: bool = False) -> Path:
    """Write a fit as NetCDF, whole or not at all.

    Parameters
    ----------
    fit : xarray.DataTree
    path : str or Path
        Usually ending in ``.nc``.
    force : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    OutputError
        If there is a file already, or the folder cannot be written to.
    """

    def write(temporary: Path) -> None:
        with warnings.catch_warnings():
            # h5netcdf warns of its own plans for empty dimensions, which a fit does not have
            warnings.filterwarnings("ignore", category=FutureWarning, module="h5netcdf")
            fit.to_netcdf(temporary, engine="h5netcdf")

    return replace_file(Path(path), write, force=force)


def load_fit(path: str | Path) -> xr.DataTree:
    """Read a fit that ``save_fit`` wrote.

    Raises
    ------
    OutputError
        If there is no such file, or it is not a fit.
    """
    path = Path(path)
    if not path.is_file():
        raise OutputError(f"there is no fit at {path}")
    try:
        fit = xr.open_datatree(path, engine="h5netcdf").load()
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{path} is not a NetCDF file of a fit: {error}") from None
    if "model_card" not in fit.attrs or "posterior" not in fit:
        raise OutputError(f"{path} is a NetCDF file, but not a fit that bayes_msc wrote")
    return fit
