"""The command line, as a user types it: in this process, and in one of its own where that matters.

A process of its own takes seconds to import what it needs. The entry point, exit codes, a signal,
typed answers and the shell's completion are seen through one.
"""

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pandas as pd
import pytest

from bayes_msc import terminal
from bayes_msc.cli import main

COMMAND = [sys.executable, "-m", "bayes_msc.cli"]
PLAIN = {"COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}


def run(*arguments: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run here what a process of its own would run; an unforeseen error is raised."""
    words = [str(argument) for argument in arguments]
    said, complained = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bayes-msc", *words])
        for screen in (terminal.console, terminal.errors):
            patch.setattr(screen, "_width", 160)
        for name, value in PLAIN.items():
            patch.setenv(name, value)
        if folder is not None:
            patch.chdir(folder)
        with (
            redirect_stdout(said),
            redirect_stderr(complained),
            pytest.raises(SystemExit) as end,
        ):
            main()
    code = end.value.code or 0
    return subprocess.CompletedProcess(words, code, said.getvalue(), complained.getvalue())


def run_apart(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run in a process of its own."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **PLAIN},
        timeout=300,
        check=False,
    )


def refused(*arguments: object, folder: Path | None = None) -> str:
    """Run, and expect exit code 2 with a short message and no traceback."""
    done = run(*arguments, folder=folder)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert 1 <= len(done.stderr.strip().splitlines()) <= 12
    return done.stderr


@pytest.fixture(scope="module")
def reanalysed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "results"
    return folder, run_apart("reanalyze", "llufriu2014", "--out", folder)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "results"
    return folder, run(
        "fit", "llufriu2014_reconstructed", "--model", "crossover-negative-binomial",
        "--out", folder, "--rope", "0.8", "1.25", "--threshold", "1", "--threshold", "0.7",
    )  # fmt: skip


def test_version_and_help():
    from bayes_msc import __version__

    assert run_apart("--version").stdout.strip() == f"bayes-msc {__version__}"
    text = run("--help").stdout
    for command in ("reanalyze", "fit", "models", "datasets", "template", "report", "verify"):
        assert command in text


def test_reanalyze_writes_report_results_and_figures(reanalysed):
    folder, done = reanalysed
    assert done.returncode == 0, done.stderr
    assert "0.961" in done.stdout
    assert "0.815" in done.stdout
    content = json.loads((folder / "results.json").read_text("utf-8"))
    assert content["tables"]["statements"]
    manifest = content["manifest"]
    assert manifest["command"].startswith("bayes-msc reanalyze llufriu2014")
    assert sorted(p.suffix for p in (folder / "figures").iterdir()) == [".png"] * 5 + [".svg"] * 5
    assert "<svg" in (folder / "report.html").read_text("utf-8")
    assert not (folder / "fit.nc").exists()


def test_results_are_never_overwritten_unless_asked(reanalysed):
    folder, _ = reanalysed
    before = (folder / "results.json").read_bytes()
    assert "--force" in refused("reanalyze", "llufriu2014", "--out", folder)
    assert (folder / "results.json").read_bytes() == before
    (folder / "notes.txt").write_text("mine")
    done = run("reanalyze", "mesems2021", "--out", folder, "--force")
    assert done.returncode == 0, done.stderr
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "results.json").read_bytes() != before


def test_report_renders_a_folder_again(fitted, tmp_path):
    folder, _ = fitted
    before = (folder / "report.html").read_text("utf-8")
    done = run("report", folder, "--out", tmp_path / "again.html")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again.html").read_text("utf-8") == before
    assert "there already" in refused("report", folder, "--out", tmp_path / "again.html")
    assert "results.json" in refused("report", tmp_path)


def test_fit_is_the_mission_in_one_command(fitted):
    folder, done = fitted
    assert done.returncode == 0, done.stdout + done.stderr
    assert "RECONSTRUCTION, NOT DATA" in done.stdout
    assert "reconstruction, not data" in done.stderr
    assert "below 0.7" in done.stdout
    assert "between 0.8 and 1.25" in done.stdout
    assert "reconstruction, not data" in (folder / "report.html").read_text("utf-8")

    from bayes_msc import load_fit, model_of, trial_of

    fit = load_fit(folder / "fit.nc")
    assert model_of(fit).name == "crossover-negative-binomial"
    assert trial_of(fit).n_patients == 9


def test_a_diagnostic_failure_exits_1_and_still_writes(tmp_path, monkeypatch):
    from bayes_msc import diagnostics

    # no fit can meet this limit, however often it is repeated
    monkeypatch.setattr(diagnostics, "MCSE_LIMIT", 1e-9)
    done = run("fit", "crossover_example", "--out", tmp_path / "out")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "CHECK FAILED MCSE" in done.stdout
    assert done.stdout.index("CHECK FAILED") < done.stdout.index("Statements")
    assert (tmp_path / "out" / "report.html").is_file()
    assert (tmp_path / "out" / "fit.nc").is_file()


def test_own_data_from_template_to_report(tmp_path):
    done = run("template", "--patients", "9", "--out", "gel.csv", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "bayes-msc fit gel.csv" in done.stdout
    assert "there already" in refused("template", "--out", "gel.csv", folder=tmp_path)
    table = pd.read_csv(tmp_path / "gel.csv")
    assert sorted(table["month"].unique()) == [3, 6, 9, 12]
    arguments = ("--design", "crossover", "--control", "placebo", "--active", "MSC", "--out", "out")
    assert "filled in" in refused("fit", "gel.csv", *arguments, folder=tmp_path)
    table["count"] = [i % 5 for i in range(len(table))]
    table["baseline"] = 1
    table.to_csv(tmp_path / "gel.csv", index=False)
    done = run("fit", "gel.csv", *arguments, "--model", "crossover-poisson", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out" / "report.html").is_file()


def test_models_and_datasets_are_listed_and_shown():
    from bayes_msc import Model, published_names, trial_names

    listing = run("models").stdout
    assert all(name in listing for name in Model.names())
    shown = run("models", "show", "crossover-poisson").stdout
    assert Model.from_toml(shown, "crossover-poisson") == Model.load("crossover-poisson")
    listing = run("datasets").stdout
    assert all(name in listing for name in (*published_names(), *trial_names()))
    assert "not data" in listing
    assert "RECONSTRUCTION, NOT DATA" in run("datasets", "show", "llufriu2014_reconstructed").stdout
    assert "0.94" in run("datasets", "show", "mesems2021").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("reanalyze", "llufriu2041", "--out", "o"), "llufriu2014"),
        (("reanalyze", "no.toml", "--out", "o"), "no.toml"),
        (("reanalyze", "llufriu2014", "--out", "o", "--stance", "hopeful"), "enthusiastic"),
        (("reanalyze", "llufriu2014", "--out", "o", "--analysis", "x"), "without-locf"),
        (("reanalyze", "llufriu2014", "--out", "o", "--threshold", "-1"), "threshold"),
        (("fit", "epilepsi", "--out", "o"), "epilepsy"),
        (("fit", "none.csv", "--out", "o"), "none.csv"),
        (("fit", "epilepsy", "--model", "nope", "--out", "o"), "count-poisson"),
        (("fit", "epilepsy", "--model", "crossover-poisson", "--out", "o"), "count-poisson"),
        (("fit", "epilepsy", "--rope", "1.2", "0.8", "--out", "o"), "rope"),
        (("fit", "epilepsy", "--draws", "0", "--out", "o"), "draws"),
        (("fit", "epilepsy", "--stance", "x", "--out", "o"), "sceptical"),
        (("models", "show", "nope"), "count-poisson"),
        (("datasets", "show", "nope"), "epilepsy"),
        (("template", "--out", "x.xls"), ".csv"),
        (("report", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_gets_a_short_message(tmp_path, arguments, words):
    assert words in refused(*arguments, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_not_tables(tmp_path):
    roles = ("--design", "parallel", "--control", "a", "--active", "b", "--out", tmp_path / "o")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "folder.csv").mkdir()
    for name in ("binary.csv", "empty.csv", "folder.csv"):
        assert name in refused("fit", tmp_path / name, *roles)
    (tmp_path / "bad.toml").write_text('title = 3\nfamily = "poisson"\n')
    message = refused("fit", "epilepsy", "--model", tmp_path / "bad.toml", "--out", tmp_path / "o")
    assert "title" in message
    assert not (tmp_path / "o").exists()


def test_bad_input_ends_a_process_with_its_code(tmp_path):
    done = run_apart("fit", "epilepsi", "--out", tmp_path / "o")
    assert done.returncode == 2
    assert "epilepsy" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()


def test_out_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "file" in refused("reanalyze", "llufriu2014", "--out", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_ctrl_c_in_a_fit_writes_nothing(tmp_path):
    out = tmp_path / "out"
    command = [*COMMAND, "fit", "epilepsy", "--draws", "100000", "--out", str(out)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a test run in the background of a shell ignores Ctrl-C, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stderr is not None
        process.stderr.readline()
        time.sleep(20)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            stream.close()
    assert process.returncode == 130, errors
    assert "nothing was written" in errors
    assert list(tmp_path.iterdir()) == []


def test_sensitivity_of_printed_numbers_is_written_once(tmp_path):
    only = ("--only", "stances", "--only", "credibility")
    arguments = ("sensitivity", "llufriu2014", "--out", "s", "--rule", "1:0.9", *only)
    done = run(*arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "What moves the conclusion: P(RR < 1) of 0.9 or more" in done.stdout
    assert "the prior opinion (stances)" in done.stdout
    assert (tmp_path / "s" / "sensitivity.html").is_file()
    assert (tmp_path / "s" / "sensitivity-tables" / "stances.csv").is_file()
    assert "holds results already" in refused(*arguments, folder=tmp_path)


def test_sensitivity_refuses_before_it_computes(tmp_path):
    assert "THRESHOLD:PROBABILITY" in refused("sensitivity", "llufriu2014", "--rule", "often")
    assert "unknown analysis" in refused("sensitivity", "llufriu2014", "--only", "weather")
    slow = ("--family", "poisson-lognormal", "--workers", "1")
    said = refused("sensitivity", "crossover_example", *slow)
    assert "would take about" in said
    assert "--yes" in said


# a pre-specified analysis


@pytest.fixture
def counts(tmp_path):
    from bayes_msc import load_trial

    table = load_trial("crossover_example").data.rename(columns={"patient": "id", "count": "GEL"})
    table.to_csv(tmp_path / "counts.csv", index=False)
    return tmp_path


ANSWERED = (
    "--design", "crossover", "--control", "placebo", "--active", "MSC", "--benefit", "lower",
    "--threshold", "1", "--threshold", "0.8", "--rule", "0.8:0.9", "--engine", "fast",
    "--only", "patients",
)  # fmt: skip


def test_init_check_and_run_go_round(counts):
    done = run("init", "counts.csv", *ANSWERED, "--no-ask", folder=counts)
    assert done.returncode == 0, done.stderr
    assert "bayes-msc run analysis.toml" in done.stdout
    done = run("check", "analysis.toml", folder=counts)
    assert done.returncode == 0, done.stderr
    assert "9 patients, 36 rows" in done.stdout
    assert "In all about" in done.stdout
    assert not (counts / "results").exists()
    done = run("run", "analysis.toml", folder=counts)
    assert done.returncode == 0, done.stderr
    assert "[1 of 5] fit" in done.stderr
    assert " left)" in done.stderr
    assert "P(RR < 0.8) of 0.9 or more" in done.stdout
    manifest = json.loads((counts / "results" / "results.json").read_text("utf-8"))["manifest"]
    assert manifest["command"] == "bayes-msc run analysis.toml"
    assert "--force" in refused("run", "analysis.toml", folder=counts)
    assert "--force" in run("check", "analysis.toml", folder=counts).stdout


def test_init_asks_only_for_what_it_cannot_guess(counts):
    typed = "crossed\ncrossover\nplacebo\nlower\n1, 0.8\n0.8:0.9\n"
    environment = {**os.environ, **PLAIN}
    done = subprocess.run(
        [*COMMAND, "init", "counts.csv", "--ask", "--lock"],
        input=typed, capture_output=True, text=True, cwd=counts, env=environment, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "'crossed' is not among parallel, crossover" in done.stdout
    assert "some patients have two treatments" in done.stdout
    for guessed in ("column holds", "Which is active"):
        assert guessed not in done.stdout
    text = (counts / "analysis.toml").read_text("utf-8")
    assert 'active = "MSC"' in text
    assert 'patient = "id"' in text
    assert "\nsha256 = " in text


def test_init_without_anybody_to_ask_says_what_is_missing(counts):
    words = refused("init", "counts.csv", "--no-ask", folder=counts)
    for flag in ("--design", "--control", "--active", "--benefit", "--threshold", "--rule"):
        assert flag in words
    assert "'MSC', 'placebo'" in words
    assert not (counts / "analysis.toml").exists()
    (counts / "analysis.toml").write_text("mine")
    assert "--force" in refused("init", "counts.csv", *ANSWERED, folder=counts)
    assert (counts / "analysis.toml").read_text() == "mine"


def test_a_plan_with_faults_is_refused_line_by_line(counts):
    assert run("init", "counts.csv", *ANSWERED, folder=counts).returncode == 0
    plan = counts / "analysis.toml"
    plan.write_text(plan.read_text().replace("probability = 0.9", "probability = 2\nprob = 1"))
    for command in ("check", "run"):
        words = refused(command, "analysis.toml", folder=counts)
        assert "unknown key 'prob': choose one of threshold, probability" in words
        assert "line " in words
    assert "bayes-msc init" in refused("run", "none.toml", folder=counts)


def completed(words: str) -> list[str]:
    """Ask as a shell asks when the tab key is pressed."""
    program = "import sys; sys.argv[0] = 'bayes-msc'; from bayes_msc.cli import main; main()"
    environment = {
        **os.environ,
        "_BAYES_MSC_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, env=environment, timeout=120, check=False,
    )  # fmt: skip
    return done.stdout.split()


def test_the_shell_completes_commands_trials_and_cards():
    assert "--install-completion" in run("--help").stdout
    assert completed("bayes-msc ch") == ["check"]
    assert completed("bayes-msc fit epi") == ["epilepsy"]
    assert completed("bayes-msc reanalyze ll") == ["llufriu2014"]
    assert completed("bayes-msc models show count-zero") == [
        "count-zero-inflated-negative-binomial",
        "count-zero-inflated-poisson",
    ]


def test_commands_on_counts_share_the_options_of_the_columns():
    from typer.main import get_command

    from bayes_msc.cli import app

    commands = get_command(app).commands
    roles = {"design", "control", "active", "patient", "treatment", "count", "period", "sequence"}
    roles |= {"scan", "month", "exposure", "baseline", "sheet", "title", "endpoint", "unit"}
    for name in ("fit", "sensitivity"):
        found = {p.name: p for p in commands[name].params}
        assert roles | {"candidate"} <= set(found)
        assert "roles" not in found
        assert (found["patient"].default, found["unit"].default) == ("patient", "scan")
        assert all(found[role].help for role in roles)
