"""Rows added up: the counts and the exposure of what was seen of a patient."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

_SUMMED = ("count", "exposure")
_DROPPED = ("scan", "month")


def sum_rows(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Add the seen counts of a canonical table and the exposure behind them.

    Parameters
    ----------
    table : DataFrame
        A trial's canonical table.
    by : sequence of str
        Columns that tell the sums apart.

    Returns
    -------
    DataFrame
        One row for each combination, in order of appearance, without the columns of single scans.
        A combination of which nothing was seen keeps an empty count and its whole exposure. The
        other columns keep their first known value.
    """
    table = table.drop(columns=[name for name in _DROPPED if name in table])
    seen = table["count"].notna()
    keys = [table[name] for name in by]
    any_seen = seen.groupby(keys, sort=False).transform("any")
    counted = table[seen | ~any_seen]
    groups = counted.groupby(list(by), sort=False)
    first = groups.first().drop(columns=list(_SUMMED))
    count = groups["count"].sum(min_count=1)
    whole = first.assign(count=count, exposure=groups["exposure"].sum()).reset_index()
    return whole[list(table.columns)]
