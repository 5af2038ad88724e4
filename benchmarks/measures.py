"""What a benchmark measures, and the table that all of them go into."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

PACKAGES = ("bayes-msc", "pymc", "pytensor", "nutpie", "numba", "numpy", "arviz")


@dataclass(frozen=True)
class Measure:
    """One number, its range over repetitions where there is one, and what a reader must know.

    Attributes
    ----------
    benchmark : str
        The module that measured it.
    measure, case : str
        What was measured, and of which engine or size.
    value : float
        NaN where it could not be measured: ``note`` says why.
    low, high : float
        Smallest and largest over the repetitions; NaN where there was one.
    unit, note : str
    """

    benchmark: str
    measure: str
    case: str
    value: float
    low: float = np.nan
    high: float = np.nan
    unit: str = ""
    note: str = ""


COLUMNS = tuple(field.name for field in fields(Measure))
NUMBERS = ("value", "low", "high")


def repeated(
    benchmark: str, measure: str, case: str, values: Sequence[float], unit: str = "", note: str = ""
) -> Measure:
    """Summarise repetitions by their median and range."""
    low, middle, high = np.min(values), np.median(values), np.max(values)
    return Measure(benchmark, measure, case, float(middle), float(low), float(high), unit, note)


def skipped(benchmark: str, measure: str, case: str, why: str) -> Measure:
    """Say why a number is missing."""
    return Measure(benchmark, measure, case, np.nan, note=f"skipped: {why}")


def as_table(measures: Iterable[Measure]) -> pd.DataFrame:
    """One row a measure."""
    table = pd.DataFrame([asdict(measure) for measure in measures], columns=list(COLUMNS))
    return table.astype(dict.fromkeys(NUMBERS, float))


def merged(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Put the rows of the benchmarks that were run in place of their old ones."""
    kept = old[~old["benchmark"].isin(new["benchmark"].unique())]
    return pd.concat([part for part in (kept, new) if len(part)], ignore_index=True)


def read(path: Path) -> pd.DataFrame:
    """Read a table that ``write`` wrote; an empty one where there is none."""
    if not path.is_file():
        return as_table([])
    words = {name: "str" for name in COLUMNS if name not in NUMBERS}
    gaps = {name: [""] for name in NUMBERS}
    return pd.read_csv(path, dtype=words, keep_default_na=False, na_values=gaps)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table with four digits a number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.4g", lineterminator="\n")


def value_of(table: pd.DataFrame, benchmark: str, measure: str, case: str) -> pd.Series | None:
    """Return the row of one measure, or none where it was not measured."""
    chosen = (table[["benchmark", "measure", "case"]] == [benchmark, measure, case]).all(axis=1)
    return table[chosen].iloc[-1] if chosen.any() else None


def machine(peers: Iterable[Measure] = ()) -> list[Measure]:
    """Facts of the machine and versions of what was run."""
    facts = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }
    rows = [Measure("machine", name, "", np.nan, note=value) for name, value in facts.items()]
    return [*rows, *peers]


def _processor() -> str:
    """Name of the processor, or as much of it as the system tells."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "not known"
