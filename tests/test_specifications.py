"""Specifications, the curve and what follows from it: known variances, and choices that tie."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_parallel

from bayes_msc.datasets import load_trial
from bayes_msc.errors import ModelError, OutputError, SensitivityError
from bayes_msc.fit import fit
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.published import load_published
from bayes_msc.refits import refit_many
from bayes_msc.rule import Rule
from bayes_msc.sensitivity import (
    Sensitivity,
    rank,
    sensitivity,
    specification_curve,
    specifications,
)
from bayes_msc.sensitivity.curve import SpecificationCurve, decomposition
from bayes_msc.sensitivity.specifications import CHOICES, Specification
from bayes_msc.trial import Trial

CARD = "crossover-negative-binomial"
FEW = {"dispersion": ["none"], "period": ["yes"], "carryover": ["none"], "baseline": ["none"]}


def test_every_combination_is_kept_once_or_has_a_reason(reconstruction: Trial) -> None:
    grid = specifications(reconstruction, CARD)
    everything = int(np.prod([len(options) for options in grid.options.values()]))
    assert len(grid.kept) + grid.left_out["specifications"].sum() == everything
    assert len(set(grid.kept)) == len(grid.kept) == 672
    table = grid.table()
    assert not ((table["carryover"] != "none") & (table["period"] == "no")).any()
    assert set(table.loc[table["family"] == "poisson", "patient_effect"]) == {"normal"}
    assert set(table.loc[table["family"] == "poisson", "dispersion"]) == {"none"}


def test_a_specification_is_the_model_it_says(reconstruction: Trial) -> None:
    own = Prior.half_normal(0.7, "a prior of the analyst's own")
    card = Model.load(CARD).with_prior("patient_sd", own)
    grid = specifications(reconstruction, card, families=["poisson", "negative-binomial"])
    for one, (model, data) in zip(grid.kept, grid.pairs(), strict=True):
        terms = model.terms_for(data)
        assert model.family == one.family
        assert ("period" in terms) == (one.period == "yes")
        assert ("carryover" in terms) == (one.carryover == "share")
        assert ("baseline" in terms) == (one.baseline == "log")
        assert (model.dispersion == "per-arm") == (one.dispersion == "per arm")
        assert model.priors["patient_sd"].is_fixed == (one.patient_effect == "none")
        if one.patient_effect == "normal":
            assert model.priors["patient_sd"].parameters == own.parameters
        assert data.provenance.endswith("carried forward") == (one.unseen == "carried forward")
        assert ("scan" in data.data) == (one.rows == "scan")
        assert model.priors["log_rate_ratio"].parameters == grid.priors[one.prior].parameters
        if one.dispersion == "set to 1":
            assert model.priors["sqrt_overdispersion"].parameters == (1.0,)


def test_a_parallel_trial_has_no_period_and_one_spread_a_patient() -> None:
    grid = specifications(load_trial("epilepsy"), "count-negative-binomial")
    table = grid.table()
    assert set(table["period"]) == {"no"}
    assert set(table["carryover"]) == {"none"}
    sums = table[(table["rows"] == "period") & (table["family"] == "negative-binomial")]
    assert set(sums["patient_effect"]) == {"none"}
    assert grid.left_out["reason"].str.contains("one row a patient").any()


def test_own_prior_and_covariates_are_choices(reconstruction: Trial) -> None:
    card = Model.load(CARD).with_prior("log_rate_ratio", Prior.normal(-0.2, 0.3, "own"))
    grid = specifications(reconstruction, card)
    assert "the model's own" in grid.options["prior"]
    trial = load_trial("epilepsy")
    aged = Model.load("count-poisson").with_covariate("age", Prior.normal(0, 0.5, "age"))
    assert specifications(trial, aged).options["covariates"] == ("yes", "no")


@pytest.mark.parametrize(
    ("choices", "match"),
    [
        ({"colour": ["red"]}, "unknown choice 'colour'"),
        ({"rows": ["month"]}, "scan, period"),
        ({"family": ["binomial"]}, "unknown option for family"),
        ({"family": ["poisson"], "dispersion": ["common"]}, "no combination"),
    ],
)
def test_unknown_choices(reconstruction: Trial, choices: dict[str, list[str]], match: str) -> None:
    with pytest.raises(ModelError, match=match):
        specifications(reconstruction, CARD, choices=choices)


def test_a_grid_that_takes_hours_asks_first(reconstruction: Trial) -> None:
    with pytest.raises(SensitivityError, match=r"would take about \d.* (min|h): .*--yes"):
        specification_curve(
            reconstruction,
            CARD,
            families=["poisson-lognormal", "hurdle-negative-binomial", "negative-binomial-1"],
            workers=1,
        )
    # and before the other analyses have taken their time
    with pytest.raises(SensitivityError, match="--yes"):
        sensitivity(reconstruction, CARD, families=["poisson-lognormal"], workers=1)


def tabled(effects: dict[str, list[float]], interaction: float = 0.0) -> pd.DataFrame:
    """A full grid whose probability is a sum of effects, plus one product."""
    fixed = asdict(Specification(*["x"] * len(CHOICES)))
    rows = []
    for places in product(*[range(len(values)) for values in effects.values()]):
        own = {name: f"option {i}" for name, i in zip(effects, places, strict=True)}
        value = sum(values[i] for values, i in zip(effects.values(), places, strict=True))
        value += interaction * np.prod([2 * i - 1 for i in places])
        rows.append({**fixed, **own, "prob": value, "log_mean": -2 * value})
    table = pd.DataFrame(rows)
    return table.assign(rule_met=table["prob"] >= 0.6)


def test_variance_of_additive_choices_adds_up() -> None:
    effects = {"family": [0.1, 0.5], "prior": [0.0, 0.1, 0.2], "rows": [0.0, 0.0]}
    found = decomposition(tabled(effects)).set_index("choice")
    variances = {name: float(np.var(values)) for name, values in effects.items()}
    whole = sum(variances.values())
    for name, variance in variances.items():
        assert found.loc[name, "total"] == pytest.approx(variance / whole)
        assert found.loc[name, "first_order"] == pytest.approx(variance / whole)
        assert found.loc[name, "total_ratio"] == pytest.approx(variance / whole)
    assert found["total"].sum() == pytest.approx(1.0)
    assert found.index[0] == "family"
    assert found.loc["family", "swing"] == pytest.approx(0.4)
    assert found.loc["family", "flips"] == pytest.approx(2 / 3)
    assert found.loc["rows", "flips"] == 0.0


def test_variance_of_choices_that_interact_is_in_both_totals() -> None:
    found = decomposition(tabled({"family": [0.0, 0.0], "rows": [0.0, 0.0]}, interaction=0.2))
    np.testing.assert_allclose(found["total"], 1.0)
    np.testing.assert_allclose(found["first_order"], 0.0, atol=1e-12)


def test_a_family_without_overdispersion_stands_beside_the_common_one() -> None:
    table = tabled({"family": [0.1, 0.5]})
    table["dispersion"] = ["none", "common"]
    assert decomposition(table)["choice"].tolist() == ["family"]


@pytest.fixture(scope="module")
def curve(crossover: Trial) -> SpecificationCurve:
    choices = {**FEW, "unseen": ["seen only"], "patient_effect": ["normal"]}
    return specification_curve(
        crossover, "crossover-poisson", families=["poisson"], choices=choices, seed=3
    )


def test_poisson_scans_and_their_sums_say_the_same(curve: SpecificationCurve) -> None:
    table = curve.specifications.pivot_table("prob", index="prior", columns="rows")
    errors = curve.specifications["mcse"].max()
    assert (table["scan"] - table["period"]).abs().max() < 5 * errors
    found = curve.choices.set_index("choice")
    assert found.index.tolist() == ["prior", "rows"]
    assert found.loc["prior", "total"] > 0.9
    assert found.loc["rows", "total"] < 0.1


def test_the_curve_is_sorted_weighed_and_worded(
    crossover: Trial, curve: SpecificationCurve
) -> None:
    table = curve.specifications
    assert table["prob"].is_monotonic_increasing
    assert table["place"].tolist() == list(range(1, 9))
    np.testing.assert_allclose(table.groupby("rows")["weight"].sum(), 1.0)
    own = table[table["rows"] == "scan"].set_index("prior")
    card = Model.load("crossover-poisson").without_term("baseline")
    refits = refit_many([(card.with_prior("log_rate_ratio", n), crossover) for n in own.index])
    marginal = refits["log_marginal_likelihood"].to_numpy()
    expected = np.exp(marginal - marginal.max())
    np.testing.assert_allclose(own["weight"], expected / expected.sum(), atol=0.03)
    averaged = curve.averages.set_index(["rows", "weights"]).loc[("scan", "model probabilities")]
    assert averaged["prob"] == pytest.approx(float(own["weight"] @ own["prob"]))
    assert f"{int(table['rule_met'].sum())} of 8 specifications" in curve.statement
    assert curve.share == table["rule_met"].mean()
    assert (table["label"] == crossover.label).all()


def test_a_specification_by_nuts(crossover: Trial, curve: SpecificationCurve) -> None:
    card = Model.load("crossover-poisson").without_term("baseline")
    chains = fit(crossover, card.with_prior("log_rate_ratio", "sceptical"), seed=12)
    ratio = chains["posterior"]["log_rate_ratio"].to_numpy()
    rows = curve.specifications.set_index(["rows", "prior"])
    row = rows.loc[("scan", "sceptical")]
    assert row["log_mean"] == pytest.approx(ratio.mean(), abs=0.02)
    assert row["prob"] == pytest.approx((ratio < 0).mean(), abs=0.012)


def test_ranking_puts_what_turns_the_answer_first() -> None:
    patients = pd.DataFrame({"left_out": ["nobody", "A", "B"], "prob": [0.96, 0.97, 0.94]})
    carried = pd.DataFrame(
        {
            "carryover": ["none", "either direction", "first period"],
            "width": [0.0, 1.0, np.nan],
            "prob": [0.96, 0.955, 0.999],
        }
    )
    table = rank({"patients": patients, "carryover": carried}, 0.96, Rule())
    assert table["what"].tolist() == ["one patient left out", "period 1 alone", "carryover"]
    assert table["turns"].tolist() == [True, False, False]
    assert table["extreme"].iloc[0] == "without B: 0.940"
    np.testing.assert_allclose(table["swing"], [0.03, 0.039, 0.005])


@pytest.fixture(scope="module")
def printed() -> Sensitivity:
    return sensitivity(
        load_published("llufriu2014"), analyses=["stances", "credibility", "patients"]
    )


def test_printed_numbers_have_what_they_can_have(printed: Sensitivity) -> None:
    assert set(printed.tables) == {"stances", "credibility"}
    assert printed.skipped == {"patients": "printed numbers do not tell the counts of patients"}
    assert printed.ranking["what"].tolist() == ["the prior opinion (stances)"]
    assert "met under" in printed.statements["stances"]
    assert "What moves the conclusion" in printed._repr_html_()
    assert "What moves the conclusion" in str(printed)


def test_results_are_written_whole_and_never_over_others(
    printed: Sensitivity, tmp_path: Path
) -> None:
    folder = printed.save(tmp_path / "new")
    assert sorted(path.name for path in folder.iterdir()) == [
        "sensitivity-figures",
        "sensitivity-tables",
        "sensitivity.html",
    ]
    table = pd.read_csv(folder / "sensitivity-tables" / "what_moves.csv")
    pd.testing.assert_frame_equal(table, printed.ranking, check_dtype=False)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds results already"):
        printed.save(folder)
    printed.save(folder, force=True)
    assert (folder / "notes.txt").read_text() == "mine"
    assert not list(folder.glob(".results-*"))
    page = (folder / "sensitivity.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "<h1>What moves the conclusion</h1>" in page
    assert load_published("llufriu2014").title in page


def test_counts_in_one_call_carry_their_label(crossover: Trial) -> None:
    found = sensitivity(crossover, "crossover-poisson", analyses=["stances", "patients"])
    for table in found.tables.values():
        assert (table["label"] == crossover.label).all()
    assert set(found.figures()) == {"what_moves", "stances", "patients"}
    assert "SIMULATED, NOT DATA" in str(found)
    assert len(set(found.ranking["prob"])) == 1


def test_what_a_trial_cannot_answer_is_said() -> None:
    trial = make_parallel([[4], [1], [3], [2], [6], [2]])
    model = Model.load("count-poisson").with_fixed("patient_sd", 0.0)
    found = sensitivity(trial, model, analyses=["patients", "drop-out", "carryover"])
    assert found.skipped["drop-out"] == "everything that was planned was seen"
    assert "parallel trial" in found.skipped["carryover"]
    assert set(found.tables) == {"patients"}
    with pytest.raises(SensitivityError, match="unknown analysis of sensitivity 'weather'"):
        sensitivity(trial, model, analyses=["weather"])
