"""What one would have to believe beforehand: a sceptic, an advocate, and how many patients' worth.

Matthews' analysis of credibility (2018, Royal Society Open Science 5:171047) asks for the prior
under which a normal estimate with a 95 % interval from L to U (logs) only just says something. If
the interval excludes no effect, that is the sceptical prior from -SL to SL, centred on no effect:
SL = (U - L)^2 / (4 sqrt(UL)). If it includes it, the advocate's prior from 0 to AL:
AL = -(U + L)(U - L)^2 / (2UL).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import pandas as pd

from bayes_msc.errors import BayesMSCError, one_of

_NORMAL = NormalDist()
Z = _NORMAL.inv_cdf(0.975)
#: No treatment changes a rate more than this many times: a limit beyond it excludes nobody.
PLAUSIBLE = 100.0
#: Smallest |z| of an intrinsically credible result, over the usual one: Held 2019; Matthews 2018.
HELD = math.sqrt(2.0)
MATTHEWS = math.sqrt((1.0 + math.sqrt(5.0)) / 2.0)


@dataclass(frozen=True)
class Credibility:
    """Analysis of credibility of one interval.

    Attributes
    ----------
    case : str
        ``"sceptical limit"`` (the interval excludes no effect) or ``"advocacy limit"``.
    lower, upper : float
        The 95 % interval, log rate ratio.
    limit : float
        SL or AL, in log units; AL has the sign of the estimate.
    prior_mean, prior_sd : float
        The critical prior of the log rate ratio, normal.
    informative : bool
        Whether the limit says anything: it does not where it lies beyond any plausible effect.
    p_value : float
        Two-sided, from the interval.
    intrinsic_held, intrinsic_matthews : bool
        Whether the result convinces the sceptic whom it itself calls up: p below 0.0056 (Held
        2019, Royal Society Open Science 6:181534) and below 0.0127 (Matthews 2018).
    sentence : str
    """

    case: str
    lower: float
    upper: float
    limit: float
    prior_mean: float
    prior_sd: float
    informative: bool
    p_value: float
    intrinsic_held: bool
    intrinsic_matthews: bool
    sentence: str

    @property
    def ratio_range(self) -> tuple[float, float]:
        """95 % range of the critical prior in rate ratios."""
        ends = self.prior_mean - Z * self.prior_sd, self.prior_mean + Z * self.prior_sd
        return _exp(ends[0]), _exp(ends[1])

    def to_frame(self) -> pd.DataFrame:
        """Return the same in one row, with the critical prior in rate ratios."""
        low, high = self.ratio_range
        row: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        sentence = row.pop("sentence")
        row |= {"prior_ratio_low": low, "prior_ratio_high": high, "sentence": sentence}
        return pd.DataFrame([row])


def credibility_of_interval(
    lower: float, upper: float, *, benefit: str = "lower", plausible: float = PLAUSIBLE
) -> Credibility:
    """Matthews' analysis of credibility of a 95 % interval of a rate ratio.

    Parameters
    ----------
    lower, upper : float
        Rate ratios, above 0.
    benefit : {"lower", "higher"}
        Which rates are good for the patient: for the words only.
    plausible : float
        The greatest change of a rate, this many times, that anybody would think of.

    Returns
    -------
    Credibility

    Raises
    ------
    BayesMSCError
        If the limits are not those of an interval of a rate ratio, or one of them is 1 exactly.
    """
    one_of(benefit, ("lower", "higher"), "direction of benefit", BayesMSCError)
    if not 0 < lower < upper < math.inf:
        raise BayesMSCError(
            f"an interval from {lower:g} to {upper:g} is none of a rate ratio: both must be above "
            "0 and the first below the second"
        )
    if not plausible > 1:
        raise BayesMSCError(f"plausible is {plausible:g}: a change of a rate, above 1")
    low, high = math.log(lower), math.log(upper)
    if low * high == 0:
        raise BayesMSCError(
            "the interval ends at 1 exactly, between the two cases: no limit exists"
        )
    z = abs(low + high) / (high - low)
    excluded = low * high > 0
    if excluded:
        case, limit = "sceptical limit", (high - low) ** 2 / (4 * math.sqrt(low * high))
        mean, sd = 0.0, limit / Z
    else:
        case, limit = "advocacy limit", -(high + low) * (high - low) ** 2 / (2 * low * high)
        mean, sd = limit / 2, abs(limit) / (2 * Z)
    informative = abs(limit) <= math.log(plausible) and limit != 0
    return Credibility(
        case=case,
        lower=low,
        upper=high,
        limit=limit,
        prior_mean=mean,
        prior_sd=sd,
        informative=informative,
        p_value=2 * (1 - _NORMAL.cdf(z * Z)),
        intrinsic_held=z > HELD,
        intrinsic_matthews=z > MATTHEWS,
        sentence=_sentence(excluded, limit, informative, z, benefit, plausible),
    )


def _sentence(
    excluded: bool, limit: float, informative: bool, z: float, benefit: str, plausible: float
) -> str:
    size = f"{abs(limit):.1f} log units"
    if excluded:
        if not informative:
            return (
                f"The sceptical limit of {size} lies beyond any plausible effect (a "
                f"{plausible:g}-fold change of the rate): even the mildest sceptic is not "
                "convinced. The interval only just excludes no effect, and the analysis of "
                "credibility adds nothing to that."
            )
        words = (
            f"A sceptic who thinks rate ratios between {_exp(-limit):.2g} and {_exp(limit):.2g} "
            "likely (95 %) is only just not convinced: a stricter one is not either, one who holds "
            "larger effects possible is."
        )
        if z > HELD:
            return f"{words} The result is credible in itself."
        return f"{words} The result alone does not make such effects credible."
    good = (limit < 0) == (benefit == "lower")
    if limit == 0:
        return "The interval is symmetric around no effect: no advocate is helped by it."
    if not informative:
        what = "a benefit" if good else "harm"
        return (
            f"The advocacy limit of {size} lies beyond any plausible effect (a {plausible:g}-fold "
            "change of the rate), because the interval only just includes no effect: anybody who "
            f"believed in {what} beforehand, of whatever size, may go on believing. The analysis "
            "of credibility is uninformative here."
        )
    return (
        f"The counts convince only somebody who had reason beforehand to expect a rate ratio "
        f"between 1 and {_exp(limit):.2g} (95 %)."
    )


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
