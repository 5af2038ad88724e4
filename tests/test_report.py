"""The report says what the tables say, escapes what it is given, and is written whole."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from report_samples import (
    EVIL,
    alone,
    crossover,
    fake_fit,
    founding,
    hostile_reanalysis,
    more_is_good,
    parallel,
)

from bayes_msc.errors import OutputError
from bayes_msc.report import (
    Results,
    build,
    from_json,
    read_figures,
    read_results,
    render_html,
    report,
    to_json,
    write_results,
)
from bayes_msc.report.cell_formats import FORMATS
from bayes_msc.report.html import table_html
from bayes_msc.report.results import Column, Section, Table

Made = tuple[Results, dict[str, str]]


@pytest.fixture(scope="module")
def reanalysis() -> Made:
    return build(founding(), "bayes-msc reanalyze llufriu2014")


@pytest.fixture(scope="module")
def fitted() -> Made:
    return build(fake_fit(crossover(first=EVIL, provenance="reconstruction")))


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def strict(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


# what it says


def test_answer_has_three_sentences_with_the_numbers(reanalysis: Made) -> None:
    first, second, third = map(plain, reanalysis[0].answer)
    assert first.startswith("Judged by the trial alone")
    assert "very probably lowered" in first
    assert "probability 96 %" in first
    assert re.search(r"sceptic.*82 %.*enthusiast.*99 %", second)
    assert "MESEMS 2021 (144 patients)" in third
    assert "0.94, 0.58 to 1.50" in third
    assert "falls to 88 %" in third
    assert third.endswith("80 %.")
    assert "significant" not in " ".join(reanalysis[0].answer).lower()


def test_stance_table_shows_the_exact_probabilities(reanalysis: Made) -> None:
    stances = next(s for s in reanalysis[0].sections if s.key == "stances")
    table = stances.tables[0]
    np.testing.assert_allclose(table.data["good_1"], [0.9611, 0.9292, 0.8153, 0.9902], atol=5e-5)
    assert [plain(text) for text in table.shown()["P(RR\u00a0<\u00a01)"]] == [
        "96 %",
        "93 %",
        "82 %",
        "99 %",
    ]
    reasons = stances.tables[1].shown()["reason"]
    assert all(len(reason) > 20 for reason in reasons)


def test_reanalysis_report_is_complete(reanalysis: Made) -> None:
    results, figures = reanalysis
    keys = [section.key for section in results.sections]
    assert keys == [
        "flow",
        "estimand",
        "stances",
        "evidence",
        "prediction",
        "paper",
        "assumed",
        "patients",
        "paste",
        "checklists",
    ]
    assert set(figures) == {"flow", "design", "stances", "probability-curves", "forest"}
    command = "bayes-msc fit llufriu2014_reconstructed --model crossover-negative-binomial"
    assert results.sections[7].code == f"{command} --out results2/"
    html = render_html(results, figures)
    for text in ("10.1371/journal.pone.0113936", "several copies agree", "0.0655", command):
        assert text in html
    assert results.manifest["data_sha256"] == founding().published.sha256
    assert results.manifest["command"] == "bayes-msc reanalyze llufriu2014"


def test_reanalysis_without_other_trials_says_so() -> None:
    results, figures = build(alone())
    assert set(figures) == {"flow", "design", "stances", "probability-curves"}
    assert "evidence" not in [section.key for section in results.sections]
    assert "9 patients and no other trial" in results.answer[2]
    draws = np.random.default_rng(3).normal(alone().log_rate_ratio, alone().se, (2, 200_000))
    second = draws[0] + draws[1] - alone().log_rate_ratio
    assert alone().same_side == pytest.approx((second < 0).mean(), abs=0.004)
    assert results.answer[2].endswith(
        f"probability {alone().same_side:.0%}.".replace("%", "\u00a0%")
    )
    assert "Only one prior" in results.answer[1]


def test_more_is_good_turns_the_wording_round() -> None:
    results, figures = build(more_is_good())
    text = plain(render_html(results, figures))
    assert "P(RR &gt; 1)" in text
    assert "P(RR &lt;" not in text
    assert "more steps walked with MSC" in text


def test_alternative_texts_come_from_the_numbers(reanalysis: Made) -> None:
    alts = {figure.name: plain(figure.alt) for figure in reanalysis[0].figures}
    assert "sceptical: posterior around 0.72" in alts["stances"]
    assert "96 % below 1" in alts["probability-curves"]
    assert "MESEMS 2021" in alts["forest"]


def test_fit_report_is_complete(fitted: Made) -> None:
    results, figures = fitted
    keys = [section.key for section in results.sections]
    assert keys == [
        "flow",
        "data",
        "estimand",
        "effect",
        "stances",
        "patients",
        "checks",
        "leave-one-out",
        "model",
        "prior-counts",
        "calibration",
        "paste",
        "card",
        "checklists",
    ]
    assert {"flow", "design", "prior-counts", "changes"} <= set(figures)
    assert results.answer[0].startswith("If the reconstruction is right, ")
    statements = results.tables["statements"]
    row = statements[statements["statement"] == "rate_ratio"].iloc[0]
    assert f"rate ratio {row['median']:.2f}" in results.answer[0]
    assert results.manifest["seed"] == 1
    assert not results.banner


def test_label_stands_in_every_caption_and_in_the_json(fitted: Made) -> None:
    results, figures = fitted
    html = render_html(results, figures)
    label = "reconstruction, not data"
    captions = re.findall(r"<(caption|figcaption)\b[^>]*>(.*?)</\1>", html, flags=re.DOTALL)
    tables = sum(len(s.tables) for s in results.sections)
    panel = 1
    assert len(captions) == len(results.figures) + tables + panel
    assert all(label in text for _, text in captions)
    assert html.index(label) < html.index("<h1>")
    content = strict(to_json(results))
    assert content["label"] == label
    for section in content["sections"]:
        assert all(item["label"] == label for item in section["tables"] + section["figures"])


def test_failed_check_is_a_banner_over_the_numbers_that_depend_on_it() -> None:
    results, figures = build(fake_fit(crossover(), divergent=True))
    html = render_html(results, figures)
    assert any("divergences" in line for line in results.banner)
    assert "must not be relied on" in results.answer[2]
    assert html.index("Checks failed: read this before") < html.index('id="question"')
    warned = {section.key for section in results.sections if section.notices}
    assert {"effect", "patients", "leave-one-out"} <= warned
    assert "repeated with longer tuning" in html
    assert "✗ failed" in html


def test_failed_chains_of_a_combination_are_a_banner_too() -> None:
    result = founding()
    said = "divergences (all chains) is 3, limit 0: take the numbers by quadrature"
    first = result.external["tau_prior"].iloc[0]
    bad = np.where(result.external["tau_prior"] == first, said, "")
    results, figures = build(replace(result, external=result.external.assign(failed_checks=bad)))
    line = f"The combination with other trials, tau ~ {first}: {said}."
    assert results.banner == (line,)
    assert [s.key for s in results.sections if s.notices] == ["evidence", "paste"]
    html = render_html(results, figures)
    assert html.index("Checks failed: read this before") < html.index('id="question"')
    assert build(result)[0].banner == ()


def test_parallel_trial_with_many_patients_shows_the_most_influential() -> None:
    results, _ = build(fake_fit(parallel(30)))
    left_out = next(s for s in results.sections if s.key == "leave-one-out")
    assert len(left_out.tables[0].data) == 15
    assert len(results.tables["leave_one_out"]) == 30
    k = left_out.tables[0].data["pareto_k"]
    assert k.is_monotonic_decreasing


# what it is given


@pytest.mark.parametrize("source", [hostile_reanalysis, lambda: fake_fit(crossover(first=EVIL))])
def test_hostile_names_stay_text(source: Any) -> None:
    results, figures = build(source())
    html = render_html(results, figures)
    # the data and the script of the page itself
    data = [f'id="{name}"' for name in ("prior-data", "left-out-data") if f'id="{name}"' in html]
    assert html.lower().count("<script") == len(data) + 1
    assert "alert(" not in re.sub(r"\\u003cscript\\u003ealert\(|&lt;script&gt;alert\(", "", html)
    assert "&lt;script&gt;" in html
    assert not re.search(r"&lt;script&gt;[^&]*&amp;lt;", html)
    assert "<script" not in "".join(figures.values())


def test_page_is_self_contained(reanalysis: Made, fitted: Made) -> None:
    for results, figures in (reanalysis, fitted):
        html = render_html(results, figures)
        assert len(html) < 2_000_000
        assert "default-src 'none'" in html
        assert not re.search(r"""(?:src|data|action)\s*=\s*["']?(?!data:)[a-z/]""", html)
        assert "@import" not in html
        assert not re.search(r"url\((?!#)", html)
        ids = re.findall(r'\bid="([^"]+)"', html)
        assert len(ids) == len(set(ids))
        assert html.count("<th") - html.count("<thead") == html.count('scope="')


