"""Runs on a Dask cluster of real worker processes: nothing lost, nothing counted twice."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_run import PLAN, digests

from bayes_msc.errors import WorkersError
from bayes_msc.simulation.plan import Plan
from bayes_msc.simulation.run import simulate
from bayes_msc.simulation.workers import Workers

distributed = pytest.importorskip("distributed")
LONGER = PLAN.replace("trials = 20", "trials = 150")


def make_cluster(port: int = 0, memory_limit: str | int = "auto") -> Any:
    return distributed.LocalCluster(
        n_workers=2,
        memory_limit=memory_limit,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",
        scheduler_port=port,
        host="127.0.0.1",
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with make_cluster() as started:
        yield started


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dask") / "whole"
    simulate(Plan.from_toml(LONGER), folder, workers=1)
    return folder


def chunks(folder: Path) -> int:
    return len(list(folder.glob("*/chunk-*.parquet")))


def in_the_middle(folder: Path, act: Callable[[], object], already: int = 6) -> threading.Thread:
    """Do something once so many chunks are there."""

    def wait() -> None:
        while chunks(folder) < already:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_client_gives_the_same_bytes(cluster: Any, longer: Path, tmp_path: Path) -> None:
    with distributed.Client(cluster) as client:
        simulate(Plan.from_toml(LONGER), tmp_path / "run", executor=client)
    assert digests(tmp_path / "run") == digests(longer)


def test_killed_worker_changes_no_byte(cluster: Any, longer: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    pids = [worker.process.pid for worker in cluster.workers.values()]
    thread = in_the_middle(folder, lambda: os.kill(pids[0], signal.SIGKILL))
    simulate(Plan.from_toml(LONGER), folder, scheduler=cluster.scheduler_address)
    thread.join()
    assert digests(folder) == digests(longer)


@pytest.mark.slow
def test_restarted_scheduler_changes_no_byte(longer: Path, tmp_path: Path) -> None:
    folder, clusters = tmp_path / "run", [make_cluster()]
    address = clusters[0].scheduler_address
    port = int(address.rsplit(":", 1)[1])

    def restart() -> None:
        clusters[0].close()
        clusters.append(make_cluster(port))

    thread = in_the_middle(folder, restart)
    simulate(Plan.from_toml(LONGER), folder, scheduler=address)
    thread.join()
    assert len(clusters) == 2
    clusters[1].close()
    assert digests(folder) == digests(longer)


@dataclass(frozen=True)
class Hoard:
    """Work that takes more memory than a worker may have, and keeps it until that is killed."""

    megabytes: int
    place: int = 0


def hoard(work: Hoard) -> tuple[int, int]:
    held = []
    for _ in range(work.megabytes // 64):
        held.append(bytearray(os.urandom(1024)) * (64 * 1024))
        time.sleep(0.02)
    time.sleep(60)
    return work.place, len(held)


@pytest.mark.slow
def test_worker_out_of_memory_changes_no_byte(longer: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with make_cluster(memory_limit="1200MB") as small, distributed.Client(small) as other:
        first = small.workers[0].worker_address
        before, asked = small.workers[0].process.pid, []

        def act() -> None:
            # kept, as a future that nobody holds is cancelled
            asked.append(other.submit(hoard, Hoard(4096), workers=[first]))

        thread = in_the_middle(folder, act, 2)
        simulate(Plan.from_toml(LONGER), folder, scheduler=small.scheduler_address)
        thread.join()
        deadline = time.monotonic() + 60
        while small.workers[0].process.pid in (before, None) and time.monotonic() < deadline:
            time.sleep(0.1)
        # its nanny has killed it and started another
        assert small.workers[0].process.pid != before
    assert digests(folder) == digests(longer)


@pytest.mark.slow
def test_work_that_no_worker_has_the_memory_for_is_given_up() -> None:
    import dask

    said = r"lost 3 times in a row with 1 pieces .*KilledWorker.*may be out of memory"
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        make_cluster(memory_limit="900MB") as small,
        pytest.raises(WorkersError, match=said),
    ):
        list(Workers(scheduler=small.scheduler_address).run(hoard, [Hoard(4096)], "place"))


def test_worker_that_is_lost_again_and_again_is_named(cluster: Any, tmp_path: Path) -> None:
    class Losing:
        def submit(self, *_: object) -> Any:
            from concurrent.futures import Future

            future: Future[Any] = Future()
            future.set_exception(
                distributed.scheduler.KilledWorker("task", SimpleNamespace(address="tcp://a:1"), 3)
            )
            return future

    with pytest.raises(WorkersError, match=r"KilledWorker.*may be out of memory"):
        simulate(Plan.from_toml(PLAN), tmp_path / "run", executor=Losing())


def test_scheduler_that_does_not_answer(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(WorkersError, match=r"tcp://127.0.0.1:9 did not answer within 0.5 seconds"):
        simulate(Plan.from_toml(PLAN), tmp_path / "run", scheduler="tcp://127.0.0.1:9", timeout=0.5)
    # something that takes the call and says nothing
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(WorkersError, match=f"{address} did not answer within 0.5 seconds"):
            simulate(Plan.from_toml(PLAN), tmp_path / "run", scheduler=address, timeout=0.5)
    assert time.monotonic() - start < 60
    with pytest.raises(WorkersError, match="not both"):
        simulate(Plan.from_toml(PLAN), tmp_path / "run", scheduler="tcp://a:1", executor=object())
