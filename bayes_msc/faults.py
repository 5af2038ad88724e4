"""Faults and warnings: one pandera schema, every fault of a table reported with its rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayes_msc.cells import Mask, cell_text
from bayes_msc.roles import Cells, quoted, short

SHOWN_ROWS = 8
FEW_PATIENTS = 3
LARGEST_SCAN = 2**31
LARGEST_COUNT = 1e15

Test = Callable[[pd.DataFrame], Mask]


@dataclass(frozen=True)
class Rule:
    """One thing that every row must satisfy, and what is wrong where it does not.

    Parameters
    ----------
    role : str
        Column that is tested; for rules on groups of rows, the column that is quoted.
    fault : str
        The fault in words.
    fine : callable
        From the table to one truth value a row.
    """

    role: str
    fault: str
    fine: Test


def find_faults(cells: Cells, design: str, control: str, active: str) -> list[str]:
    """Return every fault of the table, one line a kind of fault, with its rows.

    Parameters
    ----------
    cells : Cells
        The table under canonical names.
    design, control, active : str
        The design, and the labels of the arms.

    Returns
    -------
    list of str
        Empty when the table is a trial.
    """
    lines = list(_unreadable(cells))
    for rule, bad in _broken(cells, _rules(cells, design, control, active)):
        lines.append(f"{rule.fault}: {_rows(cells, bad, rule.role)}")
    return lines + _arm_faults(cells, control, active)


def _unreadable(cells: Cells) -> Iterator[str]:
    for role, bad in cells.unreadable.items():
        if bad.any():
            hint = " (leave the cell empty where no scan was seen)" if role == "count" else ""
            yield f"{role} is not a number{hint}: {_rows(cells, bad, role)}"


def _broken(cells: Cells, rules: list[Rule]) -> list[tuple[Rule, Mask]]:
    """Run all the rules at once; return those that are broken, and where."""
    import pandera.pandas as pa

    def check(number: int, rule: Rule) -> Any:
        def fine(column: pd.Series) -> pd.Series:
            return pd.Series(rule.fine(cells.table), index=column.index)

        return pa.Check(fine, name=str(number), error=rule.fault, ignore_na=False)

    # every rule is tied to a column: pandera unrolls a broken rule on a table cell by cell
    checks: dict[str, list[Any]] = {}
    for number, rule in enumerate(rules):
        checks.setdefault(rule.role, []).append(check(number, rule))
    schema = pa.DataFrameSchema(
        {role: pa.Column(None, checks[role], nullable=True) for role in checks}
    )
    try:
        schema.validate(cells.table, lazy=True)
    except pa.errors.SchemaErrors as errors:
        broken = {
            int(error.check.name): ~error.check_output.to_numpy(dtype=bool)
            for error in errors.schema_errors
        }
        return [(rules[number], broken[number]) for number in sorted(broken)]
    return []


def _rules(cells: Cells, design: str, control: str, active: str) -> list[Rule]:
    rules = [
        Rule("patient", "patient has no name", lambda t: _values(t, "patient") != ""),
        Rule(
            "treatment",
            f"treatment is neither control {short(control)!r} nor active {short(active)!r}",
            lambda t: t["treatment"].isin([control, active]).to_numpy(),
        ),
    ]
    rules += [rule for rule in _cell_rules(cells) if rule.role in cells.table]
    rules.append(_duplicates(cells.table))
    if "baseline" in cells.table:
        rules.append(
            Rule(
                "patient",
                "patient has more than one baseline",
                lambda t: ~_several(t, ["patient"], "baseline", _values(t, "patient") != ""),
            )
        )
    structure = _crossover_rules if design == "crossover" else _parallel_rules
    return rules + structure(cells.table, control, active)


def _cell_rules(cells: Cells) -> list[Rule]:
    """Return the rules on single cells; a rule on an absent column is dropped later."""

    def filled(role: str) -> Rule:
        text = cells.unreadable.get(role, np.zeros(len(cells.table), dtype=bool))
        return Rule(role, f"{role} is missing", lambda t: t[role].notna().to_numpy() | text)

    def holds(role: str, fault: str, fine: Callable[[Any], Any]) -> Rule:
        def test(table: pd.DataFrame) -> Mask:
            values = _values(table, role)
            return np.asarray(np.isnan(values) | fine(values), dtype=bool)

        return Rule(role, f"{role} is {fault}", test)

    whole = "not a whole number"
    key = "month" if "scan" not in cells.table else "scan"
    return [
        filled("period"),
        holds("period", "neither 1 nor 2", lambda v: np.isin(v, (1.0, 2.0))),
        filled(key),
        holds("scan", whole, lambda v: (v == np.floor(v)) & (np.abs(v) < LARGEST_SCAN)),
        holds("month", "infinite", np.isfinite),
        holds("count", "negative", lambda v: v >= 0),
        holds("count", "infinite or beyond 1e15", lambda v: np.abs(v) < LARGEST_COUNT),
        holds("count", whole, lambda v: v == np.floor(v)),
        filled("exposure"),
        holds("exposure", "not above 0", lambda v: v > 0),
        holds("exposure", "infinite", lambda v: np.isfinite(v) | (v < 0)),
        filled("baseline"),
        holds("baseline", "negative", lambda v: v >= 0),
        holds("baseline", "infinite", lambda v: np.isfinite(v) | (v < 0)),
    ]


def _duplicates(table: pd.DataFrame) -> Rule:
    """Return the rule that no scan of a patient is there twice."""
    within = ["patient"] + (["period"] if "period" in table else [])
    key = next((role for role in ("scan", "month") if role in table), None)
    if key is None:
        fault = (
            f"more than one row for a {' and '.join(within)} "
            "(if they are different scans, name their column with scan=... or month=...)"
        )
    else:
        fault = f"a patient's {key} is there more than once"
        within.append(key)

    def fine(t: pd.DataFrame) -> Mask:
        usable = (_values(t, "patient") != "") & t[within].notna().all(axis=1).to_numpy()
        return np.asarray(~t.duplicated(within, keep=False).to_numpy() | ~usable)

    return Rule("patient", fault, fine)


def _parallel_rules(table: pd.DataFrame, control: str, active: str) -> list[Rule]:
    def fine(t: pd.DataFrame) -> Mask:
        return ~_several(t, ["patient"], "treatment", _usable(t, control, active))

    return [Rule("patient", "patient has both treatments in a parallel trial", fine)]


def _crossover_rules(table: pd.DataFrame, control: str, active: str) -> list[Rule]:
    def usable(t: pd.DataFrame) -> Mask:
        return _usable(t, control, active) & t["period"].isin((1.0, 2.0)).to_numpy()

    def mixed(t: pd.DataFrame) -> Mask:
        return _several(t, ["patient", "period"], "treatment", usable(t))

    def unchanged(t: pd.DataFrame) -> Mask:
        use = usable(t)
        both = _several(t, ["patient"], "period", use)
        return use & both & ~_several(t, ["patient"], "treatment", use)

    rules = [
        Rule("patient", "patient has two treatments in one period", lambda t: ~mixed(t)),
        Rule("patient", "patient has the same treatment in both periods", lambda t: ~unchanged(t)),
    ]
    if "sequence" not in table:
        return rules

    def contradicts(t: pd.DataFrame) -> Mask:
        use = usable(t) & (_values(t, "sequence") != "") & ~mixed(t) & ~unchanged(t)
        first = first_treatment(t, control, active)
        return np.asarray(use & (_expected_first(t[use], first[use], control, active, t) != first))

    def two(t: pd.DataFrame) -> Mask:
        named = (_values(t, "patient") != "") & (_values(t, "sequence") != "")
        return _several(t, ["patient"], "sequence", named)

    return [
        *rules,
        Rule("sequence", "sequence is missing", lambda t: _values(t, "sequence") != ""),
        Rule("patient", "patient has more than one sequence", lambda t: ~two(t)),
        Rule("sequence", "sequence contradicts the periods", lambda t: ~contradicts(t)),
    ]


def first_treatment(table: pd.DataFrame, control: str, active: str) -> np.ndarray:
    """Return for each row the treatment that its patient must have had in period 1.

    A row of period 2 implies it as the other label, so a patient seen in one period has a
    sequence too.
    """
    treatment, period = _values(table, "treatment"), _values(table, "period")
    other = np.where(treatment == control, active, control)
    return np.where(period == 1, treatment, other)


def _expected_first(
    rows: pd.DataFrame, first: np.ndarray, control: str, active: str, table: pd.DataFrame
) -> np.ndarray:
    """Return for each row of the table the first treatment that its sequence's name means.

    A name such as ``MSC-first`` or ``MSC-placebo`` says so itself; one such as ``AB`` or ``1``
    means what most rows under that name did.
    """
    seen = pd.DataFrame({"sequence": rows["sequence"], "first": first})
    meaning: dict[str, str] = {}
    for sequence, group in seen.groupby("sequence", sort=False)["first"]:
        name = str(sequence)
        meaning[name] = named_first(name, control, active) or str(group.mode().iloc[0])
    return np.asarray(table["sequence"].map(meaning).to_numpy(dtype=object))


def named_first(sequence: str, control: str, active: str) -> str | None:
    """Return the treatment that a sequence's name puts first, or None if it names none."""
    for one, other in ((control, active), (active, control)):
        joint = r"(?:\W*|\W+(?:then|to)\W+)"
        pattern = rf"{re.escape(one)}(?:\W*first|{joint}{re.escape(other)})"
        if re.fullmatch(pattern, sequence, flags=re.IGNORECASE):
            return one
    return None


