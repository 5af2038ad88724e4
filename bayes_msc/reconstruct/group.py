"""All that can be known of one group from its printed summary: whether, how many, and which."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import ReconstructionError, one_of
from bayes_msc.notebook import banner, block, heading, paragraph, table
from bayes_msc.reconstruct import dynamic, tilted
from bayes_msc.reconstruct.conflicts import corrections, why_impossible
from bayes_msc.reconstruct.depth_first import multisets, orderings
from bayes_msc.reconstruct.facts import Number
from bayes_msc.reconstruct.limits import Problem, problem_of
from bayes_msc.reconstruct.summary import GroupSummary

LABEL = "reconstruction, not data"
METHODS = ("auto", "depth-first", "dynamic", "tilted")
WEIGHTS = ("labelled", "multiset")
#: So many multisets are listed; beyond, they are counted and drawn.
LISTED = 200_000
STEPS = 100_000_000
CHECK_COLUMNS = ("method", "labelled", "relative_error", "agrees")


@dataclass(frozen=True, eq=False)
class Group:
    """The sets of whole numbers that a printed summary leaves: a reconstruction, not data.

    Attributes
    ----------
    summary : GroupSummary
    possible : bool
        Whether anything fits (GRIM, GRIMMER and all other printed numbers together).
    why : str
        If nothing fits, which printed numbers contradict each other.
    method : str
        ``"depth-first"``, ``"dynamic"``, ``"tilted"``, or ``"none"``.
    multisets : ndarray of int, shape (multisets, n), optional
        All of them, the largest value first, where they are few enough to list.
    n_labelled : int or float
        Number of assignments of values to n named patients; a whole number where it is exact.
    relative_error : float
        Its Monte Carlo standard error as a share of it; 0 where it is exact.
    checks : DataFrame
        The same number by the other methods that could be afforded: ``method``, ``labelled``,
        ``relative_error``, ``agrees`` (within four standard errors).
    """

    summary: GroupSummary
    possible: bool
    why: str
    method: str
    multisets: NDArray[np.int16] | None
    n_labelled: int | float
    relative_error: float
    checks: pd.DataFrame
    label: str = LABEL
    _problem: Problem | None = field(default=None, repr=False)
    _table: dynamic.Table | None = field(default=None, repr=False)

    def _repr_html_(self) -> str:
        printed = ", ".join(str(fact) for fact in self.summary.facts.values())
        listed = "" if self.multisets is None else f"{len(self.multisets)} sets of values, "
        said = self.why or (
            f"{listed}{self.n_labelled:.6g} assignments to named patients fit (by {self.method})."
        )
        title = f"{self.summary.n} whole numbers behind {printed}"
        parts = [banner(self.label), heading(title), paragraph(said)]
        return block(*parts, table(self.checks) if len(self.checks) else "")

    @property
    def n_multisets(self) -> int | None:
        """Number of multisets, where they could be listed."""
        return None if self.multisets is None else len(self.multisets)

    def corrections(self) -> pd.DataFrame:
        """List the changes of one single digit after which something fits."""
        return corrections(self.summary)

    def listed(self) -> pd.DataFrame:
        """Return the multisets as a table, with their number of orders.

        Raises
        ------
        ReconstructionError
            If nothing fits, or there are too many to list.
        """
        self._need_something()
        if self.multisets is None:
            raise ReconstructionError(
                f"about {self.n_labelled:.2g} assignments fit: too many to list, draw some with "
                "sample(size)"
            )
        columns = [f"value_{i + 1}" for i in range(self.summary.n)]
        table = pd.DataFrame(self.multisets.astype(np.int64), columns=columns)
        return table.assign(orders=orderings(self.multisets), label=self.label)

    def sample(
        self,
        size: int,
        *,
        weights: str = "labelled",
        probability: Callable[[NDArray[np.int64]], NDArray[np.float64]] | None = None,
        seed: int = 1,
    ) -> NDArray[np.int64]:
        """Draw sets of n values.

        Parameters
        ----------
        size : int
        weights : {"labelled", "multiset"}
            Every assignment to named patients equally likely, or every multiset.
        probability : callable, optional
            Gives each whole number a weight, such as its probability under a model: the draws are
            then draws from independent such values, given the printed summary. With ``weights =
            "labelled"`` only.
        seed : int

        Returns
        -------
        ndarray of int, shape (size, n)
            Largest value first. Draws are exact with the methods depth-first and dynamic; with
            tilted they are drawn again by their importance weights.

        Raises
        ------
        ReconstructionError
            If nothing fits.
        """
        self._need_something()
        one_of(weights, WEIGHTS, "weights", ReconstructionError)
        assert self._problem is not None
        rng = np.random.default_rng(seed)
        shift = self._problem.shift
        if self.multisets is not None:
            rows = self.multisets.astype(np.int64)
            log_weight = np.zeros(len(rows))
            if weights == "labelled":
                log_weight = np.array([math.log(count) for count in orderings(self.multisets)])
        else:
            drawn, log_weight = self._drawn(size, rng)
            rows = -np.sort(-drawn, axis=1) + shift
            if weights == "multiset":
                orders = orderings(rows.astype(np.int16))
                log_weight = log_weight - np.array([math.log(count) for count in orders])
        if probability is not None:
            values = np.arange(rows.min(), rows.max() + 1)
            with np.errstate(divide="ignore"):
                log_p = np.log(probability(values))
            log_weight = log_weight + log_p[rows - rows.min()].sum(axis=1)
        chance = np.exp(log_weight - log_weight.max())
        return np.asarray(rows[rng.choice(len(rows), size=size, p=chance / chance.sum())])

    def _drawn(
        self, size: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Draw shifted rows with log weights: none of the multisets is listed."""
        assert self._problem is not None
        if self._table is not None:
            kept: list[NDArray[np.int64]] = []
            for _ in range(200):
                rows = dynamic.draw(self._table, 2 * size, rng)
                kept.append(rows[tilted.keeps(rows, self._problem)])
                if sum(map(len, kept)) >= size:
                    break
            together = np.concatenate(kept)
            if len(together) >= size:
                return together, np.zeros(len(together))
        weighted = tilted.draw(self._problem, rng, wanted=float(max(size, 1000)))
        return weighted.rows, weighted.log_weight

    def _need_something(self) -> None:
        if not self.possible:
            raise ReconstructionError(f"nothing can be reconstructed. {self.why}")

    def words(self) -> str:
        """Say what was found in a sentence or two."""
        what = self.summary.words()
        if not self.possible:
            return f"{what}: impossible. {self.why}."
        whole = isinstance(self.n_labelled, int)
        count = f"{self.n_labelled:,}" if whole else f"{self.n_labelled:.3g}"
        if self.multisets is None:
            return f"{what}: about {count} assignments to named patients fit ({self.label})."
        sets = "1 multiset fits" if len(self.multisets) == 1 else f"{len(self.multisets):,} fit"
        return f"{what}: {sets}, {count} assignments to named patients ({self.label})."


