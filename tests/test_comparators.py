"""The classical answers against closed forms, enumeration, published values and each other."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import ArrayLike
from scipy import stats

from bayes_msc import comparators as table_of
from bayes_msc.comparators import (
    Answer,
    conditional_poisson,
    exact_conditional,
    gee,
    hills_armitage,
    hills_armitage_randomisation,
    mann_whitney_changes,
    negative_binomial_glm,
    paired_wilcoxon,
    permutation_mean_ratio,
    quasi_poisson_glm,
)
from bayes_msc.errors import ComparatorError
from bayes_msc.trial import Trial

REFERENCE = Path(__file__).parent / "reference"
Z = stats.norm.ppf(0.975)


def crossover_of(
    counts: ArrayLike,
    n_active_first: int,
    exposure: ArrayLike = 1.0,
    baseline: ArrayLike | None = None,
) -> Trial:
    """Build a crossover from counts (patients, periods), those with the drug first in front."""
    counts = np.asarray(counts, dtype=float)
    exposure = np.broadcast_to(np.asarray(exposure, dtype=float), counts.shape)
    table = pd.DataFrame(
        {
            "patient": [f"P{i}" for i in range(len(counts)) for _ in range(2)],
            "period": [1, 2] * len(counts),
            "treatment": [
                "drug" if (i < n_active_first) == (period == 1) else "placebo"
                for i in range(len(counts))
                for period in (1, 2)
            ],
            "count": counts.ravel(),
            "exposure": exposure.ravel(),
        }
    )
    if baseline is not None:
        table["baseline"] = np.repeat(np.asarray(baseline, dtype=float), 2)
    return Trial(table, design="crossover", control="placebo", active="drug")


def parallel_of(
    active: ArrayLike,
    control: ArrayLike,
    exposure: ArrayLike = 1.0,
    baseline: ArrayLike | None = None,
) -> Trial:
    """Build a parallel trial with one count a patient, the drug's patients in front."""
    active, control = np.asarray(active, dtype=float), np.asarray(control, dtype=float)
    count = np.concatenate([active, control])
    table = pd.DataFrame(
        {
            "patient": [f"P{i}" for i in range(len(count))],
            "treatment": ["drug"] * len(active) + ["placebo"] * len(control),
            "count": count,
            "exposure": np.broadcast_to(np.asarray(exposure, dtype=float), count.shape),
        }
    )
    if baseline is not None:
        table["baseline"] = np.asarray(baseline, dtype=float)
    return Trial(table, design="parallel", control="placebo", active="drug")


def swapped(trial: Trial) -> Trial:
    return Trial(trial.data, design=trial.design, control=trial.active, active=trial.control)


@pytest.fixture(scope="module")
def nine() -> Trial:
    """Five and four patients, no ties between rates, uneven exposures."""
    counts = [[1, 9], [0, 6], [4, 3], [2, 14], [3, 21], [9, 2], [12, 1], [4, 5], [16, 7]]
    return crossover_of(counts, 5, baseline=[3, 1, 4, 8, 12, 2, 5, 4, 9])


# regressions


def test_negative_binomial_against_the_published_fit() -> None:
    data = pd.read_csv(REFERENCE / "dejaVu_simData.csv")
    data = data.assign(patient=[f"P{i}" for i in range(len(data))], arm=data["z"].map(str))
    trial = Trial(
        data,
        design="parallel",
        control="0",
        active="1",
        treatment="arm",
        count="y",
        exposure="fupTime",
    )
    values = pd.read_csv(REFERENCE / "published_values.csv").set_index("dataset")
    published = values.loc["dejaVu_simData"]
    answer = negative_binomial_glm(trial, interval="Wald")
    assert np.log(answer.estimate) == pytest.approx(published["mean"], abs=1e-5)
    se = np.log(answer.upper / answer.lower) / (2 * Z)
    assert se == pytest.approx(published["sd"], abs=1e-5)
    # theta is printed as 9.96
    assert "overdispersion 0.1" in answer.note
    profile = negative_binomial_glm(trial)
    assert profile.estimate == answer.estimate
    assert np.log([profile.lower, profile.upper]) == pytest.approx(
        np.log([answer.lower, answer.upper]), abs=0.01
    )


