"""Simulation-based calibration of a user's own model and design, in one call."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bayes_msc.errors import DesignError, ModelError, one_of
from bayes_msc.files import replace_file
from bayes_msc.model import Model
from bayes_msc.notebook import block, heading, paragraph
from bayes_msc.notebook import table as notebook_table
from bayes_msc.prior import Prior
from bayes_msc.rows import arrange
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.sbc import adjusted, curves, shares, verdicts
from bayes_msc.simulation.workers import Workers
from bayes_msc.trial import Trial

#: Chance that any one quantity of a calibration is called uneven although all is well.
LEVEL = 0.01
#: Baselines of the patients of a design that has them, in turns.
_BASELINES = (0, 1, 2, 3, 5, 8, 1, 0, 12)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a calibration found.

    Attributes
    ----------
    model : Model
        As it was calibrated: its prior of ``log_rate`` does not look at the data.
    design : Design or Trial
        As it was given.
    shares : DataFrame
        One row a simulated trial and quantity: see ``bayes_msc.simulation.sbc.shares``.
    table : DataFrame
        One line a quantity: ``quantity``, ``trials``, ``p`` (of uniform ranks), ``p_adjusted``
        (Holm), ``inside``, ``coverage`` with ``lower`` and ``upper``, ``fast``, ``nuts``, ``none``
        (trials by engine), ``unchecked`` (NUTS fits whose checks failed), ``largest`` (count).
    curves : DataFrame
        ECDF of the ranks minus the uniform one, with its simultaneous 95 % band: ``quantity``,
        ``share``, ``difference``, ``lower``, ``upper``; ``bayes_msc.plots.calibration_curves``
        draws it.
    trials : int
        Simulated trials.
    passed : bool
        Whether no quantity is uneven, at the level of 1 % for all of them together.
    """

    model: Model
    design: Design | Trial
    shares: pd.DataFrame

    def _repr_html_(self) -> str:
        return block(heading("Calibration"), paragraph(self.words()), notebook_table(self.table))

    @cached_property
    def table(self) -> pd.DataFrame:
        """One line a quantity: see ``verdicts``, with ``p_adjusted`` (Holm)."""
        table = verdicts(self.shares)
        table.insert(4, "p_adjusted", adjusted(table["p"]))
        return table.drop(columns="card")

    @cached_property
    def curves(self) -> pd.DataFrame:
        """What the figure shows: see ``curves``."""
        return curves(self.shares)

    @property
    def trials(self) -> int:
        """Simulated trials."""
        return int(self.shares["trial"].nunique())

    @property
    def passed(self) -> bool:
        """Whether no quantity is uneven at the level of 1 % for all of them together."""
        return bool((self.table["p_adjusted"] >= LEVEL).all())

    def words(self) -> str:
        """Say the result in one sentence."""
        design = self.design
        where = f"of {design.name}" if isinstance(design, Trial) else design.words()
        start = (
            f"{self.model.name} was calibrated on {self.trials} trials simulated from its own "
            f"priors in the design {where}"
        )
        ratio = self.table.set_index("quantity").loc["log_rate_ratio"]
        cover = f"the 95 % interval of the rate ratio held the truth in {ratio['coverage']:.1%}"
        if self.passed:
            return f"{start}: all ranks are uniform as they should be, and {cover}"
        uneven = self.table.loc[self.table["p_adjusted"] < LEVEL, "quantity"]
        return f"{start}: it FAILED for {', '.join(uneven)} (ranks not uniform), and {cover}"


