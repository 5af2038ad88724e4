"""Seconds to read and validate a million rows, beside a plain pandas.read_csv of the same file.

Run it as ``python benchmarks/reading.py [rows]``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_msc.reading import read_trial

SCANS = 10
REPEATS = 3


def table(design: str, rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    patient, scan = np.arange(rows) // SCANS, np.arange(rows) % SCANS
    period = np.where(scan < SCANS // 2, 1, 2)
    active = (patient % 2 == 0) == (period == 1) if design == "crossover" else patient % 2 == 0
    columns = {
        "patient": patient,
        "scan": scan,
        "treatment": np.where(active, "drug", "placebo"),
        "count": rng.poisson(2, rows),
        "exposure": rng.choice([0.5, 1.0], rows),
        "baseline": patient % 7,
    }
    return pd.DataFrame(columns | ({"period": period} if design == "crossover" else {}))


def seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    rows = int(float(sys.argv[1])) if len(sys.argv) > 1 else 10**6
    print(f"{rows:,} rows, best of {REPEATS}")
    with tempfile.TemporaryDirectory() as folder:
        for design in ("parallel", "crossover"):
            path = Path(folder) / f"{design}.csv"
            table(design, rows).to_csv(path, index=False)
            plain = seconds(lambda path=path: pd.read_csv(path))
            ours = seconds(
                lambda path=path, design=design: read_trial(
                    path, design=design, control="placebo", active="drug"
                )
            )
            print(
                f"{design:9}  pandas.read_csv {plain:.2f} s   "
                f"read_trial {ours:.2f} s   ratio {ours / plain:.1f}"
            )


if __name__ == "__main__":
    main()