def _usable(table: pd.DataFrame, control: str, active: str) -> Mask:
    named = _values(table, "patient") != ""
    return np.asarray(named & table["treatment"].isin([control, active]).to_numpy())


def _several(table: pd.DataFrame, keys: list[str], value: str, usable: Mask) -> Mask:
    """Return where the usable rows of one group hold more than one value."""
    pairs = table.loc[usable, [*keys, value]].dropna().drop_duplicates()
    groups = pairs.loc[pairs.duplicated(keys), keys].drop_duplicates()
    if groups.empty:
        return np.zeros(len(table), dtype=bool)
    inside = pd.MultiIndex.from_frame(table[keys]).isin(pd.MultiIndex.from_frame(groups))
    return np.asarray(inside & usable)


def _values(table: pd.DataFrame, role: str) -> np.ndarray:
    return np.asarray(table[role].to_numpy())


def _rows(cells: Cells, bad: Mask, role: str) -> str:
    """Return the rows at fault with what stands in them, a long list cut short."""
    rows = cells.table.index[bad]
    texts = [cell_text(value) for value in cells.raw.loc[rows[:SHOWN_ROWS], role].array]
    shown = [
        f"row {row} ({short(text)!r})" if text else f"row {row}"
        for row, text in zip(rows, texts, strict=False)
    ]
    rest = len(rows) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _arm_faults(cells: Cells, control: str, active: str) -> list[str]:
    """Return the faults of whole arms: no patient, or no count seen."""
    table = cells.table
    labels = quoted([label for label in table["treatment"].unique() if label])
    entered = table["count"].notna().to_numpy() | cells.unreadable["count"]
    if not entered.any():
        return ["every count is missing: nothing has been filled in yet"]
    faults = []
    for role, label in (("control", control), ("active", active)):
        rows = _values(table, "treatment") == label
        if not rows.any():
            faults.append(
                f"no patient has the {role} treatment {short(label)!r}: "
                f"the column holds {labels or 'no label'}"
            )
        elif not entered[rows].any():
            faults.append(f"every count of the {role} treatment {short(label)!r} is missing")
    return faults


