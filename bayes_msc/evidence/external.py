"""The external stance: a prior made of other trials, short and robust, ready for any model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bayes_msc.errors import PriorError, PublishedError
from bayes_msc.evidence.borrowed import Borrowed
from bayes_msc.evidence.borrowing import map_prior
from bayes_msc.evidence.mixtures import fit_mixture
from bayes_msc.evidence.robust import robustify
from bayes_msc.evidence.trials import Evidence, Source, evidence_rows
from bayes_msc.prior import Prior


def external_prior(
    trials: Source | Sequence[Source],
    tau_prior: str | Prior,
    *,
    robust: float = 0.2,
    unit_sd: float | None = None,
    mu_prior: Prior | None = None,
    size: int | None = None,
) -> Prior:
    """Prior of the log rate ratio from other trials: meta-analytic-predictive, made robust.

    Parameters
    ----------
    trials : sequence of Evidence, Published or str
        The other trials; text names a bundled published one. Not the trial at hand.
    tau_prior : str or Prior
        Of the standard deviation between trials: a key of ``tau_priors()``, or a positive prior.
    robust : float
        Probability that the others do not speak of this trial; 0 for none.
    unit_sd : float, optional
        Width of the vague part; by default what one patient of the other trials tells.
    mu_prior : Prior, optional
        Of the mean effect over trials, by default the vague stance.
    size : int, optional
        Number of normals before the vague part is added; by default chosen by fit.

    Returns
    -------
    Prior
        For ``model.with_prior("log_rate_ratio", ...)``, ``reanalyze(stances=...)`` and every
        sensitivity analysis. The vague part is the last component.

    Raises
    ------
    PriorError, PublishedError
        If a prior, a weight or a trial is impossible.

    Examples
    --------
    >>> prior = external_prior("mesems2021", "half-normal-0.5")
    >>> float(prior["weights"][-1].__round__(9))
    0.2
    """
    rows = evidence_rows(trials)
    return in_short(
        map_prior(rows, tau_prior, mu_prior=mu_prior),
        robust=robust,
        unit_sd=unit_information_sd(rows) if robust and unit_sd is None else unit_sd,
        size=size,
    )


def in_short(
    borrowed: Borrowed,
    *,
    robust: float = 0.0,
    unit_sd: float | None = None,
    centre: float = 0.0,
    size: int | None = None,
) -> Prior:
    """Turn an exact borrowed prior into one for a patient-level model.

    Parameters
    ----------
    borrowed : Borrowed
        From ``map_prior``, ``power_prior``, ``normalised_power_prior``, ``commensurate_prior`` or
        ``rate_prior``.
    robust : float
        Weight of the vague part, 0 for none.
    unit_sd : float, optional
        Width of the vague part; needed if ``robust`` is above 0.
    centre : float
        Centre of the vague part: 0, no effect, for a log rate ratio; a log rate for a rate.
    size : int, optional
        Number of normals; by default chosen by fit.

    Raises
    ------
    PriorError
        If a number is impossible.
    """
    if not 0 <= robust < 1:
        raise PriorError(f"robust is {robust:g}: from 0 (no vague part) to below 1")
    short = fit_mixture(borrowed, size).prior
    assert isinstance(short, Prior)
    if robust == 0:
        return short
    if unit_sd is None:
        raise PriorError("unit_sd is missing: how wide shall the vague part be?")
    return robustify(short, robust, unit_sd=unit_sd, centre=centre)


def unit_information_sd(rows: Sequence[Evidence]) -> float:
    """Standard deviation that one patient of these trials contributes.

    Parameters
    ----------
    rows : sequence of Evidence

    Raises
    ------
    PublishedError
        If the number of patients of a trial is not known.

    Notes
    -----
    Röver 2021, Research Synthesis Methods 12:448: root of all patients over all precision.
    """
    patients, precision = 0, 0.0
    for row in rows:
        if row.n is None or row.se is None:
            raise PublishedError(
                f"the number of patients of {row.trial} is not known: give n_active and n_control, "
                "or unit_sd"
            )
        patients += row.n
        precision += row.se**-2
    return math.sqrt(patients / precision)
