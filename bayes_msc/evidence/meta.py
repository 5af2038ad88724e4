"""Meta-analysis of a few trials: mean effect, prediction interval, one trial left out at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import PublishedError, one_of
from bayes_msc.evidence.combine import (
    METHODS,
    exact_numbers,
    failed_checks,
    probability_column,
    sampled_numbers,
)
from bayes_msc.evidence.hierarchy import Hierarchy, conditional, hierarchy
from bayes_msc.evidence.tau import tau_prior as named_tau_prior
from bayes_msc.evidence.trials import Evidence, Source, estimates, evidence_rows, reported
from bayes_msc.exact import check_log_ratio_prior
from bayes_msc.notebook import block, heading, paragraph, table
from bayes_msc.prior import Prior, stance

Array = NDArray[np.float64]
THRESHOLDS = (1.0, 0.8, 0.5)
ROWS = ("mean effect", "new trial")
#: Columns that say how a row was computed.
_OF_THE_METHOD = ("target", "method", "mcse", "failed_checks")


@dataclass(frozen=True, eq=False)
class MetaAnalysis:
    """What a few trials say together.

    Parameters
    ----------
    trials : tuple of Evidence
    mu_prior, tau_prior : Prior
        Of the mean effect and of the standard deviation between trials.
    posterior : Hierarchy
        The exact posterior.
    effects : DataFrame
        One row a trial: ``trial, outcome, rate_ratio, lower, upper`` as reported, ``relevance``,
        ``share`` (of the weight in the mean effect), ``own_ratio, own_lower, own_upper`` (its own
        effect, drawn towards the mean), ``derived``, ``note``.
    summary : DataFrame
        Rows ``mean effect`` and ``new trial`` (the prediction interval): ``target, rate_ratio,
        lower, upper``, one ``probability_below_C`` (``probability_above_C`` where more is better)
        for each threshold, ``method, mcse``, and ``failed_checks`` of the chains.
    tau : DataFrame
        One row: ``median, lower, upper`` of the standard deviation between trials, and ``factor``,
        by which the rate ratios of two trials typically differ (the median of their ratio, the
        larger over the smaller, at the median of tau).
    """

    trials: tuple[Evidence, ...]
    mu_prior: Prior
    tau_prior: Prior
    posterior: Hierarchy
    effects: pd.DataFrame
    summary: pd.DataFrame
    tau: pd.DataFrame

    def _repr_html_(self) -> str:
        words = f"{len(self.trials)} trials; between them tau ~ {self.tau_prior}"
        parts = [table(self.effects, caption="the trials"), table(self.summary, caption="together")]
        spread = table(self.tau, caption="standard deviation between trials")
        return block(heading("Meta-analysis"), paragraph(words), *parts, spread)


def meta_analysis(
    trials: Source | Sequence[Source],
    tau_prior: str | Prior,
    *,
    mu_prior: Prior | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    benefit: str = "lower",
    method: str = "quadrature",
    seed: int = 1,
) -> MetaAnalysis:
    """Combine trials by the normal-normal hierarchy.

    Parameters
    ----------
    trials : sequence of Evidence, Published or str
        Text names a bundled published trial.
    tau_prior : str or Prior
        Of the standard deviation between trials: a key of ``tau_priors()`` or any positive prior.
        With a handful of trials it decides much of the answer, so it is asked for.
    mu_prior : Prior, optional
        Of the mean effect: a normal or a mixture of normals, by default the vague stance.
    thresholds : sequence of float
        Rate ratios.
    benefit : str
        ``"lower"`` or ``"higher"``.
    method : str
        For the summary: ``"quadrature"`` (exact), or ``"pymc"`` (NUTS, a check from another side).
    seed : int
        For ``"pymc"``.

    Returns
    -------
    MetaAnalysis

    Raises
    ------
    PriorError, PublishedError
        If a prior, a trial or the method is impossible.

    Notes
    -----
    Each trial's likelihood is raised to its ``relevance``, stated by the user. Prediction interval:
    Higgins 2009, JRSS A 172:137.
    """
    one_of(method, METHODS, "method", PublishedError)
    one_of(benefit, ("lower", "higher"), "benefit", PublishedError)
    rows = evidence_rows(trials)
    spread = named_tau_prior(tau_prior)
    centre = stance("vague") if mu_prior is None else mu_prior
    check_log_ratio_prior(centre, "mu_prior")
    found = hierarchy(*estimates(rows), centre, spread)
    return MetaAnalysis(
        trials=tuple(rows),
        mu_prior=centre,
        tau_prior=spread,
        posterior=found,
        effects=_effects(rows, found, weights_in_mean(rows, centre, spread)),
        summary=_summary(rows, found, centre, spread, thresholds, benefit, method, seed),
        tau=_tau(found),
    )


def weights_in_mean(rows: Sequence[Evidence], mu_prior: Prior, tau_prior: Prior) -> Array:
    """Share of each trial in the mean effect, averaged over the posterior of tau."""
    y, s = estimates(rows)
    given = conditional(y, s, mu_prior, tau_prior)
    precision = 1 / (np.square(s) + given.tau[:, None] ** 2)
    share = precision / np.sum(precision, axis=1, keepdims=True)
    return np.asarray(np.sum(given.share, axis=1) @ share)


def _effects(rows: Sequence[Evidence], found: Hierarchy, shares: Array) -> pd.DataFrame:
    table = []
    for row, own, share in zip(rows, found.trials, shares, strict=True):
        ratio, low, high = reported(row)
        own_low, own_ratio, own_high = np.exp(own.ppf([0.025, 0.5, 0.975]))
        table.append(
            {
                "trial": row.trial,
                "outcome": row.outcome,
                "rate_ratio": ratio,
                "lower": low,
                "upper": high,
                "relevance": row.relevance,
                "share": share,
                "own_ratio": own_ratio,
                "own_lower": own_low,
                "own_upper": own_high,
                "derived": row.derived,
                "note": "; ".join(filter(None, (row.relevance_reason, row.note))),
            }
        )
    return pd.DataFrame(table)


def _summary(
    rows: Sequence[Evidence],
    found: Hierarchy,
    mu_prior: Prior,
    tau_prior: Prior,
    thresholds: Sequence[float],
    benefit: str,
    method: str,
    seed: int,
) -> pd.DataFrame:
    if method == "quadrature":
        numbers = [
            exact_numbers(posterior, thresholds, benefit)
            for posterior in (found.mean_effect, found.new_trial)
        ]
        failed = ""
    else:
        from bayes_msc.evidence.sampling import sample_hierarchy

        draws = sample_hierarchy(*estimates(rows), mu_prior, tau_prior, seed=seed)
        numbers = sampled_numbers(draws, thresholds, benefit)[1:]
        failed = failed_checks(draws, max(mcse for _, _, mcse in numbers))
    names = [probability_column(c, benefit) for c in thresholds]
    return pd.DataFrame(
        {"target": target}
        | dict(zip(("rate_ratio", "lower", "upper"), ratio, strict=True))
        | dict(zip(names, probabilities, strict=True))
        | {"method": method, "mcse": mcse, "failed_checks": failed}
        for target, (ratio, probabilities, mcse) in zip(ROWS, numbers, strict=True)
    )


def _tau(found: Hierarchy) -> pd.DataFrame:
    low, middle, high = found.tau.ppf([0.025, 0.5, 0.975]).tolist()
    # the difference of two effects is Normal(0, sqrt 2 tau); 0.6745 is the upper quartile
    factor = math.exp(0.6744897501960817 * math.sqrt(2) * middle)
    return pd.DataFrame([{"median": middle, "lower": low, "upper": high, "factor": factor}])


def leave_one_trial_out(
    trials: Source | Sequence[Source],
    tau_prior: str | Prior,
    *,
    mu_prior: Prior | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    benefit: str = "lower",
) -> pd.DataFrame:
    """Combine the trials without each of them in turn, and foretell the one left out.

    Parameters
    ----------
    trials, tau_prior, mu_prior, thresholds, benefit
        As in ``meta_analysis``; two trials at least.

    Returns
    -------
    DataFrame
        ``left_out`` (``"none"`` in the first row), then the mean effect (``rate_ratio, lower,
        upper``, its probabilities), the prediction for a new trial's effect (``new_lower,
        new_upper``), ``tau`` (median) and, for the trial left out, ``percentile``: the share of the
        prediction of its estimate that lies below what it found (0 to 100).

    Raises
    ------
    PriorError, PublishedError
        As ``meta_analysis``, and where there is one trial only.
    """
    rows = evidence_rows(trials)
    if len(rows) < 2:
        raise PublishedError("one trial is given: two at least are needed to leave one out")
    table = []
    for out in (None, *rows):
        kept = [row for row in rows if row is not out]
        found = meta_analysis(
            kept, tau_prior, mu_prior=mu_prior, thresholds=thresholds, benefit=benefit
        )
        mean, new = found.summary.to_dict("records")
        table.append(
            {"left_out": "none" if out is None else out.trial}
            | {k: v for k, v in mean.items() if k not in _OF_THE_METHOD}
            | {"new_lower": new["lower"], "new_upper": new["upper"]}
            | {"tau": found.tau["median"].iloc[0]}
            | {"percentile": math.nan if out is None else _percentile(found, out)}
        )
    return pd.DataFrame(table)


def _percentile(found: MetaAnalysis, out: Evidence) -> float:
    from bayes_msc.exact import add_noise

    return 100 * float(add_noise(found.posterior.new_trial, out.se_used).cdf(out.estimate))
