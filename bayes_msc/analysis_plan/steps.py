"""What a plan would run, step by step, and how long that should take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import pandas as pd

from bayes_msc.analysis_plan.companions_of import CALIBRATION, STEP, parts_of, wanted
from bayes_msc.analysis_plan.reading import AnalysisPlan
from bayes_msc.analysis_plan.subject import Counts, load_subject, priors_of
from bayes_msc.errors import PlanError, SensitivityError, one_of
from bayes_msc.missing import plan_of
from bayes_msc.model import Model
from bayes_msc.notebook import banner, block, heading, listing, paragraph, points, table
from bayes_msc.parameters import FAMILY_PARAMETERS
from bayes_msc.published import Published
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.carryover import WIDTHS
from bayes_msc.sensitivity.curve import COMPILING, LONG, SECONDS, expected_seconds
from bayes_msc.sensitivity.specifications import specifications
from bayes_msc.sensitivity.tipping import DELTAS, IMPUTATIONS
from bayes_msc.sensitivity.whole import ANALYSES, OF_COUNTS, OF_PRIORS
from bayes_msc.trial import Trial

ALL = "all"
#: Measured on two cores, with nine patients and four rows each; a plan's numbers are a guide.
FIRST_NUTS, NUTS, FAST, REPORT, OTHER_FORMAT = 20.0, 2.5, 5.0, 10.0, 5.0
ROWS = 36
COMPARATORS, LEFT_OUT = 2.0, 10
#: What a format of the report is written with, beside the package itself.
PACKAGES = {"docx": "docx", "pdf": "typst"}
#: An altered count is searched for in a few rounds of single counts, up and down.
ROUNDS = 10
#: Completed trials that a tipping point is made of: at each multiplier of each arm.
COMPLETED = 2 * len(DELTAS) * IMPUTATIONS


@dataclass(frozen=True)
class Step:
    """One step: what is done, how many fits that takes, and the seconds it should take."""

    name: str
    what: str
    fits: int
    seconds: float


@dataclass(frozen=True, eq=False)
class PlanCheck:
    """What a plan would do with its data.

    Attributes
    ----------
    plan : AnalysisPlan
    facts : mapping of str to str
        The data, the model and the rule in words; ``data SHA-256`` can be written into the plan.
    priors : DataFrame
        ``parameter``, ``prior``, ``why``; for printed numbers one row a stance.
    steps : DataFrame
        One row a step: ``step``, ``what``, ``fits``, ``seconds`` (a guide, from times measured on
        two cores, the first time that a model is compiled).
    warnings : tuple of str
        What is unusual about the data.
    label : str
        What must be said of the counts; empty for data and printed numbers.
    """

    plan: AnalysisPlan
    facts: Mapping[str, str]
    priors: pd.DataFrame
    steps: pd.DataFrame
    warnings: tuple[str, ...]
    label: str

    @property
    def seconds(self) -> float:
        """Expected time of the whole plan, in seconds."""
        return float(self.steps["seconds"].sum())

    def __str__(self) -> str:
        """Return all of it as text."""
        lines = [self.label.upper()] if self.label else []
        lines += [f"{key}: {value}" for key, value in self.facts.items()]
        lines += [f"warning: {words}" for words in self.warnings]
        lines += [self.steps.round(0).to_string(index=False), self.sentence()]
        return "\n".join(lines)

    def sentence(self) -> str:
        """Say how long the whole should take."""
        return f"In all about {duration(self.seconds)}."

    def _repr_html_(self) -> str:
        parts = [
            banner(self.label),
            heading(f"What {self.plan.name} would do"),
            listing(self.facts),
        ]
        parts += [points(self.warnings), table(self.priors), table(self.steps, 0)]
        return block(*parts, paragraph(self.sentence()))


def duration(seconds: float) -> str:
    """Return a time in words, rounded as a guess should be."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def check_plan(plan: AnalysisPlan) -> PlanCheck:
    """Say what a plan would run, and for how long, without running it.

    The data are read and validated, and model, priors, estimands and specifications are put
    together; nothing is fitted.

    Parameters
    ----------
    plan : AnalysisPlan
        From ``read_plan``.

    Returns
    -------
    PlanCheck

    Raises
    ------
    BayesMSCError
        If the plan cannot be carried out: the message says what to change.
    """
    return check_subject(plan, load_subject(plan))


