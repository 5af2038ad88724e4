from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_msc.consistency import COLUMNS, VERDICTS, check_published, grim, grimmer
from bayes_msc.printed import Analysis, Arm, ArmResult, CountSummary, Estimate, Printed, Source
from bayes_msc.published import Published, load_published

P = Printed.parse


def paper(analysis, n=10, summaries=()):
    return Published(
        name="paper",
        title="A paper",
        question="?",
        endpoint="lesions",
        benefit="lower",
        follow_up="6 months",
        active=Arm("drug", n),
        control=Arm("placebo", n),
        source=Source("Somebody 2020"),
        certainty="high",
        analyses={"main": analysis},
        summaries=summaries,
    )


def verdicts(analysis, n=10):
    table = check_published(paper(analysis, n))
    return dict(zip(table["check"], table["verdict"], strict=True))


def ratio(value, lower, upper):
    return Estimate(P(value), P(lower), P(upper))


@pytest.mark.parametrize("name", ["llufriu2014", "mesems2021"])
def test_bundled_papers_agree_with_themselves(name):
    table = check_published(load_published(name))
    assert tuple(table.columns) == COLUMNS
    assert set(table["verdict"]) <= {"agrees", "not checkable"}
    assert table["meaning"].str.len().min() > 10


def test_founding_trial_counts():
    table = check_published(load_published("llufriu2014")).set_index(["analysis", "check"])
    baseline = "enhancing lesions at baseline, all patients"
    assert table.loc[(baseline, "SD of whole numbers"), "recomputed"] == (
        "sum 42, sum of squares 750"
    )
    p = table.loc[("without-locf", "p-value from both arms' limits")]
    assert p["recomputed"].startswith("0.0655")
    assert (table["verdict"] == "agrees").sum() == 15


def test_no_finding_on_a_right_paper():
    found = verdicts(Analysis(ratio=ratio("0.50", "0.25", "1.00"), p=P("0.050")))
    assert found == {
        "p-value from ratio's limits": "agrees",
        "symmetric limits, ratio": "agrees",
        "ratio's limits against p-value": "agrees",
    }


def test_wrong_p_value():
    found = verdicts(Analysis(ratio=ratio("0.50", "0.25", "1.00"), p=P("0.010")))
    assert found["p-value from ratio's limits"] == "differs"
    assert found["ratio's limits against p-value"] == "differs"
    assert found["symmetric limits, ratio"] == "agrees"


def test_inequality_p_value():
    wide = ratio("0.50", "0.25", "1.00")
    assert verdicts(Analysis(ratio=wide, p=P("<0.001")))["p-value from ratio's limits"] == "differs"
    narrow = ratio("0.50", "0.45", "0.56")
    found = verdicts(Analysis(ratio=narrow, p=P("<0.001")))
    assert found["p-value from ratio's limits"] == "agrees"


def test_asymmetric_limits():
    found = verdicts(Analysis(ratio=ratio("0.80", "0.25", "1.00")))
    assert found == {"symmetric limits, ratio": "differs"}


def test_ratio_is_not_that_of_the_means():
    arms = {
        "active": ArmResult(ratio("2.0", "1.0", "4.0")),
        "control": ArmResult(ratio("4.0", "2.0", "8.0")),
    }
    right = Analysis(**arms, means="adjusted", ratio=ratio("0.50", "0.19", "1.33"))
    wrong = replace(right, ratio=ratio("2.00", "0.75", "5.33"))
    assert set(verdicts(right).values()) == {"agrees", "not checkable"}
    found = verdicts(wrong)
    assert found["ratio of the means"] == "differs"
    assert found["ratio's limits against both arms' limits"] == "differs"


def test_overdispersed_events_are_explained():
    arm = {"means": "rate"}
    active = ArmResult(ratio("2.0", "0.5", "8.0"), 20, P("10"))
    control = ArmResult(ratio("4.0", "1.0", "16.0"), 40, P("10"))
    table = check_published(paper(Analysis(active=active, control=control, p=P("0.49"), **arm)))
    row = table.set_index("check").loc["both arms' limits against events and exposure"]
    assert row["verdict"] == "differs"
    assert "Poisson" in row["meaning"]


def test_raw_means_of_arms():
    arms = {
        "active": ArmResult(ratio("2.35", "1.0", "5.5")),
        "control": ArmResult(ratio("4.30", "2.0", "9.2")),
    }
    found = verdicts(Analysis(**arms, means="raw"))
    assert found["mean of whole numbers, drug"] == "impossible"
    assert found["mean of whole numbers, placebo"] == "agrees"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=30), st.integers(0, 3))
def test_true_counts_are_never_called_impossible(counts, digits):
    mean, sd = np.mean(counts), np.std(counts, ddof=1)
    printed = P(f"{mean:.{digits}f}"), P(f"{sd:.{digits}f}")
    assert grim(printed[0], len(counts))[2] != "impossible"
    assert grimmer(*printed, len(counts), signed=False)[2] == "agrees"


def test_every_verdict_against_enumeration():
    n, top = 3, 12
    possible = set()
    for values in product(range(top + 1), repeat=n):
        mean, sd = np.mean(values), np.std(values, ddof=1)
        possible.add((f"{mean:.2f}", f"{sd:.2f}"))
    means = {m for m, _ in possible}
    for hundredths in range(401):
        text = f"{hundredths / 100:.2f}"
        expected = "agrees" if text in means else "impossible"
        assert grim(P(text), n)[2] == expected
    # mean 1: sums of squares that three counts with sum 3 can have are 3, 5, 9
    for hundredths in range(250):
        text = f"{hundredths / 100:.2f}"
        found = grimmer(P("1.00"), P(text), n, signed=False)[2]
        if ("1.00", text) in possible:
            assert found == "agrees"
        elif found == "agrees":
            # parity and bounds are necessary, not sufficient: only 7 squares slip through
            assert text == f"{np.sqrt((7 - 3) / 2):.2f}"


@pytest.mark.parametrize(
    ("mean", "sd", "n", "signed", "verdict"),
    [
        ("4.67", "8.32", 9, False, "agrees"),
        ("4.67", "8.33", 9, False, "impossible"),  # parity
        ("4.66", "8.32", 9, False, "impossible"),  # no sum
        ("-2.78", "5.89", 9, True, "agrees"),
        ("1.00", "0.10", 4, False, "impossible"),
        ("0.25", "0.90", 4, False, "impossible"),  # more spread than counts allow
        ("0.25", "2.36", 4, True, "agrees"),
        ("3", "5.36", 1, False, "not checkable"),
        ("1e12", "1e12", 99, False, "not checkable"),
    ],
)
def test_grimmer(mean, sd, n, signed, verdict):
    assert grimmer(P(mean), P(sd), n, signed)[2] == verdict
    assert verdict in VERDICTS


def test_doctored_summary_is_a_row():
    wrong = CountSummary("lesions at baseline", 9, P("4.66"), P("8.32"))
    table = check_published(paper(Analysis(ratio=ratio("0.5", "0.25", "1.0")), summaries=(wrong,)))
    rows = table[table["analysis"] == "lesions at baseline"]
    assert list(rows["verdict"]) == ["impossible", "impossible"]
    assert "nearest: 41/9" in rows["recomputed"].iloc[0]