def test_profile_limits_are_where_statsmodels_likelihood_has_fallen(crossover: Trial) -> None:
    from statsmodels.discrete.discrete_model import NegativeBinomial

    answer = negative_binomial_glm(crossover)
    rows = crossover.seen.groupby(["patient", "period", "treatment", "baseline"], as_index=False)
    rows = rows[["count", "exposure"]].sum()
    treated = (rows["treatment"] == "MSC").to_numpy(float)
    baseline = np.log1p(rows["baseline"].to_numpy())
    known = np.column_stack([np.ones(len(rows)), rows["period"] == 2, baseline]).astype(float)

    def highest(matrix: np.ndarray, fixed: np.ndarray) -> float:
        offset = fixed + np.log(rows["exposure"].to_numpy())
        model = NegativeBinomial(rows["count"].to_numpy(), matrix, offset=offset)
        start = np.append(np.zeros(matrix.shape[1]), 0.5)
        return float(model.fit(start, method="bfgs", maxiter=1000, disp=0, gtol=1e-6).llf)

    best = highest(np.column_stack([known, treated]), 0 * treated)
    for limit in (answer.lower, answer.upper):
        fallen = 2 * (best - highest(known, np.log(limit) * treated))
        assert fallen == pytest.approx(stats.chi2(1).ppf(0.95), abs=1e-4)
    null = 2 * (best - highest(known, 0 * treated))
    assert answer.p_value == pytest.approx(stats.chi2(1).sf(null), abs=1e-5)


def test_fixed_overdispersion_in_closed_form() -> None:
    active, control = np.array([1.0, 0, 4, 2]), np.array([6.0, 2, 9, 3, 5])
    answer = negative_binomial_glm(
        parallel_of(active, control), interval="Wald", overdispersion=1.0
    )
    variance = (1 / active.mean() + 1) / 4 + (1 / control.mean() + 1) / 5
    log_ratio = np.log(active.mean() / control.mean())
    assert np.log([answer.lower, answer.estimate, answer.upper]) == pytest.approx(
        log_ratio + Z * np.sqrt(variance) * np.array([-1, 0, 1]), abs=1e-6
    )
    assert answer.p_value == pytest.approx(
        2 * stats.norm.sf(abs(log_ratio) / np.sqrt(variance)), abs=1e-6
    )


def test_counts_without_overdispersion_give_the_poisson_answer() -> None:
    trial = parallel_of([1, 2, 1, 2], [5, 6, 5, 6])
    answer = negative_binomial_glm(trial, interval="Wald")
    assert "no overdispersion" in answer.note
    se = np.log(answer.upper / answer.lower) / (2 * Z)
    assert se == pytest.approx(np.sqrt(1 / 6 + 1 / 22), rel=1e-4)


def test_quasi_poisson_in_closed_form() -> None:
    active, control = np.array([1.0, 0, 4, 2]), np.array([6.0, 2, 19, 3, 5])
    exposure = np.array([1, 2, 1, 1, 1, 1, 2, 1, 1.0])
    trial = parallel_of(active, control, exposure)
    rates = active.sum() / 5, control.sum() / 6
    mean = exposure * np.repeat(rates, [4, 5])
    dispersion = ((np.concatenate([active, control]) - mean) ** 2 / mean).sum() / 7
    se = np.sqrt(dispersion * (1 / active.sum() + 1 / control.sum()))
    answer = quasi_poisson_glm(trial, interval="Wald")
    log_ratio = np.log(rates[0] / rates[1])
    assert np.log([answer.lower, answer.estimate, answer.upper]) == pytest.approx(
        log_ratio + stats.t(7).ppf(0.975) * se * np.array([-1, 0, 1]), abs=1e-6
    )

    def deviance(ratio: float) -> float:
        """Two totals given their sum are binomial: the likelihood ratio in closed form."""
        y, n = active.sum(), active.sum() + control.sum()
        share = 5 * ratio / (5 * ratio + 6)
        return float(2 * (stats.binom.logpmf(y, n, y / n) - stats.binom.logpmf(y, n, share)))

    profile = quasi_poisson_glm(trial)
    for limit in (profile.lower, profile.upper):
        assert deviance(limit) / dispersion == pytest.approx(stats.f(1, 7).ppf(0.95), abs=1e-4)
    assert profile.p_value == pytest.approx(stats.f(1, 7).sf(deviance(1) / dispersion), abs=1e-6)


