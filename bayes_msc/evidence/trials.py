"""Evidence rows: what another trial found, on a scale that can be combined, with its source."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import pandas as pd

from bayes_msc.errors import PublishedError, one_of
from bayes_msc.published import Published, load_published

#: What an estimate is, and whether it is a logarithm, so that estimates of it may be combined.
SCALES = {
    "log_rate_ratio": "log of the rate on active treatment over the rate on control",
    "log_odds_ratio": "log odds ratio, active over control",
    "log_risk_ratio": "log risk ratio, active over control",
    "log_rate": "log of a rate in one arm",
    "mean_difference": "difference of two means, active minus control",
    "mean_count": "mean count in one arm",
    "count": "a number of patients or events",
    "percent": "a share of patients in one arm",
}
DESIGNS = ("randomised", "uncontrolled", "meta-analysis", "not stated")


@dataclass(frozen=True)
class Evidence:
    """One result of one trial.

    Parameters
    ----------
    trial, outcome : str
        Whose result it is, and of what.
    estimate : float
        On ``scale``.
    se : float, optional
        Standard error, of the logarithm where ``scale`` is a logarithm or ``mean_count``.
    scale : str
        A key of ``SCALES``.
    lower, upper : float, optional
        95 % limits, on ``scale``.
    n_active, n_control : int, optional
        Patients in either arm.
    weeks : float, optional
        Length of follow-up.
    design : str
        One of ``DESIGNS``.
    population, treatment, route : str
        In words.
    derived : bool
        Whether the estimate was computed from printed numbers rather than printed itself.
    relevance : float
        How much of this trial counts as evidence on the question at hand, above 0 and at most 1,
        stated by the user. The likelihood is raised to this power, so that the standard error is
        divided by its square root.
    relevance_reason : str
        Needed where the relevance is below 1.
    doi, source, note : str
        Where it is from, and what a reader must know.

    Raises
    ------
    PublishedError
        Naming the row and what is impossible about it.

    Examples
    --------
    >>> Evidence.from_ratio("a trial", 0.8, lower=0.5, upper=1.28).se.__round__(2)
    0.24
    """

    trial: str
    estimate: float
    se: float | None = None
    outcome: str = ""
    scale: str = "log_rate_ratio"
    lower: float | None = None
    upper: float | None = None
    n_active: int | None = None
    n_control: int | None = None
    weeks: float | None = None
    design: str = "not stated"
    population: str = ""
    treatment: str = ""
    route: str = ""
    derived: bool = False
    relevance: float = 1.0
    relevance_reason: str = ""
    doi: str = ""
    source: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        one_of(self.scale, SCALES, f"scale of {self.trial!r}", PublishedError)
        one_of(self.design, DESIGNS, f"design of {self.trial!r}", PublishedError)
        faults = list(_faults(self))
        if faults:
            raise PublishedError(f"evidence {self.trial!r}: {'; '.join(faults)}")

    @classmethod
    def from_ratio(
        cls,
        trial: str,
        ratio: float,
        *,
        lower: float,
        upper: float,
        outcome: str = "",
        n_active: int | None = None,
        n_control: int | None = None,
        source: str = "",
    ) -> Evidence:
        """Evidence from a rate ratio printed with its 95 % limits.

        Raises
        ------
        PublishedError
            If the limits are not above 0 and in order around the ratio.
        """
        if not 0 < lower <= ratio <= upper < math.inf or lower == upper:
            raise PublishedError(
                f"evidence {trial!r}: the ratio {ratio:g} ({lower:g} to {upper:g}) is impossible: "
                "0 < lower <= ratio <= upper is needed"
            )
        low, high = math.log(lower), math.log(upper)
        return cls(
            trial,
            math.log(ratio),
            (high - low) / _WIDTH,
            outcome,
            lower=low,
            upper=high,
            n_active=n_active,
            n_control=n_control,
            source=source,
        )

    @classmethod
    def from_published(cls, published: Published, analysis: str | None = None) -> Evidence:
        """Evidence from a trial known by its printed results.

        Raises
        ------
        PublishedError
            If no rate ratio can be derived from them.
        """
        route, effect = published.effect(analysis)
        ratio = published.analysis(analysis).ratio
        limits = (None, None) if ratio is None else (ratio.lower, ratio.upper)
        low, high = (None if limit is None else math.log(limit.value) for limit in limits)
        return cls(
            published.short_title,
            effect.log_rate_ratio,
            effect.se,
            published.endpoint,
            lower=low,
            upper=high,
            n_active=published.active.n,
            n_control=published.control.n,
            derived=ratio is None,
            doi=published.source.doi,
            source=published.source.citation,
            note=f"standard error from {route}",
        )

    @property
    def n(self) -> int | None:
        """Patients in both arms; None where an arm is not known."""
        if self.n_active is None or self.n_control is None:
            return None
        return self.n_active + self.n_control

    @property
    def unit_sd(self) -> float | None:
        """Standard deviation that one patient contributes: the standard error times root n."""
        return None if self.n is None or self.se is None else self.se * math.sqrt(self.n)

    @property
    def se_used(self) -> float:
        """Standard error after down-weighting by relevance.

        Raises
        ------
        PublishedError
            If there is no standard error.
        """
        if self.se is None:
            raise PublishedError(f"evidence {self.trial!r} ({self.outcome}) has no standard error")
        return self.se / math.sqrt(self.relevance)

    def as_log_rate(self) -> Evidence:
        """Return a mean count of one arm on the log scale, ready to inform ``log_rate``.

        Raises
        ------
        PublishedError
            If the row is no mean count above 0, or has neither a standard error nor limits.
        """
        if self.scale != "mean_count" or self.estimate <= 0:
            raise PublishedError(
                f"evidence {self.trial!r} is a {self.scale} of {self.estimate:g}: only a mean "
                "count above 0 is a rate"
            )
        se = self.se
        if se is None and self.lower is not None and self.upper is not None:
            # by the delta method, from limits that are even around the mean
            se = (self.upper - self.lower) / (_WIDTH * self.estimate)
        if se is None:
            raise PublishedError(f"evidence {self.trial!r} has neither se nor limits")
        middle = math.log(self.estimate)
        return replace(
            self, scale="log_rate", estimate=middle, se=se, lower=None, upper=None, derived=True
        )

    def weighted(self, relevance: float, reason: str) -> Evidence:
        """Return the same row with another relevance, and the reason for it."""
        return replace(self, relevance=relevance, relevance_reason=reason)


_WIDTH = 2 * 1.959963984540054


def _faults(row: Evidence) -> Iterable[str]:
    if not row.trial.strip():
        yield "the trial has no name"
    for name in ("estimate", "se", "lower", "upper"):
        value = getattr(row, name)
        if value is not None and not math.isfinite(value):
            yield f"{name} is {value!r}: it must be finite, or left out"
    if row.se is not None and row.se <= 0:
        yield f"se is {row.se:g}: it must be above 0"
    low = -math.inf if row.lower is None else row.lower
    high = math.inf if row.upper is None else row.upper
    if not low <= row.estimate <= high:
        yield f"the estimate {row.estimate:g} lies outside its limits {low:g} to {high:g}"
    for name in ("n_active", "n_control"):
        value = getattr(row, name)
        if value is not None and value < 1:
            yield f"{name} is {value}: it must be 1 or more"
    if not 0 < row.relevance <= 1:
        yield f"relevance is {row.relevance:g}: above 0 and at most 1 (leave the trial out for 0)"
    elif row.relevance < 1 and not row.relevance_reason.strip():
        yield f"relevance is {row.relevance:g} without a relevance_reason: say why"


Source = Evidence | Published | str
"""One trial: a row, a published trial, or the name of a bundled one."""


def evidence_rows(
    trials: Source | Sequence[Source], scale: str = "log_rate_ratio"
) -> list[Evidence]:
    """Return trials as evidence rows that can be combined.

    Parameters
    ----------
    trials : sequence of Evidence, Published or str
        Text is the name of a bundled published trial, such as ``"mesems2021"``.
    scale : str
        The scale that all of them must have.

    Raises
    ------
    PublishedError
        If there is none, one has another scale or no standard error, or one comes twice.
    """
    if isinstance(trials, str | Evidence | Published):
        trials = [trials]
    rows = [_row(trial) for trial in trials]
    if not rows:
        raise PublishedError("no trial is given: at least one is needed to borrow from")
    for row in rows:
        if row.scale != scale:
            raise PublishedError(
                f"evidence {row.trial!r} is a {row.scale} and a {scale} is needed: results on "
                "different scales do not combine"
            )
        _ = row.se_used
    names = [row.trial for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PublishedError(
            f"{', '.join(twice)} would be counted twice: give one result of each trial"
        )
    return rows


def _row(trial: object) -> Evidence:
    if isinstance(trial, Evidence):
        return trial
    if isinstance(trial, Published):
        return Evidence.from_published(trial)
    if isinstance(trial, str):
        return Evidence.from_published(load_published(trial))
    kind = type(trial).__name__
    raise PublishedError(f"a {kind} is no evidence: give Evidence rows, Published trials or names")


def evidence_table(rows: Sequence[Evidence]) -> pd.DataFrame:
    """Return evidence rows as a table, one column a field."""
    names = [item.name for item in fields(Evidence)]
    return pd.DataFrame([[getattr(row, name) for name in names] for row in rows], columns=names)


def estimates(rows: Sequence[Evidence]) -> tuple[list[float], list[float]]:
    """Estimates and standard errors after down-weighting."""
    return [row.estimate for row in rows], [row.se_used for row in rows]


def reported(row: Evidence) -> tuple[float, float, float]:
    """Ratio with its 95 % limits: those reported, else by the standard error."""
    half = (row.se or math.nan) * _WIDTH / 2
    low = row.estimate - half if row.lower is None else row.lower
    high = row.estimate + half if row.upper is None else row.upper
    return math.exp(row.estimate), math.exp(low), math.exp(high)
