"""What a paper prints on the counts of a whole trial, as a TOML file says it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from bayes_msc.errors import ReconstructionError, one_of
from bayes_msc.notebook import block, heading, listing, points
from bayes_msc.reconstruct.facts import Fact, fact
from bayes_msc.reconstruct.summary import GroupSummary

#: An arm and a period; the period of a baseline is 0.
Cell = tuple[str, int]

QUANTITIES = {
    "baseline": "count before treatment",
    "change": "last scan of a period less the last scan before it",
    "total": "sum of the scans of a period",
}
TESTS = ("paired-wilcoxon", "mann-whitney")
COMPARED = ("treatments", "periods", "arms")
VARIANTS = ("asymptotic", "asymptotic-corrected", "exact", "exact-ties")
SCALES = ("linear", "log1p", "sqrt", "none")
INFORMATION = ("observed", "expected")
FIGURES = ("mean", "lower", "upper")
BUNDLED = "printed.toml"
KEYS = {
    "trial": (
        "title", "endpoint", "control", "active", "periods", "scans", "months", "source", "notes",
        "arms", "drop_out", "summaries", "tests", "regressions",
    ),
    "arm": ("name", "first", "n"),
    "drop-out": ("arm", "scans_seen"),
    "summary": (
        "quantity", "of", "mean", "sd", "median", "minimum", "maximum", "spread", "zeros",
        "decimals", "where",
    ),
    "test": ("kind", "quantity", "compares", "period", "p", "variants", "where"),
    "regression": (
        "period", "scale", "information", "overdispersion", "carried_forward", "p", "means",
        "where",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Group:
    """A printed summary and the cells it is about."""

    quantity: str
    cells: tuple[Cell, ...]
    summary: GroupSummary


@dataclass(frozen=True)
class RankTest:
    """A printed p-value of a rank test.

    Attributes
    ----------
    kind : str
        One of ``TESTS``.
    quantity : str
        ``"change"`` or ``"total"``.
    compares : str
        ``"treatments"`` or ``"periods"`` within patients, ``"arms"`` between them.
    period : int
        Of a comparison of arms.
    p : Fact
    variants : tuple of str
        Ways to compute the p-value; one that prints the same is enough.
    """

    kind: str
    quantity: str
    compares: str
    period: int
    p: Fact
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Regression:
    """Printed figures of a negative binomial regression of a period's totals on arm and baseline.

    Attributes
    ----------
    period : int
    scale : str
        Of the baseline: one of ``SCALES``.
    information : str
        Behind limits and p-value: ``"observed"`` or ``"expected"``.
    overdispersion : float, optional
        Fixed at this; None if it was estimated by maximum likelihood.
    carried_forward : bool
        Whether the drop-out's last count was carried forward; if not, only the scans that were
        seen count, with the log of their number as offset, and means are per scan.
    p : Fact, optional
        Wald p-value of the arm.
    means : mapping of (str, str) to Fact
        By arm, and ``"mean"``, ``"lower"`` or ``"upper"`` (95 %), adjusted to the mean baseline.
    """

    period: int
    scale: str
    information: str
    overdispersion: float | None
    carried_forward: bool
    p: Fact | None
    means: Mapping[tuple[str, str], Fact]

    @property
    def n_figures(self) -> int:
        """Number of printed figures."""
        return len(self.means) + (self.p is not None)


@dataclass(frozen=True)
class DropOut:
    """The one patient who left: of which arm, after how many scans; then carried forward."""

    arm: str
    scans_seen: int


@dataclass(frozen=True)
class Paper:
    """All that is printed on the counts of one trial.

    Attributes
    ----------
    name, title, endpoint, control, active, source : str
    periods, scans : int
        Number of periods, and of scans in each.
    months : tuple of int
        Of the scans, over all periods; may be empty.
    arms : mapping of str to (str, int)
        Name of the arm (in a crossover: of the sequence), its first treatment, its patients.
    drop_out : DropOut, optional
    groups : tuple of Group
    tests : tuple of RankTest
    regressions : tuple of Regression
    notes : tuple of str
    """

    name: str
    title: str
    endpoint: str
    control: str
    active: str
    source: str
    periods: int
    scans: int
    months: tuple[int, ...]
    arms: Mapping[str, tuple[str, int]]
    drop_out: DropOut | None
    groups: tuple[Group, ...]
    tests: tuple[RankTest, ...] = ()
    regressions: tuple[Regression, ...] = ()
    notes: tuple[str, ...] = field(default=())
    #: The text of its file, to read it again; a paper that was changed since has another one.
    toml: str = field(default="", repr=False, compare=False)

    def _repr_html_(self) -> str:
        arms = {name: f"{first} first, {n} patients" for name, (first, n) in self.arms.items()}
        summaries = (
            f"{group.quantity}: {', '.join(map(str, group.summary.facts.values()))}"
            for group in self.groups
        )
        tests = (f"{test.kind} of {test.quantity}s: {test.p}" for test in self.tests)
        told = {"endpoint": self.endpoint, "source": self.source, **arms}
        parts = [heading(self.title), listing(told), points((*summaries, *tests))]
        return block(*parts, points(self.notes))

    def of(self, quantity: str) -> tuple[Group, ...]:
        """Return the printed summaries of one quantity."""
        return tuple(group for group in self.groups if group.quantity == quantity)

    def size(self, cell: Cell) -> int:
        """Return the number of patients in a cell."""
        return self.arms[cell[0]][1]

    def treatment(self, arm: str, period: int) -> str:
        """Return the treatment of an arm in a period."""
        first = self.arms[arm][0]
        other = self.active if first == self.control else self.control
        return first if period == 1 else other

    def with_group(self, place: int, summary: GroupSummary) -> Paper:
        """Return the paper with another summary at one place."""
        changed = list(self.groups)
        changed[place] = replace(changed[place], summary=summary)
        return replace(self, groups=tuple(changed), toml="")


def read_paper(source: str | Path) -> Paper:
    """Read what is printed on a trial's counts.

    Parameters
    ----------
    source : str or Path
        Name of a bundled trial that has such a file (``"llufriu2014"``), or a TOML file.

    Raises
    ------
    ReconstructionError
        If there is no such file, or it does not make a trial; the message says what is allowed.
    """
    path = Path(source)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ReconstructionError(f"there is no file {path}")
        return parse_paper(path.read_text(encoding="utf-8"), path.stem)
    folder = resources.files("bayes_msc").joinpath("datasets")
    known = sorted(f.name for f in folder.iterdir() if f.joinpath(BUNDLED).is_file())
    one_of(source, known, "trial with printed counts", ReconstructionError)
    return parse_paper(folder.joinpath(str(source), BUNDLED).read_text("utf-8"), str(source))


def parse_paper(text: str, name: str) -> Paper:
    """Build a paper from the text of its TOML file; see ``read_paper``."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ReconstructionError(f"{name} is not TOML: {error}") from None
    _known(content, "trial", name)
    arms = {}
    for arm in _need(content, "arms", name):
        _known(arm, "arm", name)
        arms[str(_need(arm, "name", "an arm"))] = (
            str(_need(arm, "first", "an arm")),
            int(_need(arm, "n", "an arm")),
        )
    control, active = (str(_need(content, key, name)) for key in ("control", "active"))
    for arm_name, (first, _) in arms.items():
        one_of(first, (control, active), f"treatment of {arm_name}", ReconstructionError)
    periods = int(content.get("periods", 1))
    one_of(periods, (1, 2), "number of periods", ReconstructionError)
    shape = _Shape(arms, periods)
    out = content.get("drop_out")
    return Paper(
        name=name,
        title=str(content.get("title", name)),
        endpoint=str(content.get("endpoint", "lesions")),
        control=control,
        active=active,
        source=str(content.get("source", "")),
        periods=periods,
        scans=int(content.get("scans", 1)),
        months=tuple(int(month) for month in content.get("months", ())),
        arms=arms,
        drop_out=None if out is None else _drop_out(out, arms, int(content.get("scans", 1))),
        groups=tuple(_group(entry, shape) for entry in _need(content, "summaries", name)),
        tests=tuple(_test(entry) for entry in content.get("tests", ())),
        regressions=tuple(_regression(entry, arms) for entry in content.get("regressions", ())),
        notes=tuple(str(note) for note in content.get("notes", ())),
        toml=text,
    )


