"""Does it work? Simulated trials, reduced to what a paper would print, and reconstructed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from statistics import median, stdev

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.reconstruct.averaging import average_reconstruction
from bayes_msc.reconstruct.paper import Group, Paper
from bayes_msc.reconstruct.summary import GroupSummary
from bayes_msc.reconstruct.whole import Reconstruction, reconstruct
from bayes_msc.trial import Trial

COLUMNS = (
    "trial", "log_rate_ratio", "data_sets", "truth_found", "lower", "upper", "covered",
    "uniform_covered", "complete_lower", "complete_upper", "complete_covered",
    "share_not_having_data", "label",
)  # fmt: skip
LABEL = "simulated, not data"
LISTED = 200
DRAWN = 100


@dataclass(frozen=True)
class Truth:
    """What the simulated trials come from: the prior of the model that is fitted to them."""

    log_rate: tuple[float, float] = (1.2, 0.5)
    log_rate_ratio: tuple[float, float] = (0.0, 1.0)
    sqrt_overdispersion: float = 0.7


def model_of(truth: Truth) -> Model:
    """Return the model whose prior the simulated trials are drawn from."""
    card = Model.load("count-negative-binomial").without_term("baseline")
    return (
        card.with_prior("log_rate", Prior.normal(*truth.log_rate, "the simulation's own"))
        .with_prior("log_rate_ratio", Prior.normal(*truth.log_rate_ratio, "the simulation's own"))
        .with_prior(
            "sqrt_overdispersion",
            Prior.half_normal(truth.sqrt_overdispersion, "the simulation's own"),
        )
        .with_prior("patient_sd", Prior.half_normal(0.01, "one row a patient: none to tell"))
    )


def coverage_check(
    trials: int = 200,
    *,
    patients: tuple[int, int] = (5, 4),
    decimals: int = 1,
    order_statistics: bool = False,
    truth: Truth | None = None,
    seed: int = 1,
    workers: int | None = None,
) -> pd.DataFrame:
    """Simulate trials, keep only what a paper prints, reconstruct, and look for the truth.

    Parameters
    ----------
    trials : int
    patients : (int, int)
        On the active treatment and on control.
    decimals : int
        Of the printed mean and SD.
    order_statistics : bool
        Whether median, minimum and maximum are printed, too.
    truth : Truth, optional
    seed, workers : int

    Returns
    -------
    DataFrame
        One row a trial: ``trial``, ``log_rate_ratio`` (true), ``data_sets`` (that fit),
        ``truth_found`` (whether the simulated counts are among them), ``lower``, ``upper`` (95 % of
        the averaged posterior, log scale), ``covered``, ``uniform_covered`` (with uniform weights),
        ``complete_lower``, ``complete_upper``, ``complete_covered`` (from the simulated counts
        themselves), ``share_not_having_data``, ``label``.

    Notes
    -----
    True values are drawn from the model's prior, so that 95 % intervals hold the truth in 95 % of
    trials if, and only if, the averaging is right.
    """
    from bayes_msc.refits import refit_many

    given = truth or Truth()
    rng = np.random.default_rng(seed)
    card = model_of(given)
    rows, complete = [], []
    for number in range(1, trials + 1):
        log_ratio, counts = _simulated(given, patients, rng)
        paper = paper_of(counts, decimals, order_statistics)
        found = reconstruct(paper, listed=LISTED, drawn=DRAWN, seed=number)
        averaged = average_reconstruction(
            found, card, thresholds=(1.0,), seed=number, workers=workers, progress=False
        )
        model, uniform = averaged.summary.to_dict("records")
        ends = math.log(model["lower"]), math.log(model["upper"])
        rows.append(
            (number, log_ratio, len(found.datasets), holds(found, counts), *ends,
             ends[0] <= log_ratio <= ends[1],
             math.log(uniform["lower"]) <= log_ratio <= math.log(uniform["upper"]),
             model["share_not_having_data"])
        )  # fmt: skip
        complete.append((card, _trial(counts)))
    table = refit_many(complete, thresholds=(1.0,), seed=seed, workers=workers, progress=False)
    low, high = np.log(table["lower"]), np.log(table["upper"])
    names = [*COLUMNS[:8], "share_not_having_data"]
    result = pd.DataFrame(rows, columns=names)
    true = result["log_rate_ratio"]
    result = result.assign(
        complete_lower=low, complete_upper=high, complete_covered=(low <= true) & (true <= high),
        label=LABEL,
    )  # fmt: skip
    return result[list(COLUMNS)]


Counts = dict[str, list[int]]


def _simulated(
    truth: Truth, patients: Sequence[int], rng: np.random.Generator
) -> tuple[float, Counts]:
    """Draw a true log rate ratio and the counts of a trial."""
    log_rate, log_ratio = rng.normal(*truth.log_rate), rng.normal(*truth.log_rate_ratio)
    kappa = max((truth.sqrt_overdispersion * rng.normal()) ** 2, 1e-6)
    counts: Counts = {}
    for arm, n, mean in zip(
        ("drug", "placebo"), patients, (log_rate + log_ratio, log_rate), strict=True
    ):
        drawn = rng.poisson(math.exp(mean) * rng.gamma(1 / kappa, kappa, size=n))
        counts[arm] = [int(value) for value in drawn]
    return float(log_ratio), counts


def paper_of(counts: Counts, decimals: int, order_statistics: bool) -> Paper:
    """Return what a paper would print on the counts of two arms."""
    groups = []
    for arm, own in counts.items():
        summary = _printed(own, decimals, f"total of {arm}", order_statistics)
        groups.append(Group("total", ((arm, 1),), summary))
    arms = {arm: (arm, len(own)) for arm, own in counts.items()}
    return Paper(
        "simulated", "simulated trial", "lesions", "placebo", "drug", "simulated, not data", 1, 1,
        (), arms, None, tuple(groups),
    )  # fmt: skip


def _printed(own: list[int], decimals: int, label: str, order_statistics: bool) -> GroupSummary:
    def shown(value: float | Decimal, places: int) -> str:
        return str(Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))

    also = order_statistics
    return GroupSummary.of(
        len(own), shown(Decimal(sum(own)) / len(own), decimals), shown(stdev(own), decimals),
        median=shown(Decimal(median(own)), 1) if also else None,
        minimum=min(own) if also else None, maximum=max(own) if also else None,
        all_equal=True, label=label,
    )  # fmt: skip


def holds(found: Reconstruction, counts: Counts) -> bool:
    """Whether counts are among the reconstructed data sets (or, if only some were drawn, fit)."""
    want = {arm: sorted(own) for arm, own in counts.items()}
    if not found.complete:
        from bayes_msc.reconstruct.pieces import sets_of

        return all(
            tuple(want[group.cells[0][0]][::-1]) in sets_of(group.summary)
            for group in found.paper.of("total")
        )
    return any(
        all(
            sorted(row.totals[0] for row in data if row.arm == arm) == own
            for arm, own in want.items()
        )
        for data in found.datasets
    )


def _trial(counts: Counts) -> Trial:
    rows = [
        {"patient": f"{arm}{k}", "treatment": arm, "count": value, "exposure": 1.0}
        for arm, own in counts.items()
        for k, value in enumerate(own)
    ]
    return Trial(
        pd.DataFrame(rows), design="parallel", control="placebo", active="drug",
        provenance="simulated", name="simulated",
    )  # fmt: skip


def shares(table: pd.DataFrame) -> NDArray[np.float64]:
    """Return shares of trials: truth found; covered, with uniform weights, with the data."""
    columns = ["truth_found", "covered", "uniform_covered", "complete_covered"]
    return table[columns].mean().to_numpy(float)
