"""Exponentials and logarithms as plain arithmetic, for loops over quadrature nodes (Numba).

The compiler turns a loop of sums and products into vector instructions, but a call of the system's
``exp`` or ``log`` stops it, and Numba brings no vector library of its own. Both functions are right
to two units in the last place (``tests/test_vector.py``), and each takes a third of the time.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

#: Inlined where it is used, else the loop around it could not be turned into vector instructions.
_inlined = njit(error_model="numpy", fastmath=False, inline="always")

# log 2 in two parts: the first has so few digits that its multiples are exact
_LOG2_HIGH = 6.93147180369123816490e-01
_LOG2_LOW = 1.90821492927058770002e-10
_LOG2_E = 1.4426950408889634
#: Added to a number, it leaves the nearest whole number in the last bits.
_ROUNDING = 1.5 * 2.0**52
_ROOT_HALF_BITS = struct.unpack("<q", struct.pack("<d", math.sqrt(0.5)))[0]
_F = tuple(1.0 / math.factorial(i) for i in range(14))
_F2, _F3, _F4, _F5, _F6, _F7, _F8, _F9, _F10, _F11, _F12, _F13 = _F[2:]
#: Arguments of ``exponential`` are cut off here.
_LOWEST, _HIGHEST = -700.0, 700.0


def _read_bits(context: Any, number: Any) -> Any:
    def code(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), code


def _read_double(context: Any, bits: Any) -> Any:
    def code(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), code


#: The bits of a double as a whole number, and back: nothing is converted.
_bits_of: Any = intrinsic(_read_bits)
_from_bits: Any = intrinsic(_read_double)


@_inlined
def exponential(x: float) -> float:
    """Return exp(x): a power of two times the series of a number below log(2) / 2."""
    x = max(_LOWEST, min(_HIGHEST, x))
    shifted = x * _LOG2_E + _ROUNDING
    whole = shifted - _ROUNDING
    r = (x - whole * _LOG2_HIGH) - whole * _LOG2_LOW
    r2 = r * r
    r4 = r2 * r2
    low = (_F2 + _F3 * r) + (_F4 + _F5 * r) * r2
    middle = (_F6 + _F7 * r) + (_F8 + _F9 * r) * r2
    high = (_F10 + _F11 * r) + (_F12 + _F13 * r) * r2
    series = 1.0 + (r + r2 * (low + r4 * (middle + r4 * high)))
    result: float = _from_bits(_bits_of(series) + (_bits_of(shifted) << 52))
    return result


@_inlined
def logarithm(x: float) -> float:
    """Return log(x) for finite x of at least 1e-300: a power of two, and the series of atanh."""
    bits = _bits_of(x)
    power = (bits - _ROOT_HALF_BITS) >> 52
    rest = _from_bits(bits - (power << 52))
    s = (rest - 1.0) / (rest + 1.0)
    q = s * s
    q2 = q * q
    tail = (2 / 15 + q * (2 / 17)) + q2 * (2 / 19 + q * (2 / 21))
    series = (2 / 3 + q * (2 / 5)) + q2 * (
        (2 / 7 + q * (2 / 9)) + q2 * (2 / 11 + q * (2 / 13) + q2 * tail)
    )
    result: float = power * _LOG2_HIGH + (2.0 * s + (s * q * series + power * _LOG2_LOW))
    return result


@_inlined
def log1p(x: float) -> float:
    """Return log(1 + x) for x >= 0 with the digits that the sum has lost."""
    whole = 1.0 + x
    return logarithm(whole) + (x - (whole - 1.0)) / whole
