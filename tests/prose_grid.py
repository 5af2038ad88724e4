"""What the answer says over a grid of results; run as a script, it writes the golden text anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bayes_msc.report import change_prose, prose

GOLDEN = Path(__file__).parent / "reference" / "prose.txt"
FEWER = prose.Words("MSC", "placebo", "lesions")
MORE = prose.Words("MSC", "placebo", "steps", "higher")
#: Probability of a rate ratio below 1, its median and its interval: from a clear gain over nothing
#: said to clear harm, and what only very small trials give.
RESULTS = (
    (0.9999, 0.10, 0.02, 0.40),
    (0.99, 0.30, 0.12, 0.90),
    (0.97, 0.40, 0.20, 1.01),
    (0.85, 0.60, 0.30, 1.30),
    (0.70, 0.80, 0.40, 1.60),
    (0.60, 0.95, 0.60, 1.50),
    (0.52, 0.98, 0.01, 60.0),
    (0.50, 1.00, 0.50, 2.00),
    (0.50, 1.001, 0.0001, 5000.0),
    (0.40, 1.05, 0.66, 1.66),
    (0.30, 1.30, 0.60, 2.90),
    (0.15, 1.60, 0.80, 3.20),
    (0.03, 1.997, 1.01, 4.00),
    (0.01, 3.20, 1.10, 9.00),
    (0.0001, 5.00, 2.00, 12.0),
)
OPINIONS = (
    {"sceptical": 0.82, "enthusiastic": 0.99, "vague": 0.96},
    {"sceptical": 0.997, "enthusiastic": 0.999},
    {"sceptical": 0.50, "enthusiastic": 0.52},
    {"sceptical": 0.02, "enthusiastic": 0.30},
    {"vague": 0.30, "weak": 0.33},
    {"mine": 0.41},
)


#: Probability of benefit as the analysis stands, and under other opinions and without patients;
#: NaN where the stored draws cannot tell.
LOST = float("nan")
CHANGES = (
    (0.999, {"sceptical": 0.997, "vague": 0.999}, {"P1": 0.998, "P2": 0.999}),
    (0.97, {"sceptical": 0.82, "enthusiastic": 0.99}, {"P1": 0.96, "P2": 0.97}),
    (0.97, {"sceptical": 0.96}, {"P1": 0.55, "P2": 0.97}),
    (0.85, {"sceptical": 0.70, "enthusiastic": 0.97}, {"P1": 0.45, "P2": LOST}),
    (0.70, {"sceptical": 0.68}, {"P1": 0.72, "P2": 0.66}),
    (0.52, {"sceptical": 0.51, "enthusiastic": 0.80}, {"P1": 0.50}),
    (0.50, {"sceptical": 0.50, "enthusiastic": 0.57}, {"P1": 0.48, "P2": 0.52}),
    (0.30, {"sceptical": 0.35, "enthusiastic": 0.62}, {"P1": 0.10}),
    (0.03, {"sceptical": 0.12}, {"P1": 0.03, "P2": 0.02}),
    (0.0001, {"sceptical": 0.001}, {"P1": 0.0001}),
    (0.85, {"sceptical": 0.84}, {"P1": LOST, "P2": LOST, "P3": LOST, "P4": LOST}),
    (0.85, {}, {"P1": LOST}),
    (0.85, {}, {}),
)
RANKED = (
    ("P(RR < 0.8)", "one patient left out", "without P2: 0.421", True),
    ("P(RR < 0.8)", "carryover", "common, SD 1: 0.911", False),
    ("P(RR > 1.25)", "the prior opinion (stances)", "enthusiastic: 0.31", False),
)


def changed(words: prose.Words) -> Iterator[str]:
    """Yield the sentence on what would change each answer."""
    for now, opinions, patients in CHANGES:
        moves = [change_prose.Move("prior", *item) for item in opinions.items()]
        moves += [change_prose.Move("patient", *item) for item in patients.items()]
        yield change_prose.what_would_change(now, moves, words)


def lines() -> Iterator[str]:
    """Yield each sentence of the grid."""
    for words in (FEWER, MORE):
        for below, median, lower, upper in RESULTS:
            chance = below if words.benefit == "lower" else 1 - below
            said = prose.benefit(chance, words)
            yield prose.sentence(f"{said}: {prose.estimate(median, lower, upper)}")
        for chances in OPINIONS:
            yield prose.opinions(dict(chances), words.active, words.benefit)
        yield from changed(words)
    for row in RANKED:
        yield change_prose.ranked(*row)


def text() -> str:
    """Return the golden text as it would be written now."""
    return "\n".join(lines()).replace(prose.NO_BREAK, " ") + "\n"


if __name__ == "__main__":
    GOLDEN.write_text(text(), encoding="utf-8")
