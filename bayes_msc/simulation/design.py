"""Designs of trials that are to be simulated: who gets what, when, and who leaves."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import DesignError, one_of
from bayes_msc.roles import DESIGNS
from bayes_msc.trial import Trial

CONTROL, ACTIVE = "control", "active"
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class DropOut:
    """How patients leave: the chance to leave between one scan and the next.

    Attributes
    ----------
    probability : float
        Chance to leave after a scan without lesions.
    per_doubling : float
        Log odds ratio of leaving for each doubling of (1 + lesions on the last scan); 0 is
        leaving at random, above 0 patients leave because they fare badly, as in a trial in which
        a relapse ends the blinded treatment.
    on_control_only : bool
        Whether patients leave on control only.

    Raises
    ------
    DesignError
        If a number is impossible.
    """

    probability: float
    per_doubling: float = 0.0
    on_control_only: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.probability < 1:
            raise DesignError(
                f"the drop-out probability is {self.probability:g}: it must be between 0 and 1 "
                "(leave drop-out away for a trial that nobody leaves)"
            )
        if not math.isfinite(self.per_doubling):
            raise DesignError(f"per_doubling is {self.per_doubling:g}: it must be finite")

    def chance(self, count: NDArray[np.int64], treated: Matrix) -> Matrix:
        """Chance to leave after each of these counts, of the same shape."""
        odds = math.log(self.probability / (1 - self.probability))
        chance = 1.0 / (1.0 + np.exp(-(odds + self.per_doubling * np.log2(1.0 + count))))
        return np.where(treated > 0, 0.0, chance) if self.on_control_only else np.asarray(chance)


@dataclass(frozen=True)
class Design:
    """A design of a trial.

    Parameters
    ----------
    kind : {"parallel", "crossover"}
    active, control : int
        Patients on the active treatment and on control; in an AB/BA crossover those who get it
        first.
    scans : int
        Scans of each patient, in a crossover those of each of the two periods.
    exposure : float
        Exposure behind each count, in the trial's unit.
    baseline : bool
        Whether one scan is made before treatment.
    drop_out : DropOut, optional
        How patients leave; by default nobody does.

    Raises
    ------
    DesignError
        If a number is impossible.

    Examples
    --------
    >>> founding = Design("crossover", active=5, control=4, scans=2)
    >>> founding.patients, founding.rows
    (9, 4)
    """

    kind: str
    active: int
    control: int
    scans: int = 1
    exposure: float = 1.0
    baseline: bool = False
    drop_out: DropOut | None = None

    def __post_init__(self) -> None:
        one_of(self.kind, DESIGNS, "kind of design", DesignError)
        for name in ("active", "control", "scans"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1):
                raise DesignError(f"{name} of the design is {value!r}: a whole number, 1 or more")
        if not (self.exposure > 0 and math.isfinite(self.exposure)):
            raise DesignError(f"the exposure of the design is {self.exposure:g}: above 0")

    @property
    def patients(self) -> int:
        """Number of patients."""
        return self.active + self.control

    @property
    def periods(self) -> int:
        """Number of periods: 2 in a crossover."""
        return 2 if self.kind == "crossover" else 1

    @property
    def rows(self) -> int:
        """Scans of each patient over all periods."""
        return self.scans * self.periods

    def with_patients(self, patients: int) -> Design:
        """Return the design with another number of patients, shared out in the same ratio."""
        active = min(max(round(patients * self.active / self.patients), 1), patients - 1)
        return replace(self, active=active, control=patients - active)

    def columns(self) -> dict[str, Matrix]:
        """What each row is, by column.

        Returns
        -------
        dict of str to ndarray of float, shape (patients, rows)
            ``treated``, ``second`` (whether it is in period 2), ``carry`` (whether it is on control
            after the active treatment), each 0 or 1; ``period`` and ``scan`` as numbers.
        """
        starts_active = (np.arange(self.patients) < self.active)[:, None]
        scan = np.broadcast_to(np.arange(self.rows), (self.patients, self.rows))
        second = scan >= self.scans
        treated = starts_active != second
        columns = {
            "treated": treated,
            "second": second,
            "carry": second & ~treated,
            "period": 1 + second,
            "scan": 1 + scan,
        }
        return {name: np.asarray(column, dtype=float) for name, column in columns.items()}

    @cached_property
    def blank(self) -> Trial:
        """The design as a trial in which every count is 1."""
        columns = {name: column.ravel() for name, column in self.columns().items()}
        table = pd.DataFrame(
            {
                "patient": np.repeat([f"P{i + 1}" for i in range(self.patients)], self.rows),
                "period": columns["period"].astype(int),
                "scan": columns["scan"].astype(int),
                "treatment": np.where(columns["treated"] > 0, ACTIVE, CONTROL),
                "count": 1.0,
                "exposure": self.exposure,
            }
        )
        if self.kind == "parallel":
            table = table.drop(columns="period")
        if self.baseline:
            table["baseline"] = 1.0
        return Trial(
            table,
            design=self.kind,
            control=CONTROL,
            active=ACTIVE,
            name=self.words(),
            provenance="simulated",
        )

    def words(self) -> str:
        """Return the design in words, such as ``crossover of 9 patients (5:4), 2 x 2 scans``."""
        scans = f"{self.periods} x {self.scans}" if self.periods > 1 else f"{self.scans}"
        plural = "" if scans == "1" else "s"
        return (
            f"{self.kind} of {self.patients} patients ({self.active}:{self.control}), "
            f"{scans} scan{plural}"
        )

    def to_table(self) -> dict[str, Any]:
        """Return the design as plain values, of which a hash can be taken."""
        return asdict(self)
