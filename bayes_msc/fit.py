"""Fit a model to a trial: compile a structure once, sample with nutpie, return a DataTree."""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from bayes_msc.convergence import convergence, enough_draws
from bayes_msc.errors import ModelError, OutputError
from bayes_msc.files import replace_file
from bayes_msc.groups import assemble
from bayes_msc.identification import identification
from bayes_msc.model import Model
from bayes_msc.rows import arrange
from bayes_msc.trial import Trial

PACKAGES = ("bayes-msc", "pymc", "pytensor", "nutpie", "numba", "arviz", "numpy", "pandas", "scipy")


@dataclass(frozen=True)
class Settings:
    """How to sample.

    Four chains make disagreement visible. nutpie has usually adapted after 400 steps; 1000 leave
    room for the corner where patient_sd and overdispersion trade places. A target acceptance of
    0.95 removes the single divergences that 0.9 leaves in some trials with one or two counts a
    patient, each of which would cost a second, longer fit.
    """

    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    target_accept: float = 0.95

    def __post_init__(self) -> None:
        for name in ("draws", "tune", "chains"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if not 0 < self.target_accept < 1:
            raise ModelError(f"target_accept is {self.target_accept}: it must be between 0 and 1")


TOO_FEW = "too few draws for the Monte Carlo error of a probability"
#: Second attempt, where the diagnostics of the first failed.
CAREFUL = Settings(draws=2000, tune=2000, chains=4, target_accept=0.99)


class Sampler:
    """One compiled structure, refitted with new data of the same kind and with new prior numbers.

    Parameters
    ----------
    model : Model
    trial : Trial
        Any trial with the structure that is to be sampled.
    """

    _compiled: ClassVar[dict[tuple[Any, ...], Sampler]] = {}

    def __init__(self, model: Model, trial: Trial) -> None:
        import nutpie

        from bayes_msc.graph import build

        self._graph = build(model, trial)
        self._nuts = nutpie.compile_pymc_model(self._graph)

    @classmethod
    def of(cls, model: Model, trial: Trial) -> Sampler:
        """Return the sampler of this structure, compiled at most once in a process."""
        key = structure(model, trial)
        if key not in cls._compiled:
            cls._compiled[key] = cls(model, trial)
        return cls._compiled[key]

    def sample(
        self,
        model: Model,
        trial: Trial,
        settings: Settings,
        seed: int,
        cores: int | None = None,
        progress: bool = False,
    ) -> xr.DataTree:
        """Draw from the posterior of a model and a trial of this structure.

        Parameters
        ----------
        model, trial : Model, Trial
        settings : Settings
        seed : int
            The same seed gives the same draws, whatever the number of cores and whatever was
            fitted before.
        cores : int, optional
            Chains that run at once; by default all cores, at most the number of chains.
        progress : bool
            Whether to show nutpie's progress bar.

        Returns
        -------
        xarray.DataTree
            Groups ``posterior`` and ``sample_stats``.

        Raises
        ------
        KeyboardInterrupt
            If sampling was interrupted.
        """
        import nutpie

        from bayes_msc.graph import data_of

        data = data_of(model, trial)
        # the chains' starting points are computed from the graph's own data, so these move along
        for name, value in data.items():
            self._graph[name].set_value(value)
        trace: xr.DataTree = nutpie.sample(
            self._nuts.with_data(**data),
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            cores=min(cores or os.cpu_count() or 1, settings.chains),
            seed=seed,
            target_accept=settings.target_accept,
            save_warmup=False,
            progress_bar=progress,
        )
        _refuse_partial(trace, settings)
        return trace


def _refuse_partial(trace: xr.DataTree, settings: Settings) -> None:
    """Raise where sampling was interrupted: nutpie then returns what it has as if it were all."""
    sizes = trace["posterior"].sizes
    whole = sizes["chain"] == settings.chains and sizes["draw"] == settings.draws
    if not whole or not np.isfinite(trace["sample_stats"]["energy"].to_numpy()).all():
        raise KeyboardInterrupt("sampling was stopped before it was complete")


def structure(model: Model, trial: Trial) -> tuple[Any, ...]:
    """Everything about a model and a trial that is compiled rather than passed as numbers."""
    priors = tuple(
        (name, prior.distribution, np.shape(prior.parameters))
        for name, prior in model.priors_for(trial).items()
    )
    sampled = model.patient_effect == "sampled"
    patients = arrange(trial, model).n_patients if sampled else 0
    return model.family, arrange(trial, model).names, priors, model.patient_effect, patients


def fit(
    trial: Trial,
    model: Model | str | Path,
    *,
    seed: int = 1,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    target_accept: float = 0.95,
    cores: int | None = None,
    progress: bool | None = None,
) -> xr.DataTree:
    """Fit a model to a trial by NUTS.

    If the draws are too few for the Monte Carlo error of P(rate ratio < 1, 0.8 or 0.5), the fit is
    repeated once with more of them; if a convergence check fails, with twice the tuning, twice the
    draws and a target acceptance of 0.99. The attribute ``refitted`` says why.

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
        the parameters that the prior alone or mainly informs.

    Raises
    ------
    ModelError
        If the model does not fit the trial, or a setting is impossible.
    """
    card = model if isinstance(model, Model) else Model.load(model)
    settings = Settings(draws, tune, chains, target_accept)
    progress = sys.stderr.isatty() if progress is None else progress
    rows = arrange(trial, card)
    sampler = Sampler.of(card, trial)
    raw = sampler.sample(card, trial, settings, seed, cores, progress)
    failed = _failures(raw)
    if failed:
        settings = _more_draws(settings) if failed == TOO_FEW else _more_careful(settings)
        raw = sampler.sample(card, trial, settings, seed, cores, progress)
    tree = assemble(trial, card, rows, raw, seed)
    tree.attrs.update(_attributes(trial, card, settings, seed, failed))
    return tree


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
        max(2 * settings.tune, CAREFUL.tune),
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
        "engine": "nutpie NUTS",
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
