"""All analyses of sensitivity in one call, and the folder they are written to."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayes_msc.errors import BayesMSCError, SensitivityError, one_of
from bayes_msc.folders import check_free, put, staged, writable
from bayes_msc.missing import plan_of
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.published import Published
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.belief import credibility, needed_prior
from bayes_msc.sensitivity.carryover import EITHER, FIRST, carryover_widths
from bayes_msc.sensitivity.curve import check_length, specification_curve
from bayes_msc.sensitivity.influence import altered_count, fragility, leave_patients_out
from bayes_msc.sensitivity.page import page, table_html
from bayes_msc.sensitivity.power_scaling import power_scaling
from bayes_msc.sensitivity.prior_map import prior_map
from bayes_msc.sensitivity.ranking import rank
from bayes_msc.sensitivity.stance_table import stance_table
from bayes_msc.sensitivity.subject import (
    Subject,
    check_subject,
    label_of,
    model_for,
    no_model,
    prob_column,
    rule_for,
    thresholds_for,
)
from bayes_msc.sensitivity.tipping import tipping_point
from bayes_msc.trial import Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_PRIORS = ("stances", "prior map", "needed prior", "credibility", "power scaling")
OF_COUNTS = ("patients", "counts", "drop-out", "carryover", "specifications")
ANALYSES = (*OF_PRIORS, *OF_COUNTS)
PAGE, TABLES, FIGURES = "sensitivity.html", "sensitivity-tables", "sensitivity-figures"
OWNED = (PAGE, TABLES, FIGURES)


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """How far one answer can be trusted.

    Attributes
    ----------
    name : str
        Of the trial and the model.
    rule : Rule
    ranking : DataFrame
        *What moves the conclusion*, see ``bayes_msc.sensitivity.rank``; without rows where only
        analyses were asked for that do not change the model.
    tables : mapping of str to DataFrame
        All tables by name, as the single functions return them.
    statements : mapping of str to str
        What each analysis found, in words.
    skipped : mapping of str to str
        Analyses that were not made, and why.
    label : str
        What must be said of the counts; empty for data and for printed numbers.
    """

    name: str
    rule: Rule
    ranking: pd.DataFrame
    tables: Mapping[str, pd.DataFrame] = field(repr=False)
    statements: Mapping[str, str] = field(repr=False)
    skipped: Mapping[str, str] = field(repr=False)
    label: str = ""

    def __str__(self) -> str:
        """Return the ranking and the statements as text."""
        head = [self.label.upper()] if self.label else []
        head += [f"What moves the conclusion: {self.rule.words()}"]
        head += [self.ranking.round(3).to_string(index=False)] if len(self.ranking) else []
        said = [f"{name}: {words}" for name, words in self.statements.items()]
        return "\n\n".join([*head, *said, *(f"{n}: {w}" for n, w in self.skipped.items())])

    def _repr_html_(self) -> str:
        banner = f"<p><strong>{html.escape(self.label.upper())}</strong></p>" if self.label else ""
        said = {**self.statements, **{n: f"not made: {w}" for n, w in self.skipped.items()}}
        lines = "".join(
            f"<li><em>{html.escape(name)}</em>: {html.escape(words)}</li>"
            for name, words in said.items()
        )
        return (
            f"<div>{banner}<p>What moves the conclusion: {html.escape(self.rule.words())}</p>"
            f"{table_html(self.ranking)}<ul>{lines}</ul></div>"
        )

    def figures(self) -> dict[str, Figure]:
        """Draw a figure for every analysis that has one, by name."""
        from bayes_msc import plots

        tables, rule, label = self.tables, self.rule, self.label
        drawn: dict[str, Callable[[], Figure]] = {
            "what_moves": lambda: plots.what_moves(self.ranking, rule, label),
            "stances": lambda: plots.stance_answers(tables["stances"], rule, label),
            "prior_map": lambda: plots.prior_map(
                tables["prior_map"], tables["prior_map_stances"], rule, label
            ),
            "patients": lambda: plots.patients_left_out(tables["patients"], rule, label),
            "tipping_curve": lambda: plots.tipping(
                tables["tipping_curve"], tables["tipping_points"], rule, label
            ),
            "carryover": lambda: plots.carryover(tables["carryover"], rule, label),
            "specifications": lambda: plots.specification_curve(
                tables["specifications"], tables["choices"], rule, label
            ),
        }
        own = {"what_moves": self.ranking, **tables}
        return {name: draw() for name, draw in drawn.items() if len(own.get(name, ()))}

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write a page, all tables as CSV and all figures as SVG, whole or not at all.

        Parameters
        ----------
        folder : str or Path
            Made if it is not there. Files of others in it are left alone.
        force : bool
            Replace results of an earlier analysis of sensitivity.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OutputError
            If there are such results and ``force`` is false, or the folder cannot be written.
        """
        from bayes_msc.plots import to_svg

        folder = Path(folder)
        with writable(folder):
            check_free(folder, OWNED, force)
            with staged(folder) as stage:
                (stage / TABLES).mkdir()
                for name, table in {"what_moves": self.ranking, **self.tables}.items():
                    table.to_csv(stage / TABLES / f"{name}.csv", index=False)
                (stage / FIGURES).mkdir()
                pictures = {name: to_svg(f, name) for name, f in self.figures().items()}
                for name, svg in pictures.items():
                    (stage / FIGURES / f"{name}.svg").write_text(svg, encoding="utf-8")
                text = page(self.name, self._repr_html_(), self.tables, pictures)
                (stage / PAGE).write_text(text, encoding="utf-8")
                put(folder, stage, OWNED)
        return folder


