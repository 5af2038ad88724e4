"""When no data set fits a whole paper: the smallest sets of printed numbers that must give way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from time import perf_counter

import pandas as pd

from bayes_msc.errors import ReconstructionError
from bayes_msc.reconstruct.conflicts import other_readings
from bayes_msc.reconstruct.facts import Fact
from bayes_msc.reconstruct.group import LABEL
from bayes_msc.reconstruct.paper import Paper, Regression
from bayes_msc.reconstruct.summary import WORDS
from bayes_msc.reconstruct.whole import reconstruct

COLUMNS = ("numbers", "printed", "how", "data_sets", "label")
#: One data set is enough to say that something fits; a few more show how many.
LOOKED_AT = 20_000
MOST_SECONDS = 600.0


@dataclass(frozen=True)
class Handle:
    """One printed number of a paper, and how to read it otherwise.

    Attributes
    ----------
    name, printed : str
    relaxed : callable
        Takes a paper; returns each paper in which this number gives way, with words for it.
    """

    name: str
    printed: str
    relaxed: Callable[[Paper], Iterator[tuple[Paper, str]]]


def relaxations(
    paper: Paper, *, most: int = 2, digits: bool = True, yes: bool = False
) -> pd.DataFrame:
    """Find the smallest sets of printed numbers without which, or corrected, something fits.

    Parameters
    ----------
    paper : Paper
        Of which nothing fits.
    most : int
        Largest size of a set; larger ones are not tried once a smaller one is found.
    digits : bool
        Whether to try, for means, SDs, medians and extremes, every number that differs in one
        digit: a misprint is found that way. Without it, numbers are left out altogether (a mean
        never is).
    yes : bool
        Go on even if it would take more than ten minutes.

    Returns
    -------
    DataFrame
        One row a way: ``numbers`` (which), ``printed``, ``how`` (what they were taken to be),
        ``data_sets`` (that then fit, up to 20,000), ``label``. Sets of one size only, the smallest.
        One row with ``numbers`` "none" where the paper fits as it is.

    Raises
    ------
    ReconstructionError
        If it would take long and ``yes`` was not said; the message says how long.
    """
    started = perf_counter()
    if _count(paper):
        return _table([("none", "", "fits as printed", _count(paper), LABEL)])
    seconds = perf_counter() - started
    handles = list(_handles(paper, digits))
    for size in range(1, most + 1):
        chosen = list(combinations(handles, size))
        _ask(len(chosen) * seconds * (9.0**size if digits else 1.0), size, yes)
        rows = [row for handle in chosen for row in _tried(paper, handle)]
        if rows:
            return _table(rows)
    return _table([])


def _ask(seconds: float, size: int, yes: bool) -> None:
    if seconds > MOST_SECONDS and not yes:
        raise ReconstructionError(
            f"to try every set of {size} printed numbers would take about "
            f"{seconds / 3600:.1f} hours: say yes=True to do it, digits=False to leave numbers out "
            "instead of changing digits, or most=1"
        )


def _tried(paper: Paper, handles: tuple[Handle, ...]) -> Iterator[tuple[str, str, str, int, str]]:
    """Give every way in which the numbers together give way so that something fits."""

    def widened(left: tuple[Handle, ...], now: Paper) -> Iterator[tuple[Paper, tuple[str, ...]]]:
        if not left:
            yield now, ()
            return
        for changed, how in left[0].relaxed(now):
            for rest, words in widened(left[1:], changed):
                yield rest, (how, *words)

    for relaxed, how in widened(handles, paper):
        count = _count(relaxed)
        if count:
            names = " and ".join(handle.name for handle in handles)
            printed = " and ".join(handle.printed for handle in handles)
            yield names, printed, " and ".join(how), count, LABEL


def _count(paper: Paper) -> int:
    try:
        found = reconstruct(paper, listed=LOOKED_AT, drawn=200)
    except ReconstructionError as error:
        if "more than" not in str(error):
            return 0
        return LOOKED_AT
    return len(found.datasets)


def _handles(paper: Paper, digits: bool) -> Iterator[Handle]:
    for place, group in enumerate(paper.groups):
        for key, known in group.summary.facts.items():
            if digits:
                relaxed = _other_digits(place, key, known)
            elif key != "mean" and not (key == "sd" and group.summary.signed):
                relaxed = _left_out(place, key)
            else:
                continue
            yield Handle(f"{WORDS[key]} of {group.summary.label}", known.text, relaxed)
    for number, test in enumerate(paper.tests):
        name = f"p of {test.kind} of {test.quantity}s"
        yield Handle(name, test.p.text, _without_test(number))
    for number, regression in enumerate(paper.regressions):
        for (arm, figure), known in regression.means.items():
            if figure != "mean":
                name = f"{figure} of {arm}, regression {number + 1}"
                yield Handle(name, known.text, _without_figure(number, (arm, figure)))
        if regression.p is not None:
            yield Handle(f"p of regression {number + 1}", regression.p.text, _without_p(number))


Relaxed = Callable[[Paper], Iterator[tuple[Paper, str]]]


def _other_digits(place: int, key: str, known: Fact) -> Relaxed:
    def relaxed(paper: Paper) -> Iterator[tuple[Paper, str]]:
        for reading in other_readings(known):
            summary = paper.groups[place].summary.with_fact(key, reading)
            yield paper.with_group(place, summary), reading.text

    return relaxed


def _left_out(place: int, key: str) -> Relaxed:
    def relaxed(paper: Paper) -> Iterator[tuple[Paper, str]]:
        yield paper.with_group(place, paper.groups[place].summary.without(key)), "left out"

    return relaxed


def _without_test(number: int) -> Relaxed:
    def relaxed(paper: Paper) -> Iterator[tuple[Paper, str]]:
        kept = tuple(test for k, test in enumerate(paper.tests) if k != number)
        yield replace(paper, tests=kept), "left out"

    return relaxed


def _changed(paper: Paper, number: int, regression: Regression) -> Paper:
    changed = list(paper.regressions)
    changed[number] = regression
    return replace(paper, regressions=tuple(changed))


def _without_figure(number: int, which: tuple[str, str]) -> Relaxed:
    def relaxed(paper: Paper) -> Iterator[tuple[Paper, str]]:
        old = paper.regressions[number]
        means = {key: known for key, known in old.means.items() if key != which}
        yield _changed(paper, number, replace(old, means=means)), "left out"

    return relaxed


def _without_p(number: int) -> Relaxed:
    def relaxed(paper: Paper) -> Iterator[tuple[Paper, str]]:
        yield _changed(paper, number, replace(paper.regressions[number], p=None)), "left out"

    return relaxed


def _table(rows: list[tuple[str, str, str, int, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))
