"""Regressions of counts by statsmodels: negative binomial, quasi-Poisson, GEE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats
from scipy.special import digamma

from bayes_msc.comparators.answer import Answer, Numbers, Undefined, answered
from bayes_msc.comparators.intervals import INTERVALS, check, wald, wald_or_profile
from bayes_msc.comparators.layout import scans, totals
from bayes_msc.errors import ComparatorError, one_of
from bayes_msc.trial import Trial

#: Where it is sought; near the lower end it is compared with a Poisson.
OVERDISPERSIONS = (1e-6, 1e4)
NEARLY_POISSON = 1e-3
LARGEST_LOG_MEAN = 100.0
#: A dispersion below this is rounding.
NO_DISPERSION = 1e-10
TREATED = 1


@dataclass(frozen=True, eq=False)
class Design:
    """Counts and design matrix of a regression; column 1 is the treatment.

    Attributes
    ----------
    count, offset : ndarray of float, shape (rows,)
        Counts and log exposures.
    matrix : ndarray of float, shape (rows, columns)
        Constant, treatment, and where they are there period and log(baseline + 1).
    patient : ndarray of int, shape (rows,)
        Number of the patient.
    notes : tuple of str
        What was left out.
    """

    count: Numbers
    offset: Numbers
    matrix: Numbers
    patient: NDArray[np.intp]
    notes: tuple[str, ...]

    def without_treatment(self, log_rate_ratio: float) -> Design:
        """Fix the treatment's coefficient: its part moves into the offset."""
        return Design(
            count=self.count,
            offset=self.offset + log_rate_ratio * self.matrix[:, TREATED],
            matrix=np.delete(self.matrix, TREATED, axis=1),
            patient=self.patient,
            notes=self.notes,
        )


def negative_binomial_glm(
    trial: Trial, *, interval: str = "likelihood-ratio", overdispersion: float | None = None
) -> Answer:
    """Fit a negative-binomial regression by maximum likelihood.

    One row a patient and treatment, the scans added up, with the log of the exposure as offset;
    the period is in the model of a crossover, and log(baseline + 1) wherever there is a baseline.

    Parameters
    ----------
    trial : Trial
        The counts.
    interval : str
        ``"likelihood-ratio"`` (profile likelihood) or ``"Wald"`` (expected information with the
        overdispersion held at its estimate, as ``MASS::glm.nb`` does).
    overdispersion : float, optional
        Fix it instead of estimating it, above 0. Several packages fix it at 1 unless told
        otherwise.

    Returns
    -------
    Answer
        Of the rate ratio.

    Raises
    ------
    ComparatorError
        If the interval is unknown or the overdispersion not above 0.

    Notes
    -----
    Keene and others, *Pharmaceutical Statistics* 6, 89 (2007); Venables and Ripley, *Modern
    Applied Statistics with S* (2002), section 7.4. In small samples the overdispersion is
    estimated too low, and intervals are too short (Aban and others, *Computational Statistics &
    Data Analysis* 53, 820, 2009).
    """
    one_of(interval, INTERVALS, "interval", ComparatorError)
    if overdispersion is not None and not 0 < overdispersion < np.inf:
        raise ComparatorError(f"overdispersion is {overdispersion!r}: it must be above 0")
    fixed = "" if overdispersion is None else f", overdispersion fixed at {overdispersion:g}"
    blank = Answer(
        f"negative binomial regression{fixed}, {interval}",
        "rate ratio",
        when_right=(
            "Rows are independent and their variance is mean + overdispersion × mean², with more "
            "patients than a few tens."
            if overdispersion is None
            else "The overdispersion is known to be this; otherwise the interval has no warrant."
        ),
    )

    def compute() -> Answer:
        design = _design(totals(trial), trial, independent_rows=True)
        best = _fit_negative_binomial(design, overdispersion)
        kappa = best.overdispersion
        result = _glm(design, kappa or None)
        check(result.params[TREATED], result.bse[TREATED])
        notes = list(design.notes)
        if overdispersion is None:
            notes.insert(0, f"overdispersion {kappa:.2g}" if kappa else "no overdispersion")

        def deviance(log_rate_ratio: float) -> float:
            held = design.without_treatment(log_rate_ratio)
            start = _away_from_poisson(np.delete(best.point, TREATED)) if best.point.size else None
            fitted = _fit_negative_binomial(held, overdispersion, start)
            return 2 * (best.log_likelihood - fitted.log_likelihood)

        estimate, se = float(result.params[TREATED]), float(result.bse[TREATED])
        return wald_or_profile(blank, interval, estimate, se, deviance, notes)

    return answered(blank, compute)


