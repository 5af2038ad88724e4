"""Memory of a process that refits ten thousand times: it must not keep what it no longer needs."""

from __future__ import annotations

import json
import sys

from bayes_msc.refits import refit_many
from benchmarks.child import ChildError, ask_child, megabytes
from benchmarks.engines import question
from benchmarks.measures import Measure, skipped
from benchmarks.refits import pairs

NAME = "memory"
REFITS, QUICK = 10_000, 200
#: Refits between two looks at the memory.
PART = 500
LIMIT = 3600.0


def run(quick: bool = False) -> list[Measure]:
    """Refit in a process of its own and read its memory on the way."""
    count = QUICK if quick else REFITS
    case = f"{count} refits"
    try:
        found = ask_child("memory", count, limit=LIMIT)
    except ChildError as error:
        return [skipped(NAME, "memory gained", case, str(error))]
    first, *later = found["megabytes"]
    print(f"  MB: {first:.0f} after the first, {later[-1]:.0f} at the end", flush=True)
    gained = [megabytes - first for megabytes in later]
    note = f"{found['fast']:.1%} by the fast engine; range: on the way"
    return [
        Measure(NAME, "memory after the first refit", case, first, unit="MB"),
        Measure(NAME, "memory gained", case, gained[-1], min(gained), max(gained), "MB", note),
    ]


def looks(count: int) -> dict[str, object]:
    """Memory after the first refit and after every part, and the share of the fast engine."""
    model, trial = question()
    wanted = pairs(model, trial, count)
    refit_many(wanted[:1], engine="fast", workers=1, progress=False)
    held, fast = [megabytes()], 0
    for start in range(0, count, PART):
        table = refit_many(
            wanted[start : start + PART], engine="fast", seed=start + 1, workers=1, progress=False
        )
        fast += int((table["engine"] == "fast").sum())
        held.append(megabytes())
    return {"megabytes": held, "fast": fast / count}


if __name__ == "__main__":
    print(json.dumps(looks(int(sys.argv[1]))))
