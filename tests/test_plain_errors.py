"""Compiling without Numba's composed messages, and only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from numba.np import arrayobj

from bayes_msc.plain_errors import plain_shape_errors

PLAIN, COMPOSED = "input of different size", r"shape \(2,.*from input of shape \(3,"


def assigning() -> Callable[[Any, Any], None]:
    """A new function each time: Numba keeps what it has compiled."""

    @numba.njit
    def assign(target: Any, source: Any) -> None:
        target[...] = source

    return assign


def test_messages_are_plain_inside_and_composed_outside() -> None:
    # three and four axes: no other code has compiled these messages in this process
    with plain_shape_errors(), pytest.raises(ValueError, match=PLAIN):
        assigning()(np.zeros((2, 1, 1)), np.zeros((3, 1, 1)))
    with pytest.raises(ValueError, match=COMPOSED):
        assigning()(np.zeros((2, 1, 1, 1)), np.zeros((3, 1, 1, 1)))


def test_assignments_are_as_before() -> None:
    target = np.zeros(4)
    with plain_shape_errors():
        assigning()(target, np.arange(4.0))
    assert target.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_another_numba_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(arrayobj, "ol_raise_with_shape_context_generic")
    with plain_shape_errors(), pytest.raises(ValueError, match=COMPOSED):
        assigning()(np.zeros((2, 1, 1, 1, 1)), np.zeros((3, 1, 1, 1, 1)))
