"""Trials and fits that several test modules look at: each is made once in a session."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from selenium import webdriver

from bayes_msc.datasets import load_trial
from bayes_msc.fit import fit
from bayes_msc.trial import Trial


def make_parallel(counts: list[list[float]], *, exposure: float = 1.0, name: str = "tiny") -> Trial:
    """Build a parallel trial, one inner list a patient; patients on placebo and drug take turns."""
    rows = [
        (f"P{i + 1}", ("placebo", "drug")[i % 2], scan, count, exposure)
        for i, patient in enumerate(counts)
        for scan, count in enumerate(patient, 1)
    ]
    names = ["patient", "treatment", "scan", "count", "exposure"]
    table = pd.DataFrame(rows, columns=names)
    return Trial(table, design="parallel", control="placebo", active="drug", name=name)


@pytest.fixture(scope="session")
def epilepsy() -> Trial:
    return load_trial("epilepsy")


@pytest.fixture(scope="session")
def crossover() -> Trial:
    return load_trial("crossover_example")


@pytest.fixture(scope="session")
def reconstruction() -> Trial:
    return load_trial("llufriu2014_reconstructed")


@pytest.fixture(scope="session")
def parallel() -> Trial:
    """Nine patients, four scans each, one scan unseen, no baseline; the drug helps."""
    rng = np.random.default_rng(12)
    rate = np.exp(0.6 + 0.7 * rng.normal(size=9)) * np.where(np.arange(9) % 2 == 0, 1.0, 0.6)
    counts = rng.negative_binomial(2.0, 2.0 / (2.0 + rate[:, None]), size=(9, 4)).astype(float)
    counts[3, 2] = np.nan
    return make_parallel(counts.tolist(), name="parallel nine")


@pytest.fixture(scope="session")
def crossover_fit(crossover: Trial) -> xr.DataTree:
    return fit(crossover, "crossover-negative-binomial", seed=11)


@pytest.fixture(scope="session")
def reconstruction_fit(reconstruction: Trial) -> xr.DataTree:
    return fit(reconstruction, "crossover-negative-binomial", seed=12)


@pytest.fixture(scope="session")
def epilepsy_fit(epilepsy: Trial) -> xr.DataTree:
    return fit(epilepsy, "count-negative-binomial", seed=13, tune=500)


@pytest.fixture(scope="session")
def parallel_fit(parallel: Trial) -> xr.DataTree:
    return fit(parallel, "count-poisson", seed=14)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Give Chromium; one window, which every test loads anew."""
    from browsing import start

    driver = start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()
