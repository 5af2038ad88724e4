"""One group: every route against counting all small cases, and against published figures."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations_with_replacement, product
from statistics import median, stdev

import numpy as np
import pytest

from bayes_msc.errors import ReconstructionError
from bayes_msc.reconstruct import reconstruct_group
from bayes_msc.reconstruct.conflicts import feasible
from bayes_msc.reconstruct.facts import fact
from bayes_msc.reconstruct.summary import GroupSummary


def brute_force(n, low, high, keep):
    """All multisets of n whole numbers from low to high for which ``keep`` is true."""
    return {
        tuple(sorted(values, reverse=True))
        for values in combinations_with_replacement(range(low, high + 1), n)
        if keep(values)
    }


def near(value, printed):
    """Whether a value rounds to the printed text, ties either way."""
    decimals = len(printed.partition(".")[2])
    return abs(value - float(printed)) <= 0.5 * 10**-decimals + 1e-12


CASES = [
    ((4, "2.5", "1.9"), {}, lambda v: near(sum(v) / 4, "2.5") and near(stdev(v), "1.9")),
    ((4, "2.5"), {"zeros": 1}, lambda v: near(sum(v) / 4, "2.5") and v.count(0) == 1),
    (
        (5, "3.0", "2.2"),
        {"median": "3", "minimum": 0, "maximum": 6},
        lambda v: near(sum(v) / 5, "3.0") and near(stdev(v), "2.2") and median(v) == 3
        and min(v) == 0 and max(v) == 6,
    ),
    (
        (4, "3.00", "2.4"),
        {"median": "2.5", "spread": 5},
        lambda v: near(sum(v) / 4, "3.00") and near(stdev(v), "2.4") and median(v) == 2.5
        and max(v) - min(v) == 5,
    ),
    (
        (4, "2.?", "1.9"),
        {},
        lambda v: 1.95 <= sum(v) / 4 <= 2.95 and near(stdev(v), "1.9"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("group", "more", "keep"), CASES)
def test_depth_first_finds_what_counting_finds(group, more, keep):
    found = reconstruct_group(*group, **more)
    expected = brute_force(group[0], 0, 14, keep)
    assert {tuple(int(v) for v in row) for row in found.multisets} == expected
    assert len(expected) > 0
    labelled = sum(
        math.factorial(group[0]) // math.prod(map(math.factorial, Counter(v).values()))
        for v in expected
    )
    assert found.n_labelled == labelled
    assert found.checks["agrees"].all()


def test_changes_may_be_below_zero():
    found = reconstruct_group(4, "-0.5", "2.9", signed=True, minimum="-4", maximum="?")
    expected = brute_force(
        4, -9, 9, lambda v: near(sum(v) / 4, "-0.5") and near(stdev(v), "2.9") and min(v) == -4
        and max(v) >= 0,
    )  # fmt: skip
    assert {tuple(int(v) for v in row) for row in found.multisets} == expected


@pytest.mark.parametrize(
    ("group", "multisets", "labelled"),
    [
        ((9, "13.33", "20.5"), 19_438, 1.56e9),
        ((9, "13.33", "30.5"), 331, None),
        ((9, "13.33", "10.5"), 122_209, None),
        ((9, "9.78", "20.02"), 45, None),
        ((9, "9.78", "10.02"), 2_496, None),
        ((12, "6.0", "5.0"), 24_188, 4.7e11),
        ((20, "3.0", "3.4"), 68_605, None),
    ],
)
def test_counts_of_an_earlier_implementation(group, multisets, labelled):
    found = reconstruct_group(*group)
    assert found.n_multisets == multisets
    assert found.checks["agrees"].all()
    if labelled:
        assert found.n_labelled == pytest.approx(labelled, rel=0.01)


def test_no_sum_of_squares_fits_an_impossible_sd():
    assert not reconstruct_group(9, "9.78", "30.02").possible


@pytest.mark.parametrize(
    ("sd", "labelled", "method"), [("12.0", 3.1e25, "dynamic"), ("12.0", 5.3e54, "tilted")]
)
def test_groups_too_large_to_list(sd, labelled, method):
    n = 20 if method == "dynamic" else 40
    found = reconstruct_group(n, "10.0", sd)
    assert found.method == method
    assert found.multisets is None
    assert found.n_labelled == pytest.approx(labelled, rel=0.15)
    assert found.checks["agrees"].all()
    rows = found.sample(50)
    assert (rows >= 0).all()
    assert all(near(row.mean(), "10.0") and near(row.std(ddof=1), sd) for row in rows)


def test_forty_patients_with_counts_up_to_two_hundred():
    found = reconstruct_group(40, "50.0", "29.0", median="45", minimum=0, maximum=190)
    assert found.possible
    rows = found.sample(20)
    assert (rows.max(axis=1) == 190).all()
    assert (rows.min(axis=1) == 0).all()
    assert all(near(np.median(row), "45") for row in rows)


@pytest.mark.parametrize("method", ["depth-first", "dynamic", "tilted"])
def test_every_method_draws_uniformly(method):
    """Frequencies of draws against the exact probabilities, by chi-square."""
    found = reconstruct_group(6, "2.0", "1.8", method=method)
    exact = reconstruct_group(6, "2.0", "1.8")
    probability = {
        tuple(row[:6]): row[6] / exact.n_labelled
        for row in exact.listed().drop(columns="label").to_numpy().tolist()
    }
    assert found.n_labelled == pytest.approx(exact.n_labelled, rel=0.15)
    draws = Counter(tuple(row) for row in found.sample(4000, seed=3).tolist())
    assert set(draws) <= set(probability)
    off = sum((draws[k] - 4000 * p) ** 2 / (4000 * p) for k, p in probability.items())
    # importance draws are drawn again from about a thousand effective ones
    inflation = 5.0 if method == "tilted" else 1.0
    freedom = len(probability) - 1
    assert off / inflation < freedom + 4.5 * math.sqrt(2 * freedom)


def test_draws_under_a_model_are_the_model_given_the_summary():
    found = reconstruct_group(4, "2.5", "1.9")

    def poisson(values):
        return np.array([2.5**v / math.factorial(v) for v in values])

    draws = Counter(tuple(row) for row in found.sample(20_000, probability=poisson).tolist())
    table = found.listed()
    mass = {
        tuple(row): orders * float(np.prod(poisson(row)))
        for row, orders in zip(found.multisets.tolist(), table["orders"].tolist(), strict=True)
    }
    for row, weight in mass.items():
        expected = weight / sum(mass.values())
        assert draws[row] / 20_000 == pytest.approx(
            expected, abs=4.5 * math.sqrt(expected / 20_000)
        )


def test_multisets_can_be_drawn_uniformly():
    found = reconstruct_group(4, "2.5", "1.9")
    draws = Counter(tuple(row) for row in found.sample(9000, weights="multiset").tolist())
    share = 1 / found.n_multisets
    assert all(abs(count / 9000 - share) < 5 * math.sqrt(share / 9000) for count in draws.values())
    assert len(draws) == found.n_multisets


@pytest.mark.parametrize("n", [2, 3, 4])
def test_feasibility_is_right_for_every_small_summary(n):
    """GRIM and GRIMMER together: every printed pair, against all sets of counts up to 8."""
    reachable = set()
    for values in combinations_with_replacement(range(9), n):
        if sum(values) <= 2 * n:
            reachable.add((f"{sum(values) / n:.2f}", f"{stdev(values):.1f}"))
    checked = 0
    for mean, sd in product((f"{k / 100:.2f}" for k in range(0, 180, 5)), ("0.5", "0.9", "1.2")):
        fits = feasible(GroupSummary.of(n, mean, sd, decimals=2))
        if (mean, sd) in reachable:
            assert fits
        if fits:
            some = reconstruct_group(n, mean, sd).multisets[0]
            assert near(some.mean(), mean)
            assert near(stdev(some.tolist()), sd)
        checked += 1
    assert checked == 108


def test_an_impossible_mean_is_named_with_its_repair():
    found = reconstruct_group(9, "4.66", "8.32")
    assert not found.possible
    assert "no 9 whole numbers have a mean 4.66" in found.why
    assert "4.67" in found.corrections().iloc[0]["would_fit"]
    with pytest.raises(ReconstructionError, match=r"mean 4\.66"):
        found.sample(3)
    with pytest.raises(ReconstructionError, match="nothing can be reconstructed"):
        found.listed()


def test_the_two_numbers_that_contradict_each_other_are_named():
    found = reconstruct_group(9, "4.67", "8.32", median="3", maximum="9")
    assert "SD 8.32 and median 3 contradict each other" in found.why
    assert "SD 8.32 and maximum 9 contradict each other" in found.why
    assert "impossible" in found.words()
    corrected = found.corrections()
    assert corrected["number"].tolist() == ["SD"]
    assert reconstruct_group(9, "4.67", corrected["would_fit"][0], median="3", maximum="9").possible


def test_ties_may_have_been_rounded_either_way():
    assert reconstruct_group(4, "6.8").possible
    assert reconstruct_group(4, "6.7").possible
    assert 27 in GroupSummary.of(4, "6.8").facts["mean"].whole_numbers(4)


def test_a_lost_digit_is_any_digit():
    assert {float(low + high) / 2 for low, high in fact("SD", "?0.5").intervals} == {
        10.5, 20.5, 30.5, 40.5, 50.5, 60.5, 70.5, 80.5, 90.5,
    }  # fmt: skip
    assert fact("maximum", "?", whole=True).whole_numbers() == set(range(10))
    several = reconstruct_group(9, "13.33", "?0.5")
    assert several.n_multisets == 19_438 + 331 + 122_209


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 9, "mean": 4.67, "sd": "8.32"}, "decimals of mean 4.67 cannot be told"),
        ({"n": 9, "mean": 3, "sd": "5.36"}, "decimals of mean 3 cannot be told"),
        ({"n": 9, "mean": "3", "sd": "5.36"}, "were zeros dropped from 3.00"),
        ({"n": 9, "mean": "4.00", "sd": "0.00"}, "all 9 counts would be the same"),
        ({"n": 9, "mean": "4.0", "minimum": 5, "maximum": 3}, "minimum 5 and maximum 3 contradict"),
        ({"n": 9, "mean": "4.0", "minimum": 5}, "minimum 5 and mean 4.0 contradict"),
        ({"n": 9, "mean": "4.0", "zeros": 2, "minimum": 1}, "zeros 2 and minimum 1 contradict"),
        ({"n": 9, "mean": "4.0", "zeros": 10}, "zeros 10 and n 9 contradict"),
        ({"n": 9, "mean": "-4.0"}, "say signed=True"),
        ({"n": 9, "mean": "4.0", "sd": "-1.0"}, "SD -1.0 is below 0"),
        ({"n": 0, "mean": "4.0"}, "n is 0"),
        ({"n": 41, "mean": "4.0"}, "n is 41"),
        ({"n": 9, "mean": "four"}, "is not a number"),
        ({"n": 9, "mean": "<4"}, "an inequality cannot be used"),
        ({"n": 9, "mean": "????"}, "has lost 4 digits"),
        ({"n": 9, "mean": "4.0", "method": "guess"}, "unknown method"),
        ({"n": 9, "mean": "4.0", "signed": True}, "give the SD"),
        ({"n": 9, "mean": "4.00", "decimals": 1}, "shows 2 decimals"),
        ({"n": 40, "mean": "50.0", "sd": "29.0", "method": "dynamic"}, "GB: use method='tilted'"),
    ],
)
def test_bad_input_is_refused_with_the_repair(arguments, words):
    with pytest.raises(ReconstructionError, match=words.replace("(", r"\(")):
        reconstruct_group(**arguments)


def test_decimals_settle_what_the_digits_leave_open():
    as_printed = reconstruct_group(9, "3", "5.36", decimals=2, signed=True)
    rounded = reconstruct_group(9, "3", "5.36", decimals=0, signed=True)
    assert as_printed.summary.bands()[0].total == 27
    assert {band.total for band in rounded.summary.bands()} > {27}
    in_numbers = reconstruct_group(9, 4.67, 8.32, decimals=2)
    assert in_numbers.n_multisets == reconstruct_group(9, "4.67", "8.32").n_multisets


def test_an_sd_of_zero_can_be_meant():
    found = reconstruct_group(5, "2.0", "0.0", all_equal=True)
    assert found.multisets.tolist() == [[2, 2, 2, 2, 2]]


def test_everything_says_that_it_is_no_data():
    found = reconstruct_group(4, "2.5", "1.9")
    assert found.label == "reconstruction, not data"
    assert (found.listed()["label"] == "reconstruction, not data").all()
    assert "reconstruction, not data" in found.words()
