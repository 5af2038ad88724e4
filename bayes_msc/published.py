"""A trial known only by its printed numbers: what is printed, where, and how certain it is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from bayes_msc.errors import OutputError, PublishedError, one_of
from bayes_msc.notebook import block, heading, paragraph
from bayes_msc.printed import CERTAINTY, Analysis, Arm, CountSummary, FlowRow, Source
from bayes_msc.published_card import listed, plain, read_card
from bayes_msc.routes import Effect, open_routes, routes
from bayes_msc.schedule import Schedule
from bayes_msc.schema import Faults

BENEFITS = ("lower", "higher")
CARD = "published.toml"


@dataclass(frozen=True)
class Published:
    """A trial known by its printed results.

    Parameters
    ----------
    name, title, question, endpoint, follow_up : str
        The trial in words; ``endpoint`` names the events, such as ``"new lesions"``.
    benefit : str
        ``"lower"`` if a rate ratio below 1 is good for the patient, else ``"higher"``.
    active, control : Arm
        Ratios are always active over control.
    source : Source
        Where the numbers come from.
    certainty : str
        One of ``CERTAINTY``.
    analyses : mapping of str to Analysis
        What is printed, by a short key.
    preferred, preferred_reason : str
        The analysis to build on, and why; both may be left out if there is only one analysis.
    summaries : tuple of CountSummary
        Printed plain means of whole numbers, for checks digit by digit.
    external, external_reason : tuple of str, str
        Bundled trials that ask the same question, and why they do.
    related_trial : str
        Patient-level data set of the same trial, if there is one.
    printed_counts : str
        Bundled trial, or TOML file, of what is printed on its counts, for ``reconstruct``. A file
        is looked for from ``folder``.
    flow : tuple of FlowRow
        What is printed on who took part, by sequence and period, or by arm.
    schedule : Schedule, optional
        When counts were planned, where that is printed.
    notes : tuple of str
        What a reader of the numbers must know.
    short_title : str
        What figures and sentences call the trial; by default its name.
    folder : Path
        Where the TOML file lies that it was read from; no part of the trial itself.

    Raises
    ------
    PublishedError
        If the pieces do not fit together, or no rate ratio can be derived.
    """

    name: str
    title: str
    question: str
    endpoint: str
    benefit: str
    follow_up: str
    active: Arm
    control: Arm
    source: Source
    certainty: str
    analyses: Mapping[str, Analysis]
    preferred: str = ""
    preferred_reason: str = ""
    summaries: tuple[CountSummary, ...] = ()
    external: tuple[str, ...] = ()
    external_reason: str = ""
    related_trial: str = ""
    notes: tuple[str, ...] = field(default=())
    short_title: str = ""
    printed_counts: str = ""
    flow: tuple[FlowRow, ...] = ()
    schedule: Schedule | None = None
    folder: Path = field(default=Path(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.short_title:
            object.__setattr__(self, "short_title", self.name)
        faults = Faults()
        _check_words(self, faults)
        if len(self.analyses) == 1 and not self.preferred:
            object.__setattr__(self, "preferred", next(iter(self.analyses)))
        elif self.preferred not in self.analyses:
            known = ", ".join(self.analyses)
            faults.add("", f"preferred is {self.preferred!r}: choose one of the analyses {known}")
        elif len(self.analyses) > 1 and not self.preferred_reason:
            faults.add("", "preferred_reason is missing: say why this analysis is preferred")
        if self.preferred in self.analyses and not open_routes(self.analyses[self.preferred]):
            faults.add(f"analyses.{self.preferred}", _closed(self.analyses[self.preferred]))
        if faults.found:
            raise PublishedError(listed(f"published results {self.name!r}", faults))

    def analysis(self, key: str | None = None) -> Analysis:
        """Return one printed analysis, by default the preferred one.

        Raises
        ------
        PublishedError
            If there is no such analysis; the known ones are listed.
        """
        wanted = self.preferred if key is None else key
        one_of(wanted, self.analyses, f"analysis of {self.name}", PublishedError)
        return self.analyses[wanted]

    def printed(self, key: str | None = None) -> str:
        """What the paper prints for an analysis, such as ``"ratio 0.94 (0.58-1.50), p 0.78"``."""
        analysis = self.analysis(key)
        pieces = [] if analysis.ratio is None else [f"ratio {analysis.ratio}"]
        if analysis.arm_estimates is not None:
            pieces.append(" against ".join(str(arm) for arm in analysis.arm_estimates))
        if analysis.active is not None and analysis.control is not None:
            pieces += [
                f"{arm.label} {found.events} events in {found.exposure}"
                for arm, found in (
                    (self.active, analysis.active),
                    (self.control, analysis.control),
                )
                if found.events is not None
            ]
        return ", ".join([*pieces, *([] if analysis.p is None else [f"p {analysis.p}"])])

    def effect(self, key: str | None = None) -> tuple[str, Effect]:
        """Route used for an analysis, and the log rate ratio with its standard error.

        Raises
        ------
        PublishedError
            If no route leads from the printed numbers to a rate ratio.
        """
        found = open_routes(self.analysis(key))
        if not found:
            raise PublishedError(f"analysis {key!r} of {self.name}: {_closed(self.analysis(key))}")
        route, effect = found[0]
        return route.name, effect

    def routes(self, key: str | None = None) -> pd.DataFrame:
        """Table of every route of every analysis to the log rate ratio.

        Parameters
        ----------
        key : str, optional
            The analysis to build on, by default the preferred one.

        Returns
        -------
        DataFrame
            Columns ``analysis, route, log_rate_ratio, se, used, why, se_lower, se_upper,
            p_value``; closed routes have no numbers; exactly one row is ``used``.
            ``se_lower`` and ``se_upper`` are what the rounding of the printed numbers leaves open.
        """
        wanted = self.preferred if key is None else key
        used = (wanted, self.effect(wanted)[0])
        rows = [
            _route_row(name, route.name, route.effect, (name, route.name) == used, route.why)
            for name, analysis in self.analyses.items()
            for route in routes(analysis)
        ]
        return pd.DataFrame(rows)

    def to_toml(self) -> str:
        """Return the TOML text that ``read_published`` reads; printed digits are kept."""
        import tomli_w

        return tomli_w.dumps(plain(self), multiline_strings=False)

    def write(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write the TOML file, whole or not at all.

        Raises
        ------
        OutputError
            If the file exists (unless ``overwrite``) or cannot be written.
        """
        target = Path(path)
        if target.exists() and not overwrite:
            raise OutputError(f"{target} exists: choose another name, or pass overwrite=True")
        partial_file = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            partial_file.write_text(self.to_toml(), encoding="utf-8")
            partial_file.replace(target)
        except OSError as error:
            with suppress(OSError):
                partial_file.unlink(missing_ok=True)
            raise OutputError(f"cannot write {target}: {error.strerror or error}") from None
        return target

    @property
    def printed_counts_file(self) -> Path | None:
        """File of what is printed on its counts; None if that is bundled, or there is none."""
        return self.folder / self.printed_counts if self.printed_counts.endswith(".toml") else None

    @property
    def sha256(self) -> str:
        """SHA-256 of the TOML text."""
        return hashlib.sha256(self.to_toml().encode()).hexdigest()

    def __str__(self) -> str:
        """Return a few lines: title, arms, preferred analysis."""
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        first, *rest = _lines(self)
        return block(heading(first), *map(paragraph, rest))


