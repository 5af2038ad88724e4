"""A trial and a model as padded arrays: one line a patient, one place a row that was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.model import Model
from bayes_msc.terms import TERMS
from bayes_msc.trial import Trial


@dataclass(frozen=True, eq=False)
class Rows:
    """The seen rows of a trial, padded to the same number of rows for every patient.

    Attributes
    ----------
    patients : tuple of str
        Patients with at least one seen count.
    coefficients : tuple of str
        Names of the terms' coefficients.
    count, seen, log_exposure : ndarray of float, shape (patients, rows)
        Counts (0 where padded), 1 where seen and 0 where padded, log exposure (0 where padded).
    design : ndarray of float, shape (patients, rows, terms)
        One number a row and coefficient.
    patient_index, row_index : ndarray of int, shape (observations,)
        Where each seen row of the table stands in the padded arrays.
    """

    patients: tuple[str, ...]
    coefficients: tuple[str, ...]
    count: NDArray[np.float64]
    seen: NDArray[np.float64]
    log_exposure: NDArray[np.float64]
    design: NDArray[np.float64]
    patient_index: NDArray[np.int64]
    row_index: NDArray[np.int64]

    @property
    def n_patients(self) -> int:
        """Number of patients with a seen count."""
        return len(self.patients)

    def flat(self, padded: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take the seen rows out of an array of shape (..., patients, rows)."""
        return padded[..., self.patient_index, self.row_index]

    def linear_predictor(
        self, log_rate: NDArray[np.float64], coefficients: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Log mean without the patient effect.

        Parameters
        ----------
        log_rate : ndarray of float, shape (draws,)
        coefficients : ndarray of float, shape (draws, terms)

        Returns
        -------
        ndarray of float, shape (draws, patients, rows)
        """
        effect = np.einsum("ijk,dk->dij", self.design, coefficients)
        return np.asarray(self.log_exposure + log_rate[:, None, None] + effect)


def arrange(trial: Trial, model: Model) -> Rows:
    """Lay out the seen rows of a trial for a model.

    Raises
    ------
    ModelError
        If the model does not fit the trial's design or lacks its data.
    """
    seen = trial.seen.reset_index(drop=True)
    terms = model.terms_for(trial)
    patient_index, patients = pd.factorize(seen["patient"], sort=False)
    row_index = seen.groupby("patient", sort=False).cumcount().to_numpy()
    shape = (len(patients), int(row_index.max()) + 1)

    def padded(values: NDArray[np.float64]) -> NDArray[np.float64]:
        array = np.zeros(shape)
        array[patient_index, row_index] = values
        return array

    columns = [padded(TERMS[term].column(trial, seen)) for term in terms]
    return Rows(
        patients=tuple(str(patient) for patient in patients),
        coefficients=tuple(TERMS[term].coefficient for term in terms),
        count=padded(seen["count"].to_numpy(float)),
        seen=padded(np.ones(len(seen))),
        log_exposure=padded(np.log(seen["exposure"].to_numpy(float))),
        design=np.stack(columns, axis=-1),
        patient_index=patient_index.astype(np.int64),
        row_index=row_index.astype(np.int64),
    )
