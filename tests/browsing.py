"""Headless Chromium for the tests of the report: started once, watched for requests and errors."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

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
#: Rules of axe-core: WCAG 2.2 up to level AA, and what is good practice beside it.
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def start(profile: Path) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = _program("chromium", "chromium-browser", "google-chrome")
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(_program("chromedriver")))
    # the rules of accessibility take long on a large page and a busy machine
    driver.set_script_timeout(240)
    return driver


def _program(*candidates: str) -> str:
    found = next((path for name in candidates if (path := shutil.which(name))), None)
    assert found, f"{candidates[0]} is needed to test the report: install Chromium and its driver"
    return found


def opened(browser: webdriver.Chrome, page: Path, width: int, fragment: str = "") -> None:
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    # a change of the fragment alone would not load the page anew
    browser.get("about:blank")
    browser.get(page.as_uri() + fragment)


def requests(browser: webdriver.Chrome) -> list[str]:
    messages: list[dict[str, Any]] = [
        json.loads(entry["message"])["message"] for entry in browser.get_log("performance")
    ]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [str(params["request"]["url"]) for params in sent]


def media(browser: webdriver.Chrome, kind: str = "", dark: bool = False) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": [scheme]})


def until(met: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "the page did not come to the state that was waited for"
        time.sleep(0.02)


def broken_rules(browser: webdriver.Chrome) -> list[str]:
    """Run axe-core on the open page, and name every rule that it breaks and where."""
    spec = find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    script = Path(spec.submodule_search_locations[0]) / "axe.min.js"
    browser.execute_script(script.read_text(encoding="utf-8"))
    found = browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, {runOnly: {type: 'tag', values: arguments[0]}}).then(done);",
        list(RULES),
    )
    assert len(found["passes"]) > 15
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