def test_gee_in_closed_form() -> None:
    """One row a patient: the sandwich is the spread of the counts, the leverage 1 / patients."""
    arms = np.array([1.0, 0, 4, 2]), np.array([6.0, 2, 19, 3, 5])
    trial = parallel_of(*arms)
    parts = [((y - y.mean()) ** 2).sum() / y.sum() ** 2 for y in arms]
    corrected = [part * (len(y) / (len(y) - 1)) ** 2 for part, y in zip(parts, arms, strict=True)]
    for bias_reduced, variances, reference in (
        (False, parts, stats.norm()),
        (True, corrected, stats.t(7)),
    ):
        answer = gee(trial, bias_reduced=bias_reduced)
        log_ratio = np.log(arms[0].mean() / arms[1].mean())
        reach = reference.ppf(0.975) * np.sqrt(sum(variances))
        assert np.log([answer.lower, answer.estimate, answer.upper]) == pytest.approx(
            log_ratio + reach * np.array([-1, 0, 1]), abs=1e-5
        )


def test_gee_takes_scans_of_a_patient_together() -> None:
    """With the same number of scans each, only the patients' totals count."""
    totals = parallel_of([1, 0, 4, 2], [6, 2, 19, 3, 5], exposure=2.0)
    first = totals.data.assign(scan=1, exposure=1.0, count=[1, 0, 1, 1, 4, 0, 9, 2, 2])
    second = first.assign(scan=2, count=totals.data["count"] - first["count"])
    trial = Trial(pd.concat([first, second]), design="parallel", control="placebo", active="drug")
    for bias_reduced in (False, True):
        summed, apart = (
            gee(totals, bias_reduced=bias_reduced),
            gee(trial, bias_reduced=bias_reduced),
        )
        assert [apart.estimate, apart.lower, apart.p_value] == pytest.approx(
            [summed.estimate, summed.lower, summed.p_value], rel=1e-5
        )


# conditional methods


def test_conditional_poisson_in_closed_form(nine: Trial) -> None:
    counts = nine.data["count"].to_numpy().reshape(9, 2)
    (a1, a2), (b1, b2) = counts[:5].sum(axis=0), counts[5:].sum(axis=0)
    answer = conditional_poisson(nine, interval="Wald")
    log_ratio, se = np.log(a1 * b2 / (a2 * b1)) / 2, np.sqrt(1 / a1 + 1 / a2 + 1 / b1 + 1 / b2) / 2
    assert np.log([answer.lower, answer.estimate, answer.upper]) == pytest.approx(
        log_ratio + Z * se * np.array([-1, 0, 1]), abs=1e-6
    )


@pytest.mark.parametrize("tied", [False, True])
def test_conditional_poisson_is_the_regression_with_a_level_a_patient(tied: bool) -> None:
    """Other routes: dummies for the patients; statsmodels' own model where no patient is tied."""
    from statsmodels.discrete.conditional_models import ConditionalPoisson
    from statsmodels.genmod.families import Poisson
    from statsmodels.genmod.generalized_linear_model import GLM

    counts = np.array([[1, 9], [2, 6], [4, 3], [9, 2], [12, 5], [4, 6]])
    if tied:
        counts[2] = 5, 5
    exposure = [[1, 2], [2, 2], [1, 1], [1, 2], [3, 2], [2, 2]]
    answer = conditional_poisson(crossover_of(counts, 3, exposure), interval="Wald")
    rows = crossover_of(counts, 3, exposure).data
    columns = np.column_stack([rows["treatment"] == "drug", rows["period"] == 2]).astype(float)
    patient = pd.factorize(rows["patient"])[0]
    offset = np.log(rows["exposure"].to_numpy())
    dummies = (patient[:, None] == np.arange(6)).astype(float)
    result = GLM(
        rows["count"].to_numpy(), np.hstack([columns, dummies]), offset=offset, family=Poisson()
    ).fit()
    assert np.log(answer.estimate) == pytest.approx(result.params[0], abs=1e-6)
    assert np.log(answer.upper) == pytest.approx(result.conf_int()[0, 1], abs=1e-5)
    if not tied:
        other = ConditionalPoisson(
            rows["count"].to_numpy(), columns, groups=patient, offset=offset
        ).fit(disp=0)
        assert np.log(answer.estimate) == pytest.approx(other.params[0], abs=1e-4)
        assert np.log(answer.upper) == pytest.approx(other.conf_int()[0][1], abs=1e-3)


