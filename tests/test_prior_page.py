"""The reader's own prior in the page: its script alone, against Python, by hand and by address."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import broken_rules, opened, until
from report_samples import (
    EVIL,
    crossover,
    fake_fit,
    founding,
    left_out_table,
    more_is_good,
    specification_table,
)
from scipy import stats
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from bayes_msc.prior import Prior, stances
from bayes_msc.report import Results, build, render_html
from bayes_msc.report.panel import PanelAnswer, panel_answer
from bayes_msc.report.results import Section

Made = tuple[Path, Results]
SHOWN = """
    const at = name => document.querySelector(`#prior-panel [data-at="${name}"]`);
    const number = cell => cell.dataset.value === "" ? null : Number(cell.dataset.value);
    const interval = at("after-interval").dataset;
    const draws = at("effective")?.dataset;
    return {
        chances: [0, 1].map(i => number(at(`after-chance-${i}`))),
        median: number(at("after-median")),
        lower: interval.lower === "" ? null : Number(interval.lower),
        upper: interval.upper === "" ? null : Number(interval.upper),
        patients: number(at("patients")),
        effective: draws ? Number(draws.effective) : null,
        k: draws ? Number(draws.k) : null,
        warned: !at("warning").hidden,
    };
"""


def static(name: str) -> str:
    place = resources.files("bayes_msc.report").joinpath("static", name)
    return place.read_text(encoding="utf-8")


# the script's own functions, beside SciPy and ArviZ


@pytest.fixture(scope="module")
def call(browser: webdriver.Chrome) -> Any:
    browser.get("about:blank")
    source = static("numbers.js").replace("const PanelNumbers =", "window.PanelNumbers =")
    browser.execute_script(source)

    def run(name: str, *arguments: Any) -> Any:
        return browser.execute_script(
            "const [name, ...rest] = arguments; return PanelNumbers[name](...rest);",
            name,
            *arguments,
        )

    return run


def test_normal_probabilities_are_exact(call: Any) -> None:
    for x in (-30.0, -8.0, -3.6, -3.5, -1.0, -1e-9, 0.0, 0.3, 2.0, 3.53, 3.54, 6.0, 40.0):
        assert call("normalCdf", x) == pytest.approx(stats.norm.cdf(x), rel=1e-9, abs=1e-300)


def test_weights_are_those_of_arviz(call: Any) -> None:
    from arviz_stats.base import array_stats

    rng = np.random.default_rng(3)
    for size, efficiency, tail in ((1000, 1.0, 3.0), (800, 0.4, 1.2), (100, 1.0, 0.9)):
        logs = rng.standard_t(5, size) * 0.6 + rng.exponential(1 / tail, size)
        expected, k = array_stats.psislw(-logs, r_eff=efficiency)
        found = call("smoothedWeights", logs.tolist(), efficiency)
        weights = (
            [found["weights"][str(i)] for i in range(size)]
            if isinstance(found["weights"], dict)
            else found["weights"]
        )
        assert found["k"] == pytest.approx(float(k), abs=1e-9)
        assert weights == pytest.approx(np.exp(expected).tolist(), rel=1e-8)


def test_equal_weights_pass_through(call: Any) -> None:
    draws = [0.01 * i for i in range(600)]
    panel = {"draws": draws, "log_prior": stats.norm.logpdf(draws).tolist(), "efficiency": 1.0}
    found = call("reweight", {**panel, "least_effective": 400}, {"loc": 0, "scale": 1})
    assert found["effective"] == pytest.approx(600)
    assert found["supported"]


def test_quantiles_of_weighted_draws(call: Any) -> None:
    values, weights = [3.0, 1.0, 2.0], [0.25, 0.5, 0.25]
    found = call("weightedQuantiles", [1, 2, 0], values, weights, [0.01, 0.25, 0.4375, 0.625, 0.99])
    assert found == pytest.approx([1.0, 1.0, 1.5, 2.0, 3.0])


def test_numbers_are_written_as_in_the_report(call: Any) -> None:
    assert [call("ratio", x) for x in (0.004, 0.5, 12.34, 134.2, 5e6)] == [
        "<0.01", "0.50", "12.3", "134", ">1000",
    ]  # fmt: skip
    assert [call("percent", p).replace("\u00a0", " ") for p in (1.0, 0.9613, 1e-9)] == [
        ">99.9 %", "96.1 %", "<0.1 %",
    ]  # fmt: skip


def test_ticks_are_round_and_few(call: Any) -> None:
    assert call("ticks", math.log(0.09), math.log(6), 8) == [0.1, 0.2, 0.5, 1, 2, 5]


# the page against Python


@pytest.fixture(scope="module", params=["printed", "fitted", "more is good"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    sources = {
        "printed": founding,
        "fitted": lambda: fake_fit(crossover()),
        "more is good": more_is_good,
    }
    return written(*build(sources[request.param]()), tmp_path_factory.mktemp("page"))


def written(results: Results, figures: dict[str, str], folder: Path) -> Made:
    page = folder / "report.html"
    page.write_text(render_html(results, figures), encoding="utf-8")
    return page, results


def show(browser: webdriver.Chrome, prior: Prior) -> None:
    browser.execute_script("location.hash = arguments[0]", fragment(prior))
    width = math.log(float(prior["scale"]))  # type: ignore[arg-type]
    value = "return Number(document.getElementById('prior-width').value)"
    until(lambda: abs(browser.execute_script(value) - width) < 1e-9)


def shown(browser: webdriver.Chrome) -> dict[str, Any]:
    found: dict[str, Any] = browser.execute_script(SHOWN)
    return found


def fragment(prior: Prior) -> str:
    return f"#view&centre={math.exp(float(prior['loc']))!r}&width={prior['scale']!r}"  # type: ignore[arg-type]


def grid(results: Results) -> list[Prior]:
    low, high = results.panel["range"]
    rng = np.random.default_rng(2)
    own = [Prior.normal(x, s) for x in np.linspace(low, high, 7) for s in (0.05, 0.2, 0.5, 1.2, 3)]
    some = [
        Prior.normal(x, math.exp(s))
        for x, s in zip(rng.uniform(low / 2, high / 2, 11), rng.uniform(-2, 1, 11), strict=True)
    ]
    return [*own, *some, *stances().values()]


def agree(found: dict[str, Any], expected: PanelAnswer) -> None:
    assert found["warned"] is not expected.supported
    assert found["patients"] == pytest.approx(expected.patients, abs=5e-4, rel=1e-6)
    if found["effective"] is not None:
        assert found["effective"] == pytest.approx(expected.effective, abs=5e-4, rel=1e-6)
    numbers = [*found["chances"], found["median"], found["lower"], found["upper"]]
    if not expected.supported:
        assert numbers == [None] * 5
        return
    exact = [*expected.probabilities.values(), expected.median, expected.lower, expected.upper]
    assert numbers == pytest.approx(exact, abs=5e-4)
    if found["k"] is not None and math.isfinite(expected.pareto_k):
        assert found["k"] == pytest.approx(expected.pareto_k, abs=5e-4)


def test_page_agrees_with_python_at_fifty_priors(browser: webdriver.Chrome, made: Made) -> None:
    page, results = made
    opened(browser, page, 1200)
    priors = grid(results)
    assert len(priors) == 50
    for prior in priors:
        show(browser, prior)
        agree(shown(browser), panel_answer(results.panel, prior))
    assert browser.get_log("browser") == []


# by hand


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Made:
    results, figures = build(fake_fit(crossover(first=EVIL)))
    tables = {
        **results.tables,
        "left_out": left_out_table(EVIL),
        "specifications": specification_table(),
    }
    return written(replace(results, tables=tables), figures, tmp_path_factory.mktemp("full"))


def state(browser: webdriver.Chrome) -> tuple[float, float]:
    values = browser.execute_script(
        "return ['prior-centre', 'prior-width'].map(i => Number(document.getElementById(i).value))"
    )
    return values[0], math.exp(values[1])


def address(browser: webdriver.Chrome) -> str:
    return str(browser.execute_script("return location.hash"))


def test_stance_buttons_set_the_prior(browser: webdriver.Chrome, full: Made) -> None:
    opened(browser, full[0], 1200)
    for name, prior in stances().items():
        button = browser.find_element(By.CSS_SELECTOR, f"[data-stance='{name}']")
        browser.execute_script("arguments[0].click()", button)
        assert state(browser) == pytest.approx(prior.parameters)
        assert button.get_attribute("aria-pressed") == "true"
        agree(shown(browser), panel_answer(full[1].panel, prior))


def test_sliders_move_by_keys_and_the_address_follows(
    browser: webdriver.Chrome, full: Made
) -> None:
    opened(browser, full[0], 1200)
    centre, spread = state(browser)
    browser.find_element(By.ID, "prior-centre").send_keys(Keys.ARROW_LEFT * 5)
    browser.find_element(By.ID, "prior-width").send_keys(Keys.PAGE_DOWN)
    moved = state(browser)
    assert moved == pytest.approx((centre - 0.1, spread * math.exp(-0.3)))
    until(lambda: "width=" in address(browser))
    left = shown(browser)
    opened(browser, full[0], 1200, address(browser))
    assert state(browser) == pytest.approx(moved, rel=1e-4)
    assert shown(browser)["chances"] == pytest.approx(left["chances"], abs=5e-4)
    # whoever is sent the address is taken to the panel
    top = "return document.getElementById('prior-panel').getBoundingClientRect().top"
    assert abs(browser.execute_script(top)) < 60


def test_every_control_is_reached_by_tab(browser: webdriver.Chrome, full: Made) -> None:
    opened(browser, full[0], 1200)
    browser.execute_script("document.querySelector('#prior-panel [data-stance]').focus()")
    seen = []
    for _ in range(10):
        seen.append(
            browser.execute_script(
                "const e = document.activeElement; return e.id || e.dataset.at || e.dataset.stance"
            )
        )
        ActionChains(browser).send_keys(Keys.TAB).perform()
    assert {"weak", "enthusiastic", "prior-centre", "prior-width", "prior-cut", "link"} <= set(seen)


def test_prior_can_be_dragged(browser: webdriver.Chrome, full: Made) -> None:
    opened(browser, full[0], 1200)
    for part, place in (("centre", 0), ("width", 1)):
        before = state(browser)
        hit = browser.find_elements(By.CSS_SELECTOR, f"[data-drag={part}]")[-1]
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", hit)
        ActionChains(browser).click_and_hold(hit).move_by_offset(-60, 0).release().perform()
        after = state(browser)
        assert after[place] < before[place] - 0.05
        assert after[1 - place] == pytest.approx(before[1 - place])


def test_pointing_at_the_curves_reads_them(browser: webdriver.Chrome, full: Made) -> None:
    opened(browser, full[0], 1200)
    picture = browser.find_element(By.CSS_SELECTOR, "#prior-panel [data-at=picture]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    reading = "return document.querySelector('#prior-panel [data-at=reading]').textContent"
    ActionChains(browser).move_to_element_with_offset(picture, 80, -80).perform()
    first = browser.execute_script(reading)
    ActionChains(browser).move_to_element_with_offset(picture, -80, -80).perform()
    second = browser.execute_script(reading)
    assert first != second
    assert "after the trial" in second


def test_link_holds_the_view(browser: webdriver.Chrome, full: Made) -> None:
    opened(browser, full[0], 1200)
    link = browser.find_element(By.CSS_SELECTOR, "#prior-panel [data-at=link]")
    browser.find_element(By.ID, "prior-centre").send_keys(Keys.ARROW_RIGHT)
    browser.execute_script("arguments[0].focus()", link)
    centre = f"centre={math.exp(state(browser)[0]):.3g}"
    assert centre[:11] in str(link.get_attribute("href"))


@pytest.mark.parametrize("text", [
    "#view&centre=<script>&width=1e999&at=-3&off=nobody&without.family=99.x",
    "#view&centre=0&width=&at=NaN",
    "#view&centre=1e300&width=1e-300",
    "#viewer", "#%", "#view&%E0%A4%A",
])  # fmt: skip
def test_no_address_breaks_the_page(browser: webdriver.Chrome, full: Made, text: str) -> None:
    opened(browser, full[0], 1200, text)
    low, high = full[1].panel["range"]
    centre, spread = state(browser)
    assert low <= centre <= high
    assert 0.0499 <= spread <= 3.0001
    assert browser.get_log("browser") == []


def test_far_prior_gets_words_and_no_number(browser: webdriver.Chrome, full: Made) -> None:
    opened(browser, full[0], 320, "#view&centre=3&width=0.1")
    found = shown(browser)
    assert found["warned"]
    assert found["chances"] == [None, None]
    text = browser.find_element(By.CSS_SELECTOR, "#prior-panel [data-at=warning]").text
    assert "No answer for this prior" in text
    assert "at least 400" in text
    assert browser.find_elements(By.CSS_SELECTOR, "#prior-panel .picture .after") == []


def test_failed_checks_stand_in_the_panel(browser: webdriver.Chrome, tmp_path: Path) -> None:
    page, _ = written(*build(fake_fit(crossover(), divergent=True)), tmp_path)
    opened(browser, page, 1200)
    assert browser.find_elements(By.CSS_SELECTOR, "#prior-panel .notice strong")[0].text == (
        "Check failed."
    )


def test_pointing_at_a_figure_reads_its_marks(browser: webdriver.Chrome, full: Made) -> None:
    opened(browser, full[0], 1200)
    place = "#figure-probability-curve"
    picture = browser.find_element(By.CSS_SELECTOR, f"{place} svg")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    marks = json.loads(str(picture.get_attribute("data-readings")))
    x, y, text = marks[len(marks) // 2]
    size = picture.size
    ActionChains(browser).move_to_element_with_offset(
        picture, (x - 0.5) * size["width"], (y - 0.5) * size["height"]
    ).perform()
    reading = f"return document.querySelector('{place} .reading').textContent"
    assert browser.execute_script(reading) == text
    threshold, chance = re.findall(r"[\d.]+(?= ?:| %)", text)
    curve = full[1].tables["curve"]
    known = np.interp(math.log(float(threshold)), np.log(curve["threshold"]), curve["probability"])
    assert abs(100 * known - float(chance)) < 1.5
    card = browser.find_element(By.CSS_SELECTOR, f"{place} .card")
    card.send_keys(Keys.ARROW_RIGHT)
    assert browser.execute_script(reading) == marks[len(marks) // 2 + 1][2]


# patients and analyses


def test_patient_is_switched_off(browser: webdriver.Chrome, full: Made) -> None:
    opened(browser, full[0], 1200)
    told = "return document.querySelector('#left-out-panel .told').textContent"
    browser.find_element(By.ID, "left-out-choice").send_keys("P3")
    text = browser.execute_script(told).replace("\u00a0", " ")
    row = full[1].tables["left_out"].set_index("left_out").loc["P3"]
    assert f"Without P3: rate ratio {row['median']:.2f}" in text
    assert f"P(RR < 1) {100 * row['prob_below_1']:.1f} %" in text
    assert "With everybody" in text
    until(lambda: "off=P3" in address(browser))
    hit = browser.find_element(By.CSS_SELECTOR, "[data-patient='P2'] .row")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", hit)
    ActionChains(browser).move_to_element(hit).click().perform()
    assert "Without P2" in browser.execute_script(told)


def test_of_many_patients_the_telling_ones_are_drawn(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    table = left_out_table(patients=200)
    sections = (Section("left-out", "Left out"),)
    results = Results("fit", "t", "q", ("a",), sections, tables={"left_out": table})
    page, _ = written(results, {}, tmp_path)
    opened(browser, page, 1200, "#view&off=P100")
    names = browser.execute_script(
        "return [...document.querySelectorAll('[data-patient]')].map(g => g.dataset.patient)"
    )
    away = np.abs(np.log(table["median"][1:] / table["median"][0]))
    far = set(table["left_out"][away.nlargest(40).index])
    assert set(names) == {"", "P100", *far}
    options = browser.find_elements(By.CSS_SELECTOR, "#left-out-choice option")
    assert len(options) == 201
    assert browser.get_log("browser") == []


def test_page_is_whole_without_its_script(browser: webdriver.Chrome, full: Made) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    opened(browser, full[0], 320)
    panels = [part.is_displayed() for part in browser.find_elements(By.CSS_SELECTOR, ".panel")]
    links = [
        link.is_displayed()
        for link in browser.find_elements(By.CSS_SELECTOR, "nav a[href='#your-prior']")
    ]
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert panels == [False] * 3
    assert links == [False]


def test_hostile_patient_stays_text_in_the_figure(browser: webdriver.Chrome, full: Made) -> None:
    opened(browser, full[0], 1200, "#view&off=" + EVIL.replace('"', "%22"))
    told = browser.find_element(By.CSS_SELECTOR, "#left-out-panel .told").text
    assert f"Without {EVIL}" in told
    scripts = browser.execute_script("return document.scripts.length")
    assert scripts == 4
    assert browser.get_log("browser") == []


def test_analyses_are_filtered(browser: webdriver.Chrome, full: Made) -> None:
    opened(browser, full[0], 1200)
    table = full[1].tables["specifications"]
    summary = "return document.querySelector('#specifications-panel [data-at=summary]').textContent"
    dots = "return document.querySelectorAll('#specifications-panel circle').length"
    assert browser.execute_script(dots) == len(table)
    box = browser.find_element(By.CSS_SELECTOR, "[data-option=poisson]")
    browser.execute_script("arguments[0].click()", box)
    kept = table[table["family"] != "poisson"]
    assert browser.execute_script(dots) == len(kept)
    text = browser.execute_script(summary)
    assert text.startswith(f"{len(kept)} of {len(table)} analyses: rate ratio from ")
    assert f"{kept['median'].min():.2f} to {kept['median'].max():.2f}" in text
    until(lambda: "without.family=0" in address(browser))
    opened(browser, full[0], 320, address(browser))
    assert browser.execute_script(dots) == len(kept)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 320


def test_full_page_keeps_the_rules_of_accessibility(browser: webdriver.Chrome, full: Made) -> None:
    for width in (320, 1200):
        opened(browser, full[0], width, "#view&centre=3&width=0.1&off=P3")
        assert broken_rules(browser) == []
