"""What the page is given to answer with: only what its tables hold, hashed, escaped."""

from __future__ import annotations

import base64
import hashlib
import re

import numpy as np
import pandas as pd
import pytest
from report_samples import (
    EVIL,
    crossover,
    fake_fit,
    founding,
    left_out_table,
    specification_table,
)

from bayes_msc.report import Results, build, render_html
from bayes_msc.report.interactive import parts_of, places_of, policy, script_of, styles_in
from bayes_msc.report.results import Section


def with_tables(**tables: pd.DataFrame) -> Results:
    return Results("fit", "A trial", "Why?", ("So.",), (), tables=tables)


def test_nothing_is_made_of_nothing() -> None:
    assert parts_of(with_tables()) == {}
    assert script_of({}) == ""
    page = render_html(with_tables(), {})
    assert "<script" not in page
    assert "script-src 'none'" in page


def test_table_of_predictions_is_no_table_of_refits() -> None:
    table = pd.DataFrame({"patient": ["A"], "elpd": [-3.0], "pareto_k": [0.1], "ok": [True]})
    assert parts_of(with_tables(leave_one_out=table)) == {}


@pytest.mark.parametrize("name", ["left_out", "leave_one_out"])
@pytest.mark.parametrize("column", ["patient", "left_out"])
def test_patients_can_be_switched_off(name: str, column: str) -> None:
    table = left_out_table().rename(columns={"left_out": column})
    table.loc[4, ["median", "lower", "upper", "prob_below_1"]] = np.nan
    part = parts_of(with_tables(**{name: table}))["left_out"]
    assert part["whole"]["median"] == table["median"][0]
    assert [row["patient"] for row in part["rows"]] == table[column].tolist()[1:]
    assert part["rows"][3] == {
        "patient": "P4", "median": None, "lower": None, "upper": None, "prob_below_1": None,
    }  # fmt: skip


def test_only_real_choices_can_be_filtered() -> None:
    part = parts_of(with_tables(specifications=specification_table()))["specifications"]
    assert part["choices"] == {
        "family": ["poisson", "negative-binomial"],
        "prior": ["weak", "vague", "own"],
    }
    medians = [row["median"] for row in part["rows"]]
    assert medians == sorted(medians)


def test_parts_stand_below_their_sections() -> None:
    sections = tuple(Section(key, key) for key in ("data", "effect", "left-out", "end"))
    results = Results("fit", "t", "q", ("a",), sections)
    assert places_of(results, ("prior", "left_out", "specifications")) == {
        "effect": ["prior"],
        "left-out": ["left_out"],
        "end": ["specifications"],
    }


def test_policy_names_every_script_and_style_of_the_page() -> None:
    page = render_html(*build(founding()))
    said = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert said
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    for text in (*scripts, *styles_in(page)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"sha256-{digest}" in said[1]
    assert len(scripts) == 1
    assert "default-src 'none'" in said[1]
    assert "http" not in said[1]


def test_policy_without_script_allows_none() -> None:
    assert "script-src 'none'" in policy("", ["a"])


def test_hostile_names_stay_text_in_the_data() -> None:
    page = render_html(*build(fake_fit(crossover(first=EVIL))))
    assert EVIL not in page
    # two of data, one that reads them
    assert page.count("<script") == 3
