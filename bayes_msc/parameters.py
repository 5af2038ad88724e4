"""Names of the parameters: where each may live, what it says, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_msc.errors import ModelError, one_of
from bayes_msc.prior import Prior

#: Parameters that a family has beside its mean, in the order in which they are reported.
FAMILY_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "poisson": (),
    "negative-binomial": ("sqrt_overdispersion",),
    "negative-binomial-1": ("sqrt_overdispersion",),
    "generalized-poisson": ("sqrt_overdispersion",),
    "zero-inflated-poisson": ("zero_inflation",),
    "zero-inflated-negative-binomial": ("sqrt_overdispersion", "zero_inflation"),
    "hurdle-negative-binomial": ("sqrt_overdispersion", "sqrt_zero_overdispersion"),
    "poisson-lognormal": ("sqrt_overdispersion",),
}
DISPERSIONS = ("common", "per-arm")
COVARIATE = "covariate_"
_PER_ARM = ("sqrt_overdispersion_control", "sqrt_overdispersion_active")


@dataclass(frozen=True)
class Parameter:
    """One parameter: the supports that its prior may have, and what it says."""

    supports: tuple[str, ...]
    words: str


_REAL, _POSITIVE, _UNIT = ("real",), ("positive",), ("unit",)
PARAMETERS: Mapping[str, Parameter] = {
    "log_rate": Parameter(
        _REAL, "log rate of the median patient on control, at the average baseline, in period 1"
    ),
    "log_rate_ratio": Parameter(
        _REAL, "log of the rate on the active treatment over the rate on control"
    ),
    "period_effect": Parameter(
        _REAL, "log of the rate in period 2 over the rate in period 1, on the same treatment"
    ),
    "carryover_fraction": Parameter(
        ("positive", "unit"),
        "share of log_rate_ratio that still acts in period 2, on control after active treatment",
    ),
    "carryover_effect": Parameter(
        _REAL,
        "log of the rate in period 2 on control after active treatment, over the rate without "
        "that treatment before",
    ),
    "baseline_slope": Parameter(
        _REAL, "change of the log rate with the baseline, in the form that the model takes it"
    ),
    "baseline_level": Parameter(
        _REAL, "log of the rate at baseline over the rate on control in period 1"
    ),
    "serial_dependence": Parameter(
        ("real", "unit"),
        "share of a scan's departure from its expected log count that the next scan keeps",
    ),
    "sqrt_overdispersion": Parameter(_POSITIVE, "square root of the overdispersion"),
    "sqrt_overdispersion_control": Parameter(
        _POSITIVE, "square root of the overdispersion on control"
    ),
    "sqrt_overdispersion_active": Parameter(
        _POSITIVE, "square root of the overdispersion on the active treatment"
    ),
    "zero_inflation": Parameter(_UNIT, "probability that a row is zero whatever its rate"),
    "sqrt_zero_overdispersion": Parameter(
        _POSITIVE, "square root of the overdispersion that governs how often a count is zero"
    ),
    "treatment_sd": Parameter(
        _POSITIVE, "standard deviation between patients of the log rate ratio"
    ),
    "patient_sd": Parameter(
        _POSITIVE, "standard deviation of the patient effects on the log scale"
    ),
}
#: Parameters that follow from a free one by its square.
SQUARES: Mapping[str, str] = {
    "sqrt_overdispersion": "overdispersion",
    "sqrt_overdispersion_control": "overdispersion_control",
    "sqrt_overdispersion_active": "overdispersion_active",
    "sqrt_zero_overdispersion": "zero_overdispersion",
}


def parameter(name: str) -> Parameter:
    """Look a parameter up; every covariate has one of its own.

    Raises
    ------
    ModelError
        If there is no such parameter; the message lists the known ones.
    """
    if name.startswith(COVARIATE):
        words = f"change of the log rate with one standard deviation of {name[len(COVARIATE) :]}"
        return Parameter(_REAL, words)
    one_of(name, PARAMETERS, "parameter", ModelError)
    return PARAMETERS[name]


def family_parameters(family: str, dispersion: str) -> tuple[str, ...]:
    """Free parameters of a family, with one overdispersion or one for each arm."""
    names = FAMILY_PARAMETERS[family]
    if dispersion == "common":
        return names
    return (*_PER_ARM, *(name for name in names if name != "sqrt_overdispersion"))


def derived(values: Mapping[str, Any]) -> dict[str, Any]:
    """What follows from the free parameters, with operators that NumPy and PyTensor share.

    Returns
    -------
    dict of str to number or array
        ``overdispersion`` (or one an arm) and ``zero_overdispersion`` from their square roots,
        ``carryover_effect`` from ``carryover_fraction``; only what the values allow.
    """
    found = {SQUARES[name]: value**2 for name, value in values.items() if name in SQUARES}
    if "carryover_fraction" in values:
        found["carryover_effect"] = values["carryover_fraction"] * values["log_rate_ratio"]
    return found


def derived_alone(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what follows from some of the free parameters alone."""
    if "carryover_fraction" in values and "log_rate_ratio" not in values:
        values = {name: value for name, value in values.items() if name != "carryover_fraction"}
    return derived(values)


def sources(name: str) -> tuple[str, ...]:
    """Free parameters that a derived one follows from."""
    if name == "carryover_effect":
        return ("carryover_fraction", "log_rate_ratio")
    return tuple(free for free, square in SQUARES.items() if square == name)


def root_of(name: str) -> str | None:
    """Free parameter whose square the name is; None where it is no square."""
    found = sources(name)
    return found[0] if len(found) == 1 else None


def check_support(name: str, prior: Prior) -> None:
    """Refuse a prior on numbers that a parameter cannot have.

    Raises
    ------
    ModelError
        Naming the parameter, its prior and the numbers it needs.
    """
    supports = parameter(name).supports
    if prior.is_fixed:
        value = float(np.asarray(prior["value"]))
        # without a free parameter to transform, the edge 0 itself is allowed
        if value < 0 and "real" not in supports:
            raise ModelError(f"{name} is fixed at {value:g}: it must be 0 or more")
        if value >= 1 and supports == _UNIT:
            raise ModelError(f"{name} is fixed at {value:g}: it must be below 1")
    elif prior.support not in supports:
        words = {"unit": "numbers between 0 and 1"}
        lives, needs = (
            " or ".join(words.get(s, f"{s} numbers") for s in kinds)
            for kinds in ((prior.support,), supports)
        )
        raise ModelError(
            f"the prior of {name} is {prior}, which lives on {lives}: {name} needs one on {needs}"
        )