def test_exact_test_is_fishers(nine: Trial) -> None:
    counts = nine.data["count"].to_numpy().reshape(9, 2)
    fisher = stats.contingency.odds_ratio(
        np.array([counts[:5].sum(axis=0), counts[5:].sum(axis=0)], dtype=int)
    )
    answer = exact_conditional(nine, mid_p=False)
    limits = fisher.confidence_interval(0.95)
    assert answer.estimate**2 == pytest.approx(fisher.statistic, rel=1e-5)
    assert [answer.lower**2, answer.upper**2] == pytest.approx([limits.low, limits.high], rel=1e-5)


def test_mid_p_limits_by_the_noncentral_hypergeometric(nine: Trial) -> None:
    counts = nine.data["count"].to_numpy().reshape(9, 2)
    a, total, first = counts[:5, 0].sum(), counts.sum(), counts[:, 0].sum()
    answer = exact_conditional(nine)

    def tails(ratio: float) -> tuple[float, float]:
        table = stats.nchypergeom_fisher(total, counts[:5].sum(), first, ratio**2)
        half = table.pmf(a) / 2
        return table.sf(a) + half, table.cdf(a) - half

    assert tails(answer.lower)[0] == pytest.approx(0.025, rel=1e-4)
    assert tails(answer.upper)[1] == pytest.approx(0.025, rel=1e-4)
    assert answer.p_value == pytest.approx(2 * min(tails(1.0)), rel=1e-6)


def test_exact_test_with_uneven_exposures_against_every_split() -> None:
    """All ways to split each patient's total, weighed by their binomial probabilities."""
    counts = np.array([[1, 3], [0, 2], [4, 1], [2, 0]])
    exposure = np.array([[1, 2], [2, 2], [1, 2], [2, 1.0]])
    share = exposure[:, 0] / exposure.sum(axis=1)
    answer = exact_conditional(crossover_of(counts, 2, exposure))
    totals = counts.sum(axis=1)

    def upper_tail(log_ratio: float) -> tuple[float, float]:
        sign = np.array([1, 1, -1, -1])
        odds = share / (1 - share) * np.exp(sign * log_ratio)
        above = at = below = 0.0
        for split in product(*(range(n + 1) for n in totals)):
            if sum(split) == counts[:, 0].sum():
                p = float(np.prod(stats.binom.pmf(split, totals, odds / (1 + odds))))
                here = split[0] + split[1]
                above, at, below = (
                    above + p * (here > 1),
                    at + p * (here == 1),
                    below + p * (here < 1),
                )
        whole = above + at + below
        return (above + at / 2) / whole, (below + at / 2) / whole

    assert answer.p_value == pytest.approx(2 * min(upper_tail(0.0)), rel=1e-9)
    assert upper_tail(np.log(answer.lower))[0] == pytest.approx(0.025, rel=1e-6)
    assert upper_tail(np.log(answer.upper))[1] == pytest.approx(0.025, rel=1e-6)


