"""A whole trial: small ones against counting all cases, the founding one as bundled."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from itertools import pairwise, product
from statistics import stdev

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from bayes_msc.datasets import load_trial
from bayes_msc.errors import ReconstructionError
from bayes_msc.reconstruct import (
    Reconstruction,
    parse_paper,
    read_paper,
    reconstruct,
    regression_options,
    relaxations,
)
from bayes_msc.reconstruct.classes import Class, _hunted, class_of, matches
from bayes_msc.reconstruct.completion import Completion, in_class
from bayes_msc.reconstruct.coupling import Coupling
from bayes_msc.reconstruct.facts import fact
from bayes_msc.reconstruct.negative_binomial import Cells, fit
from bayes_msc.reconstruct.pieces import Skeleton, cell_values, sets_of, skeletons
from bayes_msc.reconstruct.ranks import mann_whitney, wilcoxon
from bayes_msc.reconstruct.whole import first_tables

SMALL = """
title = "three patients"
control = "placebo"
active = "drug"
scans = 2
months = [3, 6]
arms = [{name = "drug", first = "drug", n = 2}, {name = "placebo", first = "placebo", n = 1}]

[[summaries]]
quantity = "baseline"
of = ["drug", "placebo"]
mean = "1.67"
sd = "1.5?"

[[summaries]]
quantity = "change"
of = ["drug"]
mean = "0.5"
sd = "0.7"

[[summaries]]
quantity = "change"
of = ["placebo"]
mean = "1"

[[summaries]]
quantity = "total"
of = ["drug", "placebo"]
mean = "4.67"
sd = "3.?"
"""

ARMS = """
control = "placebo"
active = "drug"
arms = [{{name = "drug", first = "drug", n = 5}}, {{name = "placebo", first = "placebo", n = 4}}]

[[summaries]]
quantity = "total"
of = ["drug"]
mean = "2.40"
sd = "{sd}"
median = "2"

[[summaries]]
quantity = "total"
of = ["placebo"]
mean = "6.50"
sd = "4.20"
minimum = "2"

