"""Lines of a plan's file: a key below the comment that says what it is."""

from __future__ import annotations

from typing import Any

import tomli_w

from bayes_msc.analysis_plan.tables import RECONSTRUCTION

Lines = list[str]
#: For printed numbers, what their counts may have been can stand beside the answer.
RECONSTRUCTED = [
    "",
    "# what reconstructed counts would answer can stand beside printed numbers that name",
    "# printed_counts (half a minute; a reconstruction, not data):",
    "# [beside]",
    f'# answers = ["{RECONSTRUCTION}"]',
]


def entry(key: str, value: Any, *comment: str) -> Lines:
    """Return the comment lines of one key, and the key."""
    return [*(f"# {words}" for words in comment), f"{key} = {shown(value)}"]


def shown(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(shown(item) for item in value)}]"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")


def beside(families: bool) -> Lines:
    """Return the table of what stands beside the answer from counts of every patient."""
    return [
        "",
        "[beside]",
        *entry(
            "answers",
            ["comparators", "ladder"] if families else ["comparators"],
            "what stands beside: comparators (frequentist methods), ladder (families; minutes)",
        ),
        *entry(
            "calibrate",
            0,
            "trials to simulate that calibrate this very model in this very design, such as 300;",
            "with 0 the report cites the calibration that came with the package",
        ),
    ]