def sensitivity(
    subject: Subject,
    model: Model | str | None = None,
    *,
    analyses: Sequence[str] | None = None,
    own: Prior | Mapping[str, Prior] | None = None,
    external: Prior | Sequence[str | Published] | None = None,
    analysis: str | None = None,
    families: Sequence[str] | None = None,
    choices: Mapping[str, Sequence[str]] | None = None,
    rule: Rule | None = None,
    thresholds: Sequence[float] | None = None,
    yes: bool = False,
    seed: int = 1,
    workers: int | None = None,
    progress: bool | None = None,
) -> Sensitivity:
    """Find what moves the conclusion: a prior, an analyst's choice, one patient or one count.

    Parameters
    ----------
    subject : Trial or Published
        Counts of every patient, or printed numbers (for which only the prior can be varied).
    model : Model or str, optional
        For a Trial; by default the negative binomial card of its design.
    analyses : sequence of str, optional
        Of ``"stances"``, ``"prior map"``, ``"needed prior"``, ``"credibility"``, ``"power
        scaling"``, ``"patients"``, ``"counts"``, ``"drop-out"``, ``"carryover"`` and
        ``"specifications"``; by default all that make sense.
    own, external, analysis
        As in ``bayes_msc.sensitivity.stance_table``.
    families, choices
        As in ``bayes_msc.sensitivity.specification_curve``.
    rule : Rule, optional
        By default a probability of benefit of 0.95 or more.
    thresholds : sequence of float, optional
        Rate ratios of the statements; by default 1, 0.8 and 0.5.
    yes : bool
        Make also specifications that are expected to take more than five minutes.
    seed, workers, progress
        As in ``bayes_msc.refit_many``.

    Returns
    -------
    Sensitivity

    Raises
    ------
    BayesMSCError
        If an argument is not fit for the purpose; before anything is fitted, if the specifications
        would take long and ``yes`` is false.
    """
    check_subject(subject)
    rule = rule_for(subject, rule)
    wanted = tuple(analyses) if analyses is not None else ANALYSES
    for name in wanted:
        one_of(name, ANALYSES, "analysis of sensitivity", SensitivityError)
    limits = thresholds_for(subject, thresholds, rule)
    asked: dict[str, Any] = {"seed": seed, "workers": workers, "progress": progress}
    prior = {"analysis": analysis, "rule": rule, **asked}
    views = {"own": own, "external": external, "thresholds": limits}
    if isinstance(subject, Published):
        no_model(model)
        made = _Made(subject, None, rule)
        _of_priors(made, wanted, prior, views)
        without = ", ".join(name for name in OF_COUNTS if name in wanted)
        if without:
            made.skipped[without] = "printed numbers do not tell the counts of patients"
        return made.result(subject.title)
    card = model_for(subject, model)
    grid: dict[str, Any] = {"families": families, "choices": choices}
    if "specifications" in wanted:
        check_length(subject, card, yes=yes, workers=workers, **grid)
    made = _Made(subject, card, rule)
    _of_priors(made, wanted, prior, views)
    _of_counts(made, wanted, {"rule": rule, "thresholds": limits, **asked}, {**grid, "yes": yes})
    return made.result(f"{subject.title}; {card.name}")


class _Made:
    """What is finished so far."""

    def __init__(self, subject: Subject, model: Model | None, rule: Rule) -> None:
        self.subject, self.model, self.rule = subject, model, rule
        self.tables: dict[str, pd.DataFrame] = {}
        self.statements: dict[str, str] = {}
        self.skipped: dict[str, str] = {}

    def attempt(self, name: str, make: Callable[[], None]) -> None:
        """Make one analysis; where the trial or model has no answer to it, say so and go on."""
        try:
            make()
        except BayesMSCError as error:
            self.skipped[name] = str(error)

    def result(self, name: str) -> Sensitivity:
        prob = self._prob()
        ranking = pd.DataFrame() if np.isnan(prob) else rank(self.tables, prob, self.rule)
        label = label_of(self.subject)
        tables = {n: t if not label else t.assign(label=label) for n, t in self.tables.items()}
        return Sensitivity(name, self.rule, ranking, tables, self.statements, self.skipped, label)

    def _prob(self) -> float:
        """Probability of the rule's statement as the model stands, from the first table with it."""
        if "patients" in self.tables:
            return float(self.tables["patients"]["prob"].iloc[0])
        if "counts" in self.tables:
            return float(self.tables["counts"]["before"].iloc[0])
        if self.model is None and "stances" in self.tables:
            table = self.tables["stances"]
            column = prob_column(self.rule.threshold, self.rule.benefit)
            return float(table.loc[table["stance"] == "weak", column].iloc[0])
        if isinstance(self.subject, Trial) and self.model is not None:
            from bayes_msc.sensitivity.refitting import Question

            question = Question.of(self.rule, progress=False)
            return float(question.refit([(self.model, self.subject)])["prob"].iloc[0])
        return float("nan")