def test_exact_test_holds_its_level() -> None:
    """Patients differ a hundredfold and the periods twofold: neither matters."""
    rng = np.random.default_rng(5)
    trial = crossover_of(np.ones((9, 2)), 5)
    p_values = []
    for _ in range(300):
        level = np.exp(rng.normal(0.5, 1.2, size=(9, 1)))
        counts = rng.poisson(level * [1.0, 2.0]).ravel()
        # validating a table takes longer than the test
        object.__setattr__(trial, "_table", trial.data.assign(count=counts.astype(float)))
        p_values.append(exact_conditional(trial, mid_p=False).p_value)
    share = np.mean(np.array(p_values) <= 0.05)
    # 5 % and three Monte Carlo standard errors; at least something is rejected
    assert 0 < share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_exact_test_without_events_on_active() -> None:
    answer = exact_conditional(crossover_of([[0, 3], [0, 2], [4, 0], [5, 0]], 2), mid_p=False)
    assert (answer.estimate, answer.lower) == (0.0, 0.0)
    # one table of C(14, 5) puts all five of the first two patients into period 2
    assert answer.p_value == pytest.approx(2 / comb(14, 5))
    assert 0 < answer.upper < 1


# one number a patient


def differences(trial: Trial, n_active_first: int) -> tuple[np.ndarray, np.ndarray]:
    rates = (trial.data["count"] / trial.data["exposure"]).to_numpy().reshape(-1, 2)
    difference = rates[:, 0] - rates[:, 1]
    return difference[:n_active_first], difference[n_active_first:]


def test_hills_armitage_by_its_definition(nine: Trial) -> None:
    active, control = differences(nine, 5)
    answer = hills_armitage(nine)
    pooled = (active.var(ddof=1) * 4 + control.var(ddof=1) * 3) / 7
    estimate = (active.mean() - control.mean()) / 2
    se = np.sqrt(pooled * (1 / 5 + 1 / 4)) / 2
    assert [answer.lower, answer.estimate, answer.upper] == pytest.approx(
        estimate + stats.t(7).ppf(0.975) * se * np.array([-1, 0, 1])
    )
    assert answer.p_value == pytest.approx(2 * stats.t(7).sf(abs(estimate) / se))


def test_the_period_cancels_out_of_hills_armitage(nine: Trial) -> None:
    later = nine.data
    later.loc[later["period"] == 2, "count"] += 10
    shifted = Trial(later, design="crossover", control="placebo", active="drug")
    for test in ("t", "Wilcoxon"):
        assert hills_armitage(shifted, test=test).estimate == pytest.approx(
            hills_armitage(nine, test=test).estimate
        )
    assert paired_wilcoxon(shifted).estimate != paired_wilcoxon(nine).estimate


def test_randomisation_by_hand() -> None:
    """Differences 1, 2 with the drug first and 5, 9 without: six allocations, means of two.

    The drug's mean less the other's is -5.5 in the trial; swapping gives 5.5, and the other four
    are -2.5, 1.5, -1.5 and 2.5.
    """
    trial = crossover_of([[2, 1], [4, 2], [5, 0], [9, 0]], 2)
    answer = hills_armitage_randomisation(trial)
    assert answer.estimate == -2.75
    assert answer.p_value == pytest.approx(2 / 6)
    assert (answer.lower, answer.upper) == (-np.inf, np.inf)
    assert "all 6 allocations" in answer.note


def test_all_126_allocations(nine: Trial) -> None:
    active, control = differences(nine, 5)
    answer = hills_armitage_randomisation(nine)
    other = stats.permutation_test(
        (active, control), lambda x, y, axis: x.mean(axis) - y.mean(axis), n_resamples=np.inf
    )
    assert comb(9, 5) == len(other.null_distribution) == 126
    assert answer.p_value == pytest.approx(other.pvalue)
    apart = crossover_of([[i, 20] for i in range(5)] + [[20 + i, 1] for i in range(4)], 5)
    assert hills_armitage_randomisation(apart).p_value == pytest.approx(2 / 126)


def p_of_shift(test: str, active: np.ndarray, control: np.ndarray, shift: float) -> float:
    if test == "rank":
        return float(stats.mannwhitneyu(active - shift, control, method="exact").pvalue)
    return float(
        stats.permutation_test(
            (active - shift, control), lambda x, y, axis: x.mean(axis) - y.mean(axis)
        ).pvalue
    )


