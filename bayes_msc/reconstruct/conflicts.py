"""When nothing fits: which printed numbers contradict each other, and which digit may be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from bayes_msc.reconstruct.depth_first import multisets
from bayes_msc.reconstruct.facts import Fact, one_digit_wrong
from bayes_msc.reconstruct.limits import problem_of
from bayes_msc.reconstruct.summary import WORDS, GroupSummary
from bayes_msc.reconstruct.tilted import draw

CORRECTION_COLUMNS = ("number", "printed", "would_fit")
_STEPS = 20_000_000


def feasible(summary: GroupSummary) -> bool:
    """Whether any multiset of whole numbers has this printed summary."""
    problem = problem_of(summary)
    if problem is None:
        return False
    rows, complete = multisets(problem.n, problem.bands, problem.limits, most=1, most_steps=_STEPS)
    if len(rows):
        return True
    if complete:
        return False
    return bool(len(draw(problem, np.random.default_rng(1), wanted=1.0).rows))


def conflicts(summary: GroupSummary) -> list[tuple[Fact, ...]]:
    """Return the smallest sets of printed numbers that no whole numbers can have together.

    Returns
    -------
    list of tuple of Fact
        All minimal sets; n and the kind of number (counts, or changes) belong to each of them.
        Empty where something fits.
    """
    if feasible(summary):
        return []
    others = [key for key in summary.facts if key != "mean"]
    bad: list[frozenset[str]] = []
    for size in range(len(others) + 1):
        for chosen in combinations(others, size):
            if any(known <= set(chosen) for known in bad):
                continue
            part = summary.without(*(key for key in others if key not in chosen))
            if _bounded(part) and not feasible(part):
                bad.append(frozenset(chosen))
    return [
        tuple(fact for key, fact in summary.facts.items() if key == "mean" or key in chosen)
        for chosen in bad
    ]


def corrections(summary: GroupSummary) -> pd.DataFrame:
    """List the changes of one single digit after which something fits.

    Returns
    -------
    DataFrame
        One row a printed number: ``number``, ``printed``, ``would_fit`` (the readings that fit
        the rest). Without rows where no single digit helps.
    """
    rows = []
    for key, known in summary.facts.items():
        readings = [
            reading
            for reading in other_readings(known)
            if feasible(summary.with_fact(key, reading))
        ]
        if readings:
            fit = ", ".join(reading.text for reading in readings)
            rows.append((WORDS[key], known.text, fit))
    return pd.DataFrame(rows, columns=list(CORRECTION_COLUMNS))


def other_readings(known: Fact) -> Iterator[Fact]:
    """Give every number that differs from the printed one in one digit."""
    for low, high in one_digit_wrong(known).intervals:
        if (low, high) not in known.intervals:
            middle = float((low + high) / 2)
            text = f"{middle:.{known.decimals}f}"
            yield Fact(known.name, text, ((low, high),), known.decimals)


def _bounded(summary: GroupSummary) -> bool:
    """Changes without an SD have no bounds, so that nothing can contradict them."""
    return "sd" in summary.facts or not summary.signed


def why_impossible(summary: GroupSummary) -> str:
    """Say in a sentence which printed numbers contradict each other."""
    found = conflicts(summary)
    whose = f"{summary.label}: " if summary.label else ""
    if not found:
        return f"{whose}nothing contradicts"
    pairs = []
    for facts in found:
        listed = [str(fact) for fact in facts]
        if len(listed) == 1:
            pairs.append(f"no {summary.n} whole numbers have a {listed[0]}")
            continue
        kind = "changes" if summary.signed else "counts"
        joined = ", ".join(listed[:-1]) + " and " + listed[-1]
        pairs.append(f"{joined} contradict each other: no {summary.n} {kind} have them together")
    return whose + "; ".join(pairs)
