"""Read a plan from its file: every fault with its line, its key and what to do."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bayes_msc.analysis_plan.lines import line_of
from bayes_msc.analysis_plan.tables import MisfitError, PlanTables
from bayes_msc.errors import PlanError
from bayes_msc.notebook import block, heading, listing
from bayes_msc.rule import Rule
from bayes_msc.schema import shown

#: A file longer than this is not a plan; finding lines would take long, too.
LONGEST = 100_000


@dataclass(frozen=True, eq=False)
class AnalysisPlan:
    """A pre-specified analysis: what will be done with which data, in one file.

    Attributes
    ----------
    tables : PlanTables
        What the file says, checked.
    content : bytes
        The file as it stands.
    sha256 : str
        SHA-256 of the file's bytes, as hexadecimal text; it goes into the report.
    name : str
        The file's name.
    folder : Path
        Where the file is: paths in it start there.
    """

    tables: PlanTables
    content: bytes
    sha256: str
    name: str
    folder: Path

    @property
    def rule(self) -> Rule:
        """The decision rule."""
        rule = self.tables.rule
        return Rule(rule.threshold, rule.probability, self.tables.question.benefit)

    @property
    def results(self) -> Path:
        """Folder that the plan names for its results."""
        return self.folder / self.tables.output.folder

    def summary(self) -> dict[str, str]:
        """Return the main choices in words."""
        tables = self.tables
        data = tables.data
        words = {"data": data.file or data.bundled or data.published}
        if tables.model and tables.estimands:
            words |= {"model": tables.model.card, "estimand": tables.estimands.primary}
        return {
            **words,
            "prior": tables.priors.primary,
            "rule": self.rule.words(),
            "sensitivity": ", ".join(tables.sensitivity.analyses) or "none",
            "SHA-256 of the plan": self.sha256,
        }

    def __str__(self) -> str:
        """Return the main choices, one a line."""
        lines = [f"{key}: {value}" for key, value in self.summary().items()]
        return "\n".join([f"Plan {self.name}", *lines])

    def _repr_html_(self) -> str:
        return block(heading(f"Plan {self.name}"), listing(self.summary()))


def read_plan(path: str | Path) -> AnalysisPlan:
    """Read a pre-specified analysis from its TOML file, and check all that can be checked so.

    Nothing is computed, and the data are not looked at: see ``check_plan``.

    Parameters
    ----------
    path : str or Path
        Usually ``analysis.toml``, such as ``write_plan`` or ``bayes-msc init`` writes.

    Returns
    -------
    AnalysisPlan

    Raises
    ------
    PlanError
        If there is no such file, or it is not a plan: every fault found is listed, each with its
        line, its key and what is allowed.
    """
    file = Path(path)
    if file.is_dir():
        raise PlanError(f"{file} is a folder: name the plan's file, such as {file}/analysis.toml")
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise PlanError(
            f"there is no plan {file} (looked in {Path.cwd()}): `bayes-msc init` writes one"
        ) from None
    except OSError as error:
        raise PlanError(f"{file} cannot be read: {error.strerror or error}") from None
    return parse_plan(content, file.name, file.parent)


def parse_plan(content: bytes, name: str, folder: Path) -> AnalysisPlan:
    """Read a plan from the bytes of its file.

    Parameters
    ----------
    content : bytes
    name : str
        The file's name, for messages.
    folder : Path
        Where paths in the plan start.

    Raises
    ------
    PlanError
        As ``read_plan``.
    """
    if len(content) > LONGEST:
        raise PlanError(f"{name} has {len(content)} bytes: a plan has at most {LONGEST}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PlanError(f"{name} is not UTF-8 text: save it as a UTF-8 TOML file") from None
    text = text.replace("\r\n", "\n")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{name} is not TOML: {error}") from None
    try:
        tables = PlanTables.model_validate(table)
    except ValidationError as error:
        found = [_fault(text, table, one) for one in error.errors(include_url=False)]
        head = "1 fault" if len(found) == 1 else f"{len(found)} faults"
        raise PlanError("\n  - ".join([f"{name} has {head}:", *found])) from None
    return AnalysisPlan(tables, content, hashlib.sha256(content).hexdigest(), name, folder)


def _fault(text: str, table: Mapping[str, Any], error: ErrorDetails) -> str:
    cause = error.get("ctx", {}).get("error")
    path = cause.path if isinstance(cause, MisfitError) else error["loc"]
    key = ".".join(str(part) for part in path if not isinstance(part, int))
    line = line_of(text, path)
    place = f"line {line}, {key}" if line else key
    return f"{place}: {_words(error)}" if place else _words(error)


def _words(error: ErrorDetails) -> str:
    path = [part for part in error["loc"] if isinstance(part, str)]
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = ", ".join(_fields_at(path[:-1]))
        return f"unknown key {path[-1]!r}: choose one of {known}"
    if kind == "missing":
        inside = _model_at(path)
        what = f"the table [{'.'.join(path)}]" if inside else f"the key {path[-1]!r}"
        keys = f" with {', '.join(_required(inside))}" if inside else ""
        return f"{what} is missing: add it{keys}; it has no default"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"is {shown(error['input'])}: choose {context['expected']}"
    given = shown(error["input"])
    message = error["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"is {given}: {_KINDS.get(kind, message)} is needed"


_KINDS = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list in square brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "too_short": "at least one entry",
}


def _model_at(path: list[str]) -> type[BaseModel] | None:
    """Return the class of the table at a path, or None for a plain key."""
    model: type[BaseModel] = PlanTables
    for name in path:
        field = model.model_fields.get(name)
        found = _class_of(field.annotation) if field else None
        if found is None:
            return None
        model = found
    return model


def _class_of(annotation: Any) -> type[BaseModel] | None:
    options = [annotation, *getattr(annotation, "__args__", ())]
    classes = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
    return classes[0] if classes else None


def _fields_at(path: list[str]) -> list[str]:
    model = _model_at(path)
    return list(model.model_fields) if model else []


def _required(model: type[BaseModel]) -> list[str]:
    return [name for name, field in model.model_fields.items() if field.is_required()]