def find_warnings(table: pd.DataFrame, design: str, control: str, active: str) -> tuple[str, ...]:
    """Return what is unusual about a valid table, each beginning with its name.

    Parameters
    ----------
    table : pandas.DataFrame
        The canonical table.
    design, control, active : str
        The design, and the labels of the arms.

    Returns
    -------
    tuple of str
        ``few patients: ...``, ``all zeros: ...``, ``one patient dominates: ...``,
        ``missing counts: ...``.
    """
    seen = table[table["count"].notna()]
    if design == "crossover":
        first = pd.Series(first_treatment(seen, control, active), index=seen.index)
        groups = {f"had {label!r} first": seen[first == label] for label in (active, control)}
    else:
        groups = {f"had {label!r}": seen[seen["treatment"] == label] for label in (active, control)}
    found = []
    for words, rows in groups.items():
        n = int(rows["patient"].nunique())
        if n < FEW_PATIENTS:
            who = "no patient" if n == 0 else f"only {n} patient{'s' if n > 1 else ''}"
            found.append(f"few patients: {who} {words}")
    for label in (active, control):
        if not seen.loc[seen["treatment"] == label, "count"].any():
            found.append(f"all zeros: every count of {label!r} is zero")
    found += _dominant_patient(seen)
    missing = table.loc[table["count"].isna(), "patient"].value_counts(sort=False)
    if len(missing):
        whose = ", ".join(f"{p!r} ({n})" for p, n in list(missing.items())[:8])
        more = f" and {len(missing) - 8} more patients" if len(missing) > 8 else ""
        found.append(f"missing counts: {missing.sum()} not seen, of patient {whose}{more}")
    return tuple(found)


def _dominant_patient(seen: pd.DataFrame) -> list[str]:
    totals = seen.groupby("patient", sort=False)["count"].sum()
    everything = float(totals.sum())
    if everything == 0 or float(totals.max()) <= everything / 2:
        return []
    who = quoted([totals.idxmax()])
    share = f"{totals.max():g} of {everything:g} events ({totals.max() / everything:.0%})"
    return [f"one patient dominates: {who} carries {share}"]
