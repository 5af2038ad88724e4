"""Effective draws a second of a refit: ours, the textbook PyMC model's and other programs'.

The same trial, the same model, the same priors, the same numbers of chains and draws, on the same
cores, one repetition of every engine after another. What nutpie samples is tuned for as long as
this package tunes by default; the peers in R for as long as they do. What counts is the worst
effective size over the parameters that all engines share. Nothing is said about the speed of an
engine whose posterior is another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.agreement import disagreement, statement, worst_ess
from benchmarks.engines import OURS, PEERS, Engine, own_engines, question, start_peer
from benchmarks.goals import SPEED
from benchmarks.measures import Measure, repeated, skipped
from benchmarks.peer import Ask, PeerError, Refit

NAME = "speed"
RATE = "worst-parameter effective draws a second"
#: Tuning is that of the peers in R by default, the target that of rstanarm.
ASK = Ask(seed=1, chains=4, tune=1000, draws=1000, cores=2, target_accept=0.95)
REPETITIONS = 5
REFERENCE_DRAWS = 10_000


@dataclass(frozen=True, eq=False)
class Timed:
    """Repetitions of one engine's refit."""

    refits: Sequence[Refit]

    @property
    def rates(self) -> list[float]:
        """Worst effective draws a second of each repetition."""
        return [worst_ess(refit.draws)[0] / refit.seconds for refit in self.refits]


def run(quick: bool = False) -> list[Measure]:
    """Time every engine that is installed."""
    model, trial = question()
    repetitions = 1 if quick else REPETITIONS
    ask = replace(ASK, chains=2, tune=300, draws=300) if quick else ASK
    with ExitStack() as stack:
        engines, missing = own_engines(model, trial), []
        for name in PEERS:
            try:
                engines += start_peer(name, model, trial, stack)
            except PeerError as error:
                print(f"  {name}: skipped, {error}", flush=True)
                missing.append(skipped(NAME, RATE, name, str(error)))
        timed, failed = interleaved(engines, ask, repetitions)
        reference = engines[0].run(replace(ask, seed=99, draws=REFERENCE_DRAWS))
    return [*report(engines, timed, reference), *failed, *missing]


def interleaved(
    engines: Sequence[Engine], ask: Ask, repetitions: int
) -> tuple[dict[str, Timed], list[Measure]]:
    """Time the refits, one repetition of every engine after another.

    A first round, not counted, warms up and finds whether an engine is faster with its chains one
    after another: starting processes can cost more than it saves.
    """
    cores: dict[str, int] = {}
    refits: dict[str, list[Refit]] = {}
    failed: dict[str, Measure] = {}
    for repetition in range(repetitions + 1):
        for engine in engines:
            if engine.name in failed:
                continue
            asked = replace(ask, seed=100 + repetition)
            try:
                if repetition == 0:
                    cores[engine.name] = _faster(engine, asked)
                else:
                    asked = replace(asked, cores=cores[engine.name])
                    refits.setdefault(engine.name, []).append(engine.run(asked))
            except PeerError as error:
                failed[engine.name] = skipped(NAME, RATE, engine.name, str(error))
    complete = {name: Timed(done) for name, done in refits.items() if name not in failed}
    return complete, list(failed.values())


def _faster(engine: Engine, ask: Ask) -> int:
    """Number of cores, one or all, with which a refit takes less time."""
    choices = sorted({1, ask.cores})
    # the very first refit may still load something
    engine.run(replace(ask, cores=1))
    seconds = {cores: engine.run(replace(ask, cores=cores)).seconds for cores in choices}
    return min(choices, key=lambda cores: seconds[cores])


def report(
    engines: Sequence[Engine], timed: Mapping[str, Timed], reference: Refit
) -> list[Measure]:
    """Agreement first, then the speeds of those that agree, then what ours is beside them."""
    truth = statement([reference.draws])
    rows: list[Measure] = []
    agreeing: list[Engine] = []
    for engine in engines:
        if engine.name not in timed:
            continue
        said = statement([refit.draws for refit in timed[engine.name].refits])
        fault = disagreement(said, truth, engine.bounds)
        words = fault or "agrees with the reference"
        print(f"  {engine.name}: P(RR < 1) {said.probability:.3f}, mean {said.mean:.3f}: {words}")
        off = (said.mean - truth.mean) / truth.sd
        rows += [
            Measure(NAME, "P(RR < 1)", engine.name, said.probability, note=words),
            Measure(NAME, "mean of log RR, off the reference", engine.name, off, unit="SD"),
        ]
        if fault:
            rows.append(skipped(NAME, RATE, engine.name, f"another posterior: {fault}"))
        else:
            agreeing.append(engine)
    rows += [row for engine in agreeing for row in _speeds(engine, timed[engine.name])]
    return [*rows, *_ratios([engine.name for engine in agreeing], timed)]


def _speeds(engine: Engine, timed: Timed) -> list[Measure]:
    worst = {worst_ess(refit.draws)[1] for refit in timed.refits}
    note = "; ".join(filter(None, (engine.note, f"worst: {', '.join(sorted(worst))}")))
    seconds = [refit.seconds for refit in timed.refits]
    divergences = [refit.divergences for refit in timed.refits]
    return [
        repeated(NAME, RATE, engine.name, timed.rates, note=note),
        repeated(NAME, "seconds a refit", engine.name, seconds, unit="s"),
        repeated(NAME, "divergences a refit", engine.name, divergences),
    ]


def _ratios(names: Sequence[str], timed: Mapping[str, Timed]) -> list[Measure]:
    """Ours over theirs; of a peer with two targets the faster one counts."""
    if OURS not in names:
        return [skipped(NAME, SPEED, "all", "our own refits disagree with the reference")]
    ours = np.array(timed[OURS].rates)
    rows = []
    for peer in dict.fromkeys(name.split(",")[0] for name in names if name != OURS):
        variants = [name for name in names if name.split(",")[0] == peer]
        fastest = max(variants, key=lambda name: float(np.median(timed[name].rates)))
        ratios = ours / np.array(timed[fastest].rates)
        rows.append(repeated(NAME, SPEED, peer, ratios.tolist(), "times", f"against {fastest}"))
    return rows
