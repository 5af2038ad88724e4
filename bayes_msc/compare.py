"""Several models of one trial side by side: what each says, and which the patients support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from bayes_msc.compare_words import indistinguishable, statement
from bayes_msc.errors import ModelError
from bayes_msc.estimands import MASS, answer
from bayes_msc.fit import card_for, fit
from bayes_msc.leaving_out import METHODS, leave_each_out
from bayes_msc.model import Model
from bayes_msc.notebook import banner, block, paragraph, table
from bayes_msc.parameters import FAMILY_PARAMETERS
from bayes_msc.trial import Trial

AVERAGES = ("stacking weights", "model probabilities")
PLACES = {"probability": 3, "mcse": 4, "elpd": 1, "se": 1, "p_loo": 1}
Models = Sequence[str | Path | Model] | Mapping[str, str | Path | Model]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models of one trial, compared.

    Attributes
    ----------
    models : DataFrame
        One row a model, the best predictions first. ``model``; of the rate ratio ``rate_ratio``
        (median), ``lower``, ``upper`` (95 % equal-tailed), ``probability`` that it is below 1 with
        its Monte Carlo error ``mcse``; ``elpd`` (sum over the patients of the log probability of
        all of a patient's counts, foretold from the other patients) with its standard error
        ``se``; ``elpd_difference`` to the first row with ``difference_se``; ``p_loo`` (effective
        number of parameters); ``refitted`` (patients left out by a new fit) and ``unreliable``
        (patients whose value is not to be trusted); ``stacking_weight``;
        ``log_marginal_likelihood`` with ``log_marginal_likelihood_se``, and ``model_probability``
        if all models were equally probable before (NaN where the engine gives none); ``told_apart``
        (whether the patients tell the model from the first row's); ``verdict`` (``"ok"``, or which
        convergence check failed).
    averages : DataFrame
        The rate ratio averaged over the models, one row a kind of weight: ``weights``,
        ``rate_ratio``, ``lower``, ``upper``, ``probability``, ``mcse`` (the weights taken as
        given), ``verdict``.
    patients : DataFrame
        One row a model and patient: ``model``, ``patient``, ``elpd``, ``pareto_k``, ``method``,
        ``mcse``.
    statement : str
        What these patients can and cannot tell apart, in words.
    label : str
        What must be said of the counts; empty for data.
    elpds : mapping of str to arviz_stats.utils.ELPDDataLOO
        For ``arviz.compare`` and ``arviz.plot_compare``.
    fits : mapping of str to xarray.DataTree
        The fit of each model.
    """

    models: pd.DataFrame
    averages: pd.DataFrame
    patients: pd.DataFrame
    statement: str
    label: str
    elpds: Mapping[str, Any] = field(repr=False)
    fits: Mapping[str, xr.DataTree] = field(repr=False)

    def __str__(self) -> str:
        """Return both tables and the statement as text."""
        shown = [_rounded(table).to_string(index=False) for table in (self.models, self.averages)]
        return "\n\n".join([*([self.label.upper()] if self.label else []), *shown, self.statement])

    def _repr_html_(self) -> str:
        tables = (
            table(_rounded(frame), caption=caption)
            for frame, caption in (
                (self.models, "the models, the best predictions first"),
                (self.averages, "averaged over the models"),
            )
        )
        return block(banner(self.label), *tables, paragraph(self.statement))


def compare(
    trial: Trial,
    models: Models | None = None,
    *,
    engine: str = "auto",
    exact: bool = True,
    seed: int = 1,
) -> Comparison:
    """Fit several models to a trial and hold them against each other.

    Parameters
    ----------
    trial : Trial
    models : sequence or mapping of Model, str or Path, optional
        Models, names of cards or paths of cards; a mapping gives names of your own. By default the
        card of every count family for the trial's design.
    engine : str
        As for ``bayes_msc.fit``. Only importance sampling, which ``"auto"`` takes wherever it can
        be trusted, gives marginal likelihoods.
    exact : bool
        Whether to fit again without each patient whom reweighting cannot leave out (Pareto k of
        0.7 or more, or of less where the draws stand for few independent ones).
    seed : int

    Returns
    -------
    Comparison
        Tables, and a statement of what these patients cannot tell apart.

    Raises
    ------
    ModelError
        If a model does not fit the trial, two have the same name, or they foretell different
        counts.

    Notes
    -----
    What is left out is a patient, not a scan (Vehtari, Gelman & Gabry 2017, Statistics and
    Computing 27:1413). The differences and their standard errors, and the weights of stacking (Yao
    et al. 2018, Bayesian Analysis 13:917), are those of ``arviz.compare``. Standard errors of
    differences are unreliable with fewer than about 100 patients, and where models differ little
    (Sivula et al. 2020, arXiv 2008.10296).

    A marginal likelihood says how well model *and prior* foretold all counts; it hangs on the width
    of every prior, also of priors that hardly touch the rate ratio.
    """
    cards = _cards(trial, models)
    _check_same_counts(trial, cards)
    fits = {
        name: fit(trial, card, seed=seed, engine=engine, progress=False)
        for name, card in cards.items()
    }
    return compare_fits(fits, exact=exact, seed=seed)


