"""The report as a reader meets it: opened offline in headless Chromium, wide and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from browsing import broken_rules, media, opened, requests
from report_samples import EVIL, crossover, fake_fit, founding
from selenium import webdriver

from bayes_msc.report import report

WIDTHS = (320, 768, 1200)
OVERFLOWING = """
    return [...document.querySelectorAll('main > *, main section > *')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.tagName + ' ' + e.textContent.slice(0, 40));
"""


@pytest.fixture(scope="module", params=["reanalysis", "fit", "failed fit"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = {
        "reanalysis": founding,
        "fit": lambda: fake_fit(crossover(first=EVIL, provenance="reconstruction")),
        "failed fit": lambda: fake_fit(crossover(), divergent=True),
    }
    return report(sources[request.param](), tmp_path_factory.mktemp("page") / "report.html")


@pytest.mark.parametrize("width", WIDTHS)
def test_page_opens_quietly_and_fits(browser: webdriver.Chrome, page: Path, width: int) -> None:
    browser.get_log("performance")
    opened(browser, page, width)
    assert browser.get_log("browser") == []
    assert set(requests(browser)) == {page.as_uri()}
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(OVERFLOWING) == []


def test_page_can_be_read_without_seeing_it(browser: webdriver.Chrome, page: Path) -> None:
    opened(browser, page, 1200)
    count = "return document.querySelectorAll(arguments[0]).length"
    assert browser.execute_script(count, "figure") > 0
    unnamed = "svg:not([role=img][aria-label], [aria-hidden=true])"
    assert browser.execute_script(count, unnamed) == 0
    assert browser.execute_script(count, "th:not([scope])") == 0
    assert browser.execute_script(count, "table:not(:has(> caption))") == 0
    assert browser.execute_script(count, "h1") == 1
    broken = (
        "return [...document.querySelectorAll('a[href^=\"#\"]')]"
        ".filter(a => !document.getElementById(a.hash.slice(1))).length"
    )
    assert browser.execute_script(broken) == 0


def test_hostile_patient_stays_text(browser: webdriver.Chrome, page: Path) -> None:
    opened(browser, page, 1200)
    scripts = browser.execute_script("return [...document.scripts].map(s => s.id || s.type)")
    # data that a script reads, then the script itself
    assert scripts in (["prior-data", ""], ["prior-data", "left-out-data", ""])
    text = browser.execute_script("return document.body.textContent")
    if "reconstruction, not data" in text:
        assert EVIL in text


def test_figures_are_drawn_where_they_stand(browser: webdriver.Chrome, page: Path) -> None:
    opened(browser, page, 1200)
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('figure svg')]"
        ".map(s => [s.getBoundingClientRect().width, s.getBoundingClientRect().height])"
    )
    assert all(width > 400 and height > 150 for width, height in sizes)


@pytest.mark.parametrize(("width", "dark"), [(320, False), (1200, True)], ids=["phone", "dark"])
def test_page_keeps_the_rules_of_accessibility(
    browser: webdriver.Chrome, page: Path, width: int, dark: bool
) -> None:
    media(browser, dark=dark)
    opened(browser, page, width)
    found = broken_rules(browser)
    media(browser)
    assert found == []


def test_page_is_small(page: Path) -> None:
    assert page.stat().st_size < 3_000_000


def test_page_can_fetch_nothing_and_run_nothing_else(browser: webdriver.Chrome, page: Path) -> None:
    opened(browser, page, 1200)
    refused = browser.execute_async_script(
        "const done = arguments[0];"
        "fetch('https://example.org/').then(() => done('sent'), () => done('refused'));"
    )
    assert refused == "refused"
    browser.execute_script(
        "const script = document.createElement('script');"
        "script.textContent = 'document.title = 1'; document.body.append(script);"
        "const style = document.createElement('style');"
        "style.textContent = 'body { display: none }'; document.body.append(style);"
        "const image = '<img src=x onerror=\"document.title = 2\">';"
        "document.body.insertAdjacentHTML('beforeend', image)"
    )
    assert browser.execute_script("return document.title") not in ("1", "2")
    assert browser.execute_script("return document.body.offsetHeight") > 100
    blocked = {entry["source"] for entry in browser.get_log("browser")}
    assert "security" in blocked


def test_page_prints(browser: webdriver.Chrome, page: Path) -> None:
    media(browser, "print")
    opened(browser, page, 680)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 680
    controls = "return [...document.querySelectorAll('button, input')].filter(e => e.offsetHeight)"
    assert browser.execute_script(controls) == []
    media(browser)
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(pdf["data"]) > 20_000


def test_dark_page_keeps_figures_on_light(browser: webdriver.Chrome, page: Path) -> None:
    media(browser, dark=True)
    opened(browser, page, 1200)
    style = "return getComputedStyle(document.querySelector(arguments[0])).backgroundColor"
    page_colour = browser.execute_script(style, "body")
    card_colour = browser.execute_script(style, ".card")
    media(browser)
    assert card_colour == "rgb(255, 255, 255)"
    assert max(map(int, page_colour[4:-1].split(","))) < 60
