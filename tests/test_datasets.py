"""Bundled trials: their totals, their labels, and that they are what their cards say."""

from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from bayes_msc.datasets import load_card, load_trial, trial_names
from bayes_msc.errors import TrialError

HERE = Path(__file__).parent
RECONSTRUCTED = "llufriu2014_reconstructed"
CANDIDATES = range(1, 7)


def shipped_table(name: str) -> pd.DataFrame:
    """The table as it lies in the folder."""
    import bayes_msc

    folder = Path(bayes_msc.__file__).parent / "datasets" / name
    return pd.read_csv(folder / load_card(name).file)


def test_only_folders_with_patients_are_listed():
    assert trial_names() == ("crossover_example", "epilepsy", RECONSTRUCTED)


@pytest.mark.parametrize("name", trial_names())
def test_every_card_says_what_it_is(name):
    card, trial = load_card(name), load_trial(name)
    assert trial.name == card.name == name
    assert trial.title == card.title
    assert trial.provenance == card.provenance
    assert trial.label.lower() in card.title.lower()
    for words in (card.certainty, card.licence, card.source, card.description):
        assert len(words) > 15
    assert {"design", "control", "active", "endpoint", "exposure_unit"} <= set(card.roles)


@pytest.mark.parametrize("name", ["crossover_example", RECONSTRUCTED])
def test_what_is_no_data_says_so_everywhere(name):
    card, trial = load_card(name), load_trial(name)
    for text in (card.title, card.description, trial.label, trial.title, repr(trial), card.file):
        assert "not data" in text.lower().replace("_", " ")
    assert trial.label.upper() in trial._repr_html_()
    assert trial.meta()["provenance"] == card.provenance != "data"


def test_unknown_names_list_the_known():
    with pytest.raises(TrialError, match=r"unknown bundled trial 'nope'.*epilepsy"):
        load_trial("nope")
    with pytest.raises(TrialError, match="unknown bundled trial"):
        load_card("../..")


def test_epilepsy_agrees_with_its_source_cell_by_cell():
    source = json.loads((HERE / "reference" / "bugs_epil.data.json").read_text())
    trial = load_trial("epilepsy")
    data = trial.data
    counts = np.asarray(source["y"])
    assert trial.n_patients == source["N"] == 59
    np.testing.assert_array_equal(data["count"].to_numpy().reshape(59, 4), counts)
    np.testing.assert_array_equal(data["scan"].to_numpy().reshape(59, 4), [[1, 2, 3, 4]] * 59)
    for column, key in (("baseline", "Base"), ("age", "Age")):
        np.testing.assert_array_equal(data[column].to_numpy()[::4], source[key])
    treated = np.asarray(source["Trt"], dtype=bool)
    np.testing.assert_array_equal(data["treatment"].to_numpy()[::4] == "progabide", treated)
    summary = trial.arm_summary().set_index("treatment")
    assert summary.loc["placebo", "events"] == counts[~treated].sum() == 961
    assert summary.loc["progabide", "events"] == counts[treated].sum() == 987
    assert summary["patients"].to_dict() == {"placebo": 28, "progabide": 31}
    assert summary["exposure"].to_dict() == {"placebo": 112, "progabide": 124}


def test_epilepsy_keeps_the_count_that_another_copy_changed():
    data = load_trial("epilepsy").data
    assert data.loc[data["patient"] == "8", "count"].tolist() == [40, 20, 21, 12]


