"""Error of the patient integral against the number of nodes, ours and adaptive Gauss-Hermite.

Run it as ``python benchmarks/quadrature.py``: prints the table and draws
``docs/_static/quadrature.svg``. The reference is ``scipy.integrate.quad``, piece by piece, on
hundreds of patients that between them cover what trials can bring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, optimize, special

from bayes_msc.counts import FAMILIES, patient_integral
from benchmarks.densities import DENSITIES

FIGURE = Path(__file__).parents[1] / "docs" / "_static" / "quadrature.svg"
NUMBERS_OF_NODES = (5, 7, 10, 15, 20, 25, 30, 35, 40, 50, 60, 80, 100)
PATIENT_SDS = (0.05, 0.3, 1.0, 2.0, 4.0)
OVERDISPERSIONS = (0.0, 1e-3, 0.1, 1.0, 10.0)
ROWS = (1, 2, 4, 12)
TARGET = 1e-8
#: Chances of a zero of its own kind; overdispersions of the zeros in a hurdle.
ZERO_PARTS = {"zero": (0.002, 0.05, 0.3, 0.8), "hurdle": (0.01, 0.3, 3.0)}
LOG_ROOT_2_PI = 0.5 * np.log(2.0 * np.pi)


@dataclass(frozen=True, eq=False)
class Case:
    """One patient's rows and the two population numbers that the integral depends on."""

    name: str
    count: NDArray[np.float64]
    eta: NDArray[np.float64]
    patient_sd: float
    overdispersion: float
    family: str = "negative-binomial"
    zero_part: float = 0.0

    @cached_property
    def constant(self) -> float:
        """The part of the log probabilities without the mean: the product term by term."""
        rising = sum(np.log1p(self.overdispersion * np.arange(c)).sum() for c in self.count)
        return float(rising - special.gammaln(self.count + 1.0).sum())

    def log_integrand(self, z: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Log of prod_j p(count_j | eta_j + patient_sd z) phi(z), shape of z."""
        z = np.asarray(z, dtype=float)
        if self.family != "negative-binomial":
            return self._by_density(z)
        k = self.overdispersion
        log_mean = self.eta + self.patient_sd * z[..., None]
        mean = np.exp(log_mean)
        log1p_x = np.log1p(k * mean)
        kernel = self.count * (log_mean - log1p_x) - (log1p_x / k if k else mean)
        return np.asarray(kernel.sum(axis=-1) + self.constant - 0.5 * z * z - LOG_ROOT_2_PI)

    def _by_density(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        log_mean = np.clip(self.eta + self.patient_sd * z[..., None], -300.0, 300.0)
        k, p = np.array(self.overdispersion), np.array(self.zero_part)
        rows = DENSITIES[self.family](self.count, log_mean, k, p)
        return np.asarray(rows.sum(axis=-1) - 0.5 * z * z - LOG_ROOT_2_PI)


def _counts(rows: int, rng: np.random.Generator) -> Iterator[tuple[str, NDArray[np.float64]]]:
    yield "all 0", np.zeros(rows)
    yield "all 1", np.ones(rows)
    yield "all 200", np.full(rows, 200.0)
    yield "0 to 200", np.round(np.linspace(0, 200, rows)) if rows > 1 else np.array([37.0])
    yield "random", rng.negative_binomial(0.5, 0.05, rows).astype(float)


def _log_means(rows: int) -> Iterator[tuple[str, NDArray[np.float64]]]:
    yield "a rate of 1 a scan", np.zeros(rows)
    yield "a rate of 0.05 a scan", np.full(rows, np.log(0.05))
    yield "exposures from 0.1 to 24", np.log(np.geomspace(0.1, 24.0, rows) * 3.0)


@cache
def cases() -> tuple[Case, ...]:
    """Return every combination: 1500 patients."""
    rng = np.random.default_rng(1)
    return tuple(
        Case(f"{words}, {scale}, {rows} rows, sd {sd:g}, overdispersion {k:g}", count, eta, sd, k)
        for sd, k, rows in product(PATIENT_SDS, OVERDISPERSIONS, ROWS)
        for words, count in _counts(rows, rng)
        for scale, eta in _log_means(rows)
    )


def mode(case: Case) -> float:
    """Find the mode of the integrand by bracketing its score, which falls with z."""

    def score(z: float) -> float:
        mean = np.exp(np.minimum(case.eta + case.patient_sd * z, 600.0))
        pull = (case.count - mean) / (1.0 + case.overdispersion * mean)
        return float(case.patient_sd * pull.sum() - z)

    return float(optimize.brentq(score, -500.0, 500.0, xtol=1e-12))


def humps(case: Case) -> NDArray[np.float64]:
    """Local maxima of the integrand that count; only an excess of zeros makes more than one."""
    if case.family == "negative-binomial":
        return np.array([mode(case)])
    z = np.linspace(-250.0, 250.0, 1001)
    coarse = case.log_integrand(z)
    tops = z[1:-1][(coarse[1:-1] >= coarse[:-2]) & (coarse[1:-1] >= coarse[2:])]
    found = [
        optimize.minimize_scalar(
            lambda t: -float(case.log_integrand(t)),
            bounds=(top - 0.5, top + 0.5),
            options={"xatol": 1e-9},
        ).x
        for top in tops
    ]
    heights = case.log_integrand(np.array(found))
    return np.array(found)[heights > heights.max() - 60.0]


def reference(case: Case, by_quad: bool = True) -> float:
    """Log likelihood by scipy.integrate.quad, over pieces between which it cannot lose a peak.

    Else by 50 Gauss-Legendre nodes a piece, which is quicker where the density is costly.
    """
    centres = humps(case)
    top = float(case.log_integrand(centres).max())

    def depth(z: float) -> float:
        return float(case.log_integrand(z)) - top + 60.0

    left = optimize.brentq(depth, centres[0] - 16.0, centres[0])
    right = optimize.brentq(depth, centres[-1], centres[-1] + 16.0)
    ends = [left, *centres, right]
    cuts = np.unique(np.concatenate([np.linspace(a, b, 9) for a, b in pairwise(ends)]))

    def height(z: float | NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(case.log_integrand(z) - top)

    if by_quad:
        options = {"epsrel": 1e-13, "epsabs": 1e-16}
        pieces = [integrate.quad(height, a, b, **options)[0] for a, b in pairwise(cuts)]
    else:
        pieces = [integrate.fixed_quad(height, a, b, n=50)[0] for a, b in pairwise(cuts)]
    return top + float(np.log(np.sum(pieces)))


def gauss_hermite(case: Case, n_nodes: int) -> float:
    """Log likelihood by adaptive Gauss-Hermite: centred at the mode, scaled by its curvature."""
    centre = mode(case)
    mean = np.exp(case.eta + case.patient_sd * centre)
    k = case.overdispersion
    curvature = 1.0 + case.patient_sd**2 * ((1 + k * case.count) * mean / (1 + k * mean) ** 2).sum()
    x, weight = np.polynomial.hermite_e.hermegauss(n_nodes)
    scale = 1.0 / np.sqrt(curvature)
    terms = case.log_integrand(centre + scale * x) + 0.5 * x**2
    with np.errstate(divide="ignore"):
        return float(special.logsumexp(terms + np.log(weight)) + np.log(scale))


def _arrays(case: Case) -> tuple[NDArray[np.float64], ...]:
    """One patient as the compiled functions take it: six arrays of shape (1, rows)."""
    shape = (1, len(case.count))
    sd, k = np.full(shape, case.patient_sd), np.full(shape, case.overdispersion)
    p = np.full(shape, case.zero_part)
    return case.count[None], case.eta[None], sd, np.ones(shape), k, p


def trapezoidal(case: Case, n_nodes: int = 0) -> float:
    """Log likelihood by the package; by default with as many nodes as it thinks necessary."""
    return float(patient_integral(case.family).logp(*_arrays(case), n_nodes)[0])


def nodes_used(patients: Sequence[Case]) -> NDArray[np.int64]:
    """Nodes that the package lays for every patient, shape (patients,)."""
    return np.array([int(patient_integral(c.family).n_nodes(*_arrays(c))[0]) for c in patients])


def family_cases(family: str, every: int) -> tuple[Case, ...]:
    """Every so many of the cases, as patients of another family."""
    parts = ZERO_PARTS.get(family.split("-")[0], (0.0,))
    dispersed = FAMILIES[family].dispersed
    return tuple(
        Case(
            f"{family}, {case.name}, zero part {parts[i % len(parts)]:g}",
            case.count,
            case.eta,
            case.patient_sd,
            case.overdispersion if dispersed else 0.0,
            family,
            parts[i % len(parts)],
        )
        for i, case in enumerate(cases()[::every])
    )


def errors(rule: Callable[[Case, int], float], n_nodes: int) -> NDArray[np.float64]:
    """Relative error of the likelihood of every case, shape (cases,)."""
    pairs = zip(cases(), references(), strict=True)
    return np.array([abs(np.expm1(rule(case, n_nodes) - exact)) for case, exact in pairs])


@cache
def references() -> tuple[float, ...]:
    """Reference value of every case."""
    return tuple(reference(case) for case in cases())


def table(rule: Callable[[Case, int], float]) -> NDArray[np.float64]:
    """Median, 99th percentile and maximum of the error, shape (numbers of nodes, 3)."""
    return np.array([np.quantile(errors(rule, n), (0.5, 0.99, 1.0)) for n in NUMBERS_OF_NODES])


def draw(tables: dict[str, NDArray[np.float64]], path: Path) -> None:
    """Draw the worst error and the 99th percentile against the number of nodes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for (name, values), colour in zip(tables.items(), ("#0b6e99", "#b5532a"), strict=True):
        floored = np.maximum(values, 1e-16)
        axes.plot(NUMBERS_OF_NODES, floored[:, 2], "o-", color=colour, ms=4, label=f"{name}: worst")
        axes.plot(NUMBERS_OF_NODES, floored[:, 1], ":", color=colour, label=f"{name}: 99 % below")
    axes.axhline(TARGET, color="0.4", lw=0.8)
    used = nodes_used(cases())
    fewest, most = int(used.min()), int(used.max())
    axes.axvspan(fewest, most, color="0.9", lw=0)
    axes.annotate(
        f"used: {fewest} to {most}", (fewest, 0.3), (4, 0), textcoords="offset points", color="0.3"
    )
    axes.set(
        yscale="log",
        ylim=(1e-13, 3),
        xlabel="nodes a patient",
        ylabel="relative error of the likelihood",
        title=f"{len(cases())} patients: counts 0 to 200, 1 to 12 rows",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def family_table(every: int) -> str:
    """Nodes and worst error of each family, as a Markdown table."""
    lines = ["| Family | Nodes a patient | Worst relative error |", "| --- | --- | --- |"]
    for family in FAMILIES:
        patients = family_cases(family, every)
        used = nodes_used(patients)
        worst = max(abs(np.expm1(trapezoidal(case) - reference(case, False))) for case in patients)
        span = f"{used.min()} to {used.max()}" if np.ptp(used) else str(used.min())
        lines.append(f"| {family} | {span} | {worst:.0e} |")
    return "\n".join(lines)


def main() -> None:
    tables = {
        "trapezoidal rule (ours)": table(trapezoidal),
        "adaptive Gauss-Hermite": table(gauss_hermite),
    }
    print("relative error of the likelihood over", len(cases()), "patients: median, 99 %, worst")
    for name, values in tables.items():
        print(name)
        for n_nodes, row in zip(NUMBERS_OF_NODES, values, strict=True):
            print(f"  {n_nodes:4d} nodes  " + "  ".join(f"{value:.1e}" for value in row))
    chosen, used = errors(trapezoidal, 0), nodes_used(cases())
    print("as many nodes as each patient needs (ours)")
    print(f"  {used.min()} to {used.max()}, mean {used.mean():.1f}; worst error {chosen.max():.1e}")
    print(family_table(every=19))
    draw(tables, FIGURE)
    print("figure:", FIGURE)


if __name__ == "__main__":
    main()
