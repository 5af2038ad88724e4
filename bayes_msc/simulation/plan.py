"""Plans: a simulation as a TOML file says it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

from bayes_msc.errors import BayesMSCError, DesignError, one_of
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.rule import Rule
from bayes_msc.simulation.cell import Cell, grid
from bayes_msc.simulation.design import Design, DropOut
from bayes_msc.simulation.rules import AnyRule, IntervalRule, PValueRule, RopeRule
from bayes_msc.simulation.running import Effort
from bayes_msc.simulation.truth import AnyTruth, Truth, UncertainTruth

#: Kinds of rule, as a plan names them.
RULES: Mapping[str, type] = {
    "posterior": Rule,
    "interval": IntervalRule,
    "rope": RopeRule,
    "p-value": PValueRule,
}
#: Keys of a truth that is taken from a fit, and what may be taken of it.
OF_FIT = ("fit", "take", "rate_ratio", "priors")
TAKEN = ("draws", "medians")
KEYS = (
    "seed",
    "trials",
    "precision",
    "max_trials",
    "chunk",
    "engine",
    "models",
    "priors",
    "designs",
    "truths",
    "rules",
)


@dataclass(frozen=True, eq=False)
class Plan:
    """A simulation: its cells, its seed and how many trials.

    Attributes
    ----------
    cells : tuple of Cell
    effort : Effort
    seed : int
    """

    cells: tuple[Cell, ...]
    effort: Effort
    seed: int = 1

    def __post_init__(self) -> None:
        names = [cell.name for cell in self.cells]
        for name in names:
            if names.count(name) > 1:
                raise DesignError(f"two cells are called {name!r}: give each a name of its own")

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan from a TOML file.

        Raises
        ------
        DesignError
            If it cannot be read, has an unknown key, or an impossible cell; the message names it.
        """
        file = Path(path)
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise DesignError(f"the plan {file} cannot be read: {error.strerror}") from None
        return cls.from_toml(text, where=str(file), folder=file.parent)

    @classmethod
    def from_toml(cls, text: str, where: str = "the plan", folder: Path = Path()) -> Plan:
        """Build a plan from TOML text; ``folder`` is where cards given by their path stand."""
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise DesignError(f"{where} is no TOML: {error}") from None
        for key in table:
            one_of(key, KEYS, f"key of {where}", DesignError)
        for key in ("designs", "truths", "rules"):
            if not isinstance(table.get(key), dict) or not table[key]:
                raise DesignError(f"{where} needs at least one table [{key}.<name>]")
        designs = {name: _design(name, one) for name, one in table["designs"].items()}
        truths = {name: _truth(name, one, folder) for name, one in table["truths"].items()}
        rules = {name: _rule(name, one) for name, one in table["rules"].items()}
        models = [_model(name, folder) for name in table.get("models", [])]
        engine = table.get("engine", "auto")
        cells = grid(designs, truths, models, _priors(table.get("priors")), rules, engine)
        effort = _filled(
            Effort,
            {
                name: table[key]
                for key, name in (
                    ("trials", "trials"),
                    ("precision", "precision"),
                    ("max_trials", "max_trials"),
                    ("chunk", "size"),
                )
                if key in table
            },
            where,
        )
        return cls(tuple(cells), effort, int(table.get("seed", 1)))

    def manifest(self) -> dict[str, Any]:
        """What makes the run what it is: all but how far it goes.

        A folder takes the chunks of one manifest only.
        """
        return {
            "seed": self.seed,
            "chunk": self.effort.size,
            "cells": {cell.key: cell.name for cell in self.cells},
        }


def _design(name: str, table: Any) -> Design:
    values = _table(table, f"design {name!r}")
    if "drop_out" in values:
        values["drop_out"] = _filled(
            DropOut,
            _table(values["drop_out"], f"drop-out of the design {name!r}"),
            f"design {name}",
        )
    design: Design = _filled(Design, values, f"design {name!r}")
    return design


def _truth(name: str, table: Any, folder: Path) -> AnyTruth:
    values = _table(table, f"truth {name!r}")
    given = _table(values.pop("priors", {}), f"priors of the truth {name!r}")
    priors = {key: Prior.from_table(one) for key, one in given.items()}
    if "fit" in values:
        return _of_fit(name, values, priors, folder)
    if "log_rate_ratio" in given:
        # what is drawn needs no value
        values.setdefault("rate_ratio", 1.0)
    if "log_rate" in given:
        values.setdefault("control_rate", 1.0)
    base: Truth = _filled(Truth, values, f"truth {name!r}")
    return UncertainTruth(base, priors) if given else base


def _of_fit(
    name: str, values: dict[str, Any], priors: Mapping[str, Prior], folder: Path
) -> AnyTruth:
    """Take a truth from a saved fit: its draws, or the medians of them."""
    from bayes_msc.fit import load_fit

    for key in values:
        one_of(key, OF_FIT, f"key of the truth {name!r}, which is taken from a fit,", DesignError)
    ratio, take = values.get("rate_ratio"), values.get("take", "draws")
    one_of(take, TAKEN, f"take of the truth {name!r}", DesignError)
    try:
        fit = load_fit(folder / str(values["fit"]))
        if take == "draws":
            return replace(UncertainTruth.of_fit(fit, rate_ratio=ratio), priors=priors)
        middle = Truth.of_fit(fit, rate_ratio=ratio)
    except BayesMSCError as error:
        raise DesignError(f"the truth {name!r} is impossible: {error}") from None
    return UncertainTruth(middle, priors, source=middle.source) if priors else middle


def _rule(name: str, table: Any) -> AnyRule:
    values = _table(table, f"rule {name!r}")
    kind = values.pop("kind", "posterior")
    one_of(kind, RULES, f"kind of the rule {name!r}", DesignError)
    rule: AnyRule = _filled(RULES[kind], values, f"rule {name!r}")
    return rule


def _model(name: Any, folder: Path) -> str | Model:
    if not isinstance(name, str):
        raise DesignError(f"models holds {name!r}: names of cards or families, or paths of cards")
    return Model.load(folder / name) if name.endswith(".toml") else name


def _priors(given: Any) -> Mapping[str, Prior] | list[str] | None:
    """Names of stances, or a table of priors by name."""
    if given is None or isinstance(given, list):
        return given
    return {name: Prior.from_table(one) for name, one in _table(given, "priors").items()}


def _table(given: Any, what: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise DesignError(f"the {what} is {given!r}: a table is needed")
    return dict(given)


def _filled(kind: type, values: Mapping[str, Any], what: str) -> Any:
    """Build a value from a table; name the key at fault."""
    known = {item.name: item for item in fields(kind)}
    for key in values:
        one_of(key, known, f"key of the {what}", DesignError)
    missing = [
        name
        for name, item in known.items()
        if item.default is MISSING and item.default_factory is MISSING and name not in values
    ]
    if missing:
        raise DesignError(f"the {what} also needs {', '.join(missing)}")
    try:
        return kind(**values)
    except BayesMSCError as error:
        raise DesignError(f"the {what} is impossible: {error}") from None
    except (TypeError, ValueError) as error:
        raise DesignError(f"the {what} has a value of the wrong kind: {error}") from None
