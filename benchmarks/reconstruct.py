"""Reconstruction: seconds and memory of its searches, and its coverage over simulated trials.

Run as ``python -m benchmarks.reconstruct [trials]``; without trials only the searches are timed.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

from bayes_msc.reconstruct import coverage_check, reconstruct, reconstruct_group
from bayes_msc.reconstruct.coverage import shares

GROUPS: dict[str, Callable[[], object]] = {
    "n 9, mean 13.33, SD 20.5: all listed": lambda: reconstruct_group(9, "13.33", "20.5"),
    "n 20, mean 10.0, SD 12.0: counted": lambda: reconstruct_group(20, "10.0", "12.0"),
    "n 40, mean 10.0, SD 12.0: drawn": lambda: reconstruct_group(40, "10.0", "12.0"),
    "n 40, mean 50.0, SD 29.0, maximum 190: drawn": lambda: reconstruct_group(
        40, "50.0", "29.0", median="45", minimum=0, maximum=190
    ),
    "the founding trial, inverse search and all": lambda: reconstruct("llufriu2014"),
}


def main() -> None:
    """Print seconds, memory and, if asked, coverage."""
    reconstruct_group(6, "2.0", "1.8")
    for name, run in GROUPS.items():
        start = time.perf_counter()
        run()
        print(f"{time.perf_counter() - start:8.2f} s  {name}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{peak:8.0f} MB at most")
    if len(sys.argv) > 1:
        table = coverage_check(int(sys.argv[1]))
        names = ("truth among the data sets", "covered", "covered, uniform", "covered, real counts")
        for name, share in zip(names, shares(table), strict=True):
            print(f"{100 * share:8.1f} %  {name}")
        print(
            f"{table['share_not_having_data'].mean():8.2f}    of the variance: not having the data"
        )


if __name__ == "__main__":
    main()
