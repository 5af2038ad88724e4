"""Word, PDF and Markdown say what the page says, and keep every name a name."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from report_samples import EVIL, crossover, fake_fit, founding, hostile_reanalysis

from bayes_msc.errors import OutputError
from bayes_msc.plain_text import LONGEST, clean, shortened
from bayes_msc.report import (
    Results,
    build,
    csv_tables,
    read_results,
    render_docx,
    render_html,
    render_markdown,
    render_pdf,
    report,
    write_report,
    write_results,
)
from bayes_msc.report.document import Grid, Heading, Picture, Points, blocks
from bayes_msc.report.formats import write_one
from bayes_msc.report.markdown import escape
from bayes_msc.report.pictures import Pictures
from bayes_msc.report.results import Column, Figure, Section, Table
from bayes_msc.trial import Trial

docx = pytest.importorskip("docx", reason="extra docx")
pytest.importorskip("typst", reason="extra pdf")
pdfium = pytest.importorskip("pypdfium2", reason="reads PDF")
markdown_it = pytest.importorskip("markdown_it", reason="reads Markdown")

Made = tuple[Results, Pictures]
TURN = "\u202e"
LONG = "L" * 10_000
NASTY = (
    EVIL,
    "\"quoted\" 'and' `ticked`",
    f"turned {TURN}round\u200f",
    "#eval(1) $x$ *bold* _low_ @ref <label> \\n //c [a](b)",
    "| a | b |\n\n# heading\n- point",
    "&lt;b&gt; &amp; ]]> {{ 7 * 7 }} {% if %}",
    "null\x00 bell\x07 \ufffe",
    "=HYPERLINK(1)",
    "https://evil.example/x www.evil.example",
)


@pytest.fixture(scope="module")
def reanalysis() -> Made:
    return build(founding(), "bayes-msc reanalyze llufriu2014")


@pytest.fixture(scope="module")
def fitted() -> Made:
    return build(fake_fit(crossover(provenance="reconstruction")))


@pytest.fixture(scope="module", params=["reanalysis", "fitted"])
def made(request: pytest.FixtureRequest) -> Made:
    found: Made = request.getfixturevalue(request.param)
    return found


def squeezed(text: str) -> str:
    """Text without any white space, soft breaks and the hyphens of a broken line."""
    return re.sub(r"[\s\u200b\ufffe\x02\u00ad]+", "", text)


def word_texts(content: bytes) -> list[str]:
    document = docx.Document(io.BytesIO(content))
    cells = [c.text for t in document.tables for row in t.rows for c in row.cells]
    return [p.text for p in document.paragraphs] + cells


def pdf_text(content: bytes) -> str:
    document = pdfium.PdfDocument(content)
    return "".join(page.get_textpage().get_text_range() for page in document)


def markdown_parts(text: str) -> tuple[str, set[str]]:
    """Plain text of Markdown as a reader of CommonMark and tables sees it, and its token types."""
    parser = markdown_it.MarkdownIt("gfm-like", {"linkify": False, "html": True})
    said, kinds = [], set()
    for token in parser.parse(text):
        kinds.add(token.type)
        for child in token.children or []:
            kinds.add(child.type)
            said.append(child.content if child.type != "image" else "")
        if token.type in ("code_block", "fence"):
            said.append(token.content)
        if token.type.endswith("_close"):
            said.append(" ")
    return "".join(said), kinds


# the same words and numbers


def expected_words(results: Results) -> list[str]:
    said = [results.title, results.question, *results.answer, *results.banner]
    for section in results.sections:
        said += [section.heading, *section.paragraphs, *section.points]
        for table in section.tables:
            shown = table.shown()
            said += [table.caption, *shown.columns, *shown.to_numpy().ravel()]
        said += [figure.caption for figure in section.figures]
    said += [source.text for source in results.sources]
    return [clean(str(text)) for text in said]


def test_all_outputs_say_all_that_the_results_say(made: Made) -> None:
    results, figures = made
    word = squeezed("\n".join(word_texts(render_docx(results, figures.png))))
    paper = squeezed(pdf_text(render_pdf(results, figures)))
    plain = squeezed(markdown_parts(render_markdown(results))[0])
    for text in map(squeezed, expected_words(results)):
        assert text in word
        assert text in plain
        # the reader of PDF may join the cells of a broken row in another order
        assert text in paper or len(text) > 20
    for sentence in results.answer:
        # a hyphen at the end of a line reads as a broken word
        assert squeezed(sentence).replace("-", "") in paper.replace("-", "")


def test_word_document_has_real_parts(made: Made) -> None:
    results, figures = made
    content = render_docx(results, figures.png)
    document = docx.Document(io.BytesIO(content))
    tables = [t for s in results.sections for t in s.tables]
    assert len(document.tables) == len(tables)
    assert len(document.inline_shapes) == len(results.figures)
    styles = [p.style.name for p in document.paragraphs]
    assert styles[0] == "Title"
    assert styles.count("Caption") == len(tables) + len(results.figures)
    assert styles.count("Heading 1") >= len(results.sections) + 2
    for drawn, table in zip(document.tables, tables, strict=True):
        shown = table.shown()
        cells = [[cell.text for cell in row.cells] for row in drawn.rows]
        assert cells[0] == [clean(c) for c in shown.columns]
        assert cells[1:] == [[clean(c) for c in row] for row in shown.to_numpy()]
        assert "w:tblHeader" in drawn.rows[0]._tr.xml
    alts = [shape._inline.docPr.get("descr") for shape in document.inline_shapes]
    assert alts == [clean(figure.alt) for figure in results.figures]
    xml = document.element.xml
    assert xml.count("SEQ Table") == len(tables)
    assert xml.count("SEQ Figure") == len(results.figures)


def test_figures_of_the_word_document_have_300_dots_an_inch(made: Made) -> None:
    results, figures = made
    document = docx.Document(io.BytesIO(render_docx(results, figures.png)))
    for shape in document.inline_shapes:
        part = document.part.related_parts[
            shape._inline.graphic.graphicData.pic.blipFill.blip.embed
        ]
        assert part.image.px_width / shape.width.inches >= 285
        assert shape.width.cm <= 17.01
        assert shape.height.cm <= 25


def test_pdf_is_tagged_and_the_same_in_every_run(made: Made) -> None:
    results, figures = made
    content = render_pdf(results, figures)
    assert content == render_pdf(results, figures)
    assert b"/MarkInfo" in content
    assert b"/StructTreeRoot" in content
    assert b"pdfuaid" in content
    document = pdfium.PdfDocument(content)
    assert document.get_metadata_dict()["Title"] == results.title
    assert len(content) < 2_000_000


def test_pages_of_the_pdf_have_ink_inside_their_margins(made: Made) -> None:
    document = pdfium.PdfDocument(render_pdf(*made))
    for page in document:
        grey = page.render(scale=0.5, grayscale=True).to_numpy().squeeze()
        assert grey.min() < 100
        margin = int(0.5 * 72 * 1.5 / 2.54)
        assert grey[:, :margin].min() > 250
        assert grey[:, -margin:].min() > 250


def test_label_of_what_is_no_data_stands_in_every_caption(fitted: Made) -> None:
    results, figures = fitted
    label = "reconstruction, not data"
    walked = list(blocks(results))
    captions = [b.caption for b in walked if isinstance(b, Grid | Picture)]
    assert len(captions) > 8
    assert all(label in caption for caption in captions)
    document = docx.Document(io.BytesIO(render_docx(results, figures.png)))
    assert document.sections[0].header.paragraphs[0].text == label
    pages = pdfium.PdfDocument(render_pdf(results, figures))
    assert all(label in page.get_textpage().get_text_range() for page in pages)
    for text in csv_tables(results).values():
        frame = pd.read_csv(io.StringIO(text))
        assert (frame["label"] == label).all()


def test_failed_checks_stand_before_any_number() -> None:
    results, figures = build(fake_fit(crossover(), divergent=True))
    walked = list(blocks(results))
    headings = [b.key for b in walked if isinstance(b, Heading)]
    assert headings.index("checks-failed") < headings.index("answer")
    failed = next(b for b in walked if isinstance(b, Points))
    assert failed.role == "notice"
    for text in (pdf_text(render_pdf(results, figures)), render_markdown(results)):
        assert text.index("Checks failed") < text.index("Does drug lower")


def test_numbering_and_widths(made: Made) -> None:
    walked = list(blocks(made[0]))
    grids = [b for b in walked if isinstance(b, Grid)]
    assert [g.number for g in grids] == list(range(1, len(grids) + 1))
    for grid in grids:
        assert sum(grid.widths) == pytest.approx(1)
        assert min(grid.widths) > 0.02


def test_figure_taller_than_a_page_is_shown_whole() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="1000">'
        '<path d="M0 0h100v900h-100z" fill="#ccc"/><path d="M0 900h100v100h-100z"/></svg>'
    )
    section = Section("s", "Tall", figures=(Figure("f", "caption", "alt"),))
    results = Results("fit", "t", "q", ("a",), (section,))
    pages = [
        page.render(scale=1, grayscale=True).to_numpy().squeeze()
        for page in pdfium.PdfDocument(render_pdf(results, {"f": svg}))
    ]
    # the lowest tenth is black: a block of it is on a page, above the margin
    assert any((page[:-57] < 30).sum() > 2000 for page in pages)
    assert all((page[-57:] < 30).sum() < 200 for page in pages)


# what it is given


def dot() -> bytes:
    """Smallest of pictures."""
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    return buffer.getvalue()


def nasty(text: str) -> Results:
    """Give a report in which every text is hostile."""
    frame = pd.DataFrame({"who": [text, "b"], "n": [1.0, 2.0]})
    table = Table("t", text, (Column(text, ("who",)), Column("n", ("n",), "integer")), frame)
    section = Section("s", text, (text,), (text,), text, (table,), (Figure("f", text, text),))
    return Results(
        "fit", text, text, (text,), (section,), label=text, subtitle=text, banner=(text,)
    )


@pytest.mark.parametrize("text", [*NASTY, LONG])
def test_hostile_text_stays_text(text: str) -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0h9v9z"/></svg>'
    results = nasty(text)
    wanted = squeezed(shortened(text) if len(text) > LONGEST else clean(text))
    word = word_texts(render_docx(results, {"f": dot()}))
    assert sum(squeezed(t) == wanted for t in word) >= 6
    marks = "\u200f\ufffd\ufffe\ufffc"
    paper = squeezed(pdf_text(render_pdf(results, {"f": svg})))
    visible = re.sub(f"[{marks}]", "", wanted)
    assert re.sub(f"[{marks}]", "", paper).count(visible) >= 6
    said, kinds = markdown_parts(render_markdown(results))
    assert squeezed(said).count(wanted) >= 6
    assert not kinds & {"html_block", "html_inline", "link_open", "code_inline", "code_block"}
    assert said.count(TURN) == 0


def hostile_trial(name: str) -> Trial:
    """A trial whose first patient, active arm, title and source are one and the same name."""
    table = crossover(first=name).data
    table["treatment"] = table["treatment"].map({"drug": name, "placebo": "placebo"})
    return Trial(
        table,
        design="crossover",
        control="placebo",
        active=name,
        period="period",
        scan="scan",
        month="month",
        baseline="baseline",
        title=name,
        endpoint="lesions",
        source=name,
    )


def page_text(page: str) -> str:
    """What a reader sees of the page: no markup, no script, no style."""
    from html.parser import HTMLParser

    said: list[str] = []
    inside: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            inside.append(tag)
            assert tag != "img"
            for name, value in attrs:
                assert not name.startswith("on")
                assert "\u202e" not in (value or "")

        def handle_endtag(self, tag: str) -> None:
            while inside and inside.pop() != tag:
                pass

        def handle_data(self, data: str) -> None:
            if not {"script", "style"} & set(inside):
                said.append(data)

    Reader().feed(page)
    return "".join(said)


EVIL_NAMES = (f"{EVIL} \"'&amp; {TURN}round", "x" * 10_000, "סבתא 12", "a\u200eb\ufeffc")


@cache
def scripts_of_a_harmless_page() -> int:
    return render_html(*build(fake_fit(crossover()))).count("<script")


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_hostile_names_of_patients_arms_and_trials(name: str, tmp_path: Path) -> None:
    trial = hostile_trial(name)
    results, figures = build(fake_fit(trial))
    folder = write_results(results, tmp_path / "r", figures)
    page = (folder / "report.html").read_text("utf-8")
    assert page.count("<script") == scripts_of_a_harmless_page()
    outputs = {
        "html": page_text(page),
        "docx": "\n".join(word_texts(render_docx(results, figures.png))),
        "pdf": pdf_text(render_pdf(results, figures)),
        "md": markdown_parts(render_markdown(results))[0],
    }
    wanted = squeezed(shortened(trial.active))
    for kind, text in outputs.items():
        assert TURN not in text, kind
        # a reader of PDF may put a number on the other side of Hebrew letters
        seen = wanted if kind != "pdf" else wanted.removesuffix("12")
        assert squeezed(text).count(seen) >= 6, kind
    assert max(map(len, re.split(r"\s", outputs["html"]))) < 200
    assert len(page) < 1_500_000
    # the whole name is in the tables
    patients = pd.read_csv(folder / "tables" / "patients.csv", dtype=str, keep_default_na=False)
    assert trial.patients[0] in set(patients["patient"])
    assert len(patients["patient"].iloc[0]) == len(trial.patients[0])


@pytest.mark.parametrize("source", [hostile_reanalysis, lambda: fake_fit(crossover(first=EVIL))])
def test_hostile_names_of_trials_stay_text(source: Any) -> None:
    results, figures = build(source())
    for text in (
        "\n".join(word_texts(render_docx(results, figures.png))),
        pdf_text(render_pdf(results, figures)),
        markdown_parts(render_markdown(results))[0],
    ):
        assert squeezed(EVIL) in squeezed(text)
    assert "html_inline" not in markdown_parts(render_markdown(results))[1]


@pytest.mark.parametrize(
    "text", [*NASTY, "1. first", "1) first", "- a", "+ a", "= a", "# a", "a_b"]
)
def test_escaped_markdown_reads_as_it_was(text: str) -> None:
    line = clean(text)
    said, kinds = markdown_parts(escape(line))
    assert said.strip() == line.strip()
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}


def test_clean_leaves_ordinary_text_alone() -> None:
    text = "Größe – 95\u00a0% “x” δ 患者 ✓"
    assert clean(text) == text
    assert clean(f"a{TURN}b\nc\x00") == "a⟨U+202E⟩b c\ufffd"
    assert clean("a\u200fb\u200bc\ufeff") == "a⟨U+200F⟩b⟨U+200B⟩c⟨U+FEFF⟩"
    # joiners belong to words and to emoji
    assert clean("می\u200cخواهم 👩\u200d🔬") == "می\u200cخواهم 👩\u200d🔬"


# written


def test_folder_is_written_in_all_formats(reanalysis: Made, tmp_path: Path) -> None:
    folder = write_results(reanalysis[0], tmp_path / "results", reanalysis[1])
    paths = write_report(folder)
    assert list(paths) == ["html", "docx", "pdf", "md"]
    assert all(path == folder / f"report.{name}" for name, path in paths.items())
    again = read_results(folder)
    assert paths["md"].read_text("utf-8") == render_markdown(again)
    assert paths["pdf"].read_bytes() == render_pdf(again, reanalysis[1])
    for address in re.findall(r"\]\((figures/[^)]+)\)", paths["md"].read_text("utf-8")):
        assert (folder / address).is_file()


def test_tables_and_figures_stand_in_files(reanalysis: Made, tmp_path: Path) -> None:
    folder = write_results(reanalysis[0], tmp_path / "results", reanalysis[1])
    statements = pd.read_csv(folder / "tables" / "statements.csv")
    own = founding().statements
    assert list(statements["probability"].dropna()) == list(own["probability"].dropna())
    assert (folder / "tables" / "stance-priors.csv").is_file()
    for figure in reanalysis[0].figures:
        assert (folder / "figures" / f"{figure.name}.svg").read_text("utf-8").startswith("<?xml")
        assert (folder / "figures" / f"{figure.name}.png").read_bytes()[:4] == b"\x89PNG"


def test_new_results_take_old_reports_away(reanalysis: Made, tmp_path: Path) -> None:
    folder = write_results(reanalysis[0], tmp_path / "results", reanalysis[1])
    write_report(folder, ["md", "pdf"])
    write_results(reanalysis[0], folder, reanalysis[1], force=True)
    assert not (folder / "report.pdf").exists()
    assert not (folder / "report.md").exists()


def test_one_file_by_its_ending(reanalysis: Made, tmp_path: Path) -> None:
    for name in ("a.docx", "a.md"):
        write_one(*reanalysis, tmp_path / name, force=False)
    report(founding(), tmp_path / "a.pdf")
    assert (tmp_path / "a.docx").read_bytes()[:2] == b"PK"
    assert (tmp_path / "a.pdf").read_bytes()[:5] == b"%PDF-"
    text = (tmp_path / "a.md").read_text("utf-8")
    addresses = re.findall(r"\]\((a_figures/[^)]+)\)", text)
    assert len(addresses) == 5
    assert all((tmp_path / address).is_file() for address in addresses)
    with pytest.raises(OutputError, match="there already"):
        report(founding(), tmp_path / "a.pdf")


def test_markdown_elsewhere_finds_its_figures(reanalysis: Made, tmp_path: Path) -> None:
    folder = write_results(reanalysis[0], tmp_path / "my results", reanalysis[1])
    (tmp_path / "paper").mkdir()
    path = write_report(folder, ["md"], tmp_path / "paper" / "x.md")["md"]
    assert "](../my%20results/figures/forest.svg)" in path.read_text("utf-8")


def test_impossible_wishes_are_refused(reanalysis: Made, tmp_path: Path) -> None:
    folder = write_results(reanalysis[0], tmp_path / "results", reanalysis[1])
    with pytest.raises(OutputError, match=r"unknown format 'rtf'.*html, docx, pdf, md"):
        write_report(folder, ["rtf"])
    with pytest.raises(OutputError, match="no format"):
        write_report(folder, [])
    with pytest.raises(OutputError, match="one file"):
        write_report(folder, ["md", "pdf"], tmp_path / "x")
    (folder / "figures" / "forest.png").unlink()
    with pytest.raises(OutputError, match=r"forest\.png is missing"):
        write_report(folder, ["docx"])
    with pytest.raises(OutputError, match="no PNG"):
        render_docx(reanalysis[0], {})
    with pytest.raises(OutputError, match="no SVG"):
        render_pdf(reanalysis[0], {})


@pytest.mark.parametrize(("module", "extra"), [("docx", "docx"), ("typst", "pdf")])
def test_missing_extra_is_named(
    reanalysis: Made, module: str, extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = write_results(reanalysis[0], tmp_path / "results", reanalysis[1])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(OutputError, match=re.escape(f"pip install 'bayes-msc[{extra}]'")):
        write_report(folder, ["html", "md", extra])
    assert not (folder / "report.md").exists()


def test_results_without_a_new_field_are_still_read(reanalysis: Made) -> None:
    import json

    from bayes_msc.report import from_json, to_json

    content = json.loads(to_json(replace(reanalysis[0], bibliography="x", recipe={"a": 1})))
    again = from_json(json.dumps(content))
    assert (again.bibliography, again.recipe) == ("x", {"a": 1})
    del content["bibliography"], content["recipe"]
    assert from_json(json.dumps(content)).bibliography == ""
