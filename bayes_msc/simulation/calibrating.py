"""Simulation-based calibration of a user's own model and design, in one call."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_msc.errors import DesignError
from bayes_msc.files import replace_file
from bayes_msc.model import Model
from bayes_msc.prior import Prior
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
    design : Design
    shares : DataFrame
        See ``shares``.
    """

    model: Model
    design: Design
    shares: pd.DataFrame

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
    def passed(self) -> bool:
        """Whether no quantity is uneven at the level of 1 % for all of them together."""
        return bool((self.table["p_adjusted"] >= LEVEL).all())

    def words(self) -> str:
        """Say the result in one sentence."""
        trials = self.shares["trial"].nunique()
        start = (
            f"{self.model.name} was calibrated on {trials} trials simulated from its own priors in "
            f"the design {self.design.words()}"
        )
        ratio = self.table.set_index("quantity").loc["log_rate_ratio"]
        cover = f"the 95 % interval of the rate ratio held the truth in {ratio['coverage']:.1%}"
        if self.passed:
            return f"{start}: all ranks are uniform as they should be, and {cover}"
        uneven = self.table.loc[self.table["p_adjusted"] < LEVEL, "quantity"]
        return f"{start}: it FAILED for {', '.join(uneven)} (ranks not uniform), and {cover}"


def calibrate(
    model: Model | str,
    design: Design,
    *,
    log_rate: Prior | None = None,
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
        A model, or the name of a card.
    design : Design
        Nobody drops out: patients who leave because of counts that were seen change no posterior.
    log_rate : Prior, optional
        Prior of ``log_rate`` that stands before the data, where the model centres it on the trial's
        own counts; by default the card's, around a rate of 1.
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
        If the model takes the baseline as an outcome, has covariates, or lets patients differ in
        their treatment effects: for these there is no simulated truth to find.
    """
    card = model if isinstance(model, Model) else Model.load(model)
    if trials < 20:
        raise DesignError(f"trials is {trials}: 20 at least, or the ranks say nothing")
    _refuse(card)
    if card.log_rate_centre != "none":
        card = card.with_prior("log_rate", log_rate or card.priors["log_rate"])
    blank = _with_baselines(design)
    folder = Path(cache) if cache is not None else _cache_folder()
    path = folder / f"calibration-{_key(card, design, trials, seed)}.parquet"
    if path.is_file():
        return Calibration(card, design, pd.read_parquet(path))
    hands = Workers(workers, executor)
    found = shares(card, blank, trials, seed, workers=hands, progress=progress)
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda file: found.to_parquet(file, index=False), force=True)
    return Calibration(card, design, found)


def _refuse(model: Model) -> None:
    terms = (*model.terms, *model.optional_terms)
    hard = [term for term in ("baseline-joint", "treatment-varies") if term in terms]
    if hard or model.covariates:
        what = hard[0] if hard else "covariates"
        raise DesignError(f"{model.name} cannot be calibrated with {what}: leave that out")


def _with_baselines(design: Design) -> Trial:
    blank = replace(design, drop_out=None).blank
    if not design.baseline:
        return blank
    values = np.resize(_BASELINES, design.patients).astype(float)
    return Trial(blank.data.assign(baseline=np.repeat(values, design.rows)), **blank.meta())


def _key(model: Model, design: Design, trials: int, seed: int) -> str:
    from bayes_msc import __version__

    values = [model.to_toml(), design.to_table(), trials, seed, __version__]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:20]


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "bayes_msc"