def _check_words(published: Published, faults: Faults) -> None:
    for key in ("name", "title", "question", "endpoint", "follow_up"):
        if not getattr(published, key).strip():
            faults.add(key, "is empty")
    if published.benefit not in BENEFITS:
        given = published.benefit
        faults.add("benefit", f"is {given!r}: choose 'lower' or 'higher' (which rate is better?)")
    if published.certainty not in CERTAINTY:
        known = ", ".join(CERTAINTY)
        faults.add("certainty", f"is {published.certainty!r}: choose one of {known}")
    for key, arm in (("active", published.active), ("control", published.control)):
        if arm.n < 1:
            faults.add(key, f"n is {arm.n}: it must be 1 or more")
        if not arm.label.strip():
            faults.add(key, "label is empty")
    if published.active.label == published.control.label:
        faults.add("", f"both arms are called {published.active.label!r}: give them two labels")
    if published.external and not published.external_reason:
        faults.add("external_reason", "is missing: say why these trials ask the same question")
    if any(not key.strip() for key in published.analyses):
        faults.add("analyses", "an analysis has no name: give each a short key")
    places = [(row.group, row.period) for row in published.flow]
    if len(set(places)) < len(places):
        faults.add("flow", "has two rows of one group and period: give one each")
    if not published.analyses:
        faults.add("analyses", "is empty: at least one printed comparison is needed")


