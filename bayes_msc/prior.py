"""Prior distributions as small values: a distribution, its numbers, and the reason for them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_msc.distributions import DISTRIBUTIONS, Number
from bayes_msc.errors import PriorError, one_of


@dataclass(frozen=True)
class Prior:
    """A prior distribution with the reason for its numbers.

    Parameters
    ----------
    distribution : str
        One of the names in ``bayes_msc.prior.DISTRIBUTIONS``.
    parameters : tuple of float or tuple of float
        The numbers, in the order of the distribution's parameter names.
    why : str
        The reason for these numbers, in words for the reader of a report.

    Raises
    ------
    PriorError
        If the distribution is unknown or a number is impossible.

    Examples
    --------
    >>> Prior.normal(0, 0.5, why="a doubling would surprise us").interval(0.95)
    (-0.97998..., 0.97998...)
    """

    distribution: str
    parameters: tuple[Number, ...]
    why: str = ""

    def __post_init__(self) -> None:
        one_of(self.distribution, DISTRIBUTIONS, "prior distribution", PriorError)
        names = self.names
        if len(self.parameters) != len(names):
            raise PriorError(
                f"{self.distribution} takes {len(names)} numbers ({', '.join(names)}), "
                f"not {len(self.parameters)}"
            )
        cleaned = tuple(_clean(n, v) for n, v in zip(names, self.parameters, strict=True))
        object.__setattr__(self, "parameters", cleaned)
        for name in DISTRIBUTIONS[self.distribution].positive:
            values = np.atleast_1d(self[name])
            if not np.all(values > 0):
                raise PriorError(
                    f"{name} of a {self.distribution} prior is {self[name]!r}: it must be above 0"
                )
        if self.distribution == "normal_mixture":
            self._check_mixture()

    def _check_mixture(self) -> None:
        sizes = {len(np.atleast_1d(v)) for v in self.parameters}
        if len(sizes) != 1:
            raise PriorError("weights, locs and scales of a normal_mixture must be equally long")
        total = float(np.sum(self["weights"]))
        if abs(total - 1) > 1e-9:
            raise PriorError(f"weights of a normal_mixture sum to {total:g}: they must sum to 1")

    def __getitem__(self, name: str) -> Number:
        """One number by its name."""
        one_of(name, self.names, f"parameter of a {self.distribution} prior", PriorError)
        return self.parameters[self.names.index(name)]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the distribution's numbers, in order."""
        return DISTRIBUTIONS[self.distribution].parameters

    @property
    def support(self) -> str:
        """Where it lives: ``"real"``, ``"positive"`` or ``"unit"`` (0 to 1); ``"any"`` if fixed."""
        return DISTRIBUTIONS[self.distribution].support

    @classmethod
    def normal(cls, loc: float, scale: float, why: str = "") -> Prior:
        """Normal with mean ``loc`` and standard deviation ``scale``."""
        return cls("normal", (loc, scale), why)

    @classmethod
    def student_t(cls, df: float, loc: float, scale: float, why: str = "") -> Prior:
        """Student t with ``df`` degrees of freedom, centre ``loc``, width ``scale``."""
        return cls("student_t", (df, loc, scale), why)

    @classmethod
    def normal_mixture(
        cls, weights: Iterable[float], locs: Iterable[float], scales: Iterable[float], why: str = ""
    ) -> Prior:
        """Mixture of normals; the weights sum to 1."""
        return cls("normal_mixture", (tuple(weights), tuple(locs), tuple(scales)), why)

    @classmethod
    def half_normal(cls, scale: float, why: str = "") -> Prior:
        """Positive half of a normal with standard deviation ``scale``."""
        return cls("half_normal", (scale,), why)

    @classmethod
    def half_cauchy(cls, scale: float, why: str = "") -> Prior:
        """Positive half of a Cauchy with width ``scale``."""
        return cls("half_cauchy", (scale,), why)

    @classmethod
    def half_student_t(cls, df: float, scale: float, why: str = "") -> Prior:
        """Positive half of a Student t with ``df`` degrees of freedom and width ``scale``."""
        return cls("half_student_t", (df, scale), why)

    @classmethod
    def exponential(cls, rate: float, why: str = "") -> Prior:
        """Exponential with mean 1 / ``rate``."""
        return cls("exponential", (rate,), why)

    @classmethod
    def gamma(cls, shape: float, rate: float, why: str = "") -> Prior:
        """Gamma with mean ``shape`` / ``rate``."""
        return cls("gamma", (shape, rate), why)

    @classmethod
    def lognormal(cls, loc: float, scale: float, why: str = "") -> Prior:
        """Log-normal whose logarithm has mean ``loc`` and standard deviation ``scale``."""
        return cls("lognormal", (loc, scale), why)

    @classmethod
    def beta(cls, alpha: float, beta: float, why: str = "") -> Prior:
        """Beta on 0 to 1 with mean ``alpha`` / (``alpha`` + ``beta``)."""
        return cls("beta", (alpha, beta), why)

    @classmethod
    def fixed(cls, value: float, why: str = "") -> Prior:
        """All the mass on one ``value``: the parameter is set, not estimated."""
        return cls("fixed", (value,), why)

    @property
    def is_fixed(self) -> bool:
        """Whether the parameter is set rather than estimated."""
        return self.distribution == "fixed"

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Prior:
        """Build a prior from a TOML table: ``distribution``, its numbers by name, ``why``.

        Raises
        ------
        PriorError
            On a missing or unknown key, listing the known ones.
        """
        if "distribution" not in table:
            known = ", ".join(DISTRIBUTIONS)
            raise PriorError(f"a prior needs the key 'distribution': one of {known}")
        distribution = str(table["distribution"])
        one_of(distribution, DISTRIBUTIONS, "prior distribution", PriorError)
        names = DISTRIBUTIONS[distribution].parameters
        known_keys = ("distribution", *names, "why")
        for key in table:
            one_of(key, known_keys, f"key of a {distribution} prior", PriorError)
        missing = [name for name in names if name not in table]
        if missing:
            raise PriorError(f"a {distribution} prior also needs {', '.join(missing)}")
        return cls(distribution, tuple(table[n] for n in names), str(table.get("why", "")))

    def to_table(self) -> dict[str, Any]:
        """Return the TOML table that ``from_table`` reads."""
        numbers = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in zip(self.names, self.parameters, strict=True)
        }
        return {"distribution": self.distribution, **numbers, "why": self.why}

    def because(self, why: str) -> Prior:
        """Return the same distribution with another reason."""
        return replace(self, why=why)

    def frozen(self) -> Any:
        """Return a frozen scipy distribution (or one with ``pdf``, ``cdf``, ``ppf``, ``rvs``)."""
        return DISTRIBUTIONS[self.distribution].frozen(*self.parameters)

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Density at ``x``, of the same shape."""
        return np.asarray(self.frozen().pdf(np.asarray(x, dtype=float)))

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Probability of a value below ``x``, of the same shape."""
        return np.asarray(self.frozen().cdf(np.asarray(x, dtype=float)))

    def ppf(self, q: ArrayLike) -> NDArray[np.float64]:
        """Quantile at probability ``q``, of the same shape."""
        return np.asarray(self.frozen().ppf(np.asarray(q, dtype=float)))

    def interval(self, mass: float = 0.95) -> tuple[float, float]:
        """Equal-tailed interval that holds ``mass``."""
        low, high = self.ppf([(1 - mass) / 2, (1 + mass) / 2])
        return float(low), float(high)

    def __str__(self) -> str:
        """Return the usual notation, such as ``Normal(0, 1)``."""
        numbers = {
            name: ", ".join(f"{v:g}" for v in value) if isinstance(value, tuple) else value
            for name, value in zip(self.names, self.parameters, strict=True)
        }
        return DISTRIBUTIONS[self.distribution].words.format(**numbers)


