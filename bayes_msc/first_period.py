"""Two estimands of one crossover: the first period alone, and the whole of it."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from bayes_msc.errors import ModelError, one_of
from bayes_msc.estimands import answer
from bayes_msc.fit import card_for, fit, model_of, trial_of
from bayes_msc.model import Model
from bayes_msc.parameters import FAMILY_PARAMETERS
from bayes_msc.trial import Trial

FIRST = (
    "Rate ratio between patients, in period 1 alone: what a parallel trial of the first "
    "treatments would estimate. Nothing can be carried over into it; it gives up every comparison "
    "of a patient with him- or herself, and so most of the precision."
)
WHOLE = (
    "Rate ratio for the same patient over both periods, with a period effect: what the crossover "
    "was made to estimate."
)
NO_CARRYOVER = " It takes for granted that nothing is carried over from active treatment."
CARRYOVER = " Carryover from active treatment is allowed for, as widely as its prior says."


def both_estimands(
    trial: Trial,
    model: Model | str = "negative-binomial",
    *,
    engine: str = "nuts",
    seed: int = 1,
) -> pd.DataFrame:
    """Estimate the first period alone beside the whole crossover, from the same counts.

    The two are shown together and never chosen between by a test of carryover: see
    ``Model.with_carryover``.

    Parameters
    ----------
    trial : Trial
        A crossover.
    model : Model or str
        A family, which stands for the package's cards of that family; or a model for the
        crossover, of which period 1 is given what makes sense there.
    engine : str
        As for ``fit``.
    seed : int

    Returns
    -------
    DataFrame
        Two rows: ``estimand`` (``"first period alone"``, ``"whole crossover"``), ``what`` (in
        words), ``patients``, ``rows`` (counts used), ``median``, ``lower``, ``upper`` (95 %
        equal-tailed) of the rate ratio, ``probability`` that it is below 1, ``mcse``,
        ``verdict``, ``label`` (what must be said of the data).

    Raises
    ------
    ModelError
        If the trial is parallel, or the family is unknown.
    """
    if trial.design != "crossover":
        raise ModelError(f"{trial.name} is a parallel trial: it has one estimand, see summarize")
    whole = _whole(trial, model)
    return beside_whole(
        fit(trial, whole, engine=engine, seed=seed, progress=False), engine=engine, seed=seed
    )


def beside_whole(whole: xr.DataTree, *, engine: str = "auto", seed: int = 1) -> pd.DataFrame:
    """Estimate the first period alone beside a fit to the whole crossover: see ``both_estimands``.

    Parameters
    ----------
    whole : DataTree
        The fit, which gives the second row as it is.
    engine : str
        For the fit of the first period.
    seed : int

    Raises
    ------
    ModelError, TrialError
        If the trial is parallel, or nobody got one of the treatments first.
    """
    trial, model = trial_of(whole), model_of(whole)
    data, card = trial.first_period(), for_first_period(model)
    first = fit(data, card, engine=engine, seed=seed, progress=False)
    rows = []
    for name, words, part, tree in (
        ("first period alone", FIRST, data, first),
        ("whole crossover", whole_words(model, trial), trial, whole),
    ):
        size = {"patients": part.seen["patient"].nunique(), "rows": len(part.seen)}
        rows.append({"estimand": name, "what": words, **size, **answer(tree), "label": trial.label})
    return pd.DataFrame(rows)


def _whole(trial: Trial, model: Model | str) -> Model:
    if isinstance(model, Model):
        return model
    if model in Model.names():
        return Model.load(model)
    one_of(model, FAMILY_PARAMETERS, "family", ModelError)
    return Model.load(card_for(trial, model))


def for_first_period(model: Model) -> Model:
    """Return a crossover's model without what only a second period has."""
    for term in ("period", "carryover", "carryover-two-sided"):
        if term in (*model.terms, *model.optional_terms):
            model = model.without_term(term)
    return model.for_design("any")


def whole_words(model: Model, trial: Trial) -> str:
    """Say what the whole crossover estimates under a model."""
    allowed = any(term.startswith("carryover") for term in model.terms_for(trial))
    return WHOLE + (CARRYOVER if allowed else NO_CARRYOVER)
