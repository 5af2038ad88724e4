"""What objects show in a notebook: the numbers are there, and no name becomes markup."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import bayes_msc as bm
from bayes_msc import notebook
from bayes_msc.evidence.alone import TrialAlone
from bayes_msc.evidence.beta import BetaMixture
from bayes_msc.evidence.borrowed import Borrowed
from bayes_msc.evidence.hierarchy import hierarchy
from bayes_msc.evidence.mixtures import fit_mixture
from bayes_msc.reconstruct.averaging import Averaged
from bayes_msc.sensitivity.credibility import credibility_of_interval
from bayes_msc.sensitivity.curve import SpecificationCurve
from bayes_msc.sensitivity.power_scaling import PowerScaling
from bayes_msc.sensitivity.prior_map import PriorMap
from bayes_msc.sensitivity.tipping import TippingPoint
from bayes_msc.simulation.assuring import Assurance
from bayes_msc.simulation.interim import Prediction

HOSTILE = "<script>alert('1')</script>\"&\u202egnp"


class Reader(HTMLParser):
    """Keeps the tags that are open, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert not reader.tags & {"script", "img", "style", "i"}
    assert "\u202e" not in page
    return reader


def hostile_trial() -> bm.Trial:
    table = pd.DataFrame(
        {
            "patient": [HOSTILE, "b", "c", "d"],
            "treatment": ["<i>x</i>", "y"] * 2,
            "count": [30, 0, 1, 2],
        }
    )
    return bm.Trial(table, design="parallel", control="<i>x</i>", active="y", title=HOSTILE)


def test_hostile_text_stays_text():
    page = notebook.block(
        notebook.heading(HOSTILE),
        notebook.paragraph(HOSTILE),
        notebook.points([HOSTILE]),
        notebook.listing({HOSTILE: HOSTILE}),
        notebook.table(pd.DataFrame({HOSTILE: [HOSTILE]}), caption=HOSTILE),
        notebook.banner(HOSTILE),
    )
    assert read(page).words.lower().count("<script>alert('1')</script>\"&⟨u+202e⟩gnp") == 9


def test_long_names_and_long_tables_are_cut_and_say_so():
    assert len(notebook.escaped("x" * 10_000)) == notebook.MOST_LETTERS
    page = notebook.table(pd.DataFrame({"x": np.arange(100)}))
    assert page.count("<tr>") == notebook.MOST_ROWS + 1
    assert "and 60 more rows" in page


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.12345, "0.123"), (1e-7, "1e-07"), (0.0, "0.000"), (float("nan"), "–"), (12, "12")],
)
def test_numbers_are_rounded_and_small_ones_are_not_lost(value, shown):
    assert f"<td>{shown}</td>" in notebook.table(pd.DataFrame({"x": [value]}))


