"""What would change an answer: other opinions beforehand, and each patient left out in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msc.errors import TrialError
from bayes_msc.fit import model_of, trial_of
from bayes_msc.leaving_out import as_for, without_patient
from bayes_msc.model import Model
from bayes_msc.prior import Prior, stances
from bayes_msc.refits import refit_many
from bayes_msc.reweighting import effective_draws, reweighted
from bayes_msc.trial import Trial

NOTHING, PRIOR, PATIENT = "nothing", "prior", "patient"
REWEIGHTED, REFITTED, UNKNOWN = "draws reweighted", "fitted anew", "not known"
OWN = "the analysis as it stands"
#: What a row takes from ``refit_many``, and under which name.
_OF_REFITS = {
    "median": "median",
    "lower": "lower",
    "upper": "upper",
    "probability": "prob_below_1",
    "mcse": "mcse_below_1",
}
COLUMNS = (
    "kind",
    "name",
    "words",
    "median",
    "lower",
    "upper",
    "probability",
    "mcse",
    "pareto_k",
    "how",
)


def changes(fit: xr.DataTree, *, exact: bool = False, seed: int = 1) -> pd.DataFrame:
    """Answer anew under every other prior stance and without each patient.

    Parameters
    ----------
    fit : DataTree
        From ``bayes_msc.fit``.
    exact : bool
        Whether to fit anew where the stored draws do not reach (Pareto k too high); otherwise those
        rows have no numbers.
    seed : int
        For the new fits.

    Returns
    -------
    DataFrame
        First the answer as it stands, then one row a stance, then one a patient with a count:
        ``kind`` (``"nothing"``, ``"prior"``, ``"patient"``), ``name``, ``words``, ``median``,
        ``lower``, ``upper`` of the rate ratio, ``probability`` that it is below 1 with its Monte
        Carlo error ``mcse``, ``pareto_k`` of the weights, and ``how`` it was found (``"draws
        reweighted"``, ``"fitted anew"`` or ``"not known"``).

    Notes
    -----
    Another prior weights each draw by the ratio of the two densities, a patient left out by one
    over the likelihood of that patient's counts, with the patient's effect integrated out. Without
    a patient the prior of the rate stays where all patients had put it.
    """
    trial, model = trial_of(fit), model_of(fit)
    draws = np.asarray(fit["posterior"]["log_rate_ratio"].values, dtype=float).ravel()
    efficiency = min(1.0, effective_draws(fit) / len(draws))
    rows = []
    for kind, name, words, log_weight in _questions(fit, model, trial, draws):
        found = asdict(reweighted(draws, log_weight, efficiency))
        # all weights alike have no tail
        k = found["pareto_k"] if np.isfinite(found["pareto_k"]) else np.nan
        row = {"kind": kind, "name": name, "words": words, **found, "pareto_k": k}
        rows.append({**row, "how": REWEIGHTED if found["ok"] else UNKNOWN})
    if exact:
        _fit_anew(rows, trial, model, seed)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _questions(
    fit: xr.DataTree, model: Model, trial: Trial, draws: NDArray[np.float64]
) -> Iterator[tuple[str, str, str, NDArray[np.float64]]]:
    own = model.priors["log_rate_ratio"]
    same = [name for name, prior in stances().items() if _alike(prior, own)]
    held = f"the {same[0]} prior, {_plain(own)}" if same else f"the prior {_plain(own)}"
    yield NOTHING, same[0] if same else "", f"{OWN}: {held}", np.zeros_like(draws)
    if own.is_fixed:
        return
    before = np.asarray(own.frozen().logpdf(draws), dtype=float)
    for name, prior in stances().items():
        if name in same:
            continue
        after = np.asarray(prior.frozen().logpdf(draws), dtype=float)
        yield PRIOR, name, f"the {name} prior, {_plain(prior)}", after - before
    likelihood = fit["log_likelihood"]["count"]
    for name in likelihood["patient"].to_numpy():
        own_counts = np.asarray(likelihood.sel(patient=name).values, dtype=float).ravel()
        yield PATIENT, str(name), f"without patient {name}", -own_counts


def _alike(one: Prior, other: Prior) -> bool:
    return (one.distribution, one.parameters) == (other.distribution, other.parameters)


def _plain(prior: Prior) -> str:
    """The usual notation, its numbers to three digits."""
    numbers = tuple(v if isinstance(v, tuple) else float(f"{v:.3g}") for v in prior.parameters)
    return str(Prior(prior.distribution, numbers)).replace("-", "−")


def _fit_anew(rows: list[dict[str, Any]], trial: Trial, model: Model, seed: int) -> None:
    """Fill in by new fits what reweighting could not tell."""
    held = as_for(model, trial)
    pairs, places = [], []
    for place, row in enumerate(rows):
        if row["how"] != UNKNOWN:
            continue
        try:
            pairs.append(
                (model.with_prior("log_rate_ratio", row["name"]), trial)
                if row["kind"] == PRIOR
                else (held, without_patient(trial, row["name"]))
            )
        except TrialError:  # nobody else had this patient's treatment
            continue
        places.append(place)
    if not pairs:
        return
    found = refit_many(pairs, thresholds=(1.0,), seed=seed, progress=False)
    for place, (_, new) in zip(places, found.iterrows(), strict=True):
        if new["ok"]:
            rows[place] |= {key: float(new[column]) for key, column in _OF_REFITS.items()}
            rows[place]["how"] = REFITTED
