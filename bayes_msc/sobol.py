"""Normal variables that cover space evenly: consecutive parts of a scrambled Sobol sequence."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

_BITS = 30


def digital_shift(d: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Draw what makes one run's points differ from another's, shape (d,)."""
    return rng.integers(0, 2**_BITS, size=d, dtype=np.uint64)


@lru_cache(maxsize=16)
def _sobol(d: int, count: int) -> NDArray[np.uint64]:
    """Return the first points of a scrambled Sobol sequence as whole numbers of 30 bits."""
    from scipy.stats import qmc

    points = qmc.Sobol(d, scramble=True, bits=_BITS, rng=20010901).random(count)
    return np.asarray((points * 2**_BITS).astype(np.uint64))


def normals(d: int, first: int, count: int, shift: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return points of a scrambled Sobol sequence under a digital shift, as standard normals.

    A random digital shift makes every point uniform and keeps the evenness of the sequence.

    Parameters
    ----------
    d : int
        Coordinates of a point.
    first, count : int
        The place of the first point, and how many.
    shift : ndarray of int, shape (d,)
        From ``digital_shift``.

    Returns
    -------
    ndarray of float, shape (count, d)
    """
    length = 1 << (first + count - 1).bit_length()
    digits = _sobol(d, length)[first : first + count] ^ shift
    return np.asarray(ndtri((digits.astype(float) + 0.5) / 2**_BITS))