[[tests]]
kind = "mann-whitney"
quantity = "total"
compares = "arms"
p = "{p}"
variants = ["exact"]
"""


@pytest.fixture(scope="module")
def founding() -> Reconstruction:
    """About ten seconds: the whole inverse search."""
    return reconstruct("llufriu2014")


@pytest.fixture(scope="module")
def tied(founding: Reconstruction) -> list[Skeleton]:
    """Baselines and changes of the founding trial, tied together."""
    return skeletons(founding.paper)


def counted() -> Counter[tuple[tuple[int, int, int], ...]]:
    """Every data set of three named patients that prints like SMALL, by looking at all of them."""
    one = [(b, early, late) for b in range(6) for early in range(15) for late in range(15 - early)]
    found: Counter[tuple[tuple[int, int, int], ...]] = Counter()
    # two changes of mean 0.5 and SD 0.7 are 0 and 1
    stayed, last = ([x for x in one if x[2] - x[0] == change] for change in (0, 1))
    drugs = [*product(stayed, last), *product(last, stayed)]
    for (x, y), z in product(drugs, last):
        base = [x[0], y[0], z[0]]
        sums = [sum(p[1:]) for p in (x, y, z)]
        if sum(base) != 5 or sum(sums) != 14:
            continue
        if 1.495 <= stdev(base) <= 1.595 and 2.95 <= stdev(sums) <= 3.95:
            found[(*sorted([x, y]), z)] += 1
    return found


def test_a_small_trial_is_what_counting_all_cases_finds():
    expected = counted()
    found = reconstruct(parse_paper(SMALL, "small"))
    assert found.complete
    got = {}
    for data, orders in zip(found.datasets, found.orders, strict=True):
        drug = sorted(
            (row.baseline, row.totals[0] - row.end(1), row.end(1))
            for row in data if row.arm == "drug"
        )  # fmt: skip
        (last,) = (
            (row.baseline, row.totals[0] - row.end(1), row.end(1))
            for row in data if row.arm == "placebo"
        )  # fmt: skip
        got[(*drug, last)] = orders
    assert got == dict(expected)
    assert len(got) > 10
    assert found.n_labelled == sum(expected.values())


def test_draws_are_uniform_over_named_patients():
    found = reconstruct(parse_paper(SMALL, "small"))
    share = {
        data: k / found.n_labelled for data, k in zip(found.datasets, found.orders, strict=True)
    }
    draws = Counter(found.sample(6000, seed=2))
    assert set(draws) <= set(share)
    off = sum((draws[d] - 6000 * p) ** 2 / (6000 * p) for d, p in share.items())
    freedom = len(share) - 1
    assert off < freedom + 4.5 * math.sqrt(2 * freedom)


def test_an_independent_solver_finds_the_same_number():
    cp_model = pytest.importorskip("ortools.sat.python.cp_model")

    class Seen(cp_model.CpSolverSolutionCallback):
        def __init__(self) -> None:
            super().__init__()
            self.number = 0

        def on_solution_callback(self) -> None:
            self.number += 1

    model = cp_model.CpModel()
    n, top = 9, 42
    values = [model.new_int_var(0, top, f"v{i}") for i in range(n)]
    squares = [model.new_int_var(0, top * top, f"q{i}") for i in range(n)]
    for value, square in zip(values, squares, strict=True):
        model.add_multiplication_equality(square, [value, value])
    for a, b in pairwise(values):
        model.add(a >= b)
    model.add(values[4] == 0)
    model.add(sum(values) == 42)
    model.add(sum(squares) == 750)
    solver, seen = cp_model.CpSolver(), Seen()
    solver.parameters.enumerate_all_solutions = True
    solver.parameters.num_workers = 1
    solver.solve(model, seen)
    assert seen.number == len(sets_of(read_paper("llufriu2014").groups[0].summary)) == 3


def test_pieces_of_the_founding_trial(founding):
    paper = founding.paper
    assert [len(sets_of(group.summary)) for group in paper.groups[:3]] == [3, 2, 2]
    assert len(cell_values(paper, "change")) == 4
    rounded = replace(
        paper.groups[3].summary, facts={
            **paper.groups[3].summary.facts, "mean": fact("mean", "3", 0),
        },
    )  # fmt: skip
    assert len(cell_values(paper.with_group(3, rounded), "change")) == 6


@pytest.mark.parametrize(
    ("sd", "number", "labelled"), [("30.5", 671, 4.75e10), ("20.5", 4548, 3.48e14)]
)
def test_size_of_the_founding_trials_space(founding, tied, sd, number, labelled):
    paper = founding.paper
    for place, text in ((5, sd), (6, "20.02")):
        summary = paper.groups[place].summary.with_fact("sd", fact("SD", text))
        paper = paper.with_group(place, summary)
    coupling = Coupling(paper, tied)
    assert len(coupling.skeletons) == number
    assert coupling.n_labelled == pytest.approx(labelled, rel=0.002)
    assert len(set(coupling.sample(200))) == 200


def test_one_class_gives_all_fourteen_printed_figures(founding):
    (found,) = founding.classes
    assert found.arm_total("MSC-first") == 36
    assert found.arm_total("placebo-first") == 84
    assert sum(r.n_figures for r in founding.paper.regressions) == 14
    figures = founding.figures()
    regression = figures[figures["figure"].str.startswith("regression")]
    assert len(regression) == 14
    assert regression["agrees"].all()
    assert ("placebo-first", 16, True, 1) in found.cells


def test_six_complete_tables_and_they_are_the_bundled_ones(founding):
    assert len(founding.datasets) == 6
    assert founding.steps["number"].tolist()[-5:] == [1, 9516, 1165, 6, 6]
    columns = ["patient", "period", "scan", "month", "treatment", "count", "baseline"]
    for k in range(1, 7):
        bundled = load_trial("llufriu2014_reconstructed", candidate=k).data
        pd.testing.assert_frame_equal(
            founding.trial(k).data[columns], bundled[columns], check_dtype=False
        )
    assert founding.trial(1).provenance == "reconstruction"


def test_wilcoxon_leaves_one_of_four_first_periods(founding, tied):
    assert first_tables(founding.datasets) == 1
    own = in_class(tied, founding.classes[0])
    completion = Completion(Coupling(founding.paper, own), founding.classes[0])
    untested = list(completion.datasets(own))
    assert len(set(untested)) == len(untested) == 9516
    assert first_tables(untested) == 4


def test_other_kinds_of_regression_miss_figures_of_the_class(founding):
    found = founding.classes[0]
    expected = [replace(r, information="expected") for r in founding.paper.regressions]
    assert [matches(founding.paper, r, found) for r in expected] == [5, 5]
    assert all(
        matches(founding.paper, replace(r, scale=scale), found) < r.n_figures
        for r in founding.paper.regressions
        for scale in ("log1p", "sqrt", "none")
    )


@pytest.mark.slow
def test_one_of_eight_kinds_of_regression_fits(founding):
    table = regression_options(founding.paper).set_index(["scale", "information"])
    assert len(table) == 8
    assert table.loc[("linear", "observed"), "classes"] == 1
    assert table["classes"].sum() == 1


def test_the_expected_information_leaves_no_class(founding):
    table = regression_options(founding.paper, scales=["linear"], information=["expected"])
    assert table["classes"].tolist() == [0]
    with pytest.raises(ReconstructionError, match="no regression can be searched"):
        regression_options(replace(founding.paper, regressions=()))


def test_everything_is_labelled(founding):
    for table in (founding.steps, founding.table(), founding.figures()):
        assert (table["label"] == "reconstruction, not data").all()
    assert "reconstruction, not data" in repr(founding)
    assert "not data" in founding.trial(3).title


def test_the_real_patients_take_the_place_of_the_reconstruction(founding, tmp_path):
    given = load_trial("crossover_example")
    found = reconstruct("llufriu2014", patients=given)
    assert found.trials() == [given]
    assert found.label == given.label
    path = tmp_path / "patients.csv"
    founding.trial(1).data.to_csv(path, index=False)
    from_file = reconstruct("llufriu2014", patients=path)
    assert from_file.label == "data"
    assert from_file.trial().n_patients == 9


@pytest.mark.parametrize("information", ["observed", "expected"])
@pytest.mark.parametrize("kappa", [0.4, 1.0])
def test_regression_against_statsmodels(information, kappa):
    rng = np.random.default_rng(4)
    n = 11
    arm = np.array([0] * 6 + [1] * 5)
    base = rng.poisson(3, n).astype(float)
    count = rng.negative_binomial(2, 2 / (2 + np.exp(1 + 0.1 * base))).astype(float)
    offset = np.log(rng.integers(1, 4, n))
    centred = base - base.mean()
    got = fit(
        Cells(count, np.ones(n), centred, arm, offset), overdispersion=kappa,
        information=information,
    )  # fmt: skip
    design = np.column_stack([arm == 0, arm == 1, centred]).astype(float)
    family = sm.families.NegativeBinomial(alpha=kappa)
    result = sm.GLM(count, design, family=family, offset=offset).fit(tol=1e-14, maxiter=200)
    hessian = result.model.hessian(result.params, observed=information == "observed")
    spread = np.linalg.inv(-np.asarray(hessian))
    np.testing.assert_allclose(np.log(got.means), result.params[:2], rtol=1e-6)
    reach = 1.959964 * np.sqrt(np.diag(spread))[:2]
    np.testing.assert_allclose(np.log(got.lowers), result.params[:2] - reach, rtol=1e-5)
    contrast = np.array([1.0, -1.0, 0.0])
    z = contrast @ result.params / math.sqrt(contrast @ spread @ contrast)
    assert got.p == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-5)


def test_estimated_overdispersion_is_the_maximum():
    rng = np.random.default_rng(7)
    arm = np.array([0] * 10 + [1] * 10)
    count = rng.negative_binomial(1.5, 1.5 / (1.5 + 6.0), 20).astype(float)
    cells = Cells(count, np.ones(20), np.zeros(20), arm, np.zeros(20))
    got = fit(cells, overdispersion=None, information="observed", sloped=False)
    design = np.column_stack([arm == 0, arm == 1]).astype(float)
    result = sm.NegativeBinomial(count, design).fit(disp=0, method="bfgs", maxiter=500)
    assert got.overdispersion == pytest.approx(result.params[-1], rel=1e-3)
    np.testing.assert_allclose(np.log(got.means), result.params[:2], rtol=1e-4)


def test_inverse_search_finds_what_fitting_all_sums_finds():
    text = """
