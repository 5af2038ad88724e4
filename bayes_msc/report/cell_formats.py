"""How a number or a word stands in a cell of a report's table."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from bayes_msc.report.prose import percent, ratio

MISSING = "–"


def _text(value: Any) -> str:
    return MISSING if value is None or value is pd.NA or value != value else str(value)


def _number(value: float) -> str:
    if math.isnan(value):
        return MISSING
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _fixed(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:.3f}".replace("-", "−")


def _p_value(value: float) -> str:
    return "<0.001" if 0 <= value < 0.0005 else _fixed(value)


def _shares(lower: float, upper: float) -> str:
    return MISSING if math.isnan(lower + upper) else f"{100 * lower:.0f} to {100 * upper:.0f} %"


def _integer(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:,.0f}"


def _ratio(value: float) -> str:
    return MISSING if math.isnan(value) else ratio(value)


def _percent(value: float) -> str:
    return MISSING if math.isnan(value) else percent(value)


def _interval(lower: float, upper: float) -> str:
    return MISSING if math.isnan(lower + upper) else f"{ratio(lower)} to {ratio(upper)}"


def _numbers(lower: float, upper: float) -> str:
    return MISSING if math.isnan(lower + upper) else f"{_signed(lower)} to {_signed(upper)}"


def _signed(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if math.isnan(value) or abs(value) >= 1000:
        return _number(value).replace("-", "−")
    return f"{value:#.3g}".rstrip(".").replace("-", "−")


def _check(value: float) -> str:
    if math.isnan(value) or abs(value) >= 10 or value == round(value):
        return _number(round(value) if math.isfinite(value) else value)
    return _fixed(value)


def _yes(value: Any) -> str:
    return "yes" if value else ""


def _error(value: float) -> str:
    if math.isnan(value):
        return MISSING
    return "exact" if value == 0 else f"{value:.2g}"


def _reliable(value: Any) -> str:
    return "reliable" if value else "not reliable"


def _passed(value: Any) -> str:
    if value is None or value != value:
        return MISSING
    return "✓ passed" if value else "✗ failed"


def _verdict(value: Any) -> str:
    mark = {"agrees": "✓ ", "differs": "✗ ", "impossible": "✗ "}
    return f"{mark.get(str(value), '')}{value}"


FORMATS = {
    "text": _text,
    "number": _number,
    "fixed": _fixed,
    "p": _p_value,
    "shares": _shares,
    "integer": _integer,
    "ratio": _ratio,
    "percent": _percent,
    "interval": _interval,
    "numbers": _numbers,
    "signed": _signed,
    "check": _check,
    "error": _error,
    "passed": _passed,
    "reliable": _reliable,
    "verdict": _verdict,
    "yes": _yes,
}
WORDS = ("text", "passed", "reliable", "verdict", "yes")