def quasi_poisson_glm(trial: Trial, *, interval: str = "likelihood-ratio") -> Answer:
    """Fit a Poisson regression and widen its errors by the observed dispersion.

    The rows and terms are those of `negative_binomial_glm`. The dispersion is Pearson's statistic
    over its degrees of freedom; limits and p-values come from t and F.

    Parameters
    ----------
    trial : Trial
        The counts.
    interval : str
        ``"likelihood-ratio"`` (scaled deviance against F) or ``"Wald"`` (against t).

    Returns
    -------
    Answer
        Of the rate ratio.

    Raises
    ------
    ComparatorError
        If the interval is unknown.

    Notes
    -----
    McCullagh and Nelder, *Generalized Linear Models* (1989), section 6.2.3.
    """
    one_of(interval, INTERVALS, "interval", ComparatorError)
    blank = Answer(
        f"quasi-Poisson regression, {interval}",
        "rate ratio",
        when_right="Rows are independent and their variance is a fixed multiple of the mean.",
    )

    def compute() -> Answer:
        design = _design(totals(trial), trial, independent_rows=True)
        rest: int = len(design.count) - design.matrix.shape[1]
        if rest < 1:
            raise Undefined("there are no more rows than coefficients to estimate a dispersion")
        result = _glm(design, None)
        dispersion = float(result.pearson_chi2) / rest
        if dispersion < NO_DISPERSION:
            raise Undefined("the model fits every count exactly, so that no dispersion is left")
        estimate, se = result.params[TREATED], result.bse[TREATED] * np.sqrt(dispersion)
        check(estimate, se)
        notes = [f"dispersion {dispersion:.2g}", *design.notes]

        def deviance(log_rate_ratio: float) -> float:
            held = _glm(design.without_treatment(log_rate_ratio), None)
            return (float(held.deviance) - float(result.deviance)) / dispersion

        return wald_or_profile(blank, interval, estimate, se, deviance, notes, rest)

    return answered(blank, compute)


def gee(trial: Trial, *, bias_reduced: bool = True) -> Answer:
    """Fit Poisson generalised estimating equations with patients as clusters.

    One row a scan, exchangeable correlation within a patient, the terms of
    `negative_binomial_glm`.

    Parameters
    ----------
    trial : Trial
        The counts.
    bias_reduced : bool
        Correct the sandwich for the small number of patients and compare with t on (patients −
        coefficients) degrees of freedom; without it, the plain sandwich and the normal.

    Returns
    -------
    Answer
        Of the rate ratio.

    Notes
    -----
    Liang and Zeger, *Biometrika* 73, 13 (1986); the correction is that of Mancl and DeRouen,
    *Biometrics* 57, 126 (2001).
    """
    blank = Answer(
        "GEE, small-sample corrected" if bias_reduced else "GEE, robust",
        "rate ratio",
        when_right=(
            "Whatever the variance and correlation within patients, given some twenty patients."
            if bias_reduced
            else "Whatever the variance and correlation within patients, given fifty or more."
        ),
    )

    def compute() -> Answer:
        from statsmodels.genmod.cov_struct import Exchangeable
        from statsmodels.genmod.families import Poisson
        from statsmodels.genmod.generalized_estimating_equations import GEE

        design = _design(scans(trial), trial)
        clusters = len(np.unique(design.patient))
        rest: int = clusters - design.matrix.shape[1]
        if rest < 1:
            raise Undefined(f"{clusters} patients are too few for the coefficients of the model")
        model = GEE(
            design.count,
            design.matrix,
            groups=design.patient,
            offset=design.offset,
            family=Poisson(),
            cov_struct=Exchangeable(),
        )
        result = model.fit(cov_type="bias_reduced" if bias_reduced else "robust")
        estimate, se = float(result.params[TREATED]), float(result.bse[TREATED])
        check(estimate, se)
        reference = stats.t(rest) if bias_reduced else stats.norm()
        return wald(blank, estimate, se, reference, list(design.notes))

    return answered(blank, compute)


def _design(table: pd.DataFrame, trial: Trial, *, independent_rows: bool = False) -> Design:
    """Lay out a regression, or say why the treatment cannot be estimated in it."""
    events = table.groupby("treated")["count"].sum()
    if not (events > 0).all():
        raise Undefined("an arm has no events")
    columns = {"constant": np.ones(len(table)), "treated": table["treated"].to_numpy()}
    notes = []
    if trial.design == "crossover":
        columns["second"] = table["second"].to_numpy()
        if independent_rows:
            notes.append("takes the two periods of a patient as independent")
    if trial.has_baseline:
        if np.ptp(table["baseline"].to_numpy(float)) == 0:
            notes.append("without the baseline, which is the same in all")
        else:
            log_baseline = np.log1p(table["baseline"].to_numpy(float))
            columns["baseline"] = log_baseline - log_baseline.mean()
    matrix = np.column_stack(list(columns.values()))
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        raise Undefined(_aliased(columns))
    if len(matrix) <= matrix.shape[1]:
        raise Undefined("there are no more rows than coefficients")
    return Design(
        count=table["count"].to_numpy(float),
        offset=np.log(table["exposure"].to_numpy(float)),
        matrix=matrix,
        patient=pd.factorize(table["patient"])[0],
        notes=tuple(notes),
    )


