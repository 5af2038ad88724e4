"""Which parameters the prior alone, or mainly, informs: said before the fit, shown with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayes_msc.model import Model
from bayes_msc.parameters import parameter
from bayes_msc.rows import Rows, arrange
from bayes_msc.terms import TERMS
from bayes_msc.trial import Trial

#: Below so many pairs of successive scans a correlation is little more than its prior.
FEW_PAIRS = 20
_TOLERANCE = 1e-8


def identification(trial: Trial, model: Model) -> tuple[str, ...]:
    """Say what the counts of a trial cannot tell about the parameters of a model.

    Parameters
    ----------
    trial : Trial
    model : Model

    Returns
    -------
    tuple of str
        Each begins with the name of the parameter and a colon. Empty where the counts speak to
        every parameter; that they speak loudly is not promised.

    Raises
    ------
    ModelError
        If the model does not fit the trial.
    """
    rows = arrange(trial, model)
    free = {name for name, prior in model.priors_for(trial).items() if not prior.is_fixed}
    found = [
        *_confounded(trial, model, rows),
        *_spread(trial, model, rows),
        *_carryover(trial, model),
        *_zeros(rows),
        *_serial(rows),
        *_covariates(rows, free),
    ]
    return tuple(f"{name}: {text}" for name, text in found if name in free)


Said = Iterator[tuple[str, str]]


def _seen(rows: Rows) -> NDArray[np.bool_]:
    return np.asarray(rows.seen == 1)


def _confounded(trial: Trial, model: Model, rows: Rows) -> Said:
    """Columns that do not vary, or that follow from the others."""
    design = rows.design[_seen(rows)]
    free_of = {TERMS[t].coefficient: TERMS[t].parameter for t in model.terms_for(trial)}
    for k, name in enumerate(rows.coefficients):
        own = design[:, k]
        others = np.column_stack([np.ones(len(own)), np.delete(design, k, axis=1)])
        words = parameter(free_of.get(name, name)).words
        if np.ptp(own) < _TOLERANCE:
            why = "it is the same for every seen count"
        elif _is_spanned(own, others):
            why = "what it stands for goes hand in hand with the other terms in every seen count"
        else:
            continue
        yield (
            free_of.get(name, name),
            f"only its prior informs it ({words}): {why}",
        )


def _is_spanned(column: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    fitted = others @ np.linalg.lstsq(others, column, rcond=None)[0]
    return bool(np.abs(column - fitted).max() < _TOLERANCE * max(1.0, np.abs(column).max()))


def _spread(trial: Trial, model: Model, rows: Rows) -> Said:
    """Overdispersion, patient effects and treatment effects compete for the same variation."""
    seen = _seen(rows)
    priors = model.priors_for(trial)
    dispersed = [name for name in priors if name.startswith("sqrt_overdispersion")]
    if seen.sum(axis=1).max() <= 1:
        split = [name for name in (*dispersed, "patient_sd") if name in priors]
        estimated = [name for name in split if not priors[name].is_fixed]
        if len(estimated) > 1:
            for name in estimated:
                yield (
                    name,
                    "with one row a patient the counts tell only how much "
                    f"{' and '.join(split)} make together; their split is the priors'",
                )
    if "treatment_sd" not in priors:
        return
    treated = rows.columns()["log_rate_ratio"]
    on_active = (seen & (treated == 1)).sum(axis=1)
    on_control = (seen & (treated == 0)).sum(axis=1)
    both = int(((on_active > 0) & (on_control > 0)).sum())
    repeated = int(((on_active > 1) & (on_control > 1)).sum())
    if both < 2:
        yield (
            "treatment_sd",
            "hardly more than its prior informs it: only patients seen on both treatments show a "
            f"treatment effect of their own, and here {both} were",
        )
    elif dispersed and repeated < 2:
        yield (
            "treatment_sd",
            "with one row a patient and treatment the counts cannot tell patients who differ in "
            "their response from scans that vary; the split from the overdispersion is the priors'",
        )


def _carryover(trial: Trial, model: Model) -> Said:
    patients = trial.seen["patient"].nunique()
    for term in model.terms_for(trial):
        if TERMS[term].kind == "carryover":
            yield (
                TERMS[term].parameter,
                "mainly its prior informs it: in an AB/BA crossover only the difference between "
                f"the two sequences, between {patients} different patients, speaks of carryover, "
                "and the estimate of the treatment leans on what the prior allows",
            )


def _zeros(rows: Rows) -> Said:
    counts = rows.count[_seen(rows)]
    if (counts > 0).all():
        words = "no zero count was seen: the counts limit it from above only"
        yield "zero_inflation", words
        yield "sqrt_zero_overdispersion", words


def _serial(rows: Rows) -> Said:
    if rows.follows is None:
        return
    pairs = int(rows.follows.sum())
    if pairs < FEW_PAIRS:
        yield (
            "serial_dependence",
            f"mainly its prior informs it: there are {pairs} pairs of successive scans",
        )


def _covariates(rows: Rows, free: set[str]) -> Said:
    """More coefficients between patients than patients can carry."""
    between = [
        name
        for k, name in enumerate(rows.coefficients)
        if name in free and name not in ("baseline_level",) and _is_patient_level(rows, k)
    ]
    if between and len(between) + 1 >= rows.n_patients:
        for name in between:
            yield (
                name,
                f"{len(between)} coefficients compare patients with each other, and there are "
                f"{rows.n_patients} patients: its prior decides",
            )


def _is_patient_level(rows: Rows, k: int) -> bool:
    values = np.where(_seen(rows), rows.design[:, :, k], np.nan)
    spread = np.nanmax(values, axis=1) - np.nanmin(values, axis=1)
    return bool((spread < _TOLERANCE).all())
