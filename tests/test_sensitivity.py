"""Patients, counts, drop-out and carryover: against NUTS, brute force and other functions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import make_parallel

from bayes_msc.diagnostics import leave_one_out
from bayes_msc.dropout import drop_out
from bayes_msc.errors import ModelError
from bayes_msc.estimands import answer
from bayes_msc.first_period import both_estimands
from bayes_msc.fit import fit
from bayes_msc.leaving_out import as_for, without_patient
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.rule import Rule
from bayes_msc.sensitivity import (
    altered_count,
    carryover_widths,
    fragility,
    leave_patients_out,
    tipping_point,
)
from bayes_msc.sensitivity.refitting import Copies, Question, fingerprint, steady, with_count
from bayes_msc.trial import Trial

CARD = "crossover-negative-binomial"


@pytest.fixture(scope="module")
def plain() -> Model:
    """Poisson without patient effect: the posterior hangs on two sums alone."""
    return Model.load("count-poisson").with_fixed("patient_sd", 0.0)


@pytest.fixture(scope="module")
def six() -> Trial:
    return make_parallel([[4], [1], [3], [2], [6], [2]], name="six patients")


@pytest.fixture(scope="module")
def left_out(crossover: Trial) -> pd.DataFrame:
    return leave_patients_out(crossover, CARD, seed=2)


def probability(control: float, active: float, model: Model, trial: Trial) -> float:
    """P(RR < 1) of the plain model on a grid, from the sums of either arm of three patients."""
    priors = model.priors_for(trial)
    rate, ratio = np.linspace(-4, 4, 401)[:, None], np.linspace(-6, 5, 1101)[None, :]
    log_density = (
        np.log(priors["log_rate"].pdf(rate))
        + np.log(priors["log_rate_ratio"].pdf(ratio))
        + control * rate
        - 3 * np.exp(rate)
        + active * (rate + ratio)
        - 3 * np.exp(rate + ratio)
    )
    density = np.exp(log_density - log_density.max())
    return float(density[:, ratio[0] < 0].sum() / density.sum())


def test_leaving_a_patient_out_is_the_fit_without(crossover: Trial, left_out: pd.DataFrame) -> None:
    held = as_for(Model.load(CARD), crossover)
    without = answer(fit(without_patient(crossover, "S7"), held, seed=8))
    row = left_out.set_index("left_out").loc["S7"]
    assert row["median"] == pytest.approx(without["median"], rel=0.04)
    assert row["lower"] == pytest.approx(without["lower"], rel=0.1)
    assert row["upper"] == pytest.approx(without["upper"], rel=0.1)
    error = np.hypot(row["mcse"], without["mcse"])
    assert row["prob"] == pytest.approx(without["probability"], abs=4 * error)


def test_table_of_patients_left_out(crossover: Trial, left_out: pd.DataFrame) -> None:
    assert left_out["left_out"].tolist() == ["nobody", *crossover.patients]
    assert left_out["share"].sum() == pytest.approx(1.0)
    assert left_out["events"].sum() == crossover.seen["count"].sum()
    assert left_out["change"].iloc[0] == 0.0
    assert (left_out["label"] == crossover.label).all()
    k = leave_one_out(fit(crossover, CARD, seed=2, engine="auto"))["pareto_k"]
    np.testing.assert_allclose(left_out["pareto_k"].iloc[1:], k)
    assert (left_out["rule_met"] == (left_out["prob_below_1"] >= 0.95)).all()


def test_the_only_patient_of_an_arm_cannot_be_left_out(plain: Model) -> None:
    trial = make_parallel([[4], [1], [3]])
    table = leave_patients_out(trial, plain)
    alone = table.set_index("left_out").loc["P2"]
    assert np.isnan(alone["prob"])
    assert np.isfinite(table.set_index("left_out").loc["P1", "prob"])


def brute_force(trial: Trial, model: Model, rule: Rule, most: int) -> int | None:
    """Smallest change of any count that changes the answer, every change tried."""
    own = {
        arm: trial.seen.loc[trial.seen["treatment"] == arm, "count"] for arm in ("placebo", "drug")
    }
    sums = {arm: float(counts.sum()) for arm, counts in own.items()}
    met = rule.met(probability(sums["placebo"], sums["drug"], model, trial))
    for size in range(1, most + 1):
        for arm, sign in (("placebo", 1), ("placebo", -1), ("drug", 1), ("drug", -1)):
            if sign < 0 and own[arm].max() < size:
                continue
            new = {**sums, arm: sums[arm] + sign * size}
            if rule.met(probability(new["placebo"], new["drug"], model, trial)) != met:
                return size
    return None


@pytest.mark.parametrize("limit", [0.74, 0.86, 0.985, 0.9995])
def test_smallest_altered_count_by_brute_force(six: Trial, plain: Model, limit: float) -> None:
    rule = Rule(1.0, limit)
    held = as_for(plain, six)
    table = altered_count(six, held, rule=rule, most=8, seed=4)
    expected = brute_force(six, held, rule, 8)
    first = table.iloc[0]
    assert first["before"] == pytest.approx(probability(13, 5, held, six), abs=0.02)
    if expected is None:
        assert table["change"].isna().all()
        assert "No change of a single count" in fragility(table, rule)
    else:
        assert abs(first["change"]) == expected
        assert first["rule_met"] != first["met_before"]
        changed = first["count"] + first["change"]
        assert f"read as {changed:g} instead of {first['count']:g}" in fragility(table, rule)
    assert table["monotone"].all()
    assert len(table) == 6


def test_altered_count_moves_to_the_other_side_where_higher_is_better(
    six: Trial, plain: Model
) -> None:
    table = altered_count(six, plain, rule=Rule(1.0, 0.9, "higher"), most=12)
    assert not table["met_before"].any()
    up = table[table["change"].notna()]
    assert (up.loc[up["treatment"] == "drug", "change"] > 0).all()


def test_largest_change_must_be_positive(six: Trial, plain: Model) -> None:
    with pytest.raises(ModelError, match="1 or more"):
        altered_count(six, plain, most=0)


def test_steady_allows_for_monte_carlo_error() -> None:
    assert steady([0.9, 0.8, 0.801], [0.002] * 3, -1.0)
    assert not steady([0.9, 0.8, 0.85], [0.002] * 3, -1.0)
    assert steady([0.1, 0.2], [0.0, 0.0], 1.0)


def test_copies_that_a_model_cannot_tell_apart_are_fitted_once(six: Trial, plain: Model) -> None:
    one, other = with_count(six, 0, 6), with_count(six, 4, 4)
    one = with_count(one, 4, 4)
    assert fingerprint(one, plain) == fingerprint(six, plain)
    assert fingerprint(other, plain) != fingerprint(six, plain)
    # the same counts in the other arm are another trial
    swapped = with_count(with_count(six, 0, 1), 1, 4)
    assert fingerprint(swapped, plain) != fingerprint(six, plain)
    copies = Copies(plain, Question.of(None, progress=False))
    table = copies.refit([six, one, other])
    assert len(copies.known) == 2
    assert table["prob"].iloc[0] == table["prob"].iloc[1]


@pytest.fixture(scope="module")
def two_left(plain: Model) -> Trial:
    """Eight patients with three scans; one of either arm left after the first."""
    counts = [
        [4, 3, 5],
        [1, 2, 0],
        [3, 2, 2],
        [2, 0, 1],
        [2, 4, 1],
        [1, 1, 2],
        [5, 3, 3],
        [0, 2, 1],
    ]
    table = np.array(counts, dtype=float)
    table[0, 1:] = np.nan
    table[1, 1:] = np.nan
    return make_parallel(table.tolist(), name="two left")


def test_tipping_curve_is_that_of_imputation(two_left: Trial) -> None:
    rule = Rule(1.0, 0.95)
    found = tipping_point(two_left, "count-poisson", rule=rule, seed=3)
    curve = found.curve.set_index(["arm", "delta"])
    for arm in ("active", "control"):
        direct = drop_out(
            two_left, "count-poisson", strategies=["delta"], deltas=(4.0,), arms=arm, seed=9
        ).set_index("strategy")
        row = curve.loc[(arm, 4.0)]
        error = np.hypot(row["mcse"], direct.loc["delta", "mcse"])
        assert row["prob"] == pytest.approx(direct.loc["delta", "probability"], abs=4 * error)
    # what both arms share with delta 1 is the posterior of the seen counts
    seen = answer(fit(two_left, "count-poisson", seed=3))
    assert curve.loc[("active", 1.0), "prob"] == pytest.approx(seen["probability"], abs=0.025)
    assert curve.loc[("active", 4.0), "prob"] < curve.loc[("active", 0.5), "prob"]


def test_tipping_point_lies_on_the_rule(two_left: Trial) -> None:
    first = tipping_point(two_left, "count-poisson", deltas=(0.25, 4.0), seed=3)
    ends = first.curve[first.curve["arm"] == "active"].sort_values("delta")["prob"]
    rule = Rule(1.0, float(ends.iloc[[0, -1]].mean()))
    found = tipping_point(two_left, "count-poisson", rule=rule, deltas=(0.25, 4.0), seed=3)
    tip = found.points.set_index("arm").loc["active"]
    assert 0.25 < tip["delta_low"] <= tip["delta"] <= tip["delta_high"]
    own = found.curve[found.curve["arm"] == "active"].sort_values("delta")
    middle = np.interp(np.log(tip["delta"]), np.log(own["delta"]), own["prob"])
    assert middle == pytest.approx(rule.probability, abs=0.05)
    assert "2 scans planned on drug not seen" in tip["words"]


def test_nothing_unseen_nothing_to_tip(six: Trial, plain: Model) -> None:
    found = tipping_point(six, plain)
    assert found.curve.empty
    assert found.points.empty


@pytest.mark.parametrize(
    ("changes", "match"), [({"deltas": (0.0,)}, "above 0"), ({"imputations": 1}, "2 or more")]
)
def test_impossible_tipping_points(
    two_left: Trial, plain: Model, changes: dict[str, float], match: str
) -> None:
    with pytest.raises(ModelError, match=match):
        tipping_point(two_left, plain, **changes)  # type: ignore[arg-type]


def test_carryover_from_none_to_wide(crossover: Trial) -> None:
    table = carryover_widths(crossover, CARD, widths=(0.0, 0.25, 2.0), seed=5)
    assert table["carryover"].tolist() == [
        "none",
        "share of the effect",
        "either direction",
        "either direction",
        "first period",
    ]
    none, share, _, wide, first = table.to_dict("records")
    estimands = both_estimands(crossover, "negative-binomial").set_index("estimand")
    for row, name in ((none, "whole crossover"), (first, "first period alone")):
        assert row["median"] == pytest.approx(estimands.loc[name, "median"], rel=0.05)
    nuts = answer(fit(crossover, Model.load(CARD).with_carryover(0.25), seed=6))
    assert share["prob"] == pytest.approx(nuts["probability"], abs=0.012)
    assert share["median"] == pytest.approx(nuts["median"], rel=0.05)

    def width(row: dict[str, float]) -> float:
        return float(np.log(row["upper"] / row["lower"]))

    # the wider the carryover, the less the comparison within patients says
    assert width(none) < width(wide) < width(first)


def test_no_carryover_in_a_parallel_trial(six: Trial, plain: Model) -> None:
    with pytest.raises(ModelError, match="parallel trial"):
        carryover_widths(six, plain)


def test_priors_of_a_refit_are_held(six: Trial, plain: Model) -> None:
    """A trial with another total must not move the prior of the rate."""
    held = as_for(plain.with_prior("log_rate_ratio", Prior.normal(0.0, 0.5)), six)
    changed = with_count(six, 0, 40.0)
    assert held.priors_for(changed)["log_rate"] == held.priors_for(six)["log_rate"]
