"""Exponential and logarithm for loops over nodes, against the system's."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from numba import njit

from bayes_msc.counts.vector import exponential, log1p, logarithm

ULP = np.finfo(float).eps


@pytest.fixture(scope="module")
def looped():
    """The functions as they are used: inside a compiled loop."""

    @njit(error_model="numpy")
    def run(which, x):
        out = np.empty_like(x)
        for m in range(len(x)):
            if which == 0:
                out[m] = exponential(x[m])
            elif which == 1:
                out[m] = logarithm(x[m])
            else:
                out[m] = log1p(x[m])
        return out

    return run


def test_exponential_agrees_with_the_systems_over_its_whole_range(looped):
    x = np.concatenate([np.linspace(-700, 700, 40_001), np.linspace(-1, 1, 10_001)])
    np.testing.assert_allclose(looped(0, x), np.exp(x), rtol=2 * ULP)


def test_exponential_stops_where_doubles_end(looped):
    found = looped(0, np.array([-1e9, -701.0, 701.0, 1e300]))
    np.testing.assert_array_equal(found[:2], np.repeat(looped(0, np.array([-700.0])), 2))
    np.testing.assert_array_equal(found[2:], np.repeat(looped(0, np.array([700.0])), 2))


def test_logarithm_agrees_with_the_systems_from_tiny_to_huge(looped):
    x = np.concatenate([10.0 ** np.linspace(-299, 300, 40_001), np.linspace(0.5, 2.0, 10_001)])
    np.testing.assert_allclose(looped(1, x), np.log(x), rtol=2 * ULP, atol=0)


def test_log1p_keeps_the_digits_of_small_arguments(looped):
    x = np.concatenate([[0.0], 10.0 ** np.linspace(-300, 250, 20_001)])
    np.testing.assert_allclose(looped(2, x), np.log1p(x), rtol=3 * ULP, atol=0)


@pytest.mark.parametrize("x", [1e-17, 3e-9, 1e-3, math.sqrt(2) - 1, 0.7, 123.678])
def test_functions_agree_with_fifty_digits(looped, x):
    with localcontext(prec=50):
        exact = Decimal(x)
        wanted = [float(exact.exp()), float(exact.ln()), float((1 + exact).ln())]
    found = [looped(which, np.array([x]))[0] for which in range(3)]
    np.testing.assert_allclose(found, wanted, rtol=3 * ULP)