@pytest.mark.parametrize("test", ["rank", "mean"])
def test_interval_holds_the_differences_that_the_test_does_not_reject(
    test: str, nine: Trial
) -> None:
    active, control = differences(nine, 5)
    answer = (
        hills_armitage(nine, test="Wilcoxon")
        if test == "rank"
        else hills_armitage_randomisation(nine)
    )
    for limit, outwards in ((answer.lower, -1e-6), (answer.upper, 1e-6)):
        assert p_of_shift(test, active, control, 2 * (limit + outwards)) <= 0.05
        assert p_of_shift(test, active, control, 2 * (limit - outwards)) > 0.05


def test_random_allocations_agree_with_all_of_them(nine: Trial) -> None:
    counts = nine.data["count"].to_numpy().reshape(9, 2)
    fourteen = crossover_of(np.vstack([counts, counts[2:7, ::-1]]), 7)
    for method in (hills_armitage_randomisation, permutation_mean_ratio):
        every = method(fourteen)
        some = method(fourteen, resamples=3000, seed=3)
        assert "all 3432 allocations" in every.note
        assert "3000 random allocations" in some.note
        assert some == method(fourteen, resamples=3000, seed=3)
        # three Monte Carlo standard errors of twice a tail
        error = 6 * np.sqrt(every.p_value / 2 / 3000)
        assert some.p_value == pytest.approx(every.p_value, abs=error)
        assert some.upper == pytest.approx(every.upper, rel=0.1)


def test_rank_sum_with_ties_is_exact_over_all_allocations() -> None:
    trial = crossover_of([[1, 3], [1, 3], [2, 2], [3, 2], [2, 2], [4, 1]], 3)
    active, control = differences(trial, 3)
    everything = np.concatenate([active, control])
    ranks = stats.rankdata(everything)
    sums = [ranks[list(chosen)].sum() for chosen in combinations(range(6), 3)]
    below = np.mean(np.array(sums) <= ranks[:3].sum())
    assert hills_armitage(trial, test="Wilcoxon").p_value == pytest.approx(2 * below)


def test_paired_wilcoxon_by_counting_signs() -> None:
    """All eight patients have fewer on the drug: one of 2^8 sign patterns each way."""
    trial = crossover_of([[0, i] for i in range(1, 5)] + [[i, 0] for i in range(5, 9)], 4)
    answer = paired_wilcoxon(trial)
    assert answer.p_value == pytest.approx(2 / 2**8)
    assert answer.estimate == -4.5
    still = crossover_of([[0, 1], [2, 2], [3, 1], [5, 2]], 2)
    assert "1 patient without a difference" in paired_wilcoxon(still).note


def test_mann_whitney_on_changes() -> None:
    trial = parallel_of([2, 1, 3], [9, 11, 8], exposure=2.0, baseline=[8, 6, 10, 12, 12, 11])
    change_active = np.array([2, 1, 3]) / 2 - np.array([8, 6, 10]) / 4
    change_control = np.array([9, 11, 8]) / 2 - np.array([12, 12, 11]) / 4
    answer = mann_whitney_changes(trial, baseline_exposure=4)
    assert answer.p_value == pytest.approx(2 / comb(6, 3))
    assert answer.estimate == pytest.approx(
        np.median(np.subtract.outer(change_active, change_control))
    )
    assert "too few patients for a 95 % interval" in answer.note
    assert (answer.lower, answer.upper) == (-np.inf, np.inf)


def test_mann_whitney_in_a_crossover_is_hills_armitage(nine: Trial) -> None:
    changes, other = mann_whitney_changes(nine), hills_armitage(nine, test="Wilcoxon")
    assert (changes.estimate, changes.lower, changes.p_value) == (
        other.estimate,
        other.lower,
        other.p_value,
    )
    assert "the same as Hills-Armitage" in changes.note


# the mean ratio


