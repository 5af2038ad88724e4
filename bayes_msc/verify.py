"""Run the analysis of a folder of results again, and say which of its statements agree."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayes_msc.errors import OutputError
from bayes_msc.report import Results, read_results
from bayes_msc.report.inputs import BUNDLED, bundled_hash, file_hash
from bayes_msc.report.write import FIT

if TYPE_CHECKING:
    import xarray as xr

    from bayes_msc.reanalysis import Reanalysis

IDENTICAL, AGREES, DIFFERS = "identical", "agrees", "differs"
UNCHANGED, CHANGED, ABSENT = "unchanged", "CHANGED", "not found"
MEASURES = ("median", "lower", "upper", "probability")
KEYS = ("stance", "statement", "threshold", "label")
#: Standard errors by which two runs may differ, and the error of a 95 % limit in medians' errors.
ERRORS, LIMIT = 4.0, 2.2
#: Numbers that are exact may differ in their last digits between versions of a library.
EXACT = 1e-6


@dataclass(frozen=True, eq=False)
class Verification:
    """What came of running an analysis again.

    Parameters
    ----------
    inputs : DataFrame
        ``input, state, stored, found``: each file, bundled data set and stored part with its
        SHA-256; the state is ``unchanged``, ``CHANGED`` or ``not found``.
    statements : DataFrame
        ``statement, measure, stored, again, difference, allowed, verdict``: one row a number; the
        verdict is ``identical`` (bit for bit), ``agrees`` (within Monte Carlo error) or
        ``differs``.
    versions : DataFrame
        ``package, stored, here``: packages whose version is another one now.
    """

    inputs: pd.DataFrame
    statements: pd.DataFrame
    versions: pd.DataFrame

    @property
    def ok(self) -> bool:
        """Whether every input that can be found is unchanged and every statement agrees."""
        changed = (self.inputs["state"] == CHANGED).any()
        return not changed and not (self.statements["verdict"] == DIFFERS).any()

    def __str__(self) -> str:
        """Return the outcome in a few lines."""
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        return "".join(f"<p>{html.escape(line)}</p>" for line in _lines(self))


def _lines(found: Verification) -> Iterator[str]:
    for row in _rows(found.inputs[found.inputs["state"] != UNCHANGED]):
        lost = "the copy in the results was used" if row["state"] == ABSENT else "see its SHA-256"
        yield f"{row['state']}: {row['input']} ({lost})"
    others = [f"{r['package']} {r['stored']} then, {r['here']} now" for r in _rows(found.versions)]
    yield f"Versions: {'; '.join(others) if others else 'the same as then'}."
    verdicts = found.statements["verdict"].value_counts()
    counts = {name: int(verdicts.get(name, 0)) for name in (IDENTICAL, AGREES, DIFFERS)}
    yield (
        f"Of {len(found.statements)} numbers: {counts[IDENTICAL]} identical bit for bit, "
        f"{counts[AGREES]} agree within the error of the computation, {counts[DIFFERS]} differ."
    )
    for row in _rows(found.statements[found.statements["verdict"] == DIFFERS]):
        yield (
            f"DIFFERS: {row['statement']}, {row['measure']}: {row['stored']:.6g} then, "
            f"{row['again']:.6g} now"
        )


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def verify(folder: str | Path, *, cores: int | None = None) -> Verification:
    """Run the analysis of a folder of results again, from what is stored in it.

    Parameters
    ----------
    folder : str or Path
        What ``bayes-msc fit`` or ``bayes-msc reanalyze`` wrote with ``--out``.
    cores : int, optional
        Chains that run at once.

    Returns
    -------
    Verification
        Which inputs have changed, and which statements agree: bit for bit, or within Monte Carlo
        error (four standard errors of both runs; where numbers are exact, six digits).

    Raises
    ------
    OutputError
        If the folder lacks what it takes to run the analysis again.
    """
    folder = Path(folder)
    results = read_results(folder)
    if results.kind == "fit":
        from bayes_msc.fit import load_fit

        fit = load_fit(folder / FIT)
        inputs = [*_file_rows(results, folder), *_fit_rows(results, fit)]
        again = _fit_again(fit, results, cores)
    else:
        result = _reanalyse_again(results)
        inputs = [*_file_rows(results, folder), *_reanalysis_rows(results, result)]
        again = {"statements": result.statements, "external": _named(result.external)}
    stored = {"statements": results.tables["statements"]}
    if "external" in again and "external" in results.tables:
        stored["external"] = _named(results.tables["external"])
    numbers = [row for name in stored for row in _compared(stored[name], again[name])]
    return Verification(
        pd.DataFrame(inputs, columns=["input", "state", "stored", "found"]),
        pd.DataFrame(
            numbers,
            columns=[
                "statement",
                "measure",
                "stored",
                "again",
                "difference",
                "allowed",
                "verdict",
            ],
        ),
        _other_versions(results),
    )


# inputs


def _row(name: str, stored: str, found: str | None) -> dict[str, str]:
    state = ABSENT if found is None else UNCHANGED if found == stored else CHANGED
    return {"input": name, "state": state, "stored": stored, "found": found or ""}


def _file_rows(results: Results, folder: Path) -> Iterator[dict[str, str]]:
    files: Mapping[str, str] = results.manifest.get("files") or {}
    for name, stored in files.items():
        bundled = name.startswith(BUNDLED)
        found = bundled_hash(name.removeprefix(BUNDLED)) if bundled else _found(name, folder)
        yield _row(name, stored, found)


def _found(name: str, folder: Path) -> str | None:
    """Hash of a file seen from here, or from where the folder stands."""
    for place in (Path(name), folder.absolute().parent / name):
        if place.is_file():
            return file_hash(place)
    return None


def _fit_rows(results: Results, fit: xr.DataTree) -> Iterator[dict[str, str]]:
    from bayes_msc.fit import model_of, trial_of

    yield _row(f"the counts in {FIT}", str(results.manifest["data_sha256"]), trial_of(fit).sha256)
    yield _row(f"the model in {FIT}", str(results.manifest["model_sha256"]), model_of(fit).sha256)


def _reanalysis_rows(results: Results, result: Reanalysis) -> Iterator[dict[str, str]]:
    hashes = {str(results.manifest["data"]): str(results.manifest["data_sha256"])}
    hashes |= {str(k): str(v) for k, v in results.manifest["external"].items()}
    for trial in (result.published, *result.external_trials):
        stored = hashes.get(trial.name, "")
        yield _row(f"{trial.name} as stored in results.json", stored, trial.sha256)


def _other_versions(results: Results) -> pd.DataFrame:
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


# once more


def _fit_again(fit: xr.DataTree, results: Results, cores: int | None) -> dict[str, pd.DataFrame]:
    from bayes_msc.estimands import summarize
    from bayes_msc.fit import repeat

    rope = _rope(results.tables["statements"])
    thresholds = results.recipe.get("thresholds") or _thresholds(results.tables["statements"])
    return {"statements": summarize(repeat(fit, cores=cores), thresholds=thresholds, rope=rope)}


def _thresholds(statements: pd.DataFrame) -> list[float]:
    below = statements[statements["statement"] == "prob_rate_ratio_below"]
    return [float(c) for c in below["threshold"]]


def _rope(statements: pd.DataFrame) -> tuple[float, float] | None:
    """Limits of practical equivalence, as the statement on them names them."""
    said = statements.loc[statements["statement"] == "prob_in_rope", "label"]
    if said.empty:
        return None
    low, high = said.iloc[0].split(" between ")[1].split(" and ")
    return float(low), float(high)


def _reanalyse_again(results: Results) -> Reanalysis:
    from bayes_msc.prior import Prior
    from bayes_msc.published import parse_published
    from bayes_msc.reanalysis import reanalyze

    recipe = results.recipe
    if not recipe:
        raise OutputError(
            "these results were written by a version that did not store what is needed to run "
            f"them again: type the command once more ({results.manifest.get('command')})"
        )
    return reanalyze(
        parse_published(recipe["published"], "the trial in results.json"),
        stances={name: Prior.from_table(t) for name, t in recipe["stances"].items()},
        analysis=recipe["analysis"],
        external=[parse_published(text, "a trial in results.json") for text in recipe["external"]],
        thresholds=recipe["thresholds"],
        mu_prior=Prior.from_table(recipe["mu_prior"]),
        tau_priors=[Prior.from_table(table) for table in recipe["tau_priors"]],
        method=recipe["method"],
    )


def _named(external: pd.DataFrame) -> pd.DataFrame:
    """Bring the table with other trials to the shape of statements."""
    if external.empty:
        return pd.DataFrame(columns=["statement", "median", "lower", "upper", "mcse"])
    names = external["target"] + ", " + external["tau_prior"]
    return external.assign(statement=names, median=external["rate_ratio"])


# compared


def _compared(stored: pd.DataFrame, again: pd.DataFrame) -> Iterator[dict[str, Any]]:
    keys = [key for key in KEYS if key in stored and key in again]
    new = {_key(row, keys): row for row in _rows(again)}
    names = [str(name) for name in stored]
    measures = [name for name in names if name in MEASURES or name.startswith("probability_")]
    for row in _rows(stored):
        other = new.get(_key(row, keys), {})
        for measure in measures:
            then = _number(row[measure])
            if not math.isnan(then):
                yield _number_row(_words(row), measure, row, other, then)


def _key(row: Mapping[str, Any], keys: list[str]) -> tuple[str, ...]:
    return tuple(str(row[key]) for key in keys)


def _words(row: Mapping[str, Any]) -> str:
    parts = [row.get("stance"), row.get("label") or row["statement"]]
    return ": ".join(str(part) for part in parts if part)


def _number_row(
    words: str, measure: str, row: Mapping[str, Any], other: Mapping[str, Any], then: float
) -> dict[str, Any]:
    now = _number(other.get(measure))
    allowed = _allowed(measure, row, other)
    difference = now - then
    verdict = IDENTICAL if now == then else AGREES if abs(difference) <= allowed else DIFFERS
    return {
        "statement": words,
        "measure": measure,
        "stored": then,
        "again": now,
        "difference": difference,
        "allowed": allowed,
        "verdict": verdict,
    }


def _allowed(measure: str, row: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Difference that the error of both computations explains.

    The error of a 95 % limit is that of the median times the ratio of the densities there, taken
    as normal and stretched by the skewness that the interval itself shows.
    """
    exact = EXACT * max(abs(_number(row[measure])), 1e-3)
    error = math.hypot(_number(row.get("mcse")), _number(other.get("mcse")))
    if not error > 0:
        return exact
    stretch = 1.0
    if measure in ("lower", "upper"):
        lower, median, upper = (_number(row[name]) for name in ("lower", "median", "upper"))
        sides = (median - lower, upper - median)
        own, across = sides if measure == "lower" else sides[::-1]
        stretch = LIMIT * own / across if across > 0 else LIMIT
    return max(ERRORS * stretch * error, exact)


def _number(value: Any) -> float:
    return math.nan if value is None or value is pd.NA else float(value)
