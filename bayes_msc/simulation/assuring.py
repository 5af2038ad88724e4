"""Assurance: how often the next trial will succeed, given what is known and what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import DesignError
from bayes_msc.model import Model
from bayes_msc.notebook import block, heading, paragraph, table
from bayes_msc.prior import Prior
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.operating import Characteristics, characteristics
from bayes_msc.simulation.rules import AnyRule
from bayes_msc.simulation.truth import Truth, UncertainTruth

#: Draws that stand for a distribution that is known by its quantiles; the fewest pairs of draws.
_DRAWS = 4000
Array = NDArray[np.float64]


def truth_over(over: Any, base: Truth | UncertainTruth | None = None) -> UncertainTruth:
    """Truths by what is known of them.

    Parameters
    ----------
    over : Prior, or fit, or distribution, or sequence of float
        Of the log rate ratio: a prior, an exact posterior (of ``bayes_msc.reanalyze``, or of
        trials together), or draws; a fit gives every parameter.
    base : Truth or UncertainTruth, optional
        All that ``over`` does not speak of; needed unless it is a fit. Of uncertain truths, such as
        ``UncertainTruth.of_fit`` gives, all but the rate ratio is taken, which is then independent
        of them.

    Raises
    ------
    DesignError
        If ``base`` is missing, or ``over`` is none of these.
    """
    if hasattr(over, "children"):
        if isinstance(base, UncertainTruth):
            raise DesignError("a fit speaks of every parameter: base must be a Truth, or left out")
        return UncertainTruth.of_fit(over, base)
    if base is None:
        raise DesignError(
            "what is known speaks of the log rate ratio alone: say the rest with "
            "base=Truth(1, control_rate=..., patient_sd=..., overdispersion=...), or take it from "
            "a fit, base=UncertainTruth.of_fit(fit)"
        )
    if isinstance(over, Prior):
        return _with_ratio(base, over)
    if hasattr(over, "ppf"):
        draws = _evenly(over)
    elif isinstance(over, Sequence | np.ndarray | pd.Series) and not isinstance(over, str):
        draws = np.asarray(over, dtype=float)
    else:
        raise DesignError(
            f"over is {over!r}: a Prior, a fit, an exact posterior or draws of log_rate_ratio"
        )
    if draws.ndim != 1 or not len(draws) or not np.isfinite(draws).all():
        raise DesignError("draws of log_rate_ratio must be a list of finite numbers")
    return _with_ratio(base, draws)


def _with_ratio(base: Truth | UncertainTruth, ratio: Prior | Array) -> UncertainTruth:
    """Take a prior or draws for the log rate ratio, and all else from the base."""
    whole = UncertainTruth(base) if isinstance(base, Truth) else base
    priors = {n: prior for n, prior in whole.priors.items() if n != "log_rate_ratio"}
    rest = whole.draws
    if rest is not None:
        rest = rest.drop(columns="log_rate_ratio", errors="ignore")
        rest = None if rest.columns.empty else rest
    if isinstance(ratio, Prior):
        return replace(whole, priors={**priors, "log_rate_ratio": ratio}, draws=rest)
    if rest is None:
        table = pd.DataFrame({"log_rate_ratio": ratio})
    else:
        # each row of one beside a row of the other, in no order: they know nothing of each other
        rng = np.random.default_rng(1)
        n = max(len(ratio), len(rest), _DRAWS)
        paired = _repeated(len(rest), n, rng)
        table = rest.iloc[paired].reset_index(drop=True)
        table["log_rate_ratio"] = ratio[_repeated(len(ratio), n, rng)]
    return replace(whole, priors=priors, draws=table)


def _repeated(rows: int, wanted: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Every row as often as every other, but for one time, in random order."""
    return rng.permutation(np.resize(rng.permutation(rows), wanted))


