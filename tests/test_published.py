import math
from contextlib import suppress
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayes_msc.errors import OutputError, PublishedError
from bayes_msc.printed import Analysis, Arm, ArmResult, CountSummary, Estimate, Printed, Source
from bayes_msc.published import (
    Published,
    load_published,
    parse_published,
    published_names,
    read_published,
)
from bayes_msc.routes import ROUTES, open_routes, routes

P = Printed.parse


def ratio(value, lower=None, upper=None):
    return Estimate(P(value), lower and P(lower), upper and P(upper))


def published(analyses, **changes):
    numbers = {
        "name": "example",
        "title": "An example",
        "question": "Does it work?",
        "endpoint": "lesions",
        "benefit": "lower",
        "follow_up": "6 months",
        "active": Arm("drug", 10),
        "control": Arm("placebo", 12),
        "source": Source("Somebody 2020"),
        "certainty": "high",
        "analyses": analyses,
    }
    return Published(**(numbers | changes))


# printed digits


@pytest.mark.parametrize(
    ("given_text", "low", "high"),
    [
        ("1.50", 1.495, 1.505),
        ("1.5", 1.45, 1.55),
        (".065", 0.0645, 0.0655),
        ("0·94", 0.935, 0.945),
        ("−2.78", -2.785, -2.775),
        (3, 2.5, 3.5),
        (Decimal("3.10"), 3.095, 3.105),
        ("<0.001", -math.inf, 0.001),
    ],
)
def test_rounding_interval(given_text, low, high):
    printed = P(given_text)
    assert (printed.low, printed.high) == (low, high)


def test_a_tie_rounds_either_way():
    assert P("6.8").allows(6.75, 6.75)
    assert P("6.7").allows(6.75, 6.75)
    assert not P("6.9").allows(6.75, 6.75)


@pytest.mark.parametrize(
    "wrong",
    ["", "two", "1.5.2", "nan", "inf", "1e99", True, None, [1], 10**4000, "1_000", "9" * 99],
)
def test_not_a_printed_number(wrong):
    with pytest.raises(PublishedError, match="number"):
        P(wrong)


# routes


def test_bundled_trials():
    assert published_names() == ("llufriu2014", "mesems2021")
    for name in published_names():
        assert load_published(name).name == name


def test_founding_trial_without_locf():
    trial = load_published("llufriu2014")
    assert trial.preferred == "without-locf"
    route, effect = trial.effect()
    assert route == "both arms' limits"
    assert effect.log_rate_ratio == pytest.approx(-1.391, abs=5e-4)
    assert effect.se == pytest.approx(0.755, abs=5e-4)
    assert effect.p_value == pytest.approx(0.0655, abs=5e-5)
    assert trial.effect("locf")[1].log_rate_ratio == pytest.approx(-1.378, abs=5e-4)
    assert trial.related_trial == "llufriu2014_reconstructed"
    assert trial.external == ("mesems2021",)


def test_external_trial():
    trial = load_published("mesems2021")
    route, effect = trial.effect()
    assert route == "ratio's limits"
    assert effect.log_rate_ratio == pytest.approx(math.log(0.94))
    assert effect.se == pytest.approx(math.log(1.50 / 0.58) / (2 * 1.959964), rel=1e-6)
    assert (trial.active.n, trial.control.n) == (69, 75)


def test_route_by_p_value_is_the_inverse_of_the_wald_test():
    (route, effect), *rest = open_routes(Analysis(ratio=ratio("0.50"), p=P("0.040")))
    assert route.name == "p-value"
    assert not rest
    assert effect.p_value == pytest.approx(0.04, rel=1e-12)


def test_route_by_events_is_poisson():
    arms = {
        "active": ArmResult(events=8, exposure=P("20")),
        "control": ArmResult(events=18, exposure=P("25")),
    }
    ((route, effect),) = open_routes(Analysis(**arms))
    assert "Poisson" in route.why
    assert effect.log_rate_ratio == pytest.approx(math.log((8 / 20) / (18 / 25)))
    assert effect.se == pytest.approx(math.sqrt(1 / 8 + 1 / 18))