def _clean(name: str, value: Any) -> Number:
    """Turn a number, or a sequence of numbers, into floats; refuse anything else."""
    if isinstance(value, bool | str):
        raise PriorError(f"{name} is {value!r}: a number is needed")
    try:
        if isinstance(value, Iterable):
            numbers: Number = tuple(float(v) for v in value)
        else:
            numbers = float(value)
    except (TypeError, ValueError):
        raise PriorError(f"{name} is {value!r}: a number is needed") from None
    if not np.all(np.isfinite(np.atleast_1d(numbers))):
        raise PriorError(f"{name} is {value!r}: it must be finite")
    return numbers


@cache
def stances() -> dict[str, Prior]:
    """Return the named prior stances for the log rate ratio, in order from vague to enthusiastic.

    Returns
    -------
    dict of str to Prior
        ``vague``, ``weak``, ``sceptical`` and ``enthusiastic``, each with its reason in words.

    Notes
    -----
    The sceptical and enthusiastic widths follow Spiegelhalter: the standard deviation is
    abs(log 0.5) / 1.645, so that 5 % of the sceptical prior lies beyond a halved rate and 5 % of
    the enthusiastic prior beyond no effect.
    """
    text = resources.files("bayes_msc").joinpath("stances.toml").read_text(encoding="utf-8")
    return {name: Prior.from_table(table) for name, table in tomllib.loads(text).items()}


def stance(name: str) -> Prior:
    """Return one named stance.

    Raises
    ------
    PriorError
        If there is no such stance; the message lists the known ones.
    """
    known = stances()
    one_of(name, known, "prior stance", PriorError)
    return known[name]