def _evenly(over: Any) -> NDArray[np.float64]:
    """Quantiles of an exact posterior at even steps, read off its distribution function."""
    low, high = (float(over.ppf(p)) for p in (1e-6, 1 - 1e-6))
    grid = np.linspace(low, high, _DRAWS)
    steps = (np.arange(_DRAWS) + 0.5) / _DRAWS
    return np.asarray(np.interp(steps, np.asarray(over.cdf(grid), dtype=float), grid))


@dataclass(frozen=True, eq=False)
class Assurance:
    """Assurance of one or more designs.

    Attributes
    ----------
    table : DataFrame
        One line a design, model, prior and rule: ``success`` is the assurance.
    by_truth : DataFrame
        For each of them how often trials succeeded in tenths of the truths, from the smallest rate
        ratio on: ``rate_ratio`` (median of the tenth), ``success``, ``success_mcse``, ``trials``.
    trials : DataFrame
        One row a simulated trial, analysis and rule.
    """

    table: pd.DataFrame
    by_truth: pd.DataFrame
    trials: pd.DataFrame

    def _repr_html_(self) -> str:
        said = f"Success averaged over what is believed of the truth: {len(self.trials)} rows."
        return block(heading("Assurance"), paragraph(said), table(self.table), table(self.by_truth))


def assurance(
    designs: Design | Sequence[Design] | Mapping[str, Design],
    models: str | Model | Sequence[str | Model] = "negative-binomial",
    *,
    over: Any,
    rules: Sequence[AnyRule] | Mapping[str, AnyRule],
    base: Truth | UncertainTruth | None = None,
    priors: Mapping[str, Prior] | Sequence[str] | None = None,
    trials: int = 1000,
    precision: float | None = None,
    max_trials: int = 100_000,
    seed: int = 1,
    workers: int | None = None,
    executor: Any = None,
    progress: bool | None = None,
) -> Assurance:
    """Average the success of a rule over what is believed of the truth.

    Power asks what happens if the effect is so large; assurance what to expect, given all that is
    known of the effect (O'Hagan, Stevens & Campbell 2005, Pharmaceutical Statistics 4:187).

    Parameters
    ----------
    designs : Design, or sequence or mapping of them
    models : str or Model, or sequence of them
        What the next trial will be analysed with.
    over : Prior, fit, exact posterior or sequence of float
        What is believed: see ``truth_over``.
    rules : sequence or mapping of rules
    base : Truth or UncertainTruth, optional
        All that ``over`` does not speak of, known or drawn.
    priors : mapping of str to Prior, or sequence of names of stances, optional
        Of the analysis, not of the truth.
    trials, precision, max_trials, seed, workers, executor, progress
        As for ``bayes_msc.characteristics``.

    Returns
    -------
    Assurance

    Raises
    ------
    DesignError
        If something is impossible or missing.
    """
    found = characteristics(
        designs,
        {"uncertain": truth_over(over, base)},
        models,
        rules=rules,
        priors=priors,
        trials=trials,
        precision=precision,
        max_trials=max_trials,
        seed=seed,
        workers=workers,
        executor=executor,
        progress=progress,
    )
    return Assurance(found.table, _by_truth(found), found.trials)


def _by_truth(found: Characteristics, parts: int = 10) -> pd.DataFrame:
    from bayes_msc.simulation.summary import share_error

    rows = found.trials
    keys = ["design", "model", "prior", "rule"]
    rank = rows.groupby(keys, sort=False, observed=True)["true_log_rate_ratio"].rank(
        method="first", pct=True
    )
    part: NDArray[np.int64] = np.ceil(rank * parts).astype(int).to_numpy()
    groups = rows.assign(part=part).groupby([*keys, "part"], sort=False, observed=True)
    table = groups.agg(
        rate_ratio=("true_log_rate_ratio", "median"),
        hits=("success", "sum"),
        trials=("success", "size"),
    ).reset_index()
    table["rate_ratio"] = np.exp(table["rate_ratio"])
    table["success"] = table["hits"] / table["trials"]
    table["success_mcse"] = share_error(table["hits"], table["trials"])
    return table.drop(columns="hits").sort_values([*keys, "part"], ignore_index=True)
