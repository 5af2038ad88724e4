"""Wording follows the probability, in both directions, and always says the number."""

from __future__ import annotations

import itertools
import re

import numpy as np
import prose_grid
import pytest

from bayes_msc.prior import Prior
from bayes_msc.report import prose

WORDS = prose.Words("MSC", "placebo", "lesions")
MORE_IS_GOOD = prose.Words("MSC", "placebo", "steps", "higher")
GRID = np.round(np.linspace(0.001, 0.999, 999), 3)
BANDS = {
    0.999: "almost certainly",
    0.991: "almost certainly",
    0.99: "very probably",
    0.9611: "very probably",
    0.95: "very probably",
    0.94: "probably",
    0.8153: "probably",
    0.8: "probably",
    0.79: "perhaps",
    0.6: "perhaps",
    0.59: "",
    0.5: "",
}


@pytest.mark.parametrize(("probability", "expected"), BANDS.items())
def test_strength_is_the_same_in_both_directions(probability: float, expected: str) -> None:
    assert prose.strength(probability) == expected
    assert prose.strength(1 - probability) == expected


def test_strength_never_falls_as_belief_grows() -> None:
    order = ["", "perhaps", "probably", "very probably", "almost certainly"]
    ranks = [order.index(prose.strength(p)) for p in GRID[GRID >= 0.5]]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2, 3, 4}


def test_one_printed_percentage_has_one_wording_below_the_top() -> None:
    said: dict[str, set[str]] = {}
    for p in GRID[(GRID >= 0.5) & (GRID < 0.985)]:
        said.setdefault(prose.percent(p), set()).add(prose.strength(p))
    assert all(len(words) == 1 for words in said.values())


@pytest.mark.parametrize("words", [WORDS, MORE_IS_GOOD])
@pytest.mark.parametrize("probability", GRID[::7])
def test_benefit_names_direction_and_number(probability: float, words: prose.Words) -> None:
    text = prose.benefit(probability, words)
    assert prose.percent(probability) in text
    assert "significant" not in text
    if 0.41 < probability < 0.59:
        assert "cannot tell whether" in text
        assert "lowered or raised" in text
    elif probability > 0.61:
        assert f"{words.good} the rate" in text
        assert words.bad not in text
    elif probability < 0.39:
        assert f"{words.bad} the rate" in text
        assert f"probability that it {words.good} it" in text


def test_benefit_between_is_hedged() -> None:
    assert "more likely than not, but far from sure" in prose.benefit(0.7, WORDS)
    assert "more likely than not, but far from sure" in prose.benefit(0.3, WORDS)
    assert "far from sure" not in prose.benefit(0.9, WORDS)


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (0.0, "<1 %"),
        (0.004, "<1 %"),
        (0.006, "1 %"),
        (0.9611, "96 %"),
        (0.9949, "99 %"),
        (0.995, ">99 %"),
        (1.0, ">99 %"),
        (float("nan"), "unknown"),
    ],
)
def test_percent_is_whole_and_never_certain(probability: float, expected: str) -> None:
    assert prose.percent(probability).replace(prose.NO_BREAK, " ") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.2488, "0.25"),
        (1.093, "1.09"),
        (12.34, "12.3"),
        (134.2, "134"),
        (0.004, "<0.01"),
        (0.0, "0"),
        (5000.0, ">1000"),
        (float("nan"), "unknown"),
    ],
)
def test_ratio_is_not_over_precise(value: float, expected: str) -> None:
    assert prose.ratio(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.25, "75 % fewer"),
        (1.09, "9 % more"),
        (1.0, "neither fewer nor more"),
        (2.0, "2 times as many"),
        (1.997, "2 times as many"),
        (3.5, "3.50 times as many"),
        (12.0, "12 times as many"),
        (60.04, "60 times as many"),
        (0.001, ">99 % fewer"),
    ],
)
def test_change_says_fewer_or_more(value: float, expected: str) -> None:
    assert prose.change(value).replace(prose.NO_BREAK, " ") == expected