def _closed(analysis: Analysis) -> str:
    reasons = "; ".join(f"{route.name}: {route.why}" for route in routes(analysis))
    return f"no rate ratio with a standard error can be derived ({reasons})"


def _lines(published: Published) -> list[str]:
    route, effect = published.effect()
    arms = " against ".join(f"{a.label} (n = {a.n})" for a in (published.active, published.control))
    return [
        f"{published.name}: {published.title}",
        f"{arms}; {published.endpoint}; {published.follow_up}",
        f"A {published.benefit} rate is better; certainty of the numbers: {published.certainty}",
        f"Printed ({published.preferred}): {published.printed()}",
        f"Derived ({route}): log rate ratio {effect.log_rate_ratio:.3f}, "
        f"standard error {effect.se:.3f}",
        f"Source: {published.source.citation} {published.source.doi}".rstrip(),
    ]


def _route_row(
    analysis: str, route: str, effect: Effect | None, used: bool, why: str
) -> dict[str, Any]:
    nan = float("nan")
    return {
        "analysis": analysis,
        "route": route,
        "log_rate_ratio": effect.log_rate_ratio if effect else nan,
        "se": effect.se if effect else nan,
        "used": used,
        "why": f"used: first open route in the order of preference; {why}" if used else why,
        "se_lower": effect.se_range[0] if effect else nan,
        "se_upper": effect.se_range[1] if effect else nan,
        "p_value": effect.p_value if effect else nan,
    }


def parse_published(content: str, what: str = "the text") -> Published:
    """Read published results from TOML text.

    Parameters
    ----------
    content : str
        TOML text.
    what : str
        Name of the text, for messages.

    Returns
    -------
    Published
        Checked.

    Raises
    ------
    PublishedError
        If the text is not TOML or not a published trial; every fault found is listed.
    """
    return Published(**read_card(content, what))


def read_published(path: str | Path) -> Published:
    """Read published results from a TOML file.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Published
        Checked.

    Raises
    ------
    PublishedError
        If there is no such file, it is a folder, it is not UTF-8 text, or it is not a published
        trial; the message lists every fault found.
    """
    source = Path(path)
    if source.is_dir():
        raise PublishedError(f"{source} is a folder: name the TOML file itself")
    try:
        content = source.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        known = ", ".join(published_names())
        raise PublishedError(f"there is no file {source} (bundled by name: {known})") from None
    except OSError as error:
        raise PublishedError(f"cannot read {source}: {error.strerror or error}") from None
    except ValueError:
        raise PublishedError(f"{source} is not UTF-8 text: save it as a UTF-8 TOML file") from None
    return replace(parse_published(content, str(source)), folder=source.parent)


def _folder() -> Any:
    return resources.files("bayes_msc").joinpath("datasets")


def published_names() -> tuple[str, ...]:
    """Names of the bundled published trials, sorted."""
    folders = [item for item in _folder().iterdir() if item.is_dir()]
    return tuple(sorted(item.name for item in folders if item.joinpath(CARD).is_file()))


def load_published(name: str) -> Published:
    """Load a bundled published trial.

    Parameters
    ----------
    name : str
        One of ``published_names()``.

    Returns
    -------
    Published
        What the paper prints.

    Raises
    ------
    PublishedError
        If the name is unknown; the known ones are listed.
    """
    one_of(name, published_names(), "published trial", PublishedError)
    content = _folder().joinpath(name, CARD).read_text(encoding="utf-8")
    return parse_published(content, f"bundled trial {name}")