def compare_fits(
    fits: Mapping[str, xr.DataTree], *, exact: bool = True, seed: int = 1
) -> Comparison:
    """Compare models that are fitted already: see ``compare``.

    Raises
    ------
    ModelError
        If there is no fit, or the fits are of different trials.
    """
    if not fits:
        raise ModelError("no model is given: name at least one, such as 'crossover-poisson'")
    if len({tree.attrs["data_sha256"] for tree in fits.values()}) > 1:
        raise ModelError("the fits are of different counts: only models of the same trial compare")
    left_out = {
        name: leave_each_out(tree, exact=exact, seed=seed * 1000) for name, tree in fits.items()
    }
    elpds = {name: elpd for name, (elpd, _) in left_out.items()}
    patients = pd.concat(
        [table.assign(model=name) for name, (_, table) in left_out.items()], ignore_index=True
    )
    patients = patients[["model", *patients.columns.drop("model")]]
    answers = pd.DataFrame([{"model": name, **answer(tree)} for name, tree in fits.items()])
    models = _table(answers.rename(columns={"median": "rate_ratio"}), fits, elpds, patients)
    averages = pd.DataFrame(
        [
            {"weights": kind, **average(fits, models, column)}
            for kind, column in zip(AVERAGES, ("stacking_weight", "model_probability"), strict=True)
        ]
    )
    said = statement(models, patients["patient"].nunique())
    label = str(next(iter(fits.values())).attrs["label"])
    return Comparison(models, averages, patients, said, label, elpds, dict(fits))


def ladder(trial: Trial) -> tuple[str, ...]:
    """Names of the cards of every count family for a trial's design."""
    return tuple(card_for(trial, family) for family in FAMILY_PARAMETERS)


def _cards(trial: Trial, models: Models | None) -> dict[str, Model]:
    """Models by name.

    Raises
    ------
    ModelError
        If two have the same name, or there is none.
    """
    given: Models = ladder(trial) if models is None else models
    if isinstance(given, str | Path | Model):
        given = [given]
    if isinstance(given, Mapping):
        return {str(name): _loaded(source) for name, source in given.items()}
    loaded = [_loaded(source) for source in given]
    names = [card.name for card in loaded]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ModelError(
            f"more than one model is called {', '.join(twice)}: name each yourself, "
            "compare(trial, {'overdispersion 1': model, ...})"
        )
    return dict(zip(names, loaded, strict=True))


def _loaded(source: str | Path | Model) -> Model:
    return source if isinstance(source, Model) else Model.load(source)


def _check_same_counts(trial: Trial, cards: Mapping[str, Model]) -> None:
    """Refuse to compare models that foretell the baseline scan with models that take it as given.

    Raises
    ------
    ModelError
        Naming the models of either kind.
    """
    joint = [name for name, card in cards.items() if "baseline-joint" in card.terms_for(trial)]
    if joint and len(joint) < len(cards):
        others = [name for name in cards if name not in joint]
        raise ModelError(
            f"{', '.join(joint)} foretell the baseline scan too ('baseline-joint') and "
            f"{', '.join(others)} do not: how well they foretell cannot be compared, take the same "
            "form of the baseline in all"
        )