def test_missing_figure_is_named(reanalysis: Made) -> None:
    with pytest.raises(OutputError, match="forest"):
        render_html(reanalysis[0], {"stances": "<svg/>", "probability-curves": "<svg/>"})


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("text", (None,), "–"),
        ("text", ("a",), "a"),
        ("number", (12345.6,), "12,346"),
        ("number", (0.01234,), "0.0123"),
        ("signed", (-0.5,), "−0.500"),
        ("fixed", (-1.3912,), "−1.391"),
        ("integer", (7.0,), "7"),
        ("ratio", (0.2488,), "0.25"),
        ("percent", (0.9999,), ">99 %"),
        ("interval", (0.0566, 1.0933), "0.06 to 1.09"),
        ("interval", (float("nan"), 1.0), "–"),
        ("numbers", (-1.96, 1.96), "−1.96 to 1.96"),
        ("numbers", (-2000.0, 10.0), "−2,000 to 10.0"),
        ("check", (2853.4,), "2,853"),
        ("check", (1.0004,), "1.000"),
        ("check", (0.0,), "0"),
        ("error", (0.0,), "exact"),
        ("error", (0.00532,), "0.0053"),
        ("passed", (True,), "✓ passed"),
        ("passed", (np.False_,), "✗ failed"),
        ("reliable", (False,), "not reliable"),
        ("verdict", ("differs",), "✗ differs"),
        ("verdict", ("not checkable",), "not checkable"),
        ("yes", (True,), "yes"),
        ("yes", (False,), ""),
    ],
)
def test_formats(name: str, values: tuple[Any, ...], expected: str) -> None:
    assert plain(FORMATS[name](*values)) == expected  # type: ignore[operator]


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"text", "passed", "yes", "reliable"}))
def test_missing_numbers_are_a_dash(name: str) -> None:
    if name != "verdict":
        width = 2 if name in ("interval", "numbers", "shares") else 1
        assert FORMATS[name](*[float("nan")] * width) == "–"  # type: ignore[operator]


