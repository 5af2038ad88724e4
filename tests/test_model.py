"""Model cards: what is read, what is refused with which words, and what a trial gets."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from bayes_msc.centring import log_pooled_rate
from bayes_msc.errors import ModelError
from bayes_msc.model import Model
from bayes_msc.parameters import (
    FAMILY_PARAMETERS,
    PARAMETERS,
    family_parameters,
    parameter,
)
from bayes_msc.prior import Prior, stance
from bayes_msc.rows import arrange
from bayes_msc.terms import TERMS
from bayes_msc.trial import Trial

CARDS = (
    *(f"{kind}-{family}" for kind in ("count", "crossover") for family in FAMILY_PARAMETERS),
    "crossover-negative-binomial-carryover",
    "crossover-negative-binomial-serial",
)


@pytest.fixture
def card() -> dict[str, object]:
    return tomllib.loads(Model.load("crossover-negative-binomial").to_toml())


def read(card: dict[str, object]) -> Model:
    return Model.from_toml(tomli_w.dumps(card), name="mine")


def test_the_cards_that_come_with_the_package() -> None:
    assert Model.names() == tuple(sorted(CARDS))


@pytest.mark.parametrize("name", CARDS)
def test_every_card_gives_reasons_and_references(name: str) -> None:
    model = Model.load(name)
    assert model.name == name
    assert all(len(prior.why) > 20 for prior in model.priors.values())
    assert model.references
    assert model.summary
    assert str(model) == f"{name}: {model.title}"


@pytest.mark.parametrize("name", CARDS)
def test_default_priors_are_those_promised(name: str) -> None:
    priors = Model.load(name).priors
    plain = {parameter: str(prior) for parameter, prior in priors.items()}
    assert plain["log_rate_ratio"] == "Normal(0, 1)"
    assert plain["patient_sd"] == "HalfNormal(1)"
    spread = "HalfNormal(0.7)" if "generalized" in name else "HalfNormal(1)"
    assert plain.get("sqrt_overdispersion", spread) == spread
    assert plain.get("zero_inflation", "Beta(1, 4)") == "Beta(1, 4)"
    assert plain.get("period_effect", "Normal(0, 0.5)") == "Normal(0, 0.5)"
    assert ("period_effect" in plain) == ("crossover" in name)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_what_its_name_says(name: str) -> None:
    model = Model.load(name)
    kind, family = name.split("-", 1)
    special = {"carryover", "serial"}
    assert family.removesuffix("-carryover").removesuffix("-serial") == model.family
    assert special & {*model.terms} == special & {family.rsplit("-", 1)[-1]}
    assert model.design == {"count": "any", "crossover": "crossover"}[kind]
    assert ("period" in model.terms) == (kind == "crossover")
    assert set(FAMILY_PARAMETERS[model.family]) <= set(model.priors)
    assert max(len(line) for line in model.summary.splitlines()) < 100


@pytest.mark.parametrize("name", CARDS)
def test_toml_round_trip_keeps_everything(name: str) -> None:
    model = Model.load(name)
    again = Model.from_toml(model.to_toml(), name=name)
    assert again == model
    assert again.to_toml() == model.to_toml()
    assert again.sha256 == model.sha256


def test_card_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(Model.load("count-poisson").to_toml(), encoding="utf-8")
    model = Model.load(path)
    assert model.name == "mine"
    assert model.sha256 == Model.load("count-poisson").sha256
    assert Model.load(str(path)) == model


def test_hash_changes_with_every_number_and_reason() -> None:
    model = Model.load("count-poisson")
    changed = [
        model,
        model.with_prior("log_rate_ratio", Prior.normal(0, 0.5, why="narrower")),
        model.with_prior("log_rate_ratio", Prior.normal(0, 0.5, why="another reason")),
        model.with_prior("patient_sd", Prior.half_normal(0.5, why="alike")),
        model.without_term("baseline"),
        model.with_patient_effect("sampled"),
    ]
    assert len({m.sha256 for m in changed}) == len(changed)


def test_with_prior() -> None:
    model = Model.load("count-poisson")
    prior = Prior.normal(0, 0.5, why="small effects")
    changed = model.with_prior("log_rate_ratio", prior)
    assert changed.priors["log_rate_ratio"] == prior
    assert model.priors["log_rate_ratio"]["scale"] == 1.0
    assert model.with_prior("log_rate_ratio", "sceptical").priors["log_rate_ratio"] == stance(
        "sceptical"
    )


def test_a_prior_for_log_rate_is_taken_as_it_stands(parallel: Trial) -> None:
    model = Model.load("count-poisson")
    assert model.priors_for(parallel)["log_rate"]["loc"] == log_pooled_rate(parallel)
    fixed = model.with_prior("log_rate", Prior.student_t(3, 1.4, 2.5, why="theirs"))
    assert fixed.log_rate_centre == "none"
    assert fixed.priors_for(parallel)["log_rate"]["loc"] == 1.4


def test_pooled_rate_does_not_look_at_the_arms(parallel: Trial) -> None:
    seen = parallel.seen
    expected = math.log((seen["count"].sum() + 0.5) / seen["exposure"].sum())
    assert log_pooled_rate(parallel) == pytest.approx(expected)
    meta = {**parallel.meta(), "control": "drug", "active": "placebo"}
    swapped = Trial.from_text(parallel.to_csv_text(), meta)
    model = Model.load("count-poisson")
    assert model.priors_for(swapped) == model.priors_for(parallel)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(familly="poisson"), "unknown key 'familly': the known ones are title"),
        (lambda c: c.update(family="binomial"), "unknown family 'binomial'.*poisson, negative-bin"),
        (lambda c: c.pop("title"), "the key 'title' is missing"),
        (lambda c: c.update(title=3), "title is 3: input should be a valid string"),
        (
            lambda c: c.update(terms="treatment"),
            "terms is 'treatment': input should be a valid list",
        ),
        (
            lambda c: c.update(terms=["treatment", "sex"]),
            "unknown term 'sex'.*treatment, period, carry",
        ),
        (lambda c: c.update(terms=["period"]), "a model needs the term 'treatment'"),
        (lambda c: c.update(design="factorial"), "design is 'factorial': input should be 'any'"),
        (lambda c: c.update(patient_effect="fixed"), "patient_effect is 'fixed'.*'integrated'"),
        (lambda c: c.update(log_rate_centre="arm"), "log_rate_centre is 'arm'.*'pooled-rate'"),
        (lambda c: c["priors"].pop("patient_sd"), "mine has no prior for patient_sd"),
        (
            lambda c: c["priors"].update(shape={"distribution": "normal"}),
            "mine, priors.shape: a normal prior also needs loc, scale",
        ),
        (
            lambda c: c["priors"].update(theta=c["priors"]["log_rate"]),
            "unknown parameter with a prior in mine 'theta': choose one of log_rate, log_rate",
        ),
        (
            lambda c: c["priors"]["log_rate"].update(distribution="cauchy"),
            "priors.log_rate: unknown prior distribution 'cauchy': choose one of normal, student_t",
        ),
        (
            lambda c: c["priors"]["log_rate"].update(sd=1.0),
            "priors.log_rate: unknown key of a normal prior 'sd'",
        ),
        (
            lambda c: c["priors"]["log_rate"].update(scale="wide"),
            "priors.log_rate: scale is 'wide': a number is needed",
        ),
        (
            lambda c: c["priors"]["patient_sd"].update(scale=-1.0),
            "priors.patient_sd: scale of a half_normal prior is -1.0: it must be above 0",
        ),
        (
            lambda c: c["priors"]["log_rate"].pop("why"),
            "priors.log_rate: give the reason for its numbers as 'why'",
        ),
        (lambda c: c.update(priors=[1]), "priors is .1.: input should be a valid dictionary"),
        (
            lambda c: c["priors"].update(
                patient_sd={"distribution": "normal", "loc": 0, "scale": 1, "why": "x"}
            ),
            r"prior of patient_sd is Normal\(0, 1\), which lives on real numbers.*positive numbers",
        ),
        (
            lambda c: c["priors"].update(
                log_rate_ratio={"distribution": "half_normal", "scale": 1, "why": "x"}
            ),
            "prior of log_rate_ratio is HalfNormal.*real numbers",
        ),
    ],
)
def test_a_faulty_card_is_refused(card: dict[str, object], change: object, message: str) -> None:
    change(card)  # type: ignore[operator]
    with pytest.raises(ModelError, match=message):
        read(card)


def test_all_faults_of_a_card_are_named_together(card: dict[str, object]) -> None:
    card.update(title=3, colour="red")
    card.pop("family")
    with pytest.raises(ModelError) as raised:
        read(card)
    assert all(word in str(raised.value) for word in ("title is 3", "'colour'", "'family'"))


def test_centring_needs_a_location(card: dict[str, object]) -> None:
    weights = {"weights": [0.5, 0.5], "locs": [0.0, 1.0], "scales": [1.0, 1.0], "why": "x"}
    card["priors"]["log_rate"] = {"distribution": "normal_mixture", **weights}  # type: ignore[index]
    with pytest.raises(ModelError, match='set log_rate_centre = "none"'):
        read(card)
    assert read({**card, "log_rate_centre": "none"}).log_rate_centre == "none"


def test_text_that_is_not_toml() -> None:
    with pytest.raises(ModelError, match=r"mine is not valid TOML: .*line 1, column 10"):
        Model.from_toml("family = = 3", name="mine")


def test_cards_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"unknown model card 'gamma'.*count-negative-binomial"):
        Model.load("gamma")
    with pytest.raises(ModelError, match=r"there is no model card at .*none\.toml"):
        Model.load(tmp_path / "none.toml")
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    with pytest.raises(ModelError, match="cannot be read as text"):
        Model.load(folder)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ModelError, match="cannot be read as text"):
        Model.load(binary)


def test_changes_that_a_model_refuses() -> None:
    model = Model.load("count-poisson")
    with pytest.raises(ModelError, match=r"unknown parameter 'period_effect'.*log_rate"):
        model.with_prior("period_effect", Prior.normal(0, 1))
    with pytest.raises(ModelError, match="stance 'sceptical' speaks of log_rate_ratio"):
        model.with_prior("patient_sd", "sceptical")
    with pytest.raises(ModelError, match="prior of patient_sd is Normal"):
        model.with_prior("patient_sd", Prior.normal(0, 1))
    with pytest.raises(ModelError, match="unknown term of count-poisson 'period'"):
        model.without_term("period")
    with pytest.raises(ModelError, match="needs the term 'treatment'"):
        model.without_term("treatment")
    with pytest.raises(ModelError, match=r"unknown patient effect 'fixed'.*integrated, sampled"):
        model.with_patient_effect("fixed")


def test_without_term_takes_its_prior_away(crossover: Trial) -> None:
    model = Model.load("crossover-poisson").without_term("period").without_term("baseline")
    assert "period_effect" not in model.priors
    assert list(model.priors_for(crossover)) == ["log_rate", "log_rate_ratio", "patient_sd"]


def test_crossover_card_on_a_parallel_trial(parallel: Trial) -> None:
    message = "crossover-poisson is for a crossover trial and parallel nine is parallel"
    with pytest.raises(
        ModelError, match=f"{message}: use one of count-generalized-poisson, count-"
    ):
        Model.load("crossover-poisson").terms_for(parallel)


def test_required_term_without_its_data(parallel: Trial, card: dict[str, object]) -> None:
    card.update(design="any", terms=["treatment", "period"])
    with pytest.raises(ModelError, match=r"'period' of mine needs a crossover trial.*without_term"):
        read(card).terms_for(parallel)
    card.update(terms=["treatment", "baseline"], optional_terms=["period"])
    with pytest.raises(ModelError, match="'baseline' of mine needs a baseline count"):
        read(card).terms_for(parallel)


def test_optional_terms_are_used_where_the_data_are(parallel: Trial, epilepsy: Trial) -> None:
    model = Model.load("count-poisson")
    assert model.terms_for(parallel) == ("treatment",)
    assert model.terms_for(epilepsy) == ("treatment", "baseline")


def test_terms_are_the_columns_of_the_design(crossover: Trial) -> None:
    model = Model.load("crossover-negative-binomial")
    rows, seen = arrange(crossover, model), crossover.seen
    assert rows.coefficients == ("log_rate_ratio", "period_effect", "baseline_slope")
    flat = np.moveaxis(rows.flat(np.moveaxis(rows.design, -1, 0)), 0, -1)
    log_baseline = np.log1p(seen["baseline"])
    per_patient = np.log1p(crossover.data.groupby("patient", sort=False)["baseline"].first())
    np.testing.assert_array_equal(flat[:, 0], seen["treatment"] == crossover.active)
    np.testing.assert_array_equal(flat[:, 1], seen["period"] == 2)
    np.testing.assert_allclose(flat[:, 2], log_baseline - per_patient.mean())


def test_rows_keep_every_seen_count_in_place(reconstruction: Trial) -> None:
    rows, seen = arrange(reconstruction, Model.load("crossover-poisson")), reconstruction.seen
    assert len(seen) < len(reconstruction.data)
    np.testing.assert_array_equal(rows.flat(rows.count), seen["count"])
    np.testing.assert_allclose(rows.flat(rows.log_exposure), np.log(seen["exposure"]))
    assert rows.seen.sum() == len(seen)
    assert [rows.patients[i] for i in rows.patient_index] == list(seen["patient"])


def test_table_of_families_agrees_with_the_likelihood() -> None:
    from bayes_msc.counts import FAMILIES

    assert set(FAMILIES) <= set(FAMILY_PARAMETERS)
    for name, family in FAMILIES.items():
        assert tuple(family.parameters) == FAMILY_PARAMETERS[name]


def test_every_parameter_of_every_term_and_family_is_explained() -> None:
    named = {term.parameter for term in TERMS.values()}
    named |= {term.coefficient for term in TERMS.values()} - {""}
    for family in FAMILY_PARAMETERS:
        named |= {*family_parameters(family, "common")}
    named |= {*family_parameters("negative-binomial", "per-arm")}
    assert named | {"log_rate", "patient_sd"} == set(PARAMETERS)
    assert parameter("covariate_age").words.endswith("deviation of age")
    with pytest.raises(ModelError, match="unknown parameter 'theta'"):
        parameter("theta")


NORMAL = Prior.normal(0, 0.5, why="for a test")


def test_carryover_is_the_width_of_a_prior() -> None:
    model = Model.load("crossover-negative-binomial")
    one = model.with_carryover(0.2)
    assert one.terms == ("treatment", "period", "carryover")
    assert str(one.priors["carryover_fraction"]) == "HalfNormal(0.2)"
    two = one.with_carryover(0.3, two_sided=True)
    assert two.terms == ("treatment", "period", "carryover-two-sided")
    assert str(two.priors["carryover_effect"]) == "Normal(0, 0.3)"
    assert "carryover_fraction" not in two.priors
    for none in (two.with_carryover(0), model.with_carryover(0.0)):
        assert none.terms == model.terms
        assert none.priors == model.priors
    with pytest.raises(ModelError, match="the width -1 of the carryover is impossible: 0 or more"):
        model.with_carryover(-1)
    with pytest.raises(ModelError, match="the width nan"):
        model.with_carryover(math.nan)


def test_one_form_of_the_baseline_at_a_time(card: dict[str, object]) -> None:
    model = Model.load("crossover-negative-binomial").with_term("baseline-joint", NORMAL)
    assert model.optional_terms == ()
    assert "baseline_slope" not in model.priors
    assert model.with_term("baseline-count", NORMAL).terms[-1] == "baseline-count"
    card.update(terms=["treatment", "baseline-count"])
    with pytest.raises(ModelError, match=r"baseline-count, baseline: it can have one form of base"):
        read(card)


def test_carryover_in_a_parallel_trial(parallel: Trial) -> None:
    model = Model.load("count-poisson").with_carryover(0.2)
    with pytest.raises(ModelError, match=r"'carryover' of count-poisson needs a crossover trial"):
        model.terms_for(parallel)


def test_a_baseline_that_the_trial_lacks(parallel: Trial) -> None:
    model = Model.load("count-poisson").with_term("baseline-joint", NORMAL)
    with pytest.raises(ModelError, match=r"'baseline-joint'.*needs a baseline count.*without_term"):
        model.terms_for(parallel)


def test_fixed_parameters() -> None:
    model = Model.load("crossover-negative-binomial")
    fixed = model.with_fixed("overdispersion", 2.0, why="as the founding trial's software did")
    prior = fixed.priors["sqrt_overdispersion"]
    assert prior.is_fixed
    assert prior["value"] == pytest.approx(math.sqrt(2.0))
    assert prior.why.startswith("as the founding")
    again = Model.from_toml(fixed.to_toml(), fixed.name)
    assert again == fixed
    assert model.with_fixed("patient_sd", 0.0).priors["patient_sd"]["value"] == 0.0
    assert model.with_fixed("log_rate", 0.3).log_rate_centre == "none"
    with pytest.raises(ModelError, match="patient_sd is fixed at -1: it must be 0 or more"):
        model.with_fixed("patient_sd", -1.0)
    with pytest.raises(ModelError, match="zero_inflation is fixed at 1: it must be below 1"):
        Model.load("count-zero-inflated-poisson").with_fixed("zero_inflation", 1.0)
    with pytest.raises(ModelError, match="unknown parameter 'overdispersion'"):
        Model.load("count-poisson").with_fixed("overdispersion", 1.0)
    with pytest.raises(ModelError, match="patient_sd is fixed at 0, which leaves no patient eff"):
        model.with_fixed("patient_sd", 0.0).with_patient_effect("sampled")


def test_overdispersion_of_either_arm() -> None:
    model = Model.load("crossover-hurdle-negative-binomial")
    arms = model.with_dispersion("per-arm")
    assert "sqrt_overdispersion" not in arms.priors
    for arm in ("control", "active"):
        assert arms.priors[f"sqrt_overdispersion_{arm}"] == model.priors["sqrt_overdispersion"]
    assert arms.priors["sqrt_zero_overdispersion"] == model.priors["sqrt_zero_overdispersion"]
    assert arms.with_dispersion("common") == model
    assert Model.from_toml(arms.to_toml(), arms.name) == arms
    with pytest.raises(ModelError, match="the family poisson has no overdispersion that could"):
        Model.load("count-poisson").with_dispersion("per-arm")
    with pytest.raises(ModelError, match="unknown dispersion 'both': choose one of common, per-"):
        model.with_dispersion("both")


def test_treatment_that_varies_needs_a_sampled_patient_effect() -> None:
    model = Model.load("crossover-negative-binomial")
    prior = Prior.half_normal(0.5, why="for a test")
    varies = model.with_varying_treatment(prior)
    assert varies.patient_effect == "sampled"
    assert list(varies.priors)[-1] == "treatment_sd"
    for change in (
        lambda: model.with_term("treatment-varies", prior),
        lambda: varies.with_patient_effect("integrated"),
    ):
        with pytest.raises(ModelError, match=r"gives every patient two effects.*with_varying_trea"):
            change()


def test_support_of_serial_dependence_and_zero_inflation() -> None:
    model = Model.load("crossover-negative-binomial-serial")
    assert model.with_prior("serial_dependence", Prior.beta(1, 5)).priors["serial_dependence"]
    with pytest.raises(ModelError, match="needs one on real numbers or numbers between 0 and 1"):
        model.with_prior("serial_dependence", Prior.half_normal(1))
    with pytest.raises(ModelError, match="zero_inflation needs one on numbers between 0 and 1"):
        Model.load("count-zero-inflated-poisson").with_prior("zero_inflation", NORMAL)


def test_a_prior_without_a_reason_gets_one_so_that_the_card_can_be_read_again() -> None:
    model = Model.load("count-poisson").with_prior("log_rate_ratio", Prior.normal(0, 0.7))
    model = model.with_covariate("age", Prior.normal(0, 0.5)).with_term(
        "period", Prior.normal(0, 1)
    )
    assert Model.from_toml(model.to_toml(), model.name) == model
    assert model.priors["covariate_age"].why == "given by the analyst"
