"""Runs of a plan: the same bytes whoever computes them and however often they are stopped."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_msc.errors import DesignError, OutputError, WorkersError
from bayes_msc.simulation import storage, workers
from bayes_msc.simulation.locking import HOLDER, OWNED, locked
from bayes_msc.simulation.plan import Plan
from bayes_msc.simulation.run import (
    cost_words,
    estimate_cost,
    read_trials,
    simulate,
    summary_of,
)
from bayes_msc.simulation.storage import RunFolder
from bayes_msc.simulation.summary import share_error, summarise, summarise_parts

#: Without a model: rules on classical p-values, which need no compilation.
PLAN = """
seed = 3
trials = 20
chunk = 5

[designs.founding]
kind = "crossover"
active = 5
control = 4

[truths.null]
rate_ratio = 1.0
control_rate = 3.0
overdispersion = 0.5
patient_sd = 0.8

[truths.halved]
rate_ratio = 0.5
control_rate = 3.0
patient_sd = 0.8

[rules.classical]
kind = "p-value"
method = "hills-armitage"

[rules.permutation]
kind = "p-value"
method = "permutation"
level = 0.07
estimate_below = 0.5
"""


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan.from_toml(PLAN)


@pytest.fixture(scope="module")
def whole(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as one process does it without a stop."""
    folder = tmp_path_factory.mktemp("run") / "whole"
    simulate(plan, folder, workers=1)
    return folder


class Backwards(Executor):
    """Does everything in the reverse order, when the first answer is wanted."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Any, Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.waiting.append((Future(), fn, args))
        if len(self.waiting) == 8:
            for future, work, given in reversed(self.waiting):
                future.set_result(work(*given))
        return self.waiting[-1][0]


class Faulty(Executor):
    """Loses some of the work, as a pool does whose process was killed."""

    def __init__(self, lost: set[int], error: Exception) -> None:
        self.calls, self.lost, self.error = 0, lost, error

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        future: Future[Any] = Future()
        if self.calls in self.lost:
            future.set_exception(self.error)
        else:
            future.set_result(fn(*args))
        return future


def test_one_row_a_trial_and_rule(whole: Path) -> None:
    rows = read_trials(whole)
    assert len(rows) == 2 * 20 * 2
    assert not rows.duplicated(["design", "truth", "model", "rule", "trial"]).any()
    assert rows.groupby(["truth", "rule"], observed=True)["trial"].apply(set).map(len).eq(20).all()
    assert len(list(whole.glob("*/chunk-*.parquet"))) == 8
    null = rows[(rows["truth"] == "null") & (rows["rule"] == "classical")]
    assert (null["success"] == (null["statistic"] < 0.05)).all()
    permuted = rows[rows["rule"] == "permutation"]
    met = (permuted["statistic"] < 0.07) & (np.exp(permuted["log_estimate"]) < 0.5)
    assert (permuted["success"] == met).all()


@pytest.mark.parametrize("executor", [Backwards, lambda: ThreadPoolExecutor(3)])
def test_order_and_number_of_workers_change_no_byte(
    plan: Plan, whole: Path, tmp_path: Path, executor: Any
) -> None:
    simulate(plan, tmp_path / "again", executor=executor())
    assert digests(tmp_path / "again") == digests(whole)


def test_processes_change_no_byte(plan: Plan, whole: Path, tmp_path: Path) -> None:
    simulate(plan, tmp_path / "again", workers=2)
    assert digests(tmp_path / "again") == digests(whole)


def test_killed_process_of_the_pool_changes_no_byte(
    plan: Plan, whole: Path, tmp_path: Path
) -> None:
    folder, killed = tmp_path / "again", []

    def kill() -> None:
        while not list(folder.glob("*/chunk-*.parquet")):
            time.sleep(0.002)
        for process in multiprocessing.active_children()[:1]:
            process.kill()
            killed.append(process.pid)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    simulate(plan, folder, workers=2)
    thread.join()
    assert killed
    assert digests(folder) == digests(whole)


def test_lost_work_is_handed_out_again(plan: Plan, whole: Path, tmp_path: Path) -> None:
    executor = Faulty({2, 4, 9}, BrokenExecutor("a process was killed"))
    simulate(plan, tmp_path / "again", executor=executor)
    assert digests(tmp_path / "again") == digests(whole)


def test_work_that_is_lost_again_and_again_is_given_up(plan: Plan, tmp_path: Path) -> None:
    executor = Faulty(set(range(3, 100)), BrokenExecutor("a process was killed"))
    with pytest.raises(WorkersError, match=r"lost 3 times in a row with 6 pieces .* is kept"):
        simulate(plan, tmp_path / "run", executor=executor)
    assert len(list((tmp_path / "run").glob("*/chunk-*.parquet"))) == 2


def test_an_error_of_the_work_itself_is_not_tried_again(plan: Plan, tmp_path: Path) -> None:
    executor = Faulty({2}, ZeroDivisionError("a fault"))
    with pytest.raises(ZeroDivisionError):
        simulate(plan, tmp_path / "run", executor=executor)
    assert executor.calls <= 8


SCRIPT = """
import sys
from bayes_msc.simulation.run import simulate
simulate(sys.argv[1], sys.argv[2], workers=1)
"""


def test_killed_at_random_moments_it_gives_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    path, folder = tmp_path / "plan.toml", tmp_path / "run"
    path.write_text(PLAN)
    command = [sys.executable, "-c", SCRIPT, str(path), str(folder)]
    rng = np.random.default_rng()
    for already in (1, 3):
        process = subprocess.Popen(command)
        while process.poll() is None and len(list(folder.glob("*/chunk-*.parquet"))) < already:
            time.sleep(0.002)
        time.sleep(float(rng.uniform(0, 0.05)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    # as if it had been killed while it wrote
    cell = next(iter(folder.glob("*/")))
    (cell / ".chunk-0000003.parquet.x1.parquet").write_bytes(b"half")
    simulate(path, folder, workers=1)
    assert digests(folder) == digests(whole)


#: Runs a plan, but stops to wait in the middle of it.
WAITING = """
import sys, time
from pathlib import Path
from bayes_msc.simulation import storage
real = storage._to_parquet
def slow(rows, path):
    Path(sys.argv[3]).touch()
    while Path(sys.argv[3]).exists():
        time.sleep(0.005)
    real(rows, path)