def test_other_confidence_level():
    (_, narrow), *_ = open_routes(Analysis(ratio=ratio("0.5", "0.2", "1.25"), level=0.99))
    assert narrow.se == pytest.approx(math.log(1.25 / 0.2) / (2 * 2.5758293), rel=1e-6)


def test_order_of_preference_and_one_used_row():
    arm = ArmResult(estimate=ratio("2.0", "1.0", "4.0"), events=20, exposure=P("10"))
    full = Analysis(
        active=arm, control=arm, means="rate", ratio=ratio("0.9", "0.4", "2.0"), p=P("0.8")
    )
    trial = published({"all": full})
    assert [r.name for r in routes(full)] == list(ROUTES)
    table = trial.routes()
    assert list(table["route"][table["used"]]) == ["ratio's limits"]
    assert list(table.columns[:6]) == ["analysis", "route", "log_rate_ratio", "se", "used", "why"]


@pytest.mark.parametrize(
    ("analysis", "reason"),
    [
        (Analysis(ratio=ratio("0.5")), "without limits"),
        (Analysis(ratio=ratio("0.5"), p=P("<0.001")), "fixes no standard error"),
        (Analysis(ratio=ratio("1.0"), p=P("0.9")), "ratio is 1"),
        (
            Analysis(
                active=ArmResult(events=0, exposure=P("5")),
                control=ArmResult(events=3, exposure=P("5")),
            ),
            "no events",
        ),
    ],
)
def test_closed_routes_say_why(analysis, reason):
    with pytest.raises(PublishedError, match=reason):
        published({"only": analysis})


@settings(max_examples=60, deadline=None)
@given(st.floats(0.05, 20), st.floats(0.05, 1.5), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_ranges_hold_whatever_was_rounded(centre, se, digits, seed):
    limits = [centre * math.exp(k * 1.959964 * se) for k in (-1, 0, 1)]
    lower, value, upper = (f"{x:.{digits}f}" for x in limits)
    if float(lower) == 0 or float(lower) == float(upper):
        return
    analysis = Analysis(ratio=Estimate(P(value), P(lower), P(upper)))
    ((_, effect),) = open_routes(analysis)
    assert effect.se_range[0] - 1e-6 <= se <= effect.se_range[1] + 1e-6
    low, high = effect.log_rate_ratio_range
    assert low - 1e-9 <= math.log(centre) <= high + 1e-9
    p = math.erfc(abs(math.log(centre) / se) / math.sqrt(2))
    assert effect.p_range[0] - 1e-6 <= p <= effect.p_range[1] + 1e-6
    rng = np.random.default_rng(seed)
    for a, b in zip(rng.random(20), rng.random(20), strict=True):
        inside_low = analysis.ratio.lower.low + a * float(2 * analysis.ratio.lower.half_unit)
        inside_high = analysis.ratio.upper.low + b * float(2 * analysis.ratio.upper.half_unit)
        candidate = math.log(inside_high / inside_low) / (2 * 1.959963984540054)
        assert candidate <= effect.se_range[1] + 1e-9


# pieces that cannot be


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ratio("0.5", "0.2"), "one confidence limit"),
        (lambda: ratio("0.5", "0.6", "0.9"), "out of order"),
        (lambda: ratio("0.5", "0.5", "0.5"), "out of order"),
        (lambda: ratio("0"), "log scale"),
        (lambda: ratio("<0.5"), "log scale"),
        (lambda: ArmResult(), "nothing is printed"),
        (lambda: ArmResult(events=3), "belong together"),
        (lambda: ArmResult(events=-3, exposure=P("1")), "0 or more"),
        (lambda: ArmResult(events=3, exposure=P("0")), "above 0"),
        (lambda: Analysis(), "nothing to compare"),
        (lambda: Analysis(active=ArmResult(ratio("1"))), "one arm is missing"),
        (lambda: Analysis(ratio=ratio("1"), level=95), "level"),
        (lambda: Analysis(ratio=ratio("1"), p=P("1.2")), "between 0 and 1"),
        (lambda: Analysis(ratio=ratio("1"), certainty="sure"), "several copies agree"),
        (
            lambda: Analysis(active=ArmResult(ratio("1")), control=ArmResult(ratio("1"))),
            "means is ''",
        ),
        (lambda: CountSummary("x", 0, P("1")), "n is 0"),
        (lambda: CountSummary("x", 5, P("-1")), "signed"),
        (lambda: CountSummary("x", 5, P("1"), P("-1")), "sd is -1"),
        (lambda: CountSummary("x", 5, P("1"), certainty="?"), "certainty"),
    ],
)
def test_impossible_pieces(make, words):
    with pytest.raises(PublishedError, match=words):
        make()