def _of_priors(
    made: _Made, wanted: Sequence[str], asked: Mapping[str, Any], views: Mapping[str, Any]
) -> None:
    subject, model = made.subject, made.model

    def stances() -> None:
        table = stance_table(subject, model, **asked, **views)
        made.tables["stances"] = table
        made.statements["stances"] = _stances_words(table, made.rule)

    def cells() -> None:
        found = prior_map(subject, model, **asked, **views)
        made.tables |= {"prior_map": found.cells, "prior_map_stances": found.stances}
        made.statements["prior map"] = str(found)

    def needed() -> None:
        table = needed_prior(subject, model, **asked)
        made.tables["needed_prior"] = table
        made.statements["needed prior"] = " ".join(table["sentence"])

    def credible() -> None:
        names = ("analysis", "seed")
        found = credibility(subject, model, **{name: asked[name] for name in names})
        made.tables["credibility"] = found.to_frame()
        made.statements["credibility"] = found.sentence

    def scaled() -> None:
        found = power_scaling(subject, model, **asked)
        made.tables |= {
            "power_scaling": found.sensitivity,
            "power_scaling_refits": found.refits,
        }
        made.statements["power scaling"] = str(found)

    steps = zip(OF_PRIORS, (stances, cells, needed, credible, scaled), strict=True)
    for name, make in steps:
        if name in wanted:
            made.attempt(name, make)


def _stances_words(table: pd.DataFrame, rule: Rule) -> str:
    met = [str(name) for name in table.loc[table["rule_met"], "stance"]]
    if len(met) == len(table):
        return f"Under every stance the rule is met: {rule.words()}."
    return f"The rule, {rule.words()}, is met under: {', '.join(met) or 'no stance'}."


def _of_counts(
    made: _Made, wanted: Sequence[str], asked: Mapping[str, Any], grid: Mapping[str, Any]
) -> None:
    trial, model = made.subject, made.model
    assert isinstance(trial, Trial)
    assert model is not None

    def patients() -> None:
        table = leave_patients_out(trial, model, **asked)
        made.tables["patients"] = table
        made.statements["patients"] = _patients_words(table, made.rule)

    def counts() -> None:
        table = altered_count(trial, model, **asked)
        made.tables["counts"] = table
        made.statements["counts"] = fragility(table, made.rule)

    def unseen() -> None:
        if not (plan_of(trial).unseen > 0).any():
            made.skipped["drop-out"] = "everything that was planned was seen"
            return
        found = tipping_point(trial, model, **asked)
        made.tables |= {"tipping_curve": found.curve, "tipping_points": found.points}
        made.statements["drop-out"] = " ".join(found.points["words"])

    def carried() -> None:
        table = carryover_widths(trial, model, **asked)
        made.tables["carryover"] = table
        made.statements["carryover"] = _carryover_words(table, made.rule)

    def curve() -> None:
        found = specification_curve(trial, model, **asked, **grid)
        made.tables |= {
            "specifications": found.specifications,
            "choices": found.choices,
            "averages": found.averages,
            "left_out": found.left_out,
        }
        made.statements["specifications"] = found.statement

    steps = zip(OF_COUNTS, (patients, counts, unseen, carried, curve), strict=True)
    for name, make in steps:
        if name in wanted:
            made.attempt(name, make)


def _patients_words(table: pd.DataFrame, rule: Rule) -> str:
    left = table.iloc[1:].dropna(subset=["prob"])
    most = left.iloc[int(left["change"].abs().to_numpy().argmax())]
    turned = left.loc[left["rule_met"] != table["rule_met"].iloc[0], "left_out"]
    words = (
        f"{rule.statement} is {table['prob'].iloc[0]:.3f} with everybody. Without patient "
        f"{most['left_out']}, who had {most['share']:.0%} of all events, it is {most['prob']:.3f}: "
        "nobody matters more."
    )
    if not len(turned):
        return f"{words} No single patient turns the rule's answer."
    return f"{words} The rule's answer turns without {', '.join(map(str, turned))}."


def _carryover_words(table: pd.DataFrame, rule: Rule) -> str:
    probs = table.groupby("carryover", sort=False)["prob"].last().to_dict()
    words = f"{rule.statement} is {probs['none']:.3f} without carryover"
    if EITHER in probs:
        words += f", {probs[EITHER]:.3f} if anything may be carried over"
    return f"{words}, and {probs[FIRST]:.3f} from period 1 alone."