def _table(
    answers: pd.DataFrame,
    fits: Mapping[str, xr.DataTree],
    elpds: Mapping[str, Any],
    patients: pd.DataFrame,
) -> pd.DataFrame:
    ranked = arviz_comparison(elpds)
    names = list(ranked.index)
    methods = pd.crosstab(patients["model"], patients["method"])
    methods = methods.reindex(index=names, columns=list(METHODS), fill_value=0)
    table = answers.set_index("model").loc[names]
    verdict = table.pop("verdict")
    log_marginal, error = (
        [_measure(fits[name], key) for name in names]
        for key in ("log_marginal_likelihood", "log_marginal_likelihood_se")
    )
    table = table.assign(
        elpd=[elpds[name].elpd for name in names],
        se=[elpds[name].se for name in names],
        elpd_difference=ranked["elpd_diff"],
        difference_se=ranked["dse"],
        p_loo=[elpds[name].p for name in names],
        refitted=methods[METHODS[1]],
        unreliable=methods[METHODS[2]],
        stacking_weight=ranked["weight"],
        log_marginal_likelihood=log_marginal,
        log_marginal_likelihood_se=error,
        model_probability=model_probabilities(log_marginal),
    )
    table["told_apart"] = ~indistinguishable(table["elpd_difference"], table["difference_se"])
    return table.assign(verdict=verdict).reset_index()


def _measure(tree: xr.DataTree, key: str) -> float:
    """One measure of importance sampling; NaN where the fit was made otherwise."""
    known = tree["importance"].attrs if "importance" in tree.children else {}
    return float(known.get(key, np.nan))


def arviz_comparison(elpds: Mapping[str, Any]) -> pd.DataFrame:
    """Return ``arviz.compare`` of the models, unrounded, best first, by name.

    Each patient's values are first shifted so that the best model has 0: differences and stacking
    weights stay as they are, and the probability of a hundred counts does not underflow.
    """
    best = np.max([elpd.elpd_i.to_numpy() for elpd in elpds.values()], axis=0)
    shifted = {}
    for name, elpd in elpds.items():
        values = elpd.elpd_i - best
        shifted[name] = replace(elpd, elpd_i=values, elpd=float(values.sum()))
    table: pd.DataFrame = az.compare(shifted, method="stacking", round_to="none")
    # the optimiser leaves its tolerance behind
    weight = table["weight"].astype(float).clip(lower=0.0)
    return table.assign(weight=weight / weight.sum())


def model_probabilities(log_marginals: ArrayLike) -> NDArray[np.float64]:
    """Probability of each model after the counts, all being equally probable before.

    Parameters
    ----------
    log_marginals : array_like of float, shape (models,)
        Log marginal likelihoods.

    Returns
    -------
    ndarray of float, shape (models,)
        They sum to one; all NaN if one marginal likelihood is not known.
    """
    values = np.asarray(log_marginals, dtype=float)
    if not np.isfinite(values).all():
        return np.full(values.shape, np.nan)
    return np.asarray(softmax(values))


def average(fits: Mapping[str, xr.DataTree], models: pd.DataFrame, weights: str) -> dict[str, Any]:
    """Rate ratio in the mixture of the models' posteriors.

    Parameters
    ----------
    fits : mapping of str to xarray.DataTree
    models : DataFrame
        With the columns ``model``, ``probability``, ``mcse``, ``verdict``.
    weights : str
        The column of weights; they sum to one.

    Returns
    -------
    dict of str to float or str
        ``rate_ratio``, ``lower``, ``upper``, ``probability``, ``mcse``, ``verdict``; NaN where a
        weight is not known.
    """
    own = models.set_index("model").loc[list(fits)]
    share = own[weights].to_numpy(dtype=float)
    if not np.isfinite(share).all():
        nothing = dict.fromkeys(("rate_ratio", "lower", "upper", "probability", "mcse"), np.nan)
        return {**nothing, "verdict": "not known: no marginal likelihood"}
    draws = [np.ravel(tree["posterior"]["log_rate_ratio"].to_numpy()) for tree in fits.values()]
    each = np.concatenate([np.full(len(d), w / len(d)) for d, w in zip(draws, share, strict=True)])
    tail = (1.0 - MASS) / 2.0
    lower, median, upper = np.exp(
        np.quantile(
            np.concatenate(draws), [tail, 0.5, 1 - tail], weights=each, method="inverted_cdf"
        )
    )
    failed = own.index[(share > 0.01) & (own["verdict"] != "ok")]
    return {
        "rate_ratio": float(median),
        "lower": float(lower),
        "upper": float(upper),
        "probability": float(share @ own["probability"]),
        "mcse": float(np.sqrt(np.sum((share * own["mcse"]) ** 2))),
        "verdict": f"check failed: {', '.join(failed)}" if len(failed) else "ok",
    }


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    numbers = table.select_dtypes("number").columns
    return table.round({name: PLACES.get(str(name), 2) for name in numbers})
