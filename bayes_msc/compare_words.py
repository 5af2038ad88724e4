"""What the patients of a trial cannot tell apart, in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: A smaller difference in elpd says little, whatever its standard error (Sivula et al. 2020).
LITTLE = 4.0
#: A difference of fewer standard errors may be chance.
STANDARD_ERRORS = 2.0
#: With fewer patients the standard error of a difference is itself unreliable (Sivula et al. 2020).
ENOUGH_PATIENTS = 100


def indistinguishable(difference: pd.Series, se: pd.Series) -> NDArray[np.bool_]:
    """Whether each model's elpd is too close to the best one's to call the model worse.

    Parameters
    ----------
    difference, se : Series of float
        Difference in elpd to the best model, and its standard error.
    """
    gap = difference.abs().to_numpy(dtype=float)
    return np.asarray((gap < LITTLE) | (gap < STANDARD_ERRORS * se.to_numpy(dtype=float)))


def statement(models: pd.DataFrame, patients: int) -> str:
    """Say what these patients cannot tell apart, and how far the answer hangs on it.

    Parameters
    ----------
    models : DataFrame
        The table of a ``Comparison``, best model first.
    patients : int
        Number of patients.
    """
    if len(models) == 1:
        return "One model alone: nothing to tell apart."
    close, worse = models[~models["told_apart"]], models[models["told_apart"]]
    sentences = [_close(close, len(models), patients), *_worse(worse)]
    if len(close) > 1:
        sentences.append(_spread(close))
    if patients < ENOUGH_PATIENTS:
        sentences.append(
            f"With {patients} patients the standard error of a difference is itself rough, and "
            "often too small: read a gap as a hint."
        )
    return " ".join([*sentences, *_unreliable(models)])


def _close(close: pd.DataFrame, total: int, patients: int) -> str:
    best, *others = close["model"]
    if not others:
        return f"{best} foretells these {patients} patients best."
    which = _listed(others)
    if len(close) == total and total > 2:
        which = f"any of the other {total - 1} models"
    return (
        f"These {patients} patients cannot tell {which} from {best}, which foretells them best: "
        f"the difference in elpd is below {LITTLE:g}, or below {STANDARD_ERRORS:g} standard errors."
    )


def _worse(worse: pd.DataFrame) -> list[str]:
    if worse.empty:
        return []
    gaps = [
        f"{row['model']} (elpd lower by {-row['elpd_difference']:.1f}, standard error "
        f"{row['difference_se']:.1f})"
        for row in worse.to_dict("records")
    ]
    return [f"{_listed(gaps)} {'foretells' if len(gaps) == 1 else 'foretell'} them worse."]


def _spread(close: pd.DataFrame) -> str:
    ratio, below = close["rate_ratio"], close["probability"]
    return (
        f"Over the models not told apart, the median of the rate ratio goes from {ratio.min():.2f} "
        f"to {ratio.max():.2f}, the probability that it is below 1 from {below.min():.3f} to "
        f"{below.max():.3f}."
    )


def _unreliable(models: pd.DataFrame) -> list[str]:
    found = models.loc[models["unreliable"] > 0, "model"]
    if found.empty:
        return []
    return [
        f"At least one patient could not be left out reliably in {_listed(found)}: there the elpd "
        "is not to be trusted."
    ]


def _listed(items: pd.Series | list[str]) -> str:
    *first, last = list(items)
    return f"{', '.join(first)} and {last}" if first else str(last)
