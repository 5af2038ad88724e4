"""One patient left out, and one count altered: how much of the answer hangs on either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bayes_msc.convergence import THRESHOLDS
from bayes_msc.errors import ModelError, TrialError
from bayes_msc.fit import fit
from bayes_msc.leaving_out import as_for, psis, without_patient
from bayes_msc.model import Model
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.refitting import Copies, Question, shown, steady, with_count
from bayes_msc.trial import Trial

NOBODY = "nobody"
MOST_CHANGE = 20


def leave_patients_out(
    trial: Trial,
    model: Model | str,
    *,
    rule: Rule | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    seed: int = 1,
    workers: int | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Fit the model again without each patient.

    Parameters
    ----------
    trial : Trial
    model : Model or str
        A model, or the name of a card.
    rule : Rule, optional
        By default P(RR < 1) of 0.95 or more.
    thresholds : sequence of float
        Rate ratios c for which P(rate ratio < c) is wanted.
    seed, workers, progress
        As in ``bayes_msc.refit_many``.

    Returns
    -------
    DataFrame
        One row a patient left out, the first with ``left_out`` = ``"nobody"``: ``left_out``,
        ``treatment`` (or both, in the patient's order), ``events`` of the patient, ``share`` of all
        events, ``pareto_k`` of leaving the patient out by reweighting the whole fit (how far one
        could have done without the refit: not from 0.7 on), ``median``, ``lower``, ``upper`` (95 %
        equal-tailed) of the rate ratio, ``prob_below_<c>`` with ``mcse_below_<c>``, ``prob`` and
        ``mcse`` of the rule's statement, ``rule_met``, ``change`` of ``prob`` against nobody left
        out, ``engine``, ``ok``, ``label``. Numbers are missing where nobody else had a treatment.

    Notes
    -----
    Every refit is exact. It has the model of the whole trial: baselines and covariates keep their
    centre and scale, and the prior of ``log_rate`` stays where all patients had put it.
    """
    card = model if isinstance(model, Model) else Model.load(model)
    question = Question.of(rule, thresholds, seed, workers, progress)
    held = as_for(card, trial)
    rest = {name: _rest(trial, name) for name in trial.patients}
    kept = {name: data for name, data in rest.items() if data is not None}
    found = question.refit([(held, data) for data in (trial, *kept.values())])
    found = found.drop(columns="pareto_k").assign(left_out=[NOBODY, *kept])
    table = _patients(trial, card, seed).merge(found, how="left", on="left_out", sort=False)
    table["change"] = table["prob"] - table["prob"].iloc[0]
    own = ("left_out", "treatment", "events", "share", "pareto_k")
    return shown(table, (*own, *question.columns[:-2], "change", "engine", "ok")).assign(
        label=trial.label
    )


def _rest(trial: Trial, patient: str) -> Trial | None:
    try:
        return without_patient(trial, patient)
    except TrialError:
        return None


def _patients(trial: Trial, model: Model, seed: int) -> pd.DataFrame:
    """What the trial says of each patient, after a first row for nobody."""
    table = trial.data
    by = table.groupby(table["patient"].astype(str), sort=False)
    events = by["count"].sum()
    total = float(events.sum())
    loo = psis(fit(trial, model, seed=seed, engine="auto", progress=False))
    names = [str(name) for name in loo.pareto_k["patient"].to_numpy()]
    k = dict(zip(names, loo.pareto_k.to_numpy(), strict=True))
    rows = [
        {
            "left_out": name,
            "treatment": ", then ".join(by.get_group(name)["treatment"].unique()),
            "events": float(events[name]),
            "share": float(events[name]) / total if total else np.nan,
            "pareto_k": k.get(name, np.nan),
        }
        for name in trial.patients
    ]
    return pd.DataFrame([{"left_out": NOBODY, "treatment": "", "events": 0.0, "share": 0.0}, *rows])


@dataclass(eq=False)
class _Path:
    """One count moved step by step in the direction that could change the rule's answer."""

    row: int
    count: float
    sign: int
    limit: int
    tried: dict[int, tuple[float, float, bool]] = field(default_factory=dict)

    def first(self, met: bool) -> int | None:
        """Smallest change tried that changed the answer."""
        return min((size for size, found in self.tried.items() if found[2] != met), default=None)

    def below(self, size: int, met: bool) -> int:
        """Largest smaller change tried that did not."""
        return max(s for s, found in self.tried.items() if s < size and found[2] == met)

    def steady(self, direction: float) -> bool:
        """Whether the probability moved one way all along."""
        found = [self.tried[size] for size in sorted(self.tried)]
        return steady([f[0] for f in found], [f[1] for f in found], direction)