def test_mean_ratio_of_a_parallel_trial_by_enumeration() -> None:
    counts = np.array([1, 2, 3, 2, 8, 5, 9, 4, 6])
    exposure = np.array([1, 2, 1, 1, 2, 1, 1, 1, 1.0])
    trial = parallel_of(counts[:4], counts[4:], exposure)

    def ratio(chosen: tuple[int, ...], divided_by: float) -> float:
        inside = np.isin(np.arange(9), chosen)
        y = counts / np.where(np.arange(9) < 4, divided_by, 1.0)
        with np.errstate(divide="ignore"):
            rates = [y[arm].sum() / exposure[arm].sum() for arm in (inside, ~inside)]
            return float(np.divide(*rates))

    def p_value(divided_by: float) -> float:
        ratios = np.array([ratio(c, divided_by) for c in combinations(range(9), 4)])
        seen = ratio((0, 1, 2, 3), divided_by)
        return 2 * min(np.mean(ratios <= seen * (1 + 1e-9)), np.mean(ratios >= seen * (1 - 1e-9)))

    answer = permutation_mean_ratio(trial)
    assert answer.estimate == pytest.approx((8 / 5) / (32 / 6))
    assert answer.p_value == pytest.approx(p_value(1.0))
    for limit, inwards in ((answer.lower, 1 + 1e-5), (answer.upper, 1 - 1e-5)):
        assert p_value(limit * inwards) > 0.05 >= p_value(limit / inwards)


def test_mean_ratio_of_a_crossover_by_enumeration(nine: Trial) -> None:
    counts = nine.data["count"].to_numpy().reshape(9, 2)

    def ratio(chosen: tuple[int, ...]) -> float:
        first = np.isin(np.arange(9), chosen)
        active = np.where(first, counts[:, 0], counts[:, 1]).sum()
        return float(active / (counts.sum() - active))

    ratios = np.array([ratio(c) for c in combinations(range(9), 5)])
    seen = ratio((0, 1, 2, 3, 4))
    answer = permutation_mean_ratio(nine)
    assert answer.estimate == pytest.approx(seen)
    assert answer.p_value == pytest.approx(
        2 * min(np.mean(ratios <= seen), np.mean(ratios >= seen))
    )
    assert answer.lower < answer.estimate < answer.upper


def test_mean_ratio_and_its_limits_scale_with_the_active_counts() -> None:
    active, control = np.array([1, 0, 3, 2]), np.array([8, 5, 9, 4])
    once = permutation_mean_ratio(parallel_of(active, control))
    thrice = permutation_mean_ratio(parallel_of(3 * active, control))
    assert [thrice.estimate, thrice.lower, thrice.upper] == pytest.approx(
        [3 * once.estimate, 3 * once.lower, 3 * once.upper], rel=1e-5
    )


# the table


@pytest.mark.parametrize("fixture", ["crossover", "parallel"])
def test_arms_swapped_give_the_inverse_answer(fixture: str, request: pytest.FixtureRequest) -> None:
    trial: Trial = request.getfixturevalue(fixture)
    there, back = table_of(trial), table_of(swapped(trial))
    ratios = there["estimand"].str.contains("ratio")
    assert ratios.any()
    for rows, invert in ((ratios, lambda x: 1 / x), (~ratios, lambda x: -x)):
        one, other = there[rows], back[rows]
        with np.errstate(divide="ignore"):
            for name, opposite in (("estimate", "estimate"), ("lower", "upper")):
                np.testing.assert_allclose(
                    one[name].to_numpy(), invert(other[opposite].to_numpy()), rtol=1e-3, atol=1e-6
                )
    np.testing.assert_allclose(there["p_value"], back["p_value"], rtol=1e-3)


def test_table_has_one_row_a_method_with_its_reason(crossover: Trial, epilepsy: Trial) -> None:
    for trial in (crossover, epilepsy):
        table = table_of(trial, resamples=200)
        assert list(table.columns) == [
            "method",
            "estimand",
            "estimate",
            "lower",
            "upper",
            "p_value",
            "when_right",
            "note",
        ]
        assert table["method"].is_unique
        assert table["when_right"].str.endswith(".").all()
        empty = table["estimate"].isna()
        assert table.loc[empty, "note"].str.startswith("not defined: ").all()
        given = table[~empty]
        assert (given["lower"] <= given["estimate"]).all()
        assert (given["estimate"] <= given["upper"]).all()
        assert given["p_value"].between(0, 1).all()
    assert empty.sum() == 8


