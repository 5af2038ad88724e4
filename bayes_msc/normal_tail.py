"""The scale on which the samplers see a standard deviation that may be zero.

On the log scale a standard deviation that the data cannot tell from zero has an exponential tail
to the left, a long corridor in which No-U-Turn trajectories turn slowly, and near whose end they
diverge. Here the distribution function of an exponential variable and the normal quantile function
map it instead: a posterior density that is finite at zero gets a normal tail there, and one with a
normal or exponential tail to the right keeps one that is no heavier than normal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

_ROOT_2 = np.sqrt(2.0)
_LOG_ROOT_2PI = 0.5 * np.log(2.0 * np.pi)
_LOG_2 = np.log(2.0)


def _log_survival(x: Any) -> Any:
    """Log of the probability that a standard normal variable is above x.

    PyMC has this function too, with a square root of two in single precision.
    """
    z = x / _ROOT_2
    above = pt.log(0.5 * pt.erfcx(z)) - pt.sqr(z)
    return pt.switch(x > 1.0, above, pt.log1p(-0.5 * pt.erfc(-z)))


class NormalTail(Transform):  # type: ignore[misc]
    """Map of a positive variable to the real line, ``exp(-value / scale) = 1 - Phi(x)``.

    Its scale is the last parameter of the variable's prior. What PyMC asks of a transform is in
    the methods of its base class.
    """

    name = "normaltail"
    ndim_supp = 0

    def backward(self, value: Any, *inputs: Any) -> Any:
        """From the real line to the positive number."""
        return -inputs[-1] * _log_survival(value)

    def forward(self, value: Any, *inputs: Any) -> Any:
        """From the positive number to the real line."""
        ratio = value / inputs[-1]
        # each branch where its tail probability is small
        near_zero = -_ROOT_2 * pt.erfcinv(-2.0 * pt.expm1(-ratio))
        far = _ROOT_2 * pt.erfcinv(2.0 * pt.exp(-ratio))
        return pt.switch(ratio < _LOG_2, near_zero, far)

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        """Log of the derivative of ``backward``."""
        log_density = -0.5 * pt.sqr(value) - _LOG_ROOT_2PI
        return log_density - _log_survival(value) + pt.log(inputs[-1])
