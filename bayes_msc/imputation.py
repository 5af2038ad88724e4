"""Counts that were not seen, drawn after the fit given what was seen of the same patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msc.counts import FAMILIES
from bayes_msc.effects import recover
from bayes_msc.errors import ModelError, one_of
from bayes_msc.fit import model_of, trial_of
from bayes_msc.missing import CUT_SHORT, Plan, plan_of
from bayes_msc.model import Model
from bayes_msc.predictor import Draws, RowParameters, draws_of, row_parameters
from bayes_msc.provenance import IMPUTED, filled
from bayes_msc.rows import Rows, arrange
from bayes_msc.trial import Trial

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
DELTA = "delta"
ARMS = ("both", "control", "active")
#: Coefficients of active treatment, present or past: 0 for a patient who never had it.
_OF_TREATMENT = ("log_rate_ratio", "carryover_effect")


@dataclass(frozen=True)
class Strategy:
    """What is taken for granted about the counts that were not seen.

    Attributes
    ----------
    seen_as_control, unseen_as_control : bool
        Whether the patient's seen (unseen) rows are read as those of a patient who never had
        active treatment.
    ich : str
        The strategy for the intercurrent event, in the words of ICH E9(R1).
    question : str
        What the rate ratio then answers.
    assumption : str
        What is assumed about the unseen counts.
    """

    seen_as_control: bool
    unseen_as_control: bool
    ich: str
    question: str
    assumption: str


STRATEGIES: Mapping[str, Strategy] = {
    "own-arm": Strategy(
        False,
        False,
        "hypothetical",
        "What would the rate ratio be if everybody had stayed on the treatments as planned?",
        "missing at random: what was not seen goes on as the patient's seen counts foretell, on "
        "the treatment that was planned",
    ),
    "jump-to-reference": Strategy(
        False,
        True,
        "treatment policy",
        "What is the rate ratio between the treatments as assigned, if active treatment acts only "
        "while it is seen to be given?",
        "from the first unseen scan on, the patient is as without active treatment (jump to "
        "reference)",
    ),
    "copy-reference": Strategy(
        True,
        True,
        "treatment policy",
        "What is the rate ratio between the treatments as assigned, if active treatment did "
        "nothing for those who left?",
        "a patient with unseen scans was at no time helped by active treatment: the seen counts "
        "too are read so, to foretell the others (copy reference)",
    ),
    DELTA: Strategy(
        False,
        False,
        "treatment policy",
        "What is the rate ratio if those who left went on worse, or better, than their seen counts "
        "foretell?",
        "missing not at random: as own-arm, the mean of every unseen count times delta",
    ),
}


def draw_unseen(
    fit: xr.DataTree,
    strategy: str = "own-arm",
    *,
    delta: float = 1.0,
    arms: str = "both",
    seed: int = 1,
) -> xr.Dataset:
    """Draw the counts that were planned and not seen, one set for each posterior draw.

    Parameters
    ----------
    fit : xarray.DataTree
        From ``bayes_msc.fit``.
    strategy : str
        ``"own-arm"`` (missing at random), ``"jump-to-reference"``, ``"copy-reference"`` or
        ``"delta"``. The reference is the control arm.
    delta : float
        For the strategy ``"delta"``: what the mean of an unseen count is multiplied by.
    arms : {"both", "control", "active"}
        The planned treatment of the unseen counts that delta is for.
    seed : int

    Returns
    -------
    xarray.Dataset
        ``count``, of dimensions chain, draw and ``unseen``; along ``unseen`` the coordinates
        ``patient``, ``treatment`` (as planned), ``exposure``, ``why``, and ``period``, ``scan`` and
        ``month`` where the trial has them. Of length 0 where everything was seen.

    Raises
    ------
    ModelError
        If the strategy is unknown, delta is not above 0 or given for another strategy, the model
        has serial dependence, or a row was seen in part and its family says nothing of the rest.

    Notes
    -----
    Given the parameters, the patient's effect is drawn from its posterior given the patient's seen
    counts, and the unseen rows given that effect. Of a row that was seen for a part of its exposure
    a negative binomial count y tells of the unseen part too, as both share the row's own gamma
    variate: with seen and unseen means m and n, and size t = 1 / overdispersion, the unseen part is
    negative binomial of size t + y and mean n (t + y) / (t + m) (Keene, Roger, Hartley & Kenward
    2014, Pharmaceutical Statistics 13:258). Poisson, negative-binomial-1 and generalised Poisson
    counts of two parts of a row are independent given the patient, which adds up to the family's
    own whole row. With an excess of zeros, a row is always zero as a whole or not at all.
    """
    trial, model, draws = trial_of(fit), model_of(fit), draws_of(fit)
    plan = plan_of(trial)
    counts = draw_counts(plan, model, draws, strategy, delta, arms, np.random.default_rng(seed))
    sizes = fit["posterior"].sizes
    shape = (sizes["chain"], sizes["draw"], counts.shape[1])
    kept = plan.trial.data[plan.unseen > 0]
    names = [n for n in ("patient", "period", "scan", "month", "treatment") if n in kept]
    coords: dict[str, Any] = {name: ("unseen", kept[name].to_numpy()) for name in names}
    coords["exposure"] = ("unseen", plan.unseen[plan.unseen > 0])
    coords["why"] = ("unseen", plan.why[plan.unseen > 0])
    coords |= {dim: fit["posterior"][dim].to_numpy() for dim in ("chain", "draw")}
    return xr.Dataset({"count": (("chain", "draw", "unseen"), counts.reshape(shape))}, coords)


def draw_counts(
    plan: Plan,
    model: Model,
    draws: Draws,
    strategy: str,
    delta: float,
    arms: str,
    rng: np.random.Generator,
) -> Counts:
    """Draw unseen counts for given draws of the parameters: see ``draw_unseen``.

    Parameters
    ----------
    plan : Plan
    model : Model
    draws : mapping of str to ndarray, shape (draws,) or (draws, patients)
    strategy, delta, arms
        As in ``draw_unseen``.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int, shape (draws, unseen)
        In the order of the plan's rows.
    """
    check_strategy(strategy, delta, arms)
    hidden = np.flatnonzero(plan.unseen > 0)
    if not len(hidden):
        return np.zeros((len(draws["log_rate"]), 0), dtype=np.int64)
    rows = arrange(plan.trial, model, unseen=True)
    _check_rows(model, rows, plan)
    choice = STRATEGIES[strategy]
    draws = _for_patients(draws, plan.trial, rows, rng)
    seen_at = row_parameters(model, _read(rows, choice.seen_as_control), draws)
    unseen_at = row_parameters(model, _read(rows, choice.unseen_as_control), draws)
    z, _ = recover(
        model.family,
        rows,
        seen_at.eta,
        seen_at.loading,
        seen_at.overdispersion,
        seen_at.zero_part,
        rng,
    )
    place = (rows.patient_index[hidden], rows.row_index[hidden])
    z = z[:, place[0]]
    mean = _mean(unseen_at, place, z) * _shares(plan, hidden) * _deltas(plan, hidden, delta, arms)
    seen_mean = _mean(seen_at, place, z)
    counts = np.zeros(z.shape, dtype=np.int64)
    # a stream for each row: where two strategies mean the same, they draw the same
    for j, (row, stream) in enumerate(zip(hidden, rng.spawn(len(hidden)), strict=True)):
        if plan.why[row] == CUT_SHORT:
            k, p = _dispersion(seen_at, place, j)
            seen = rows.count[place][j]
            rest = REST[model.family]
            counts[:, j] = rest(stream, seen, seen_mean[:, j], mean[:, j], k, p)
        else:
            k, p = _dispersion(unseen_at, place, j)
            counts[:, j] = FAMILIES[model.family].random(stream, mean[:, j], k, p)
    return counts


def completed(plan: Plan, counts: Counts) -> Trial:
    """Put one set of drawn counts into the rows that were not seen.

    Parameters
    ----------
    plan : Plan
    counts : ndarray of int, shape (unseen,)

    Returns
    -------
    Trial
        With the exposure as planned, under a name and a label that say what it is.
    """
    table = plan.trial.data
    added = np.zeros(len(table))
    added[plan.unseen > 0] = counts
    short = plan.why == CUT_SHORT
    seen = table["count"].fillna(0.0)
    known = table["count"].notna() | (plan.unseen > 0)
    exposure = table["exposure"] + np.where(short, plan.unseen, 0.0)
    table = table.assign(count=(seen + added).where(known), exposure=exposure)
    trial = plan.trial
    words = f"{trial.title} (unseen counts {IMPUTED})"
    name, source = f"{trial.name}, {IMPUTED}", filled(trial.provenance, IMPUTED)
    return trial.with_counts_of(table, name, words, source)


def check_strategy(strategy: str, delta: float, arms: str) -> None:
    """Refuse an unknown strategy, and a delta that is no factor or that nobody asked for.

    Raises
    ------
    ModelError
        Naming what is allowed.
    """
    one_of(strategy, STRATEGIES, "strategy for unseen counts", ModelError)
    one_of(arms, ARMS, "choice of arms for delta", ModelError)
    if not (delta > 0 and np.isfinite(delta)):
        raise ModelError(
            f"delta is {delta:g}: it multiplies the mean of an unseen count, and must be above 0"
        )
    if delta != 1 and strategy != DELTA:
        raise ModelError(
            f"delta={delta:g} is for the strategy 'delta', and {strategy!r} takes none: leave it "
            "out, or ask for the strategy 'delta'"
        )


def _check_rows(model: Model, rows: Rows, plan: Plan) -> None:
    if rows.follows is not None:
        raise ModelError(
            f"{model.name} ties each scan to the one before it (term 'serial'), and unseen scans "
            "lie between or after the seen ones: draw them under model.without_term('serial')"
        )
    if model.family not in REST and (plan.why == CUT_SHORT).any():
        raise ModelError(
            f"a row was seen for a part of its exposure, and the family {model.family!r} does not "
            "say what a part tells of the rest: give each scan a row of its own, or take one of "
            f"{', '.join(REST)}"
        )


def _for_patients(draws: Draws, trial: Trial, rows: Rows, rng: np.random.Generator) -> Draws:
    """Draws with a treatment effect for patients of whom nothing was seen, where patients differ.

    The fit has no such patients; about them it knows what it knows of anybody.
    """
    if "patient_log_rate_ratio" not in draws:
        return draws
    own = rng.normal(size=(len(draws["log_rate"]), rows.n_patients))
    ratio = draws["log_rate_ratio"][:, None] + draws["treatment_sd"][:, None] * own
    seen = set(trial.seen["patient"])
    fitted = [i for i, patient in enumerate(rows.patients) if patient in seen]
    ratio[:, fitted] = draws["patient_log_rate_ratio"]
    return {**draws, "patient_log_rate_ratio": ratio}


def _read(rows: Rows, as_control: bool) -> Rows:
    """Rows as they are, or as those of patients who never had active treatment."""
    if not as_control:
        return rows
    design = rows.design.copy()
    for k, name in enumerate(rows.coefficients):
        if name in _OF_TREATMENT:
            design[:, :, k] = 0.0
    return replace(rows, design=design)


def _at(parameters: RowParameters, name: str, place: tuple[Any, Any]) -> Array:
    return np.asarray(getattr(parameters, name)[:, *place], dtype=float)


def _dispersion(parameters: RowParameters, place: tuple[Any, Any], j: int) -> tuple[Array, Array]:
    """Overdispersion and zero part of one of the rows, at each draw."""
    own = (place[0][j], place[1][j])
    return parameters.overdispersion[:, *own], parameters.zero_part[:, *own]


def _mean(parameters: RowParameters, place: tuple[Any, Any], z: Array) -> Array:
    """Means of some rows, shape (draws, rows), of patients whose effects are given."""
    log_mean = _at(parameters, "eta", place) + _at(parameters, "loading", place) * z
    return np.asarray(np.exp(log_mean))


def _shares(plan: Plan, hidden: NDArray[np.int64]) -> Array:
    """Unseen exposure over the exposure in the table, which is that of the seen part."""
    exposure: Array = plan.trial.data["exposure"].to_numpy(float)
    return plan.unseen[hidden] / exposure[hidden]


def _deltas(plan: Plan, hidden: NDArray[np.int64], delta: float, arms: str) -> Array:
    treatment = plan.trial.data["treatment"].to_numpy()[hidden]
    labels = {"control": (plan.trial.control,), "active": (plan.trial.active,)}
    chosen = labels.get(arms, (plan.trial.control, plan.trial.active))
    return np.where(np.isin(treatment, chosen), delta, 1.0)


Rest = Callable[[np.random.Generator, Array, Array, Array, Array, Array], Counts]


def _independent(family: str) -> Rest:
    def rest(
        rng: np.random.Generator, seen: Array, seen_mean: Array, mean: Array, k: Array, p: Array
    ) -> Counts:
        return FAMILIES[family].random(rng, mean, k, p)

    return rest


def _shared_gamma(
    rng: np.random.Generator, seen: Array, seen_mean: Array, mean: Array, k: Array, p: Array
) -> Counts:
    ahead = mean * (1.0 + k * seen) / (1.0 + k * seen_mean)
    return FAMILIES["negative-binomial"].random(rng, ahead, k / (1.0 + k * seen), p)


def _always_zero(inner: str) -> Rest:
    def rest(
        rng: np.random.Generator, seen: Array, seen_mean: Array, mean: Array, k: Array, p: Array
    ) -> Counts:
        seen_mean, mean = seen_mean / (1.0 - p), mean / (1.0 - p)
        ratio = np.log1p(k * seen_mean) / np.where(k > 0, k, 1.0)
        none = np.exp(-np.where(k > 0, ratio, seen_mean))
        always = np.where(seen > 0, 0.0, p / (p + (1.0 - p) * none))
        counts = REST[inner](rng, seen, seen_mean, mean, k, 0.0 * p)
        return np.where(rng.random(counts.shape) < always, 0, counts)

    return rest


#: How the seen part of a row tells of its unseen part, by family.
REST: Mapping[str, Rest] = {
    "poisson": _independent("poisson"),
    "negative-binomial": _shared_gamma,
    "negative-binomial-1": _independent("negative-binomial-1"),
    "generalized-poisson": _independent("generalized-poisson"),
    "zero-inflated-poisson": _always_zero("poisson"),
    "zero-inflated-negative-binomial": _always_zero("negative-binomial"),
}
