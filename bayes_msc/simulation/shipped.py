"""The calibration of the package's own cards, as it is shipped, and what it says of a fit.

The table is the one that ``python -m benchmarks.calibration`` writes and the validation page shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_msc.flow import flow
from bayes_msc.model import Model
from bayes_msc.simulation.calibrating import LEVEL, Calibration
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.sbc import adjusted
from bayes_msc.trial import Trial

#: Designs in which the shipped cards were calibrated: the founding trial's size.
FOUNDING = {
    "crossover": Design("crossover", active=5, control=4, scans=2, baseline=True),
    "parallel": Design("parallel", active=5, control=4, scans=4, baseline=True),
}
COLUMNS = ("quantity", "trials", "p", "p_adjusted", "inside", "coverage", "lower", "upper")
_NAME = "calibration.csv"


@dataclass(frozen=True, eq=False)
class Cited:
    """What a calibration says of a fit.

    Attributes
    ----------
    table : DataFrame
        One row a quantity: ``quantity``, ``trials``, ``p`` (of uniform ranks), ``p_adjusted``
        (Holm), ``inside``, ``coverage`` of the 95 % interval with ``lower`` and ``upper`` (95 %).
    design : Design
        In which it was made.
    own_card, own_design : bool
        Whether it was made with the card of the fit, and in a design like the trial's.
    asked : bool
        Whether it was made on request; otherwise it is the package's.
    """

    table: pd.DataFrame = field(repr=False)
    design: Design
    own_card: bool
    own_design: bool
    asked: bool

    @property
    def uneven(self) -> tuple[str, ...]:
        """Quantities whose ranks are not uniform, at 1 % for all of them together."""
        return tuple(self.table.loc[self.table["p_adjusted"] < LEVEL, "quantity"])


@cache
def _shipped() -> pd.DataFrame:
    """The whole table: from the installed package, or from the repository it is built from."""
    installed = resources.files("bayes_msc") / _NAME
    if installed.is_file():
        with resources.as_file(installed) as path:
            return pd.read_csv(path)
    return pd.read_csv(Path(__file__).parents[2] / "docs" / "_static" / _NAME)


def shipped_calibration(card: str) -> pd.DataFrame:
    """Return the shipped calibration of one card.

    Parameters
    ----------
    card : str
        Name of a card.

    Returns
    -------
    DataFrame
        The columns of ``Cited.table``; no rows if the card was not calibrated for this version.
    """
    whole = _shipped()
    own = whole[whole["card"] == card].reset_index(drop=True)
    own["p_adjusted"] = adjusted(own["p"]) if len(own) else pd.Series(dtype=float)
    return own[list(COLUMNS)]


def cited(model: Model, trial: Trial, calibration: Calibration | None = None) -> Cited | None:
    """Return what a calibration says of a model fitted to a trial.

    Parameters
    ----------
    model : Model
    trial : Trial
    calibration : Calibration, optional
        One of your own, from ``bayes_msc.calibrate``; by default the shipped one of the card of
        that name.

    Returns
    -------
    Cited or None
        None where nothing of the kind is at hand.
    """
    if calibration is not None:
        same = _same_card(model, calibration.model)
        asked = calibration.design
        design = design_of(asked) if isinstance(asked, Trial) else asked
        table = calibration.table[list(COLUMNS)]
        return Cited(table, design, same, like(trial, design), asked=True)
    table = shipped_calibration(model.name)
    if table.empty or model.name not in Model.names():
        return None
    design = FOUNDING["crossover" if model.design == "crossover" else "parallel"]
    same = _same_card(model, Model.load(model.name))
    return Cited(table, design, same, like(trial, design), asked=False)


def _same_card(one: Model, other: Model) -> bool:
    """Whether two models are the same but for where the rate's prior stands."""
    prior = one.priors["log_rate"]
    # set in both: to set a prior also says that it looks at no data
    return one.with_prior("log_rate", prior).sha256 == other.with_prior("log_rate", prior).sha256


def like(trial: Trial, design: Design) -> bool:
    """Whether a trial was planned as a design: kind, patients of each group, scans, baseline."""
    planned = flow(trial)
    return (
        trial.design == design.kind
        and trial.has_baseline == design.baseline
        and _group_sizes(trial, planned) == (design.active, design.control)
        and set(_scans_each(planned).round(6)) == {float(design.scans)}
    )


def design_of(trial: Trial) -> Design:
    """The design of a trial, to be simulated: its groups, scans of a period, exposure, baseline."""
    planned = flow(trial)
    active, control = _group_sizes(trial, planned)
    return Design(
        trial.design,
        active=active,
        control=control,
        scans=int(_scans_each(planned).round().mode().iloc[0]),
        exposure=float(np.median(trial.data["exposure"])),
        baseline=trial.has_baseline,
    )


def _group_sizes(trial: Trial, planned: pd.DataFrame) -> tuple[int, int]:
    """Patients that begin with active and with control; sequences may share a first treatment."""
    first = planned[planned["period"] == 1].groupby("treatment")["patients"].sum()
    return int(first.get(trial.active, 0)), int(first.get(trial.control, 0))


def _scans_each(planned: pd.DataFrame) -> pd.Series[float]:
    """Scans that were planned for a patient, by group and period."""
    return planned["expected"] / planned["patients"]
