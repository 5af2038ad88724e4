"""An analysis that is run again gives the same numbers, and what has changed is named."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xarray as xr
from report_samples import founding

import bayes_msc as bm
from bayes_msc.errors import OutputError
from bayes_msc.evidence.trials import Evidence
from bayes_msc.fit import repeat, save_fit
from bayes_msc.prior import Prior
from bayes_msc.report import build, read_results, write_results
from bayes_msc.report.inputs import bundled_hash, file_hash, hashes
from bayes_msc.verify import AGREES, DIFFERS, IDENTICAL, UNKNOWN, steps_of_folder, verify
from bayes_msc.verify.inputs import CHANGED
from bayes_msc.verify.numbers import Setting, _allowed, compared

SAMPLED, EXACT = Setting(exact=False, same_versions=False), Setting(True, True)


def stored(source: Any, folder: Path, files: dict[str, str] | None = None) -> Path:
    results, figures = build(source, "typed", files=files)
    save = None if isinstance(source, bm.Reanalysis) else lambda path: save_fit(source, path)
    return write_results(results, folder, dict(figures), fit=save, force=True)


def edited(folder: Path, change: Any) -> Path:
    path = folder / "results.json"
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")
    return folder


def cells(content: dict[str, Any], table: str, column: str) -> tuple[list[Any], int]:
    frame = content["tables"][table]
    return frame["rows"], frame["columns"].index(column)


@pytest.fixture(scope="module")
def fast(crossover: bm.Trial) -> xr.DataTree:
    return bm.fit(crossover, "crossover-negative-binomial", seed=3, engine="fast")


def test_reanalysis_agrees_bit_for_bit(tmp_path: Path) -> None:
    found = verify(stored(founding(), tmp_path / "r"))
    assert found.ok
    assert set(found.statements["verdict"]) == {IDENTICAL}
    tables = read_results(tmp_path / "r").tables
    assert set(found.statements["table"]) == {name for name, table in tables.items() if len(table)}
    assert found.not_repeated == ()
    # every cell but those that name the row
    own = found.statements[found.statements["table"] == "statements"]
    assert set(own["measure"]) >= {"median", "lower", "upper", "probability", "prior_probability"}
    assert len(own) >= 5 * len(tables["statements"])
    assert found.words["same"].all()
    assert found.versions.empty
    assert "0 differ" in str(found)


def test_reanalysis_with_choices_of_its_own_agrees(tmp_path: Path) -> None:
    published = replace(bm.load_published("mesems2021"), benefit="higher", endpoint="steps")
    mine = {"mine": Prior.student_t(4, 0.1, 0.7, "for a test")}
    result = bm.reanalyze(published, stances=mine, external=[], thresholds=[1.1, 1.7])
    found = verify(stored(result, tmp_path / "r"))
    assert set(found.statements["verdict"]) == {IDENTICAL}
    assert (found.inputs["state"] == "unchanged").all()


def test_a_number_that_was_altered_differs(tmp_path: Path) -> None:
    folder = stored(founding(), tmp_path / "r")

    def alter(content: dict[str, Any]) -> None:
        rows, at = cells(content, "statements", "probability")
        row = next(r for r in rows if r[at] is not None)
        row[at] += 0.001

    found = verify(edited(folder, alter))
    assert not found.ok
    assert (found.statements["verdict"] == DIFFERS).sum() == 1
    assert "DIFFERS: vague" in str(found)


def test_fit_agrees_bit_for_bit(fast: xr.DataTree, tmp_path: Path) -> None:
    folder = stored(fast, tmp_path / "r")
    found = verify(folder)
    assert found.ok
    assert set(found.statements["verdict"]) == {IDENTICAL}
    assert found.reproduced
    tables = {"statements", "diagnostics", "curve", "arms", "patients", "leave_one_out"}
    assert tables < set(found.statements["table"])
    assert found.words["same"].all()
    assert (found.inputs["state"] == "unchanged").all()
    assert {"report.html", "tables/statements.csv"} < set(found.inputs["input"])


def test_rope_and_thresholds_are_repeated(fast: xr.DataTree, tmp_path: Path) -> None:
    # more digits than the label shows
    rope = (0.8, 1.2500004)
    statements = bm.summarize(fast, thresholds=[0.9, 0.333], rope=rope, exposure=6.0)
    results, figures = build(fast, "typed", statements)
    folder = write_results(
        results, tmp_path / "r", dict(figures), fit=lambda path: save_fit(fast, path)
    )
    found = verify(folder)
    assert set(found.statements["verdict"]) == {IDENTICAL}
    assert found.statements["statement"].str.contains("between 0.8 and 1.25").any()
    assert read_results(folder).recipe["rope"] == list(rope)
    assert found.statements["statement"].str.contains("per 6 ").any()


def test_evidence_given_by_hand_is_named_as_lost(fast: xr.DataTree, tmp_path: Path) -> None:
    row = Evidence.from_ratio("by hand", 0.8, lower=0.5, upper=1.28, n_active=40, n_control=40)
    beside = bm.companions(fast, ["evidence"], external=[row])
    assert beside.evidence is not None
    results, figures = build(fast, "typed", beside=beside)
    folder = write_results(
        results, tmp_path / "r", dict(figures), fit=lambda path: save_fit(fast, path)
    )
    found = verify(folder)
    assert found.ok
    assert "evidence_answers" in found.not_repeated
    assert "Cannot be made again: evidence: another trial was given as a row" in str(found)


def test_nuts_repeats_its_own_draws(crossover: bm.Trial, crossover_fit: xr.DataTree) -> None:
    again = repeat(crossover_fit, cores=2)
    one, two = crossover_fit["posterior"], again["posterior"]
    assert (one["log_rate_ratio"] == two["log_rate_ratio"]).all()
    assert again.attrs["settings"] == crossover_fit.attrs["settings"]


def test_another_seed_agrees_within_the_error(
    crossover: bm.Trial, fast: xr.DataTree, tmp_path: Path
) -> None:
    folder = stored(fast, tmp_path / "r")
    other = bm.fit(crossover, "crossover-negative-binomial", seed=4, engine="fast")
    save_fit(other, folder / "fit.nc", force=True)
    found = verify(folder)
    own = found.statements[found.statements["table"] == "statements"]
    estimates = own[own["measure"].isin(["median", "lower", "upper", "probability"])]
    estimates = estimates[estimates["stored"].notna()]
    # of 4000 draws as many may lie below 1 by chance
    same = estimates["verdict"] == IDENTICAL
    assert set(estimates["verdict"]) <= {AGREES, IDENTICAL}
    assert set(estimates.loc[same, "measure"]) <= {"probability"}
    assert (~same).sum() > 0.8 * len(estimates)
    # the curve has an error at every point, the patients have none
    curve = found.statements[found.statements["table"] == "curve"]
    assert AGREES in set(curve.loc[curve["measure"] == "probability", "verdict"])
    patients = found.statements[found.statements["table"] == "patients"]
    assert UNKNOWN in set(patients["verdict"])
    # whether stored draws reach a patient left out is a matter of their weights: no number differs
    differs = found.statements[found.statements["verdict"] == DIFFERS]
    assert set(differs["measure"]) <= {"the row", "rows"}
    # and the manifest named another seed
    assert found.inputs.loc[found.inputs["state"] == CHANGED, "input"].tolist() == [
        "seed in the manifest"
    ]
    assert "CHANGED: seed in the manifest (3 then, 4 now)" in str(found)


def test_counts_that_were_altered_are_named(
    crossover: bm.Trial, fast: xr.DataTree, tmp_path: Path
) -> None:
    folder = stored(fast, tmp_path / "r")
    meta, text = crossover.meta(), crossover.to_csv_text()
    lines = text.splitlines()
    count = lines[0].split(",").index("count")
    cell = lines[1].split(",")
    cell[count] = str(int(float(cell[count])) + 40)
    changed = bm.Trial.from_text("\n".join([lines[0], ",".join(cell), *lines[2:]]) + "\n", meta)
    other = bm.fit(changed, "crossover-negative-binomial", seed=3, engine="fast")
    save_fit(other, folder / "fit.nc", force=True)
    found = verify(folder)
    assert not found.ok
    assert next(iter(found.inputs.loc[found.inputs["state"] == CHANGED, "input"])) == (
        "the counts in fit.nc"
    )
    assert DIFFERS in set(found.statements["verdict"])


def test_files_are_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("same.toml", "changed.toml", "gone.toml"):
        Path(name).write_text("a = 1")
    files = hashes(["same.toml", "changed.toml", "gone.toml"], {"llufriu2014": "0" * 64})
    folder = stored(founding(), tmp_path / "r", files)
    Path("changed.toml").write_text("a = 2")
    Path("gone.toml").unlink()
    found = verify(folder)
    states = dict(zip(found.inputs["input"], found.inputs["state"], strict=True))
    assert states["same.toml"] == "unchanged"
    assert states["changed.toml"] == states["bundled llufriu2014"] == CHANGED
    assert states["gone.toml"] == "not found"
    assert not found.ok
    assert "CHANGED: changed.toml" in str(found)
    assert "not found: gone.toml (the copy in the results was used)" in str(found)


def test_bundled_data_sets_have_their_hash() -> None:
    assert bundled_hash("llufriu2014") == bm.load_published("llufriu2014").sha256
    assert bundled_hash("epilepsy") == bm.load_trial("epilepsy").sha256
    second = bm.load_trial("llufriu2014_reconstructed", candidate=2)
    assert bundled_hash("llufriu2014_reconstructed-2") == second.sha256
    assert bundled_hash("nothing") is None


def test_other_versions_are_named(tmp_path: Path) -> None:
    def alter(content: dict[str, Any]) -> None:
        content["manifest"]["versions"]["scipy"] = "0.1"
        content["manifest"]["versions"]["no-such-package"] = "1"

    found = verify(edited(stored(founding(), tmp_path / "r"), alter))
    assert found.ok
    assert list(found.versions["package"]) == ["scipy", "no-such-package"]
    assert "scipy 0.1 then" in str(found)


def test_what_cannot_be_run_again_says_so(fast: xr.DataTree, tmp_path: Path) -> None:
    folder = edited(stored(founding(), tmp_path / "r"), lambda content: content.pop("recipe"))
    with pytest.raises(OutputError, match="type the command once more"):
        verify(folder)
    other = stored(fast, tmp_path / "f")
    (other / "fit.nc").unlink()
    with pytest.raises(OutputError, match="no fit"):
        verify(other)


def test_words_and_pages_that_were_altered_are_named(tmp_path: Path) -> None:
    folder = stored(founding(), tmp_path / "r")

    def alter(content: dict[str, Any]) -> None:
        content["answer"][0] = "It works."

    found = verify(edited(folder, alter))
    assert not found.ok
    assert found.other_words == ("answer, sentence 1",)
    assert "the words at answer, sentence 1" in str(found)
    # the page was not written from these results
    assert "CHANGED: report.html" in str(found)
    shown = found._repr_html_()
    assert "not all agrees" in shown
    assert "statements" in shown


def test_a_seed_that_was_altered_is_named(fast: xr.DataTree, tmp_path: Path) -> None:
    def alter(content: dict[str, Any]) -> None:
        content["manifest"]["seed"] = 99

    found = verify(edited(stored(fast, tmp_path / "r"), alter))
    assert not found.ok
    assert "CHANGED: seed in the manifest (99 then, 3 now)" in str(found)


def test_time_is_told_beforehand(fast: xr.DataTree, tmp_path: Path) -> None:
    assert [step.name for step in steps_of_folder(stored(founding(), tmp_path / "r"))] == [
        "reanalysis"
    ]
    (step,) = steps_of_folder(stored(fast, tmp_path / "f"))
    assert step.name == "fit"
    assert step.seconds > 1


@pytest.mark.parametrize(
    ("measure", "difference", "expected"),
    [
        ("median", 0.0, IDENTICAL),
        ("median", 0.05, AGREES),
        ("median", 0.06, DIFFERS),
        # the lower tail is half as long here, the upper one twice
        ("lower", 0.06, AGREES),
        ("lower", 0.065, DIFFERS),
        ("upper", 0.24, AGREES),
        ("upper", 0.26, DIFFERS),
    ],
)
def test_allowed_difference(measure: str, difference: float, expected: str) -> None:
    row = {"statement": "s", "median": 1.0, "lower": 0.5, "upper": 2.0, "mcse": 0.01}
    other = {**row, measure: row[measure] + difference}
    found = compared("t", pd.DataFrame([row]), pd.DataFrame([other]), SAMPLED)
    assert {r["measure"]: r["verdict"] for r in found}[measure] == expected


def test_the_only_number_of_a_table_that_is_not_the_same_differs() -> None:
    table = pd.DataFrame({"who": list("abcdef"), "prob": 0.5, "mcse": 0.1})
    other = table.assign(prob=[0.51, *[0.5] * 5])
    (one,) = (r for r in compared("t", table, other, SAMPLED) if r["verdict"] != IDENTICAL)
    assert one["verdict"] == AGREES
    (one,) = (
        r
        for r in compared("t", table, other, Setting(exact=False, same_versions=True))
        if r["verdict"] != IDENTICAL
    )
    assert one["verdict"] == DIFFERS


def test_last_digits_are_no_difference() -> None:
    table = pd.DataFrame({"who": list("abcdef"), "fold": [1.0, 2, 3, 4, 5, 6]})
    other = table.assign(fold=table["fold"] * [1, 1, 1, 1, 1, 1 + 1e-9])
    for setting in (SAMPLED, EXACT):
        verdicts = [r["verdict"] for r in compared("t", table, other, setting)]
        assert verdicts == [IDENTICAL] * 5 + [AGREES]
    apart = table.assign(fold=table["fold"] * 1.01)
    assert {r["verdict"] for r in compared("t", table, apart, SAMPLED)} == {UNKNOWN}
    assert {r["verdict"] for r in compared("t", table, apart, EXACT)} == {DIFFERS}


def test_rows_are_matched_by_their_words_not_by_their_place() -> None:
    table = pd.DataFrame({"who": ["a", "b"], "prob": [0.4, 0.6], "words": ["x 0.4", "x 0.6"]})
    turned = table.iloc[::-1].reset_index(drop=True)
    assert {r["verdict"] for r in compared("t", table, turned, SAMPLED)} == {IDENTICAL}
    (gone,) = (r for r in compared("t", table, table.iloc[:1], EXACT) if r["verdict"] == DIFFERS)
    assert gone["measure"] == "the row"
    (more,) = (r for r in compared("t", table.iloc[:1], table, SAMPLED) if r["verdict"] == DIFFERS)
    assert (more["measure"], more["stored"], more["again"]) == ("rows", 1, 2)


def test_error_of_a_ratio_follows_from_that_of_its_probability() -> None:
    import numpy as np

    rng = np.random.default_rng(2)
    draws = np.exp(-0.3 + 0.4 * rng.normal(size=(400, 1000)))
    prob = (draws < 1).mean(axis=1)
    lower, median, upper = np.quantile(draws, [0.025, 0.5, 0.975], axis=1)
    row = {
        "median": float(np.exp(-0.3)),
        "lower": float(lower.mean()),
        "upper": float(upper.mean()),
        "prob": float(prob.mean()),
        "mcse": float(prob.std()),
    }
    error = np.sqrt(2) * median.std()
    assert 3.5 * error < _allowed("median", row, row, SAMPLED) < 4.5 * error


def test_limits_of_another_run_rarely_fall_outside_the_allowance() -> None:
    import numpy as np

    rng = np.random.default_rng(1)
    draws = np.exp(0.5 * rng.normal(size=(400, 2000)))
    lower, median, upper = np.quantile(draws, [0.025, 0.5, 0.975], axis=1)
    for values, name in ((lower, "lower"), (upper, "upper"), (median, "median")):
        middle = {"median": 1.0, "lower": float(lower.mean()), "upper": float(upper.mean())}
        row = {"statement": "s", **middle, "mcse": float(median.std())}
        allowed = _allowed(name, row, row, SAMPLED)
        error = np.sqrt(2) * values.std()
        # four standard errors are meant: no fewer than three, no more than six
        assert 3 * error < allowed < 6 * error


def test_command_says_what_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bayes_msc import cli

    folder = tmp_path / "r"

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["bayes-msc", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0)

    card = tmp_path / "mine.toml"
    card.write_text(bm.load_published("llufriu2014").to_toml(), "utf-8")
    assert run("reanalyze", str(card), "--out", str(folder)) == 0
    assert read_results(folder).manifest["files"][str(card)] == file_hash(card)
    assert run("report", str(folder), "--format", "md,html") == 0
    assert (folder / "report.md").is_file()
    assert run("verify", str(folder)) == 0
    said = capsys.readouterr()
    assert "identical bit for bit" in said.out
    assert "Running again: reanalysis; about" in said.err
    card.write_text(card.read_text("utf-8") + "\n", "utf-8")
    assert run("verify", str(folder)) == 1
    assert f"CHANGED: {card}" in capsys.readouterr().out