@dataclass(frozen=True)
class _Shape:
    arms: Mapping[str, tuple[str, int]]
    periods: int


def _known(entry: Mapping[str, Any], what: str, where: str) -> None:
    for key in entry:
        one_of(key, KEYS[what], f"key of a {what} in {where}", ReconstructionError)


def _need(entry: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in entry:
        raise ReconstructionError(f"{where} lacks {key!r}")
    return entry[key]


def _drop_out(entry: Mapping[str, Any], arms: Mapping[str, Any], scans: int) -> DropOut:
    _known(entry, "drop-out", "the trial")
    arm, seen = str(_need(entry, "arm", "drop_out")), int(_need(entry, "scans_seen", "drop_out"))
    one_of(arm, arms, "arm of the drop-out", ReconstructionError)
    if seen not in (1, scans):
        raise ReconstructionError(
            f"the drop-out has {seen} scans seen: only 1, or all {scans} of the first period, can "
            "be reconstructed"
        )
    return DropOut(arm, seen)


def _group(entry: Mapping[str, Any], shape: _Shape) -> Group:
    _known(entry, "summary", "the trial")
    quantity = str(_need(entry, "quantity", "a summary"))
    one_of(quantity, QUANTITIES, "quantity", ReconstructionError)
    cells = tuple(_cell(str(name), quantity, shape) for name in _need(entry, "of", "a summary"))
    numbers = {key: entry[key] for key in KEYS["summary"][4:9] if key in entry}
    label = f"{quantity} of {', '.join(map(str, entry['of']))}"
    try:
        summary = GroupSummary.of(
            sum(shape.arms[arm][1] for arm, _ in cells), _need(entry, "mean", label),
            entry.get("sd"), decimals=entry.get("decimals"), signed=quantity == "change",
            label=label, **numbers,
        )  # fmt: skip
    except ReconstructionError as error:
        raise ReconstructionError(f"{label}: {error}") from None
    return Group(quantity, cells, summary)


def _cell(name: str, quantity: str, shape: _Shape) -> Cell:
    arm, slash, period = name.partition("/")
    one_of(arm, shape.arms, f"arm of a {quantity}", ReconstructionError)
    if quantity == "baseline":
        return arm, 0
    number = int(period) if slash and period.isdigit() else (1 if not slash else 0)
    one_of(number, range(1, shape.periods + 1), f"period in {name!r}", ReconstructionError)
    return arm, number


def _test(entry: Mapping[str, Any]) -> RankTest:
    _known(entry, "test", "the trial")
    kind = str(_need(entry, "kind", "a test"))
    one_of(kind, TESTS, "test", ReconstructionError)
    compares = str(_need(entry, "compares", "a test"))
    one_of(compares, COMPARED, "comparison of a test", ReconstructionError)
    variants: Sequence[str] = entry.get("variants", ("asymptotic",))
    for variant in variants:
        one_of(variant, VARIANTS, "variant of a test", ReconstructionError)
    quantity = str(_need(entry, "quantity", "a test"))
    one_of(quantity, ("change", "total"), "quantity of a test", ReconstructionError)
    p = fact("p", _need(entry, "p", "a test"))
    return RankTest(kind, quantity, compares, int(entry.get("period", 1)), p, tuple(variants))


def _regression(entry: Mapping[str, Any], arms: Mapping[str, Any]) -> Regression:
    _known(entry, "regression", "the trial")
    scale, information = (
        str(entry.get("scale", "linear")),
        str(entry.get("information", "observed")),
    )
    one_of(scale, SCALES, "scale of the baseline", ReconstructionError)
    one_of(information, INFORMATION, "information", ReconstructionError)
    means: dict[tuple[str, str], Fact] = {}
    for arm, figures in _need(entry, "means", "a regression").items():
        one_of(arm, arms, "arm of a regression", ReconstructionError)
        for figure, value in figures.items():
            one_of(figure, FIGURES, "figure of a regression", ReconstructionError)
            means[arm, figure] = fact(f"{figure} of {arm}", value)
    overdispersion = entry.get("overdispersion", "estimated")
    return Regression(
        period=int(entry.get("period", 1)),
        scale=scale,
        information=information,
        overdispersion=None if overdispersion == "estimated" else float(overdispersion),
        carried_forward=bool(entry.get("carried_forward", True)),
        p=fact("p", entry["p"]) if "p" in entry else None,
        means=means,
    )
