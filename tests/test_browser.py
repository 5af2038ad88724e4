"""The report as a reader meets it: opened offline in headless Chromium, wide and on a phone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_samples import EVIL, crossover, fake_fit, founding
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bayes_msc.report import report

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
WIDTHS = (360, 768, 1200)
OVERFLOWING = """
    return [...document.querySelectorAll('main > *, main section > *')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.tagName + ' ' + e.textContent.slice(0, 40));
"""


def program(*candidates: str) -> str:
    found = next((path for name in candidates if (path := shutil.which(name))), None)
    assert found, f"{candidates[0]} is needed to test the report: install Chromium and its driver"
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "chromium-browser", "google-chrome")
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module", params=["reanalysis", "fit", "failed fit"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = {
        "reanalysis": founding,
        "fit": lambda: fake_fit(crossover(first=EVIL, provenance="reconstruction")),
        "failed fit": lambda: fake_fit(crossover(), divergent=True),
    }
    return report(sources[request.param](), tmp_path_factory.mktemp("page") / "report.html")


def opened(browser: webdriver.Chrome, page: Path, width: int) -> None:
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get(page.as_uri())


def requests(browser: webdriver.Chrome) -> list[str]:
    messages: list[dict[str, Any]] = [
        json.loads(entry["message"])["message"] for entry in browser.get_log("performance")
    ]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [str(params["request"]["url"]) for params in sent]


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
    assert browser.execute_script(count, "svg:not([role=img][aria-label])") == 0
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
    assert browser.execute_script("return document.scripts.length") == 0
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


def test_page_prints(browser: webdriver.Chrome, page: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    opened(browser, page, 680)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 680
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(pdf["data"]) > 20_000


def test_dark_page_keeps_figures_on_light(browser: webdriver.Chrome, page: Path) -> None:
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    opened(browser, page, 1200)
    style = "return getComputedStyle(document.querySelector(arguments[0])).backgroundColor"
    page_colour = browser.execute_script(style, "body")
    card_colour = browser.execute_script(style, ".card")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert card_colour == "rgb(255, 255, 255)"
    assert max(map(int, page_colour[4:-1].split(","))) < 60
