"""The page of an analysis of sensitivity: it stands alone, figures and tables within."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from bayes_msc import notebook
from bayes_msc.notebook import escaped, paragraph

if TYPE_CHECKING:
    from bayes_msc.sensitivity.whole import Sensitivity

#: Most rows of a table that are shown; the CSV has all.
SHOWN_ROWS = 15
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2430;--paper:#fff;--line:#c9d0da;--label:#7a4300}
@media (prefers-color-scheme:dark){
:root{--ink:#e8ebf0;--paper:#14181f;--line:#3b4453;--label:#f2b36b}
figure svg{background:#fff;border-radius:6px}}
body{font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:58rem;margin:2rem auto;padding:0 1rem}
h1{line-height:1.2;margin-bottom:.2rem}h2{margin-top:2.6rem}
figure{margin:1rem 0}svg{max-width:100%;height:auto}
.label{color:var(--label);font-weight:700}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.86rem}
td,th{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
@media print{body{max-width:none}h2{break-after:avoid}figure,tr{break-inside:avoid}}
"""


@dataclass(frozen=True)
class Part:
    """What a reader sees of one table.

    Attributes
    ----------
    title : str
        A question; empty where the table belongs to the part before it.
    about : str
        How to read figure and table.
    columns : mapping of str to str
        Headings by column; the rule's probability is ``prob``. None: the table is in its figure.
    said : str
        Which sentence of the analysis stands on top.
    """

    title: str
    about: str
    columns: Mapping[str, str]
    said: str = ""


_RATIO = {"median": "rate ratio", "lower": "from", "upper": "to"}
_PROBABILITY = {"prob": "probability", "mcse": "its error"}
_STANCES = {"stance": "prior opinion", "prior": "prior of the log rate ratio"}
PARTS: Mapping[str, Part] = {
    "stances": Part(
        "What if one had thought otherwise before?",
        "The answer under each prior opinion of the rate ratio, with its 95 % interval.",
        {**_STANCES, **_RATIO, "prob_below_1": "P(RR < 1)", "mcse_below_1": "its error"},
        "stances",
    ),
    "prior_map": Part(
        "Under which priors does the rule hold?",
        "Every point is a prior: across its median rate ratio, upwards its width.",
        {},
        "prior map",
    ),
    "needed_prior": Part("What would one have to believe?", "", {}, "needed prior"),
    "credibility": Part("Whom does the result convince?", "", {}, "credibility"),
    "power_scaling": Part(
        "How hard does each prior pull?",
        "Sensitivity to a prior or to the counts as each is made a little stronger; from 0.05 on "
        "it is worth a thought.",
        {
            "prior": "prior",
            "prior_sensitivity": "to the prior",
            "likelihood_sensitivity": "to the counts",
            "words": "in words",
        },
        "power scaling",
    ),
    "patients": Part(
        "Does one patient carry it?",
        "Each line is a fit of its own without that patient.",
        {"left_out": "without", "treatment": "order", "share": "share of events", **_RATIO}
        | _PROBABILITY,
        "patients",
    ),
    "counts": Part(
        "Does one count carry it?",
        "The smallest change of one count that turns the rule's answer; how far the search went.",
        {
            "patient": "patient",
            "period": "period",
            "scan": "scan",
            "treatment": "on",
            "count": "count",
            "change": "change that turns it",
            "searched": "searched up to",
            **_PROBABILITY,
        },
        "counts",
    ),
    "tipping_curve": Part(
        "What if the scans nobody saw were worse?",
        "Unseen events multiplied: 1 is as many as the seen ones foretell.",
        {"treatment": "unseen on", "delta": "times", **_PROBABILITY},
        "drop-out",
    ),
    "carryover": Part(
        "What if the treatment outlasted its period?",
        "The wider the prior of carryover, the less the second period can say of the treatment.",
        {"words": "carryover", **_RATIO, **_PROBABILITY},
        "carryover",
    ),
    "specifications": Part(
        "What if somebody else had analysed it?",
        "Every sensible combination of choices, sorted by its answer. The share that meets the "
        "rule is no probability: it counts analyses as if all were equally reasonable.",
        {},
        "specifications",
    ),
    "choices": Part(
        "",
        "Which choice matters: share of the variance of the probability that is due to it, and the "
        "mean distance that changing it alone makes.",
        {
            "choice": "choice",
            "options": "options",
            "total": "share of variance",
            "swing": "moves by",
        }
        | {"flips": "turns the answer (share)"},
    ),
    "averages": Part(
        "",
        "Averages over the specifications on the same counts.",
        {"rows": "rows", "unseen": "unseen scans", "weights": "weights", "rate_ratio": "rate ratio"}
        | _PROBABILITY,
    ),
}
RANKING = {
    "what": "what is changed",
    "lowest": "from",
    "highest": "to",
    "turns": "turns the answer",
    "extreme": "farthest",
}


def page(found: Sensitivity, pictures: Mapping[str, str]) -> str:
    """Put a page together.

    Parameters
    ----------
    found : Sensitivity
    pictures : mapping of str to str
        SVG by the name of its table; that of the ranking is ``what_moves``.
    """
    label = f'<p class="label">{escaped(found.label)}</p>' if found.label else ""
    head = [
        "<h1>What moves the conclusion</h1>",
        paragraph(found.name),
        label,
        paragraph(
            f"The rule: {found.rule.words()}. Each bar is how far one change moves the "
            "probability; an orange bar turns the rule's answer."
        ),
        _figure(pictures.get("what_moves", "")),
        _shown(found.ranking, RANKING),
    ]
    body = [_part(name, part, found, pictures) for name, part in PARTS.items()]
    skipped = notebook.points(f"{name}: {why}" for name, why in found.skipped.items())
    rest = f"<h2>Not made</h2>{skipped}" if skipped else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>What moves the conclusion: {escaped(found.name)}</title><style>{_STYLE}</style>"
        f"</head><body><main>{'\n'.join(filter(None, [*head, *body, rest]))}"
        "<p>All tables, with every column, are the CSV files beside this page.</p>"
        "</main></body></html>\n"
    )


def _part(name: str, part: Part, found: Sensitivity, pictures: Mapping[str, str]) -> str:
    table = found.tables.get(name)
    if table is None or not len(table):
        return ""
    said = found.statements.get(part.said, "")
    pieces = [
        f"<h2>{escaped(part.title)}</h2>" if part.title else "",
        paragraph(said) if said else "",
        _figure(pictures.get(name, "")),
        paragraph(part.about) if part.about else "",
        _shown(table, part.columns),
    ]
    return "\n".join(filter(None, pieces))


def _figure(svg: str) -> str:
    return f"<figure>{svg}</figure>" if svg else ""


def _shown(table: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """Return the columns that a reader needs, of the first rows."""
    known = {name: words for name, words in columns.items() if name in table}
    if not known or not len(table):
        return ""
    part = table.head(SHOWN_ROWS)[list(known)].rename(columns=known)
    for name in part.select_dtypes("bool").columns:
        part[name] = part[name].map({True: "yes", False: "no"})
    rest = len(table) - len(part)
    more = paragraph(f"{rest} more rows are in the CSV file.") if rest > 0 else ""
    return f'<div class="wide">{notebook.table(part)}</div>{more}'
