"""Sentences and shown tables of two reports: where every number is the same, so are the words."""

from __future__ import annotations

from collections.abc import Iterator

from bayes_msc.report import Results

COLUMNS = ("place", "stored", "again", "same")


def words_of(stored: Results, again: Results) -> Iterator[dict[str, object]]:
    """Compare the words of two reports, place by place.

    Parameters
    ----------
    stored, again : Results

    Yields
    ------
    dict
        With the keys ``COLUMNS``.
    """
    first, second = dict(_places(stored)), dict(_places(again))
    for place, text in first.items():
        other = second.get(place, "")
        yield {"place": place, "stored": text, "again": other, "same": text == other}


def _places(results: Results) -> Iterator[tuple[str, str]]:
    for name in ("title", "question", "label", "subtitle"):
        yield name, str(getattr(results, name))
    for number, sentence in enumerate(results.answer, 1):
        yield f"answer, sentence {number}", sentence
    yield "failed checks", "\n".join(results.banner)
    for section in results.sections:
        for number, paragraph in enumerate(section.paragraphs, 1):
            yield f"{section.heading}, paragraph {number}", paragraph
        for number, point in enumerate(section.points, 1):
            yield f"{section.heading}, point {number}", point
        for table in section.tables:
            yield f"{section.heading}, table {table.name}", table.shown().to_csv(index=False)
        for figure in section.figures:
            yield f"{section.heading}, figure {figure.name}", f"{figure.caption}\n{figure.alt}"
    yield "the reader's own prior", str(results.panel)
