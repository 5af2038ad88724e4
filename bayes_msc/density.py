"""The joint log density of a PyMC model as one function of many points at once.

NUTS moves on the unconstrained scale of a model, one point at a time. ``Density`` compiles the same
expression for a matrix of points, so that whoever wants the density at a thousand points pays for
one call. Nothing is written down a second time: the graph is the model's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bayes_msc.counts import value_only
from bayes_msc.errors import ModelError, one_of
from bayes_msc.plain_errors import plain_shape_errors

if TYPE_CHECKING:
    import pymc as pm

#: Which numbers a parameter lives on before it is unconstrained.
Axis = Literal["real", "scale", "positive", "unit"]


class Density:
    """Log density of a ``pm.Model`` on the unconstrained scale, for many points in one call.

    Parameters
    ----------
    graph : pymc.Model
        Its free variables must keep their shapes when the data change.

    Attributes
    ----------
    names : tuple of str
        One name an unconstrained coordinate, in the order of the columns of ``points``; the
        entries of a vector are numbered, as in ``"sqrt_overdispersion[1]"``.
    axes : tuple of {"real", "scale", "positive", "unit"}
        What each coordinate was before it was unconstrained: ``"scale"`` is a positive number that
        ``bayes_msc.normal_tail`` mapped, other ``"positive"`` numbers are on the log scale, numbers
        between two bounds (``"unit"``) on the logit scale.

    Notes
    -----
    The data are those of the model's ``pm.Data``, shared with everything else that was compiled
    from it: ``set_data`` changes them for all, and compiles nothing.
    """

    def __init__(self, graph: pm.Model) -> None:
        from pymc.initial_point import make_initial_point_fn

        self._graph = graph
        # the model's own method takes thirty milliseconds a call, this function a twentieth of one
        self._initial_point = make_initial_point_fn(model=graph)
        start = self._initial_point(None)
        self._shapes = [np.shape(start[variable.name]) for variable in graph.value_vars]
        sizes = [math.prod(shape) for shape in self._shapes]
        stops = np.cumsum(sizes).tolist()
        self._slices = [slice(a, b) for a, b in zip([0, *stops[:-1]], stops, strict=True)]
        free = [graph.values_to_rvs[variable] for variable in graph.value_vars]
        self.names: tuple[str, ...] = tuple(
            name
            for variable, shape in zip(free, self._shapes, strict=True)
            for name in _entries(variable.name, shape)
        )
        self.axes: tuple[Axis, ...] = tuple(
            _axis(variable, graph.rvs_to_transforms[variable])
            for variable, size in zip(free, sizes, strict=True)
            for _ in range(size)
        )

    @property
    def dimension(self) -> int:
        """Number of unconstrained coordinates."""
        return len(self.names)

    def set_data(self, data: Mapping[str, NDArray[np.float64]]) -> None:
        """Put new numbers into the model's ``pm.Data``, of any length and without compiling.

        Raises
        ------
        ModelError
            If the model has no data of that name.
        """
        known = [variable.name for variable in self._graph.data_vars]
        for name, value in data.items():
            one_of(name, known, "data of the model", ModelError)
            self._graph[name].set_value(np.asarray(value))

    def start(self) -> NDArray[np.float64]:
        """Centre of the prior under the present data, shape (dimension,)."""
        point = self._initial_point(None)
        return np.concatenate([np.ravel(point[v.name]) for v in self._graph.value_vars]).astype(
            float
        )

    def logp(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Joint log density at each point.

        Parameters
        ----------
        points : ndarray of float, shape (points, dimension)
            On the unconstrained scale.

        Returns
        -------
        ndarray of float, shape (points,)
            The Jacobian of the transformation is included, as in NUTS.
        """
        return np.asarray(self._logp(self._checked(points)))

    def logp_and_gradient(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Joint log density at each point and its gradient, compiled at the first call.

        Returns
        -------
        ndarray of float, shape (points,)
        ndarray of float, shape (points, dimension)
        """
        value, gradient = self._logp_and_gradient(self._checked(points))
        return np.asarray(value), np.asarray(gradient)

    def constrained(self, points: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Parameters and deterministic quantities on their own scale.

        Parameters
        ----------
        points : ndarray of float, shape (points, dimension)

        Returns
        -------
        dict of str to ndarray of float
            By name, in the order of the model; shape (points, ...).
        """
        values = self._constrained(self._checked(points))
        count = len(points)
        return {
            variable.name: np.broadcast_to(value, (count, *np.shape(value)[1:]))
            if np.ndim(value)
            else np.full(count, value)
            for variable, value in zip(self._reported, values, strict=True)
        }

    def _checked(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        array = np.ascontiguousarray(points, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != self.dimension:
            raise ModelError(
                f"points have the shape {array.shape}: (points, {self.dimension}) is needed, one "
                f"column for each of {', '.join(self.names)}"
            )
        return array

    @property
    def _reported(self) -> list[Any]:
        return [*self._graph.free_RVs, *self._graph.deterministics]

    @cached_property
    def _logp(self) -> Callable[[NDArray[np.float64]], Any]:
        from pytensor.graph.replace import graph_replace

        density = self._graph.logp()
        return self._compile(graph_replace([density], value_only(density)), _one_a_point, "NUMBA")

    @cached_property
    def _logp_and_gradient(self) -> Callable[[NDArray[np.float64]], Any]:
        import pytensor
        import pytensor.tensor as pt

        density = self._graph.logp()
        gradient = pytensor.grad(density, self._graph.value_vars)
        flat = pt.concatenate([pt.flatten(part) for part in gradient])
        return self._compile([density, flat], list, "NUMBA")

    @cached_property
    def _constrained(self) -> Callable[[NDArray[np.float64]], Any]:
        from pytensor.compile.mode import Mode

        outputs = self._graph.replace_rvs_by_values(self._reported)
        # a handful of exponentials: plain NumPy is fast enough and costs no compilation
        return self._compile(outputs, list, Mode(linker="py", optimizer="fast_compile"))

    def _compile(
        self, outputs: list[Any], arrange: Callable[[list[Any]], Any], mode: Any
    ) -> Callable[[NDArray[np.float64]], Any]:
        """Compile expressions of the value variables for a matrix of points."""
        import pytensor
        import pytensor.tensor as pt
        from pytensor.graph.replace import vectorize_graph

        points = pt.dmatrix("points")
        columns = {
            # a scalar takes its column itself: reshaping it would hide the axis from the rewrites
            variable: points[:, part].reshape((points.shape[0], *shape))
            if shape
            else points[:, part.start]
            for variable, part, shape in zip(
                self._graph.value_vars, self._slices, self._shapes, strict=True
            )
        }
        batched = arrange(vectorize_graph(outputs, columns))
        function: Callable[[NDArray[np.float64]], Any] = pytensor.function(
            [points], batched, mode=mode, trust_input=True, on_unused_input="ignore"
        )
        with plain_shape_errors():
            # Numba compiles when it first meets the types of its arguments
            function(self.start()[None])
        return function


def _one_a_point(outputs: list[Any]) -> Any:
    [output] = outputs
    if output.ndim != 1:
        # an axis of length one inside the model would silently multiply with the axis of points
        raise ModelError(f"the vectorised log density has {output.ndim} axes: it must have one")
    return output


def _entries(name: str, shape: tuple[int, ...]) -> list[str]:
    if not shape:
        return [name]
    return [f"{name}[{', '.join(map(str, index))}]" for index in np.ndindex(*shape)]


def _axis(variable: Any, transform: Any) -> Axis:
    name = getattr(transform, "name", None)
    if name == "normaltail":
        return "scale"
    if name == "log":
        return "positive"
    if name == "logodds":
        return "unit"
    if name == "interval":
        bounds = transform.args_fn(*variable.owner.inputs)
        return "unit" if all(_finite(bound) for bound in bounds) else "positive"
    return "real"


def _finite(bound: Any) -> bool:
    """Whether a bound of an interval is there (a number that is data counts as finite)."""
    return bound is not None and bool(np.isfinite(getattr(bound, "data", 0.0)).all())