def test_who_is_seen_in_one_period_only_is_named(crossover: Trial) -> None:
    for method in (exact_conditional, hills_armitage, paired_wilcoxon, conditional_poisson):
        note = method(crossover).note
        assert "without patient S9, seen in one period only" in note


STRANGE: dict[str, Callable[[], Trial]] = {
    "no event at all": lambda: crossover_of(np.zeros((4, 2)), 2),
    "no event in either arm": lambda: parallel_of([0, 0, 0], [0, 0]),
    "no event on active": lambda: parallel_of([0, 0, 0], [3, 0, 4]),
    "no event on active in a crossover": lambda: crossover_of([[0, 3], [0, 2], [4, 0], [5, 0]], 2),
    "no event on control": lambda: crossover_of([[1, 0], [2, 0], [0, 3]], 2),
    "no event in a period": lambda: crossover_of([[0, 3], [0, 2], [0, 1], [0, 4]], 2),
    "one sequence": lambda: crossover_of([[1, 3], [0, 2], [4, 1], [2, 6]], 4),
    "one patient an arm": lambda: parallel_of([1], [4]),
    "one patient a sequence": lambda: crossover_of([[1, 3], [5, 2]], 1),
    "one pair": lambda: crossover_of([[1, 3]], 1),
    "no period 2": lambda: crossover_of([[1, np.nan], [2, np.nan], [3, np.nan], [5, np.nan]], 2),
    "everyone the same": lambda: crossover_of(np.full((4, 2), 3), 2),
    "constant baseline": lambda: parallel_of([1, 2, 4], [3, 6, 9], baseline=[2] * 6),
    "baseline tells the arms": lambda: parallel_of(
        [1, 2, 4], [3, 6, 9], baseline=[2] * 3 + [5] * 3
    ),
    "large counts": lambda: crossover_of([[100000, 300000], [2, 50000], [40000, 1], [9, 7]], 2),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_trial_gives_notes(name: str) -> None:
    table = table_of(STRANGE[name]())
    for row in table.itertuples():
        if np.isnan(row.estimate):
            assert row.note.startswith("not defined: "), row.method
            assert np.isnan(row.p_value)
        else:
            assert 0 <= row.p_value <= 1, row.method


def note(method: Callable[..., Answer], trial: str) -> str:
    return method(STRANGE[trial]()).note


def test_notes_say_why() -> None:
    assert note(negative_binomial_glm, "no event on active") == "not defined: an arm has no events"
    assert "the same order" in note(quasi_poisson_glm, "one sequence")
    assert "the same order" in note(exact_conditional, "one sequence")
    assert "the same order" in note(hills_armitage, "one sequence")
    assert "no patient was seen in both periods" in note(paired_wilcoxon, "no period 2")
    assert "there is no baseline" in note(mann_whitney_changes, "one patient an arm")
    assert "the same in all" in note(negative_binomial_glm, "constant baseline")
    assert "told apart" in note(negative_binomial_glm, "baseline tells the arms")
    assert "one period" in note(conditional_poisson, "no event on control")
    assert "there are no events" in note(permutation_mean_ratio, "no event at all")
    assert "no interval" in note(permutation_mean_ratio, "no event on active")


def test_arguments_out_of_range_are_errors(nine: Trial) -> None:
    with pytest.raises(ComparatorError, match="unknown interval 'score': choose one of"):
        negative_binomial_glm(nine, interval="score")
    with pytest.raises(ComparatorError, match="overdispersion is 0"):
        negative_binomial_glm(nine, overdispersion=0)
    with pytest.raises(ComparatorError, match="unknown test 'F'"):
        hills_armitage(nine, test="F")
    with pytest.raises(ComparatorError, match="resamples is 0"):
        table_of(nine, resamples=0)
    with pytest.raises(ComparatorError, match="baseline_exposure is -1"):
        mann_whitney_changes(nine, baseline_exposure=-1)
