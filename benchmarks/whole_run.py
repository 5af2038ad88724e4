"""A whole simulation, or the summary of one, in a process of its own that looks at itself."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bayes_msc.simulation.plan import Plan
from bayes_msc.simulation.run import read_trials, simulate, summary_of
from bayes_msc.simulation.storage import RunFolder
from benchmarks.child import megabytes, peak_megabytes

#: Nine patients, 5:4, two periods of one scan, as the founding trial had them.
PLAN = """
seed = 1
models = ["negative-binomial"]

[designs.founding]
kind = "crossover"
active = 5
control = 4

[truths.halved]
rate_ratio = 0.5
control_rate = 4.0
overdispersion = 0.5
patient_sd = 0.8

[rules.benefit]
probability = 0.95
"""


def plan() -> Plan:
    """Return the simulation that is timed: one cell."""
    return Plan.from_toml(PLAN)


def simulated(folder: Path, trials: int, workers: int, begun: float) -> dict[str, Any]:
    """Run the plan into a folder, noting each chunk as it is kept.

    Parameters
    ----------
    folder : Path
    trials, workers : int
    begun : float
        When this process was asked for, in seconds since the epoch: its start counts.

    Returns
    -------
    dict of str to value
        ``seconds`` of all; for every chunk the ``trials`` kept so far, the seconds ``at`` which,
        and the ``megabytes`` that the largest worker has held until then; the shares of trials
        answered by the ``fast`` engine and by ``none``.
    """
    kept: list[tuple[int, float, float]] = []
    put = RunFolder.put

    def noted(store: RunFolder, place: tuple[str, int], rows: Any) -> None:
        put(store, place, rows)
        done = len(rows) + (kept[-1][0] if kept else 0)
        kept.append((done, time.time() - begun, _largest()))

    with patch.object(RunFolder, "put", noted):
        simulate(plan(), folder, trials=trials, workers=workers, progress=False)
    seconds = time.time() - begun
    engine = read_trials(folder, ["engine"])["engine"]
    done, at, held = zip(*kept, strict=True)
    return {
        "seconds": seconds,
        "trials": done,
        "at": at,
        "megabytes": held,
        "fast": float((engine == "fast").mean()),
        "none": float((engine == "none").mean()),
    }


def _largest() -> float:
    """Largest memory that any worker has held: this process where it works alone."""
    workers = [one.pid for one in multiprocessing.active_children() if one.pid is not None]
    return max((peak_megabytes(pid) for pid in workers), default=peak_megabytes())


def summarised(folder: Path) -> dict[str, Any]:
    """Summarise a run: the time, the rows and the memory that it took."""
    before = megabytes()
    start = time.perf_counter()
    table = summary_of(folder)
    seconds = time.perf_counter() - start
    rows = int(table["trials"].sum())
    return {"seconds": seconds, "rows": rows, "gained": peak_megabytes() - before}


if __name__ == "__main__":
    task, where, *numbers = sys.argv[1:]
    answer = (
        simulated(Path(where), int(numbers[0]), int(numbers[1]), float(numbers[2]))
        if task == "simulate"
        else summarised(Path(where))
    )
    print(json.dumps(answer))
