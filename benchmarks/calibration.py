"""Simulation-based calibration of the model cards in the founding trial's design.

``bayes_msc.simulation.sbc`` says how it is done. A card centres the prior of the rate on the
trial's own counts; here it gets a prior that stands before the data. That is the only change to a
card.

Run it as ``python -m benchmarks.calibration [--cards NAME ...] [--trials N] [--workers N]``: it
writes ``docs/_static/calibration.csv`` and one figure a card; other cards keep their lines.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.simulation.sbc import shares as in_design
from bayes_msc.simulation.sbc import verdicts
from bayes_msc.simulation.workers import Workers
from bayes_msc.trial import Trial
from benchmarks.calibration_figure import draw

FOLDER = Path(__file__).parents[1] / "docs" / "_static"
TRIALS = 300
LOG_RATE = Prior.normal(0.5, 1.5, why="about 1.6 lesions a scan, as wide as on the card")
BASELINES = (0, 1, 2, 3, 5, 8, 1, 0, 12)

SHOWN = ["quantity", "trials", "p", "inside", "fast", "nuts", "none", "unchecked", "largest"]


def design_table(design: str) -> pd.DataFrame:
    """Nine patients, five and four, four scans each: in two periods, or in parallel arms."""
    rows = []
    for patient in range(9):
        first = "active" if patient < 5 else "control"
        second = {"active": "control", "control": "active"}[first]
        for scan in range(4):
            period = 1 + scan // 2 if design == "crossover" else 1
            treatment = first if period == 1 else second
            rows.append((f"P{patient + 1}", period, scan + 1, treatment, BASELINES[patient]))
    table = pd.DataFrame(rows, columns=["patient", "period", "scan", "treatment", "baseline"])
    return table if design == "crossover" else table.drop(columns="period")


def as_trial(counts: NDArray[np.float64], design: str) -> Trial:
    """Put counts into the design."""
    table = design_table(design).assign(count=counts)
    return Trial(table, design=design, control="control", active="active", name="calibration")


def blank_trial(model: Model) -> Trial:
    """Trial of the design that a model is calibrated in, a count of 1 everywhere."""
    return as_trial(np.ones(36), "crossover" if model.design == "crossover" else "parallel")


def calibration_model(card: str) -> Model:
    """Return the card with a prior of log_rate that does not look at the data."""
    return Model.load(card).with_prior("log_rate", LOG_RATE)


def shares(
    model: Model,
    trials: int | range = TRIALS,
    seed: int = 1,
    fitted: Model | None = None,
    workers: int = 1,
) -> pd.DataFrame:
    """Calibrate a model in the founding trial's design: see ``bayes_msc.simulation.sbc``."""
    blank, hands = blank_trial(model), Workers(workers)
    return in_design(model, blank, trials, seed, fitted=fitted, workers=hands)


def write(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Write the figure and the lines of the cards in a table; the lines of others stay."""
    found = verdicts(table)
    for card in found["card"].unique():
        draw(table[table["card"] == card], card, folder / f"calibration-{card}.svg")
    path = folder / "calibration.csv"
    if path.exists():
        old = pd.read_csv(path)
        both = pd.concat([old[~old["card"].isin(found["card"])], found])
    else:
        both = found
    both = both.sort_values("card", kind="stable")
    both.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration")
    parser.add_argument("--cards", nargs="+", choices=Model.names(), default=Model.names())
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    return parser.parse_args()


def main() -> None:
    chosen = _arguments()
    for card in chosen.cards:
        start = time.perf_counter()
        model = calibration_model(card)
        table = shares(model, chosen.trials, chosen.seed, workers=chosen.workers)
        found = write(table, chosen.folder)
        seconds = time.perf_counter() - start
        print(f"{card}: {chosen.trials} trials in {seconds:.0f} s", flush=True)
        print(found[SHOWN].to_string(index=False, float_format="%.3f"), flush=True)


if __name__ == "__main__":
    main()
