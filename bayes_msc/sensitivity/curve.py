"""The specification curve: the answer under every sensible combination of choices."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from bayes_msc.compare import arviz_comparison
from bayes_msc.convergence import THRESHOLDS
from bayes_msc.errors import SensitivityError
from bayes_msc.fit import fit
from bayes_msc.leaving_out import psis
from bayes_msc.model import Model
from bayes_msc.notebook import banner, block, heading, paragraph, table
from bayes_msc.prior import Prior
from bayes_msc.rule import Rule
from bayes_msc.sampler import structure
from bayes_msc.sensitivity.refitting import Question, shown
from bayes_msc.sensitivity.specifications import (
    CHOICES,
    DATA_CHOICES,
    Grid,
    specifications,
)
from bayes_msc.trial import Trial

#: Seconds a refit of nine patients and four rows, and seconds that a structure takes to compile.
SECONDS = {
    "poisson": 0.012,
    "negative-binomial": 0.02,
    "negative-binomial-1": 0.13,
    "generalized-poisson": 0.13,
    "zero-inflated-poisson": 0.1,
    "zero-inflated-negative-binomial": 0.22,
    "hurdle-negative-binomial": 1.5,
    "poisson-lognormal": 2.0,
}
COMPILING = 2.5
#: A grid that is expected to take longer than this many seconds is made only when asked again.
LONG = 300.0
_ROWS = 36


@dataclass(frozen=True, eq=False)
class SpecificationCurve:
    """The answer of every specification, and what the choices do to it.

    Attributes
    ----------
    specifications : DataFrame
        One row a specification, sorted by the probability of the rule's statement: ``place`` (from
        1), one column a choice (see ``Specification``), ``median``, ``lower``, ``upper`` (95 %
        equal-tailed) of the rate ratio, ``prob_below_<c>``, ``mcse_below_<c>``, ``prob``, ``mcse``,
        ``rule_met``, ``log_mean``, ``log_marginal_likelihood``, ``weight`` (probability of the
        specification among those on the same counts, if all were equally probable before; NaN where
        it is not known), ``stacking_weight`` (of the few that were stacked), ``engine``, ``ok``,
        ``label``.
    choices : DataFrame
        One row a choice with more than one option, the most important first: ``choice``,
        ``options``, ``total`` (share of the variance of ``prob`` that is left on average when
        everything but this choice is held), ``first_order`` (share that lies between the means of
        the options), ``total_ratio`` and ``first_order_ratio`` (the same for the log rate ratio),
        ``swing`` (mean distance between the largest and the smallest ``prob`` when only this choice
        is changed), ``flips`` (share of those comparisons in which the rule's answer changes).
    averages : DataFrame
        One row a set of counts and kind of weights (``"equal"``, ``"model probabilities"``,
        ``"stacking"``): ``rows``, ``unseen``, ``weights``, ``specifications``, ``rate_ratio``
        (geometric mean), ``prob``, ``mcse``, ``largest`` (largest single weight).
    left_out : DataFrame
        One row a reason, with the number of combinations it rules out.
    share : float
        Share of the specifications that meet the rule.
    statement : str
        All this in two sentences.
    label : str
        What must be said of the counts; empty for data.
    """

    specifications: pd.DataFrame
    choices: pd.DataFrame
    averages: pd.DataFrame
    left_out: pd.DataFrame
    share: float
    statement: str
    label: str

    def __str__(self) -> str:
        """Return the statement."""
        return self.statement

    def _repr_html_(self) -> str:
        parts = [banner(self.label), heading("Specification curve"), paragraph(self.statement)]
        return block(*parts, table(self.choices), table(self.averages))


def specification_curve(
    trial: Trial,
    model: Model | str,
    *,
    families: Sequence[str] | None = None,
    priors: Mapping[str, Prior] | None = None,
    choices: Mapping[str, Sequence[str]] | None = None,
    rule: Rule | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    stacking: bool = True,
    yes: bool = False,
    seed: int = 1,
    workers: int | None = None,
    progress: bool | None = None,
) -> SpecificationCurve:
    """Refit a trial under every combination of choices that makes sense.

    Parameters
    ----------
    trial, model, families, priors, choices
        As in ``bayes_msc.sensitivity.specifications``.
    rule : Rule, optional
        By default P(RR < 1) of 0.95 or more.
    thresholds, seed, workers, progress
        As in ``bayes_msc.sensitivity.leave_patients_out``.
    stacking : bool
        Whether to weigh the count distributions and patient effects (on the trial's own counts,
        with the model's own terms and prior) by how well they foretell left-out patients.
    yes : bool
        Make also a grid that is expected to take more than five minutes.

    Returns
    -------
    SpecificationCurve

    Raises
    ------
    ModelError
        If a choice or option is unknown.
    SensitivityError
        If the grid would take long and ``yes`` is false: the message says how long.

    Notes
    -----
    Specification curve: Simonsohn, Simmons & Nelson 2020 (Nature Human Behaviour 4:1208). The share
    of specifications over a rule is no probability: it counts analyses as if they were equally
    reasonable, and a choice with more options counts more often.

    ``total`` is the total effect of Sobol's decomposition, taken over the combinations that were
    kept: the mean variance within sets of specifications that differ in one choice only, over the
    variance of all. It is not blurred where not everything was combined with everything, as the
    first-order share is. For these comparisons a family without overdispersion stands beside the
    common overdispersion of the others.
    """
    grid = specifications(trial, model, families=families, priors=priors, choices=choices)
    question = Question.of(rule, thresholds, seed, workers, progress)
    pairs = grid.pairs()
    _refuse_long(grid, pairs, workers, yes)
    found = question.refit(pairs)
    columns = (*question.columns[:-2], "log_mean", "log_marginal_likelihood", "engine", "ok")
    table = grid.table().join(shown(found, columns))
    table["weight"] = _weights(table)
    table["stacking_weight"] = np.nan
    if stacking:
        for index, weight in _stacked(grid, pairs, seed).items():
            table.loc[index, "stacking_weight"] = weight
    decomposed = decomposition(table)
    averages = _averages(table, question)
    table = table.sort_values("prob", ignore_index=True, kind="stable").assign(label=trial.label)
    table.insert(0, "place", np.arange(1, len(table) + 1))
    share = float(table["rule_met"].mean())
    return SpecificationCurve(
        table,
        decomposed,
        averages,
        grid.left_out,
        share,
        _statement(table, decomposed, question.rule, share),
        trial.label,
    )


def check_length(
    trial: Trial,
    model: Model,
    *,
    families: Sequence[str] | None = None,
    choices: Mapping[str, Sequence[str]] | None = None,
    workers: int | None = None,
    yes: bool = False,
) -> float:
    """Refuse a long grid before anything else is computed; return the seconds it should take.

    Raises
    ------
    SensitivityError
        As ``specification_curve``.
    """
    grid = specifications(trial, model, families=families, choices=choices)
    return _refuse_long(grid, grid.pairs(), workers, yes)


def _refuse_long(
    grid: Grid, pairs: Sequence[tuple[Model, Trial]], workers: int | None, yes: bool
) -> float:
    seconds = expected_seconds(grid, pairs, workers)
    if seconds > LONG and not yes:
        raise SensitivityError(
            f"{len(pairs)} specifications would take about {_time(seconds)}: ask for it with "
            "yes=True (--yes on the command line), or give fewer families or choices"
        )
    return seconds


def expected_seconds(
    grid: Grid, pairs: Sequence[tuple[Model, Trial]], workers: int | None = None
) -> float:
    """Guess how long a grid takes, the first time that its structures are compiled."""
    size = max(1.0, len(grid.trial.seen) / _ROWS)
    refits = size * sum(SECONDS[one.family] for one in grid.kept)
    compiling = COMPILING * len({structure(model, data) for model, data in pairs})
    return (refits + compiling) / (workers or os.cpu_count() or 1)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _outcome(table: pd.DataFrame) -> pd.Series:
    """Which counts a specification foretells: a joint baseline is foretold too."""
    joint = np.where(table["baseline"] == "joint", "with the baseline", "")
    return table["rows"] + ", " + table["unseen"] + ", " + joint


def _weights(table: pd.DataFrame) -> pd.Series:
    marginal = table["log_marginal_likelihood"]
    outcome = _outcome(table)
    known = marginal.notna().groupby(outcome).transform("all")
    weights = marginal.groupby(outcome).transform(lambda part: softmax(part.to_numpy(float)))
    return weights.where(known)


def _stacked(grid: Grid, pairs: Sequence[tuple[Model, Trial]], seed: int) -> dict[int, float]:
    """Stacking weights of the count distributions and patient effects, by row of the grid."""
    own = _own_choices(grid)
    chosen = [
        index
        for index, one in enumerate(grid.kept)
        if all(getattr(one, name) == value for name, value in own.items())
    ]
    if len(chosen) < 2:
        return {}
    elpds = {}
    for index in chosen:
        model, data = pairs[index]
        elpds[str(index)] = psis(fit(data, model, seed=seed, engine="auto", progress=False))
    weights = arviz_comparison(elpds)["weight"]
    return {index: float(weights[str(index)]) for index in chosen}


def _own_choices(grid: Grid) -> dict[str, str]:
    """What the model itself says where specifications differ otherwise than in their scatter."""
    terms = grid.model.terms_for(grid.trial)
    numbers = (grid.model.priors["log_rate_ratio"]).parameters
    wanted = {
        "period": "yes" if "period" in terms else "no",
        "carryover": "share" if any("carryover" in term for term in terms) else "none",
        "baseline": next(
            (n for n, t in (("log", "baseline"), ("count", "baseline-count")) if t in terms), "none"
        ),
        "covariates": "yes" if grid.model.covariates else "no",
        "rows": "scan",
        "unseen": "seen only",
        "prior": next((n for n, p in grid.priors.items() if p.parameters == numbers), ""),
    }
    options = grid.options
    return {n: v if v in options[n] else options[n][0] for n, v in wanted.items()}


def decomposition(table: pd.DataFrame) -> pd.DataFrame:
    """Say which choice matters most: see ``SpecificationCurve.choices``.

    Parameters
    ----------
    table : DataFrame
        One row a specification, with its choices, ``prob``, ``log_mean`` and ``rule_met``.
    """
    alike = table.assign(dispersion=table["dispersion"].replace("none", "common"))
    rows = []
    for choice in CHOICES:
        options = table[choice].nunique()
        others = [name for name in CHOICES if name != choice]
        sets = alike.groupby(others, sort=False)
        several = sets[choice].transform("nunique") > 1
        if options < 2 or not several.any():
            continue
        within = alike[several].groupby(others, sort=False)
        row = {"choice": choice, "options": options}
        for name, column in (("", "prob"), ("_ratio", "log_mean")):
            row[f"total{name}"] = _total(within[column], alike[column])
            row[f"first_order{name}"] = _first_order(alike[column], alike[choice])
        row["swing"] = float((within["prob"].max() - within["prob"].min()).mean())
        row["flips"] = float((within["rule_met"].max() != within["rule_met"].min()).mean())
        rows.append(row)
    columns = ["choice", "options", "total", "first_order", "total_ratio", "first_order_ratio"]
    found = pd.DataFrame(rows, columns=[*columns, "swing", "flips"])
    return found.sort_values("total", ascending=False, ignore_index=True)


def _total(within: Any, values: pd.Series) -> float:
    variance = float(values.var(ddof=0))
    return float(within.var(ddof=0).mean()) / variance if variance > 0 else 0.0


def _first_order(values: pd.Series, options: pd.Series) -> float:
    variance = float(values.var(ddof=0))
    means = values.groupby(options).transform("mean")
    return float(means.var(ddof=0)) / variance if variance > 0 else 0.0


def _averages(table: pd.DataFrame, question: Question) -> pd.DataFrame:
    rows = []
    for key, part in table.groupby([*DATA_CHOICES, _outcome(table)], sort=False):
        equal = pd.Series(1.0 / len(part), index=part.index)
        kinds = {"equal": equal, "model probabilities": part["weight"]}
        if part["stacking_weight"].notna().any():
            kinds["stacking"] = part["stacking_weight"]
        for kind, weights in kinds.items():
            own = part[weights.notna()]
            if len(own):
                share = weights[weights.notna()].to_numpy(float)
                rows.append({"rows": key[0], "unseen": key[1], **_average(own, kind, share)})
    return pd.DataFrame(rows)


def _average(part: pd.DataFrame, kind: str, share: NDArray[np.float64]) -> dict[str, object]:
    return {
        "weights": kind,
        "specifications": len(part),
        "rate_ratio": math.exp(float(share @ part["log_mean"])),
        "prob": float(share @ part["prob"]),
        "mcse": float(np.sqrt(np.sum((share * part["mcse"]) ** 2))),
        "largest": float(share.max()),
    }


def _statement(table: pd.DataFrame, choices: pd.DataFrame, rule: Rule, share: float) -> str:
    low, middle, high = table["prob"].quantile([0.0, 0.5, 1.0])
    words = (
        f"{int(table['rule_met'].sum())} of {len(table)} specifications ({share:.0%}) meet the "
        f"rule, {rule.words()}: {rule.statement} runs from {low:.3f} to {high:.3f}, with "
        f"{middle:.3f} in the middle."
    )
    bad = int((~table["ok"].astype(bool)).sum())
    if bad:
        words += f" {bad} of them did not pass their checks."
    if not len(choices):
        return words
    first = choices.iloc[0]
    return (
        f"{words} The choice of the {first['choice'].replace('_', ' ')} matters most: with "
        f"everything else held, it moves the probability by {first['swing']:.3f} on average."
    )
