"""A faster first compile: array assignments whose error messages name no shapes.

Numba composes the message of an assignment between arrays of different shapes from both shapes.
The code that does so turns numbers into text, and compiling it takes two to four seconds in every
process, more than all the rest that is not read from disk. PyTensor's own code contains such
assignments, between arrays whose shapes cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def plain_shape_errors() -> Iterator[None]:
    """Compile with Numba's message for machines without text, which Numba itself brings along.

    Outside the block everything is as before. With a Numba that does not have both messages,
    nothing happens: only the time is lost.
    """
    from numba.np import arrayobj

    long: Any = getattr(arrayobj, "ol_raise_with_shape_context_cpu", None)
    plain: Any = getattr(arrayobj, "ol_raise_with_shape_context_generic", None)
    templates = _templates(getattr(arrayobj, "raise_with_shape_context", None), long)
    if plain is None:
        templates = []
    for template in templates:
        template._overload_func = staticmethod(plain)
    try:
        yield
    finally:
        for template in templates:
            template._overload_func = staticmethod(long)


def _templates(function: Any, overload: Any) -> list[Any]:
    """Numba's own records of an overload of a function."""
    from numba.core.typing.templates import builtin_registry

    return [
        template
        for value, kind in builtin_registry.globals
        if value is function
        for template in kind.templates
        if overload is not None and getattr(template, "_overload_func", None) is overload
    ]
