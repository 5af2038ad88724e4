"""The patient integral as PyTensor operations, run by the Numba linker."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key

from bayes_msc.counts import (
    drawing,
    families,
    general,
    interval,
    lanes,
    lognormal,
    smooth,
    special,
    vector,
)
from bayes_msc.counts.integral import patient_integral

_MATRICES = ",".join(["(i,j)"] * 6)


class PatientLogp(Op):
    """Log likelihood of each patient, without derivatives.

    The inputs are count, eta, loading, seen, overdispersion and zero_part, each of shape
    (patients, rows).
    """

    __props__ = ("family", "n_nodes")
    gufunc_signature = f"{_MATRICES}->(i)"

    def __init__(self, family: str, n_nodes: int) -> None:
        self.family = family
        self.n_nodes = n_nodes

    def make_node(self, *inputs: Any) -> Apply[Any, Any]:
        """Take six matrices."""
        return Apply(self, _matrices(inputs), [pt.dvector()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """Compute with the same compiled code as the Numba linker."""
        output_storage[0][0] = patient_integral(self.family).logp(*inputs, self.n_nodes)

    def infer_shape(self, *arguments: Any) -> list[Any]:
        """One value a patient."""
        # the shapes come last; older versions of PyTensor pass the graph and the node before them
        return [arguments[-1][0][:1]]


class PatientLogpGradient(Op):
    """Log likelihood of each patient, with its derivatives as further outputs.

    The derivatives are in eta, loading, overdispersion and zero_part; count and seen are data.
    """

    __props__ = ("family", "n_nodes")
    gufunc_signature = f"{_MATRICES}->(i),(i,j),(i,j),(i,j),(i,j)"

    def __init__(self, family: str, n_nodes: int) -> None:
        self.family = family
        self.n_nodes = n_nodes

    def make_node(self, *inputs: Any) -> Apply[Any, Any]:
        """Take six matrices."""
        return Apply(self, _matrices(inputs), [pt.dvector(), *(pt.dmatrix() for _ in range(4))])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """Compute with the same compiled code as the Numba linker."""
        results = patient_integral(self.family).logp_and_gradient(*inputs, self.n_nodes)
        for storage, result in zip(output_storage, results, strict=True):
            storage[0] = result

    def infer_shape(self, *arguments: Any) -> list[Any]:
        """One value a patient; derivatives of the shape of the inputs."""
        shape = arguments[-1][1]
        return [shape[:1], shape, shape, shape, shape]

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """Connect the value with what it is differentiated in; the derivatives go no further."""
        through = [False, True, True, False, True, True]
        return [[linked, False, False, False, False] for linked in through]

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Scale each patient's derivatives."""
        scale = cotangents[0][:, None]
        _, eta, loading, k, p = outputs
        nothing = DisconnectedType()()
        return [nothing, scale * eta, scale * loading, nothing, scale * k, scale * p]


class PatientEffects(Op):
    """Draws of the patient effects from their posterior, with the log likelihoods.

    The inputs are count and seen, (patients, rows); eta, loading, overdispersion and zero_part,
    (draws, patients, rows); uniform numbers, (2, draws, patients).
    """

    __props__ = ("family", "n_nodes")

    def __init__(self, family: str, n_nodes: int) -> None:
        self.family = family
        self.n_nodes = n_nodes

    def make_node(self, *inputs: Any) -> Apply[Any, Any]:
        """Take two matrices and five arrays of three dimensions."""
        return Apply(self, _matrices(inputs), [pt.dmatrix(), pt.dmatrix()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """Compute with the same compiled code as the Numba linker."""
        results = patient_integral(self.family).draw(*inputs, self.n_nodes)
        for storage, result in zip(output_storage, results, strict=True):
            storage[0] = result


def value_only(logp: Any) -> list[tuple[Any, Any]]:
    """Replacements that take the derivatives out of a graph in which nobody asks for them.

    Parameters
    ----------
    logp : TensorVariable

    Returns
    -------
    list of pairs
        For ``pytensor.graph.replace.graph_replace``.
    """
    from pytensor.graph.traversal import ancestors

    return [
        (variable, PatientLogp(node.op.family, node.op.n_nodes)(*node.inputs))
        for variable in ancestors([logp])
        if (node := variable.owner) is not None
        and isinstance(node.op, PatientLogpGradient)
        and variable is node.outputs[0]
    ]


def _matrices(inputs: Any) -> list[Any]:
    return [pt.cast(pt.as_tensor(variable), "float64") for variable in inputs]


@cache
def _source_key() -> int:
    """Hash of the code that is compiled: PyTensor keeps it on disk, and an edit must be noticed."""
    text = "".join(
        inspect.getsource(m)
        for m in (special, vector, lognormal, families, drawing, lanes, interval, smooth, general)
    )
    return zlib.crc32(text.encode())


@register_funcify_default_op_cache_key(PatientLogp)
def _numba_logp(op: PatientLogp, node: Any, **_: Any) -> tuple[Callable[..., Any], int]:
    compiled, n_nodes = patient_integral(op.family).logp, op.n_nodes

    @numba.njit
    def patient_logp(count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any) -> Any:
        return compiled(count, eta, loading, seen, k, p, n_nodes)

    return patient_logp, _source_key()


@register_funcify_default_op_cache_key(PatientLogpGradient)
def _numba_gradient(op: PatientLogpGradient, node: Any, **_: Any) -> tuple[Any, int]:
    compiled, n_nodes = patient_integral(op.family).logp_and_gradient, op.n_nodes

    @numba.njit
    def patient_gradient(count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any) -> Any:
        return compiled(count, eta, loading, seen, k, p, n_nodes)

    return patient_gradient, _source_key()


@register_funcify_default_op_cache_key(PatientEffects)
def _numba_effects(op: PatientEffects, node: Any, **_: Any) -> tuple[Any, int]:
    compiled, n_nodes = patient_integral(op.family).draw, op.n_nodes

    @numba.njit
    def effects(count: Any, seen: Any, eta: Any, loading: Any, k: Any, p: Any, u: Any) -> Any:
        return compiled(count, seen, eta, loading, k, p, u, n_nodes)

    return effects, _source_key()