storage._to_parquet = slow
from bayes_msc.simulation.run import simulate
simulate(sys.argv[1], sys.argv[2], workers=1)
"""


def test_a_second_process_in_the_folder_is_refused(plan: Plan, whole: Path, tmp_path: Path) -> None:
    path, folder, writing = tmp_path / "plan.toml", tmp_path / "run", tmp_path / "writing"
    path.write_text(PLAN)
    first = subprocess.Popen([sys.executable, "-c", WAITING, path, folder, writing])
    while not writing.exists():
        assert first.poll() is None
        time.sleep(0.01)
    half = list(folder.glob("*/.chunk*"))
    assert half
    said = f"{folder} is in use: a run goes on in it (process {first.pid} on {socket.gethostname()}"
    with pytest.raises(OutputError, match=re.escape(said)) as refused:
        simulate(plan, folder, workers=1)
    assert "or name another folder with --out" in str(refused.value)
    # nothing of the first was touched, and it can be read meanwhile
    assert all(part.exists() for part in half)
    assert read_trials(folder).empty
    # the lock goes with its holder, and what it has left of itself does not matter
    first.kill()
    first.wait()
    assert (folder / HOLDER).exists()
    simulate(plan, folder, workers=1)
    assert not (folder / HOLDER).exists()
    assert digests(folder) == digests(whole)


def test_locks_are_nested_in_a_thread_and_not_shared_by_two(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    with locked(folder), ThreadPoolExecutor(1) as other:
        with locked(folder):
            pass
        assert json.loads((folder / HOLDER).read_text())["pid"] == os.getpid()
        with pytest.raises(OutputError, match="is in use"):
            other.submit(lambda: locked(folder).__enter__()).result()
        (folder / HOLDER).unlink()
        with pytest.raises(OutputError, match="which has only just begun"):
            other.submit(lambda: locked(folder).__enter__()).result()
    with locked(folder):
        pass
    assert {path.name for path in folder.iterdir()} <= OWNED


def test_a_folder_that_cannot_be_locked_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"), locked(tmp_path / "file" / "run"):
        pass
    (tmp_path / ".lock").mkdir()
    with pytest.raises(OutputError, match="cannot be locked"), locked(tmp_path):
        pass


def test_a_run_goes_on_to_more_trials(plan: Plan, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    few = simulate(plan, folder, trials=7, workers=1)
    # rounded up to whole chunks
    assert few["trials"].eq(10).all()
    more = simulate(plan, folder, workers=1)
    assert digests(folder) == digests(whole)
    again = simulate(plan, folder, trials=10, workers=1)
    pd.testing.assert_frame_equal(again, few)
    pd.testing.assert_frame_equal(summary_of(folder), more)


def test_precision_stops_each_cell_in_its_own_time(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kwargs: dict[str, Any] = {"trials": 10, "precision": 0.06, "max_trials": 60}
    one = simulate(plan, tmp_path / "one", workers=1, **kwargs)
    assert one["trials"].between(10, 60).all()
    enough = one.groupby("truth", sort=False)["success_mcse"].max() <= 0.06
    trials = one.groupby("truth", sort=False)["trials"].first()
    assert (enough | (trials == 60)).all()
    assert trials.nunique() == 2
    # over processes, which last from one round to the next
    started = []
    real = workers.local_pool
    monkeypatch.setattr(workers, "local_pool", lambda n: started.append(n) or real(n))
    simulate(plan, tmp_path / "three", workers=2, **kwargs)
    assert started == [2]
    assert digests(tmp_path / "three") == digests(tmp_path / "one")
    # begun with more trials than the precision needs: the same answer
    simulate(plan, tmp_path / "two", trials=60, workers=1)
    two = simulate(plan, tmp_path / "two", workers=1, **kwargs)
    pd.testing.assert_frame_equal(one, two)


def test_folder_of_another_plan_is_refused(whole: Path) -> None:
    other = Plan.from_toml(PLAN.replace("rate_ratio = 0.5", "rate_ratio = 0.4"))
    with pytest.raises(OutputError, match=r"holds the run of another plan .*different: cells"):
        simulate(other, whole, workers=1)
    with pytest.raises(OutputError, match="different: seed"):
        simulate(Plan.from_toml(PLAN.replace("seed = 3", "seed = 4")), whole, workers=1)


def test_folder_with_something_else_is_refused(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="is not empty and holds no run"):
        simulate(plan, tmp_path, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(OutputError, match="holds no run"):
        read_trials(tmp_path)


def test_full_disk_keeps_what_is_there(
    plan: Plan, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = storage._to_parquet, []

    def full(rows: pd.DataFrame, path: Path) -> None:
        calls.append(path)
        real(rows, path)
        if len(calls) == 3:
            path.write_bytes(path.read_bytes()[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(storage, "_to_parquet", full)
    with pytest.raises(OutputError, match=r"No space left on device.*run the same command again"):
        simulate(plan, tmp_path / "run", workers=1)
    assert not list((tmp_path / "run").rglob(".chunk*"))
    assert len(list((tmp_path / "run").glob("*/chunk-*.parquet"))) == 2
    simulate(plan, tmp_path / "run", workers=1)
    assert digests(tmp_path / "run") == digests(whole)


#: Runs within a file system of its own of half a megabyte, most of which is taken.
FULL = """
set -e
mount -t tmpfs -o size=512k none "$1"
head -c 480000 /dev/zero > "$1/other"
"$2" -c "$3" "$4" "$1/run" 2> "$5/said" && exit 3
ls "$1"/run/*/chunk-* | wc -l
test -z "$(ls -A "$1"/run/*/ | grep '^\\.chunk' || true)"
rm "$1/other"
"$2" -c "$3" "$4" "$1/run"
cp -r "$1/run" "$5/run"
"""


def test_disk_that_is_really_full(whole: Path, tmp_path: Path) -> None:
    own = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*own, "true"], check=False).returncode:
        pytest.skip("this machine gives no file system of its own to a process")
    disk, plan = tmp_path / "disk", tmp_path / "plan.toml"
    disk.mkdir()
    plan.write_text(PLAN)
    done = subprocess.run(
        [*own, "bash", "-c", FULL, "full", disk, sys.executable, SCRIPT, plan, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    said = (tmp_path / "said").read_text()
    assert done.returncode == 0, done.stderr + said
    assert "No space left on device" in said
    assert "run the same command again, it goes on from there" in said
    assert 0 < int(done.stdout) < 8
    assert digests(tmp_path / "run") == digests(whole)


def test_chunks_become_blocks_whenever_a_run_is_stopped(
    plan: Plan, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "SPAN", 3)
    folder = tmp_path / "blocks"
    summary = simulate(plan, folder, executor=Backwards())
    cell = next(iter(RunFolder(folder).plan["cells"]))
    names = ["block-00000.parquet", "chunk-0000003.parquet"]
    assert sorted(path.name for path in (folder / cell).iterdir()) == names
    assert RunFolder(folder).done(cell) == {0, 1, 2, 3}
    pd.testing.assert_frame_equal(read_trials(folder), read_trials(whole))
    pd.testing.assert_frame_equal(summary_of(folder), summary)
    few = simulate(plan, folder, trials=10, workers=1)
    assert few["trials"].eq(10).all()
    simulate(plan, folder, workers=1)
    known = digests(folder)
    # killed before the block was written, and before its chunks were removed
    for also in (False, True):
        shutil.copytree(whole / cell, folder / cell, dirs_exist_ok=True)
        if not also:
            (folder / cell / names[0]).unlink()
        pd.testing.assert_frame_equal(read_trials(folder), read_trials(whole))
        simulate(plan, folder, workers=1)
        assert digests(folder) == known


def test_summary_of_parts_is_that_of_the_whole(
    plan: Plan, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunFolder(whole)
    cells = dict.fromkeys(store.plan["cells"], 4)
    monkeypatch.setattr(storage, "PART", 30)
    parts = list(store.parts(cells))
    assert [len(part) for part in parts] == [30, 30, 20]
    together, read = pd.concat(parts, ignore_index=True), store.read(cells)
    pd.testing.assert_frame_equal(together, read, check_categorical=False, check_dtype=False)
    pd.testing.assert_frame_equal(summarise_parts(parts), summarise(store.read(cells)))


def test_broken_chunk_is_named(plan: Plan, tmp_path: Path) -> None:
    simulate(plan, tmp_path / "run", workers=1, trials=5)
    broken = next((tmp_path / "run").glob("*/chunk-0000000.parquet"))
    broken.write_bytes(b"nothing")
    with pytest.raises(OutputError, match=f"{broken.name} cannot be read"):
        summary_of(tmp_path / "run")


def test_a_million_rows_are_read_by_column(whole: Path) -> None:
    store = RunFolder(whole)
    cells = dict.fromkeys(store.plan["cells"], 4)
    assert list(store.read(cells, ["success", "rule"]).columns) == ["success", "rule"]
    one = store.read(cells)
    many = pd.concat([one] * 4, ignore_index=True)
    few, more = summarise(one), summarise(many)
    np.testing.assert_allclose(more["success"], few["success"])
    assert (more["trials"] == 4 * few["trials"]).all()
    expected = share_error(more["success"] * more["trials"], more["trials"])
    np.testing.assert_allclose(more["success_mcse"], expected)


def test_cost_is_estimated_without_writing(plan: Plan) -> None:
    table = estimate_cost(plan, workers=2, pilot=3)
    assert table["cell"].tolist() == ["founding / null", "founding / halved", "all"]
    assert table["rows"].tolist() == [40, 40, 80]
    assert table["hours"].iloc[:2].sum() == pytest.approx(table["hours"].iloc[2])
    assert (table["seconds_per_trial"] > 0).all()
    assert "40 trials and 80 rows" in cost_words(table, 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 3", "sede = 3", "unknown key of the plan 'sede': choose one of seed, trials"),
        ("active = 5", "activ = 5", "unknown key of the design 'founding' 'activ'"),
        ("active = 5", 'active = "5"', "active of the design is '5'"),
        ("control = 4", "", "the design 'founding' also needs control"),
        ("rate_ratio = 0.5", "rate_ratio = -1.0", "truth 'halved' is impossible: rate_ratio of"),
        ('"hills-armitage"', '"t-test"', "classical method 't-test': choose one of"),
        ("[rules.classical]", "[rule.classical]", "unknown key of the plan 'rule'"),
        ("seed = 3", 'models = ["crossover-nb"]', "null is impossible: unknown model card"),
        (
            'kind = "crossover"',
            'kind = "parallel"',
            "the cell founding / null is impossible: the rule 'classical' has no answer",
        ),
        ("trials = 20", "precision = 0.7", "the precision is 0.7: a standard error between 0"),
        ("seed = 3", "seed = ", "the plan is no TOML"),
    ],
)
def test_impossible_plans_say_where(old: str, new: str, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        Plan.from_toml(PLAN.replace(old, new, 1))


def test_impossible_model_names_the_cell() -> None:
    text = PLAN.replace('kind = "crossover"', 'kind = "parallel"').replace(
        "seed = 3", 'seed = 3\nmodels = ["crossover-poisson"]'
    )
    text = text.replace("hills-armitage", "gee")
    with pytest.raises(
        DesignError, match="founding / null is impossible: crossover-poisson is for"
    ):
        Plan.from_toml(text)


def test_missing_plan_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="cannot be read"):
        Plan.load(tmp_path / "plan.toml")
