"""What stands behind printed numbers: who took part, and reconstructed counts, never as data."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from importlib import resources
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from report_samples import alone, founding, with_reconstruction
from typer.testing import CliRunner

import bayes_msc as bm
from bayes_msc import plots
from bayes_msc.cli import app
from bayes_msc.errors import PlanError, PublishedError, ReconstructionError
from bayes_msc.flow import planned_scans
from bayes_msc.printed import FlowRow
from bayes_msc.published import parse_published
from bayes_msc.reconstruct import Behind, Paper, parse_paper
from bayes_msc.reconstruct.behind import answers_behind
from bayes_msc.reconstruct.group import LABEL
from bayes_msc.report import Results, build, csv_tables, from_json, render_html, to_json
from bayes_msc.report import behind_sections as parts
from bayes_msc.report.document import blocks
from bayes_msc.report.write import write_results
from bayes_msc.schedule import Schedule
from bayes_msc.verify import IDENTICAL, verify


def section(results: Results, key: str) -> object:
    return next((s for s in results.sections if s.key == key), None)


# who took part


def test_flow_adds_up_to_the_arms_of_the_first_period() -> None:
    for name, total in (("llufriu2014", 9), ("mesems2021", 144)):
        published = bm.load_published(name)
        first = {row.treatment: row.patients for row in published.flow if row.period == 1}
        arms = (published.active, published.control)
        assert first == {arm.label: arm.n for arm in arms}
        assert sum(arm.n for arm in arms) == total


def test_who_left_is_missing_in_the_next_period() -> None:
    rows = {(row.group, row.period): row for row in bm.load_published("llufriu2014").flow}
    for group in {group for group, _ in rows}:
        one, two = rows[group, 1], rows[group, 2]
        assert one.patients is not None
        assert one.left is not None
        assert two.patients == one.patients - one.left
        assert {one.treatment, two.treatment} == {"MSC", "placebo"}


def test_flow_survives_its_text() -> None:
    published = bm.load_published("llufriu2014")
    again = parse_published(published.to_toml())
    # nobody left is not the same as not known
    assert again.flow == published.flow
    assert {row.left for row in again.flow} == {0, 1}
    assert {row.left for row in bm.load_published("mesems2021").flow} == {None}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"period": 3}, "period is 3"),
        ({"patients": 4, "left": 5}, "left is 5 of 4"),
        ({"left": 1}, "give both"),
        ({"group": " "}, "name both"),
        ({"certainty": "sure"}, "choose one of high"),
    ],
)
def test_impossible_flow_is_refused(fault: dict[str, object], message: str) -> None:
    good = {"group": "drug first", "treatment": "drug", "certainty": "high"}
    with pytest.raises(PublishedError, match=message):
        FlowRow(**{**good, **fault})  # type: ignore[arg-type]


def test_two_rows_of_one_place_are_refused() -> None:
    published = bm.load_published("llufriu2014")
    with pytest.raises(PublishedError, match="two rows of one group"):
        replace(published, flow=(published.flow[0], published.flow[0]))


def test_flow_says_what_is_known() -> None:
    results, figures = build(founding())
    found = section(results, "flow")
    assert "Left: 1 on placebo, at month 5, after three relapses." in found.paragraphs[0]
    assert "flow" in figures
    assert "4 began, left: 1, at month 5, after three relapses." in found.figures[0].alt
    other, _ = build(bm.reanalyze(bm.load_published("mesems2021"), external=[]))
    assert "How many left is not known here." in section(other, "flow").paragraphs[0]
    nothing = replace(bm.load_published("mesems2021"), flow=())
    assert section(build(bm.reanalyze(nothing))[0], "flow") is None


# what was planned


def test_schedule_survives_its_text() -> None:
    for name in ("llufriu2014", "mesems2021"):
        published = bm.load_published(name)
        assert published.schedule is not None
        assert parse_published(published.to_toml()).schedule == published.schedule


def test_schedule_is_that_of_the_printed_counts() -> None:
    published, paper = bm.load_published("llufriu2014"), bm.read_paper("llufriu2014")
    schedule = published.schedule
    assert schedule is not None
    assert (*schedule.period_1, *schedule.period_2) == tuple(paper.months)
    assert schedule.unit == "month"
    trial = bm.load_trial("llufriu2014_reconstructed")
    plan = planned_scans(trial)
    for group, own in parts.design_table(published).groupby("group"):
        treated = own.sort_values("time")["treatment"].tolist()
        same = [treated == p["treatment"].tolist() for _, p in plan.groupby("group")]
        assert sum(same) == 1, group
    assert sorted(plan["time"].unique()) == sorted(schedule.period_1 + schedule.period_2)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"unit": "year"}, "choose one of week, month"),
        ({"certainty": "sure"}, "choose one of high"),
        ({"period_1": ()}, "period_1 is empty"),
        ({"period_1": (6.0, 3.0)}, "the times are 6, 3:"),
        ({"period_1": (0.0,)}, "above 0"),
        ({"period_2": (6.0,)}, "the second period's after the first's"),
        ({"period_1": (float("nan"),)}, "the times are nan"),
        ({"period_2": (float("inf"),)}, "inf"),
    ],
)
def test_impossible_schedule_is_refused(fault: dict[str, object], message: str) -> None:
    good = {"unit": "month", "certainty": "high", "period_1": (3.0, 6.0)}
    with pytest.raises(PublishedError, match=message):
        Schedule(**{**good, **fault})  # type: ignore[arg-type]


def test_times_in_a_file_are_a_list_of_numbers() -> None:
    text = bm.load_published("mesems2021").to_toml()
    for bad in ('period_1 = "4, 12"', "period_1 = [4, true]"):
        with pytest.raises(PublishedError, match=r"schedule.period_1.*number"):
            parse_published(re.sub(r"period_1 = \[[^]]*\]", bad, text))


def test_design_says_what_is_known_and_what_is_not() -> None:
    known = section(build(founding())[0], "flow")
    assert "design" in {figure.name for figure in known.figures}
    words = known.paragraphs[-1]
    assert (
        "before treatment, in period 1 at months 3 and 6, in period 2 at months 9 and 12" in words
    )
    assert "text, design; certainty: high" in words
    assert "not known" not in words
    assert "Dashed" not in known.figures[1].caption
    results, figures = build(bm.reanalyze(bm.load_published("mesems2021"), external=[]))
    other = section(results, "flow")
    assert "at weeks 4, 12 and 24" in other.paragraphs[-1]
    assert (
        "When they were in period 2 and whether there was one before treatment is not known"
        in (other.paragraphs[-1])
    )
    assert "Dashed" in other.figures[1].caption
    assert "MSC first, period 2, placebo: times not known here." in other.figures[1].alt
    assert "design" in figures
    nothing = replace(bm.load_published("mesems2021"), schedule=None)
    silent, drawn = build(bm.reanalyze(nothing, external=[]))
    assert [figure.name for figure in section(silent, "flow").figures] == ["flow"]
    assert "design" not in drawn
    assert "When counts were planned is not known here." in section(silent, "flow").paragraphs[-1]
    # times without groups are not drawn
    alone = build(bm.reanalyze(replace(bm.load_published("mesems2021"), flow=()), external=[]))
    assert "design" not in alone[1]


def test_design_is_drawn_as_planned() -> None:
    for name, marks, open_bars in (("llufriu2014", 8, 0), ("mesems2021", 6, 2)):
        published = bm.load_published(name)
        assert published.schedule is not None
        table = parts.design_table(published)
        figure = plots.printed_design(table, published.active.label, published.schedule.baseline)
        (axes,) = figure.axes
        bars = axes.patches
        assert len(bars) == 4
        assert sum(bar.get_linestyle() == "--" for bar in bars) == open_bars
        # every planned count, and a diamond a group where there is one before treatment
        assert len(axes.lines) == marks + 2 * published.schedule.baseline
        # nobody is said to have been seen
        assert not any(" of " in text.get_text() for text in axes.texts)
        assert {bar.get_x() for bar in bars} == {0.0, published.schedule.period_1[-1]}


# reconstructed counts


def test_reconstruction_is_labelled_wherever_it_is_shown() -> None:
    results, figures = build(with_reconstruction())
    found = section(results, "reconstruction")
    assert found.label == LABEL
    html = render_html(results, figures)
    start = html.index('id="reconstruction"')
    shown = html[start : html.index("</section>", start)]
    # above the words, in both captions of tables, in that of the figure
    assert shown.count(LABEL) >= 4 + 4
    assert "reconstruction" in figures
    captions = [b.caption for b in blocks(results) if "reconstruction" in getattr(b, "name", "")]
    assert len(captions) == 3
    assert all(LABEL in caption for caption in captions)
    table = pd.read_csv(StringIO(csv_tables(results)["reconstruction"]))
    assert list(table["from"]) == ["print"] + [LABEL] * 4
    assert list(table["computation"]) == ["exact"] + ["ok"] * 4
    # and nothing else is
    assert results.label == ""
    assert LABEL not in html[: html.index('id="stances"')]
    again = from_json(to_json(results))
    assert section(again, "reconstruction").label == LABEL
    assert render_html(again, figures) == html


def test_printed_answer_stands_above_under_the_same_prior() -> None:
    first = parts.answers_table(with_reconstruction()).iloc[0]
    weak = founding().statements.query("stance == 'weak'")
    ratio = weak[weak["statement"] == "rate_ratio"].iloc[0]
    assert (first["median"], first["lower"], first["upper"]) == tuple(
        ratio[["median", "lower", "upper"]]
    )
    assert first["probability"] == weak[weak["threshold"] == 1.0]["probability"].iloc[0]
    assert first["mcse"] == 0


def test_report_without_it_says_how_to_get_it() -> None:
    results, _ = build(alone())
    assert section(results, "reconstruction") is None
    said = " ".join(section(results, "patients").paragraphs)
    assert "bayes-msc reanalyze llufriu2014 --with reconstruction" in said
    assert "--with" not in " ".join(section(build(with_reconstruction())[0], "patients").paragraphs)


def test_trial_without_printed_counts_is_refused() -> None:
    with pytest.raises(PublishedError, match="printed_counts"):
        bm.reanalyze(bm.load_published("mesems2021"), reconstruction=True)


def test_parallel_paper_is_refused() -> None:
    paper = replace(bm.read_paper("llufriu2014"), periods=1)
    with pytest.raises(ReconstructionError, match="one period"):
        answers_behind(paper)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Paper, int]]:
    """Give made-up answers at once in place of the reconstruction, and keep what was asked."""
    kept: list[tuple[Paper, int]] = []

    def behind(paper: Paper, seed: int = 1) -> Behind:
        kept.append((paper, seed))
        made = with_reconstruction().behind
        assert made is not None
        return made

    monkeypatch.setattr(sys.modules[answers_behind.__module__], "answers_behind", behind)
    return kept


def planned(folder: Path, beside: str, data: str = "llufriu2014") -> bm.AnalysisPlan:
    text = bm.draft_plan(
        data,
        benefit="lower",
        thresholds=[1],
        rule=bm.Rule(1.0, 0.95),
        analyses=[],
        folder=folder,
    )
    assert '# answers = ["reconstruction"]' in text
    path = folder / "analysis.toml"
    path.write_text(f"{text}\n{beside}\n")
    return bm.read_plan(path)


def test_plan_asks_for_it(tmp_path: Path, asked: list[tuple[Paper, int]]) -> None:
    plan = planned(tmp_path, '[beside]\nanswers = ["reconstruction"]')
    check = bm.check_plan(plan)
    assert "from reconstructed counts" in check.steps["what"][0]
    assert check.seconds > bm.check_plan(planned(tmp_path, "")).seconds + 20
    assert not asked
    done = bm.run_plan(plan)
    assert len(asked) == 1
    results = from_json((done.folder / "results.json").read_text())
    assert section(results, "reconstruction").label == LABEL
    # the rule is judged by what is printed alone
    assert done.verdict.mcse == 0
    assert done.label == ""
    found = verify(done.folder)
    assert found.ok
    assert "reconstruction" in set(found.statements["table"])
    assert asked[0] == asked[1]


def own_paper(folder: Path) -> Path:
    """Write a trial of the user's own, and beside it what is printed on its counts."""
    bundled = Path(str(resources.files("bayes_msc"))) / "datasets" / "llufriu2014"
    folder.mkdir()
    text = (bundled / "published.toml").read_text()
    own = text.replace('printed_counts = "llufriu2014"', 'printed_counts = "counts.toml"')
    (folder / "mine.toml").write_text(re.sub(r"external\w* = .*\n", "", own))
    (folder / "counts.toml").write_text((bundled / "printed.toml").read_text())
    return folder / "mine.toml"