def reconstruct_group(
    n: int,
    mean: Number,
    sd: Number | None = None,
    *,
    median: Number | None = None,
    minimum: Number | None = None,
    maximum: Number | None = None,
    spread: Number | None = None,
    zeros: Number | None = None,
    decimals: int | None = None,
    signed: bool = False,
    all_equal: bool = False,
    label: str = "",
    method: str = "auto",
    seed: int = 1,
) -> Group:
    """Give back the sets of whole numbers that have a printed summary: a reconstruction, not data.

    Parameters
    ----------
    n : int
        Number of patients, up to 40.
    mean, sd : str or number
        As printed; the SD has divisor n - 1. As text (``"4.50"``), because zeros at the end
        matter. ``?`` stands for a digit that was lost (``"?0.5"``).
    median, minimum, maximum, spread, zeros : str or number, optional
        As printed; ``spread`` is a range printed as one number (maximum less minimum), ``zeros``
        the number of patients with none.
    decimals : int, optional
        Decimals of the mean (and of an SD that is given as a number) where the digits do not show
        them.
    signed : bool
        True for changes, which may be below 0.
    all_equal : bool
        Whether an SD of 0 is meant.
    label : str
        Whose counts they are, for messages.
    method : {"auto", "depth-first", "dynamic", "tilted"}
        ``"auto"``: list all by depth-first search where they are up to 200,000; else count and draw
        by dynamic programming where its tables fit into memory; else tilted importance sampling.
        The result is checked against another method.
    seed : int
        For draws.

    Returns
    -------
    Group

    Raises
    ------
    ReconstructionError
        If decimals cannot be told, two numbers contradict each other at sight, the SD is 0, or the
        method cannot do it.

    Notes
    -----
    Rounding is taken as closed at both ends, and computed in exact fractions. Brown & Heathers
    (Social Psychological and Personality Science 2017;8:363) for means, Anaya (PeerJ Preprints
    2016;4:e2400v1) for SDs.

    Examples
    --------
    >>> group = reconstruct_group(9, "4.67", "8.32", median="0")
    >>> group.n_multisets, group.n_labelled
    (3, 6552)
    """
    one_of(method, METHODS, "method", ReconstructionError)
    summary = GroupSummary.of(
        n, mean, sd, median=median, minimum=minimum, maximum=maximum, spread=spread, zeros=zeros,
        decimals=decimals, signed=signed, all_equal=all_equal, label=label,
    )  # fmt: skip
    return group_of(summary, method=method, seed=seed)


