"""The command that simulates, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import typer
from test_run import PLAN
from typer.testing import CliRunner, Result

from bayes_msc.cli.simulation import simulate
from bayes_msc.errors import DesignError, WorkersError

app = typer.Typer()
app.command()(simulate)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def run(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, [str(word) for word in words])


def test_run_prints_and_keeps_a_summary(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = run(plan, "--out", out, "--workers", 1, "--trials", 5)
    assert done.exit_code == 0, done.output
    assert "How often each rule was met" in done.output
    table = pd.read_csv(out / "summary.csv")
    assert len(table) == 4
    assert table["trials"].eq(5).all()


def test_dry_run_writes_nothing(plan: Path, tmp_path: Path) -> None:
    done = run(plan, "--dry-run", "--workers", 4)
    assert done.exit_code == 0, done.output
    assert "at most 40 trials and 80 rows" in done.output
    assert "4 processes" in done.output
    assert list(tmp_path.iterdir()) == [plan]


def test_bad_input_is_an_error_of_the_package(plan: Path, tmp_path: Path) -> None:
    assert isinstance(run(plan).exception, DesignError)
    assert isinstance(run(tmp_path / "none.toml", "--dry-run").exception, DesignError)
    words = ("--out", tmp_path / "r", "--scheduler", "tcp://127.0.0.1:9", "--timeout", 0.3)
    assert isinstance(run(plan, *words).exception, WorkersError)
