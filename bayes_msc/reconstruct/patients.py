"""Reconstructed data sets as trials of this package, and regressions of single patients."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pandas as pd

from bayes_msc.reconstruct.classes import transformed
from bayes_msc.reconstruct.coupling import Dataset, Row
from bayes_msc.reconstruct.negative_binomial import Cells, Fitted, fit
from bayes_msc.reconstruct.paper import Paper, Regression
from bayes_msc.trial import Trial


def labelled_orders(data: Dataset) -> int:
    """Return in how many ways the names of each arm's patients fit a data set.

    The patient who left is known by name.
    """
    whole = 1
    for arm in {row.arm for row in data}:
        own = [row for row in data if row.arm == arm and not row.left]
        whole *= math.factorial(len(own))
        whole //= math.prod(math.factorial(k) for k in Counter(own).values())
    return whole


def names(paper: Paper) -> dict[str, str]:
    """Return a letter for each arm: that of its first treatment, where they differ."""
    letters = [first[:1].upper() for first, _ in paper.arms.values()]
    if len(set(letters)) < len(letters):
        letters = [chr(ord("A") + k) for k in range(len(letters))]
    return dict(zip(paper.arms, letters, strict=True))


def to_trial(paper: Paper, data: Dataset, candidate: int, of: int) -> Trial:
    """Return a data set as a trial; scans that were carried forward are left empty."""
    by_scan = bool(data[0].changes) and paper.scans <= 2
    rows: list[dict[str, object]] = []
    letters, counted = names(paper), Counter[str]()
    for row in data:
        counted[row.arm] += 1
        patient = f"{letters[row.arm]}{counted[row.arm]}"
        for period in range(1, paper.periods + 1):
            own = _scans(paper, row, period) if by_scan else _sums(paper, row, period)
            for entry in own:
                entry |= {"patient": patient, "treatment": paper.treatment(row.arm, period)}
                if paper.periods == 2:
                    entry |= {"period": period, "sequence": row.arm}
                if paper.of("baseline"):
                    entry["baseline"] = row.baseline
                rows.append(entry)
    which = f" Candidate {candidate} of {of}." if of > 1 else ""
    return Trial(
        pd.DataFrame(rows),
        design="crossover" if paper.periods == 2 else "parallel",
        control=paper.control,
        active=paper.active,
        name=f"{paper.name}-reconstructed-{candidate}",
        title=f"{paper.title} (reconstruction, not data)",
        endpoint=paper.endpoint,
        exposure_unit="scan",
        provenance="reconstruction",
        source=(paper.source or f"Inferred from what is printed: {paper.title}.") + which,
    )


def _seen(paper: Paper, row: Row, period: int) -> int:
    """Scans of a period that were seen."""
    if not row.left or paper.drop_out is None:
        return paper.scans
    return max(0, min(paper.drop_out.scans_seen - (period - 1) * paper.scans, paper.scans))


def _scans(paper: Paper, row: Row, period: int) -> list[dict[str, object]]:
    end = row.end(period)
    counts = [end] if paper.scans == 1 else [row.totals[period - 1] - end, end]
    found: list[dict[str, object]] = []
    for k, count in enumerate(counts):
        scan = (period - 1) * paper.scans + k
        seen = k < _seen(paper, row, period)
        entry: dict[str, object] = {"scan": scan + 1, "count": float(count) if seen else np.nan}
        if paper.months:
            entry["month"] = paper.months[scan]
        found.append(entry)
    return found


def _sums(paper: Paper, row: Row, period: int) -> list[dict[str, object]]:
    """One row a period; of the patient who left only what was seen."""
    seen = _seen(paper, row, period)
    count = row.totals[period - 1] * seen / paper.scans if seen else np.nan
    return [{"count": count, "exposure": float(seen or paper.scans)}]


def fit_to_patients(paper: Paper, regression: Regression, data: Dataset) -> Fitted | None:
    """Fit a printed regression to the patients of a data set, one by one."""
    arms = list(paper.arms)
    total = np.array([row.totals[regression.period - 1] for row in data], float)
    exposure = np.ones(len(data))
    if not regression.carried_forward:
        seen = np.array([_seen(paper, row, regression.period) for row in data], float)
        total, exposure = total * seen / paper.scans, seen
    keep = exposure > 0
    covariate = transformed([row.baseline for row in data], regression.scale)
    cells = Cells(
        total=total[keep],
        size=np.ones(int(keep.sum())),
        covariate=(covariate - covariate.mean())[keep],
        arm=np.array([arms.index(row.arm) for row in data])[keep],
        log_exposure=np.log(exposure[keep]),
    )
    return fit(
        cells,
        overdispersion=regression.overdispersion,
        information=regression.information,
        sloped=regression.scale != "none",
    )