def check_subject(plan: AnalysisPlan, subject: Counts | Published) -> PlanCheck:
    """Return the check of a plan whose data are loaded."""
    steps = pd.DataFrame([vars(step) for step in steps_of(plan, subject)])
    steps = steps.rename(columns={"name": "step"})
    if isinstance(subject, Published):
        priors = priors_of(plan, subject)
        rows = [{"parameter": n, "prior": str(p), "why": p.why} for n, p in priors.items()]
        facts = _facts_published(plan, subject)
        return PlanCheck(plan, facts, pd.DataFrame(rows), steps, (), "")
    trial, model = subject.primary
    found = model.priors_for(trial)
    rows = [{"parameter": n, "prior": str(p), "why": p.why} for n, p in found.items()]
    whole = subject.whole
    facts = _facts(plan, subject)
    return PlanCheck(plan, facts, pd.DataFrame(rows), steps, whole.warnings, whole.label)


def steps_of(plan: AnalysisPlan, subject: Counts | Published) -> list[Step]:
    """Return the steps of a plan in order.

    Raises
    ------
    BayesMSCError
        If an analysis of sensitivity is unknown, or would take long and the plan does not say so.
    """
    analyses = analyses_of(plan)
    _check_extras(plan)
    formats = len(plan.tables.output.formats)
    report = Step(
        "report", ", ".join(plan.tables.output.formats), 0, REPORT + OTHER_FORMAT * (formats - 1)
    )
    if isinstance(subject, Published):
        names = ", ".join(priors_of(plan, subject))
        counts = plan.tables.beside is not None
        also = ", and from reconstructed counts" if counts else ""
        steps = [Step("reanalysis", f"exact, under {names}{also}", 10 * counts, 3 + 37.0 * counts)]
        if analyses:
            kept = [name for name in analyses if name in OF_PRIORS]
            steps += [Step(f"sensitivity: {name}", "sensitivity to prior", 0, 3.0) for name in kept]
        return [*steps, report]
    beside = _others(plan, subject)
    return [*_fits(plan, subject), *beside, *_sensitivity(plan, subject, analyses), report]


def _check_extras(plan: AnalysisPlan) -> None:
    """Say before anything is fitted that a format lacks its package.

    Raises
    ------
    PlanError
    """
    for name, package in PACKAGES.items():
        if name in plan.tables.output.formats and find_spec(package) is None:
            raise PlanError(
                f"the format {name!r} (output.formats) needs a further package: "
                f"pip install 'bayes-msc[{name}]', or leave the format out"
            )


def analyses_of(plan: AnalysisPlan) -> tuple[str, ...]:
    """Analyses of sensitivity that a plan asks for, in the package's order."""
    asked = plan.tables.sensitivity.analyses
    for name in asked:
        one_of(name, (ALL, *ANALYSES), "analysis of sensitivity", PlanError)
    return ANALYSES if ALL in asked else tuple(name for name in ANALYSES if name in asked)


def steps_for(trial: Trial, model: Model, engine: str, what: str = "") -> list[Step]:
    """Return the one step of a single fit.

    Parameters
    ----------
    trial : Trial
    model : Model
    engine : str
        ``"nuts"``; with any other, importance sampling is tried first.
    what : str
        Said after the model's name.
    """
    size = max(1.0, len(trial.seen) / ROWS)
    nuts = engine == "nuts" or model.patient_effect == "sampled"
    seconds = FIRST_NUTS + NUTS * size if nuts else FAST + _refit(model, trial)
    return [Step("fit", ", ".join(part for part in (model.name, what) if part), 1, seconds)]


def _fits(plan: AnalysisPlan, counts: Counts) -> list[Step]:
    assert plan.tables.computation is not None
    trial, model = counts.primary
    name = next(iter(counts.parts))
    steps = steps_for(trial, model, plan.tables.computation.engine, name)
    beside = [*list(counts.parts)[1:], *(f"{prior} prior" for prior in counts.priors)]
    if beside:
        seconds = COMPILING * len(counts.parts) + len(beside) * _refit(model, trial)
        steps.append(Step("beside it", ", ".join(beside), len(beside), seconds))
    return steps


def _others(plan: AnalysisPlan, counts: Counts) -> list[Step]:
    """Calibration, and what ``companions`` computes."""
    trial, model = counts.primary
    trials, steps = wanted(plan).calibrate, []
    if trials:
        seconds = COMPILING + trials * _refit(model, trial)
        steps.append(Step(CALIBRATION, f"{trials} simulated trials", trials, seconds))
    parts = parts_of(plan)
    families = plan.tables.sensitivity.families or tuple(FAMILY_PARAMETERS)
    others = [name for name in families if name != model.family] if "ladder" in parts else []
    borrowed = 3 if "evidence" in parts else 0
    seconds = COMPARATORS * ("comparators" in parts) + 2 * COMPILING + borrowed * COMPILING
    seconds += sum(COMPILING + LEFT_OUT * SECONDS.get(name, 2.0) for name in others)
    what = ", ".join(parts)
    return [*steps, Step(STEP, what, 1 + len(others) + borrowed, seconds)]


