"""The tables of a plan's file: which keys there are, and what each may hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from bayes_msc.errors import BayesMSCError, PriorError, one_of
from bayes_msc.parameters import FAMILY_PARAMETERS
from bayes_msc.prior import Prior, stances
from bayes_msc.rule import Rule

#: The prior of the card itself stands for its own stance.
CARD = "card"
FORMATS = ("html", "docx", "pdf", "md")
WHOLE_TRIAL, WHOLE, FIRST = "whole trial", "whole crossover", "first period alone"
#: Other methods, and all families of counts.
BESIDE = ("comparators", "ladder")
#: Beside printed numbers: what the counts behind them would answer.
RECONSTRUCTION = "reconstruction"
#: Trials below which the ranks of a calibration say nothing.
FEWEST = 20
ESTIMANDS = {"parallel": (WHOLE_TRIAL,), "crossover": (WHOLE, FIRST)}

Names = Annotated[tuple[str, ...], Field(strict=False)]
Ratios = Annotated[tuple[float, ...], Field(strict=False)]


class MisfitError(BayesMSCError):
    """Two parts of a plan that do not fit together; ``path`` is the key to look at."""

    def __init__(self, path: tuple[str, ...], words: str) -> None:
        super().__init__(words)
        self.path = path


class Table(BaseModel):
    """A table of the file: unknown keys and values of another kind are faults."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Question(Table):
    """What is asked: ``endpoint`` counts in the plural, ``unit`` of exposure in the singular."""

    benefit: Literal["lower", "higher"]
    title: str = ""
    endpoint: str = ""
    unit: str = ""
    registered: str = ""


class Data(Table):
    """Where the data are: exactly one of ``file``, ``bundled`` and ``published``."""

    file: str = ""
    bundled: str = ""
    published: str = ""
    sha256: str = ""
    sheet: str | None = None
    candidate: int | None = None
    analysis: str | None = None
    external: Names | None = None

    @field_validator("sha256")
    @classmethod
    def _hexadecimal(cls, value: str) -> str:
        if value and (len(value) != 64 or set(value.lower()) - set("0123456789abcdef")):
            raise BayesMSCError(
                f"is {value[:20]!r}: 64 hexadecimal digits are needed, as `bayes-msc check` shows "
                "them; without the key any data are taken"
            )
        return value.lower()

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        places = {"file": self.file, "bundled": self.bundled, "published": self.published}
        given = [name for name, value in places.items() if value]
        if len(given) != 1:
            named = " and ".join(given) or "none"
            raise BayesMSCError(
                f"names {named} of file, bundled and published: give exactly one, such as "
                'file = "counts.csv"'
            )
        return self


class Roles(Table):
    """Roles of the columns of a file, as for ``bayes_msc.read_trial``."""

    design: Literal["parallel", "crossover"]
    control: str
    active: str
    patient: str = "patient"
    treatment: str = "treatment"
    count: str = "count"
    period: str | None = None
    sequence: str | None = None
    scan: str | None = None
    month: str | None = None
    exposure: str | None = None
    baseline: str | None = None
    covariates: Names = ()


class Card(Table):
    """The model: a card of the package, or a TOML file of the user's."""

    card: str