def group_of(summary: GroupSummary, *, method: str = "auto", seed: int = 1) -> Group:
    """Do the same for a summary that was read already."""
    problem = problem_of(summary)
    if problem is None:
        return _impossible(summary)
    rng = np.random.default_rng(seed)
    listed, steps = (LISTED, STEPS) if method in ("auto", "depth-first") else (0, 0)
    rows, complete = multisets(
        problem.n, problem.bands, problem.limits, most=listed, most_steps=steps
    )
    if complete and not len(rows):
        return _impossible(summary)
    if complete:
        labelled = sum(orderings(rows))
        values = np.asarray(rows + problem.shift, np.int16)
        checks = _checks(problem, labelled, 0.0, rng, skip="depth-first")
        return Group(
            summary, True, "", "depth-first", values, labelled, 0.0, checks, LABEL, problem
        )
    if method == "depth-first":
        raise ReconstructionError(
            f"{summary.words()}: more than {LISTED:,} multisets fit; use method='auto'"
        )
    return _uncounted(summary, problem, method, rng)


def _uncounted(
    summary: GroupSummary, problem: Problem, method: str, rng: np.random.Generator
) -> Group:
    """Count and draw where there are too many to list."""
    if method == "dynamic" and not dynamic.affordable(problem):
        cells, _ = dynamic.cost(problem)
        raise ReconstructionError(
            f"dynamic programming would need {8e-9 * cells:.1f} GB: use method='tilted'"
        )
    if method != "tilted" and dynamic.affordable(problem):
        table = dynamic.tabulate(problem)
        count, error = _by_table(problem, table, rng)
        if count > 0:
            checks = _checks(problem, count, error, rng, skip="dynamic")
            return Group(
                summary, True, "", "dynamic", None, count, error, checks, LABEL, problem, table
            )
    weighted = tilted.draw(problem, rng)
    if not len(weighted.rows):
        return _impossible(summary)
    count, error = math.exp(weighted.log_count), weighted.relative_error
    checks = _checks(problem, count, error, rng, skip="dynamic")
    return Group(summary, True, "", "tilted", None, count, error, checks, LABEL, problem)


def _by_table(
    problem: Problem, table: dynamic.Table, rng: np.random.Generator
) -> tuple[float, float]:
    """Count by dynamic programming; extremes, median and zeros by the share of draws kept."""
    if table.total <= 0:
        return 0.0, 0.0
    rows = dynamic.draw(table, 20_000, rng)
    share = float(tilted.keeps(rows, problem).mean())
    # a share of 1 in all draws is no proof, but the limits of single values are mostly idle then
    error = math.sqrt((1 - share) / share / len(rows)) if share else 0.0
    return table.total * share, error


def _checks(
    problem: Problem, count: float, error: float, rng: np.random.Generator, *, skip: str
) -> pd.DataFrame:
    """Count by other methods."""
    rows = []
    if skip != "dynamic" and dynamic.affordable(problem) and dynamic.cost(problem)[1] < 2e8:
        rows.append(("dynamic", *_by_table(problem, dynamic.tabulate(problem), rng)))
    if problem.n >= 4:
        weighted = tilted.draw(problem, rng, wanted=500.0)
        rows.append(("tilted", math.exp(weighted.log_count), weighted.relative_error))
    table = pd.DataFrame(rows, columns=list(CHECK_COLUMNS[:3]))
    spread = np.sqrt(table["relative_error"] ** 2 + error**2)
    off = (table["labelled"] / count - 1).abs()
    return table.assign(agrees=off <= 4 * spread + 1e-9)


def _impossible(summary: GroupSummary) -> Group:
    why = why_impossible(summary)
    empty = pd.DataFrame(columns=list(CHECK_COLUMNS))
    return Group(summary, False, why, "none", None, 0, 0.0, empty)
