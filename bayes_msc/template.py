"""An empty table of the founding trial's shape, ready for counts to be typed in."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from bayes_msc.errors import OutputError, TrialError, one_of
from bayes_msc.roles import DESIGNS

MONTHS = (3, 6)
SECOND_PERIOD_MONTHS = (9, 12)
MOST_PATIENTS = 100_000


def template_table(
    design: str = "crossover", patients: int = 9, *, active: str = "MSC", control: str = "placebo"
) -> pd.DataFrame:
    """Return the table of a trial before any count is known.

    Parameters
    ----------
    design : str
        ``"crossover"`` (scans at months 3 and 6 of the first period, 9 and 12 of the second) or
        ``"parallel"`` (scans at months 3 and 6).
    patients : int
        Number of patients, at least 2; they begin with the active treatment and with control in
        turn, so that of nine, five begin with the active treatment.
    active, control : str
        Labels of the arms.

    Returns
    -------
    pandas.DataFrame
        One row a patient and scan, with empty ``count`` and ``baseline`` (the count at month 0).

    Raises
    ------
    TrialError
        If the design is unknown, the number of patients impossible, or the labels the same.
    """
    one_of(design, DESIGNS, "design", TrialError)
    if isinstance(patients, bool) or not isinstance(patients, int):
        raise TrialError(f"patients is {patients!r}: a whole number is needed")
    if not 2 <= patients <= MOST_PATIENTS:
        raise TrialError(f"patients is {patients}: choose 2 to {MOST_PATIENTS}")
    if not active.strip() or active.strip() == control.strip():
        raise TrialError(f"active is {active!r} and control {control!r}: they must differ")
    periods = (MONTHS, SECOND_PERIOD_MONTHS) if design == "crossover" else (MONTHS,)
    rows = []
    for i in range(patients):
        order = (active, control) if i % 2 == 0 else (control, active)
        scans = [(period, month) for period, months in enumerate(periods, 1) for month in months]
        rows += [
            {
                "patient": f"P{i + 1}",
                "sequence": f"{order[0]}-{order[1]}",
                "period": period,
                "scan": scan,
                "month": month,
                "treatment": order[period - 1],
                "count": "",
                "baseline": "",
            }
            for scan, (period, month) in enumerate(scans, 1)
        ]
    table = pd.DataFrame(rows)
    return table if design == "crossover" else table.drop(columns=["sequence", "period"])


def write_template(
    path: str | Path,
    design: str = "crossover",
    patients: int = 9,
    force: bool = False,
    *,
    active: str = "MSC",
    control: str = "placebo",
) -> Path:
    """Write the empty table as CSV, for somebody to type the counts in.

    Parameters
    ----------
    path : str or pathlib.Path
        A name that ends in ``.csv``.
    design, patients, active, control
        As for ``template_table``.
    force : bool
        Replace a file that is there; without it nothing is ever overwritten.

    Returns
    -------
    pathlib.Path
        The file written. A scan that was not seen keeps an empty count.

    Raises
    ------
    TrialError
        If the design is unknown or the number of patients impossible.
    OutputError
        If the file is there already, or cannot be written.
    """
    file = Path(path)
    text = template_table(design, patients, active=active, control=control).to_csv(
        index=False, lineterminator="\n"
    )
    if file.suffix.lower() != ".csv":
        raise OutputError(f"{file} does not end in .csv: the template is written as CSV")
    if file.is_dir():
        raise OutputError(f"{file} is a folder: name a file in it")
    if file.exists() and not force:
        raise OutputError(f"{file} is there already: choose another name, or force it")
    _write_whole(file, text)
    return file


def _write_whole(file: Path, text: str) -> None:
    """Write a file so that it is there complete or not at all."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror or error}") from None