def calibrate(
    model: Model | str,
    design: Design | Trial,
    *,
    log_rate: Prior | None = None,
    covariates: Mapping[str, Sequence[float]] | None = None,
    trials: int = 300,
    seed: int = 1,
    workers: int | None = None,
    executor: Any = None,
    cache: str | Path | None = None,
    progress: bool | None = None,
) -> Calibration:
    """Check by simulation that a model's posterior means what it says, in a design of one's own.

    Parameters
    ----------
    model : Model or str
        A model, or the name of a card. A baseline that it takes as an outcome is simulated too;
        treatment effects that differ between patients are drawn from their prior, and NUTS does
        the fits (about a second each).
    design : Design or Trial
        A design, of which nobody drops out (patients who leave because of counts that were seen
        change no posterior); or a trial, of which everything is taken but the counts: who was seen
        when, exposures, baselines and covariates.
    log_rate : Prior, optional
        Prior of ``log_rate`` that stands before the data, where the model centres it on the trial's
        own counts; by default the card's, around a rate of 1, or around the rate of the trial that
        is given as the design.
    covariates : mapping of str to sequence of float, optional
        For a ``Design``: one number a patient for covariates of the model; by default those of a
        normal distribution, in an order that has nothing to do with treatment.
    trials : int
        Simulated trials.
    seed : int
    workers : int, optional
        Processes of this machine; by default as many as there are cores.
    executor : concurrent.futures.Executor or dask.distributed.Client, optional
        Where to run instead.
    cache : str or Path, optional
        Folder where the result is kept, and found again by the hash of model, design, number of
        trials, seed and version; by default ``bayes_msc`` in the user's cache folder.
    progress : bool, optional
        Whether to show a progress bar; by default where there is a terminal.

    Returns
    -------
    Calibration

    Raises
    ------
    DesignError
        If there are too few trials, or the design lacks what the model needs.
    """
    card = model if isinstance(model, Model) else Model.load(model)
    if trials < 20:
        raise DesignError(f"trials is {trials}: 20 at least, or the ranks say nothing")
    if isinstance(design, Trial) and covariates is not None:
        raise DesignError(f"{design.name} has its own covariates: leave covariates out")
    try:
        blank = design if isinstance(design, Trial) else blank_of(design, card, covariates)
        if card.log_rate_centre != "none":
            own = card.priors["log_rate"]
            if isinstance(design, Trial):
                own = card.priors_for(design)["log_rate"]
            card = card.with_prior("log_rate", log_rate or own)
        arrange(blank, card)
    except ModelError as error:
        raise DesignError(f"{card.name} cannot be calibrated in this design: {error}") from None
    folder = Path(cache) if cache is not None else _cache_folder()
    path = folder / f"calibration-{_key(card, blank, trials, seed)}.parquet"
    if path.is_file():
        return Calibration(card, design, pd.read_parquet(path))
    hands = Workers(workers, executor)
    found = shares(card, blank, trials, seed, workers=hands, progress=progress)
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda file: found.to_parquet(file, index=False), force=True)
    return Calibration(card, design, found)


def blank_of(
    design: Design, model: Model, covariates: Mapping[str, Sequence[float]] | None = None
) -> Trial:
    """Give a design the baselines and the covariates that a model needs, the same at every call.

    Raises
    ------
    DesignError
        If a covariate is none of the model's, or has not one number a patient.
    """
    blank = replace(design, drop_out=None).blank
    table, n = blank.data, design.patients
    given = dict(covariates or {})
    for name, values in given.items():
        one_of(name, model.covariates, f"covariate of {model.name}", DesignError)
        if len(values) != n:
            raise DesignError(
                f"the covariate {name!r} has {len(values)} numbers, and the design {n} patients: "
                "one number each"
            )
    if design.baseline:
        table["baseline"] = np.repeat(np.resize(_BASELINES, n).astype(float), design.rows)
    for name in model.covariates:
        if name not in given:
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            even = stats.norm.ppf((np.arange(n) + 0.5) / n)
            given[name] = rng.permutation(even).tolist()
        table[name] = np.repeat(np.asarray(given[name], dtype=float), design.rows)
    return Trial(table, **{**blank.meta(), "covariates": list(model.covariates)})


def _key(model: Model, blank: Trial, trials: int, seed: int) -> str:
    from bayes_msc import __version__

    table = blank.data
    # counts do not matter, but for which were seen
    table = table.assign(count=table["count"].notna())
    plain = [model.to_toml(), blank.design, blank.control, blank.active, table.to_csv(index=False)]
    values = [*plain, trials, seed, __version__]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:20]


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "bayes_msc"
