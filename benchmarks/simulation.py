"""Trials simulated and analysed a second over a whole run, beside rstanarm and brms on the same.

The run is a command's: Python starts, workers start and compile, chunks are written, the summary is
made. The other programs refit some of the very trials of that run; only their refits are timed, not
their start, nor the compiling, nor reading their draws.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bayes_msc.simulation.cell import Cell
from bayes_msc.simulation.generate import generate
from bayes_msc.simulation.run import read_trials
from bayes_msc.simulation.storage import SPAN, RunFolder
from benchmarks.child import ChildError, ask_child
from benchmarks.engines import start_peer
from benchmarks.measures import Measure, repeated, skipped
from benchmarks.peer import Ask, PeerError, exchange
from benchmarks.speed import ASK
from benchmarks.whole_run import plan

NAME = "simulation"
TRIALS, QUICK = 10_000, 200
WORKERS = 2
#: Trials that a peer refits, twice each.
SAME_TRIALS = 10
GENERATED = 100_000
ROWS, QUICK_ROWS = 1_000_000, 50_000
REPETITIONS = 5
LIMIT = 3600.0
RATE, STEADY = "trials a second, whole run", "trials a second once all workers have compiled"
FASTER, LATER = "two workers over one, whole run", "time of a late trial over that of an early one"
GAINED, START = "memory of a worker gained since 1,000 trials", "seconds to the first chunk"
GENERATE, SUMMARY = "seconds to simulate 100,000 trials", "seconds to summarise a million rows"
SUMMARY_MEMORY, WRITTEN = "memory to summarise a million rows", "trials written a second"
RATIO = "trials a second, ours over theirs"


def run(quick: bool = False) -> list[Measure]:
    """Time whole runs, the same trials by other programs, and what a run is made of."""
    count = QUICK if quick else TRIALS
    with TemporaryDirectory() as name:
        folder = Path(name)
        try:
            two, one = (_whole(folder / str(n), count, n) for n in (WORKERS, 1))
        except ChildError as error:
            return [skipped(NAME, RATE, f"{WORKERS} workers", str(error))]
        rate = count / two["seconds"]
        return [
            *_rates(two, one, count),
            *_beside(folder / str(WORKERS), rate, quick),
            _generated(1 if quick else REPETITIONS),
            *_written(folder, quick),
            *_million(folder, QUICK_ROWS if quick else ROWS),
        ]


def _whole(folder: Path, count: int, workers: int) -> dict[str, Any]:
    begun = time.time()
    found = ask_child("whole_run", "simulate", folder, count, workers, begun, limit=LIMIT)
    # the end of the process counts as well
    found["seconds"] = time.time() - begun
    print(f"  {count} trials, {workers} workers: {found['seconds']:.1f} s", flush=True)
    return found


def _rates(two: dict[str, Any], one: dict[str, Any], count: int) -> list[Measure]:
    cases = {"1 worker": one, f"{WORKERS} workers": two}
    note = f"{count} trials of 9 patients, start, compiling and summary included"
    rows = []
    for case, found in cases.items():
        shares = f"{note}; {found['fast']:.1%} by the fast engine, {found['none']:.1%} by none"
        rows += [
            Measure(NAME, RATE, case, count / found["seconds"], unit="a second", note=shares),
            Measure(NAME, STEADY, case, 1.0 / seconds_a_trial(found, 0.1, 1.0), unit="a second"),
            Measure(NAME, START, case, found["at"][0], unit="s"),
        ]
    late, early = seconds_a_trial(two, 0.3, 1.0), seconds_a_trial(two, 0.1, 0.3)
    note = "the last 7 in 10 of a run over the 2 in 10 before them"
    rows += [
        Measure(NAME, FASTER, "", one["seconds"] / two["seconds"], unit="times"),
        Measure(NAME, LATER, f"{WORKERS} workers", late / early, unit="times", note=note),
    ]
    begin = int(np.searchsorted(two["trials"], min(1000, count // 2)))
    gained = [held - two["megabytes"][begin] for held in two["megabytes"][begin:]]
    note = f"{two['megabytes'][-1]:.0f} MB at the end, the larger of the two"
    return [*rows, Measure(NAME, GAINED, f"{WORKERS} workers", gained[-1], unit="MB", note=note)]


def seconds_a_trial(found: dict[str, Any], begin: float, end: float) -> float:
    """Seconds of a trial between two shares of a run, from the times at which chunks were kept."""
    trials, at = np.asarray(found["trials"], dtype=float), np.asarray(found["at"], dtype=float)
    first, last = (np.interp(share * trials[-1], trials, at) for share in (begin, end))
    return float((last - first) / ((end - begin) * trials[-1]))


def _beside(folder: Path, rate: float, quick: bool) -> list[Measure]:
    """Our rate over that of every peer on the first trials of the run."""
    count = 2 if quick else SAME_TRIALS
    [cell] = plan().cells
    ours = read_trials(folder, ["log_estimate", "log_sd"]).iloc[:count]
    asks = list(_asks(cell, count, 2 if quick else ASK.chains))
    rows = []
    for name, case in (("rstanarm", "rstanarm"), ("brms", "brms update")):
        try:
            theirs, off = _peer(name, cell, asks, ours.to_numpy(float))
        except PeerError as error:
            rows += [skipped(NAME, measure, case, str(error)) for measure in (RATE, RATIO)]
            continue
        print(f"  {case}: {theirs:.2f} trials a second", flush=True)
        note = (
            f"median of {count} of the same trials, {ASK.chains} chains of {ASK.tune} + "
            f"{ASK.draws}; the better of chains on all cores and of a trial on each core, the "
            "latter as if neither slowed the other; medians of log RR off ours by "
            f"{off:.2f} SD at most"
        )
        rows += [
            Measure(NAME, RATE, case, theirs, unit="a second", note=note),
            Measure(NAME, RATIO, case, rate / theirs, unit="times"),
        ]
    return rows


def _asks(cell: Cell, count: int, chains: int) -> Iterator[Ask]:
    """What a peer is asked: the first trials of the run, each with its own priors."""
    trials = cell.trials(plan().seed, 0, plan().effort.size)
    model = cell.analyses[0].model
    for k in range(count):
        yield replace(ASK, seed=k + 1, chains=chains, trial=exchange(model, trials.trial(k)))


def _peer(name: str, cell: Cell, asks: Sequence[Ask], ours: Any) -> tuple[float, float]:
    """Trials a second of a peer by its median trial, and the SDs by which it is off at most."""
    trial = cell.trials(plan().seed, 0, plan().effort.size).trial(0)
    together, alone, off = [], [], 0.0
    with ExitStack() as stack:
        # the last is the one with the program's own target acceptance
        engine = start_peer(name, cell.analyses[0].model, trial, stack)[-1]
        for ask, (estimate, sd) in zip(asks, ours, strict=True):
            refit = engine.run(replace(ask, cores=WORKERS))
            together.append(refit.seconds)
            alone.append(engine.run(replace(ask, cores=1)).seconds)
            median = float(np.median(refit.draws["log_rate_ratio"]))
            off = max(off, abs(median - estimate) / sd)
    # a chain that gets stuck takes ten times as long: the usual trial counts
    return 1.0 / min(float(np.median(together)), float(np.median(alone)) / WORKERS), off


def _generated(repetitions: int) -> Measure:
    """Simulation alone."""
    [cell] = plan().cells
    seconds = []
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        start = time.perf_counter()
        generate(cell.design, cell.truth, GENERATED, rng)
        seconds.append(time.perf_counter() - start)
    return repeated(NAME, GENERATE, "9 patients", seconds, "s")


def _written(folder: Path, quick: bool) -> list[Measure]:
    """How fast one process writes chunks: the limit of a large cluster."""
    known = read_trials(folder / str(WORKERS))
    key = plan().cells[0].key
    rows = []
    for size in (50, 500):
        store = RunFolder(folder / f"written-{size}", plan().manifest())
        part = known.iloc[np.arange(size) % len(known)]
        chunks = 10 if quick else 2 * SPAN
        start = time.perf_counter()
        for k in range(chunks):
            store.put((key, k), part)
        rate = chunks * size / (time.perf_counter() - start)
        rows.append(Measure(NAME, WRITTEN, f"chunks of {size}", rate, unit="a second"))
    return rows


def _million(folder: Path, wanted: int) -> list[Measure]:
    """Time and memory of the summary of many rows: copies of one block of trials."""
    known = read_trials(folder / str(WORKERS))
    cell, size = plan().cells[0].key, plan().effort.size
    store = RunFolder(folder / "many", plan().manifest())
    part = known.iloc[np.arange(size) % len(known)]
    for k in range(SPAN):
        store.put((cell, k), part)
    for number in range(1, wanted // (SPAN * size)):
        shutil.copyfile(store.block(cell, 0), store.block(cell, number))
    case = f"{wanted} rows"
    try:
        found = ask_child("whole_run", "summarise", store.folder, limit=LIMIT)
    except ChildError as error:
        return [skipped(NAME, SUMMARY, case, str(error))]
    note = f"{len(list(store.folder.rglob('*.parquet')))} files; {found['rows']} rows were read"
    return [
        Measure(NAME, SUMMARY, case, found["seconds"], unit="s", note=note),
        Measure(NAME, SUMMARY_MEMORY, case, found["gained"], unit="MB"),
    ]
