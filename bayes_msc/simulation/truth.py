"""Truths: what is so in a simulated trial, known for once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import DesignError, one_of
from bayes_msc.notebook import block, heading, listing
from bayes_msc.parameters import FAMILY_PARAMETERS, SQUARES
from bayes_msc.prior import Prior
from bayes_msc.simulation.fitted import parameter_draws, source_of

if TYPE_CHECKING:
    import xarray as xr

Parameters = dict[str, NDArray[np.float64]]
#: Parameters of a simulated trial, by the names of the models' own.
NAMES = (
    "log_rate",
    "log_rate_ratio",
    "period_effect",
    "carryover_fraction",
    "carryover_effect",
    "overdispersion",
    "patient_sd",
    "zero_inflation",
    "zero_overdispersion",
    "treatment_sd",
)


class AnyTruth(Protocol):
    """What ``generate`` asks of a truth."""

    @property
    def family(self) -> str:
        """A key of the family table."""

    @property
    def outlier(self) -> float:
        """What the rate of one patient is multiplied by."""

    def parameters(self, trials: int, rng: np.random.Generator) -> Parameters:
        """Parameters of each trial, by the names in ``NAMES``, each of shape (trials,)."""

    def to_table(self) -> dict[str, Any]:
        """The truth as plain values, of which a hash can be taken."""


@dataclass(frozen=True)
class Truth:
    """What is so in every trial of a simulation.

    Parameters
    ----------
    rate_ratio : float
        Rate on the active treatment over the rate on control; 1 is no effect.
    control_rate : float
        Events per unit of exposure on control of the median patient.
    overdispersion : float
        kappa of the variance mean + kappa mean² of one patient's counts.
    patient_sd : float
        Standard deviation of the patients' log rates.
    period_ratio : float
        Rate in period 2 over that in period 1, on the same treatment.
    carryover : float
        Share of the log rate ratio that still acts on control after the active treatment.
    zero_inflation : float
        Chance that a scan is empty whatever its rate (families with extra zeros only); the mean
        is kept.
    zero_overdispersion : float
        Overdispersion that governs how often a count is zero (hurdle family only).
    treatment_sd : float
        Standard deviation between patients of their own log rate ratios.
    outlier : float
        What the rate of one patient of the trial, any one, is multiplied by, on both treatments.
    family : str
        A key of the family table; Poisson data are negative binomial with overdispersion 0.
    source : str
        Where the values come from, in words; it changes no simulated trial.

    Raises
    ------
    DesignError
        If a number is impossible, or the family has no such parameter.
    """

    rate_ratio: float
    control_rate: float
    overdispersion: float = 0.0
    patient_sd: float = 0.0
    period_ratio: float = 1.0
    carryover: float = 0.0
    zero_inflation: float = 0.0
    zero_overdispersion: float = 0.0
    treatment_sd: float = 0.0
    outlier: float = 1.0
    family: str = "negative-binomial"
    source: str = ""

    def _repr_html_(self) -> str:
        shown = {name: value for name, value in vars(self).items() if value != ""}
        return block(heading("Truth of simulated trials"), listing(shown))

    def __post_init__(self) -> None:
        one_of(self.family, FAMILY_PARAMETERS, "count family", DesignError)
        for name in ("rate_ratio", "control_rate", "period_ratio", "outlier"):
            self._check(name, above=0.0)
        for name in ("overdispersion", "patient_sd", "zero_overdispersion", "treatment_sd"):
            self._check(name)
        self._check("zero_inflation")
        if self.zero_inflation >= 1:
            raise DesignError(f"zero_inflation is {self.zero_inflation:g}: it must be below 1")
        if not math.isfinite(self.carryover):
            raise DesignError(f"carryover is {self.carryover:g}: it must be finite")
        owned = {SQUARES.get(name, name) for name in FAMILY_PARAMETERS[self.family]}
        for name in ("overdispersion", "zero_inflation", "zero_overdispersion"):
            if getattr(self, name) and name not in owned:
                fitting = [
                    family
                    for family, names in FAMILY_PARAMETERS.items()
                    if name in {SQUARES.get(n, n) for n in names}
                ]
                raise DesignError(
                    f"{self.family} has no {name}: set family to one of {', '.join(fitting)}"
                )

    def _check(self, name: str, above: float | None = None) -> None:
        value = getattr(self, name)
        possible = value > above if above is not None else value >= 0
        if not (possible and math.isfinite(value)):
            allowed = "above 0" if above is not None else "0 or more"
            raise DesignError(f"{name} of the truth is {value:g}: it must be {allowed}")

    @classmethod
    def of_fit(cls, fit: xr.DataTree, *, rate_ratio: float | None = None) -> Truth:
        """Return the truth in the middle of a fit's posterior: the median of every parameter.

        Parameters
        ----------
        fit : DataTree
            From ``bayes_msc.fit``; its model's family is taken. Rates are per unit of its trial's
            exposure. Baseline and covariates go into ``patient_sd``: see
            ``bayes_msc.simulation.fitted.parameter_draws``.
        rate_ratio : float, optional
            Instead of the posterior's own; 1 for a treatment that does nothing.

        Raises
        ------
        DesignError
            If the model has what a truth cannot have.
        """
        from bayes_msc.fit import model_of

        found = parameter_draws(fit)
        if "carryover_effect" in found:
            raise DesignError(
                "the fit's carryover is apart from its rate ratio, and a truth's is a share of it: "
                "take the draws, UncertainTruth.of_fit(fit)"
            )
        middle = {name: float(np.median(found[name])) for name in NAMES if name in found}
        log_rate, log_ratio = middle.pop("log_rate"), middle.pop("log_rate_ratio")
        period = middle.pop("period_effect", 0.0)
        return cls(
            rate_ratio=math.exp(log_ratio) if rate_ratio is None else rate_ratio,
            control_rate=math.exp(log_rate),
            period_ratio=math.exp(period),
            carryover=middle.pop("carryover_fraction", 0.0),
            family=model_of(fit).family,
            source=f"posterior medians of {source_of(fit)}",
            **middle,
        )

    def values(self) -> dict[str, float]:
        """Return the parameters by the names in ``NAMES`` (but ``carryover_effect``)."""
        return {
            "log_rate": math.log(self.control_rate),
            "log_rate_ratio": math.log(self.rate_ratio),
            "period_effect": math.log(self.period_ratio),
            "carryover_fraction": self.carryover,
            "overdispersion": self.overdispersion,
            "patient_sd": self.patient_sd,
            "zero_inflation": self.zero_inflation,
            "zero_overdispersion": self.zero_overdispersion,
            "treatment_sd": self.treatment_sd,
        }

    def parameters(self, trials: int, rng: np.random.Generator) -> Parameters:
        """Return the parameters of each trial, by the names in ``NAMES``: all trials alike."""
        return {name: np.full(trials, value) for name, value in self.values().items()}

    def to_table(self) -> dict[str, Any]:
        """Return the truth as plain values, of which a hash can be taken."""
        table = asdict(self)
        # words make no trials
        del table["source"]
        return table


@dataclass(frozen=True, eq=False)
class UncertainTruth:
    """A truth that is another one in each trial: drawn from priors, or from a posterior.

    Parameters
    ----------
    base : Truth
        What is so where nothing is drawn.
    priors : mapping of str to Prior
        By the names in ``NAMES`` (also ``sqrt_overdispersion``), such as ``log_rate_ratio``.
    draws : DataFrame, optional
        Joint draws of some of the same parameters, one a row, such as a posterior's; a trial takes
        one row of them.
    source : str
        Where the draws come from, in words; it changes no simulated trial.

    Raises
    ------
    DesignError
        On an unknown parameter.
    """

    base: Truth
    priors: Mapping[str, Prior] = field(default_factory=dict)
    draws: pd.DataFrame | None = None
    source: str = ""

    def _repr_html_(self) -> str:
        drawn: dict[str, object] = {} if self.draws is None else {"draws": len(self.draws)}
        if self.draws is not None:
            middle = self.draws.median()
            drawn |= {
                f"{name} (median of the draws)": f"{middle[name]:.3g}" for name in middle.index
            }
        hidden = {"source", *NAMES} if self.draws is not None else {"source"}
        fixed = {name: value for name, value in vars(self.base).items() if name not in hidden}
        shown = {**fixed, **self.priors, **drawn, "source": self.source or self.base.source}
        shown = {name: value for name, value in shown.items() if value != ""}
        return block(heading("Uncertain truth of simulated trials"), listing(shown))

    def __post_init__(self) -> None:
        given = [*self.priors, *(self.draws.columns if self.draws is not None else ())]
        for name in given:
            one_of(SQUARES.get(name, name), NAMES, "parameter of a truth", DesignError)

    @property
    def family(self) -> str:
        """Family of the counts."""
        return self.base.family

    @property
    def outlier(self) -> float:
        """What the rate of one patient is multiplied by."""
        return self.base.outlier

    @classmethod
    def of_fit(
        cls, fit: xr.DataTree, base: Truth | None = None, *, rate_ratio: float | None = None
    ) -> UncertainTruth:
        """Return the truths that a fit's posterior holds for possible.

        Parameters
        ----------
        fit : DataTree
            From ``bayes_msc.fit``; its model's family is taken. Baseline and covariates go into
            ``patient_sd``: see ``bayes_msc.simulation.fitted.parameter_draws``.
        base : Truth, optional
            What is so beside, such as an outlier; by default nothing.
        rate_ratio : float, optional
            The same in every trial, instead of the posterior's own: only the rest is drawn.

        Raises
        ------
        DesignError
            If the model has what a truth cannot have.
        """
        from bayes_msc.fit import model_of

        found = parameter_draws(fit)
        known = {name: found[name] for name in NAMES if name in found}
        if rate_ratio is not None:
            del known["log_rate_ratio"]
        start = base or Truth(1.0, 1.0, family=model_of(fit).family)
        if rate_ratio is not None:
            start = replace(start, rate_ratio=rate_ratio)
        source = f"posterior draws of {source_of(fit)}"
        return cls(start, draws=pd.DataFrame(known), source=source)

    def parameters(self, trials: int, rng: np.random.Generator) -> Parameters:
        """Draw the parameters of each trial, by the names in ``NAMES``."""
        values = self.base.parameters(trials, rng)
        if self.draws is not None:
            chosen = self.draws.iloc[rng.integers(0, len(self.draws), trials)]
            drawn = {str(name): chosen[name].to_numpy(float) for name in chosen}
        else:
            drawn = {}
        for name, prior in self.priors.items():
            drawn[name] = np.asarray(prior.frozen().rvs(trials, random_state=rng), dtype=float)
        squares = {SQUARES[name]: drawn.pop(name) ** 2 for name in list(drawn) if name in SQUARES}
        return {**values, **drawn, **squares}

    def to_table(self) -> dict[str, Any]:
        """Return the truth as plain values, of which a hash can be taken."""
        table: dict[str, Any] = {
            "base": self.base.to_table(),
            "priors": {name: str(prior) for name, prior in self.priors.items()},
        }
        if self.draws is not None:
            values = np.ascontiguousarray(self.draws.to_numpy(float))
            table["columns"] = [str(name) for name in self.draws.columns]
            table["draws"] = hashlib.sha256(values.tobytes()).hexdigest()
        return table
