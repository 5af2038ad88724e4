"""What went into an analysis, and what stands in its folder: unchanged, changed or gone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from bayes_msc.analysis_plan.sections import COPY
from bayes_msc.report import Results, csv_tables, read_figures, render_html
from bayes_msc.report.inputs import BUNDLED, bundled_hash, file_hash
from bayes_msc.report.write import FIT, REPORT, TABLES

UNCHANGED, CHANGED, ABSENT = "unchanged", "CHANGED", "not found"
COLUMNS = ("input", "state", "stored", "found")
#: What the manifest says of the run itself; the rest tells when and how it was started.
_FACTS = ("data", "data_sha256", "model", "model_sha256", "seed", "engine", "settings")
_FACTS_OF_NUMBERS = ("data", "data_sha256", "external", "analysis", "route", "method")
_FACTS_OF_PLANS = ("plan_sha256", "plan_seed", "rule")


def row(name: str, stored: str, found: str | None) -> dict[str, str]:
    """Return one input with its state."""
    state = ABSENT if found is None else UNCHANGED if found == stored else CHANGED
    return {"input": name, "state": state, "stored": stored, "found": found or ""}


def file_rows(results: Results, folder: Path) -> Iterator[dict[str, str]]:
    """Compare the files and bundled data that were read with what is there now."""
    files: Mapping[str, str] = results.manifest.get("files") or {}
    for name, stored in files.items():
        bundled = name.startswith(BUNDLED)
        found = bundled_hash(name.removeprefix(BUNDLED)) if bundled else _found(name, folder)
        yield row(name, stored, found)


def _found(name: str, folder: Path) -> str | None:
    """Hash of a file seen from here, or from where the folder stands."""
    for place in (Path(name), folder.absolute().parent / name):
        if place.is_file():
            return file_hash(place)
    return None


def copy_rows(results: Results, folder: Path) -> Iterator[dict[str, str]]:
    """Compare the copy of the plan with the hash that the report prints."""
    if "plan_sha256" in results.manifest:
        path = folder / COPY
        found = file_hash(path) if path.is_file() else None
        yield row(f"the copy of the plan, {COPY}", str(results.manifest["plan_sha256"]), found)


def fit_rows(results: Results, folder: Path) -> Iterator[dict[str, str]]:
    """Compare the counts and the model in the stored fit with the manifest."""
    from bayes_msc.fit import load_fit, model_of, trial_of

    if results.kind == "fit":
        fit = load_fit(folder / FIT)
        said = results.manifest
        yield row(f"the counts in {FIT}", str(said["data_sha256"]), trial_of(fit).sha256)
        yield row(f"the model in {FIT}", str(said["model_sha256"]), model_of(fit).sha256)


def manifest_rows(results: Results, again: Results) -> Iterator[dict[str, str]]:
    """Compare what the manifest says of the run with the run that was made again."""
    facts = _FACTS if results.kind == "fit" else _FACTS_OF_NUMBERS
    for name in (*facts, *_FACTS_OF_PLANS):
        if name in results.manifest:
            then, now = str(results.manifest[name]), str(again.manifest.get(name))
            if then != now:
                yield row(f"{name.replace('_', ' ')} in the manifest", then, now)


def written_rows(results: Results, folder: Path) -> Iterator[dict[str, str]]:
    """Compare the page and the tables with what ``results.json`` makes of them."""
    pages = {REPORT: render_html(results, read_figures(folder, results))}
    pages |= {f"{TABLES}/{name}.csv": text for name, text in csv_tables(results).items()}
    for name, text in pages.items():
        path = folder / name
        found = file_hash(path) if path.is_file() else None
        yield row(name, hashlib.sha256(text.encode()).hexdigest(), found)


def other_versions(results: Results) -> pd.DataFrame:
    """Return the packages whose version is another one now."""
    from importlib.metadata import PackageNotFoundError, version
    from platform import python_version

    rows = []
    for package, stored in results.manifest["versions"].items():
        try:
            here = python_version() if package == "python" else version(package.replace("_", "-"))
        except PackageNotFoundError:
            here = "absent"
        if here != stored:
            rows.append((package, stored, here))
    return pd.DataFrame(rows, columns=["package", "stored", "here"])


def sensitivity_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Read the tables of the sensitivity as they were written."""
    from bayes_msc.sensitivity import whole

    return {
        path.stem: pd.read_csv(path)
        for path in sorted((folder / whole.TABLES).glob("*.csv"))
        if path.stat().st_size > 2
    }
