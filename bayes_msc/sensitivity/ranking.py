"""What moves the conclusion: every question in one table, the most important first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayes_msc.rule import Rule
from bayes_msc.sensitivity.subject import prob_column

COLUMNS = ("what", "prob", "lowest", "highest", "swing", "turns", "extreme", "settings")
#: Drop-out is ranked by what unseen scans with a quarter to four times the events would do.
REASONABLE = 4.0


def rank(tables: Mapping[str, pd.DataFrame], prob: float, rule: Rule) -> pd.DataFrame:
    """Put all analyses in one table, ranked.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Those of a ``Sensitivity``, by name.
    prob : float
        Probability of the rule's statement as the model stands.
    rule : Rule

    Returns
    -------
    DataFrame
        One row a question: ``what`` is changed, ``prob`` as the model stands, ``lowest`` and
        ``highest`` probability of the rule's statement when it is changed, ``swing`` between the
        two, ``turns`` (whether the rule's answer changes with it), ``extreme`` (the setting
        farthest from ``prob``), ``settings`` (how many were tried). What turns the answer comes
        first, then the largest swing.
    """
    rows = []
    for name, make in _READERS.items():
        if name in tables and len(tables[name]):
            rows += [_row(what, own, prob, rule) for what, own in make(tables[name], rule) if own]
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    return found.sort_values(["turns", "swing"], ascending=False, ignore_index=True)


Settings = Sequence[tuple[str, float]]
Answers = list[tuple[str, Settings]]


def _row(what: str, settings: Settings, prob: float, rule: Rule) -> dict[str, Any]:
    values = np.array([prob, *(value for _, value in settings)])
    extreme = max(settings, key=lambda setting: abs(setting[1] - prob))
    return {
        "what": what,
        "prob": prob,
        "lowest": float(values.min()),
        "highest": float(values.max()),
        "swing": float(values.max() - values.min()),
        "turns": bool(len({rule.met(value) for value in values}) > 1),
        "extreme": f"{extreme[0]}: {extreme[1]:.3f}",
        "settings": len(settings),
    }


def _named(table: pd.DataFrame, names: pd.Series, column: str = "prob") -> Settings:
    known = table[column].notna()
    pairs = zip(names[known].astype(str), table.loc[known, column].astype(float), strict=True)
    return list(pairs)


def _joined(table: pd.DataFrame, words: Callable[[Mapping[Any, Any]], str]) -> pd.Series:
    """Name each row in words."""
    return pd.Series([words(row) for row in table.to_dict("records")], table.index, dtype=object)


def _specified(row: Mapping[Any, Any]) -> str:
    return ", ".join(str(row[name]) for name in ("family", "unseen", "prior"))


def _stances(table: pd.DataFrame, rule: Rule) -> Answers:
    column = prob_column(rule.threshold, rule.benefit)
    return [("the prior opinion (stances)", _named(table, table["stance"], column))]


def _power(table: pd.DataFrame, rule: Rule) -> Answers:
    column = prob_column(rule.threshold, rule.benefit)
    one = table[table["prior"] != "log_rate_ratio"]
    names = _joined(one, lambda row: f"{row['prior']} to the power {row['power']:g}")
    return [("the strength of the other priors", _named(one, names, column))]


def _patients(table: pd.DataFrame, rule: Rule) -> Answers:
    left = table.iloc[1:]
    return [
        (
            "one patient left out",
            _named(left, _joined(left, lambda row: f"without {row['left_out']}")),
        )
    ]


def _counts(table: pd.DataFrame, rule: Rule) -> Answers:
    found = table[table["change"].notna()]
    own = (found if len(found) else table).iloc[:1]
    own = own.assign(change=own["change"].fillna(own["searched"]))
    names = _joined(own, lambda row: f"{row['change']:+g} in patient {row['patient']}")
    return [(f"one count altered (by up to {table['searched'].max():g})", _named(own, names))]


def _tipping(table: pd.DataFrame, rule: Rule) -> Answers:
    near = table[table["delta"].between(1.0 / REASONABLE, REASONABLE)]
    return [
        (
            f"unseen events on {treatment}, 1/{REASONABLE:g} to {REASONABLE:g} times",
            _named(part, _joined(part, lambda row: f"{row['delta']:g} times")),
        )
        for treatment, part in near.groupby("treatment", sort=False)
    ]


def _carryover(table: pd.DataFrame, rule: Rule) -> Answers:
    names = _joined(table, lambda row: f"{row['carryover']}, SD {row['width']:g}")
    whole = table["carryover"] != "first period"
    return [
        ("carryover", _named(table[whole], names[whole])),
        ("period 1 alone", _named(table[~whole], table.loc[~whole, "carryover"])),
    ]


def _choices(table: pd.DataFrame, rule: Rule) -> Answers:
    return [("all analysis choices together", _named(table, _joined(table, _specified)))]


_READERS = {
    "stances": _stances,
    "power_scaling_refits": _power,
    "patients": _patients,
    "counts": _counts,
    "tipping_curve": _tipping,
    "carryover": _carryover,
    "specifications": _choices,
}