def test_printed_counts_are_looked_for_beside_the_trial(
    tmp_path: Path, asked: list[tuple[Paper, int]]
) -> None:
    published = bm.read_published(own_paper(tmp_path / "papers"))
    bm.reanalyze(published, external=[], reconstruction=True)
    assert asked[0][0].name == "counts"
    assert str(tmp_path) not in published.to_toml()


def test_changed_printed_counts_are_named(tmp_path: Path, asked: list[tuple[Paper, int]]) -> None:
    paper = own_paper(tmp_path / "papers")
    done = bm.run_plan(planned(tmp_path, '[beside]\nanswers = ["reconstruction"]', str(paper)))
    assert asked
    results = from_json((done.folder / "results.json").read_text())
    assert "papers/counts.toml" in results.manifest["files"]
    assert verify(done.folder).ok
    counts = tmp_path / "papers" / "counts.toml"
    counts.write_text(counts.read_text() + "\n# a note\n")
    found = verify(done.folder)
    changed = found.inputs[found.inputs["state"] == "CHANGED"]
    assert changed["input"].tolist() == ["papers/counts.toml"]
    assert not found.ok


def test_command_names_the_printed_counts(
    tmp_path: Path, asked: list[tuple[Paper, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    own_paper(tmp_path / "papers")
    monkeypatch.chdir(tmp_path)
    words = ["reanalyze", "papers/mine.toml", "--no-external", "--with", "reconstruction"]
    done = CliRunner().invoke(app, [*words, "--out", "results"])
    assert done.exit_code == 0, done.output
    manifest = from_json(Path("results/results.json").read_text()).manifest
    assert set(manifest["files"]) == {"papers/mine.toml", "papers/counts.toml"}


def test_plan_without_it_has_none(tmp_path: Path, asked: list[tuple[Paper, int]]) -> None:
    done = bm.run_plan(planned(tmp_path, ""))
    assert not asked
    assert section(from_json((done.folder / "results.json").read_text()), "reconstruction") is None


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ('[beside]\nanswers = ["ladder"]', "printed numbers: write answers"),
        ("[beside]\ncalibrate = 300", "printed numbers: write answers"),
        ('[beside]\nanswers = ["reconstruction"]\ncalibrate = 300', "no model to calibrate"),
    ],
)
def test_plan_on_print_refuses_what_takes_counts(tmp_path: Path, beside: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        planned(tmp_path, beside)


def test_plan_says_early_that_there_is_nothing_to_reconstruct_from(tmp_path: Path) -> None:
    plan = planned(tmp_path, '[beside]\nanswers = ["reconstruction"]', "mesems2021")
    with pytest.raises(PublishedError, match="printed_counts"):
        bm.check_plan(plan)


def test_plan_on_counts_needs_no_reconstruction(tmp_path: Path) -> None:
    text = bm.draft_plan(
        "llufriu2014_reconstructed",
        benefit="lower",
        thresholds=[1],
        rule=bm.Rule(),
        folder=tmp_path,
    )
    path = tmp_path / "analysis.toml"
    path.write_text(re.sub(r"answers = \[.*\]", 'answers = ["reconstruction"]', text))
    with pytest.raises(PlanError, match="counts of every patient need none"):
        bm.read_plan(path)


def test_verify_makes_it_again(tmp_path: Path, asked: list[tuple[Paper, int]]) -> None:
    result = bm.reanalyze(bm.load_published("llufriu2014"), reconstruction=True, seed=7)
    results, figures = build(result)
    folder = write_results(results, tmp_path / "r", dict(figures))
    found = verify(folder)
    assert found.ok
    assert set(found.statements["verdict"]) == {IDENTICAL}
    assert "reconstruction" in set(found.statements["table"])
    (first, one), (second, two) = asked
    assert first == second
    assert one == two == 7


def test_paper_keeps_its_text_until_it_is_changed() -> None:
    paper = bm.read_paper("llufriu2014")
    assert parse_paper(paper.toml, paper.name) == paper
    assert paper.with_group(0, paper.groups[0].summary).toml == ""


@pytest.mark.slow
def test_founding_reconstruction_answers_beside_print() -> None:
    result = bm.reanalyze(bm.load_published("llufriu2014"), reconstruction=True)
    assert result.behind is not None
    assert (result.behind.sets, result.behind.complete) == (6, True)
    table = parts.answers_table(result).query("patients == 'all'").set_index("analysis")
    printed = next(name for name in table.index if name.startswith("printed"))
    same = table.loc["first period as printed, scans that were seen"]
    # the same regression, with the baseline on another scale
    assert same["median"] == pytest.approx(table.loc[printed, "median"], abs=0.15)
    assert table["probability"].between(0.5, 1).all()


def test_failed_fits_are_said() -> None:
    made = with_reconstruction()
    assert made.behind is not None
    failed = made.behind.answers.assign(failed=[0, 1, 0, 2])
    table = parts.answers_table(replace(made, behind=replace(made.behind, answers=failed)))
    words = sorted(table["computation"])
    assert words == [
        "1 of 2 fits failed a check",
        "2 of 2 fits failed a check",
        "exact",
        "ok",
        "ok",
    ]
