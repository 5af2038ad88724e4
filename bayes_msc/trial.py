"""Patient-level counts of one trial: validated once, roles named once, then only read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd

from bayes_msc.canonical import required_roles, validated
from bayes_msc.errors import TrialError, one_of
from bayes_msc.faults import find_warnings
from bayes_msc.notebook import banner, block, heading, paragraph, points, table
from bayes_msc.provenance import PROVENANCES, warnings_of
from bayes_msc.roles import check_columns, find_columns
from bayes_msc.summing import sum_rows

META_KEYS = (
    "design",
    "control",
    "active",
    "covariates",
    "name",
    "title",
    "endpoint",
    "exposure_unit",
    "provenance",
    "source",
)


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Trial:
    """Counts of one trial, one row a patient and scan (or a patient and period).

    Parameters
    ----------
    data : pandas.DataFrame
        Long table. It is checked as a whole, and every fault is reported with its rows.
    design : str
        ``"parallel"`` or ``"crossover"``. Asked for, never guessed.
    control, active : str
        Labels of the two arms in the treatment column. Asked for, never guessed.
    patient, treatment, count : str
        Names of these columns. An empty count is a scan that was not seen.
    period, sequence : str, optional
        Columns with the period (1 or 2) and with the order of treatments, for a crossover. By
        default the columns of that name; a sequence that is not given is derived.
    scan, month : str, optional
        Columns that tell the scans of a patient apart.
    exposure : str, optional
        Column with the exposure behind each count, above 0; 1 a row where there is none.
    baseline : str, optional
        Column with one count or rate a patient from before treatment; it may be given on one of
        the patient's rows only.
    covariates : sequence of str
        Further columns to keep.
    name, title : str
        A short name, and one to print.
    endpoint : str
        What is counted, in the plural.
    exposure_unit : str
        Unit of the exposure, in the singular.
    provenance : str
        ``"data"``, ``"simulated"`` or ``"reconstruction"``; followed by ``", carried forward"`` or
        ``", imputed"`` where counts were filled in.
    source : str
        Where the counts come from.

    Attributes
    ----------
    warnings : tuple of str
        What is unusual about the table without being wrong, each beginning with its name.

    Raises
    ------
    TrialError
        Listing every fault found.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame(
    ...     {"patient": [1, 2, 3, 4], "treatment": list("abab"), "count": [3, 1, 4, 0]}
    ... )
    >>> Trial(table, design="parallel", control="a", active="b").n_patients
    4
    """

    design: str
    control: str
    active: str
    covariates: tuple[str, ...]
    name: str
    title: str
    endpoint: str
    exposure_unit: str
    provenance: str
    source: str
    warnings: tuple[str, ...]
    _table: pd.DataFrame

    def __init__(
        self,
        data: pd.DataFrame,
        *,
        design: str | None = None,
        control: str | None = None,
        active: str | None = None,
        patient: str = "patient",
        treatment: str = "treatment",
        count: str = "count",
        period: str | None = None,
        sequence: str | None = None,
        scan: str | None = None,
        month: str | None = None,
        exposure: str | None = None,
        baseline: str | None = None,
        covariates: Sequence[str] = (),
        name: str = "trial",
        title: str = "",
        endpoint: str = "events",
        exposure_unit: str = "scan",
        provenance: str = "data",
        source: str = "",
    ) -> None:
        data = check_columns(data)
        arms = required_roles(data, treatment, design, control, active)
        one_of(provenance, PROVENANCES, "provenance", TrialError)
        asked = {
            "patient": patient,
            "treatment": treatment,
            "count": count,
            "period": period,
            "sequence": sequence,
            "scan": scan,
            "month": month,
            "exposure": exposure,
            "baseline": baseline,
        }
        columns = find_columns(list(data.columns), asked, covariates, arms["design"])
        table = validated(data, columns, arms)
        values: dict[str, Any] = {
            **arms,
            "covariates": tuple(str(c) for c in covariates),
            "name": name,
            "title": title or name,
            "endpoint": endpoint,
            "exposure_unit": exposure_unit,
            "provenance": provenance,
            "source": source,
            "warnings": (*find_warnings(table, **arms), *warnings_of(provenance)),
            "_table": table,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def with_counts_of(self, table: pd.DataFrame, name: str, title: str, provenance: str) -> Trial:
        """Return the trial with other counts and exposures, without looking for faults again.

        Parameters
        ----------
        table : DataFrame
            This trial's own, but for ``count`` and ``exposure``: a thousand imputed trials need not
            be checked a thousand times.
        name, title, provenance : str
        """
        one_of(provenance, PROVENANCES, "provenance", TrialError)
        other = object.__new__(type(self))
        arms = {key: getattr(self, key) for key in ("design", "control", "active")}
        values = {
            **{key: getattr(self, key) for key in self.meta()},
            "name": name,
            "title": title,
            "provenance": provenance,
            "warnings": (*find_warnings(table, **arms), *warnings_of(provenance)),
            "_table": table,
        }
        for key, value in values.items():
            object.__setattr__(other, key, value)
        return other

    @property
    def data(self) -> pd.DataFrame:
        """The canonical table; a copy, so that the trial itself cannot be changed."""
        return self._table.copy()

    @property
    def seen(self) -> pd.DataFrame:
        """The rows with a count that was seen, renumbered from 0."""
        return self._table[self._table["count"].notna()].reset_index(drop=True)

    @property
    def patients(self) -> tuple[str, ...]:
        """Names of the patients, in order of first appearance."""
        return tuple(str(name) for name in self._table["patient"].unique())

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return int(self._table["patient"].nunique())

    @property
    def has_baseline(self) -> bool:
        """Whether every patient has a baseline."""
        return "baseline" in self._table

    @property
    def label(self) -> str:
        """What must be printed wherever these counts appear; empty for data."""
        return PROVENANCES[self.provenance]

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the canonical CSV text in UTF-8, as hexadecimal text."""
        return hashlib.sha256(self.to_csv_text().encode()).hexdigest()

    def arm_summary(self) -> pd.DataFrame:
        """Add up the arms.

        Returns
        -------
        pandas.DataFrame
            One row an arm, control first: ``treatment``, ``patients`` (with at least one count
            seen), ``rows``, ``missing`` (rows without a count), ``events``, ``exposure`` (of
            the counts seen), ``rate`` (events per unit of exposure).
        """
        arms = []
        for label in (self.control, self.active):
            rows = self._table[self._table["treatment"] == label]
            seen = rows[rows["count"].notna()]
            events, exposure = float(seen["count"].sum()), float(seen["exposure"].sum())
            arms.append(
                {
                    "treatment": label,
                    "patients": int(seen["patient"].nunique()),
                    "rows": len(rows),
                    "missing": len(rows) - len(seen),
                    "events": int(events),
                    "exposure": exposure,
                    "rate": events / exposure,
                }
            )
        return pd.DataFrame(arms)

    def by_period(self) -> Trial:
        """Return the trial with one row a patient and period (parallel: a patient).

        Counts and exposures of the seen scans are added up; nothing is carried forward. The effect
        is the same; the overdispersion is that of whole periods, in which scans average out.
        """
        by = ["patient", "period"] if self.design == "crossover" else ["patient"]
        return self._with_table(sum_rows(self._table, by), name=f"{self.name}, summed")

    def first_period(self) -> Trial:
        """Return period 1 of a crossover: a parallel trial of the first treatments.

        Raises
        ------
        TrialError
            If the trial is parallel, or nobody got one of the treatments in period 1.
        """
        if self.design != "crossover":
            raise TrialError(f"{self.name} is a parallel trial: all of it is its first period")
        first = self._table[self._table["period"] == 1].drop(columns=["period", "sequence"])
        return self._with_table(first, name=f"{self.name}, period 1", design="parallel")

    def _with_table(self, table: pd.DataFrame, **changes: str) -> Trial:
        return Trial(table, **{**self.meta(), **changes})

    def to_csv_text(self) -> str:
        """Return the canonical table as CSV text, whole numbers without a decimal point."""
        table = self._table.copy()
        for column in table.select_dtypes("number").columns:
            values = table[column]
            known = values.dropna()
            if bool(((known == np.floor(known)) & (known.abs() < 2**53)).all()):
                table[column] = values.astype("Int64")
        return str(table.to_csv(index=False, lineterminator="\n"))

    def meta(self) -> dict[str, Any]:
        """Return what is known beside the table, ready for JSON."""
        return {
            key: list(value) if isinstance(value := getattr(self, key), tuple) else value
            for key in META_KEYS
        }

    @classmethod
    def from_text(cls, csv_text: str, meta: Mapping[str, Any]) -> Trial:
        """Build the trial again from ``to_csv_text()`` and ``meta()``.

        Raises
        ------
        TrialError
            If the text is not such a table, or a key is unknown.
        """
        for key in meta:
            one_of(key, META_KEYS, "key of a trial", TrialError)
        try:
            table = pd.read_csv(StringIO(csv_text), dtype=str, keep_default_na=False)
        except (ValueError, pd.errors.ParserError) as error:
            raise TrialError(
                f"the text is not a table of comma-separated values: {error}"
            ) from None
        return cls(table, **meta)

    def __repr__(self) -> str:
        """Return a summary with the label, the arms and the warnings."""
        lines = [self.label.upper()] if self.label else []
        lines += [self._headline(), self.arm_summary().to_string(index=False)]
        lines += [f"warning: {text}" for text in self.warnings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = [banner(self.label), heading(self.title), paragraph(self._headline())]
        return block(*parts, table(self.arm_summary(), 2), points(self.warnings))

    def _headline(self) -> str:
        rows, seen = len(self._table), int(self._table["count"].notna().sum())
        return (
            f"Trial {self.name!r}: {self.design}, {self.active} against {self.control} (control), "
            f"{self.n_patients} patients, {rows} rows ({seen} with a count), "
            f"{self.endpoint} per {self.exposure_unit}"
        )