GOOD = {"only": Analysis(ratio=ratio("0.5", "0.2", "1.25"))}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"benefit": "fewer"}, "choose 'lower' or 'higher'"),
        ({"certainty": "H"}, "certainty"),
        ({"name": " "}, "name: is empty"),
        ({"active": Arm("drug", 0)}, "n is 0"),
        ({"control": Arm("drug", 3)}, "two labels"),
        ({"analyses": {}}, "at least one"),
        ({"preferred": "other"}, "choose one of the analyses only"),
        ({"analyses": {**GOOD, "second": GOOD["only"]}}, "preferred is ''"),
        ({"analyses": {**GOOD, "b": GOOD["only"]}, "preferred": "b"}, "preferred_reason"),
        ({"external": ("mesems2021",)}, "external_reason"),
    ],
)
def test_impossible_trials(changes, words):
    with pytest.raises(PublishedError, match=words):
        published(changes.pop("analyses", GOOD), **changes)


def test_unknown_analysis_lists_known():
    with pytest.raises(PublishedError, match=r"unknown analysis .*locf, without-locf"):
        load_published("llufriu2014").analysis("per-protocol")


def test_text_forms():
    trial = load_published("llufriu2014")
    assert "1.53 (0.53-4.42) against 6.15 (2.19-17.28), p .065" in str(trial)
    assert "<strong>" in trial._repr_html_()
    nasty = published(GOOD, title="<script>alert(1)</script>")
    assert "<script>" not in nasty._repr_html_()


# TOML


def numbers(low, high):
    return st.integers(low, high).map(lambda k: P(str(Decimal(k) / 100)))


estimates = st.tuples(st.integers(1, 500), st.integers(0, 500), st.integers(1, 500)).map(
    lambda t: Estimate(*(P(str(Decimal(v) / 100)) for v in (t[0] + t[1], t[0], sum(t))))
)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=30)
filled = words.filter(lambda w: w.strip())
arms = st.builds(ArmResult, estimates, st.none()) | st.builds(
    ArmResult, estimates, st.integers(1, 99), numbers(1, 9999)
)
analyses = st.builds(
    Analysis,
    title=words,
    where=words,
    active=arms,
    control=arms,
    means=st.sampled_from(["raw", "adjusted", "rate"]),
    ratio=st.none() | estimates,
    p=st.none() | numbers(0, 100) | st.just(P("<0.001")),
    level=st.sampled_from([0.9, 0.95, 0.99]),
    certainty=st.sampled_from(["high", "medium", "low", "derived"]),
)
summaries = st.builds(
    CountSummary, filled, st.integers(1, 99), numbers(0, 9999), st.none() | numbers(0, 999)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(filled, analyses, min_size=1, max_size=3),
    st.lists(summaries, max_size=3).map(tuple),
    st.lists(words, max_size=3).map(tuple),
    st.sampled_from(["lower", "higher"]),
)
def test_toml_round_trip(analyses, summaries, notes, benefit):
    trial = published(
        analyses,
        preferred=next(iter(analyses)),
        preferred_reason="because",
        summaries=summaries,
        notes=notes,
        benefit=benefit,
    )
    again = parse_published(trial.to_toml())
    assert again == trial
    assert again.sha256 == trial.sha256


@pytest.mark.parametrize("name", ["llufriu2014", "mesems2021"])
def test_bundled_round_trip_through_a_file(name, tmp_path):
    trial = load_published(name)
    path = trial.write(tmp_path / "card.toml")
    assert read_published(path) == trial
    assert [p.name for p in tmp_path.iterdir()] == ["card.toml"]
    with pytest.raises(OutputError, match="overwrite"):
        trial.write(path)
    assert trial.write(path, overwrite=True) == path


