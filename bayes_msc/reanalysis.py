"""What a trial known by its printed numbers says under each prior stance, exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from bayes_msc.consistency import check_published
from bayes_msc.distributions import Number
from bayes_msc.errors import PriorError, PublishedError, one_of
from bayes_msc.evidence import METHODS, TAU_PRIORS, combine
from bayes_msc.exact import check_log_ratio_prior
from bayes_msc.notebook import block, heading, paragraph, table
from bayes_msc.prediction import prediction_table
from bayes_msc.prior import Prior, stance
from bayes_msc.prior import stances as known_stances
from bayes_msc.published import Published, load_published
from bayes_msc.reanalysis_tables import (
    curve_table,
    density_table,
    forest_table,
    statement_table,
)

if TYPE_CHECKING:
    from bayes_msc.reconstruct.behind import Behind
    from bayes_msc.reconstruct.paper import Paper

THRESHOLDS = (1.0, 0.8, 0.5)


@dataclass(frozen=True, eq=False)
class Reanalysis:
    """Exact answers from printed numbers, as tables.

    Parameters
    ----------
    published : Published
        The trial.
    analysis : str
        Key of the printed analysis used.
    stances : mapping of str to Prior
        Priors for the log rate ratio.
    log_rate_ratio, se : float
        Derived from the printed numbers by ``route``.
    route : str
        How they were derived.
    statements : DataFrame
        ``stance, statement, label, threshold, median, mean, lower, upper, probability,
        prior_probability, mcse``; ``mcse`` is 0, as every number is exact.
    curve : DataFrame
        ``stance, threshold, probability, prior_probability``.
    densities : DataFrame
        ``stance, log_rate_ratio, prior, likelihood, posterior``; the likelihood is scaled to 1.
    routes, consistency : DataFrame
        Every route to the rate ratio; the paper checked against itself.
    external, forest, prediction : DataFrame
        With the other trials; empty (``external``, ``prediction``) if there are none.
    thresholds : tuple of float
        Rate ratios of the statements.
    external_trials : tuple of Published
        The other trials.
    tau_priors : tuple of Prior
        Standard deviation between trials, side by side.
    mu_prior : Prior
        Mean effect over trials.
    seed : int
        Of what was sampled: the combination by PyMC, the fits to reconstructed counts.
    behind : Behind, optional
        What reconstructed counts would answer, if that was asked for: no data.
    """

    published: Published
    analysis: str
    stances: Mapping[str, Prior]
    log_rate_ratio: float
    se: float
    route: str
    statements: pd.DataFrame
    curve: pd.DataFrame
    densities: pd.DataFrame
    routes: pd.DataFrame
    consistency: pd.DataFrame
    external: pd.DataFrame
    forest: pd.DataFrame
    prediction: pd.DataFrame
    thresholds: tuple[float, ...]
    external_trials: tuple[Published, ...]
    tau_priors: tuple[Prior, ...]
    mu_prior: Prior
    seed: int = 0
    behind: Behind | None = None

    @property
    def same_side(self) -> float:
        """Probability that a second trial of the same size ends on the same side of 1.

        As judged by the trial alone: the next estimate is normal around this one, with the
        variance of both (Killeen 2005), so that the probability is ``Phi(|z| / sqrt(2))``.
        """
        from scipy.special import ndtr

        return float(ndtr(abs(self.log_rate_ratio) / (self.se * math.sqrt(2))))

    def __str__(self) -> str:
        """Return a few lines: the derived estimate and one line a stance."""
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        first, *_ = _lines(self)
        ratios = self.statements[self.statements["statement"] == "rate_ratio"]
        said = self.statements[self.statements["statement"].str.startswith("prob_rate_ratio_")]
        side = "<" if self.published.benefit == "lower" else ">"
        labels = [f"P(RR {side} {c:g})" for c in said["threshold"]]
        chances = said.assign(label=labels).pivot_table(
            "probability", "stance", "label", sort=False
        )
        shown = ratios[["stance", "median", "lower", "upper"]].merge(
            chances.reset_index(), on="stance"
        )
        words = "rate ratio: median and 95 % interval; probabilities are exact"
        return block(heading(self.published.title), paragraph(first), table(shown, caption=words))


def _lines(result: Reanalysis) -> list[str]:
    table = result.statements
    lines = [
        f"{result.published.name}, analysis {result.analysis}: log rate ratio "
        f"{result.log_rate_ratio:.3f}, standard error {result.se:.3f} (from {result.route})"
    ]
    for name in result.stances:
        rows = table[table["stance"] == name]
        ratio = rows[rows["statement"] == "rate_ratio"].iloc[0]
        said = rows[rows["probability"].notna()].iloc[0]
        lines.append(
            f"{name}: rate ratio {ratio['median']:.2f} ({ratio['lower']:.2f} to "
            f"{ratio['upper']:.2f}); {said['label']} {said['probability']:.3f}"
        )
    return lines


def reanalyze(
    published: Published,
    stances: Sequence[str] | Mapping[str, Prior] | None = None,
    analysis: str | None = None,
    external: Sequence[str | Published] | None = None,
    thresholds: Sequence[float] | None = None,
    mu_prior: Prior | None = None,
    tau_priors: Sequence[Prior] = TAU_PRIORS,
    method: str = "quadrature",
    seed: int = 0,
    reconstruction: bool | Paper = False,
) -> Reanalysis:
    """Posterior probability of benefit from printed numbers, for every prior stance.

    Parameters
    ----------
    published : Published
        The trial.
    stances : sequence of str, or mapping of str to Prior, optional
        Named stances, or your own priors for the log rate ratio (active over control) by name; by
        default vague, weak, sceptical and enthusiastic.
    analysis : str, optional
        Printed analysis to build on; by default the one that the card prefers.
    external : sequence of str or Published, optional
        Other trials of the same question; by default those that the card names; ``[]`` for none.
    thresholds : sequence of float, optional
        Rate ratios c of the statements, taken as they are; by default 1, 0.8 and 0.5.
    mu_prior : Prior, optional
        Mean effect over trials; by default the vague stance.
    tau_priors : sequence of Prior
        Standard deviation between trials, shown side by side.
    method : str
        For the combination with other trials: ``"quadrature"`` (exact) or ``"pymc"``.
    seed : int
        For ``"pymc"``, and for the reconstruction.
    reconstruction : bool or Paper
        Whether to reconstruct the counts behind the printed numbers too, which takes half a
        minute: what they would answer stands beside, and is no data. By default from the file that
        the card names as ``printed_counts``.

    Returns
    -------
    Reanalysis
        Tables.

    Raises
    ------
    PublishedError
        If the analysis, an external trial, a threshold or the method is unknown or impossible.
    ReconstructionError
        If no counts fit what is printed.
    PriorError
        If a stance is unknown or not a prior for a log rate ratio.

    Notes
    -----
    The printed estimate is taken as normal on the log scale with a known standard error. The
    posterior is in closed form for a normal prior and for a mixture of normals, and by
    one-dimensional quadrature for any other; nothing is sampled.

    Where a *higher* rate is better, statements are about rate ratios above a threshold, the default
    thresholds become 1, 1.25 and 2, and the named stances are mirrored (the sign of their centre
    changes, so that the enthusiastic one expects a doubling). Priors and thresholds that the user
    gives are taken as they are.
    """
    _check_published(published)
    one_of(method, METHODS, "method", PublishedError)
    paper = paper_behind(published, reconstruction)
    key = published.preferred if analysis is None else analysis
    route, effect = published.effect(key)
    priors = _priors(stances, published.benefit)
    limits = _thresholds(thresholds, published.benefit)
    others = _others(published, external)
    mean_prior = stance("vague") if mu_prior is None else mu_prior
    check_log_ratio_prior(mean_prior, "mu_prior")
    if not tau_priors:
        raise PriorError("tau_priors is empty: give at least one prior, such as HalfNormal(0.5)")
    effects = [effect, *(trial.effect()[1] for trial in others)]
    combined = pd.DataFrame()
    if others:
        combined = combine(
            [e.log_rate_ratio for e in effects],
            [e.se for e in effects],
            mean_prior,
            tau_priors,
            limits,
            published.benefit,
            method,
            seed,
        )
    estimate, se = effect.log_rate_ratio, effect.se
    return Reanalysis(
        published=published,
        analysis=key,
        stances=priors,
        log_rate_ratio=estimate,
        se=se,
        route=route,
        statements=statement_table(published, priors, estimate, se, limits),
        curve=curve_table(published.benefit, priors, estimate, se, limits),
        densities=density_table(priors, estimate, se),
        routes=published.routes(key),
        consistency=check_published(published),
        external=combined,
        forest=forest_table(published, key, others, effects, combined),
        prediction=prediction_table(priors, effect, others, effects[1:], tau_priors[0]),
        thresholds=limits,
        external_trials=others,
        tau_priors=tuple(tau_priors),
        mu_prior=mean_prior,
        seed=seed,
        behind=None if paper is None else _behind(paper, seed),
    )


def _behind(paper: Paper, seed: int) -> Behind:
    from bayes_msc.reconstruct.behind import answers_behind

    return answers_behind(paper, seed)


def paper_behind(published: Published, reconstruction: bool | Paper) -> Paper | None:
    """Return the printed counts to reconstruct from, if that is asked for.

    Raises
    ------
    PublishedError
        If the trial names none.
    ReconstructionError
        If they cannot be read.
    """
    if reconstruction is False:
        return None
    # PyMC is imported only where it is needed
    from bayes_msc.reconstruct.paper import read_paper

    if reconstruction is not True:
        return reconstruction
    if not published.printed_counts:
        raise PublishedError(
            f"{published.name} names no printed counts to reconstruct from: set printed_counts in "
            'its TOML file to a file such as "printed.toml" (see bm.read_paper)'
        )
    return read_paper(published.printed_counts_file or published.printed_counts)


def _check_published(value: object) -> None:
    if not isinstance(value, Published):
        kind = type(value).__name__
        raise PublishedError(f"a Published is needed, not a {kind}: load_published(name) gives one")


def _priors(given: Sequence[str] | Mapping[str, Prior] | None, benefit: str) -> dict[str, Prior]:
    if isinstance(given, str):
        given = [given]
    if isinstance(given, Mapping):
        priors = dict(given)
    else:
        names = list(known_stances()) if given is None else list(given)
        priors = {name: _facing(stance(name), benefit) for name in names}
    if not priors:
        raise PriorError(f"no stance is given: choose from {', '.join(known_stances())}")
    for name, prior in priors.items():
        if not isinstance(prior, Prior):
            raise PriorError(
                f"stance {name!r} is {prior!r}: a Prior is needed, such as Prior.normal"
            )
        check_log_ratio_prior(prior, f"stance {name!r}")
    return priors


def _facing(prior: Prior, benefit: str) -> Prior:
    """Mirror a named stance where a higher rate is better."""
    if benefit == "lower":
        return prior
    numbers = tuple(
        _negated(value) if name in ("loc", "locs") else value
        for name, value in zip(prior.names, prior.parameters, strict=True)
    )
    if numbers == prior.parameters:
        return prior
    why = f"mirror image, as a higher rate is better here, of: {prior.why}"
    return Prior(prior.distribution, numbers, why)


def _negated(value: Number) -> Number:
    return tuple(-v for v in value) if isinstance(value, tuple) else -value


def _thresholds(given: Sequence[float] | None, benefit: str) -> tuple[float, ...]:
    if given is None:
        return THRESHOLDS if benefit == "lower" else tuple(1 / c for c in THRESHOLDS)
    try:
        limits = tuple(float(c) for c in given)
    except (TypeError, ValueError):
        raise PublishedError(f"thresholds is {given!r}: a list of rate ratios is needed") from None
    wrong = [c for c in limits if not (math.isfinite(c) and c > 0)]
    if wrong or not limits:
        named = ", ".join(f"{c:g}" for c in wrong) or "none"
        raise PublishedError(f"thresholds must be rate ratios above 0, such as 1 or 0.8: {named}")
    return tuple(dict.fromkeys(limits))


def _others(
    published: Published, external: Sequence[str | Published] | None
) -> tuple[Published, ...]:
    wanted = published.external if external is None else external
    if isinstance(wanted, str | Published):
        wanted = [wanted]
    others = tuple(load_published(o) if isinstance(o, str) else o for o in wanted)
    names = [published.name, *(other.name for other in others)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PublishedError(
            f"{', '.join(twice)} would be counted twice: external trials must be other trials, "
            "each named once"
        )
    for other in others:
        if other.benefit != published.benefit:
            raise PublishedError(
                f"{other.name} calls a {other.benefit} rate better, {published.name} a "
                f"{published.benefit} one: they do not ask the same question"
            )
    return others
