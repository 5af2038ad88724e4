"""Paragraphs that are ready to be pasted into a paper, with what they cite."""

from __future__ import annotations

from bayes_msc.report.references import cited
from bayes_msc.report.results import Section

INTRODUCTION = (
    "Two paragraphs made from the numbers of this report. Check each word against the protocol "
    "before they are used; BibTeX of what they cite stands in references.bib."
)
METHODS, RESULTS = "Methods. ", "Results. "


def paste(methods: str, results: str) -> Section:
    """Return the section with the paragraphs for a paper, and the list of what they cite."""
    texts = (f"{METHODS}{methods}", f"{RESULTS}{results}")
    return Section(
        "paste",
        "For a paper: methods and results",
        (INTRODUCTION, *texts),
        points=tuple(item.line for item in cited(texts)),
    )