def test_unknown_format_lists_the_known() -> None:
    with pytest.raises(OutputError, match="percent"):
        Column("x", ("x",), "persent")


def test_table_has_row_headings_and_escapes() -> None:
    columns = (Column("who <b>", ("who",)), Column("n", ("n",), "integer"))
    data = pd.DataFrame({"who": [EVIL, "b&c"], "n": [1.0, np.nan]})
    html = table_html(Table("t", "caption <i>", columns, data), "simulated, not data")
    assert 'scope="row"' in html
    assert "&lt;script&gt;" in html
    assert "caption &lt;i&gt;" in html
    assert "who &lt;b&gt;" in html
    assert "b&amp;c" in html
    assert "simulated, not data" in html
    assert "<style" not in html


def test_empty_table_renders() -> None:
    table = Table("t", "nothing", (Column("a", ("a",)),), pd.DataFrame({"a": []}))
    assert "<caption>" in table_html(table)


# through JSON and back


@pytest.mark.parametrize("which", ["reanalysis", "fitted"])
def test_json_is_strict_and_renders_the_same_page(
    which: str, request: pytest.FixtureRequest
) -> None:
    results, figures = request.getfixturevalue(which)
    text = to_json(results)
    strict(text)
    again = from_json(text)
    assert to_json(again) == text
    assert render_html(again, figures) == render_html(results, figures)


