"""Make the README's figure and table from the package, so that every number has a command.

Run ``python scripts/readme_figure.py``: it draws ``docs/_static/founding-trial.svg`` and ``.png``
and writes the table between its two marks in ``README.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import bayes_msc as bm
from bayes_msc.evidence import hierarchy
from bayes_msc.plots import style, to_svg

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FIGURE = ROOT / "docs" / "_static" / "founding-trial"
START, END = "<!-- founding-trial: start -->", "<!-- founding-trial: end -->"
STANCES = ("vague", "weak", "sceptical", "enthusiastic")
PRINTED = "first period, as printed"
RECONSTRUCTED = "both periods: reconstruction, not data"
COLOURS = {PRINTED: style.BLUE, RECONSTRUCTED: style.GREEN}
CARD = "crossover-negative-binomial"
SEED = 1
GRID = np.linspace(np.log(0.02), np.log(5.0), 240)


@dataclass(frozen=True)
class Answer:
    """One row of the table and of the figure.

    Attributes
    ----------
    group : str
        What the answer rests on.
    name : str
        The prior, in a few words.
    ratio : tuple of float
        Median rate ratio, and its 95 % limits.
    probabilities : tuple of float
        Of a rate ratio below 1, 0.8 and 0.5.
    density : ndarray of float, shape (240,)
        Posterior density of the log rate ratio on ``GRID``.
    """

    group: str
    name: str
    ratio: tuple[float, float, float]
    probabilities: tuple[float, float, float]
    density: Any


def printed_answers() -> list[Answer]:
    """Exact answers from what the paper prints: four stances, then with the later trial."""
    published = bm.load_published("llufriu2014")
    result = bm.reanalyze(published, stances=STANCES)
    answers = []
    for stance in STANCES:
        rows = result.statements[result.statements["stance"] == stance]
        ratio = rows[rows["statement"] == "rate_ratio"].iloc[0]
        below = rows[rows["statement"] == "prob_rate_ratio_below"].set_index("threshold")
        density = result.densities[result.densities["stance"] == stance]
        answers.append(
            Answer(
                PRINTED,
                stance,
                (ratio["median"], ratio["lower"], ratio["upper"]),
                tuple(below.loc[[1.0, 0.8, 0.5], "probability"]),
                np.interp(GRID, density["log_rate_ratio"], density["posterior"]),
            )
        )
    together = result.external.set_index("target").loc["this trial"].iloc[0]
    effects = [published.effect()[1], *(t.effect()[1] for t in result.external_trials)]
    exact = hierarchy(
        [effect.log_rate_ratio for effect in effects],
        [effect.se for effect in effects],
        result.mu_prior,
        result.tau_priors[0],
    )
    answers.append(
        Answer(
            "together with MESEMS",
            "vague, tau ~ HalfNormal(0.5)",
            (together["rate_ratio"], together["lower"], together["upper"]),
            tuple(together[f"probability_below_{c}"] for c in ("1", "0.8", "0.5")),
            exact.trials[0].pdf(GRID),
        )
    )
    return answers


def patient_answer(fit: xr.DataTree) -> Answer:
    """Answer of a fit to the reconstructed counts of every patient."""
    from scipy.stats import gaussian_kde

    rows = bm.summarize(fit).set_index("statement")
    ratio = rows.loc["rate_ratio"]
    below = rows.loc["prob_rate_ratio_below"].set_index("threshold")
    draws = fit["posterior"]["log_rate_ratio"].to_numpy().ravel()
    return Answer(
        RECONSTRUCTED,
        "weak",
        (ratio["median"], ratio["lower"], ratio["upper"]),
        tuple(below.loc[[1.0, 0.8, 0.5], "probability"]),
        gaussian_kde(draws)(GRID),
    )


def fitted() -> xr.DataTree:
    """Fit of the crossover card to the reconstructed counts."""
    return bm.fit(bm.load_trial("llufriu2014_reconstructed"), CARD, seed=SEED)


def table(answers: Iterable[Answer]) -> str:
    """Return the README's table as Markdown."""
    lines = [
        "| Rests on | Prior | Rate ratio (95 %) | P(RR < 1) | P(RR < 0.8) | P(RR < 0.5) |",
        "|---|---|---|---|---|---|",
    ]
    for answer in answers:
        median, lower, upper = answer.ratio
        ratio = f"{median:.2f} ({lower:.2f} to {upper:.2f})"
        cells = (answer.group, answer.name, ratio, *(f"{p:.2f}" for p in answer.probabilities))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(answers: list[Answer]) -> Figure:
    """Draw the posterior of each answer, with the probability of fewer lesions beside it."""
    with style.look():
        figure = style.new_figure(4.3)
        axes = figure.subplots()
        style.ratio_axis(
            axes, GRID[0], GRID[-1], "rate ratio of gadolinium-enhancing lesions, MSC over placebo"
        )
        style.shade_benefit(axes)
        tallest = max(float(answer.density.max()) for answer in answers)
        for row, answer in enumerate(answers):
            _ridge(axes, len(answers) - 1 - row, answer, 0.82 / tallest)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_ylim(-0.25, len(answers) + 0.25)
        axes.text(GRID[0], len(answers) + 0.02, "fewer lesions on MSC", color=style.BLUE)
        axes.text(0.06, len(answers) + 0.02, "more lesions", color=style.GREY)
        axes.text(
            1.0,
            1.0,
            "probability\nof fewer",
            transform=axes.transAxes,
            ha="left",
            va="top",
            color=style.GREY,
        )
    return figure


def _ridge(axes: Any, base: int, answer: Answer, scale: float) -> None:
    colour = COLOURS.get(answer.group, style.ORANGE)
    top = base + answer.density * scale
    axes.fill_between(GRID, base, top, color=colour, alpha=0.22, linewidth=0)
    benefit = GRID <= 0
    axes.fill_between(GRID[benefit], base, top[benefit], color=colour, alpha=0.38, linewidth=0)
    axes.plot(GRID, top, color=colour, linewidth=1.3)
    axes.plot(np.log(answer.ratio[1:]), [base - 0.05] * 2, color=colour, linewidth=2)
    axes.plot(np.log(answer.ratio[0]), base - 0.05, "o", color=colour, markersize=4.5)
    axes.text(GRID[0], base + 0.34, answer.group, fontsize=7.5, color=style.GREY)
    axes.text(GRID[0], base + 0.1, f"prior: {answer.name}", fontsize=8.5)
    axes.annotate(
        f"{answer.probabilities[0]:.2f}",
        (1.03, base + 0.15),
        xycoords=("axes fraction", "data"),
        fontsize=11,
        color=colour,
        fontweight="bold",
    )


def replace_table(text: str, new: str) -> str:
    """Put the table between its marks in the README's text."""
    marked = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
    if not marked.search(text):
        raise SystemExit(f"{README} has no place for the table: {START} ... {END}")
    return marked.sub(lambda _: f"{START}\n{new}\n{END}", text)


def main() -> None:
    answers = [*printed_answers(), patient_answer(fitted())]
    figure = draw(answers)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    svg = FIGURE.with_suffix(".svg")
    svg.write_text(to_svg(figure, "founding-trial"), encoding="utf-8")
    figure.savefig(FIGURE.with_suffix(".png"), dpi=160, metadata={"Software": None})
    text = README.read_text(encoding="utf-8")
    README.write_text(replace_table(text, table(answers)), encoding="utf-8")
    print(table(answers))
    print("figure:", svg)


if __name__ == "__main__":
    main()
