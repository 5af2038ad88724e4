"""Write a plan's file: every choice with a comment that says what it is and what else it may be."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bayes_msc.analysis_plan.entries import RECONSTRUCTED, Lines, beside, entry
from bayes_msc.analysis_plan.guessing import columns_of, guess_roles
from bayes_msc.analysis_plan.reading import parse_plan
from bayes_msc.analysis_plan.subject import Counts, load_subject
from bayes_msc.analysis_plan.tables import CARD, ESTIMANDS, FORMATS
from bayes_msc.datasets import load_card, trial_names
from bayes_msc.errors import OutputError, PlanError
from bayes_msc.files import replace_file
from bayes_msc.prior import stances as known_stances
from bayes_msc.published import load_published, published_names, read_published
from bayes_msc.roles import ROLES
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.whole import ANALYSES


def draft_plan(
    data: str | Path,
    *,
    benefit: str,
    thresholds: Sequence[float],
    rule: Rule,
    design: str | None = None,
    control: str | None = None,
    active: str | None = None,
    roles: Mapping[str, str] | None = None,
    sheet: str | None = None,
    title: str = "",
    endpoint: str = "",
    unit: str = "scan",
    card: str | None = None,
    primary: str = "weak",
    stances: Sequence[str] | None = None,
    analyses: Sequence[str] = ("all",),
    formats: Sequence[str] = ("html",),
    results: str = "results",
    engine: str = "nuts",
    seed: int = 1,
    lock: bool = False,
    folder: str | Path = ".",
) -> str:
    """Write the text of a plan for a file of counts, a bundled trial or printed numbers.

    What is particular to the problem has no default: which rates are a benefit, the thresholds,
    the rule; for a file of counts also its design and which label is control and which active.

    Parameters
    ----------
    data : str or Path
        A file of counts, a bundled trial, or a bundled or own TOML of printed numbers.
    benefit : {"lower", "higher"}
    thresholds : sequence of float
        Rate ratios c of P(rate ratio < c).
    rule : Rule
    design, control, active : str, optional
        For a file of counts, as for ``read_trial``.
    roles : mapping of str to str, optional
        Column by role, for a file of counts; those not named are guessed from the header.
    sheet : str, optional
        Of an Excel file.
    title, endpoint, unit : str
        What the report is called; what is counted, in the plural; unit of exposure.
    card : str, optional
        Model card; by default the negative binomial one for the design.
    primary : str
        Prior that the rule is judged under: a stance, or ``"card"`` for the card's own.
    stances : sequence of str, optional
        Priors that stand beside it; by default all named stances.
    analyses : sequence of str
        Analyses of sensitivity, ``("all",)`` or ``()``.
    formats, results, engine, seed
        Formats of the report, its folder, how and with which seed to compute.
    lock : bool
        Tie the plan to these very data by their SHA-256.
    folder : str or Path
        Where the plan will stand: paths in it start there.

    Returns
    -------
    str
        TOML with comments; it has been read back and held against the data.

    Raises
    ------
    BayesMSCError
        If something is missing or impossible.
    """
    folder = Path(folder)
    if rule.benefit != benefit:
        raise PlanError(
            f"benefit is {benefit!r} and the rule's is {rule.benefit!r}: they must be the same"
        )
    printed = str(data) in published_names() or Path(data).suffix == ".toml"
    bundled = str(data) in trial_names()
    if not (printed or bundled) and Path(data).suffix == "":
        known = ", ".join((*published_names(), *trial_names()))
        raise PlanError(
            f"there is no bundled trial {str(data)!r} ({known}), and it is no file of counts: name "
            "a CSV, Excel or Parquet file"
        )
    names = tuple(known_stances()) if stances is None else tuple(stances)
    question = {"title": title, "endpoint": endpoint, "unit": unit, "benefit": benefit}
    lines = _question(question, of_counts=not (printed or bundled))
    if printed:
        lines += _printed(data, folder)
    elif bundled:
        lines += ["", "[data]", *entry("bundled", str(data), "comes with bayes_msc"), *_lock()]
        lines += _OTHERS
    else:
        lines += _file(Path(data), folder, sheet)
        lines += _roles(Path(data), roles or {}, sheet, design, control, active)
    if not printed:
        kind = str(load_card(str(data)).roles["design"]) if bundled else str(design)
        lines += _model(card, kind)
    lines += _priors(primary, names, printed)
    if not printed:
        lines += _estimands(kind)
    lines += _statements(thresholds, rule)
    lines += _sensitivity(analyses)
    families = "specifications" in analyses or "all" in analyses
    lines += RECONSTRUCTED if printed else beside(families)
    lines += _output(results, formats)
    if not printed:
        lines += _computation(seed, engine)
    text = "\n".join(lines) + "\n"
    return _tied(text, folder, lock)


def write_plan(text: str, path: str | Path = "analysis.toml", *, force: bool = False) -> Path:
    """Write the text of a plan, whole or not at all.

    Parameters
    ----------
    text : str
        From ``draft_plan``.
    path : str or Path
        A name that ends in ``.toml``.
    force : bool
        Replace a file that is there.

    Raises
    ------
    OutputError
        If there is such a file and ``force`` is false, or it cannot be written.
    """
    file = Path(path)
    if file.suffix != ".toml":
        raise OutputError(f"{file} does not end in .toml: a plan is written as TOML")
    return replace_file(file, lambda part: part.write_text(text, encoding="utf-8"), force=force)


def _tied(text: str, folder: Path, lock: bool) -> str:
    """Hold the text against the data; with ``lock`` write their SHA-256 into it."""
    plan = parse_plan(text.encode(), "the plan", folder)
    subject = load_subject(plan)
    value = (subject.whole if isinstance(subject, Counts) else subject).sha256
    line = f'sha256 = "{value}"'
    return text.replace(_OPEN, line if lock else f"# {line}")


#: Where the SHA-256 of the data is filled in.
_OPEN = "# sha256 of the data"


_OTHERS = [
    "# other trials of the same question that stand beside: bundled names, or TOML files",
    '# external = ["mesems2021"]',
]


def _question(question: Mapping[str, str], of_counts: bool) -> Lines:
    lines = [
        "# A pre-specified analysis: written before the results are known, checked as a whole",
        "# before anything runs, and named by its SHA-256 in the report. Paths start here.",
        "#   bayes-msc check analysis.toml    says what would run and how long",
        "#   bayes-msc run analysis.toml      runs it",
        "",
        "[question]",
        *entry("benefit", question["benefit"], "which rates are good for a patient: lower, higher"),
        *entry("title", question["title"], "title of the report; empty for that of the data"),
    ]
    if of_counts:
        lines += entry(
            "endpoint", question["endpoint"] or "events", "what is counted, in the plural"
        )
        lines += entry("unit", question["unit"], "unit of exposure, in the singular")
    return [*lines, *entry("registered", "", "where and when this plan was laid down, if it was")]


def _lock() -> Lines:
    return [
        "# ties the plan to these very data: a run refuses others (take the # away when they are",
        "# final; `bayes-msc check` shows the value)",
        _OPEN,
    ]


def _printed(data: str | Path, folder: Path) -> Lines:
    named = str(data) in published_names()
    found = load_published(str(data)) if named else read_published(data)
    place = str(data) if named else _from(folder, Path(data))
    return [
        "",
        "[data]",
        *entry("published", place, "printed numbers: a bundled trial, or a TOML file"),
        *_lock(),
        *entry(
            "analysis",
            found.preferred,
            f"which printed analysis: {', '.join(found.analyses)}",
        ),
        *entry(
            "external",
            list(found.external),
            "other trials of the same question that are taken into account; [] for none",
        ),
    ]


def _from(folder: Path, path: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def _file(path: Path, folder: Path, sheet: str | None) -> Lines:
    lines = ["", "[data]", *entry("file", _from(folder, path), "CSV, Excel or Parquet")]
    lines += entry("sheet", sheet) if sheet else []
    return [*lines, *_lock(), *_OTHERS]


def _roles(
    path: Path,
    given: Mapping[str, str],
    sheet: str | None,
    design: str | None,
    control: str | None,
    active: str | None,
) -> Lines:
    arms = {"design": design, "control": control, "active": active}
    missing = [name for name, value in arms.items() if not value]
    if missing:
        raise PlanError(
            f"{', '.join(missing)} cannot be guessed: give the design (parallel or crossover) and "
            "the labels of the control and of the active arm"
        )
    header = [str(name).strip() for name in columns_of(path, sheet).columns]
    found = {**guess_roles(header), **given}
    if design == "parallel":
        found = {role: name for role, name in found.items() if role not in ("period", "sequence")}
    lines = ["", "[roles]", f"# the columns of the file: {_plain(header)}"]
    lines += entry("design", design, "parallel or crossover")
    lines += entry("control", control, "labels in the column of treatments")
    lines += entry("active", active)
    for role in ROLES:
        if role in found:
            lines += entry(role, found[role])
    return lines


def _plain(names: Sequence[str]) -> str:
    """Names for a comment, which ends with its line."""
    words = ", ".join("".join(c if c.isprintable() else " " for c in name) for name in names)
    return words if len(words) <= 200 else f"{words[:199]}…"


def _model(card: str | None, design: str) -> Lines:
    default = f"{'crossover' if design == 'crossover' else 'count'}-negative-binomial"
    return [
        "",
        "[model]",
        *entry("card", card or default, "a card of `bayes-msc models`, or a TOML file of yours"),
    ]


def _priors(primary: str, names: Sequence[str], printed: bool) -> Lines:
    choices = ", ".join(known_stances())
    own = "" if printed else f", or {CARD!r} for the model card's own"
    return [
        "",
        "[priors]",
        *entry(
            "primary",
            primary,
            "the prior of the log rate ratio that the rule is judged under:",
            f"{choices}{own}",
        ),
        *entry("stances", [n for n in names if n != primary], "priors that stand beside it"),
        "# a prior of your own, with its reason; then name it above:",
        "# [priors.own.registry]",
        '# distribution = "normal"',
        "# loc = 0.0",
        "# scale = 0.5",
        '# why = "…"',
    ]


def _estimands(design: str) -> Lines:
    first, *others = ESTIMANDS[design]
    return [
        "",
        "[estimands]",
        *entry("primary", first, f"what is estimated: {', '.join(ESTIMANDS[design])}"),
        *entry("also", others, "estimands that stand beside it"),
        *entry("exposure", 1.0, "exposure for which a difference of rates is stated"),
        "# rate ratios between which you would call the arms equivalent; there is no default",
        "# equivalence = [0.8, 1.25]",
    ]


def _statements(thresholds: Sequence[float], rule: Rule) -> Lines:
    side = "<" if rule.benefit == "lower" else ">"
    return [
        "",
        "[statements]",
        *entry("thresholds", [float(c) for c in thresholds], f"rate ratios c of P(RR {side} c)"),
        "",
        "[rule]",
        f"# the plan calls for {rule.words()}",
        *entry("threshold", float(rule.threshold), "the rate ratio that would matter to a patient"),
        *entry("probability", float(rule.probability), "how sure one has to be of it"),
    ]


def _sensitivity(analyses: Sequence[str]) -> Lines:
    return [
        "",
        "[sensitivity]",
        *entry(
            "analyses",
            list(analyses),
            '["all"], [] for none, or some of:',
            ", ".join(ANALYSES[:5]) + ",",
            ", ".join(ANALYSES[5:]),
        ),
    ]


def _output(results: str, formats: Sequence[str]) -> Lines:
    return [
        "",
        "[output]",
        *entry("folder", results, "never overwritten, unless --force is given"),
        *entry("formats", list(formats), f"of {', '.join(FORMATS)}"),
    ]


def _computation(seed: int, engine: str) -> Lines:
    return [
        "",
        "[computation]",
        *entry("seed", seed, "the same seed gives the same numbers"),
        *entry("engine", engine, "nuts, fast (importance sampling), or auto"),
        *entry("draws", 1000, "of each chain, after as many that are discarded"),
        *entry("tune", 500),
        *entry("chains", 4),
    ]