def _refit(model: Model, trial: Trial) -> float:
    return SECONDS.get(model.family, 2.0) * max(1.0, len(trial.seen) / ROWS)


def _sensitivity(plan: AnalysisPlan, counts: Counts, analyses: tuple[str, ...]) -> list[Step]:
    trial, model = counts.primary
    wanted = plan.tables.sensitivity
    once = _refit(model, trial)
    patients = int(trial.seen["patient"].nunique())
    unseen = int((plan_of(trial).unseen > 0).any())

    def curve() -> tuple[int, float]:
        choices = {name: list(options) for name, options in (wanted.choices or {}).items()}
        grid = specifications(trial, model, families=wanted.families, choices=choices)
        seconds = expected_seconds(grid, grid.pairs())
        if seconds > LONG and not wanted.long:
            raise SensitivityError(
                f"{len(grid.kept)} specifications would take about {duration(seconds)}: write "
                "long = true into [sensitivity], or give fewer families or choices"
            )
        # the models of every family are weighed beside, each by leaving out every patient
        return len(grid.kept), seconds + 20.0

    numbers: Mapping[str, Callable[[], tuple[int, float]]] = {
        "stances": lambda: (4, 4 * once + 1),
        "prior map": lambda: (1, 8.0),
        "needed prior": lambda: (1, 4.0),
        "credibility": lambda: (1, 1.0),
        "power scaling": lambda: (2, 6.0),
        "patients": lambda: (patients + 1, COMPILING + (patients + 1) * once),
        "counts": lambda: (ROUNDS * patients, COMPILING + ROUNDS * patients * once),
        "drop-out": lambda: (
            unseen * COMPLETED,
            unseen * (5.0 + COMPLETED * once),
        ),
        "carryover": lambda: (len(WIDTHS) * 2, 4 * COMPILING + len(WIDTHS) * 2 * once),
        "specifications": curve,
    }
    steps = []
    for name in analyses:
        if name == "carryover" and trial.design != "crossover":
            continue
        fits, seconds = numbers[name]()
        kind = "counts and model" if name in OF_COUNTS else "prior"
        steps.append(Step(f"sensitivity: {name}", f"sensitivity to {kind}", fits, seconds))
    return steps


def _facts(plan: AnalysisPlan, counts: Counts) -> dict[str, str]:
    trial, model = counts.primary
    whole = counts.whole
    seen = int(whole.data["count"].notna().sum())
    return {
        "plan": f"{plan.name}, SHA-256 {plan.sha256}",
        "data": f"{whole.name}: {whole.design}, {whole.active} against {whole.control} (control), "
        f"{whole.n_patients} patients, {len(whole.data)} rows, {seen} with a count",
        "data SHA-256": whole.sha256,
        "estimands": ", ".join(counts.parts),
        "model": f"{model.name} (card SHA-256 {model.sha256[:12]}…)",
        "terms": ", ".join(model.terms_for(trial)),
        **_asked(plan),
    }


def _facts_published(plan: AnalysisPlan, published: Published) -> dict[str, str]:
    arms = (published.active, published.control)
    return {
        "plan": f"{plan.name}, SHA-256 {plan.sha256}",
        "data": f"{published.name}: printed numbers, "
        + " against ".join(f"{arm.label} (n = {arm.n})" for arm in arms),
        "data SHA-256": published.sha256,
        "analysis": plan.tables.data.analysis or published.preferred,
        **_asked(plan),
    }


def _asked(plan: AnalysisPlan) -> dict[str, str]:
    rule: Rule = plan.rule
    limits = ", ".join(f"{c:g}" for c in plan.tables.statements.thresholds)
    return {
        "primary prior": plan.tables.priors.primary,
        "priors beside it": ", ".join(plan.tables.priors.stances) or "none",
        "thresholds": limits,
        "rule": rule.words(),
        "results": _place(plan),
    }


def _place(plan: AnalysisPlan) -> str:
    """Where the results would go, and whether there are some already."""
    taken = (plan.results / "results.json").exists()
    return f"{plan.results}{' (holds results: a run needs --force)' if taken else ''}"
