"""Run an analysis again from what its folder of results keeps, and foretell how long that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayes_msc.analysis_plan.carrying import carry_out
from bayes_msc.analysis_plan.progress import Begin, merged
from bayes_msc.analysis_plan.reading import AnalysisPlan, parse_plan
from bayes_msc.analysis_plan.recipe import others_of, subject_of
from bayes_msc.analysis_plan.sections import COPY
from bayes_msc.analysis_plan.steps import Step, steps_for, steps_of
from bayes_msc.errors import OutputError
from bayes_msc.report import Results, build, from_json, to_json
from bayes_msc.report.write import FIT

if TYPE_CHECKING:
    from bayes_msc.reanalysis import Reanalysis
    from bayes_msc.reconstruct import Paper


@dataclass(frozen=True, eq=False)
class Again:
    """What the second run found.

    Attributes
    ----------
    results : Results
        As if read back from a file.
    sensitivity : dict of str to DataFrame
        The tables of the sensitivity, as if read back from CSV.
    """

    results: Results
    sensitivity: dict[str, pd.DataFrame] = field(default_factory=dict)


def plan_of(results: Results, folder: Path) -> AnalysisPlan | None:
    """Return the plan whose copy stands in the folder; None where there was none.

    Raises
    ------
    OutputError
        If the copy is gone.
    """
    if "plan_sha256" not in results.manifest:
        return None
    path = folder / COPY
    if not path.is_file():
        raise OutputError(f"{path} is missing: put the plan there, or carry it out once more")
    return parse_plan(path.read_bytes(), str(results.manifest["plan"]), folder)


def steps(results: Results, folder: Path, *, moves: bool = True) -> list[Step]:
    """Return what running it again takes, step by step, with the seconds each should take.

    Parameters
    ----------
    results : Results
    folder : Path
    moves : bool
        Whether the analyses of sensitivity of a plan are made again too.
    """
    check_recipe(results)
    plan = plan_of(results, folder)
    if plan is not None:
        found = steps_of(plan, subject_of(plan, results.recipe))
        kept = [step for step in found if moves or not step.name.startswith("sensitivity")]
        return merged(kept)
    if results.kind != "fit":
        if results.recipe.get("reconstruction"):
            return [Step("reanalysis", "exact, and from reconstructed counts", 10, 40.0)]
        return [Step("reanalysis", "exact, under every stance", 0, 3.0)]
    from bayes_msc.fit import load_fit, model_of, trial_of

    stored = load_fit(folder / FIT)
    return steps_for(trial_of(stored), model_of(stored), str(stored.attrs["engine"]))


def run_again(
    results: Results,
    folder: Path,
    begin: Begin,
    *,
    cores: int | None = None,
    moves: bool = True,
) -> Again:
    """Make the whole of the results again.

    Parameters
    ----------
    results : Results
        As read from the folder.
    folder : Path
    begin : callable
        Called with the name of each step that begins.
    cores : int, optional
        Chains and processes that run at once.
    moves : bool
        Whether the analyses of sensitivity of a plan are made again too.

    Raises
    ------
    OutputError
        If the folder lacks what it takes.
    """
    plan = plan_of(results, folder)
    if plan is not None:
        return _plan_again(plan, results, folder, begin, cores, moves)
    if results.kind == "fit":
        begin("fit")
        return Again(_fit_again(results, folder, cores))
    begin("reanalysis")
    found, _ = build(_reanalyse_again(results))
    return Again(_as_read(found))


def _plan_again(
    plan: AnalysisPlan,
    results: Results,
    folder: Path,
    begin: Begin,
    cores: int | None,
    moves: bool,
) -> Again:
    subject, external = subject_of(plan, results.recipe), others_of(results.recipe)
    done = carry_out(
        plan,
        subject,
        external,
        folder,
        begin,
        workers=cores,
        moves=moves,
        paper=_paper_of(results.recipe),
    )
    if done.sensitivity is None:
        return Again(_as_read(done.results))
    tables = {"what_moves": done.sensitivity.ranking, **done.sensitivity.tables}
    return Again(
        _as_read(done.results),
        {name: _as_csv(frame) for name, frame in tables.items() if len(frame.columns)},
    )


def _as_read(results: Results) -> Results:
    return from_json(to_json(results))


def _as_csv(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.read_csv(StringIO(frame.to_csv(index=False)))


def _fit_again(results: Results, folder: Path, cores: int | None) -> Results:
    from bayes_msc.companions import again as companions_again
    from bayes_msc.estimands import summarize
    from bayes_msc.fit import load_fit, repeat

    recipe = results.recipe
    again = repeat(load_fit(folder / FIT), cores=cores, progress=False)
    statements = summarize(
        again,
        thresholds=recipe["thresholds"],
        rope=tuple(recipe["rope"]) if recipe["rope"] else None,
        exposure=recipe["exposure"],
        seed=recipe["seed"],
    )
    beside = companions_again(again, recipe.get("beside", {}), results.tables.get("calibration"))
    return _as_read(build(again, statements=statements, beside=beside)[0])


def check_recipe(results: Results) -> None:
    """Refuse results of a version that did not keep what it takes.

    Raises
    ------
    OutputError
    """
    lacking = "plan_sha256" in results.manifest and not {"counts", "published"} & set(
        results.recipe
    )
    needed = "rope" if results.kind == "fit" else "published"
    if needed not in results.recipe or lacking:
        raise OutputError(
            "these results were written by a version that did not store what is needed to run "
            f"them again: type the command once more ({results.manifest.get('command')})"
        )


def _reanalyse_again(results: Results) -> Reanalysis:
    from bayes_msc.prior import Prior
    from bayes_msc.published import parse_published
    from bayes_msc.reanalysis import reanalyze

    recipe = results.recipe
    return reanalyze(
        parse_published(recipe["published"], "the trial in results.json"),
        stances={name: Prior.from_table(t) for name, t in recipe["stances"].items()},
        analysis=recipe["analysis"],
        external=others_of(recipe),
        thresholds=recipe["thresholds"],
        mu_prior=Prior.from_table(recipe["mu_prior"]),
        tau_priors=[Prior.from_table(table) for table in recipe["tau_priors"]],
        method=recipe["method"],
        seed=recipe["seed"],
        reconstruction=_paper_of(recipe) or False,
    )


def _paper_of(recipe: Mapping[str, Any]) -> Paper | None:
    """Printed counts that were reconstructed from, as they were then."""
    from bayes_msc.reconstruct import parse_paper

    kept = recipe.get("reconstruction")
    return parse_paper(kept["text"], kept["name"]) if kept else None