def simulation_script() -> ModuleType:
    """The script that made the example, imported from its file."""
    path = HERE.parent / "scripts" / "simulate_crossover_example.py"
    spec = spec_from_file_location("simulate_crossover_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_is_what_its_script_makes():
    script = simulation_script()
    made = script.simulate()
    shipped = shipped_table("crossover_example")
    assert script.TABLE.read_text() == made.to_csv(index=False, lineterminator="\n")
    assert shipped["count"].sum() == made["count"].sum()
    assert not script.simulate(1).equals(made)


def test_the_simulation_has_the_mean_and_variance_that_the_card_states():
    script = simulation_script()
    rng = np.random.default_rng(5)
    draws = script.negative_binomial(rng, np.full(200_000, 2.0), script.OVERDISPERSION)
    assert draws.mean() == pytest.approx(2.0, abs=0.02)
    assert draws.var() == pytest.approx(2.0 + 0.5 * 2.0**2, rel=0.02)
    many = pd.concat([script.simulate(seed) for seed in range(500)])
    means = many.groupby(["treatment", "period"])["count"].mean()
    assert means["MSC", 1] / means["placebo", 1] == pytest.approx(0.5, abs=0.1)
    assert means["MSC", 2] / means["MSC", 1] == pytest.approx(0.9, abs=0.15)


def test_the_example_has_the_founding_trials_design():
    trial = load_trial("crossover_example")
    first = trial.data.drop_duplicates("patient")
    assert first["sequence"].value_counts().to_dict() == {"MSC-placebo": 5, "placebo-MSC": 4}
    assert trial.data["month"].tolist() == [3, 6, 9, 12] * 9
    missing = trial.data[trial.data["count"].isna()]
    assert missing[["patient", "month"]].to_numpy().tolist() == [["S9", 6], ["S9", 9], ["S9", 12]]
    assert trial.warnings == ("missing counts: 3 not seen, of patient 'S9' (3)",)


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_reconstruction_meets_the_figures_it_was_inferred_from(candidate):
    trial = load_trial(RECONSTRUCTED, candidate=candidate)
    data = trial.data
    baseline = data.drop_duplicates("patient")["baseline"]
    assert baseline.sum() == 42
    assert (baseline**2).sum() == 750
    assert baseline.mean() == pytest.approx(4.67, abs=0.005)
    assert baseline.std() == pytest.approx(8.32, abs=0.005)

    table = shipped_table(RECONSTRUCTED).query("candidate == @candidate")
    carried = table["count"].fillna(table["carried_forward"])
    by_period = carried.groupby(table["period"]).sum()
    assert by_period.to_dict() == {1: 120, 2: 88}
    first = carried[table["period"] == 1].groupby(table["treatment"]).sum()
    assert first.to_dict() == {"MSC": 36, "placebo": 84}
    totals = carried.groupby([table["period"], table["patient"]]).sum()
    assert totals[1].mean() == pytest.approx(13.33, abs=0.005)
    assert totals[2].mean() == pytest.approx(9.78, abs=0.005)
    assert totals[1].std() == pytest.approx(20.5, abs=0.05)
    assert totals[2].std() == pytest.approx(20.02, abs=0.005)


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_the_drop_outs_carried_scans_are_unseen(candidate):
    trial = load_trial(RECONSTRUCTED, candidate=candidate)
    seen = trial.seen
    assert trial.design == "crossover"
    assert (trial.control, trial.active) == ("placebo", "MSC")
    drop_out = seen[seen["patient"] == "P4"]
    assert drop_out[["month", "count"]].to_numpy().tolist() == [[3, 31]]
    assert len(trial.data) == 36
    assert len(seen) == 33
    first = seen[seen["period"] == 1].groupby("treatment")["count"].sum()
    assert first.to_dict() == {"MSC": 36, "placebo": 53}
    assert trial.data["sequence"].unique().tolist() == ["MSC-first", "placebo-first"]


def test_the_candidates_share_the_first_period_and_differ_in_the_second():
    trials = [load_trial(RECONSTRUCTED, candidate=c) for c in CANDIDATES]
    for trial in trials[1:]:
        same = trial.data["count"].eq(trials[0].data["count"]) | trial.data["count"].isna()
        assert same[trial.data["period"] == 1].all()
        assert not same.all()
    assert len({trial.sha256 for trial in trials}) == 6
    assert [t.name for t in trials[:2]] == [RECONSTRUCTED, f"{RECONSTRUCTED}-2"]
    assert "Candidate 2 of 6." in trials[1].source
    assert load_trial(RECONSTRUCTED).sha256 == trials[0].sha256


def test_candidates_are_checked():
    with pytest.raises(TrialError, match=rf"unknown candidate of {RECONSTRUCTED} 7.*1, 2, 3"):
        load_trial(RECONSTRUCTED, candidate=7)
    with pytest.raises(TrialError, match="epilepsy has one table only"):
        load_trial("epilepsy", candidate=1)


def test_the_card_argues_the_reconstruction():
    argument = load_card(RECONSTRUCTED).argument
    for word in ("weak", "proven", "may conclude", "may not conclude", "second-period"):
        assert word in argument
    assert load_card("epilepsy").argument == ""
