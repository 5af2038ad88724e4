"""The C functions by which nutpie's sampler calls a density, in the fewest words Numba understands.

nutpie writes these functions itself, anew in every process, from general parts (tuples of arrays of
any rank, reshaping, broadcasting), whose types take Numba seconds to infer. Here the arrays are
laid over the sampler's memory by machine instructions, and loops do the rest.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

#: What a function returns, and its signature.
Callback = tuple[Callable[..., int], Any]
#: Results that nutpie knows: another number of parameters, a failure, no number.
_WRONG_SIZE, _FAILED, _NO_GRADIENT, _NO_DENSITY = -1, 1, 3, 4
_EXPAND_FAILED = -2
_WORD = 8
#: What nutpie hands to the functions that are replaced.
_DENSITY_TAKES = ["n_dim", "logp_fn", "user_data", "shared_keys", "shared_data"]
_EXPAND_TAKES = ["n_dim", "n_expanded", "expand_fn", "user_data", "shared_var_keys", "shared_data"]


@contextmanager
def short_callbacks() -> Iterator[None]:
    """Let ``nutpie.compile_pymc_model`` use the functions of this module, in this context.

    With a nutpie that makes them otherwise, nothing happens: only the time is lost.
    """
    from nutpie import compile_pymc

    takes = {"_make_c_logp_func": _DENSITY_TAKES, "_make_c_expand_func": _EXPAND_TAKES}
    if any(_taken(getattr(compile_pymc, name, None)) != known for name, known in takes.items()):
        yield
        return
    with (
        patch.object(compile_pymc, "_make_c_logp_func", density_callback),
        patch.object(compile_pymc, "_make_c_expand_func", expand_callback),
    ):
        yield


def _taken(function: Callable[..., Any] | None) -> list[str]:
    return [] if function is None else list(inspect.signature(function).parameters)


def density_callback(
    n_dim: int, density: Any, data: Any, keys: Sequence[str], arrays: Mapping[str, Any]
) -> Callback:
    """Write the function that gives log density and gradient; what it takes is nutpie's to say."""
    from numba import types

    call = _caller(n_dim, density, data, keys, arrays)
    pointer = types.CPointer(types.double)  # type: ignore[no-untyped-call]
    signature = types.int64(types.uint64, pointer, pointer, pointer, types.voidptr)

    def callback(dim: Any, x: Any, out: Any, value: Any, memory: Any) -> int:
        if dim != n_dim:
            return _WRONG_SIZE
        try:
            density, gradient = call(x, memory)
            value[0] = density[()]
            for i in range(n_dim):
                out[i] = gradient[i]
        except Exception:
            return _FAILED
        for i in range(n_dim):
            if not math.isfinite(out[i]):
                return _NO_GRADIENT
        if not math.isfinite(value[0]):
            return _NO_DENSITY
        return 0

    return callback, signature


def expand_callback(
    n_dim: int,
    n_expanded: int,
    expand: Any,
    data: Any,
    keys: Sequence[str],
    arrays: Mapping[str, Any],
) -> Callback:
    """Write the function that gives everything that is stored of a draw."""
    from numba import types

    call = _caller(n_dim, expand, data, keys, arrays)
    pointer = types.CPointer(types.double)  # type: ignore[no-untyped-call]
    signature = types.int64(types.uint64, types.uint64, pointer, pointer, types.voidptr)

    def callback(dim: Any, expanded: Any, x: Any, out: Any, memory: Any) -> int:
        if dim != n_dim or expanded != n_expanded:
            return _WRONG_SIZE
        try:
            (values,) = call(x, memory)
            for i in range(n_expanded):
                out[i] = values[i]
        except Exception:
            return _EXPAND_FAILED
        return 0

    return callback, signature


def _caller(
    n_dim: int, function: Any, data: Any, keys: Sequence[str], arrays: Mapping[str, Any]
) -> Any:
    """Make a call of a compiled function with arrays that lie at addresses.

    ``data`` is the record of addresses and shapes that nutpie keeps for all functions; ``keys``
    name the arrays that this one takes after the point.
    """
    from numba import types
    from numba.extending import intrinsic

    point = types.Array(types.float64, 1, "C")
    shared = [types.Array(_numba_type(arrays[key]), arrays[key].ndim, "C") for key in keys]
    _, _, arguments, _ = function.get_call_template((point, *shared), {})
    found = function.overloads[tuple(arguments)]
    record = data.dtype["shared"]
    places = [_places(record, key, array.ndim) for key, array in zip(keys, shared, strict=True)]

    @intrinsic
    def call(typing_context: Any, x: Any, memory: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            address, words = values
            word = context.get_value_type(types.uintp)
            words = builder.bitcast(words, word.as_pointer())

            def read(place: int) -> Any:
                index = context.get_constant(types.intp, place)
                return builder.load(builder.gep(words, [index]))

            given = [_array(context, builder, point, address, [_constant(context, n_dim)])]
            for kind, (at, shape) in zip(shared, places, strict=True):
                given.append(_array(context, builder, kind, read(at), [read(p) for p in shape]))
            return _called(context, builder, found, given)

        return found.signature.return_type(x, memory), generate

    return call


def _numba_type(array: Any) -> Any:
    from numba.np.numpy_support import from_dtype

    return from_dtype(array.dtype)


def _places(record: Any, key: str, ndim: int) -> tuple[int, list[int]]:
    """Where a record of words has the address of an array, and its shape."""
    address = record.fields["data"][1] + record["data"].fields[key][1]
    shape = record.fields["shape"][1] + record["shape"].fields[key][1]
    return address // _WORD, [shape // _WORD + i for i in range(ndim)]


def _constant(context: Any, number: int) -> Any:
    from numba import types

    return context.get_constant(types.intp, number)


def _array(context: Any, builder: Any, kind: Any, address: Any, shape: list[Any]) -> Any:
    """Lay an array without an owner over memory; ``address`` is a pointer or a number."""
    from llvmlite import ir
    from numba.np.arrayobj import make_array, populate_array

    array = make_array(kind)(context, builder)  # type: ignore[no-untyped-call]
    element = context.get_data_type(kind.dtype).as_pointer()
    is_pointer = isinstance(address.type, ir.PointerType)
    start = builder.bitcast(address, element) if is_pointer else builder.inttoptr(address, element)
    itemsize = _constant(context, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    strides = [itemsize]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    populate_array(  # type: ignore[no-untyped-call]
        array,
        data=start,
        shape=shape,
        strides=strides[: len(shape)] if shape else [],
        itemsize=itemsize,
        meminfo=None,
    )
    return array._getvalue()


def _called(context: Any, builder: Any, found: Any, given: list[Any]) -> Any:
    """Call by the address: what is linked in by name is optimised a second time."""
    from numba.core import cgutils, types

    described = found.fndesc
    address = found.library.get_pointer_to_function(described.llvm_func_name)
    if isinstance(described.argtypes[0], types.StarArgTuple | types.StarArgUniTuple):
        # PyTensor's function takes whatever there is as one tuple
        given = [context.make_tuple(builder, described.argtypes[0], given)]
    kind = context.call_conv.get_function_type(described.restype, described.argtypes)
    pointer = builder.inttoptr(_constant(context, address), kind.as_pointer())
    status, result = context.call_conv.call_function(
        builder, pointer, described.restype, described.argtypes, given
    )
    failed = cgutils.if_unlikely(builder, status.is_error)  # type: ignore[no-untyped-call]
    with failed:
        context.call_conv.return_status_propagate(builder, status)
    return result