def altered_count(
    trial: Trial,
    model: Model | str,
    *,
    rule: Rule | None = None,
    most: int = MOST_CHANGE,
    thresholds: Sequence[float] = THRESHOLDS,
    seed: int = 1,
    workers: int | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Find the smallest change of one count that changes the rule's answer.

    It is the Bayesian fragility of a trial: by how many events one scan had to be read otherwise.

    Parameters
    ----------
    trial : Trial
    model : Model or str
    rule : Rule, optional
        By default P(RR < 1) of 0.95 or more.
    most : int
        Largest change that is tried.
    thresholds, seed, workers, progress
        As in ``leave_patients_out``.

    Returns
    -------
    DataFrame
        One row a seen count, the smallest change first: ``patient``, ``period``, ``scan`` (where
        the trial has them), ``treatment``, ``count``; ``change`` (with its sign; missing where no
        change up to ``searched`` does it, or where a smaller one was found in another row),
        ``searched`` (largest change tried in this row), ``prob`` of the rule's statement after the
        change (or after the largest one tried) with ``mcse``, ``rule_met`` then, ``monotone``,
        ``before`` and ``met_before`` (probability and answer without a change), ``label``.

    Raises
    ------
    ModelError
        If ``most`` is below 1.

    Notes
    -----
    Each change is a refit. A count is moved to where it could change the answer: if the rule asks
    for fewer events and is met, up on active treatment and down (at most to 0) on control. The
    largest change comes first, and rows in which it does something are searched by bisection, which
    takes for granted that the probability moves one way with the count. Where the refits say
    otherwise beyond three Monte Carlo errors (a count so odd that the model takes it for scatter),
    ``monotone`` is false and every size below the smallest change found is tried. An answer within
    two Monte Carlo errors of the rule's limit may be off by one.
    """
    if most < 1:
        raise ModelError(f"most is {most}: the largest change to try must be 1 or more")
    card = model if isinstance(model, Model) else Model.load(model)
    question = Question.of(rule, thresholds, seed, workers, progress)
    copies = Copies(as_for(card, trial), question)
    base = copies.refit([trial]).iloc[0]
    met = bool(base["rule_met"])
    paths = _paths(trial, question.rule, met, most)
    start = (float(base["prob"]), float(base["mcse"]), met)
    for path in paths:
        path.tried[0] = start
    _search(trial, copies, paths, met)
    direction = -1.0 if met else 1.0
    for path in paths:
        if not path.steady(direction):
            _try(trial, copies, [(path, s) for s in range(1, _best(paths, met, path.limit))])
    return _table(trial, paths, met, direction)


def _paths(trial: Trial, rule: Rule, met: bool, most: int) -> list[_Path]:
    table = trial.data
    worse = 1 if (rule.benefit == "lower") == met else -1
    paths = []
    for row, item in table[table["count"].notna()].iterrows():
        sign = worse if item["treatment"] == trial.active else -worse
        limit = most if sign > 0 else int(min(most, item["count"]))
        paths.append(_Path(int(str(row)), float(item["count"]), sign, limit))
    return paths


def _best(paths: Sequence[_Path], met: bool, otherwise: int) -> int:
    """Smallest change found so far in any row."""
    found = [size for path in paths if (size := path.first(met)) is not None]
    return min([*found, otherwise + 1])


def _search(trial: Trial, copies: Copies, paths: Sequence[_Path], met: bool) -> None:
    """Largest change of every row, then bisection in the rows that can still hold the smallest."""
    open_paths = [path for path in paths if path.limit]
    sizes = ((path, size) for path in open_paths for size in {path.limit, -(-path.limit // 4)})
    _try(trial, copies, list(sizes))
    while True:
        best = _best(paths, met, MOST_CHANGE * 1000)
        steps = []
        for path in open_paths:
            size = path.first(met)
            if size is None:
                continue
            low, high = path.below(size, met), min(size, best)
            if high - low > 1 or (size > best and low < best - 1):
                steps.append((path, (low + high) // 2))
            elif size > best and low == best - 1 and best not in path.tried:
                steps.append((path, best))
        steps = [(path, size) for path, size in steps if size not in path.tried]
        if not steps:
            return
        _try(trial, copies, steps)


def _try(trial: Trial, copies: Copies, steps: Sequence[tuple[_Path, int]]) -> None:
    steps = [(path, size) for path, size in steps if size not in path.tried]
    if not steps:
        return
    altered = [with_count(trial, path.row, path.count + path.sign * size) for path, size in steps]
    for (path, size), found in zip(steps, copies.refit(altered).to_dict("records"), strict=True):
        path.tried[size] = (found["prob"], found["mcse"], bool(found["rule_met"]))


def _table(trial: Trial, paths: Sequence[_Path], met: bool, direction: float) -> pd.DataFrame:
    table, best = trial.data, _best(paths, met, MOST_CHANGE * 1000)
    rows: list[dict[str, Any]] = []
    for path in paths:
        size = path.first(met)
        # a change that was not pinned down is known to be larger than the smallest one
        at = size if size is not None and size <= best else None
        prob, mcse, after = path.tried[max(path.tried) if at is None else at]
        item = table.loc[path.row]
        names = [n for n in ("patient", "period", "scan", "treatment", "count") if n in table]
        rows.append(
            {
                **{name: item[name] for name in names},
                "change": np.nan if at is None else float(path.sign * at),
                "searched": max(path.tried),
                "prob": prob,
                "mcse": mcse,
                "rule_met": after,
                "monotone": path.steady(direction),
                "before": path.tried[0][0],
                "met_before": met,
                "label": trial.label,
            }
        )
    found = pd.DataFrame(rows)
    reach = direction * found["prob"]
    order = pd.DataFrame({"size": found["change"].abs(), "reach": -reach})
    return found.loc[order.sort_values(["size", "reach"]).index].reset_index(drop=True)


def fragility(table: pd.DataFrame, rule: Rule | None = None) -> str:
    """Say in a sentence what ``altered_count`` found.

    Parameters
    ----------
    table : DataFrame
        From ``altered_count``.
    rule : Rule, optional
        The one that was asked for.
    """
    rule = rule or Rule()
    first = table.iloc[0]
    now = "is" if first["met_before"] else "is not"
    start = f"The rule, {rule.words()}, {now} met ({first['before']:.3f})."
    if not np.isfinite(first["change"]):
        return (
            f"{start} No change of a single count by up to {table['searched'].max():g} alters that."
        )
    place = ", ".join(f"{n} {first[n]}" for n in ("patient", "period", "scan") if n in table)
    after = first["count"] + first["change"]
    return (
        f"{start} One count read as {after:g} instead of {first['count']:g} ({place}, on "
        f"{first['treatment']}) alters that: the probability becomes {first['prob']:.3f}."
    )