def objects() -> dict[str, object]:
    """One of every kind, with hostile names where there is room for them."""
    founding = bm.load_published("llufriu2014")
    nasty = replace(founding, title=HOSTILE, short_title=HOSTILE)
    row = pd.DataFrame({"stance": [HOSTILE], "prob_below_1": [0.5], "words": [HOSTILE]})
    borrowed = Borrowed.of("power", HOSTILE, [0.5, 0.5], [0.0, 1.0], [1.0, 1.0])
    return {
        "trial": hostile_trial(),
        "published": nasty,
        "reanalysis": bm.reanalyze(nasty, stances={HOSTILE: bm.Prior.normal(0, 1, HOSTILE)}),
        "model": replace(bm.Model.load("count-poisson"), title=HOSTILE, summary=HOSTILE),
        "prior": bm.Prior.normal(0, 1, HOSTILE),
        "mixture": bm.Prior.normal_mixture([0.5, 0.5], [0, 1], [1, 1], HOSTILE),
        "fixed": bm.Prior.fixed(1.0, HOSTILE),
        "rule": bm.Rule(0.8, 0.9),
        "companions": bm.Companions(
            row.assign(kind="", name=HOSTILE), row, row, skipped={HOSTILE: HOSTILE}, label=HOSTILE
        ),
        "prior counts": bm.PriorCounts(
            row.assign(parameter=HOSTILE, prior=HOSTILE, meaning=HOSTILE), row, row, 10, 1, HOSTILE
        ),
        "comparison": bm.Comparison(
            row, row, row, HOSTILE, "simulated, not data", elpds={}, fits={}
        ),
        "sensitivity": bm.Sensitivity(
            HOSTILE, bm.Rule(), row, {}, {HOSTILE: HOSTILE}, {HOSTILE: HOSTILE}, HOSTILE
        ),
        "curve": SpecificationCurve(row, row, row, row, 0.5, HOSTILE, HOSTILE),
        "map": PriorMap(row, row, bm.Rule(), HOSTILE, HOSTILE),
        "scaling": PowerScaling(row, row, HOSTILE),
        "tipping": TippingPoint(row.assign(label=HOSTILE), row),
        "nothing to tip": TippingPoint(pd.DataFrame(), pd.DataFrame()),
        "credibility": credibility_of_interval(0.3, 0.9),
        "evidence": bm.Evidence.from_ratio(HOSTILE, 0.8, lower=0.5, upper=1.28),
        "meta": bm.meta_analysis(["llufriu2014", "mesems2021"], bm.Prior.half_normal(0.5)),
        "alone": TrialAlone(-0.5, 0.3, 9),
        "borrowed": borrowed,
        "fitted": fit_mixture(borrowed, 1),
        "design": bm.Design("crossover", 5, 4, drop_out=bm.DropOut(0.1)),
        "truth": bm.Truth(0.5, 2.0),
        "uncertain truth": bm.UncertainTruth(bm.Truth(0.5, 2.0)),
        "interval rule": bm.IntervalRule(),
        "characteristics": bm.Characteristics(row, row),
        "sample size": bm.SampleSize(
            None, (5.0, 9.0), 0.8, HOSTILE, row.assign(patients=9), row, 0.5
        ),
        "assurance": Assurance(row, row, row),
        "prediction": Prediction(row, (1.0, 0.01), 1.2, row),
        "averaged": Averaged(row, row, row, row, HOSTILE),
        "group": bm.reconstruct_group(4, "2.5", "1.3", label=HOSTILE),
        "impossible group": bm.reconstruct_group(4, "2.4", "1.3"),
        "paper": replace(bm.read_paper("llufriu2014"), title=HOSTILE, notes=(HOSTILE,)),
        "betas": BetaMixture((1.0,), (2.0,), (6.0,), HOSTILE),
        "hierarchy": hierarchy(
            [0.0, -0.5], [0.3, 0.4], bm.Prior.normal(0, 1), bm.Prior.half_normal(0.5)
        ),
    }


def classes() -> dict[str, type]:
    """Every class of the package by its name; where a name is taken twice, the public one."""
    found: dict[str, type] = {}
    for info in pkgutil.walk_packages(bm.__path__, "bayes_msc."):
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            own = {n: c for n, c in vars(module).items() if inspect.isclass(c)}
            found |= {n: c for n, c in own.items() if c.__module__ == info.name}
    # two modules each have a Group and a Sensitivity of their own
    return found | {"Group": type_of(bm.reconstruct_group), "Sensitivity": bm.Sensitivity}


def type_of(function: object) -> type:
    module = importlib.import_module(function.__module__)  # type: ignore[attr-defined]
    return getattr(module, str(inspect.signature(function).return_annotation))  # type: ignore[arg-type]


def test_every_object_that_a_public_name_returns_shows_itself():
    known, dumb = classes(), []
    for name in bm.__all__:
        value = getattr(bm, name)
        if inspect.isclass(value):
            if not issubclass(value, Exception) and not hasattr(value, "_repr_html_"):
                dumb.append(name)
        elif callable(value):
            hint = str(inspect.signature(value).return_annotation)
            returned = [known[word] for word in re.findall(r"\w+", hint) if word in known]
            dumb += [f"{name}: {c.__name__}" for c in returned if not hasattr(c, "_repr_html_")]
    assert dumb == []


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: value._repr_html_() for name, value in objects().items()}  # type: ignore[attr-defined]


def test_every_object_is_well_formed_and_without_foreign_markup(pages):
    for page in pages.values():
        assert len(read(page).words) > 20


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("trial", "Trial 'trial'"),
        ("published", "rate is better"),
        ("reanalysis", "P(RR < 0.8)"),
        ("model", "log_rate_ratio"),
        ("prior", "95 % between -1.96 and 1.96"),
        ("fixed", "set to 1"),
        ("rule", "P(RR < 0.8) of 0.9 or more"),
        ("comparison", "SIMULATED, NOT DATA"),
        ("sensitivity", "not made"),
        ("nothing to tip", "Everything that was planned was seen"),
        ("hierarchy", "in a new trial"),
    ],
)
def test_an_object_says_what_it_is(pages, name, words):
    assert words in read(pages[name]).words


def test_reanalysis_shows_the_founding_trials_printed_answer():
    words = read(bm.reanalyze(bm.load_published("llufriu2014"))._repr_html_()).words
    # the vague and the sceptical stance, as the command line prints them
    assert "0.961" in words
    assert "0.815" in words
