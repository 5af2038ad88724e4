"""What went into an analysis: files and bundled data sets with their hashes, and what to repeat."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from bayes_msc.reanalysis import Reanalysis

BUNDLED = "bundled "


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def hashes(files: Sequence[str | Path], bundled: Mapping[str, str]) -> dict[str, str]:
    """Return what a manifest records of the inputs.

    Parameters
    ----------
    files : sequence of str or Path
        Files that were read, as they were named.
    bundled : Mapping of str to str
        SHA-256 of bundled data sets, by name.
    """
    named = {f"{BUNDLED}{name}": sha256 for name, sha256 in bundled.items()}
    return {str(path): file_hash(path) for path in files} | named


def bundled_hash(name: str) -> str | None:
    """Return the SHA-256 of a bundled trial or card as it is now, or None if there is none."""
    from bayes_msc.datasets import load_trial, trial_names
    from bayes_msc.model import Model
    from bayes_msc.published import load_published, published_names

    if name in Model.names():
        return Model.load(name).sha256
    if name in published_names():
        return load_published(name).sha256
    known, _, candidate = name.rpartition("-")
    if name in trial_names():
        return load_trial(name).sha256
    if known in trial_names() and candidate.isdigit():
        return load_trial(known, candidate=int(candidate)).sha256
    return None


def fit_recipe(statements: pd.DataFrame) -> dict[str, Any]:
    """Return what ``summarize`` was asked for; the rest of a fit's recipe is in its attributes."""
    asked = statements.attrs.get("asked")
    if asked is not None:
        return dict(asked)
    below = statements[statements["statement"] == "prob_rate_ratio_below"]
    thresholds = [float(c) for c in below["threshold"]]
    return {"thresholds": thresholds, "rope": None, "exposure": 1.0, "seed": 1}


def reanalysis_recipe(result: Reanalysis) -> dict[str, Any]:
    """Return all that it takes to make a reanalysis again, as plain text and numbers."""
    external = result.external
    return {
        "published": result.published.to_toml(),
        "external": [trial.to_toml() for trial in result.external_trials],
        "analysis": result.analysis,
        "stances": {name: prior.to_table() for name, prior in result.stances.items()},
        "thresholds": list(result.thresholds),
        "mu_prior": result.mu_prior.to_table(),
        "tau_priors": [prior.to_table() for prior in result.tau_priors],
        "method": "quadrature" if external.empty else str(external["method"].iloc[0]),
        "seed": result.seed,
        "reconstruction": None
        if result.behind is None
        else {"name": result.behind.paper.name, "text": result.behind.paper.toml},
    }