def _aliased(columns: dict[str, Numbers]) -> str:
    """Say what the treatment, or a covariate, is mixed up with."""
    if "second" in columns:
        known = np.column_stack([columns[name] for name in ("constant", "treated", "second")])
        if np.linalg.matrix_rank(known) < known.shape[1]:
            return (
                "all patients had the treatments in the same order, so that treatment cannot be "
                "told apart from period"
            )
    return "the baseline cannot be told apart from treatment and period"


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A maximum: log likelihood, overdispersion, and the point in the search's own terms."""

    log_likelihood: float
    overdispersion: float
    point: Numbers


def _glm(design: Design, overdispersion: float | None) -> Any:
    """Fit a Poisson or, given an overdispersion, a negative-binomial regression."""
    from statsmodels.genmod.families import NegativeBinomial, Poisson
    from statsmodels.genmod.generalized_linear_model import GLM
    from statsmodels.tools.sm_exceptions import PerfectSeparationError

    family = Poisson() if overdispersion is None else NegativeBinomial(alpha=overdispersion)
    model = GLM(design.count, design.matrix, offset=design.offset, family=family)
    try:
        return model.fit(tol=1e-10)
    except (PerfectSeparationError, ValueError) as error:
        raise Undefined(f"the fit broke down ({error})") from None


def _fit_negative_binomial(
    design: Design, overdispersion: float | None, start: Numbers | None = None
) -> _Fitted:
    """Maximise the likelihood, over the overdispersion too where it is not fixed."""
    if overdispersion is not None:
        return _Fitted(float(_glm(design, overdispersion).llf), overdispersion, np.empty(0))
    # statsmodels' own search stops short of the maximum; on the log scale none steps below 0
    found = optimize.minimize(
        _negative_binomial_loss,
        _first_guess(design) if start is None else start,
        args=(design,),
        jac=True,
        method="BFGS",
        options={"gtol": 1e-6, "maxiter": 1000},
    )
    if not np.isfinite(found.fun):
        raise Undefined("the fit broke down: its likelihood is not finite")
    kappa = float(np.exp(np.clip(found.x[-1], *np.log(OVERDISPERSIONS))))
    fitted = _Fitted(-float(found.fun), kappa, found.x)
    if fitted.overdispersion < NEARLY_POISSON:
        poisson = float(_glm(design, None).llf)
        if poisson >= fitted.log_likelihood:
            return _Fitted(poisson, 0.0, found.x)
    return fitted


def _first_guess(design: Design) -> Numbers:
    """Return Poisson coefficients and the log overdispersion that their residuals suggest."""
    poisson = _glm(design, None)
    excess = (design.count - poisson.mu) ** 2 - poisson.mu
    kappa = np.clip(excess.sum() / (poisson.mu**2).sum(), 1e-3, 5.0)
    return _away_from_poisson(np.append(poisson.params, np.log(kappa)))


def _away_from_poisson(point: Numbers) -> Numbers:
    """Raise a start's overdispersion: near the Poisson the likelihood is flat in its log."""
    return np.append(point[:-1], max(point[-1], np.log(0.05)))


def _negative_binomial_loss(point: Numbers, design: Design) -> tuple[float, Numbers]:
    """Return minus the log likelihood, and its slope in the coefficients and log overdispersion."""
    kappa, count = np.exp(np.clip(point[-1], *np.log(OVERDISPERSIONS))), design.count
    # a step too far of the search: no mean overflows, and the next step is shorter
    mean = np.exp(np.minimum(design.offset + design.matrix @ point[:-1], LARGEST_LOG_MEAN))
    spread = 1 + kappa * mean
    value = stats.nbinom.logpmf(count, 1 / kappa, 1 / spread).sum()
    residual = (count - mean) / spread
    waits = np.log(spread) - digamma(count + 1 / kappa) + digamma(1 / kappa)
    slope = np.append(design.matrix.T @ residual, (residual + waits / kappa).sum())
    if not OVERDISPERSIONS[0] < kappa < OVERDISPERSIONS[1]:
        slope[-1] = 0.0
    return -float(value), -slope
