"""The same hierarchy by NUTS, as a check on the quadrature: the only module here that uses PyMC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bayes_msc.evidence.hierarchy import check_estimates
from bayes_msc.prior import Prior


def sample_hierarchy(
    estimates: Sequence[float],
    ses: Sequence[float],
    mu_prior: Prior,
    tau_prior: Prior,
    seed: int = 0,
    draws: int = 4000,
    chains: int = 4,
) -> Any:
    """Sample the same hierarchy with PyMC (non-centred), as a check on the quadrature.

    Parameters
    ----------
    estimates, ses : sequence of float
        One log rate ratio and standard error a trial.
    mu_prior, tau_prior : Prior
        Any known distribution.
    seed : int
        Same seed, same draws.
    draws, chains : int
        Draws a chain, and chains.

    Returns
    -------
    xarray.DataTree
        With ``mu``, ``tau``, ``theta`` (dimension ``trial``) and ``theta_new`` in ``posterior``.

    Raises
    ------
    PriorError, PublishedError
        If a prior or a number is impossible.
    """
    import pymc as pm

    from bayes_msc.graph import variable_of

    check_estimates(estimates, ses, tau_prior)
    with pm.Model(coords={"trial": np.arange(len(estimates))}):
        mu = variable_of("mu", mu_prior)
        tau = variable_of("tau", tau_prior)
        z = pm.Normal("z", 0, 1, dims="trial")
        z_new = pm.Normal("z_new", 0, 1)
        theta = pm.Deterministic("theta", mu + tau * z, dims="trial")
        pm.Deterministic("theta_new", mu + tau * z_new)
        pm.Normal("estimate", theta, np.asarray(ses), observed=np.asarray(estimates), dims="trial")
        return pm.sample(
            draws,
            tune=1000,
            chains=chains,
            cores=1,
            random_seed=seed,
            nuts_sampler="nutpie",
            nuts={"target_accept": 0.99},
            progressbar=False,
            quiet=True,
        )
