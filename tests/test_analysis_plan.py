"""A pre-specified analysis: its file, its faults, what it would do, and what it does."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import bayes_msc as bm
from bayes_msc.analysis_plan.guessing import guess_roles, looks_crossed
from bayes_msc.analysis_plan.lines import line_of
from bayes_msc.analysis_plan.progress import Clock, merged, shown
from bayes_msc.analysis_plan.running import OWNED
from bayes_msc.analysis_plan.sections import COPY
from bayes_msc.analysis_plan.steps import Step, duration
from bayes_msc.analysis_plan.verdict import judge
from bayes_msc.errors import BayesMSCError, OutputError, PlanError

RULE = bm.Rule(0.8, 0.9)


def drafted(folder: Path, **changes: object) -> str:
    """Write the counts of the example trial as somebody else would, and draft a plan for them."""
    table = bm.load_trial("crossover_example").data
    names = {"patient": "Subject ID", "treatment": "Arm", "count": "GEL"}
    table.rename(columns=names).to_csv(folder / "counts.csv", index=False)
    settings: dict[str, object] = {
        "benefit": "lower",
        "thresholds": [1, 0.8],
        "rule": RULE,
        "design": "crossover",
        "control": "placebo",
        "active": "MSC",
        "engine": "fast",
        "analyses": ["stances", "patients"],
        "folder": folder,
    }
    return bm.draft_plan(folder / "counts.csv", **{**settings, **changes})  # type: ignore[arg-type]


def changed(folder: Path, *pairs: tuple[str, str]) -> Path:
    """Write the drafted plan with some of its lines replaced."""
    text = drafted(folder)
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return bm.write_plan(text, folder / "analysis.toml", force=True)


# the file


def test_the_draft_says_what_was_asked_and_guesses_the_columns(tmp_path):
    plan = bm.read_plan(bm.write_plan(drafted(tmp_path), tmp_path / "analysis.toml"))
    roles = plan.tables.roles
    assert roles is not None
    assert (roles.patient, roles.treatment, roles.count) == ("Subject ID", "Arm", "GEL")
    assert (roles.design, roles.control, roles.active) == ("crossover", "placebo", "MSC")
    assert plan.rule == RULE
    assert plan.tables.statements.thresholds == (1.0, 0.8)
    content = (tmp_path / "analysis.toml").read_bytes()
    assert plan.sha256 == hashlib.sha256(content).hexdigest()
    assert plan.content == content


def test_every_key_of_the_draft_has_a_comment_above_it_or_beside_its_group(tmp_path):
    lines = drafted(tmp_path).splitlines()
    for header in ("[question]", "[model]", "[priors]", "[estimands]", "[rule]", "[sensitivity]"):
        assert lines[lines.index(header) + 1].startswith("# ")


@pytest.mark.parametrize("name", ["design", "control", "active"])
def test_what_is_particular_to_a_trial_is_never_guessed(tmp_path, name):
    with pytest.raises(PlanError, match=f"{name} cannot be guessed"):
        drafted(tmp_path, **{name: None})


def test_benefit_thresholds_and_rule_have_no_default(tmp_path):
    path = changed(tmp_path, ('benefit = "lower"', ""), ("thresholds = [1.0, 0.8]", ""),
                   ("threshold = 0.8", ""), ("probability = 0.9", ""))  # fmt: skip
    with pytest.raises(PlanError) as error:
        bm.read_plan(path)
    for key in ("question.benefit", "statements.thresholds", "rule.threshold", "rule.probability"):
        assert re.search(
            rf"{key}: the key .* is missing: add it; it has no default", str(error.value)
        )


def test_a_prior_of_ones_own_needs_its_reason(tmp_path):
    own = '[priors.own.mine]\ndistribution = "normal"\nloc = 0.0\nscale = 0.3\n'
    path = changed(tmp_path, ("[estimands]", f"{own}\n[estimands]"))
    with pytest.raises(PlanError, match=r"priors\.own: the prior 'mine' has no reason"):
        bm.read_plan(path)
    reasoned = own + 'why = "a registry"\n'
    path = changed(tmp_path, ("[estimands]", f"{reasoned}\n[estimands]"),
                   ('primary = "weak"', 'primary = "mine"'))  # fmt: skip
    check = bm.check_plan(bm.read_plan(path))
    row = check.priors.set_index("parameter").loc["log_rate_ratio"]
    assert row["prior"] == "Normal(0, 0.3)"
    assert row["why"] == "a registry"


# faults


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "seed = 1",
            "seeds = 1",
            r"computation\.seeds: unknown key 'seeds': choose one of s",
        ),
        ("seed = 1", 'seed = "one"', r"computation\.seed: is 'one': a whole number is needed"),
        (
            "probability = 0.9",
            "probability = 1.5",
            r"rule\.probability: .* is 1.5: it must be betw",
        ),
        ("probability = 0.9", "probability = nan", r"rule\.probability: .* is nan"),
        ("threshold = 0.8", "threshold = -1", r"rule\.threshold: .* is -1: it is a rate ratio"),
        ("threshold = 0.8", "threshold = inf", r"rule\.threshold: .* is inf"),
        ('benefit = "lower"', 'benefit = "less"', r"choose 'lower' or 'higher'"),
        ('benefit = "lower"', 'benefit = "higher"', r"with a lower rate as benefit"),
        (
            'primary = "weak"',
            'primary = "weakly"',
            r"unknown prior 'weakly': choose one of card, v",
        ),
        ('engine = "fast"', 'engine = "slow"', r"choose 'nuts', 'fast' or 'auto'"),
        (
            'formats = ["html"]',
            'formats = ["odt"]',
            r"unknown format 'odt': .* html, docx, pdf, md",
        ),
        ("[rule]", "[rules]", r"rules: unknown key 'rules': choose one of question"),
        ('file = "counts.csv"', "", r"names none of file, bundled and published"),
        ("draws = 1000", "draws = 5", r"computation\.draws: is 5"),
        ("exposure = 1.0", "exposure = 0.0", r"estimands\.exposure: is 0.0"),
    ],
)
def test_a_fault_names_its_line_its_key_and_the_repair(tmp_path, old, new, words):
    path = changed(tmp_path, (old, new))
    with pytest.raises(PlanError, match=words) as error:
        bm.read_plan(path)
    line = re.search(rf"line (\d+), (?=[^\n]*{words})", str(error.value))
    assert line
    named = path.read_text().splitlines()[int(line[1]) - 1]
    # a fault of a whole table, or of one that is missing, names the table
    assert named == new if new and "primary" not in new else named.startswith("[")


def test_all_faults_are_told_at_once(tmp_path):
    path = changed(tmp_path, ("seed = 1", "seed = -1"), ("threshold = 0.8", "threshold = 0"),
                   ('active = "MSC"', ""))  # fmt: skip
    with pytest.raises(PlanError, match="3 faults"):
        bm.read_plan(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[rule\n", "is not TOML: .* line 1"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x = 1\n" * 30_000, "at most"),
        (b"", "faults"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(tmp_path, content, words):
    path = tmp_path / "analysis.toml"
    path.write_bytes(content)
    with pytest.raises(PlanError, match=words):
        bm.read_plan(path)


def test_a_missing_plan_and_a_folder_are_refused(tmp_path):
    with pytest.raises(PlanError, match="bayes-msc init"):
        bm.read_plan(tmp_path / "none.toml")
    with pytest.raises(PlanError, match="is a folder"):
        bm.read_plan(tmp_path)


def test_lines_are_found_through_multi_line_values():
    text = 'a = """\nb = 1\n"""\n\n# b\nb = [\n  1,\n  2,\n]\n[t]\n"c d" = 3\n[t.u]\ne = 1\n'
    assert line_of(text, ["a"]) == 1
    assert line_of(text, ["b"]) == 6
    assert line_of(text, ["b", 1]) == 6
    assert line_of(text, ["t"]) == 10
    assert line_of(text, ["t", "c d"]) == 11
    assert line_of(text, ["t", "u", "e"]) == 13
    assert line_of(text, ["t", "u", "missing"]) == 12
    assert line_of(text, ["nowhere"]) is None


# roles


def test_roles_are_guessed_from_the_names_that_people_use():
    found = guess_roles(["USUBJID", "TRTA", "N lesions", "APERIOD", "visit", "age", "Base"])
    assert found == {
        "patient": "USUBJID",
        "treatment": "TRTA",
        "count": "N lesions",
        "period": "APERIOD",
        "scan": "visit",
        "baseline": "Base",
    }
    assert guess_roles(["a", "b"]) == {}


def test_a_hint_of_the_design_comes_from_the_patients():
    table = pd.DataFrame({"p": [1, 1, 2, 2], "t": ["a", "b", "b", "a"]})
    assert looks_crossed(table, "p", "t")
    assert not looks_crossed(table.assign(t=["a", "a", "b", "b"]), "p", "t")


# what would run


def test_check_counts_patients_rows_and_fits(tmp_path):
    check = bm.check_plan(bm.read_plan(changed(tmp_path)))
    trial = bm.load_trial("crossover_example")
    assert f"{trial.n_patients} patients, {len(trial.data)} rows" in check.facts["data"]
    assert check.facts["terms"] == "treatment, period, baseline"
    steps = check.steps.set_index("step")
    assert steps.loc["sensitivity: patients", "fits"] == trial.n_patients + 1
    # the other estimand, and the three other stances
    assert steps.loc["beside it", "fits"] == 4
    assert check.seconds == pytest.approx(steps["seconds"].sum())
    assert check.sentence() in str(check)
    assert check.facts["data SHA-256"] in check._repr_html_()


def test_check_counts_the_specifications_that_would_run(tmp_path):
    from bayes_msc.sensitivity.specifications import specifications

    path = changed(tmp_path, ('analyses = ["stances", "patients"]', 'analyses = ["specifications"]'
                              '\nfamilies = ["poisson"]'))  # fmt: skip
    check = bm.check_plan(bm.read_plan(path))
    trial = bm.load_trial("crossover_example")
    grid = specifications(trial, "crossover-negative-binomial", families=["poisson"])
    steps = check.steps.set_index("step")
    assert steps.loc["sensitivity: specifications", "fits"] == len(grid.kept)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('file = "counts.csv"', 'file = "gone.csv"', "names the data 'gone.csv', and there is no"),
        ('count = "GEL"', 'count = "lesions"', "no column 'lesions'"),
        ('active = "MSC"', 'active = "cells"', "cells"),
        ('"crossover-negative-binomial"', '"count-poisson-x"', "unknown model card"),
        ('"first period alone"]', '"whole trial"]', "unknown estimand of a crossover trial"),
        ('["stances", "patients"]', '["everything"]', "unknown analysis of sensitivity"),
        ("# sha256 = ", 'sha256 = "' + 64 * "0" + '" #', "the data counts have changed"),
    ],
)
def test_check_and_run_refuse_what_cannot_be_carried_out(tmp_path, old, new, words):
    plan = bm.read_plan(changed(tmp_path, (old, new)))
    with pytest.raises(BayesMSCError, match=words):
        bm.check_plan(plan)
    with pytest.raises(BayesMSCError, match=words):
        bm.run_plan(plan)
    assert not (tmp_path / "results").exists()


def test_a_locked_plan_refuses_data_that_changed_by_one_count(tmp_path):
    bm.write_plan(drafted(tmp_path, lock=True), tmp_path / "analysis.toml")
    plan = bm.read_plan(tmp_path / "analysis.toml")
    bm.check_plan(plan)
    file = tmp_path / "counts.csv"
    table = pd.read_csv(file)
    # the order of the columns is no change of the data
    table[table.columns[::-1]].to_csv(file, index=False)
    bm.check_plan(plan)
    table.loc[0, "GEL"] += 1
    table.to_csv(file, index=False)
    with pytest.raises(PlanError, match="have changed: their SHA-256 is"):
        bm.run_plan(plan)


def test_specifications_that_take_long_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("bayes_msc.analysis_plan.steps.LONG", 1.0)
    old, new = 'analyses = ["stances", "patients"]', 'analyses = ["specifications"]'
    choices = '\nfamilies = ["poisson"]\n[sensitivity.choices]\nrows = ["scan"]\nperiod = ["yes"]'
    with pytest.raises(BayesMSCError, match="long = true"):
        bm.check_plan(bm.read_plan(changed(tmp_path, (old, new + choices))))
    plan = bm.read_plan(changed(tmp_path, (old, f"{new}\nlong = true{choices}")))
    assert bm.check_plan(plan).seconds > 1


# carried out


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> bm.PlanResult:
    folder = tmp_path_factory.mktemp("plan")
    bm.write_plan(drafted(folder, formats=["html", "md"]), folder / "analysis.toml")
    return bm.run_plan(folder / "analysis.toml", command="bayes-msc run analysis.toml")


def test_the_folder_holds_report_numbers_fit_sensitivity_and_the_plan(done):
    assert done.folder == done.plan.folder / "results"
    for name in (
        "report.html",
        "report.md",
        "results.json",
        "fit.nc",
        "figures",
        "sensitivity.html",
        COPY,
    ):
        assert (done.folder / name).exists()
        assert name in OWNED
    assert (done.folder / COPY).read_bytes() == done.plan.content
    assert not list(done.plan.folder.glob(".results-*"))


def test_the_report_carries_the_plans_hash_and_the_verdict(done):
    manifest = json.loads((done.folder / "results.json").read_text("utf-8"))["manifest"]
    assert manifest["plan_sha256"] == done.plan.sha256
    assert manifest["rule_met"] == ("yes" if done.verdict.met else "no")
    assert manifest["command"] == "bayes-msc run analysis.toml"
    page = (done.folder / "report.html").read_text("utf-8")
    assert done.plan.sha256 in page
    assert "What was planned, and the rule" in page
    assert "What moves the conclusion" in page


def test_the_whole_of_the_results_is_run_again_and_what_changed_is_named(done, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(done.folder, moved / "results")
    for name in ("analysis.toml", "counts.csv"):
        shutil.copy(done.plan.folder / name, moved / name)
    again = bm.verify(moved / "results")
    assert again.ok
    assert set(again.inputs["state"]) == {"unchanged"}
    assert {"analysis.toml", "counts.csv", f"the copy of the plan, {COPY}"} <= set(
        again.inputs["input"]
    )
    assert "bundled crossover-negative-binomial" in set(again.inputs["input"])
    assert again.reproduced
    assert again.not_repeated == ()
    tables = set(again.statements["table"])
    assert {"statements", "beside_the_primary_answer", "what_moves", "left_out"} <= tables
    assert {"sensitivity, stances", "sensitivity, patients"} <= tables

    # one number of the sensitivity, one count of the data, one word of the plan's copy
    path = moved / "results" / "sensitivity-tables" / "patients.csv"
    table = pd.read_csv(path)
    table.loc[2, "prob"] += 1e-3
    table.to_csv(path, index=False)
    counts = moved / "counts.csv"
    counts.write_text(counts.read_text("utf-8") + "\n", "utf-8")
    copy = moved / "results" / COPY
    copy.write_bytes(copy.read_bytes() + b"# another word\n")
    again = bm.verify(moved / "results")
    assert not again.ok
    assert "CHANGED: counts.csv" in str(again)
    assert f"CHANGED: the copy of the plan, {COPY}" in str(again)
    wrong = again.statements[again.statements["verdict"] == "differs"]
    assert wrong[["table", "measure"]].to_numpy().tolist() == [["sensitivity, patients", "prob"]]

    # without the sensitivity, and without the files
    counts.unlink()
    again = bm.verify(moved / "results", sensitivity=False)
    assert "not found: counts.csv" in str(again)
    assert "sensitivity, patients" in again.not_repeated
    assert "what_moves" in again.not_repeated


def test_a_format_without_its_package_is_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("bayes_msc.analysis_plan.steps.find_spec", lambda name: None)
    plan = bm.read_plan(changed(tmp_path, ('formats = ["html"]', 'formats = ["docx"]')))
    with pytest.raises(PlanError, match=r"pip install 'bayes-msc\[docx\]'"):
        bm.run_plan(plan)


def test_the_primary_answer_is_that_of_a_plain_fit(done):
    trial = bm.load_trial("crossover_example")
    model = bm.Model.load("crossover-negative-binomial").with_prior("log_rate_ratio", "weak")
    # another route: the refits, which know nothing of plans
    row = bm.refit_many([(model, trial)], thresholds=[0.8], seed=7, progress=False).iloc[0]
    assert done.verdict.probability == pytest.approx(row["prob_below_0.8"], abs=0.015)
    first = done.beside.iloc[0]
    assert first["median"] == pytest.approx(row["median"], rel=0.05)
    assert done.verdict.met == (done.verdict.probability >= RULE.probability)


def test_what_stands_beside_it_is_in_the_plans_order(done):
    assert (
        done.beside["estimand"].tolist()
        == ["whole crossover", "first period alone"] + ["whole crossover"] * 3
    )
    assert done.beside["prior"].tolist() == ["weak", "weak", "vague", "sceptical", "enthusiastic"]
    prob = done.beside.set_index("prior")["prob"]
    assert prob["sceptical"] < prob["vague"]
    assert done.sensitivity is not None
    assert set(done.sensitivity.statements) == {"stances", "patients"}
    table = done.sensitivity.tables["stances"].set_index("stance")
    # the same refits on another way
    assert table.loc["sceptical", "prob_below_0.8"] == pytest.approx(prob["sceptical"], abs=0.015)


def test_results_are_never_overwritten_and_the_same_seed_gives_the_same_numbers(done, tmp_path):
    with pytest.raises(OutputError, match="--force"):
        bm.run_plan(done.plan)
    before = (done.folder / "results.json").read_bytes()
    own = done.folder / "figures" / "mine.svg"
    own.write_text("<svg/>")
    again = bm.run_plan(done.plan, force=True)
    assert own.read_text() == "<svg/>"
    pd.testing.assert_frame_equal(again.statements, done.statements)
    pd.testing.assert_frame_equal(again.beside, done.beside)
    old, new = json.loads(before), json.loads((done.folder / "results.json").read_bytes())
    assert {**old, "manifest": 0} == {**new, "manifest": 0}


def test_a_plan_that_fails_leaves_the_old_results_as_they_are(done, monkeypatch):
    from bayes_msc.analysis_plan import running

    def fails(*_: object, **__: object) -> None:
        raise OutputError("no more room")

    before = {path: path.read_bytes() for path in done.folder.rglob("*") if path.is_file()}
    short = replace(done.plan, tables=done.plan.tables.model_copy(
        update={"sensitivity": done.plan.tables.sensitivity.model_copy(update={"analyses": ()})}
    ))  # fmt: skip
    monkeypatch.setattr(running, "write_results", fails)
    with pytest.raises(OutputError, match="no more room"):
        bm.run_plan(short, force=True)
    assert before == {path: path.read_bytes() for path in done.folder.rglob("*") if path.is_file()}


def test_the_result_shows_itself(done):
    assert done.verdict.words in str(done)
    assert "SIMULATED" not in str(done)  # a file of the user's own is taken as data
    assert "rule" in done._repr_html_()
    assert done.plan.sha256 in done.plan._repr_html_()


# printed numbers


def test_a_published_trial_is_reanalysed_under_the_plans_priors(tmp_path):
    text = bm.draft_plan(
        "llufriu2014",
        benefit="lower",
        thresholds=[1],
        rule=bm.Rule(1.0, 0.95),
        analyses=["stances", "credibility"],
        folder=tmp_path,
    )
    plan = bm.read_plan(bm.write_plan(text, tmp_path / "analysis.toml"))
    assert "reanalysis" in bm.check_plan(plan).steps["step"].tolist()
    done = bm.run_plan(plan)
    beside = done.beside.set_index("prior")
    assert beside.index.tolist() == ["weak", "vague", "sceptical", "enthusiastic"]
    assert beside.loc["vague", "prob"] == pytest.approx(0.961, abs=5e-4)
    assert done.verdict.met is False
    assert done.verdict.mcse == 0
    assert (done.folder / "sensitivity.html").exists()
    assert not (done.folder / "fit.nc").exists()


def test_the_direction_of_benefit_must_be_that_of_the_printed_results(tmp_path):
    text = bm.draft_plan(
        "llufriu2014", benefit="lower", thresholds=[1], rule=bm.Rule(), folder=tmp_path
    )
    path = tmp_path / "analysis.toml"
    path.write_text(text.replace('benefit = "lower"', 'benefit = "higher"'))
    with pytest.raises(PlanError, match="calls a higher rate better"):
        bm.check_plan(bm.read_plan(path))
    path.write_text(text + '\n[model]\ncard = "count-poisson"\n')
    with pytest.raises(PlanError, match=r"those have no \[model\]"):
        bm.read_plan(path)


# the rule


@pytest.mark.parametrize(
    ("probability", "mcse", "failed", "met", "words"),
    [
        (0.95, 0.002, False, True, "is met. The two are so close"),
        (0.99, 0.002, False, True, "the rule is met."),
        (0.949, 0.0, False, False, "no proof of no effect"),
        (0.99, 0.002, True, None, "is not judged"),
    ],
)
def test_a_rule_is_judged_once_and_honestly(probability, mcse, failed, met, words):
    statements = pd.DataFrame(
        {
            "statement": ["rate_ratio", *["prob_rate_ratio_below"] * 2],
            "threshold": [float("nan"), 1.0, 0.8],
            "probability": [float("nan"), probability, 0.1],
            "mcse": [0.0, mcse, 0.0],
        }
    )
    verdict = judge(bm.Rule(1.0, 0.95), statements, failed)
    assert verdict.met is met
    assert words in verdict.words
    assert "signific" not in verdict.words


# progress


def test_the_time_left_follows_the_speed_of_the_steps_that_are_done():
    moment = [0.0]
    clock = Clock(
        [Step(n, "", 1, s) for n, s in (("a", 10), ("b", 20), ("c", 10))], lambda: moment[0]
    )
    clock.begin("a")
    assert clock.left() == 40
    moment[0] = 5.0
    assert clock.left() == 35
    moment[0] = 20.0
    clock.begin("b")
    # twice as slow as expected
    assert clock.left() == 60
    assert clock.share() == pytest.approx(20 / 80)
    moment[0] = 1000.0
    assert clock.left() == 20
    assert clock.place == "2 of 3"


def test_sensitivity_is_one_step_and_lines_are_printed_without_a_terminal(capsys):
    steps = [Step("fit", "f", 1, 1), Step("sensitivity: counts", "", 2, 3),
             Step("sensitivity: stances", "", 4, 5), Step("report", "html", 0, 1)]  # fmt: skip
    whole = merged(steps)[1]
    assert (whole.name, whole.what, whole.fits, whole.seconds) == (
        "sensitivity", "counts, stances", 6, 8,
    )  # fmt: skip
    with shown(steps, True) as begin:
        for name in ("fit", "sensitivity", "report"):
            begin(name)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        "[1 of 3] fit: f", "[2 of 3] sensitivity: counts, stances", "[3 of 3] report: html",
    ]  # fmt: skip
    with shown(steps, None) as begin:
        begin("fit")
    assert capsys.readouterr().err == ""


def test_times_are_rounded_as_a_guess_should_be():
    assert [duration(s) for s in (0.1, 45.4, 200, 7000)] == ["1 s", "45 s", "3 min", "1.9 h"]
