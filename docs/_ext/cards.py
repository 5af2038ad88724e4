"""Pages rendered from the cards themselves, so that the docs cannot drift from the package.

Before the sources are read, ``docs/_generated`` is filled with one Markdown file for the model
cards, one each for the data sets, the prior stances, the calibration and the command's own help.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sphinx.application import Sphinx

import bayes_msc as bm
from bayes_msc.counts import FAMILIES
from bayes_msc.datasets import Card, load_card
from bayes_msc.parameters import family_parameters, parameter
from bayes_msc.terms import TERMS

ON_LOG_SCALE = ("log_rate", "log_rate_ratio", "period_effect", "carryover_effect")
COMMANDS = ("", "reanalyze", "fit", "sensitivity", "models", "datasets", "template", "report")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def fenced(text: str, kind: str) -> str:
    return f"````{kind}\n{text.rstrip()}\n````"


def folded(title: str, content: str) -> str:
    return f":::::{{dropdown}} {title}\n{content}\n:::::"


def model_cards() -> str:
    return "\n\n".join(_model(bm.Model.load(name)) for name in bm.Model.names())


def _model(model: bm.Model) -> str:
    card = (Path(bm.__file__).parents[1] / "models" / f"{model.name}.toml").read_text("utf-8")
    facts = [
        (
            "Family",
            f"{model.family}; variance given the patient: {FAMILIES[model.family].variance}",
        ),
        ("Design", "parallel or crossover" if model.design == "any" else model.design),
        ("Terms", ", ".join(model.terms)),
        ("Where the trial has the data", ", ".join(model.optional_terms) or "nothing more"),
        ("Patient effect", f"{model.patient_effect}, normal on the log scale"),
        ("Priors centred on the trial's counts", _centre(model)),
    ]
    return "\n\n".join(
        [
            f"({model.name})=\n## {model.name}",
            f"**{model.title}.** {model.summary}",
            "\n".join(f"- **{what}**: {words}" for what, words in facts),
            fenced(_predictor(model), "text"),
            table(("Parameter", "Prior, and where 95 % of it lies", "Why"), _priors(model)),
            "References:\n\n" + "\n".join(f"- {reference}" for reference in model.references),
            folded("The card itself", fenced(card, "toml")),
        ]
    )


def _centre(model: bm.Model) -> str:
    if model.log_rate_centre == "none":
        return "none"
    return "`log_rate`, on the log of all events over all exposure, both arms together"


def _predictor(model: bm.Model) -> str:
    terms = [TERMS[t].symbol for t in TERMS if t in (*model.terms, *model.optional_terms)]
    lines = ["log(mean) = log(exposure) + log_rate", *terms, "patient_effect"]
    return ("\n" + " " * 10 + "+ ").join(lines)


def _priors(model: bm.Model) -> Iterable[tuple[str, ...]]:
    terms = [TERMS[t].parameter for t in TERMS if t in (*model.terms, *model.optional_terms)]
    own = family_parameters(model.family, model.dispersion)
    for name in ("log_rate", *terms, *own, "patient_sd"):
        prior = model.priors[name]
        yield (
            f"`{name}`<br>{parameter(name).words}",
            f"{prior}<br>{_spread(name, prior)}",
            prior.why,
        )


def _spread(name: str, prior: bm.Prior) -> str:
    low, high = prior.interval()
    if name in ON_LOG_SCALE:
        return f"{np.exp(low):.2f}- to {np.exp(high):.1f}-fold"
    return f"{low:.2f} to {high:.2f}"


def data_sets() -> str:
    printed = [_published(bm.load_published(name)) for name in bm.published_names()]
    counted = [_trial(load_card(name)) for name in bm.trial_names()]
    return "\n\n".join(
        [
            "## Trials known by their printed numbers",
            *printed,
            "## Trials with the counts of every patient",
            *counted,
        ]
    )


def _published(published: bm.Published) -> str:
    rows = []
    for key, analysis in published.analyses.items():
        route, effect = published.effect(key)
        derived = f"{effect.log_rate_ratio:.3f} (SE {effect.se:.3f}), from {route}"
        rows.append((f"`{key}`", analysis.role, analysis.title, published.printed(key), derived))
    notes = "\n".join(f"- {note}" for note in published.notes)
    arms = " against ".join(
        f"{arm.label} (n = {arm.n})" for arm in (published.active, published.control)
    )
    header = ("Analysis", "Role", "What", "Printed", "Derived here: log rate ratio")
    return "\n\n".join(
        [
            f"({published.name})=\n### {published.name}",
            f"**{published.title}**",
            f"{published.question} {arms}; {published.endpoint}; {published.follow_up}. "
            f"Certainty of the numbers: {published.certainty}.",
            table(header, rows),
            notes,
            f"Source: {published.source.citation}, doi {published.source.doi}. "
            f"Read from {published.source.read_from}.",
        ]
    )


def _trial(card: Card) -> str:
    trial = bm.load_trial(card.name)
    arms = trial.arm_summary().round({"rate": 2})
    pieces = [
        f"({card.name})=\n### {card.name}",
        f"**{card.title}**",
    ]
    if trial.label:
        pieces.append(f":::{{warning}}\n**{trial.label.capitalize()}.**\n:::")
    pieces += [
        card.description,
        table(list(arms.columns), arms.astype(str).to_numpy().tolist()),
    ]
    if trial.warnings:
        notes = "\n".join(f"- {text}" for text in trial.warnings)
        pieces.append(f"What the package notes when it reads the table:\n\n{notes}")
    if card.argument:
        pieces += ["#### Why it is believed, and how far", card.argument]
    pieces.append(
        f"Certainty: {card.certainty}.\n\nLicence: {card.licence}.\n\nSource: {card.source}"
    )
    return "\n\n".join(pieces)


def prior_stances() -> str:
    rows = []
    for name, prior in bm.stances().items():
        low, high = np.exp(prior.interval())
        below = f"{float(prior.cdf(0.0)):.2f}"
        rows.append((name, str(prior), f"{low:.2g} to {high:.3g}", below, prior.why))
    header = ("Stance", "Log rate ratio", "95 % of the rate ratio", "P(RR < 1) before", "Why")
    return table(header, rows)


def command_help() -> str:
    environment = {**os.environ, "COLUMNS": "88", "NO_COLOR": "1", "TERM": "dumb"}
    pieces = []
    for command in COMMANDS:
        words = [command] if command else []
        done = subprocess.run(
            [sys.executable, "-m", "bayes_msc.cli", *words, "--help"],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        text = done.stdout.replace("python -m bayes_msc.cli", "bayes-msc")
        name = " ".join(["bayes-msc", *words])
        pieces.append(f"### {name}\n\n{fenced(text.strip(), 'text')}")
    return "\n\n".join(pieces)


def calibration(static: Path) -> str:
    """How uniform the ranks of each card are, with its figure; or that it was not run."""
    if not (static / "calibration.csv").exists():
        return "Not run for this edition."
    from bayes_msc.simulation.sbc import adjusted

    found = pd.read_csv(static / "calibration.csv")
    found["holm"] = adjusted(found["p"])
    by_card = {str(card): group for card, group in found.groupby("card", sort=False)}
    missing = [name for name in bm.Model.names() if name not in by_card]
    pages = [_all_cards(found, by_card), *(_one_card(c, group) for c, group in by_card.items())]
    if missing:
        pages.append(f"Not run for this edition: {', '.join(missing)}.")
    return "\n\n".join(pages)


def _all_cards(found: pd.DataFrame, by_card: dict[str, pd.DataFrame]) -> str:
    header = (
        "Card",
        "Trials",
        "of them by NUTS",
        "p, log rate ratio",
        "p, log likelihood",
        "smallest p of the card",
        "95 % interval of the rate ratio holds the truth",
    )
    rows = []
    for card, group in by_card.items():
        of = group.set_index("quantity")
        least = of["p"].idxmin()
        ratio = of.loc["log_rate_ratio"]
        p = [f"{of.loc[name, 'p']:.3f}" for name in ("log_rate_ratio", "log_likelihood")]
        smallest = f"{of.loc[least, 'p']:.4f} ({_words(str(least))})"
        rows.append((card, ratio["trials"], ratio["nuts"], *p, smallest, _coverage(ratio)))
    return f"{table(header, rows)}\n\n{_reading(found)}"


def _words(quantity: str) -> str:
    from benchmarks.calibration_figure import WORDS

    return WORDS[quantity]


def _coverage(row: pd.Series) -> str:
    ends = f"{100 * row['lower']:.1f} to {100 * row['upper']:.1f} %"
    return f"{row['inside']} of {row['trials']} ({ends})"


def _reading(found: pd.DataFrame) -> str:
    """How many comparisons there are, and what chance alone makes of them."""
    n = len(found)
    outside = found[found["p"] < 0.05]
    least = found.loc[found["p"].idxmin()]
    missed = (found["upper"] < 0.95) | (found["lower"] > 0.95)
    lost = int(found.groupby("card")["none"].max().sum())
    unchecked = int(found.groupby("card")["unchecked"].max().sum())
    trials = int(found.groupby("card")[["trials", "none"]].max().sum().sum())
    by_nuts = int(found.groupby("card")["nuts"].max().sum())
    strays = ", ".join(
        f"{_words(row.quantity)} of {row.card} (p {row.p:.4f})" for row in outside.itertuples()
    )
    corrected = f"{least['holm']:.2f}" if least["holm"] >= 0.01 else f"{least['holm']:.4f}"
    return (
        f"These are {n} comparisons in {found['card'].nunique()} cards. {len(outside)} sets of "
        f"ranks leave their band; by chance alone {0.05 * n:.0f} would. The smallest of {n} p is "
        f"{1 / (n + 1):.4f} on average when all is well, and in one case of twenty below "
        f"{-np.expm1(np.log(0.95) / n):.5f}; here it is {least['p']:.4f} "
        f"({_words(least['quantity'])} of {least['card']}), or {corrected} after Holm's correction "
        f"for their number. {f'Outside: {strays}.' if strays else ''}\n\n"
        f"Of the {n} coverages, {int(missed.sum())} have a 95 % interval that leaves out 95 %; by "
        f"chance alone at most {0.05 * n:.0f} would. Of all {trials} trials, {by_nuts} were fitted "
        f"by NUTS because the weights of importance sampling were not to be trusted; the checks of "
        f"{unchecked} of these failed, and they count like the others. Trials that neither engine "
        f"could fit: {lost}."
    )


def _one_card(card: str, group: pd.DataFrame) -> str:
    header = ("Quantity", "p of uniform ranks", "after Holm", "95 % interval holds the truth")
    rows = [
        (_words(row["quantity"]), f"{row['p']:.3f}", f"{row['holm']:.2f}", _coverage(row))
        for _, row in group.iterrows()
    ]
    first = group.iloc[0]
    engines = f"{first['fast']} trials by importance sampling, {first['nuts']} by NUTS"
    return f"""::::{{dropdown}} {card}
:::{{image}} _static/calibration-{card}.svg
:alt: Ranks of the true parameters in the posterior, for the card {card}
:class: figure
:width: 720px
:::

{engines}; largest count {first["largest"]:,}.

{table(header, rows)}
::::"""


def generate(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "_generated"
    folder.mkdir(exist_ok=True)
    pages = {
        "models.md": model_cards(),
        "datasets.md": data_sets(),
        "stances.md": prior_stances(),
        "commands.md": command_help(),
        "calibration.md": calibration(Path(app.srcdir) / "_static"),
    }
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", generate, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
