"""The reports that people will make, from small to large and odd: each in four formats."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from browsing import broken_rules, opened, requests, until
from conftest import make_parallel
from report_samples import crossover as sample
from report_samples import fake_fit, founding
from report_samples import parallel as large
from selenium import webdriver

import bayes_msc as bm
from bayes_msc.report import build, read_results, write_report, write_results

docx = pytest.importorskip("docx", reason="extra docx")
pytest.importorskip("typst", reason="extra pdf")
pdfium = pytest.importorskip("pypdfium2", reason="reads PDF")

MOST_BYTES = 3_000_000
CASES = ("llufriu2014", "mesems2021", "epilepsy", "crossover", "failed", "two hundred", "zeros")


def zeros() -> bm.Trial:
    """Nobody on the drug has an event."""
    counts = [[0.0] * 3 if patient % 2 else [2.0, 0.0, 1.0] for patient in range(12)]
    return make_parallel(counts, name="zeros")


def source_of(case: str, request: pytest.FixtureRequest) -> Any:
    if case == "llufriu2014":
        return founding()
    if case == "mesems2021":
        return bm.reanalyze(bm.load_published("mesems2021"))
    if case in ("epilepsy", "crossover"):
        return request.getfixturevalue(f"{case}_fit")
    if case == "failed":
        return fake_fit(sample(provenance="simulated"), divergent=True)
    return (
        fake_fit(large(200))
        if case == "two hundred"
        else bm.fit(zeros(), "count-poisson", engine="fast")
    )


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results, figures = build(source_of(request.param, request))
    folder = write_results(results, tmp_path_factory.mktemp("case") / "results", figures)
    write_report(folder, ["docx", "pdf", "md"])
    return folder


@pytest.mark.parametrize("width", [320, 1200])
def test_page_is_small_quiet_and_fits(browser: webdriver.Chrome, case: Path, width: int) -> None:
    page = case / "report.html"
    assert page.stat().st_size < MOST_BYTES
    browser.get_log("performance")
    opened(browser, page, width)
    assert browser.get_log("browser") == []
    assert set(requests(browser)) == {page.as_uri()}
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    if width == 320:
        assert broken_rules(browser) == []


def test_page_prints_with_all_its_figures(browser: webdriver.Chrome, case: Path) -> None:
    opened(browser, case / "report.html", 1200)
    until(lambda: browser.execute_script("return document.readyState") == "complete")
    content = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
    document = pdfium.PdfDocument(base64.b64decode(content))
    results = read_results(case)
    text = "".join(page.get_textpage().get_text_range() for page in document)
    assert "".join(results.answer[0].split())[:60] in "".join(text.split())
    # the page itself does not scroll sideways on paper
    for page in document:
        grey = page.render(scale=0.4, grayscale=True).to_numpy().squeeze()
        assert grey[:, -3:].min() > 200


def test_word_document_holds_every_table_and_figure(case: Path) -> None:
    results = read_results(case)
    document = docx.Document(io.BytesIO((case / "report.docx").read_bytes()))
    assert len(document.tables) == sum(len(section.tables) for section in results.sections)
    assert len(document.inline_shapes) == len(results.figures)
    for shape in document.inline_shapes:
        assert shape.width.cm <= 17.01
        assert shape.height.cm <= 25


def test_pages_of_the_pdf_are_full_enough_and_keep_their_margins(case: Path) -> None:
    document = pdfium.PdfDocument((case / "report.pdf").read_bytes())
    pages = [page.render(scale=0.4, grayscale=True).to_numpy().squeeze() for page in document]
    for grey in pages:
        assert grey[:, :12].min() > 250
        assert grey[:, -12:].min() > 250
    # figures move to where there is room: no page but the last is empty over more than half
    for grey in pages[:-1]:
        inked = (grey[30:-45] < 200).any(axis=1).nonzero()[0]
        assert inked.max() - inked.min() > 0.45 * len(grey)


def test_failed_checks_and_labels_stand_in_every_format(case: Path) -> None:
    results = read_results(case)
    plain = (case / "report.md").read_text("utf-8")
    page = (case / "report.html").read_text("utf-8")
    for line in (*results.banner, results.label):
        assert line.split(":")[0] in page
        assert line.split(":")[0].split("(")[0] in plain
    assert bool(results.banner) == ("Checks failed" in page)


def test_tables_hold_every_patient(case: Path) -> None:
    results = read_results(case)
    if results.kind == "fit":
        table = pd.read_csv(case / "tables" / "patients.csv", dtype={"patient": str})
        assert len(table) == len(results.tables["leave_one_out"])
        assert table["patient"].is_unique
