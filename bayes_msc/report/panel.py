"""The numbers behind the panel in which a reader brings a prior of their own.

The page computes in JavaScript what ``panel_answer`` computes here; the tests hold both to the same
numbers. For printed results the likelihood of the log rate ratio is normal and the answer is exact.
For a fit, stored draws are reweighted from the prior they were made with to the reader's, with
Pareto-smoothed weights (Vehtari et al. 2024, JMLR 25:72); where the draws no longer support the
prior there is no answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayes_msc.exact import beyond, ratio_summary, update
from bayes_msc.prior import Prior
from bayes_msc.reweighting import (
    LEAST_EFFECTIVE,
    effective_draws,
    most_k,
    quantiles,
    smoothed,
)

if TYPE_CHECKING:
    import xarray as xr

    from bayes_msc.reanalysis import Reanalysis
    from bayes_msc.trial import Trial

Array = NDArray[np.float64]
Panel = dict[str, Any]

#: Draws that are stored at most; evenly spaced ones are kept of a longer chain.
MOST_DRAWS = 4000
#: The model's own prior, among the stances of a fit.
OWN = "the model’s own"
WIDTHS = (0.05, 3.0)
_DIGITS = 5
_REACH = 3.4


@dataclass(frozen=True)
class PanelAnswer:
    """What follows from a reader's prior.

    Attributes
    ----------
    supported : bool
        Whether the stored draws reach far enough; always true for printed results.
    patients : float or None
        Patients of the trial that the prior is worth; None where the trial says too little.
    effective : float
        Effective draws under the prior; infinite for printed results.
    pareto_k : float
        Shape of the weights' tail; minus infinity where all weights are equal.
    median, lower, upper : float
        Rate ratio after the trial, with its 95 % equal-tailed interval; NaN if not supported.
    probabilities : dict of float to float
        Probability of the good side of each threshold after the trial; NaN if not supported.
    mcse : dict of float to float
        Monte Carlo standard errors of the probabilities; 0 for printed results.
    """

    supported: bool
    patients: float | None
    effective: float
    pareto_k: float
    median: float
    lower: float
    upper: float
    probabilities: Mapping[float, float]
    mcse: Mapping[float, float]


def panel_of_reanalysis(result: Reanalysis, start: str) -> Panel:
    """Return what the panel needs for a trial known by its printed numbers.

    Parameters
    ----------
    result : Reanalysis
        What ``reanalyze`` returned.
    start : str
        Name of the stance with which the panel opens, if its prior is normal.
    """
    published = result.published
    size = published.active.n + published.control.n
    words = (published.active.label, published.control.label, published.endpoint)
    found = _normals(result.stances) or _normals(_known())
    spread = _REACH * result.se
    return {
        "kind": "normal",
        "notices": [],
        "estimate": result.log_rate_ratio,
        "se": result.se,
        "patients": size,
        "unit_sd": result.se * math.sqrt(size),
        "range": _range(result.log_rate_ratio - spread, result.log_rate_ratio + spread),
        **_common(words, published.benefit, found, start),
    }


def panel_of_fit(
    fit: xr.DataTree, trial: Trial, prior: Prior, notices: tuple[str, ...] = ()
) -> Panel:
    """Return what the panel needs for a fit; empty if its rate ratio was set and not estimated.

    Parameters
    ----------
    fit : DataTree
        What ``fit`` returned.
    trial : Trial
        Its trial.
    prior : Prior
        The prior of ``log_rate_ratio`` that the fit was made with.
    notices : tuple of str
        Failed checks on which the draws depend.
    """
    if prior.is_fixed:
        return {}
    draws = np.asarray(fit["posterior"]["log_rate_ratio"].values, dtype=float).ravel()
    kept = np.unique(np.linspace(0, len(draws) - 1, min(MOST_DRAWS, len(draws))).astype(int))
    values = np.round(draws[kept], _DIGITS)
    density = np.round(np.asarray(prior.frozen().logpdf(values), dtype=float), _DIGITS)
    low, high = np.quantile(values, [0.001, 0.999])
    own = {OWN: prior} if prior.distribution == "normal" else {}
    words = (trial.active, trial.control, trial.endpoint)
    benefit = str(getattr(trial, "benefit", "lower"))
    return {
        "kind": "draws",
        "notices": list(notices),
        "draws": values.tolist(),
        "log_prior": density.tolist(),
        "efficiency": min(1.0, effective_draws(fit) / len(values)),
        "least_effective": LEAST_EFFECTIVE,
        "patients": trial.n_patients,
        "unit_sd": _unit_sd(values, prior, trial.n_patients),
        "range": _range(float(low) - 0.3, float(high) + 0.3),
        **_common(words, benefit, own | _normals(_known()), OWN if own else "weak"),
    }


def panel_answer(panel: Mapping[str, Any], prior: Prior) -> PanelAnswer:
    """Return what the page shows for a normal prior of the log rate ratio.

    Parameters
    ----------
    panel : Mapping
        What ``panel_of_reanalysis`` or ``panel_of_fit`` returned.
    prior : Prior
        The reader's: a normal.
    """
    unit, benefit = panel["unit_sd"], panel["benefit"]
    thresholds = [float(c) for c in panel["thresholds"]]
    scale = float(np.asarray(prior["scale"]))
    patients = None if unit is None else (unit / scale) ** 2
    if panel["kind"] == "draws":
        return _reweighted(panel, prior, patients, thresholds)
    posterior = update(prior, panel["estimate"], panel["se"])
    chances = beyond(posterior, thresholds, benefit)
    size = {key: float(ratio_summary(posterior)[key]) for key in ("median", "lower", "upper")}
    return PanelAnswer(
        supported=True,
        patients=patients,
        effective=math.inf,
        pareto_k=-math.inf,
        probabilities=dict(zip(thresholds, chances.tolist(), strict=True)),
        mcse=dict.fromkeys(thresholds, 0.0),
        **size,
    )


def _reweighted(
    panel: Mapping[str, Any], prior: Prior, patients: float | None, thresholds: list[float]
) -> PanelAnswer:
    draws, efficiency = np.array(panel["draws"], dtype=float), float(panel["efficiency"])
    log_ratio = prior.frozen().logpdf(draws) - np.array(panel["log_prior"], dtype=float)
    weights, k = smoothed(log_ratio, efficiency)
    effective = efficiency / float(np.sum(weights**2))
    supported = bool(k < most_k(len(draws) * efficiency)) and effective >= LEAST_EFFECTIVE
    lower, median, upper = np.exp(quantiles(draws, weights, (0.025, 0.5, 0.975)))
    sign = -1.0 if panel["benefit"] == "higher" else 1.0
    inside = [sign * (draws - math.log(c)) < 0 for c in thresholds]
    chances = [float(weights @ where) for where in inside]
    errors = [
        math.sqrt(float(np.sum((weights * (where - p)) ** 2)) / efficiency)
        for where, p in zip(inside, chances, strict=True)
    ]
    missing = math.nan
    return PanelAnswer(
        supported=supported,
        patients=patients,
        effective=effective,
        pareto_k=k,
        median=float(median) if supported else missing,
        lower=float(lower) if supported else missing,
        upper=float(upper) if supported else missing,
        probabilities={
            c: p if supported else missing for c, p in zip(thresholds, chances, strict=True)
        },
        mcse={c: e if supported else missing for c, e in zip(thresholds, errors, strict=True)},
    )


def _unit_sd(draws: Array, prior: Prior, patients: int) -> float | None:
    """Standard deviation that one patient contributes; None where the prior hides the trial."""
    before = float(prior.frozen().std())
    information = 1 / float(np.var(draws)) - (1 / before**2 if math.isfinite(before) else 0.0)
    return math.sqrt(patients / information) if information > 0 else None


def _known() -> Mapping[str, Prior]:
    from bayes_msc.prior import stances

    return stances()


def _normals(priors: Mapping[str, Prior]) -> dict[str, Prior]:
    """Keep the normal priors: the panel draws no others."""
    return {name: prior for name, prior in priors.items() if prior.distribution == "normal"}


def _range(low: float, high: float) -> list[float]:
    """Ends of the axis: wide enough for the trial and for what one may think of it."""
    ends = (max(min(low, math.log(1 / 12)), -7.0), min(max(high, math.log(6)), 7.0))
    return [round(end, 3) for end in ends]


def _common(
    words: tuple[str, str, str], benefit: str, priors: Mapping[str, Prior], start: str
) -> Panel:
    stances = [
        {"name": name, "loc": prior["loc"], "scale": prior["scale"], "why": prior.why.rstrip(".")}
        for name, prior in priors.items()
    ]
    first = next((stance for stance in stances if stance["name"] == start), stances[0])
    active, control, events = words
    return {
        "active": active,
        "control": control,
        "events": events,
        "benefit": benefit,
        "thresholds": [1.0, 0.8] if benefit == "lower" else [1.0, 1.25],
        "stances": stances,
        "start": {"loc": first["loc"], "scale": first["scale"]},
        "widths": list(WIDTHS),
    }
