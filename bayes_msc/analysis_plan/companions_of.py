"""What a plan wants beside its primary answer: classical methods, families, trials, calibration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from bayes_msc.analysis_plan.tables import FIRST, WHOLE, Beside
from bayes_msc.companions import Companions, companions
from bayes_msc.errors import BayesMSCError
from bayes_msc.estimands import answer
from bayes_msc.first_period import FIRST as FIRST_WORDS
from bayes_msc.first_period import whole_words
from bayes_msc.simulation.shipped import design_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from bayes_msc.analysis_plan.progress import Begin
    from bayes_msc.analysis_plan.reading import AnalysisPlan
    from bayes_msc.analysis_plan.subject import Counts
    from bayes_msc.published import Published
    from bayes_msc.simulation.calibrating import Calibration

STEP, CALIBRATION = "other methods", "calibration"


def wanted(plan: AnalysisPlan) -> Beside:
    """What the plan wants beside its answer; its default where it does not say."""
    return plan.tables.beside or Beside()


def parts_of(plan: AnalysisPlan) -> tuple[str, ...]:
    """Parts of ``companions`` that a plan asks for."""
    named = bool(plan.tables.data.external)
    return ("changes", *wanted(plan).answers, *(("evidence",) if named else ()))


def companions_of(
    plan: AnalysisPlan,
    counts: Counts,
    tree: xr.DataTree,
    beside: pd.DataFrame,
    external: Sequence[Published] | None,
    workers: int | None,
    begin: Begin,
) -> Companions:
    """Compute what stands beside the primary answer.

    Parameters
    ----------
    plan : AnalysisPlan
    counts : Counts
    tree : DataTree
        The fit of the primary estimand.
    beside : DataFrame
        The refits that the plan wanted, one row each: those of ``refit_many``, with ``estimand``.
    external : sequence of Published, optional
        The other trials that the plan names.
    workers : int, optional
        Processes for a calibration.
    begin : callable
        Told the name of each step.
    """
    assert plan.tables.computation is not None
    seed = plan.tables.computation.seed
    calibration, why = None, ""
    if wanted(plan).calibrate:
        begin(CALIBRATION)
        calibration, why = _calibrated(plan, counts, seed, workers)
    begin(STEP)
    found = companions(
        tree,
        parts_of(plan),
        external=list(external or ()),
        families=plan.tables.sensitivity.families,
        calibration=calibration,
        seed=seed,
    )
    skipped = {**found.skipped, **({CALIBRATION: why} if why else {})}
    return replace(found, first_period=_two_estimands(counts, tree, beside), skipped=skipped)


def _calibrated(
    plan: AnalysisPlan, counts: Counts, seed: int, workers: int | None
) -> tuple[Calibration | None, str]:
    from bayes_msc.simulation.calibrating import calibrate

    trial, model = counts.primary
    trials = wanted(plan).calibrate
    try:
        return calibrate(model, design_of(trial), trials=trials, seed=seed, workers=workers), ""
    except BayesMSCError as error:
        return None, str(error)


def _two_estimands(counts: Counts, tree: xr.DataTree, beside: pd.DataFrame) -> pd.DataFrame | None:
    """First period and whole crossover where the plan estimates both, the numbers as they stand."""
    if not {FIRST, WHOLE} <= set(counts.parts):
        return None
    primary = next(iter(counts.parts))
    rows = []
    for name in (FIRST, WHOLE):
        trial, model = counts.parts[name]
        words = FIRST_WORDS if name == FIRST else whole_words(model, trial)
        size = {"patients": trial.seen["patient"].nunique(), "rows": len(trial.seen)}
        found = answer(tree) if name == primary else _refitted(beside, name)
        rows.append({"estimand": name, "what": words, **size, **found, "label": trial.label})
    return pd.DataFrame(rows)


def _refitted(beside: pd.DataFrame, name: str) -> dict[str, object]:
    row = beside[beside["estimand"] == name].iloc[0]
    numbers = {key: float(row[key]) for key in ("median", "lower", "upper")}
    chance = {"probability": float(row["prob_below_1"]), "mcse": float(row["mcse_below_1"])}
    return {**numbers, **chance, "verdict": "ok" if row["ok"] else "check failed"}
