"""Samplers: one compiled structure, refitted with new numbers by either of two engines.

``nuts`` is nutpie's No-U-Turn sampler. ``fast`` is adaptive importance sampling of the same log
density, taken from the same ``pm.Model``; it needs the patient effect to be integrated out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msc.callbacks import short_callbacks
from bayes_msc.errors import ModelError, one_of
from bayes_msc.importance import EFFORT, MOST_K, Effort, Importance
from bayes_msc.model import Model
from bayes_msc.rows import arrange
from bayes_msc.trial import Trial

if TYPE_CHECKING:
    from bayes_msc.density import Density

Numbers = Mapping[str, NDArray[np.float64]]
ENGINES = ("nuts", "fast", "auto")


@dataclass(frozen=True)
class Settings:
    """How to sample.

    Four chains make disagreement visible. nutpie has usually adapted after 400 steps. On the scale
    of ``bayes_msc.normal_tail`` a target acceptance of 0.9 leaves no divergences even in trials
    with one or two counts a patient, and each step is longer than at a higher target.
    """

    draws: int = 1000
    tune: int = 500
    chains: int = 4
    target_accept: float = 0.9

    def __post_init__(self) -> None:
        for name in ("draws", "tune", "chains"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if not 0 < self.target_accept < 1:
            raise ModelError(f"target_accept is {self.target_accept}: it must be between 0 and 1")


class Sampler:
    """One compiled structure, refitted with new data of the same kind and with new prior numbers.

    Neither the number of patients nor that of rows belongs to the structure, unless the patient
    effects are sampled. Each engine is compiled when it is first used.

    Parameters
    ----------
    model : Model
    trial : Trial
        Any trial with the structure that is to be sampled.
    """

    _compiled: ClassVar[dict[tuple[Any, ...], Sampler]] = {}

    def __init__(self, model: Model, trial: Trial) -> None:
        from bayes_msc.graph import build

        self._graph = build(model, trial)
        self._integrated = model.patient_effect == "integrated"

    @classmethod
    def of(cls, model: Model, trial: Trial) -> Sampler:
        """Return the sampler of this structure, compiled at most once in a process."""
        key = structure(model, trial)
        if key not in cls._compiled:
            cls._compiled[key] = cls(model, trial)
        return cls._compiled[key]

    def compile(self, engine: str) -> None:
        """Compile an engine now; otherwise the first fit does so.

        Parameters
        ----------
        engine : {"nuts", "fast"}

        Raises
        ------
        ModelError
            If there is no engine of that name.
        """
        one_of(engine, ("nuts", "fast"), "engine", ModelError)
        if engine == "nuts":
            _ = self._nuts
        else:
            self.density.logp(self.density.start()[None])

    @cached_property
    def _nuts(self) -> Any:
        import nutpie

        with short_callbacks():
            return nutpie.compile_pymc_model(self._graph)

    @cached_property
    def density(self) -> Density:
        """The joint log density for many points at once, compiled at the first call."""
        from bayes_msc.density import Density

        return Density(self._graph)

    def sample(
        self,
        model: Model,
        trial: Trial,
        settings: Settings,
        seed: int,
        cores: int | None = None,
        progress: bool = False,
    ) -> xr.DataTree:
        """Draw from the posterior of a model and a trial of this structure by NUTS.

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
        from bayes_msc.graph import data_of

        return self.nuts(data_of(model, trial), settings, seed, cores, progress)

    def nuts(
        self,
        numbers: Numbers,
        settings: Settings,
        seed: int,
        cores: int | None = None,
        progress: bool = False,
    ) -> xr.DataTree:
        """Do what ``sample`` does, with the numbers of ``bayes_msc.graph.data_of``."""
        import nutpie

        # the chains' starting points are computed from the graph's own data, so these move along
        for name, value in numbers.items():
            self._graph[name].set_value(value)
        trace: xr.DataTree = nutpie.sample(
            self._nuts.with_data(**numbers),
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

    def fast(self, numbers: Numbers, seed: int, effort: Effort = EFFORT) -> Importance:
        """Sample by adaptive importance sampling.

        Parameters
        ----------
        numbers : mapping of str to ndarray
            From ``bayes_msc.graph.data_of``.
        seed : int
            The same seed gives the same points.
        effort : Effort
            Of the first attempt.

        Returns
        -------
        Importance
            On the unconstrained scale; ``trusted`` says whether it may be used.

        Raises
        ------
        ModelError
            If the patient effects are sampled, or the density is zero all around its start.
        """
        from bayes_msc.importance import sample_twice

        if not self._integrated:
            raise ModelError(
                'the fast engine needs the patient effect integrated out: use engine="nuts", or '
                'model.with_patient_effect("integrated")'
            )
        density = self.density
        density.set_data(numbers)
        interest = density.names.index("log_rate_ratio")
        start, axes = density.start(), density.axes
        return sample_twice(density.logp, start, axes, interest=interest, seed=seed, effort=effort)

    def tree(self, found: Importance, settings: Settings, seed: int) -> xr.DataTree:
        """Draws of equal weight from weighted points, with the points and their weights.

        Returns
        -------
        xarray.DataTree
            Groups ``posterior``, ``sample_stats`` (for each draw the replicate of the Monte Carlo
            experiment that it belongs to) and ``importance`` (the points).
        """
        rng = np.random.default_rng(seed)
        shape = (settings.chains, settings.draws)
        chosen = found.choose(settings.chains * settings.draws, rng)
        values = self.density.constrained(found.points)
        coords = {"chain": np.arange(shape[0]), "draw": np.arange(shape[1])}
        dims = ("chain", "draw")
        replicate = found.replicate[chosen].reshape(shape)
        points = {name: ("point", found.points[:, i]) for i, name in enumerate(self.density.names)}
        weights = {
            "log_weight": ("point", found.log_weights),
            "log_ratio": ("point", found.log_ratios),
            "replicate": ("point", found.replicate),
        }
        measures = {
            "pareto_k": found.pareto_k,
            "effective_size": found.ess,
            "evaluations": found.evaluations,
            "log_marginal_likelihood": found.log_marginal,
            "log_marginal_likelihood_se": found.log_marginal_se,
        }
        return xr.DataTree.from_dict(
            {
                "posterior": xr.Dataset(
                    {n: (dims, v[chosen].reshape(shape)) for n, v in values.items()}, coords
                ),
                "sample_stats": xr.Dataset({"replicate": (dims, replicate)}, coords),
                "importance": xr.Dataset({**points, **weights}, attrs=measures),
            }
        )


def why_not_trusted(found: Importance) -> str:
    """Say why importance sampling is not to be relied upon; empty where it is."""
    if found.trusted:
        return ""
    if not found.pareto_k <= MOST_K:
        return f"importance sampling: Pareto k {found.pareto_k:.2f}, limit {MOST_K}"
    return f"importance sampling: effective size {found.ess:.0f}, errors above their limits"


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
    rows = arrange(trial, model)
    patients = rows.n_patients if model.patient_effect == "sampled" else 0
    return model.family, rows.names, priors, model.patient_effect, patients
