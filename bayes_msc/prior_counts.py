"""What priors say in the units of the trial: counts of one patient, shares of patients, ratios."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.counts import FAMILIES, no_event, variance
from bayes_msc.model import Model
from bayes_msc.notebook import banner, block, heading, paragraph, table
from bayes_msc.parameters import COVARIATE
from bayes_msc.predictive import prior_draws, simulate_counts
from bayes_msc.prior import Prior
from bayes_msc.rows import Rows, arrange
from bayes_msc.trial import Trial

Array = NDArray[np.float64]

DRAWS = 4000
#: Lower ends of the bins in which counts are shown; the last is open.
BINS = (0, 1, 2, 3, 5, 10, 20, 50, 100)
MANY = 100
#: Mean around which the spread of counts of one patient is described.
AROUND = 4.0
_NORMAL_975 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class PriorCounts:
    """What the priors of a model imply for a trial of this design, before any count.

    Attributes
    ----------
    parameters : DataFrame
        One row a parameter: ``parameter``, ``prior``, ``meaning`` (in words, from the prior's exact
        quantiles: no Monte Carlo error), ``why``.
    quantities : DataFrame
        One row a quantity: ``quantity``; ``median``, ``lower``, ``upper`` (95 % of simulated
        trials, or of the prior itself) or ``probability`` with its Monte Carlo standard error
        ``mcse`` (0 where exact); ``observed`` in this trial, where it can be.
    counts : DataFrame
        One row an arm and bin: ``treatment``, ``low``, ``high`` (NaN where open), ``bin`` in words,
        ``prior`` (probability of a count of a new patient there), ``mcse``, ``observed`` (share of
        this trial's counts).
    draws : int
    seed : int
    label : str
        What the counts are if they are not data.
    """

    parameters: pd.DataFrame
    quantities: pd.DataFrame
    counts: pd.DataFrame
    draws: int
    seed: int
    label: str = ""

    def _repr_html_(self) -> str:
        said = (
            f"{self.draws} trials of this design drawn from the priors alone, with seed {self.seed}"
        )
        return block(
            heading("What the priors say in counts"),
            banner(self.label),
            table(
                self.parameters[["parameter", "prior", "meaning"]], caption="Each prior by itself"
            ),
            table(self.quantities, caption="All priors together, and what was seen"),
            paragraph(said),
        )


def prior_counts(
    model: Model | str, trial: Trial, *, draws: int = DRAWS, seed: int = 1
) -> PriorCounts:
    """Say what a model's priors imply as counts: prior predictive draws, and exact quantiles.

    Parameters
    ----------
    model : Model or str
        A model, or the name of a card.
    trial : Trial
        Its design, exposures and baselines are used; its counts enter only through the pooled rate,
        where the card centres ``log_rate`` on it, and as what was observed, beside.
    draws : int
        Simulated trials, each with new patients.
    seed : int

    Returns
    -------
    PriorCounts
    """
    card = model if isinstance(model, Model) else Model.load(model)
    priors = card.priors_for(trial)
    rows = arrange(trial, card)
    rng = np.random.default_rng(seed)
    drawn = simulate_counts(card, rows, prior_draws(card, trial, draws, rng), rng)
    simulated: Array = drawn.astype(np.float64)
    arms, real = _arms(trial), _observed(rows)
    bins = [_bins(name, simulated[:, own], real[own]) for name, own in arms]
    return PriorCounts(
        _parameters(card, trial, priors),
        _quantities(trial, rows, simulated, arms, priors["log_rate_ratio"]),
        pd.concat(bins, ignore_index=True),
        draws,
        seed,
        trial.label,
    )


def _observed(rows: Rows) -> Array:
    return np.asarray(rows.flat(rows.count), dtype=float)


def _arms(trial: Trial) -> list[tuple[str, NDArray[np.bool_]]]:
    treatment = trial.seen["treatment"].to_numpy()
    return [(name, treatment == name) for name in (trial.control, trial.active)]


def _quantities(
    trial: Trial,
    rows: Rows,
    simulated: Array,
    arms: list[tuple[str, NDArray[np.bool_]]],
    ratio: Prior,
) -> pd.DataFrame:
    name, own = arms[0]
    patients = pd.factorize(rows.patient_index[own])[0]
    drawn = _by_patient(simulated[:, own], patients)
    seen = _by_patient(_observed(rows)[None, own], patients)
    counts, real = simulated[:, own], _observed(rows)[None, own]
    found: list[dict[str, object]] = [
        _spread(
            f"median patient's mean count on {name}", np.median(drawn, axis=1), np.median(seen)
        ),
        _spread(f"largest count on {name}", counts.max(axis=1), real.max()),
        _chance(f"a patient without any {trial.endpoint} on {name}", drawn == 0, seen == 0),
        _chance(f"a count of 0 on {name}", counts == 0, real == 0),
        _chance(f"a count of {MANY} or more on {name}", counts >= MANY, real >= MANY),
        *_of_ratio(ratio, trial),
    ]
    return pd.DataFrame(found)


def _by_patient(counts: Array, patients: NDArray[np.int64]) -> Array:
    """Mean count of each patient, of shape (draws, patients)."""
    sums = np.zeros((len(counts), int(patients.max()) + 1))
    for column, patient in enumerate(patients):
        sums[:, patient] += counts[:, column]
    return sums / np.bincount(patients)


def _spread(quantity: str, values: Array, observed: float) -> dict[str, object]:
    lower, median, upper = np.quantile(values, [0.025, 0.5, 0.975])
    numbers = {"median": median, "lower": lower, "upper": upper, "observed": float(observed)}
    return {"quantity": quantity, **numbers, "probability": math.nan, "mcse": math.nan}


def _chance(quantity: str, drawn: NDArray[np.bool_], seen: NDArray[np.bool_]) -> dict[str, object]:
    by_trial = drawn.mean(axis=1)
    return {
        "quantity": quantity,
        **dict.fromkeys(("median", "lower", "upper"), math.nan),
        "observed": float(seen.mean()),
        "probability": float(by_trial.mean()),
        "mcse": float(by_trial.std(ddof=1) / math.sqrt(len(by_trial))),
    }


def _of_ratio(prior: Prior, trial: Trial) -> list[dict[str, object]]:
    """The rate ratio before the trial: exact."""
    if prior.is_fixed:
        return []
    lower, median, upper = np.exp(prior.ppf([0.025, 0.5, 0.975]))
    blank = {"observed": math.nan}
    nothing = dict.fromkeys(("median", "lower", "upper"), math.nan)
    size = {"median": median, "lower": lower, "upper": upper}
    words = f"rate ratio, {trial.active} against {trial.control}"
    chances = [
        ("at most half", float(prior.cdf(math.log(0.5)))),
        ("below 1", float(prior.cdf(0.0))),
        ("at least double", float(1 - prior.cdf(math.log(2.0)))),
    ]
    return [
        {"quantity": words, **size, **blank, "probability": math.nan, "mcse": math.nan},
        *(
            {"quantity": f"{words}: {text}", **nothing, **blank, "probability": p, "mcse": 0.0}
            for text, p in chances
        ),
    ]


def _bins(name: str, simulated: Array, observed: Array) -> pd.DataFrame:
    rows = []
    for low, after in zip(BINS, (*BINS[1:], math.inf), strict=True):
        drawn = ((simulated >= low) & (simulated < after)).mean(axis=1)
        rows.append(
            {
                "treatment": name,
                "low": low,
                "high": after - 1 if math.isfinite(after) else math.nan,
                "bin": _bin_words(low, after),
                "prior": float(drawn.mean()),
                "mcse": float(drawn.std(ddof=1) / math.sqrt(len(drawn))),
                "observed": float(((observed >= low) & (observed < after)).mean()),
            }
        )
    return pd.DataFrame(rows)


def _bin_words(low: int, after: float) -> str:
    """Name the counts from ``low`` to below ``after``."""
    if math.isinf(after):
        return f"{low}+"
    return f"{low}" if after == low + 1 else f"{low}–{after - 1:g}"


def _parameters(model: Model, trial: Trial, priors: Mapping[str, Prior]) -> pd.DataFrame:
    rows = [
        (name, prior, _meaning(name, prior, model, trial), prior.why)
        for name, prior in priors.items()
    ]
    return pd.DataFrame(rows, columns=["parameter", "prior", "meaning", "why"])


def _meaning(name: str, prior: Prior, model: Model, trial: Trial) -> str:
    if prior.is_fixed:
        return f"set to {float(np.asarray(prior['value'])):g}, not estimated"
    low, middle, high = (float(value) for value in prior.ppf([0.025, 0.5, 0.975]))
    if name.startswith(COVARIATE):
        what = name.removeprefix(COVARIATE)
        return f"one standard deviation more of {what}: rate × {_span(_exp(low), _exp(high))}"
    words = _MEANINGS.get(name)
    return words(low, middle, high, _Context(model, trial)) if words else _span(low, high)


@dataclass(frozen=True)
class _Context:
    """What the words about one prior may name."""

    model: Model
    trial: Trial


Words = Callable[[float, float, float, _Context], str]


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _span(low: float, high: float) -> str:
    return f"{_number(low)} to {_number(high)}".replace("-", "−")


def _rate(low: float, middle: float, high: float, of: _Context) -> str:
    trial = of.trial
    return (
        f"the median patient has {_span(_exp(low), _exp(high))} {trial.endpoint} a "
        f"{trial.exposure_unit} on {trial.control}, in the middle {_number(_exp(middle))}"
    )


def _factor(what: str) -> Words:
    def words(low: float, middle: float, high: float, of: _Context) -> str:
        return f"{what}: rate × {_span(_exp(low), _exp(high))}"

    return words


def _slope(low: float, middle: float, high: float, of: _Context) -> str:
    if "baseline-count" in of.model.terms_for(of.trial):
        return f"one more at baseline: rate × {_span(_exp(low), _exp(high))}"
    return f"twice as many at baseline (plus 1): rate × {_span(2.0**low, 2.0**high)}"


def _dispersion(low: float, middle: float, high: float, of: _Context) -> str:
    family = of.model.family
    zeros = "sqrt_zero_overdispersion" in FAMILIES[family].parameters
    # zeros apart: as many as one overdispersion for all of the counts would give
    ends = [
        math.sqrt(variance(family, AROUND, root**2, root**2 if zeros else 0.0))
        for root in (low, high)
    ]
    rest = ", zeros apart," if zeros else ""
    return (
        f"one patient's counts{rest} around a mean of {AROUND:g} have a standard deviation of "
        f"{_span(*ends)} (Poisson: {_number(math.sqrt(AROUND))})"
    )


def _zeros(low: float, middle: float, high: float, of: _Context) -> str:
    family = of.model.family
    least, most = (100 * no_event(family, AROUND, zero_part=root**2) for root in (low, high))
    return f"a count around a mean of {AROUND:g} is zero in {least:.0f} to {most:.0f} %"


def _patients(low: float, middle: float, high: float, of: _Context) -> str:
    ends = [_exp(_NORMAL_975 * sd) for sd in (low, high)]
    return (
        f"one patient in 40 has at least {_span(*ends)} times the median patient's rate, in the "
        f"middle {_number(_exp(_NORMAL_975 * middle))} times"
    )


def _effects(low: float, middle: float, high: float, of: _Context) -> str:
    ends = [_exp(_NORMAL_975 * sd) for sd in (low, high)]
    return f"one patient in 40 has a rate ratio {_span(*ends)} times that of the middle or more"


def _share(what: str) -> Words:
    def words(low: float, middle: float, high: float, of: _Context) -> str:
        return f"{what}: {100 * low:.0f} to {100 * high:.0f} %".replace("-", "−")

    return words


_MEANINGS: Mapping[str, Words] = {
    "log_rate": _rate,
    "log_rate_ratio": _factor("the active treatment"),
    "period_effect": _factor("from period 1 to period 2"),
    "carryover_effect": _factor("control after the active treatment"),
    "carryover_fraction": _share("of the effect on the log scale still there in period 2"),
    "baseline_slope": _slope,
    "baseline_level": _factor("at baseline, against control in period 1"),
    "serial_dependence": _share("of a departure on the log scale kept by the next scan"),
    "sqrt_overdispersion": _dispersion,
    "sqrt_overdispersion_control": _dispersion,
    "sqrt_overdispersion_active": _dispersion,
    "sqrt_zero_overdispersion": _zeros,
    "zero_inflation": _share("rows that are zero whatever the rate"),
    "treatment_sd": _effects,
    "patient_sd": _patients,
}
