"""What a fit says about benefit: ratios, differences and probabilities, each with its error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtri

from bayes_msc.convergence import THRESHOLDS, convergence
from bayes_msc.errors import ModelError
from bayes_msc.fit import model_of, trial_of
from bayes_msc.model import Model
from bayes_msc.monte_carlo import ChainErrors, errors_of
from bayes_msc.predictive import new_effects, simulate_rows
from bayes_msc.predictor import draws_of
from bayes_msc.rows import Rows, arrange
from bayes_msc.trial import Trial

MASS = 0.95
COLUMNS = (
    "statement",
    "label",
    "threshold",
    "median",
    "mean",
    "lower",
    "upper",
    "probability",
    "mcse",
    "verdict",
)
Draws = NDArray[np.float64]
#: New patients simulated for each posterior draw.
NEW_PATIENTS = 16
#: Coefficients that stand for where a row lies in the trial, not for what its patient is like.
_OF_THE_ROW = ("log_rate_ratio", "period_effect", "carryover_effect", "baseline_level")


def summarize(
    fit: xr.DataTree,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    rope: tuple[float, float] | None = None,
    exposure: float = 1.0,
    seed: int = 1,
) -> pd.DataFrame:
    """Summarise a fit as statements about benefit.

    Parameters
    ----------
    fit : xarray.DataTree
        From ``bayes_msc.fit``.
    thresholds : sequence of float
        Rate ratios c for which P(rate ratio < c) is wanted.
    rope : tuple of two floats, optional
        Rate ratios between which the reader would call the arms equivalent. There is no default:
        what is equivalent is for the reader to say.
    exposure : float
        Exposure for which the rate difference is stated, in the trial's unit.
    seed : int
        For the counts of new patients.

    Returns
    -------
    DataFrame
        One row a statement: ``statement`` (its key), ``label`` (in words), ``threshold``,
        ``median``, ``mean``, ``lower`` and ``upper`` (95 % equal-tailed), ``probability``, ``mcse``
        (Monte Carlo standard error of the probability, else of the median) and ``verdict``
        (``"ok"``, or which convergence check failed). What was asked stands in ``attrs["asked"]``.

    Raises
    ------
    ModelError
        If a threshold or the rope is not a rate ratio.

    Notes
    -----
    Of a new patient the probability given the parameters is averaged over the draws, not whether
    one simulated patient has fewer: the error is then that of the draws (Rao-Blackwell; Gelfand &
    Smith 1990, JASA 85:398).
    """
    check_ratios(thresholds, rope)
    trial = trial_of(fit)
    ratio = np.exp(_draws(fit, "log_rate_ratio"))
    control, active = _mean_rates(fit, trial)
    period = planned_exposure(trial)
    unit = trial.exposure_unit
    per = unit if exposure == 1 else f"{exposure:g} {unit}s"
    over = f"{period:g} {unit}{'s' if period != 1 else ''}"
    errors = errors_of(fit)
    fewer, same = _new_patient(fit, trial, period, seed)
    who = f"{trial.active} against {trial.control}"
    rows = [
        _measure(errors, "rate_ratio", _ratio_label(fit, who), ratio),
        _measure(
            errors,
            "rate_ratio_marginal",
            f"rate ratio, {who}, averaged over the patients"
            f"{'' if _varies(fit) else ' (the same here, by construction)'}",
            active / control,
        ),
        _measure(
            errors,
            "control_rate",
            f"{trial.endpoint} per {per} on {trial.control}",
            control * exposure,
        ),
        _measure(
            errors,
            "active_rate",
            f"{trial.endpoint} per {per} on {trial.active}",
            active * exposure,
        ),
        _measure(
            errors,
            "rate_difference",
            f"difference in {trial.endpoint} per {per}, {trial.active} minus {trial.control}",
            (active - control) * exposure,
        ),
        _measure(
            errors,
            "events_avoided",
            f"{trial.endpoint} avoided per patient over {over} by {trial.active}",
            (control - active) * period,
        ),
        *(_below(errors, ratio, c) for c in thresholds),
        _expected(
            errors,
            "prob_new_patient_fewer",
            f"probability that a new patient has fewer {trial.endpoint} on {trial.active} "
            f"than on {trial.control} over {over}",
            fewer,
        ),
        _expected(
            errors,
            "prob_new_patient_same",
            f"probability that a new patient has as many {trial.endpoint} on either over {over}",
            same,
        ),
    ]
    if rope is not None:
        inside = (ratio > rope[0]) & (ratio < rope[1])
        label = f"probability that the rate ratio is between {rope[0]:g} and {rope[1]:g}"
        rows.append(_probability(errors, "prob_in_rope", label, inside))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["verdict"] = _verdict(fit)
    # labels round: only this tells a second run exactly what to state
    table.attrs["asked"] = {
        "thresholds": [float(c) for c in thresholds],
        "rope": None if rope is None else [float(limit) for limit in rope],
        "exposure": float(exposure),
        "seed": seed,
    }
    return table


def answer(fit: xr.DataTree) -> dict[str, Any]:
    """Return the rate ratio and the probability of benefit alone, for tables of several fits.

    Returns
    -------
    dict of str to float or str
        ``median``, ``lower``, ``upper`` of the rate ratio, ``probability`` that it is below 1,
        ``mcse`` of the probability, ``verdict``.
    """
    ratio = np.exp(_draws(fit, "log_rate_ratio"))
    errors = errors_of(fit)
    measure, below = _measure(errors, "rate_ratio", "", ratio), _below(errors, ratio, 1.0)
    return {
        **{key: measure[key] for key in ("median", "lower", "upper")},
        **{key: below[key] for key in ("probability", "mcse")},
        "verdict": _verdict(fit),
    }


def prob_curve(fit: xr.DataTree, thresholds: Sequence[float] | None = None) -> pd.DataFrame:
    """Trace P(rate ratio < c) over c.

    Parameters
    ----------
    fit : xarray.DataTree
    thresholds : sequence of float, optional
        Rate ratios; by default 81 from 0.1 to 4, evenly spaced on the log scale.

    Returns
    -------
    DataFrame
        Columns ``threshold``, ``probability``, ``mcse``.
    """
    grid = np.geomspace(0.1, 4.0, 81) if thresholds is None else np.asarray(thresholds, float)
    check_ratios(list(grid), None)
    ratio, errors = np.exp(_draws(fit, "log_rate_ratio")), errors_of(fit)
    below = [ratio < c for c in grid]
    return pd.DataFrame(
        {
            "threshold": grid,
            "probability": [b.mean() for b in below],
            "mcse": [errors.of_probability(b) for b in below],
        }
    )


def planned_exposure(trial: Trial) -> float:
    """Exposure of a patient over one period of a crossover, or over a parallel trial, as planned.

    Rows without a seen count count in; the median over patients and periods is taken.
    """
    by = ["patient", "period"] if trial.design == "crossover" else ["patient"]
    return float(trial.data.groupby(by)["exposure"].sum().median())


def _draws(fit: xr.DataTree, name: str) -> Draws:
    """Draws of one parameter, shape (chains, draws, ...)."""
    return np.asarray(fit["posterior"][name].to_numpy(), dtype=float)


def _optional(fit: xr.DataTree, name: str) -> Draws:
    """Draws of a parameter that a model may lack: zeros then."""
    if name in fit["posterior"]:
        return _draws(fit, name)
    return np.zeros_like(_draws(fit, "log_rate_ratio"))


def _varies(fit: xr.DataTree) -> bool:
    return "treatment_sd" in fit["posterior"]


def _ratio_label(fit: xr.DataTree, who: str) -> str:
    patient = "the patient in the middle of all responses" if _varies(fit) else "the same patient"
    return f"rate ratio, {who}, for {patient}"


def _mean_rates(fit: xr.DataTree, trial: Trial) -> tuple[Draws, Draws]:
    """Mean rate over the trial's own patients on either treatment, averaged over the periods.

    Nobody is taken to come from another treatment (no carryover), and the baseline and covariates
    are the patients' own.
    These are the patients seen, with their own effects and baselines: an average over patients
    yet to come would hang on the tail of a normal distribution that nine patients cannot show.
    """
    rows = arrange(trial, model_of(fit))
    own = np.zeros(rows.count.shape)
    own[rows.patient_index, rows.row_index] = 1.0
    log_rate = _draws(fit, "log_rate")[..., None] + _draws(fit, "patient_effect")
    for k, name in enumerate(rows.coefficients):
        if name not in _OF_THE_ROW:
            value = (rows.design[:, :, k] * own).sum(axis=1) / own.sum(axis=1)
            log_rate = log_rate + _draws(fit, name)[..., None] * value
    if "patient_log_rate_ratio" in fit["posterior"]:
        treated = log_rate + _draws(fit, "patient_log_rate_ratio")
    else:
        treated = log_rate + _draws(fit, "log_rate_ratio")[..., None]
    over_periods = 0.5 * (1.0 + np.exp(_optional(fit, "period_effect")))
    control = np.exp(log_rate).mean(axis=-1) * over_periods
    active = np.exp(treated).mean(axis=-1) * over_periods
    return control, active


def _new_patient(fit: xr.DataTree, trial: Trial, exposure: float, seed: int) -> tuple[Draws, Draws]:
    """Probability that a new patient has fewer, or as many, events on treatment, draw by draw.

    The patient has the average baseline and covariates and comes from no other treatment. The
    same patient is simulated on either treatment with as many rows as a patient of the trial was
    planned to have; both are of the same period, and the two periods count alike. For each draw of
    the parameters there are several patients, their effects spread evenly over the normal
    distribution: what is averaged over draws is then nearly the probability given the parameters
    (Rao-Blackwell), and little of its error is that of single patients.
    """
    rng = np.random.default_rng(seed)
    model = model_of(fit)
    # what the trial's own patients have does not concern a new one
    given = {name: values for name, values in draws_of(fit).items() if values.ndim == 1}
    shape = _draws(fit, "log_rate").shape
    each = {name: np.repeat(values, NEW_PATIENTS, axis=0) for name, values in given.items()}
    draws = new_effects(each, 1, rng)
    rows = _planned_rows(arrange(trial, model).coefficients, trial, model, exposure)
    places = (np.arange(NEW_PATIENTS) + rng.random((*shape, NEW_PATIENTS))) / NEW_PATIENTS
    z = ndtri(places).reshape(-1, 1)
    counts = simulate_rows(model, rows, draws, z, rng).sum(axis=2)
    # the two periods, for every patient of every draw
    pairs = counts.reshape(*shape, NEW_PATIENTS, 2, 2)
    control, active = pairs[..., 0, :], pairs[..., 1, :]
    return (active < control).mean(axis=(2, 3)), (active == control).mean(axis=(2, 3))


def _planned_rows(
    coefficients: tuple[str, ...], trial: Trial, model: Model, exposure: float
) -> Rows:
    """Rows of one patient over one period: control in period 1 and 2, active in period 1 and 2."""
    by = ["patient", "period"] if trial.design == "crossover" else ["patient"]
    n = max(1, round(float(trial.data.groupby(by).size().median())))
    shape = (4, n)
    design = np.zeros((*shape, len(coefficients)))
    design[2:, :, coefficients.index("log_rate_ratio")] = 1.0
    if "period_effect" in coefficients:
        design[1::2, :, coefficients.index("period_effect")] = 1.0
    patient, row = np.indices(shape)
    serial = "serial" in model.terms_for(trial)
    return Rows(
        patients=("control 1", "control 2", "active 1", "active 2"),
        coefficients=coefficients,
        count=np.zeros(shape),
        seen=np.ones(shape),
        log_exposure=np.full(shape, np.log(exposure / n)),
        design=design,
        patient_index=patient.ravel(),
        row_index=row.ravel(),
        follows=(row > 0).astype(float) if serial else None,
    )


def check_ratios(thresholds: Sequence[float], rope: tuple[float, float] | None) -> None:
    """Refuse thresholds and ropes that are not rate ratios.

    Raises
    ------
    ModelError
        Naming the number and what is allowed.
    """
    for c in thresholds:
        if not c > 0:
            raise ModelError(f"the threshold {c:g} is not a rate ratio: it must be above 0")
    if rope is not None and not 0 < rope[0] < rope[1]:
        raise ModelError(
            f"the rope {rope} is not a range of rate ratios: give two numbers above 0, "
            "the smaller first, such as (0.8, 1.25)"
        )


def _row(statement: str, label: str, mcse: float) -> dict[str, Any]:
    return {**dict.fromkeys(COLUMNS, np.nan), "statement": statement, "label": label, "mcse": mcse}


def _measure(errors: ChainErrors, statement: str, label: str, draws: Draws) -> dict[str, Any]:
    tail = (1.0 - MASS) / 2.0
    lower, median, upper = np.quantile(draws, [tail, 0.5, 1.0 - tail])
    error = errors.of_median(draws)
    return {
        **_row(statement, label, error),
        "median": float(median),
        "mean": float(draws.mean()),
        "lower": float(lower),
        "upper": float(upper),
    }


def _probability(
    errors: ChainErrors, statement: str, label: str, happens: NDArray[np.bool_]
) -> dict[str, Any]:
    row = _row(statement, label, errors.of_probability(happens))
    return {**row, "probability": float(happens.mean())}


def _expected(errors: ChainErrors, statement: str, label: str, chances: Draws) -> dict[str, Any]:
    """A probability whose value given the parameters is known draw by draw."""
    row = _row(statement, label, errors.of_expected(chances))
    return {**row, "probability": float(chances.mean())}


def _below(errors: ChainErrors, ratio: Draws, threshold: float) -> dict[str, Any]:
    label = f"probability that the rate ratio is below {threshold:g}"
    row = _probability(errors, "prob_rate_ratio_below", label, ratio < threshold)
    return {**row, "threshold": float(threshold)}


def _verdict(fit: xr.DataTree) -> str:
    checks = convergence(fit)
    failed = checks[~checks["ok"]]
    if failed.empty:
        return "ok"
    return "check failed: " + ", ".join(
        f"{row.check} {row.value:.3g}" for row in failed.itertuples()
    )