def test_json_holds_every_statement_unrounded(reanalysis: Made) -> None:
    content = strict(to_json(reanalysis[0]))
    for name in ("statements", "consistency", "external", "prediction", "routes", "forest"):
        frame = getattr(founding(), name)
        assert content["tables"][name]["columns"] == list(frame.columns)
        assert len(content["tables"][name]["rows"]) == len(frame)
    column = content["tables"]["statements"]["columns"].index("probability")
    read = [row[column] for row in content["tables"]["statements"]["rows"]]
    kept = founding().statements["probability"]
    assert [p for p in read if p is not None] == list(kept.dropna())


def test_json_turns_what_is_not_a_number_into_null() -> None:
    odd = pd.DataFrame({"x": [np.nan, np.inf, -np.inf, 1.5], "y": [pd.NA, None, True, np.int64(3)]})
    results = Results("fit", "t", "q", (), (Section("s", "h"),), {"odd": odd})
    rows = strict(to_json(results))["tables"]["odd"]["rows"]
    assert rows == [[None, None], [None, None], [None, True], [1.5, 3]]
    assert from_json(to_json(results)).tables["odd"]["x"].isna().sum() == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "'format' must be"),
        ('{"format": "something else"}', "'format' must be"),
        ('{"format": "bayes_msc results", "format_version": 99}', "reads 1"),
        ('{"format": "bayes_msc results", "format_version": 1}', "lacks the key"),
    ],
)
def test_what_is_not_results_is_refused(text: str, message: str) -> None:
    with pytest.raises(OutputError, match=re.escape(message)):
        from_json(text)


def test_damaged_results_are_refused(reanalysis: Made) -> None:
    content = json.loads(to_json(reanalysis[0]))
    content["sections"] = 7
    with pytest.raises(OutputError, match="damaged"):
        from_json(json.dumps(content))


# written whole


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


FOUNDING_TABLES = (
    "estimand",
    "checklist-barg",
    "checklist-fda",
    "checklist-robust",
    "consistency",
    "curve",
    "design",
    "external",
    "flow",
    "forest",
    "prediction",
    "routes",
    "stance-priors",
    "stances",
    "statements",
)
FOUNDING_FILES = {
    "report.html",
    "results.json",
    "figures",
    "figures/stances.svg",
    "figures/probability-curves.svg",
    "figures/forest.svg",
    "figures/design.svg",
    "figures/design.png",
    "figures/flow.svg",
    "figures/flow.png",
    "figures/stances.png",
    "figures/probability-curves.png",
    "figures/forest.png",
    "references.bib",
    "tables",
    *(f"tables/{name}.csv" for name in FOUNDING_TABLES),
}


def test_folder_is_written_and_read_back(reanalysis: Made, tmp_path: Path) -> None:
    results, figures = reanalysis
    folder = write_results(results, tmp_path / "a" / "results", figures)
    assert names(folder) == FOUNDING_FILES
    assert names(folder.parent) == {"results", *(f"results/{name}" for name in FOUNDING_FILES)}
    again = read_results(folder)
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert render_html(again, read_figures(folder, again)) == html


def test_fit_is_written_by_what_is_passed(fitted: Made, tmp_path: Path) -> None:
    folder = write_results(
        *_swapped(fitted, tmp_path / "r"), fit=lambda path: path.write_bytes(b"fit")
    )
    assert (folder / "fit.nc").read_bytes() == b"fit"


def _swapped(made: Made, folder: Path) -> tuple[Results, Path, dict[str, str]]:
    return made[0], folder, made[1]


