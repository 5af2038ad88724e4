"""How the searches are compiled: once a machine, where there is a folder to keep the result."""

from __future__ import annotations

from collections.abc import Callable

from numba import njit


def compiled[**P, T](function: Callable[P, T]) -> Callable[P, T]:
    """Compile a function of numbers and arrays (Numba), and keep the result on disk if allowed."""
    try:
        made = njit(error_model="numpy", cache=True)(function)
    except RuntimeError:  # no folder that may be written to
        made = njit(error_model="numpy")(function)
    return made
