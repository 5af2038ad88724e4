"""On which line of a TOML file a key stands."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """Line on which a key, or the innermost table around it that is there, begins.

    Parameters
    ----------
    text : str
        TOML that can be read.
    path : sequence of str or int
        Names of the tables and of the key; places in lists are ignored.

    Returns
    -------
    int or None
        From 1; None if not even the first name is there.

    Notes
    -----
    A file that is cut after a line can be read unless the cut goes through a value. So the key
    begins below the last cut that can be read and does not have it yet.
    """
    keys = [str(part) for part in path if not isinstance(part, int)]
    whole = tomllib.loads(text)
    while keys and not _has(whole, keys):
        keys = keys[:-1]
    if not keys:
        return None
    lines = text.splitlines(keepends=True)
    last = 0
    for end in range(1, len(lines) + 1):
        try:
            part = tomllib.loads("".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        if _has(part, keys):
            return last + 1
        last = end
    return None


def _has(table: Any, keys: Sequence[str]) -> bool:
    for key in keys:
        if not isinstance(table, dict) or key not in table:
            return False
        table = table[key]
    return True
