"""How many patients a prior of the rate ratio is worth.

Information is the inverse of a variance of the log rate ratio. Two answers to "per patient":

as seen
    The likelihood's information over the number of patients. A prior with variance s^2 then is
    worth n se^2 / s^2 patients of this trial, se being the likelihood's standard error.
as planned
    The expected information of a patient under the negative binomial model, averaged over the
    prior (the expected local-information-ratio of Neuenschwander et al. 2020, Biometrics 76:578):

        E[(v_active + v_control)] / s^2,   v = 1 / (rate * exposure) + overdispersion / rows

    with v the variance of the log of a patient's rate on one treatment, at the posterior medians of
    the rate on control and of the overdispersion. In a crossover a patient gives both; in a
    parallel trial two patients do, whose own effects do not cancel, so that the variance of the
    patient effect, exp(patient_sd^2) - 1, is added to either v and the number doubles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.refits import seed_of
from bayes_msc.trial import Trial

#: Families whose variance is mean + overdispersion * mean^2 (Poisson: none).
FAMILIES = ("negative-binomial", "poisson")


def patients_seen(prior: Prior, patients: int, se: float) -> float:
    """Patients of this trial that a prior of the log rate ratio is worth, as seen.

    Parameters
    ----------
    prior : Prior
    patients : int
        In the trial.
    se : float
        Standard error of the log rate ratio from the counts alone.
    """
    return patients * se**2 / float(prior.frozen().std()) ** 2


@dataclass(frozen=True)
class PlannedPatient:
    """What one patient is expected to tell.

    Attributes
    ----------
    control_mean : float
        Events expected of a patient on control, over all of the rows.
    extra : float
        Variance of the log of a patient's rate beyond the Poisson part, on one treatment.
    per_contrast : int
        Patients needed to see both treatments: 1 in a crossover, 2 in a parallel trial.
    """

    control_mean: float
    extra: float
    per_contrast: int

    def worth(self, prior: Prior) -> float:
        """Patients that a normal prior of the log rate ratio is worth."""
        mean, sd = float(prior.frozen().mean()), float(prior.frozen().std())
        # the mean of 1 / exp(log rate ratio) under the prior
        inverse = math.exp(-mean + sd**2 / 2)
        variance = (inverse + 1.0) / self.control_mean + 2.0 * self.extra
        return self.per_contrast * variance / sd**2


def planned_patient(trial: Trial, model: Model, *, seed: int = 1) -> PlannedPatient | None:
    """Return what a patient of this trial is expected to tell; None for other families.

    Parameters
    ----------
    trial, model : Trial, Model
    seed : int
        Of the fit that gives the rate and the overdispersion.
    """
    if model.family not in FAMILIES:
        return None
    median = _medians(trial, model, seed)
    seen = trial.seen
    by_patient = seen.groupby(["patient", "treatment"])["exposure"].agg(["sum", "size"])
    exposure, rows = float(by_patient["sum"].mean()), float(by_patient["size"].mean())
    spread = median["patient_sd"] ** 2
    extra = median.get("overdispersion", 0.0) / rows
    if trial.design == "parallel":
        extra += math.expm1(spread)
    mean = exposure * math.exp(median["log_rate"] + spread / 2)
    return PlannedPatient(mean, extra, 1 if trial.design == "crossover" else 2)


def _medians(trial: Trial, model: Model, seed: int) -> dict[str, float]:
    from bayes_msc.fit import fit

    tree = fit(trial, model, engine="auto", seed=seed_of(seed, 0), progress=False)
    posterior = tree["posterior"]
    names = ["log_rate", "patient_sd"]
    found = {name: float(np.median(posterior[name].to_numpy())) for name in names}
    either = [str(n) for n in posterior.data_vars if str(n).startswith("overdispersion")]
    if either:
        values = [float(np.median(posterior[name].to_numpy())) for name in either]
        # arms with an overdispersion each count half
        found["overdispersion"] = float(np.mean(values))
    return found
