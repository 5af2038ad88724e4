"""The TOML form of published results: keys, how each is read, and how it is written back."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from bayes_msc.errors import PublishedError
from bayes_msc.printed import (
    Analysis,
    Arm,
    ArmResult,
    CountSummary,
    Estimate,
    FlowRow,
    Printed,
    Source,
)
from bayes_msc.schedule import Schedule
from bayes_msc.schema import Faults, Key, flag, number, numbers, read_table, text, texts, whole


def listed(what: str, faults: Faults) -> str:
    """Return a message of a few lines that lists the first faults found."""
    shown = faults.found[:8]
    more = len(faults.found) - len(shown)
    lines = [f"{what} cannot be used:", *(f"- {fault}" for fault in shown)]
    return "\n".join([*lines, f"- and {more} more"] if more else lines)


def plain(value: Any) -> Any:
    """Turn the dataclasses into TOML tables; what is empty or at its default is left out."""
    if isinstance(value, Printed):
        return value.text
    if isinstance(value, Estimate):
        keys = {"mean": value.value, "lower": value.lower, "upper": value.upper}
        return {k: v.text for k, v in keys.items() if v is not None}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, ArmResult):
        table = {} if value.estimate is None else plain(value.estimate)
        if value.events is not None and value.exposure is not None:
            table |= {"events": value.events, "exposure": value.exposure.text}
        return table
    if is_dataclass(value):
        # where it was read from is no part of a trial, and is not compared
        kept = [f.name for f in fields(value) if f.compare]
        values = {name: getattr(value, name) for name in kept}
        # 0 equals False, and is not empty: nobody left
        empty = {k for k, v in values.items() if v is None or v is False or v in ("", ())}
        table = {k: plain(v) for k, v in values.items() if k not in empty}
        if isinstance(value, Analysis) and value.ratio is not None:
            table["ratio"]["estimate"] = table["ratio"].pop("mean")
        return table
    return value


def _estimate_keys(name: str) -> dict[str, Key]:
    keys = {name: Key(Printed.parse, required=True)}
    return keys | {limit: Key(Printed.parse) for limit in ("lower", "upper")}


ARM_KEYS = {
    "mean": Key(Printed.parse),
    "lower": Key(Printed.parse),
    "upper": Key(Printed.parse),
    "events": Key(whole),
    "exposure": Key(Printed.parse),
}
RATIO_KEYS = _estimate_keys("estimate")
ANALYSIS_KEYS = {
    **{key: Key(text) for key in ("title", "role", "where", "unit", "test", "means")},
    "certainty": Key(text, required=True),
    "level": Key(number),
    "p": Key(Printed.parse),
    "active": Key(lambda value: value),
    "control": Key(lambda value: value),
    "ratio": Key(lambda value: value),
}
SUMMARY_KEYS = {
    "quantity": Key(text, required=True),
    "n": Key(whole, required=True),
    "mean": Key(Printed.parse, required=True),
    "sd": Key(Printed.parse),
    "signed": Key(flag),
    "where": Key(text),
    "certainty": Key(text, required=True),
}
FLOW_KEYS = {
    **{key: Key(text, required=True) for key in ("group", "treatment", "certainty")},
    **{key: Key(whole) for key in ("period", "patients", "left")},
    **{key: Key(text) for key in ("note", "where")},
}
SCHEDULE_KEYS = {
    **{key: Key(text, required=True) for key in ("unit", "certainty")},
    "period_1": Key(numbers, required=True),
    "period_2": Key(numbers),
    "baseline": Key(flag),
    "where": Key(text),
}
SIDE_KEYS = {"label": Key(text, required=True), "n": Key(whole, required=True)}
SOURCE_KEYS = {
    "citation": Key(text, required=True),
    **{key: Key(text) for key in ("doi", "registration", "read_from")},
}
_WORDS = ("name", "title", "question", "endpoint", "benefit", "follow_up", "certainty")
KEYS = {
    **{key: Key(text, required=True) for key in _WORDS},
    **{k: Key(text) for k in ("preferred", "preferred_reason", "external_reason")},
    **{k: Key(text) for k in ("related_trial", "printed_counts", "short_title")},
    "external": Key(texts),
    "notes": Key(texts),
    **{
        key: Key(lambda value: value, required=True)
        for key in ("active", "control", "source", "analyses")
    },
    "summaries": Key(lambda value: value),
    "flow": Key(lambda value: value),
    "schedule": Key(lambda value: value),
}


def _build(
    kind: Any, table: Any, keys: Mapping[str, Key], where: str, faults: Faults
) -> Any | None:
    """Read a table and build the dataclass of the same keys; None if anything was wrong."""
    values = read_table(table, keys, where, faults)
    return None if values is None else faults.attempt(where, lambda: kind(**values))


def _ratio(estimate: Printed, lower: Printed | None = None, upper: Printed | None = None) -> Any:
    return Estimate(estimate, lower, upper)


def _arm_result(
    mean: Printed | None = None,
    lower: Printed | None = None,
    upper: Printed | None = None,
    events: int | None = None,
    exposure: Printed | None = None,
) -> ArmResult:
    if mean is None and (lower is not None or upper is not None):
        raise PublishedError("limits without a mean: give mean, lower and upper")
    estimate = None if mean is None else Estimate(mean, lower, upper)
    return ArmResult(estimate, events, exposure)


def _analysis(table: Any, where: str, faults: Faults) -> Analysis | None:
    before = len(faults.found)
    values = read_table(table, ANALYSIS_KEYS, where, faults)
    if values is None:
        return None
    for arm in ("active", "control"):
        if arm in values:
            values[arm] = _build(_arm_result, values[arm], ARM_KEYS, f"{where}.{arm}", faults)
    if "ratio" in values:
        values["ratio"] = _build(_ratio, values["ratio"], RATIO_KEYS, f"{where}.ratio", faults)
    if len(faults.found) > before:
        return None
    built: Analysis | None = faults.attempt(where, partial(Analysis, **values))
    return built


def _items(value: Any, kind: type, where: str, faults: Faults) -> Any:
    if isinstance(value, kind):
        return value
    words = "one table for each printed analysis" if kind is dict else "a list of tables"
    faults.add(where, f"must be {words}")
    return kind()


def read_card(content: str, what: str) -> dict[str, Any]:
    """Read the TOML text of published results into the arguments of ``Published``.

    Parameters
    ----------
    content : str
        TOML text.
    what : str
        Name of the text, for messages.

    Raises
    ------
    PublishedError
        If the text is not TOML, or holds faults; every fault is listed.
    """
    try:
        # floats stay decimal, so that 1.50 keeps its last digit
        table = tomllib.loads(content, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise PublishedError(f"{what} is not TOML: {str(error)[:200]}") from None
    faults = Faults()
    values = read_table(table, KEYS, "", faults) or dict(table)
    for arm in ("active", "control"):
        if arm in values:
            values[arm] = _build(Arm, values[arm], SIDE_KEYS, arm, faults)
    if "source" in values:
        values["source"] = _build(Source, values["source"], SOURCE_KEYS, "source", faults)
    analyses = _items(values.get("analyses", {}), dict, "analyses", faults)
    values["analyses"] = {k: _analysis(v, f"analyses.{k}", faults) for k, v in analyses.items()}
    summaries = _items(values.get("summaries", []), list, "summaries", faults)
    values["summaries"] = tuple(
        _build(CountSummary, item, SUMMARY_KEYS, f"summaries[{i}]", faults)
        for i, item in enumerate(summaries, start=1)
    )
    rows = _items(values.get("flow", []), list, "flow", faults)
    values["flow"] = tuple(
        _build(FlowRow, item, FLOW_KEYS, f"flow[{i}]", faults) for i, item in enumerate(rows, 1)
    )
    if "schedule" in values:
        found = _build(Schedule, values["schedule"], SCHEDULE_KEYS, "schedule", faults)
        values["schedule"] = found
    if faults.found:
        raise PublishedError(listed(what, faults))
    return values