class Priors(Table):
    """The prior that the rule is judged under, and others to stand beside it."""

    primary: str
    stances: Names
    own: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("own")
    @classmethod
    def _readable(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, table in value.items():
            one_of(name not in (*stances(), CARD), (True,), f"use of the name {name}", PriorError)
            prior = Prior.from_table(table)
            if not prior.why.strip():
                raise PriorError(f"the prior {name!r} has no reason: add why = '...'")
            if prior.support != "real":
                raise PriorError(
                    f"the prior {name!r} is {prior}: a prior of the log rate ratio must reach to "
                    "both sides of 0, such as a normal one"
                )
        return value

    @model_validator(mode="after")
    def _named(self) -> Self:
        known = (CARD, *stances(), *self.own)
        for name in (self.primary, *self.stances):
            one_of(name, known, "prior", PriorError)
        return self


class Estimands(Table):
    """Estimands, with the exposure of a rate difference and the region of equivalence."""

    primary: str
    also: Names = ()
    exposure: float = Field(default=1.0, gt=0)
    equivalence: Ratios | None = None

    @field_validator("primary", "also")
    @classmethod
    def _known(cls, value: Any) -> Any:
        for name in (value,) if isinstance(value, str) else value:
            one_of(name, (WHOLE_TRIAL, WHOLE, FIRST), "estimand", BayesMSCError)
        return value

    @field_validator("equivalence")
    @classmethod
    def _ordered(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and not (len(value) == 2 and 0 < value[0] < value[1]):
            raise BayesMSCError(
                f"is {list(value)}: two rate ratios are needed, such as [0.8, 1.25]"
            )
        return value


class Statements(Table):
    """Rate ratios c for which P(rate ratio < c) is stated."""

    thresholds: Annotated[Ratios, Field(min_length=1)]

    @field_validator("thresholds")
    @classmethod
    def _ratios(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        for c in value:
            Rule(c)
        return tuple(dict.fromkeys(value))


class RuleTable(Table):
    """The rule: P(rate ratio < threshold) of at least a probability."""

    threshold: float
    probability: float

    @field_validator("threshold", "probability")
    @classmethod
    def _possible(cls, value: float, info: ValidationInfo) -> float:
        # the rule itself says what is impossible about it
        if info.field_name == "threshold":
            Rule(value)
        else:
            Rule(1.0, value)
        return value


class Sensitivity(Table):
    """Analyses of sensitivity: names, or ``["all"]``, or none (``[]``)."""

    analyses: Names
    families: Names | None = None
    choices: dict[str, Names] | None = None
    long: bool = False

    @field_validator("families")
    @classmethod
    def _families(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in value or ():
            one_of(name, FAMILY_PARAMETERS, "family", BayesMSCError)
        return value


class Beside(Table):
    """What stands beside the primary answer; ``calibrate`` is a number of trials, 0 for none."""

    answers: Names = ("comparators",)
    calibrate: int = Field(default=0, ge=0)

    @field_validator("answers")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            one_of(name, (*BESIDE, RECONSTRUCTION), "answer beside", BayesMSCError)
        return tuple(dict.fromkeys(value))

    @field_validator("calibrate")
    @classmethod
    def _enough(cls, value: int) -> int:
        if 0 < value < FEWEST:
            raise BayesMSCError(f"is {value}: {FEWEST} trials at least, or 0 for no calibration")
        return value


class Output(Table):
    """Where the results go, and in which formats."""

    folder: str = "results"
    formats: Annotated[Names, Field(min_length=1)] = ("html",)

    @field_validator("formats")
    @classmethod
    def _formats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            one_of(name, FORMATS, "format", BayesMSCError)
        return tuple(dict.fromkeys(("html", *value)))


class Computation(Table):
    """How the numbers are computed."""

    seed: int = Field(ge=0, lt=2**32)
    engine: Literal["nuts", "fast", "auto"] = "nuts"
    draws: int = Field(default=1000, ge=100)
    tune: int = Field(default=500, ge=100)
    chains: int = Field(default=4, ge=2)


class PlanTables(Table):
    """All tables of a plan."""

    question: Question
    data: Data
    priors: Priors
    statements: Statements
    rule: RuleTable
    sensitivity: Sensitivity
    beside: Beside | None = None
    output: Output = Output()
    computation: Computation | None = None
    roles: Roles | None = None
    model: Card | None = None
    estimands: Estimands | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        of_counts: dict[str, Table | None] = {
            "model": self.model,
            "estimands": self.estimands,
            "computation": self.computation,
        }
        if self.data.published:
            given = [n for n, t in {**of_counts, "roles": self.roles}.items() if t is not None]
            if given:
                raise MisfitError(
                    (given[0],),
                    f"the data are printed numbers, and those have no [{'], ['.join(given)}]: "
                    "leave it out, or name the counts of every patient",
                )
            self._beside_print()
            if self.priors.primary == CARD or CARD in self.priors.stances:
                raise MisfitError(
                    ("priors",),
                    "the prior 'card' is that of a model card, and printed numbers have none: "
                    f"choose one of {', '.join((*stances(), *self.priors.own))}",
                )
            return self
        missing = [name for name, table in of_counts.items() if table is None]
        if self.data.file and self.roles is None:
            missing.append("roles")
        if missing:
            need = (
                f"counts of every patient also need the tables [{'], ['.join(missing)}]: add them"
            )
            raise MisfitError(("data",), need)
        if self.data.bundled and self.roles is not None:
            raise MisfitError(("roles",), "a bundled trial knows its own: leave the table out")
        if self.beside is not None and RECONSTRUCTION in self.beside.answers:
            raise MisfitError(
                ("beside", "answers"),
                f"names {RECONSTRUCTION!r}, and counts of every patient need none: that is for "
                "printed numbers (published)",
            )
        if self.question.benefit == "higher":
            raise MisfitError(
                ("question", "benefit"),
                "is 'higher', and counts of every patient are analysed with a "
                "lower rate as benefit: count the opposite event, or reanalyse printed numbers",
            )
        return self

    def _beside_print(self) -> None:
        """Refuse beside printed numbers what takes counts of every patient."""
        if self.beside is None:
            return
        if self.beside.answers != (RECONSTRUCTION,):
            raise MisfitError(
                ("beside", "answers"),
                f"is {list(self.beside.answers)}, and the data are printed numbers: "
                f'write answers = ["{RECONSTRUCTION}"], or leave the table out',
            )
        if self.beside.calibrate:
            raise MisfitError(
                ("beside", "calibrate"),
                "the data are printed numbers, and there is no model to calibrate: leave it out",
            )
