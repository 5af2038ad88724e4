"""A trial and a model as padded arrays: one line a patient, one place a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.covariates import coefficient, standardised
from bayes_msc.errors import ModelError
from bayes_msc.model import Model
from bayes_msc.terms import TERMS, baseline_centre, follows
from bayes_msc.trial import Trial

#: Column of a covariate that holds the exposure of the baseline scan, where it is not 1.
BASELINE_EXPOSURE = "baseline_exposure"
#: A zero count before enters the logarithm as this (Zeger & Qaqish 1988).
LOG_FLOOR = 0.5
_EARLIER = ("follows", "log_before", "log_exposure_before")

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a trial, padded to the same number of rows for every patient.

    Where the model takes the baseline scan as one more row of the patient, that row stands first.

    Attributes
    ----------
    patients : tuple of str
        Patients with at least one row.
    coefficients : tuple of str
        Names of what the columns of the design are multiplied by.
    count, seen, log_exposure : ndarray of float, shape (patients, rows)
        Counts (0 where padded), 1 where seen and 0 where padded, log exposure (0 where padded).
    design : ndarray of float, shape (patients, rows, coefficients)
        One number a row and coefficient.
    patient_index, row_index : ndarray of int, shape (observations,)
        Where each row of the trial's table stands in the padded arrays.
    follows : ndarray of float, shape (patients, rows), optional
        For serial dependence: 1 where the scan directly before was seen. It is then the place
        before in the padded arrays.
    scales : mapping of str to (float, float)
        Centre and scale of the columns that were centred, by coefficient.
    """

    patients: tuple[str, ...]
    coefficients: tuple[str, ...]
    count: Array
    seen: Array
    log_exposure: Array
    design: Array
    patient_index: NDArray[np.int64]
    row_index: NDArray[np.int64]
    follows: Array | None = None
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def n_patients(self) -> int:
        """Number of patients with a row."""
        return len(self.patients)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of ``table``."""
        earlier = (*_EARLIER, *(f"{name}_before" for name in self.coefficients))
        own = ("seen", "log_exposure", *self.coefficients)
        return own if self.follows is None else (*own, *earlier)

    @property
    def table(self) -> Array:
        """All numbers of the rows but the counts, shape (patients, rows, columns).

        With serial dependence the numbers of the scan before stand beside those of each row, so
        that the model needs no look at another row.
        """
        own = np.concatenate([np.stack([self.seen, self.log_exposure], -1), self.design], -1)
        if self.follows is None:
            return own
        before = np.log(np.maximum(self.count, LOG_FLOOR))[:, :, None]
        shifted = np.roll(np.concatenate([before, own[:, :, 1:]], -1), 1, axis=1)
        masked = self.follows[:, :, None] * shifted
        return np.concatenate([own, self.follows[:, :, None], masked], -1)

    def columns(self) -> dict[str, Array]:
        """Return the columns of ``table`` by name, each of shape (patients, rows)."""
        return dict(zip(self.names, np.moveaxis(self.table, -1, 0), strict=True))

    def flat(self, padded: Array) -> Array:
        """Take the trial's own rows out of an array of shape (..., patients, rows)."""
        return padded[..., self.patient_index, self.row_index]


def arrange(trial: Trial, model: Model, *, unseen: bool = False) -> Rows:
    """Lay out the rows of a trial for a model.

    Parameters
    ----------
    trial : Trial
    model : Model
    unseen : bool
        Whether rows without a count get a place too (with ``seen`` 0 there); else they are left
        out, and so are patients without a seen count.

    Raises
    ------
    ModelError
        If the model does not fit the trial's design or lacks its data.
    """
    return _arranged(trial, model.terms_for(trial), tuple(model.covariates), unseen)


