"""What drop-out does to the answer: one rate ratio for each question about the unseen counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msc.convergence import convergence
from bayes_msc.errors import ModelError
from bayes_msc.fit import fit
from bayes_msc.imputation import DELTA, STRATEGIES, check_strategy, completed, draw_counts
from bayes_msc.missing import Plan, carry_forward, plan_of
from bayes_msc.model import Model
from bayes_msc.monte_carlo import errors_of
from bayes_msc.predictor import Draws, draws_of
from bayes_msc.rows import arrange
from bayes_msc.sampler import Sampler, Settings, why_not_trusted
from bayes_msc.trial import Trial

COLUMNS = (
    "strategy",
    "delta",
    "intercurrent_event",
    "ich_strategy",
    "question",
    "assumption",
    "unseen",
    "median",
    "lower",
    "upper",
    "probability",
    "mcse",
    "imputations",
    "verdict",
    "label",
)
TAIL = 0.025
EVENT = "leaving the trial, or a scan that was not made"
SEEN_ONLY = {
    "strategy": "seen only",
    "ich_strategy": "while on treatment",
    "question": "What was the rate ratio over the time that was seen?",
    "assumption": (
        "only what was seen enters, with its exposure. If what was seen of a patient tells all "
        "about what was not (missing at random), the answer to the hypothetical question too"
    ),
}
COMPLETE = "everything that was planned was seen: no strategy could change the answer"
CARRIED = {
    "strategy": "last count carried forward",
    "ich_strategy": "none",
    "question": "None: nobody asks what would be if a patient's last scan were repeated for ever.",
    "assumption": (
        "WARNING: counts that nobody made enter as if they had been seen. To repeat a published "
        "analysis, for nothing else"
    ),
}
#: A refit only adds its draws to a pool of many: what it has to be is without bias.
REFIT = Settings(draws=250, tune=500)
#: R-hat of four chains of 250 draws scatters more than the 1.01 that a single fit has to meet.
REFIT_R_HAT = 1.05


@dataclass(frozen=True, eq=False)
class Refit:
    """Posterior of one completed trial.

    Attributes
    ----------
    log_rate_ratio : ndarray of float, shape (draws,)
    ok : bool
        Whether the weights, or the chains, may be trusted.
    """

    log_rate_ratio: NDArray[np.float64]
    ok: bool


def drop_out(
    trial: Trial,
    model: Model | str,
    *,
    strategies: Sequence[str] = tuple(STRATEGIES),
    deltas: Sequence[float] = (0.5, 2.0),
    arms: str = "both",
    intercurrent_event: str = EVENT,
    imputations: int = 100,
    engine: str = "auto",
    seed: int = 1,
) -> pd.DataFrame:
    """Estimate the rate ratio under each strategy for the counts that were not seen.

    Parameters
    ----------
    trial : Trial
    model : Model or str
        A model, or the name of a card.
    strategies : sequence of str
        Of ``"own-arm"``, ``"jump-to-reference"``, ``"copy-reference"`` and ``"delta"``: see
        ``draw_unseen``.
    deltas : sequence of float
        For ``"delta"``: one row each.
    arms : {"both", "control", "active"}
        The planned treatment of the unseen counts that delta is for.
    intercurrent_event : str
        Why counts were not seen, in words, for the table.
    imputations : int
        Completed trials for each strategy, each from another posterior draw; 2 or more.
    engine : str
        Of the fits to the seen counts and to the carried ones, as in ``fit``. Refits are made by
        the fast engine where it can be trusted, as with ``"auto"``.
    seed : int

    Returns
    -------
    DataFrame
        First what the likelihood of the seen counts says, then a row for each strategy (and delta),
        last the last count carried forward. ``strategy``, ``delta``; ``intercurrent_event``,
        ``ich_strategy`` and ``question``: the estimand in the words of ICH E9(R1); ``assumption``;
        ``unseen`` (planned rows of which something was filled in); ``median``, ``lower``, ``upper``
        (95 % equal-tailed) of the rate ratio, ``probability`` that it is below 1 and its Monte
        Carlo standard error ``mcse``; ``imputations``, ``verdict``, ``label``. Only the first
        row, with a sentence, where everything was seen.

    Raises
    ------
    ModelError
        If a strategy is unknown, a delta is not above 0, or there are fewer than 2 imputations.

    Notes
    -----
    For every strategy the model is fitted again to each completed trial, and the draws of the
    refits are pooled: a mixture of posteriors, so that the interval holds what is not known about
    the unseen counts as well (Rubin 1987, Multiple Imputation for Nonresponse in Surveys, ch. 3;
    Zhou & Reiter 2010, American Statistician 64:159). Refits keep the priors of the first fit. All
    strategies start from the same posterior draws, which makes their differences more precise than
    the answers. With own-arm the mixture is, up to Monte Carlo error, the posterior that the seen
    counts alone give.
    """
    card = model if isinstance(model, Model) else Model.load(model)
    if imputations < 2:
        raise ModelError(f"imputations is {imputations}: take 2 or more, such as 100")
    if card.priors["log_rate_ratio"].is_fixed:
        raise ModelError(
            f"log_rate_ratio is set in {card.name}: with nothing to estimate, no strategy could "
            "change the answer"
        )
    wanted = _wanted(strategies, deltas, arms)
    first = fit(trial, card, seed=seed, engine=engine, progress=False)
    plan = plan_of(trial)
    unseen = int((plan.unseen > 0).sum())
    rows = [{**SEEN_ONLY, **_of_fit(first), "unseen": 0, "label": trial.label}]
    if not unseen:
        rows[0]["assumption"] = COMPLETE
        return _table(rows, intercurrent_event)
    draws = _spread(draws_of(first), imputations)
    held = _with_held_priors(card, trial)
    for strategy, delta in wanted:
        numbers = _pooled(_refits(plan, held, draws, strategy, delta, arms, seed))
        words = _words(strategy, delta, arms, trial)
        label = completed(plan, np.zeros(unseen, dtype=np.int64)).label
        rows.append({**words, **numbers, "unseen": unseen, "label": label})
    carried = carry_forward(trial)
    if carried is not trial:
        last = fit(carried, card, seed=seed, engine=engine, progress=False)
        left = int(carried.data["count"].isna().sum())
        row = {**CARRIED, **_of_fit(last), "unseen": unseen - left, "label": carried.label}
        rows.append(row)
    return _table(rows, intercurrent_event)


def _wanted(
    strategies: Sequence[str], deltas: Sequence[float], arms: str
) -> list[tuple[str, float]]:
    """Pairs of strategy and delta, each of them checked before anything is fitted."""
    pairs = []
    for strategy in strategies:
        pairs += [(strategy, float(d)) for d in deltas] if strategy == DELTA else [(strategy, 1.0)]
    for strategy, delta in pairs:
        check_strategy(strategy, delta, arms)
    return pairs


def _with_held_priors(model: Model, trial: Trial) -> Model:
    """Model whose prior of the rate stays where the seen counts put it, whatever is filled in."""
    return model.with_prior("log_rate", model.priors_for(trial)["log_rate"])


def _spread(draws: Draws, n: int) -> Draws:
    """Take n draws, evenly spread over the chains."""
    total = len(draws["log_rate"])
    chosen = np.linspace(0, total - 1, n).round().astype(int)
    return {name: values[chosen] for name, values in draws.items()}


def _refits(
    plan: Plan, model: Model, draws: Draws, strategy: str, delta: float, arms: str, seed: int
) -> list[Refit]:
    """Fit the model to one completed trial for each draw: all have the same rows."""
    from bayes_msc.graph import data_of

    counts = draw_counts(plan, model, draws, strategy, delta, arms, np.random.default_rng(seed))
    trial = completed(plan, counts[0])
    numbers, rows = data_of(model, trial), arrange(trial, model)
    hidden = plan.unseen > 0
    place = (rows.patient_index[hidden], rows.row_index[hidden])
    seen_part = rows.count[place] - counts[0]
    sampler = Sampler.of(model, trial)
    refits = []
    for i, own in enumerate(counts):
        observed = rows.count.copy()
        observed[place] = seen_part + own
        refits.append(_refit(sampler, model, {**numbers, "observed": observed}, seed + i))
    return refits


def _refit(
    sampler: Sampler, model: Model, numbers: Mapping[str, NDArray[np.float64]], seed: int
) -> Refit:
    """Fit one completed trial, by the fast engine where it can be trusted, else by NUTS."""
    if model.patient_effect == "integrated":
        found = sampler.fast(numbers, seed)
        if not why_not_trusted(found):
            chosen = found.choose(REFIT.chains * REFIT.draws, np.random.default_rng(seed))
            return Refit(found.points[chosen, found.interest], ok=True)
    raw = sampler.nuts(numbers, REFIT, seed)
    ratio = raw["posterior"]["log_rate_ratio"].to_numpy()
    diverged = int(raw["sample_stats"]["diverging"].sum())
    return Refit(ratio.ravel(), diverged == 0 and float(az.rhat(ratio)) < REFIT_R_HAT)


def _pooled(refits: Sequence[Refit]) -> dict[str, Any]:
    """Mixture of the refits; they are independent, so their scatter is the Monte Carlo error."""
    ratio = np.stack([refit.log_rate_ratio for refit in refits])
    below = (ratio < 0).mean(axis=1)
    mcse = float(below.std(ddof=1)) / np.sqrt(len(below))
    failed = sum(not refit.ok for refit in refits)
    return {
        **_quantiles(ratio),
        "probability": float(below.mean()),
        "mcse": max(mcse, 1.0 / ratio.size),
        "imputations": len(refits),
        "verdict": f"check failed: {failed} of {len(refits)} refits" if failed else "ok",
    }


def _of_fit(tree: xr.DataTree) -> dict[str, Any]:
    ratio = tree["posterior"]["log_rate_ratio"].to_numpy()
    checks = convergence(tree)
    failed = ", ".join(checks.loc[~checks["ok"], "check"])
    return {
        **_quantiles(ratio),
        "probability": float((ratio < 0).mean()),
        "mcse": errors_of(tree).of_probability(ratio < 0),
        "imputations": 0,
        "verdict": f"check failed: {failed}" if failed else "ok",
    }


def _quantiles(log_ratio: NDArray[np.float64]) -> dict[str, float]:
    lower, median, upper = np.exp(np.quantile(log_ratio, [TAIL, 0.5, 1.0 - TAIL]))
    return {"median": float(median), "lower": float(lower), "upper": float(upper)}


def _words(strategy: str, delta: float, arms: str, trial: Trial) -> dict[str, Any]:
    chosen = STRATEGIES[strategy]
    words: dict[str, Any] = {
        "strategy": strategy,
        "ich_strategy": chosen.ich,
        "question": chosen.question,
        "assumption": chosen.assumption,
    }
    if strategy != DELTA:
        return words
    only = {"control": trial.control, "active": trial.active}.get(arms)
    where = f"delta = {delta:g}" + (f", for counts planned on {only} only" if only else "")
    return {**words, "delta": delta, "assumption": f"{chosen.assumption} ({where})"}


def _table(rows: list[dict[str, Any]], intercurrent_event: str) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.assign(intercurrent_event=intercurrent_event)
