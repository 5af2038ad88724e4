"""What stands beside a fit in its report: other opinions, methods, models and trials.

Each part is computed here, once; a report only shows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from bayes_msc.changes import changes
from bayes_msc.comparators import comparators
from bayes_msc.errors import BayesMSCError, OutputError, one_of
from bayes_msc.first_period import beside_whole
from bayes_msc.fit import model_of, trial_of
from bayes_msc.notebook import banner, block, points, table
from bayes_msc.prior import Prior
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.shipped import Cited, cited
from bayes_msc.trial import Trial

if TYPE_CHECKING:
    from bayes_msc.compare import Comparison
    from bayes_msc.evidence.trials import Evidence
    from bayes_msc.model import Model
    from bayes_msc.published import Published
    from bayes_msc.simulation.calibrating import Calibration

PARTS = ("changes", "first period", "comparators", "ladder", "evidence")
#: Seconds in all; the ladder compiles a model a family, which takes minutes the first time.
QUICK = ("changes", "first period", "comparators")
#: How the other trials enter where nothing else is asked for.
TAU, ROBUST = "half-normal-0.5", 0.2
NO_TEXT = (
    "another trial was given as a row of evidence, which is not kept with the results: give its "
    "printed numbers as a TOML file"
)
NO_TRIAL = (
    "no other trial is named, and none is bundled that asks the question of {name}: name one with "
    "--external (external= in Python), by its bundled name or a TOML file of its printed numbers"
)


@dataclass(frozen=True, eq=False)
class Borrowing:
    """Other trials, the prior made of them, and the answer with it.

    Attributes
    ----------
    trials : tuple of Evidence
    prior : Prior
        Robust meta-analytic-predictive prior; its last component is the vague part.
    answers : DataFrame
        One row an answer: ``what``, ``median``, ``lower``, ``upper`` of the rate ratio,
        ``probability`` that it is below 1, ``mcse``, ``ok``; the fit as it stands first.
    patients : float
        Patients of this trial that the prior is worth (ELIR); NaN where the trial alone says too
        little to tell.
    vague_after : float
        Posterior probability that the other trials do not speak of this one (``ROBUST`` before).
    vague_mcse : float
    """

    trials: tuple[Evidence, ...]
    prior: Prior
    answers: pd.DataFrame
    patients: float
    vague_after: float
    vague_mcse: float


@dataclass(frozen=True, eq=False)
class Companions:
    """What stands beside a fit; a part that was not asked for is None.

    Attributes
    ----------
    changes : DataFrame
        See ``bayes_msc.changes.changes``.
    first_period : DataFrame or None
        See ``bayes_msc.both_estimands``.
    comparators : DataFrame or None
        See ``bayes_msc.comparators``.
    ladder : Comparison or None
        See ``bayes_msc.compare``.
    evidence : Borrowing or None
    calibration : Cited or None
    skipped : dict of str to str
        Parts that could not be made, and why.
    recipe : dict of str to value
        What it takes to make them again, as plain text and numbers: see ``again``.
    label : str
        What the counts are if they are not data.
    """

    changes: pd.DataFrame
    first_period: pd.DataFrame | None = None
    comparators: pd.DataFrame | None = None
    ladder: Comparison | None = None
    evidence: Borrowing | None = None
    calibration: Cited | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    def _repr_html_(self) -> str:
        tables = {
            "What would change the answer": self.changes.drop(columns=["kind", "name"]),
            "First period, and the whole crossover": self.first_period,
            "Frequentist answers": self.comparators,
            "With other trials": None if self.evidence is None else self.evidence.answers,
            "Calibration": None if self.calibration is None else self.calibration.table,
        }
        shown = [table(frame, caption=name) for name, frame in tables.items() if frame is not None]
        ladder = [] if self.ladder is None else [self.ladder._repr_html_()]
        left = [f"{part}: {why}" for part, why in self.skipped.items()]
        return block(banner(self.label), *shown, *ladder, points(left))


def companions(
    fit: xr.DataTree,
    parts: Sequence[str] = QUICK,
    *,
    external: Sequence[str | Published | Evidence] | None = None,
    families: Sequence[str] | None = None,
    calibration: Calibration | Cited | None = None,
    seed: int = 1,
) -> Companions:
    """Compute what shall stand beside a fit in its report.

    Parameters
    ----------
    fit : DataTree
        From ``bayes_msc.fit``.
    parts : sequence of str
        Of ``"changes"`` (new fits where the stored draws do not reach), ``"first period"``,
        ``"comparators"`` (frequentist answers), ``"ladder"`` (every count family: minutes where
        they were not compiled before) and ``"evidence"`` (other trials).
    external : sequence of str, Published or Evidence, optional
        The other trials; by default those that the printed results of this trial name.
    families : sequence of str, optional
        For the ladder; by default all.
    calibration : Calibration, optional
        From ``bayes_msc.calibrate``; by default the shipped one of the card is cited.
    seed : int

    Returns
    -------
    Companions
        A part that has no answer on this trial is named in ``skipped``.

    Raises
    ------
    OutputError
        If a part is unknown.
    """
    for name in parts:
        one_of(name, PARTS, "part beside a fit", OutputError)
    trial, model = trial_of(fit), model_of(fit)
    skipped: dict[str, str] = {}

    def made[T](name: str, make: Callable[[], T]) -> T | None:
        if name not in parts:
            return None
        try:
            return make()
        except BayesMSCError as error:
            skipped[name] = str(error)
            return None

    quoted = calibration if isinstance(calibration, Cited) else cited(model, trial, calibration)
    return Companions(
        changes(fit, exact="changes" in parts, seed=seed),
        made("first period", lambda: _first_period(fit, trial, seed)),
        made("comparators", lambda: comparators(trial, seed=seed)),
        made("ladder", lambda: _ladder(fit, trial, model, families, seed)),
        made("evidence", lambda: _evidence(fit, trial, model, external, seed)),
        quoted,
        skipped,
        _recipe(parts, external, families, quoted, seed),
        trial.label,
    )


def again(fit: xr.DataTree, recipe: Mapping[str, Any], table: pd.DataFrame | None) -> Companions:
    """Make companions once more from what was kept of them.

    Parameters
    ----------
    fit : DataTree
    recipe : mapping of str to value
        ``recipe`` of the first ones; empty for what needs no further fit.
    table : DataFrame, optional
        Of a calibration that was made on request: it is cited again, not made again.
    """
    from bayes_msc.published import parse_published

    if not recipe:
        return stored_only(fit)
    texts, kept = recipe["external"], recipe["calibration"]
    made = None
    if kept and table is not None:
        design = Design(**kept["design"])
        made = Cited(table, design, kept["own_card"], kept["own_design"], asked=True)
    return companions(
        fit,
        recipe["parts"],
        external=None if texts is None else [parse_published(t, "a trial") for t in texts],
        families=recipe["families"],
        calibration=made,
        seed=recipe["seed"],
    )


def _recipe(
    parts: Sequence[str],
    external: Sequence[str | Published | Evidence] | None,
    families: Sequence[str] | None,
    quoted: Cited | None,
    seed: int,
) -> dict[str, Any]:
    from bayes_msc.published import Published, load_published

    asked = quoted is not None and quoted.asked
    if not parts and not asked:
        return {}
    texts: list[str] | None = None
    lost: dict[str, str] = {}
    if external is not None:
        loaded = [load_published(one) if isinstance(one, str) else one for one in external]
        printed = [one for one in loaded if isinstance(one, Published)]
        # some of the trials would make another prior than all of them: keep all or none
        if len(printed) == len(loaded):
            texts = [one.to_toml() for one in printed]
        elif "evidence" in parts:
            lost["evidence"] = NO_TEXT
    return {
        "parts": [name for name in parts if name not in lost],
        "lost": lost,
        "external": texts,
        "families": None if families is None else list(families),
        "calibration": _kept(quoted) if quoted is not None and asked else {},
        "seed": seed,
    }


def _kept(quoted: Cited) -> dict[str, Any]:
    names = ("kind", "active", "control", "scans", "exposure", "baseline")
    design = {name: getattr(quoted.design, name) for name in names}
    return {"design": design, "own_card": quoted.own_card, "own_design": quoted.own_design}


def stored_only(fit: xr.DataTree) -> Companions:
    """Return what the stored draws and the shipped tables give without any new fit."""
    return companions(fit, ())


def _first_period(fit: xr.DataTree, trial: Trial, seed: int) -> pd.DataFrame | None:
    return beside_whole(fit, seed=seed) if trial.design == "crossover" else None


def _ladder(
    fit: xr.DataTree, trial: Trial, model: Model, families: Sequence[str] | None, seed: int
) -> Comparison:
    """Every family with this fit's terms and priors; the fit itself stands for its own family."""
    from bayes_msc.compare import compare_fits
    from bayes_msc.fit import fit as run

    fits = {model.name: fit}
    for name, card in ladder_cards(model, trial, families).items():
        fits[name] = run(trial, card, engine="auto", seed=seed, progress=False)
    return compare_fits(fits, seed=seed)