def test_estimate_gives_change_ratio_and_interval() -> None:
    text = prose.estimate(0.28, 0.07, 1.15).replace(prose.NO_BREAK, " ")
    for part in ("72 % fewer", "0.28", "93 % fewer to 15 % more", "95 % interval 0.07 to 1.15"):
        assert part in text


def test_opinions_set_sceptic_against_enthusiast() -> None:
    chances = {"vague": 0.961, "weak": 0.929, "sceptical": 0.815, "enthusiastic": 0.990}
    text = prose.opinions(chances, "MSC").replace(prose.NO_BREAK, " ")
    assert text.startswith("How far to believe it depends")
    assert re.search(r"sceptic.*82 %.*enthusiast.*99 %", text)


def test_opinions_when_priors_hardly_matter_or_are_ones_own() -> None:
    text = prose.opinions({"mine": 0.97, "yours": 0.99}, "MSC")
    assert text.startswith("What one believed before hardly matters")
    assert "“mine”" in text
    assert "“yours”" in text
    assert "Only one prior" in prose.opinions({"mine": 0.97}, "MSC")


@pytest.mark.parametrize(
    ("before", "after", "verb"),
    [(0.96, 0.88, "falls to"), (0.88, 0.96, "rises to"), (0.9, 0.91, "stays at")],
)
def test_moved(before: float, after: float, verb: str) -> None:
    assert prose.moved(before, after) == verb


def test_prediction_place_is_symmetric() -> None:
    for p in GRID[::11]:
        assert prose.prediction_place(p) == prose.prediction_place(1 - p)
    assert "outside" in prose.prediction_place(0.99)
    assert "outer" in prose.prediction_place(0.94)
    assert "well within" in prose.prediction_place(0.6)


def test_caveats_open_the_sentence() -> None:
    assert prose.caveat("reconstruction, not data") == "If the reconstruction is right"
    assert prose.caveat("simulated, not data") == "In this simulated example"
    assert prose.caveat("") == ""
    assert prose.sentence(prose.caveat(""), "progabide helps.") == "Progabide helps."
    assert prose.sentence("in this case", "it helps") == "In this case, it helps."


def test_small_words() -> None:
    assert prose.listed([]) == ""
    assert prose.listed(["a"]) == "a"
    assert prose.listed(["a", "b", "c"]) == "a, b and c"
    assert prose.cut(0.5) == "at least halved"
    assert prose.cut(0.8).replace(prose.NO_BREAK, " ") == "cut by at least 20 %"
    assert prose.notation(Prior.normal(-0.693147, 0.4214)) == "Normal(−0.693, 0.421)"
    mixed = Prior.normal_mixture([0.5, 0.5], [0.0, 1.0], [1.0, 2.0])
    assert "mixture of normals" in prose.notation(mixed)


def test_nobody_is_called_significant() -> None:
    texts = [
        prose.benefit(p, w) + prose.estimate(m, m / 2, m * 2)
        for p, w, m in itertools.product(GRID[::50], (WORDS, MORE_IS_GOOD), (0.2, 1.0, 3.0))
    ]
    assert not any(word in text for text in texts for word in ("significant", "p-value", "proved"))


def test_sentences_over_the_grid_read_as_they_were_approved() -> None:
    # after a change that is meant: python tests/prose_grid.py, and read what it wrote
    assert prose_grid.text() == prose_grid.GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "median", [*np.geomspace(0.001, 0.99, 20), 1.0, *np.geomspace(1.01, 1000, 20)]
)
def test_size_and_direction_agree_over_the_whole_range(median: float) -> None:
    lower, upper = median / 4, median * 4
    text = prose.estimate(median, lower, upper).replace(prose.NO_BREAK, " ")
    best = text.split("(rate ratio")[0]
    if median == 1:
        assert "neither fewer nor more" in best
    else:
        assert ("fewer" in best) == (median < 1)
        assert ("more" in best or "many" in best) == (median > 1)
    assert "100 %" not in text
    assert ">99 % more" not in text
    assert "nan" not in text


def test_enthusiast_hopes_for_what_is_good() -> None:
    chances = {"sceptical": 0.7, "enthusiastic": 0.9}
    assert "to be halved" in prose.opinions(chances, "MSC")
    assert "to be doubled" in prose.opinions(chances, "MSC", "higher")