def test_results_are_not_replaced_unasked(reanalysis: Made, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    write_results(*_swapped(reanalysis, folder))
    (folder / "report.html").write_text("mine now")
    with pytest.raises(OutputError, match="--force"):
        write_results(*_swapped(reanalysis, folder))
    assert (folder / "report.html").read_text() == "mine now"


def test_force_replaces_only_what_it_owns(reanalysis: Made, fitted: Made, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    write_results(*_swapped(fitted, folder), fit=lambda path: path.write_bytes(b"old"))
    (folder / "notes.txt").write_text("keep")
    (folder / "mine").mkdir()
    (folder / "mine" / "deep.txt").write_text("keep")
    (folder / "figures" / "own.svg").write_text("keep")
    (folder / "figures" / "own.png").write_text("keep")
    write_results(*_swapped(reanalysis, folder), force=True)
    foreign = {"notes.txt", "mine", "mine/deep.txt", "figures/own.svg", "figures/own.png"}
    assert names(folder) == FOUNDING_FILES | foreign
    assert all((folder / n).read_text() == "keep" for n in foreign if n != "mine")


def test_folder_of_others_files_needs_no_force(reanalysis: Made, tmp_path: Path) -> None:
    (tmp_path / "counts.csv").write_text("keep")
    write_results(*_swapped(reanalysis, tmp_path))
    assert names(tmp_path) == FOUNDING_FILES | {"counts.csv"}


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError, OSError])
@pytest.mark.parametrize("there", [True, False])
def test_failure_leaves_all_as_it_was(
    reanalysis: Made, tmp_path: Path, failure: type[BaseException], there: bool
) -> None:
    folder = tmp_path / "results"
    if there:
        write_results(*_swapped(reanalysis, folder))
    before = names(tmp_path)

    def fail(path: Path) -> None:
        path.write_text("half")
        raise failure

    expected = OutputError if failure is OSError else failure
    with pytest.raises(expected):
        write_results(*_swapped(reanalysis, folder), fit=fail, force=True)
    assert names(tmp_path) == before


def test_failing_move_is_undone(
    reanalysis: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "results"
    write_results(*_swapped(reanalysis, folder))
    (folder / "report.html").write_text("old")
    replace = Path.replace

    def once(self: Path, target: Path) -> Path:
        if self.name == "results.json" and self.parent.name == "new":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", once)
    with pytest.raises(OutputError, match="No space left"):
        write_results(*_swapped(reanalysis, folder), force=True)
    assert names(folder) == FOUNDING_FILES
    assert (folder / "report.html").read_text() == "old"


def test_impossible_places_are_refused(reanalysis: Made, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("keep")
    with pytest.raises(OutputError, match="is a file"):
        write_results(*_swapped(reanalysis, file), force=True)
    with pytest.raises(OutputError, match="cannot be written"):
        write_results(*_swapped(reanalysis, file / "results"))
    assert file.read_text() == "keep"


def test_reading_what_is_not_there(reanalysis: Made, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"results\.json"):
        read_results(tmp_path)
    folder = write_results(*_swapped(reanalysis, tmp_path / "r"))
    (folder / "figures" / "forest.svg").unlink()
    with pytest.raises(OutputError, match=r"forest\.svg"):
        read_figures(folder, read_results(folder))
    (folder / "results.json").write_bytes(b"\xff\xfe")
    with pytest.raises(OutputError, match="cannot be read"):
        read_results(folder)


def test_report_writes_one_file_and_never_over_another(tmp_path: Path) -> None:
    path = report(founding(), tmp_path / "report.html")
    assert names(tmp_path) == {"report.html"}
    path.write_text("mine")
    with pytest.raises(OutputError, match="there already"):
        report(founding(), path)
    assert path.read_text() == "mine"
    report(founding(), path, force=True)
    assert "<!DOCTYPE html>" in path.read_text(encoding="utf-8")
    with pytest.raises(OutputError, match="folder"):
        report(founding(), tmp_path, force=True)


def test_report_takes_a_fit_too(tmp_path: Path) -> None:
    fit = fake_fit(crossover())
    assert isinstance(fit, xr.DataTree)
    text = report(fit, tmp_path / "fit.html").read_text(encoding="utf-8")
    assert "A sample trial" in text