control = "placebo"
active = "drug"
scans = 2
arms = [{name = "drug", first = "drug", n = 3}, {name = "placebo", first = "placebo", n = 3}]
[[summaries]]
quantity = "total"
of = ["drug", "placebo"]
mean = "4.0"
sd = "3.0"
[[regressions]]
overdispersion = 1.0
information = "%s"
[regressions.means.drug]
mean = "3"
upper = "1?"
[regressions.means.placebo]
mean = "5"
"""
    cells = (
        ("drug", 5, False, 1, -1), ("drug", 0, False, 2, -1),
        ("placebo", 2, False, 1, -1), ("placebo", 0, False, 2, -1),
    )  # fmt: skip
    for information in ("observed", "expected"):
        paper = parse_paper(text % information, "small")
        (regression,) = paper.regressions
        got = {c.totals for c in _hunted(paper, regression, cells, np.zeros(4, np.int64), 24)}
        shape = tuple(cell[:4] for cell in cells)
        expected = {
            (a, b, c, 24 - a - b - c)
            for a, b, c in product(range(25), repeat=3)
            if a + b + c <= 24
            and matches(paper, regression, Class(shape, (a, b, c, 24 - a - b - c))) == 3
        }
        assert got == expected
        assert len(got) > 5


def test_a_class_of_a_data_set_is_its_sums(founding):
    assert class_of(founding.paper, 1, founding.datasets[0]) == founding.classes[0]


def test_exact_rank_tests_against_permutations():
    moved = (-4, -2, -2, 1, 3, 5, 5, 0)
    kept = np.array([m for m in moved if m])
    exact = stats.wilcoxon(kept, method=stats.PermutationMethod(n_resamples=np.inf)).pvalue
    assert wilcoxon(moved, "exact-ties") == pytest.approx(exact, abs=1e-12)
    one, two = (0, 1, 1, 5), (1, 2, 7, 7, 9)
    exact = stats.mannwhitneyu(one, two, method=stats.PermutationMethod(n_resamples=np.inf)).pvalue
    assert mann_whitney(one, two, "exact-ties") == pytest.approx(exact, abs=1e-12)
    assert wilcoxon((0, 0), "asymptotic") is None


def test_two_arms_by_their_own_summaries():
    found = reconstruct(parse_paper(ARMS.format(sd="2.07", p=".11"), "arms"))
    assert len(found.datasets) == 3
    trial = found.trial(1)
    assert trial.design == "parallel"
    assert trial.label == "reconstruction, not data"
    p = stats.mannwhitneyu(
        *(trial.data.loc[trial.data["treatment"] == arm, "count"] for arm in ("drug", "placebo")),
        method="exact",
    ).pvalue
    assert round(p, 2) == 0.11


def test_a_wrong_digit_is_found_and_named():
    paper = parse_paper(ARMS.format(sd="2.09", p=".11"), "arms")
    found = reconstruct(paper)
    assert not found.possible
    assert "mean 2.40 and SD 2.09 contradict each other" in found.why
    table = relaxations(paper)
    assert table["numbers"].tolist() == ["SD of total of drug"]
    assert table["how"].tolist() == ["2.07"]


def test_a_p_value_that_nothing_gives_is_found():
    table = relaxations(parse_paper(ARMS.format(sd="2.07", p=".31"), "arms"))
    assert table["numbers"].tolist() == ["p of mann-whitney of totals"]
    without = relaxations(parse_paper(ARMS.format(sd="2.07", p=".31"), "arms"), digits=False)
    assert "p of mann-whitney of totals" in without["numbers"].tolist()
    fits = relaxations(parse_paper(ARMS.format(sd="2.07", p=".11"), "arms"))
    assert fits["numbers"].tolist() == ["none"]


def test_a_long_search_says_how_long(monkeypatch):
    monkeypatch.setattr(import_module("bayes_msc.reconstruct.relaxing"), "MOST_SECONDS", 0.0)
    paper = parse_paper(ARMS.format(sd="2.09", p=".31"), "arms")
    with pytest.raises(ReconstructionError, match="hours: say yes=True"):
        relaxations(paper)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('quantity = "total"', 'quantity = "sum"', "unknown quantity 'sum'"),
        ('sd = "2.07"', 'sdd = "2.07"', "unknown key of a summary"),
        ('mean = "2.40"', "mean = 2.4", "decimals of mean 2.4 cannot be told"),
        ('of = ["drug"]', 'of = ["nobody"]', "unknown arm of a total 'nobody'"),
        ('kind = "mann-whitney"', 'kind = "sign"', "unknown test 'sign'"),
        ('control = "placebo"', "", "lacks 'control'"),
        ('of = ["placebo"]', 'of = ["drug"]', "are in two printed summaries"),
        ("[[tests]]", "[[tests", "is not TOML"),
        ('"exact"]', '"guess"]', "unknown variant"),
    ],
)
def test_bad_files_are_refused_with_the_repair(old, new, words):
    text = ARMS.format(sd="2.07", p=".11")
    assert old in text
    changed = text.replace(old, new, 1)
    if "two printed" in words:
        changed = changed.replace("n = 4", "n = 5")
    with pytest.raises(ReconstructionError, match=words):
        reconstruct(parse_paper(changed, "arms"))


def test_a_group_that_is_left_out_is_named():
    text = SMALL.replace('of = ["placebo"]', 'of = ["drug"]')
    with pytest.raises(ReconstructionError, match="no change is printed for placebo, period 1"):
        skeletons(parse_paper(text.replace('mean = "1"', 'mean = "0.5"\nsd = "0.7"'), "small"))
    with pytest.raises(ReconstructionError, match="unknown trial with printed counts"):
        read_paper("nobody")
    with pytest.raises(ReconstructionError, match="there is no file"):
        read_paper("nobody.toml")


def test_candidates_are_numbered_from_one(founding):
    with pytest.raises(ReconstructionError, match="there are 6"):
        founding.trial(7)


def test_figures_are_compared_exactly(founding):
    known = founding.paper.regressions[0].means["MSC-first", "mean"]
    assert known.holds(Fraction("3.15"))
    assert not known.holds(Fraction("3.1501"))
