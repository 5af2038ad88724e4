"""What the benchmarks must show, beside what they showed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.measures import value_of


@dataclass(frozen=True)
class Goal:
    """A limit on one measure.

    Attributes
    ----------
    what : str
    benchmark, measure, case : str
        The row of the table that it speaks of.
    least, most : float
        The value must be this or more, and this or less.
    unit : str
    """

    what: str
    benchmark: str
    measure: str
    case: str
    least: float = -np.inf
    most: float = np.inf
    unit: str = ""

    @property
    def words(self) -> str:
        """The limit in words."""
        limit = f"at least {self.least:g}" if np.isfinite(self.least) else f"at most {self.most:g}"
        return f"{limit} {self.unit}".strip()


SPEED = "effective draws a second, ours over theirs"
NINE = "9 patients, refit by NUTS: worst-parameter effective draws a second"
HARD = "hard simulated trials"
LARGE = "10,000 patients, 2 periods"
WHOLE = "10,000 trials of 9 patients, simulated and analysed"

GOALS = (
    Goal(f"{NINE}, against rstanarm", "speed", SPEED, "rstanarm", least=20, unit="times"),
    Goal(f"{NINE}, against brms update", "speed", SPEED, "brms update", least=10, unit="times"),
    Goal(
        f"{NINE}, against the textbook model under nutpie",
        "speed",
        SPEED,
        "textbook PyMC",
        least=3,
        unit="times",
    ),
    Goal("fast refits a second, same trial", "refits", "fast refits a second", "2 workers", 150),
    Goal(
        "fast refits a second over rstanarm's (about 400)",
        "refits",
        "fast refits over rstanarm's",
        "2 workers",
        least=400,
        unit="times",
    ),
    Goal(
        f"{HARD}: P(RR < 1) within 0.01 and mean of log RR within 0.05 SD",
        "accuracy",
        "share within the bounds",
        "fast",
        least=0.99,
    ),
    Goal(
        f"{HARD}: outside the bounds and not flagged for a refit",
        "accuracy",
        "trials outside the bounds that were trusted",
        "fast",
        most=0,
        unit="trials",
    ),
    Goal(
        f"{HARD}: reported NUTS fits with divergences",
        "accuracy",
        "reported fits with divergences",
        "NUTS, default settings",
        most=0,
        unit="fits",
    ),
    Goal(
        f"{LARGE}: worst-parameter effective draws a second, against the textbook model",
        "growth",
        SPEED,
        "textbook PyMC, 10000 patients",
        least=10,
        unit="times",
    ),
    Goal(
        f"{LARGE}: peak memory of the process",
        "growth",
        "peak memory",
        "bayes_msc, 10000 patients",
        most=1000,
        unit="MB",
    ),
    Goal(
        "cost of a gradient: exponent of growth with patients, from 300 patients up",
        "growth",
        "exponent of growth",
        "patients",
        most=1.1,
    ),
    Goal(
        "cost of a gradient: exponent of growth with rows, from 16 rows up",
        "growth",
        "exponent of growth",
        "rows",
        most=1.1,
    ),
    Goal("NUTS, nothing cached", "compile", "whole process", "nuts, nothing cached", most=15),
    Goal("fast, nothing cached", "compile", "whole process", "fast, nothing cached", most=15),
    Goal("NUTS, from the disk cache", "compile", "whole process", "nuts, cached", most=4),
    Goal("fast, from the disk cache", "compile", "whole process", "fast, cached", most=4),
    Goal(
        "10,000 fast refits in one process: memory gained since the first",
        "memory",
        "memory gained",
        "10000 refits",
        most=200,
        unit="MB",
    ),
    Goal(
        "500 specifications",
        "sensitivity",
        "seconds for 500 refits",
        "specification curve",
        most=60,
    ),
    Goal("one patient left out", "sensitivity", "seconds", "one patient left out", most=10),
    Goal("tipping points of the unseen scans", "sensitivity", "seconds", "tipping points", most=10),
    Goal("prior map of 41 x 41", "sensitivity", "seconds", "prior map", most=30),
    Goal(
        "memory after all of these", "sensitivity", "memory at the end", "this process", most=1000
    ),
    Goal(
        f"{WHOLE}: whole run, start included",
        "simulation",
        "trials a second, whole run",
        "2 workers",
        least=100,
        unit="a second",
    ),
    Goal(
        f"{WHOLE}: against rstanarm on the same trials",
        "simulation",
        "trials a second, ours over theirs",
        "rstanarm",
        least=200,
        unit="times",
    ),
    Goal(
        f"{WHOLE}: against brms update on the same trials",
        "simulation",
        "trials a second, ours over theirs",
        "brms update",
        least=50,
        unit="times",
    ),
    Goal(
        f"{WHOLE}: two workers against one",
        "simulation",
        "two workers over one, whole run",
        "",
        least=1.8,
        unit="times",
    ),
    Goal(
        f"{WHOLE}: time of a late trial against an early one",
        "simulation",
        "time of a late trial over that of an early one",
        "2 workers",
        most=1.1,
        unit="times",
    ),
    Goal(
        f"{WHOLE}: memory that a worker gains after the first 1,000",
        "simulation",
        "memory of a worker gained since 1,000 trials",
        "2 workers",
        most=50,
        unit="MB",
    ),
    Goal(
        "100,000 trials of 9 patients, simulated alone",
        "simulation",
        "seconds to simulate 100,000 trials",
        "9 patients",
        most=2,
    ),
    Goal(
        "a million rows of results, summarised",
        "simulation",
        "seconds to summarise a million rows",
        "1000000 rows",
        most=5,
    ),
    Goal(
        "a million rows of results, summarised: memory",
        "simulation",
        "memory to summarise a million rows",
        "1000000 rows",
        most=300,
        unit="MB",
    ),
)


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Put every goal beside what was measured.

    Returns
    -------
    DataFrame
        Columns ``what``, ``goal``, ``measured``, ``met`` (``"yes"``, ``"no"``, ``"not measured"``).
    """
    rows = []
    for goal in GOALS:
        found = value_of(table, goal.benchmark, goal.measure, goal.case)
        value = np.nan if found is None else float(found["value"])
        if np.isfinite(value):
            met = "yes" if goal.least <= value <= goal.most else "no"
            measured = f"{_number(value)} {goal.unit or found['unit']}".strip() + _range(found)
        else:
            met = "not measured"
            measured = "" if found is None else str(found["note"])
        rows.append((goal.what, goal.words, measured, met))
    return pd.DataFrame(rows, columns=["what", "goal", "measured", "met"])


def _range(row: pd.Series) -> str:
    if not np.isfinite(row["low"]) or row["low"] == row["high"]:
        return ""
    return f" ({_number(row['low'])} to {_number(row['high'])})"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