# trials and rows are never changed, and refits ask for the same ones again and again
@lru_cache(maxsize=16)
def _arranged(
    trial: Trial, terms: tuple[str, ...], covariates: tuple[str, ...], unseen: bool
) -> Rows:
    table = trial.data if unseen else trial.seen
    joint = "baseline-joint" in terms
    patient_index, patients = pd.factorize(table["patient"], sort=False)
    row_index = table.groupby("patient", sort=False).cumcount().to_numpy() + joint
    shape = (len(patients), int(row_index.max()) + 1)

    def padded(values: Array) -> Array:
        array = np.zeros(shape)
        array[patient_index, row_index] = values
        return array

    columns, scales = _design(trial, covariates, table, terms)
    count = table["count"]
    rows = Rows(
        patients=tuple(str(patient) for patient in patients),
        coefficients=tuple(columns),
        count=padded(count.fillna(0.0).to_numpy(float)),
        seen=padded(np.asarray(count.notna(), dtype=float)),
        log_exposure=padded(np.log(table["exposure"].to_numpy(float))),
        design=np.stack([padded(column) for column in columns.values()], axis=-1),
        patient_index=patient_index.astype(np.int64),
        row_index=row_index.astype(np.int64),
        follows=padded(_follows(trial, unseen)) if "serial" in terms else None,
        scales=scales,
    )
    if joint:
        _put_baseline_first(rows, trial, table, covariates)
    return rows


def _design(
    trial: Trial, covariates: tuple[str, ...], table: pd.DataFrame, terms: tuple[str, ...]
) -> tuple[dict[str, Array], dict[str, tuple[float, float]]]:
    """Columns of the design by coefficient, with the centre and scale of those that have one."""
    columns, scales = {}, {}
    for term in terms:
        row = TERMS[term]
        if row.coefficient:
            columns[row.coefficient] = row.column(trial, table)
        if row.coefficient == "baseline_slope":
            scales[row.coefficient] = (baseline_centre(trial, term), 1.0)
    for covariate in covariates:
        values, centre, scale = standardised(trial, covariate, table)
        columns[coefficient(covariate)] = values
        scales[coefficient(covariate)] = (centre, scale)
    return columns, scales


def _follows(trial: Trial, unseen: bool) -> Array:
    if not unseen:
        return follows(trial).astype(float)
    seen = trial.data["count"].notna().to_numpy()
    values = np.zeros(len(seen))
    values[seen] = follows(trial)
    return values


def _put_baseline_first(
    rows: Rows, trial: Trial, table: pd.DataFrame, covariates: tuple[str, ...]
) -> None:
    """Fill the first place of every patient with the baseline scan, where there is one.

    On that row no treatment and no period acts; a covariate acts as on the patient's first row.

    Raises
    ------
    ModelError
        If a baseline is no count.
    """
    first = table.groupby("patient", sort=False).first()
    baseline = trial.data.groupby("patient", sort=False)["baseline"].first()[first.index]
    values = baseline.to_numpy(float)
    broken = np.isfinite(values) & (values != np.floor(values))
    if broken.any():
        raise ModelError(
            f"the baseline of patient {baseline.index[broken][0]} is {values[broken][0]:g}: the "
            "term 'baseline-joint' takes it as a count, which is whole; take 'baseline' for a rate"
        )
    rows.count[:, 0] = np.nan_to_num(values)
    rows.seen[:, 0] = np.isfinite(values)
    if BASELINE_EXPOSURE in trial.covariates:
        exposure = first[BASELINE_EXPOSURE].to_numpy(float)
        if not (exposure > 0).all():
            raise ModelError(
                f"{BASELINE_EXPOSURE} must be above 0 for every patient: it is {exposure.tolist()}"
            )
        rows.log_exposure[:, 0] = np.log(exposure)
    for covariate in covariates:
        k = rows.coefficients.index(coefficient(covariate))
        rows.design[:, 0, k] = rows.design[:, 1, k]
    rows.design[:, 0, rows.coefficients.index("baseline_level")] = 1.0
