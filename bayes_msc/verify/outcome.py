"""What came of running an analysis again, as a value that shows itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bayes_msc.notebook import block, heading, paragraph, points, table
from bayes_msc.verify.inputs import ABSENT, CHANGED, UNCHANGED
from bayes_msc.verify.numbers import AGREES, DIFFERS, IDENTICAL, UNKNOWN

#: Of a long list the first lines are told; the tables of the value hold all.
MOST = 20
_SAID = {
    IDENTICAL: "identical bit for bit",
    AGREES: "agree within the error of the computation",
    UNKNOWN: "are not identical and have no error to judge them by",
    DIFFERS: "differ",
}


@dataclass(frozen=True, eq=False)
class Verification:
    """What came of running an analysis again.

    Parameters
    ----------
    inputs : DataFrame
        ``input, state, stored, found``: each file, bundled trial or card, stored part and fact of
        the manifest with its SHA-256 or value; the state is ``unchanged``, ``CHANGED`` or ``not
        found``.
    statements : DataFrame
        ``table, statement, measure, stored, again, difference, allowed, verdict``: one row a number
        (or word) of the tables of the results and of the sensitivity. The verdict is ``identical``
        (bit for bit), ``agrees`` (within Monte Carlo error), ``differs``, or ``no error known``
        where the two are not identical and nothing says how far apart they may be.
    words : DataFrame
        ``place, stored, again, same``: sentences and shown tables of the report.
    versions : DataFrame
        ``package, stored, here``: packages whose version is another one now.
    not_repeated : tuple of str
        Tables that were not made again.
    lost : tuple of str
        Parts that the results do not keep what it takes to make again, and why; the words of the
        report are not compared then.
    """

    inputs: pd.DataFrame
    statements: pd.DataFrame
    words: pd.DataFrame
    versions: pd.DataFrame
    not_repeated: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def reproduced(self) -> bool:
        """Whether every number came out bit for bit."""
        return bool((self.statements["verdict"] == IDENTICAL).all())

    @property
    def other_words(self) -> tuple[str, ...]:
        """Places whose words differ although every number is identical, on the same versions."""
        if not self.reproduced or len(self.versions):
            return ()
        return tuple(self.words.loc[~self.words["same"].astype(bool), "place"])

    @property
    def ok(self) -> bool:
        """Whether all inputs that can be found are unchanged, and all numbers and words agree."""
        changed = (self.inputs["state"] == CHANGED).any()
        differs = (self.statements["verdict"] == DIFFERS).any()
        return not (changed or differs or self.other_words)

    def __str__(self) -> str:
        """Return the outcome in a few lines."""
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        title = "Run again: all agrees" if self.ok else "Run again: not all agrees"
        return block(heading(title), points(_lines(self)), paragraph("Table by table:"), _by(self))


def _by(found: Verification) -> str:
    counts = pd.crosstab(found.statements["table"], found.statements["verdict"])
    return table(counts.reindex(columns=list(_SAID), fill_value=0).reset_index())


def _lines(found: Verification) -> Iterator[str]:
    for row in _rows(found.inputs[found.inputs["state"] != UNCHANGED]):
        if row["state"] == ABSENT:
            yield f"not found: {row['input']} (the copy in the results was used)"
        else:
            then, now = str(row["stored"])[:64], str(row["found"])[:64]
            yield f"CHANGED: {row['input']} ({then} then, {now} now)"
    others = [f"{r['package']} {r['stored']} then, {r['here']} now" for r in _rows(found.versions)]
    yield f"Versions: {'; '.join(others) if others else 'the same as then'}."
    verdicts = found.statements["verdict"].value_counts()
    parts = [f"{int(verdicts.get(name, 0))} {words}" for name, words in _SAID.items()]
    kept = [part for part in parts if not part.startswith("0 are not")]
    yield f"Of {len(found.statements)} numbers: {', '.join(kept)}."
    for name in (DIFFERS, UNKNOWN):
        yield from _named(found.statements[found.statements["verdict"] == name], name)
    for place in found.other_words[:MOST]:
        yield f"DIFFERS: the words at {place}, although every number is the same"
    for words in found.lost:
        yield f"Cannot be made again: {words}."
    if found.not_repeated:
        yield f"Not made again: {', '.join(found.not_repeated)}."


def _named(rows: pd.DataFrame, verdict: str) -> Iterator[str]:
    for row in _rows(rows.head(MOST)):
        yield (
            f"{verdict.upper()}: {row['statement']}, {row['measure']}: {_shown(row['stored'])} "
            f"then, {_shown(row['again'])} now"
        )
    if len(rows) > MOST:
        yield f"and {len(rows) - MOST} more of these"


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:100]


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]
