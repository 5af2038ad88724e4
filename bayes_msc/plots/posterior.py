"""Figures of a fit: the effect, and the parameters beside their priors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayes_msc.plots import style
from bayes_msc.plots.evidence import threshold_axis

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayes_msc.prior import Prior

Array = NDArray[np.float64]


def _draws(fit: xr.DataTree, name: str) -> Array:
    return np.asarray(fit["posterior"][name].values, dtype=float).ravel()


def _density(draws: Array) -> tuple[Array, Array]:
    """Smooth draws into a curve, as ArviZ does (its bounds are corrected for)."""
    import arviz as az
    import xarray as xr

    curve = az.kde(xr.DataArray(draws, dims="draw"), dim="draw")
    grid, height = (np.asarray(curve.sel(plot_axis=axis).to_numpy(), float) for axis in "xy")
    return grid[::2], height[::2]


def _with_zero(grid: Array, height: Array) -> tuple[Array, Array]:
    """Add the point of no effect, so that both sides meet there."""
    if not grid[0] < 0 < grid[-1]:
        return grid, height
    place = int(np.searchsorted(grid, 0.0))
    middle = np.interp(0.0, grid, height)
    return np.insert(grid, place, 0.0), np.insert(height, place, middle)


def rate_ratio(fit: xr.DataTree, prior: Prior, label: str = "") -> Figure:
    """Draw posterior and prior of the rate ratio, the benefit side shaded.

    Parameters
    ----------
    fit : DataTree
        The fit; ``log_rate_ratio`` of its posterior is drawn.
    prior : Prior
        The prior of the log rate ratio.
    label : str
        What the counts are if they are not data.
    """
    grid, height = _with_zero(*_density(_draws(fit, "log_rate_ratio")))
    with style.look():
        figure = style.new_figure(3.0, label)
        axes = figure.subplots()
        low, high = float(grid[0]), max(float(grid[-1]), 0.4)
        style.ratio_axis(axes, *style.ratio_limits(low, high, 0.08))
        axes.fill_between(
            grid, height, where=(grid <= 0).tolist(), color=style.BLUE, alpha=0.35, linewidth=0,
            label="fewer events on treatment",
        )  # fmt: skip
        axes.fill_between(
            grid, height, where=(grid >= 0).tolist(), color=style.ORANGE, alpha=0.3, linewidth=0,
            label="more events on treatment",
        )  # fmt: skip
        axes.plot(grid, height, color=style.INK, label="posterior")
        wide = np.linspace(*axes.get_xlim(), 201)
        axes.plot(wide, prior.pdf(wide), color=style.GREY, linestyle=(0, (5, 2)), label="prior")
        axes.set_ylim(bottom=0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        figure.legend(loc="outside lower center", ncols=4)
    return figure


def probability_curve(curve: pd.DataFrame, label: str = "") -> Figure:
    """Draw the probability that the rate ratio lies below each threshold.

    Parameters
    ----------
    curve : DataFrame
        Columns threshold, probability.
    label : str
        What the counts are if they are not data.
    """
    with style.look():
        figure = style.new_figure(3.0, label)
        axes = figure.subplots()
        threshold_axis(axes, curve, "lower")
        axes.plot(np.log(curve["threshold"]), curve["probability"], color=style.BLUE, linewidth=2)
    return figure


def prior_posterior(fit: xr.DataTree, priors: Mapping[str, Prior], label: str = "") -> Figure:
    """Draw each parameter's posterior over its prior, one panel a parameter.

    Parameters
    ----------
    fit : DataTree
        The fit.
    priors : Mapping of str to Prior
        Priors by parameter name; those that the posterior lacks are passed over.
    label : str
        What the counts are if they are not data.
    """
    names = [name for name in priors if name in fit["posterior"]]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with style.look():
        figure = style.new_figure(0.7 + 1.5 * rows, label)
        grid = np.ravel(figure.subplots(rows, columns, squeeze=False))
        for axes, name in zip(grid, names, strict=False):
            _parameter(axes, name, _draws(fit, name), priors[name])
        for axes in grid[len(names) :]:
            axes.remove()
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _parameter(axes: Axes, name: str, draws: Array, prior: Prior) -> None:
    grid, height = _density(draws)
    low, high = prior.interval(0.99)
    left = 0.0 if prior.support == "positive" else min(low, float(grid[0]))
    right = max(high, float(grid[-1]))
    wide = np.linspace(left, right, 201)[prior.support == "positive" :]
    axes.plot(wide, prior.pdf(wide), color=style.ORANGE, linestyle=(0, (5, 2)), label="prior")
    axes.fill_between(grid, height, color=style.BLUE, alpha=0.25, linewidth=0)
    axes.plot(grid, height, color=style.BLUE, label="posterior")
    axes.set_title(name, fontsize=8.5)
    axes.set_xlim(left, right)
    axes.set_ylim(0, 1.08 * float(np.max(height)))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)
