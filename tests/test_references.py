"""Others' published posteriors of the epilepsy trial, with their own priors.

None of the package's cards states exactly these models (other covariates, other priors), so they
are written here around the package's own likelihood: what is compared is the integrated patient
effect, its gradient and the sampler. The cards' graphs are compared with theirs in test_graph.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import nutpie
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr

from bayes_msc.counts import marginal_logp

REFERENCE = Path(__file__).parent / "reference"


def published(dataset: str) -> pd.DataFrame:
    table = pd.read_csv(REFERENCE / "published_values.csv")
    return table[table["dataset"] == dataset].set_index("parameter")


def patient_likelihood(eta: Any, counts: np.ndarray, patient_sd: Any) -> None:
    """Add the package's Poisson likelihood, the patient effect integrated out, to the model."""
    seen = pt.constant(np.ones_like(counts))
    none = 0.0 * seen
    rows = (pt.constant(counts), eta, patient_sd * seen, seen, none, none)
    pm.Potential("count", marginal_logp("poisson", *rows))


def sample(model: pm.Model, draws: int, tune: int, seed: int) -> xr.Dataset:
    compiled = nutpie.compile_pymc_model(model)
    fit = nutpie.sample(
        compiled, draws=draws, tune=tune, chains=2, cores=2, seed=seed, progress_bar=False
    )
    assert int(fit["sample_stats"]["diverging"].sum()) == 0
    return fit["posterior"].dataset


def compare(
    draws: Mapping[str, xr.DataArray], theirs: pd.DataFrame, rounding: float, sds: float
) -> None:
    """Hold posterior means within a share of the published SD, rounding and our own error added."""
    for name, values in draws.items():
        mean, sd = theirs.loc[name, "mean"], theirs.loc[name, "sd"]
        array = values.to_numpy()
        allowed = sds * sd + rounding + 3 * float(az.mcse(array, method="mean"))
        assert array.mean() == pytest.approx(mean, abs=allowed), name
        assert array.std() == pytest.approx(sd, rel=0.12, abs=rounding), name


def test_brms_epilepsy() -> None:
    """Published means are rounded to two decimals and rest on some thousand draws of their own."""
    data = pd.read_csv(REFERENCE / "brms_epilepsy.csv")
    data = data.sort_values(["patient", "visit"])
    treated = data["Trt"].to_numpy(float)
    columns = {
        "zAge": data["zAge"].to_numpy(),
        "zBase": data["zBase"].to_numpy(),
        "Trt1": treated,
        "zBase:Trt1": data["zBase"].to_numpy() * treated,
    }
    design = np.stack(list(columns.values()), axis=-1)
    centre = design.mean(axis=0)
    counts = data["count"].to_numpy(float).reshape(59, 4)
    with pm.Model() as model:
        # brms puts its prior on the intercept at the mean of the covariates
        level = pm.StudentT("level", nu=3, mu=1.4, sigma=2.5)
        slopes = pm.Flat("slopes", shape=4)
        patient_sd = pm.HalfStudentT("patient_sd", nu=3, sigma=2.5)
        eta = level + pt.constant((design - centre).reshape(59, 4, 4)) @ slopes
        patient_likelihood(eta, counts, patient_sd)
    posterior = sample(model, draws=1000, tune=500, seed=1)
    slopes = posterior["slopes"]
    draws = {name: slopes.isel(slopes_dim_0=i) for i, name in enumerate(columns)}
    draws["Intercept"] = posterior["level"] - (slopes * centre).sum("slopes_dim_0")
    draws["sd(patient)"] = posterior["patient_sd"]
    compare(draws, published("brms_epilepsy"), rounding=0.005, sds=0.1)


@pytest.mark.slow
def test_openbugs_epil() -> None:
    """Breslow and Clayton's model III: the row effects sampled, the patient effect integrated.

    OpenBUGS mixes slowly in the intercept and in the coefficient of age, which are nearly
    collinear: its means carry a Monte Carlo error of some hundredths of a posterior SD.
    """
    data = json.loads((REFERENCE / "bugs_epil.data.json").read_text(encoding="utf-8"))
    counts = np.array(data["y"], dtype=float)
    per_patient = {
        "alpha.Base": "log_Base4",
        "alpha.Trt": "Trt",
        "alpha.BT": "BT",
        "alpha.Age": "log_Age",
    }
    columns = {name: np.array(data[key], dtype=float) for name, key in per_patient.items()}
    centred = np.stack([c - c.mean() for c in columns.values()], axis=-1)
    visit4 = np.array(data["V4"], dtype=float)
    with pm.Model() as model:
        level = pm.Normal("level", 0.0, 100.0)
        slopes = pm.Normal("slopes", 0.0, 100.0, shape=4)
        last_visit = pm.Normal("last_visit", 0.0, 100.0)
        patient_sd = pm.Gamma("patient_precision", 0.001, 0.001) ** -0.5
        row_sd = pm.Gamma("row_precision", 0.001, 0.001) ** -0.5
        z = pm.Normal("z", 0.0, 1.0, shape=(59, 4))
        eta = level + (pt.constant(centred) @ slopes)[:, None] + row_sd * z
        eta = eta + last_visit * pt.constant(visit4 - visit4.mean())
        patient_likelihood(eta, counts, patient_sd)
    posterior = sample(model, draws=1500, tune=1000, seed=2)
    slopes = posterior["slopes"]
    draws = {name: slopes.isel(slopes_dim_0=i) for i, name in enumerate(columns)}
    draws["alpha.V4"] = posterior["last_visit"]
    means = np.array([c.mean() for c in columns.values()])
    draws["alpha0"] = (
        posterior["level"]
        - (slopes * means).sum("slopes_dim_0")
        - posterior["last_visit"] * visit4.mean()
    )
    draws["sigma.b1"] = posterior["patient_precision"] ** -0.5
    draws["sigma.b"] = posterior["row_precision"] ** -0.5
    compare(draws, published("bugs_epil"), rounding=0.0, sds=0.1)
