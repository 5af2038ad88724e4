"""What a first fit costs before it samples: nothing cached, and again from the disk cache.

Each engine starts in a new process with empty folders for the caches of PyTensor and Numba, then in
another one with the same folders. Python's own bytecode is there both times, as after any install.
"""

from __future__ import annotations

import json
import sys
import time
from tempfile import TemporaryDirectory

from benchmarks.child import ChildError, ask_child
from benchmarks.measures import Measure, repeated, skipped

NAME = "compile"
WHOLE = "whole process"
ANSWERED = "answered"
ENGINES = ("nuts", "fast")
STEPS = ("import", "build", "compile", "first answer")
REPETITIONS = 3
LIMIT = 300.0


def run(quick: bool = False) -> list[Measure]:
    """Time fresh processes."""
    return [row for engine in ENGINES for row in _engine(engine, 1 if quick else REPETITIONS)]


def _engine(engine: str, repetitions: int) -> list[Measure]:
    found: dict[str, list[dict[str, float]]] = {"nothing cached": [], "cached": []}
    for _ in range(repetitions):
        with TemporaryDirectory() as folder:
            caches = {
                "PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor",
                "NUMBA_CACHE_DIR": f"{folder}/numba",
            }
            for runs in found.values():
                try:
                    runs.append(_one(engine, caches))
                except ChildError as error:
                    return [
                        skipped(NAME, WHOLE, f"{engine}, {state}", str(error)) for state in found
                    ]
    rows = []
    for state, runs in found.items():
        case = f"{engine}, {state}"
        print(f"  {case}: {runs[0]}", flush=True)
        note = "from starting Python to the first answer"
        rows.append(repeated(NAME, WHOLE, case, [run[WHOLE] for run in runs], "s", note))
        rows += [repeated(NAME, step, case, [run[step] for run in runs], "s") for step in STEPS]
    return rows


def _one(engine: str, caches: dict[str, str]) -> dict[str, float]:
    start = time.time()
    steps = ask_child("compile", engine, environment=caches, limit=LIMIT)
    return {WHOLE: steps.pop(ANSWERED) - start, **steps}


def steps_of(engine: str) -> dict[str, float]:
    """Seconds of each step of a first fit in this process, compiling kept apart from sampling."""
    clock = _Clock()
    from bayes_msc.graph import data_of
    from bayes_msc.sampler import Sampler, Settings
    from benchmarks.engines import question

    clock.mark("import")
    model, trial = question()
    sampler, numbers = Sampler.of(model, trial), data_of(model, trial)
    clock.mark("build")
    sampler.compile(engine)
    clock.mark("compile")
    if engine == "nuts":
        sampler.nuts(numbers, Settings(), seed=1)
    else:
        sampler.fast(numbers, seed=1)
    clock.mark("first answer")
    return clock.seconds


class _Clock:
    """Seconds between one mark and the next."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = now - self._last
        self._last = now


if __name__ == "__main__":
    print(json.dumps({**steps_of(sys.argv[1]), ANSWERED: time.time()}))