def ladder_cards(
    model: Model, trial: Trial, families: Sequence[str] | None = None
) -> dict[str, Model]:
    """Return a model in each of the other families, with its own terms and priors.

    Parameters
    ----------
    model : Model
    trial : Trial
    families : sequence of str, optional
        By default all.

    Returns
    -------
    dict of str to Model
        By the name of the card; a card that has the model's own name is called by its family.
    """
    from bayes_msc.other_family import as_family
    from bayes_msc.parameters import FAMILY_PARAMETERS

    found: dict[str, Model] = {}
    for family in families or FAMILY_PARAMETERS:
        if family != model.family:
            card = as_family(model, trial, family)
            found[family if card.name == model.name else card.name] = card
    return found


def _evidence(
    fit: xr.DataTree,
    trial: Trial,
    model: Model,
    external: Sequence[str | Published | Evidence] | None,
    seed: int,
) -> Borrowing:
    from bayes_msc.estimands import answer
    from bayes_msc.evidence import effective_size, external_prior
    from bayes_msc.evidence.alone import posterior_weights, trial_alone
    from bayes_msc.evidence.trials import evidence_rows
    from bayes_msc.fit import fit as run

    named = _named_by(trial) if external is None else list(external)
    if not named:
        raise OutputError(NO_TRIAL.format(name=trial.name))
    rows = tuple(evidence_rows(named))
    robust = external_prior(list(rows), TAU, robust=ROBUST)
    whole = external_prior(list(rows), TAU, robust=0.0)
    fits = {
        f"with the other evidence, which may not speak of this trial ({ROBUST:.0%} beforehand)": (
            run(
                trial,
                model.with_prior("log_rate_ratio", robust),
                engine="auto",
                seed=seed,
                progress=False,
            )
        ),
        "with the other evidence, which surely speaks of it": (
            run(
                trial,
                model.with_prior("log_rate_ratio", whole),
                engine="auto",
                seed=seed,
                progress=False,
            )
        ),
    }
    answers = [{"what": "this trial as analysed here", **answer(fit)}]
    answers += [{"what": words, **answer(tree)} for words, tree in fits.items()]
    table = pd.DataFrame(answers)
    vague = posterior_weights(next(iter(fits.values()))).iloc[-1]
    try:
        unit = trial_alone(trial, model, seed=seed).unit_sd
        sizes = effective_size(whole, unit_sd=unit).set_index("method")["patients"]
        patients = float(sizes["elir"])
    except BayesMSCError:
        patients = math.nan
    return Borrowing(
        rows,
        robust,
        table.assign(ok=table["verdict"] == "ok").drop(columns="verdict"),
        patients,
        float(vague["posterior_weight"]),
        float(vague["mcse"]),
    )


def _named_by(trial: Trial) -> list[str]:
    """Other trials that the bundled printed results of this trial name."""
    from bayes_msc.published import load_published, published_names

    for name in published_names():
        published = load_published(name)
        if published.related_trial == trial.name:
            return list(published.external)
    return []
