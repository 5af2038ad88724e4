"""Paragraphs for a paper say what the tables say; checklists say what the report holds."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from report_samples import (
    alone,
    crossover,
    fake_fit,
    founding,
    more_is_good,
    parallel,
    with_reconstruction,
)

from bayes_msc.errors import OutputError
from bayes_msc.model import Model
from bayes_msc.reanalysis import Reanalysis
from bayes_msc.report import Results, build
from bayes_msc.report.checklists import (
    DONE,
    NEEDLESS,
    NOT_DONE,
    SAMPLED,
    checklist_names,
    items,
)
from bayes_msc.report.methods_text import reanalysis_methods
from bayes_msc.report.references import bibliography, cite, cited, references, tex
from bayes_msc.report.results import Section, Source

NUMBER = re.compile(r"[−-]?\d[\d,]*(?:\.\d+)?")


@pytest.fixture(scope="module")
def reanalysis() -> Results:
    return build(founding(), "bayes-msc reanalyze llufriu2014")[0]


@pytest.fixture(scope="module")
def fitted() -> Results:
    return build(fake_fit(crossover(provenance="reconstruction")))[0]


@pytest.fixture(scope="module", params=["reanalysis", "fitted"])
def results(request: pytest.FixtureRequest) -> Results:
    found: Results = request.getfixturevalue(request.param)
    return found


def section(results: Results, key: str) -> Section:
    return next(item for item in results.sections if item.key == key)


def numbers(text: str) -> list[str]:
    """Numbers of a text, without those of years and of what a citation holds."""
    text = re.sub(r"\([^()]*\d{4}(?:;[^()]*)?\)", "", text.replace("\u00a0", " "))
    return [found.rstrip(",") for found in NUMBER.findall(text)]


def shown_numbers(results: Results) -> set[str]:
    """Every number that a table of the report shows, and those that the package itself sets."""
    cells: list[str] = []
    for item in results.sections:
        for table in item.tables:
            shown = table.shown()
            cells += [str(cell) for cell in shown.to_numpy().ravel()] + list(shown.columns)
    found = {number for cell in cells for number in numbers(cell)}
    return found | {"95"}


def test_every_number_of_the_results_paragraph_stands_in_a_table(results: Results) -> None:
    paragraph = section(results, "paste").paragraphs[2]
    assert paragraph.startswith("Results. ")
    said = numbers(paragraph)
    known = shown_numbers(results)
    if results.kind == "fit":
        # how many checks there are is counted in the table in full, not in the one that is shown
        known.add(str(len(results.tables["diagnostics"])))
    else:
        known |= {n for trial in founding().tau_priors for n in numbers(str(trial))}
        known |= set(numbers("MESEMS 2021"))
    assert len(said) > 12
    assert not [number for number in said if number not in known]


def test_a_number_that_is_in_no_table_is_found_out(fitted: Results) -> None:
    known = shown_numbers(fitted)
    assert not {"0.123456", "77.7"} & known


def test_every_number_of_the_methods_paragraph_was_used(fitted: Results) -> None:
    paragraph = section(fitted, "paste").paragraphs[1]
    known = shown_numbers(fitted) | {"750", "23"}
    known |= set(numbers(str(fitted.manifest["versions"]) + str(fitted.manifest["seed"])))
    assert not [number for number in numbers(paragraph) if number not in known]
    assert "23 counts" in paragraph
    assert "One count was not seen and is taken to be missing at random." in paragraph


def test_methods_of_a_reanalysis_name_estimate_and_priors(reanalysis: Results) -> None:
    text = section(reanalysis, "paste").paragraphs[1]
    routes = next(t for t in section(reanalysis, "paper").tables if t.name == "routes").shown()
    used = routes[routes["used"] == "yes"].iloc[0]
    assert f"log rate ratio of {used['log rate ratio']}" in text
    assert f"standard error {used['standard error']}" in text
    for prior in section(reanalysis, "stances").tables[1].shown()["prior"]:
        assert prior in text
    assert "MESEMS 2021" in text
    assert "no Monte Carlo error" in text
    assert "combined with" not in section(build(alone())[0], "paste").paragraphs[1]


def test_sampled_combination_is_not_called_exact() -> None:
    external = founding().external.assign(method="pymc")
    text = reanalysis_methods(replace(founding(), external=external))
    assert "no Monte Carlo error" not in text
    assert "sampled with PyMC (Abril-Pla et al. 2023)" in text


def test_engines_are_told_apart() -> None:
    fit = fake_fit(crossover())
    fit.attrs["engine"] = "adaptive importance sampling"
    text = section(build(fit)[0], "paste").paragraphs[1]
    assert "importance sampling" in text
    assert "No-U-Turn" not in text


def test_label_of_what_is_no_data_opens_the_paragraphs(fitted: Results) -> None:
    _, methods, said = section(fitted, "paste").paragraphs
    assert methods.startswith("Methods. The counts are a reconstruction, not data.")
    assert "lesions (reconstruction, not data)" in said
    assert "If the reconstruction is right, the posterior median" in said


def test_failed_computation_stands_over_the_paragraphs() -> None:
    results, _ = build(fake_fit(crossover(), divergent=True))
    paste = section(results, "paste")
    assert any("divergences" in notice for notice in paste.notices)
    assert "must not be published" in paste.paragraphs[2]


@pytest.mark.parametrize("source", [founding, more_is_good, alone, lambda: fake_fit(parallel(6))])
def test_paragraphs_avoid_words_that_mislead(source: object) -> None:
    results, _ = build(source())  # type: ignore[operator]
    text = " ".join(section(results, "paste").paragraphs).lower()
    for word in ("significant", "p-value", "proved", "effective", "nan", "none"):
        assert word not in text.replace("effective sample sizes", "")


def test_higher_is_better_turns_the_probabilities_round() -> None:
    text = section(build(more_is_good())[0], "paste").paragraphs[2]
    assert "P(RR > 1)" in text
    assert "P(RR <" not in text


# citations


def test_all_that_is_cited_is_listed_and_in_the_bibliography(results: Results) -> None:
    paste = section(results, "paste")
    keys = [item.key for item in cited(paste.paragraphs)]
    assert {"kruschke2021", "sung2005"} <= set(keys)
    assert len(paste.points) == len(keys)
    assert re.findall(r"@article\{(\w+),", results.bibliography) == keys
    assert results.bibliography.count("@misc{") == len(results.sources)
    in_brackets = re.findall(r"\(([^()]*\d{4})\)", " ".join(paste.paragraphs[1:]))
    shorts = {item.short for item in references().values()}
    found = {part for text in in_brackets for part in text.split("; ")}
    assert found - shorts <= {part for part in found if "MESEMS" in part}


def test_references_are_complete() -> None:
    for key, item in references().items():
        assert str(item.year) in key
        assert item.short.startswith(item.author.split(",")[0])
        assert item.bibtex.count("{") == item.bibtex.count("}")
        assert re.fullmatch(r"(10\.\d{4,}/\S+)?", item.doi)
    assert references()["hoffman2014"].line.startswith("Hoffman MD, Gelman A. The No-U-Turn")
    assert cite("kruschke2021", "sung2005") == "(Kruschke 2021; Sung et al. 2005)"
    with pytest.raises(OutputError, match="unknown reference 'nobody1900'"):
        cite("nobody1900")


def test_bibliography_keeps_hostile_names_text() -> None:
    evil = r"}@misc{x, \input{a} 50% & #1 _ $ ~ ^"
    text = bibliography([], [Source(evil, doi="10.1/a_b")])
    assert tex(evil) in text
    assert re.sub(r"\\textbackslash\{\}", "", tex(evil)).count(r"\{") == 2
    bare = re.sub(r"\\[{}]|\\text\w+\{\}", "", text)
    assert bare.count("{") == bare.count("}") == 3


# checklists


def rows(results: Results, name: str) -> list[dict[str, str]]:
    table = next(t for t in section(results, "checklists").tables if t.name == f"checklist-{name}")
    return table.data.to_dict("records")  # type: ignore[return-value]


def test_each_item_has_its_place_or_a_reason(results: Results) -> None:
    headings = {f"“{item.heading}”" for item in results.sections}
    for name in checklist_names(results):
        for row in rows(results, name):
            assert row["where"], row
            named = set(re.findall("“[^”]+”", row["where"]))
            if row["state"] == DONE:
                assert named <= headings | {"“How this was made”"}
                assert named or row["where"] == "the answer at the top"
            else:
                assert row["state"] in (NOT_DONE, NEEDLESS)
                assert len(row["where"]) > 15


def test_checklists_follow_kind_and_design(reanalysis: Results, fitted: Results) -> None:
    assert checklist_names(reanalysis) == ("barg", "robust", "fda")
    assert checklist_names(fitted) == ("barg", "robust", "consort", "fda")
    assert "consort" not in checklist_names(build(fake_fit(parallel(6)))[0])
    assert len(rows(fitted, "robust")) == 7
    steps = {row["step"].split(" ")[0] for row in rows(fitted, "barg")}
    assert steps == {"preamble", "1", "2", "3", "4", "5", "6"}


def test_checklists_look_into_the_report(fitted: Results) -> None:
    from bayes_msc.report.checklists import with_checklists

    def state(results: Results, item: str) -> str:
        return next(row["state"] for row in rows(results, "barg") if item in row["item"])

    assert state(fitted, "other priors") == DONE
    assert state(fitted, "effect of the priors on the decision") == NOT_DONE
    more = replace(fitted, sections=(*fitted.sections, Section("sensitivity", "Other priors")))
    assert state(with_checklists(more), "effect of the priors on the decision") == DONE
    fewer = replace(fitted, sections=tuple(s for s in fitted.sections if s.key != "checks"))
    assert state(with_checklists(fewer), "convergence") == NOT_DONE
    unseeded = {k: v for k, v in fitted.manifest.items() if k != "seed"}
    assert state(with_checklists(replace(fitted, manifest=unseeded)), "seed") == NOT_DONE
    twice = with_checklists(with_checklists(fitted))
    assert [s.key for s in twice.sections].count("checklists") == 1


def sampled_combination() -> Reanalysis:
    """A reanalysis whose combination with other trials is told to be sampled."""
    return replace(founding(), external=founding().external.assign(method="pymc"), seed=3)


def test_nothing_sampled_is_said_only_where_nothing_was() -> None:
    untrue = "nothing was sampled"
    for result, seeded in ((founding(), False), (with_reconstruction(), True),
                           (sampled_combination(), True)):  # fmt: skip
        made = build(result, "bayes-msc reanalyze llufriu2014")[0]
        found = {row["item"]: row for name in ("barg", "fda") for row in rows(made, name)}
        said = [row["where"] for row in found.values()] + [str(made.manifest["method"])]
        assert any(untrue in words for words in said) is not seeded
        assert ("seed" in made.manifest) is seeded
        seed = found["seed, command, and the draws themselves"]
        assert seed["state"] == DONE
        assert ("seed" in seed["where"].split("(")[0]) is seeded
        everything = found["data, code, versions and seed"]
        assert ("“How this was made”: seed" in everything["where"]) is seeded
        paragraph = " ".join(section(made, "paste").paragraphs)
        assert ("seed" in paragraph) is seeded
        assert ("are no data" in paragraph) is (result.behind is not None)


def test_checklist_of_reconstructed_counts_points_to_their_section() -> None:
    made = build(with_reconstruction())[0]
    found = {row["item"]: row for row in rows(made, "barg")}
    place = f"“{section(made, 'reconstruction').heading}”"
    for item in ("convergence", "error of the computation", "Bayes factors"):
        row = next(row for name, row in found.items() if name.startswith(item))
        assert row["state"] == DONE
        assert place in row["where"]
    for item in ("prior predictive check", "posterior predictive check"):
        assert found[item]["state"] == NOT_DONE
        assert "reconstructed counts" in found[item]["where"]
    chains = next(row for row in rows(build(sampled_combination())[0], "barg")
                  if row["item"].startswith("convergence"))  # fmt: skip
    assert chains["state"] == NOT_DONE


@pytest.mark.parametrize("kind", ["fit", "reanalysis", *SAMPLED])
@pytest.mark.parametrize("name", ["barg", "robust", "fda"])
def test_items_are_whole(name: str, kind: str) -> None:
    for item in items(name, kind):
        # what only the exact part of a report holds has no place in its sampled parts
        assert item.places or item.needless or kind in SAMPLED
        assert item.needless or item.otherwise


def test_model_is_given_in_symbols_and_as_its_card(fitted: Results) -> None:
    said = section(fitted, "model").paragraphs[1]
    assert "y_ij ~ negative binomial(mu_ij)" in said
    assert "log_rate_ratio * treated" in said
    assert "period_effect" in said
    assert "patient_sd * z_i" in said
    card = Model.from_toml(section(fitted, "card").code, "again")
    assert card.sha256 == Model.load("crossover-negative-binomial").sha256
