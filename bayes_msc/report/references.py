"""What a report cites: in the text, as a list and as BibTeX."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from bayes_msc.errors import OutputError, one_of
from bayes_msc.report.results import Source

_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{mark: f"\\{mark}" for mark in "#$%&_"},
}


@dataclass(frozen=True)
class Reference:
    """One article: its key and the fields of BibTeX."""

    key: str
    author: str
    title: str
    journal: str
    year: int
    volume: str
    pages: str
    doi: str = ""

    @property
    def short(self) -> str:
        """Authors and year as they stand in a text: ``Hoffman and Gelman 2014``."""
        names = [name.split(",")[0] for name in self.author.split(" and ")]
        if len(names) > 2:
            return f"{names[0]} et al. {self.year}"
        return f"{' and '.join(names)} {self.year}"

    @property
    def line(self) -> str:
        """The reference as one line of a list."""
        names = ", ".join(_initials(name) for name in self.author.split(" and "))
        address = f" https://doi.org/{self.doi}" if self.doi else ""
        where = f"{self.journal} {self.year};{self.volume}:{self.pages}"
        return f"{names}. {self.title}. {where}.{address}"

    @property
    def bibtex(self) -> str:
        """The reference as an entry of BibTeX; titles keep their capitals."""
        fields = {
            "author": self.author,
            "title": f"{{{self.title}}}",
            "journal": self.journal,
            "year": str(self.year),
            "volume": self.volume,
            "pages": self.pages.replace("-", "--"),
            "doi": self.doi,
        }
        return _entry("article", self.key, fields)


@cache
def references() -> Mapping[str, Reference]:
    """Return all articles that a report may cite, by key."""
    path = resources.files("bayes_msc.report").joinpath("references.toml")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {key: Reference(key, **fields) for key, fields in tables.items()}


def cite(*keys: str) -> str:
    """Return a citation for a sentence: ``(Kruschke 2021; Sung et al. 2005)``.

    Raises
    ------
    OutputError
        If a key is unknown.
    """
    known = references()
    for key in keys:
        one_of(key, known, "reference", OutputError)
    return f"({'; '.join(known[key].short for key in keys)})"


def cited(texts: Sequence[str]) -> tuple[Reference, ...]:
    """Return the articles that texts cite, in the order in which they are first named."""
    text = " ".join(texts)
    found = [(text.index(item.short), item) for item in references().values() if item.short in text]
    return tuple(item for _, item in sorted(found, key=lambda pair: pair[0]))


def bibliography(texts: Sequence[str], sources: Sequence[Source]) -> str:
    """Return BibTeX of what texts cite, and of where the numbers come from.

    Parameters
    ----------
    texts : sequence of str
        Paragraphs that cite by authors and year.
    sources : sequence of Source
        Sources of the report; each becomes an entry ``source1``, ``source2``, ...

    Returns
    -------
    str
        One entry a reference.
    """
    entries = [item.bibtex for item in cited(texts)]
    for number, source in enumerate(sources, 1):
        fields = {"note": tex(source.text), "doi": tex(source.doi)}
        entries.append(_entry("misc", f"source{number}", fields))
    return "\n".join(entries)


def tex(text: str) -> str:
    """Return text in which nothing is a command of TeX."""
    return re.sub(r"[\\{}~^#$%&_]", lambda found: _TEX[found[0]], " ".join(text.split()))


def _initials(name: str) -> str:
    """Return a name as journals print it: ``Hoffman MD``."""
    if name == "others":
        return "et al"
    family, _, given = name.partition(", ")
    return f"{family} {''.join(part[0] for part in re.split('[ -]', given))}"


def _entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}", ""])
