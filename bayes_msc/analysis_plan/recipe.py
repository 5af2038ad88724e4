"""What a plan's results keep so that the whole of it can be run again, and does so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayes_msc.analysis_plan.reading import AnalysisPlan
from bayes_msc.analysis_plan.subject import Counts, counts_of
from bayes_msc.model import Model
from bayes_msc.published import Published, parse_published, published_names
from bayes_msc.report.inputs import hashes
from bayes_msc.trial import Trial

#: Key of the recipe under which the counts and the card of a plan stand.
COUNTS = "counts"


def files_of(plan: AnalysisPlan, folder: Path, subject: Counts | Published) -> dict[str, str]:
    """SHA-256 of all that a plan read: files by their place seen from the results, bundled by name.

    Parameters
    ----------
    plan : AnalysisPlan
    folder : Path
        Where the results will stand.
    subject : Counts or Published
        What the plan is about.
    """
    tables = plan.tables
    data = tables.data
    card = tables.model.card if tables.model else ""
    named = [plan.name, data.file, data.published, card, *(data.external or ())]
    places = [plan.folder / name for name in named if name]
    if isinstance(subject, Published) and tables.beside is not None:
        places += filter(None, [subject.printed_counts_file])
    paths = [path for path in places if path.is_file()]
    found = hashes(paths, bundled_of(plan))
    seen = {str(path): _seen_from(folder, path) for path in paths}
    return {seen.get(name, name): value for name, value in found.items()}


def _seen_from(folder: Path, path: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve().parent)).as_posix()


def bundled_of(plan: AnalysisPlan) -> dict[str, str]:
    """SHA-256 of the bundled trials and cards that a plan names."""
    from bayes_msc.report.inputs import bundled_hash

    data = plan.tables.data
    candidate = f"-{data.candidate}" if data.candidate else ""
    names = [f"{data.bundled}{candidate}" if data.bundled else "", data.published]
    names += [plan.tables.model.card] if plan.tables.model else []
    names += [name for name in data.external or () if name in published_names()]
    found = {name: bundled_hash(name) for name in names if name}
    return {name: value for name, value in found.items() if value}


def recipe_of(plan: AnalysisPlan, subject: Counts | Published) -> Mapping[str, Any]:
    """Return what it takes to run a plan again, beside its file and what the report keeps."""
    if isinstance(subject, Published):
        return {}
    asked = plan.tables.estimands
    assert asked is not None
    return {
        "exposure": asked.exposure,
        COUNTS: {
            "trial": dict(subject.whole.meta()),
            "csv": subject.whole.to_csv_text(),
            "card": subject.card.to_toml(),
            "card_name": subject.card.name,
        },
    }


def subject_of(plan: AnalysisPlan, recipe: Mapping[str, Any]) -> Counts | Published:
    """Load what a plan was carried out on from the results themselves, not from its files.

    Raises
    ------
    BayesMSCError
        If the plan does not suit what the recipe holds.
    """
    if COUNTS not in recipe:
        return parse_published(recipe["published"], "the trial in results.json")
    kept = recipe[COUNTS]
    trial = Trial.from_text(kept["csv"], kept["trial"])
    return counts_of(plan, trial, Model.from_toml(kept["card"], kept["card_name"]))


def others_of(recipe: Mapping[str, Any]) -> list[Published] | None:
    """Load the other trials that a reanalysis took in; None for counts."""
    texts = recipe.get("external", recipe.get("beside", {}).get("external"))
    if texts is None:
        return None
    return [parse_published(text, "a trial in results.json") for text in texts]