def test_unwritable(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        load_published("mesems2021").write(tmp_path / "none" / "card.toml")


def test_unquoted_numbers_keep_their_digits():
    text = (
        load_published("mesems2021").to_toml().replace('"1.50"', "1.50").replace('"0.78"', "0.78")
    )
    assert parse_published(text) == load_published("mesems2021")


CARD = load_published("mesems2021").to_toml()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('benefit = "lower"\n', "", "the key 'benefit' is missing"),
        ('benefit = "lower"', "benefit = 1", "text in quotes"),
        ('benefit = "lower"', 'benefit = "lower"\nbenifit = 2', "unknown key 'benifit'.*benefit"),
        ("n = 69", 'n = "69"', "whole number"),
        ("n = 69", "n = 6.5", "whole number"),
        ("n = 69", "n = true", "whole number"),
        ("n = 69", "n = 99999999999999", "below 1e9"),
        ('estimate = "0.94"', "estimate = true", "not a number"),
        ('estimate = "0.94"', 'mean = "0.94"', "unknown key 'mean'"),
        ('estimate = "0.94"', 'estimate = "9.4"', "out of order"),
        ('p = "0.78"', "p = nan", "finite"),
        ("level = 0.95", "level = nan", "finite number"),
        ("level = 0.95", 'level = "95 %"', "number is needed"),
        ("[analyses.primary.ratio]", "[analyses.primary.odds]", "unknown key 'odds'.*ratio"),
        ("[active]", "[[active]]", "table with the keys label, n"),
        ("name = ", "external = 3\nname = ", "list of texts"),
        ("name = ", "summaries = 3\nname = ", "list of tables"),
        ("name = ", "summaries = [{n = 3}]\nname = ", "'quantity' is missing"),
        ("name = ", "name == ", "not TOML"),
    ],
)
def test_faulty_cards(old, new, said):
    assert old in CARD
    with pytest.raises(PublishedError, match=said) as caught:
        parse_published(CARD.replace(old, new, 1))
    assert len(str(caught.value).splitlines()) <= 10


def test_all_faults_at_once():
    with pytest.raises(PublishedError) as caught:
        parse_published('name = 3\nbenefit = "lower"\ncolour = 1\n[analyses.a]\np = 2')
    said = str(caught.value)
    assert all(w in said for w in ("name", "unknown key 'colour'", "'title' is missing", "more"))


@pytest.mark.parametrize(
    "content", ["a = " + "[" * 5000, "n = " + "9" * 5000, "n = 0x" + "f" * 9000]
)
def test_monstrous_toml(content):
    with pytest.raises(PublishedError):
        parse_published(content)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(CARD)), st.integers(0, 40), st.text(max_size=8))
def test_any_damaged_card_loads_or_raises_our_error(start, length, patch):
    with suppress(PublishedError):
        parse_published(CARD[:start] + patch + CARD[start + length :])


def test_files_that_are_not_cards(tmp_path):
    with pytest.raises(PublishedError, match="is a folder"):
        read_published(tmp_path)
    with pytest.raises(PublishedError, match=r"no file .*llufriu2014, mesems2021"):
        read_published(tmp_path / "none.toml")
    (tmp_path / "wide.toml").write_text(CARD, encoding="utf-16")
    with pytest.raises(PublishedError, match="UTF-8"):
        read_published(tmp_path / "wide.toml")
    (tmp_path / "binary.toml").write_bytes(bytes(range(256)))
    with pytest.raises(PublishedError, match="UTF-8"):
        read_published(tmp_path / "binary.toml")
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(PublishedError, match="'name' is missing"):
        read_published(tmp_path / "empty.toml")
    (tmp_path / "bom.toml").write_text(CARD, encoding="utf-8-sig")
    assert read_published(tmp_path / "bom.toml").name == "mesems2021"


def test_unknown_name_lists_known():
    with pytest.raises(PublishedError, match="llufriu2014, mesems2021"):
        load_published("nobody1999")
