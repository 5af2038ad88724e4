"""The methods paragraph of a paper, from what was really done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bayes_msc.report import prose
from bayes_msc.report.references import cite

if TYPE_CHECKING:
    import xarray as xr

    from bayes_msc.model import Model
    from bayes_msc.prior import Prior
    from bayes_msc.reanalysis import Reanalysis
    from bayes_msc.trial import Trial

CHECKED = (
    f"The report was checked against BARG {cite('kruschke2021')} and ROBUST {cite('sung2005')}."
)
INTERVALS = "Intervals are equal-tailed and hold 95 % of the posterior."


def fit_methods(fit: xr.DataTree, trial: Trial, model: Model, priors: Mapping[str, Prior]) -> str:
    """Return the methods paragraph for a fit to counts.

    Parameters
    ----------
    fit : DataTree
        Only its attributes are read: engine, settings, seed, versions.
    trial : Trial
    model : Model
    priors : Mapping of str to Prior
        By parameter.
    """
    terms = prose.listed([term.replace("_", " ") for term in model.terms_for(trial)])
    effect = "integrated out by quadrature" if model.patient_effect == "integrated" else "sampled"
    believed = prose.listed(
        [f"{_plain(name)} {prose.notation(prior)}" for name, prior in priors.items()]
    )
    kind = f"The counts are a {trial.label}. " if trial.label.startswith("reconstruction") else ""
    kind = f"The counts are {trial.label}. " if trial.label and not kind else kind
    return (
        f"{kind}{_design(trial)} We fitted a {model.family.replace('-', ' ')} model on the log "
        f"scale with the terms {terms}, and with a normal effect of each patient, {effect}. The "
        f"estimand was the rate ratio of {trial.active} against {trial.control} within a patient. "
        f"Priors were: {believed}. {_computed(fit)} {INTERVALS} {_unseen(trial)}{CHECKED}"
    )


def _unseen(trial: Trial) -> str:
    unseen = len(trial.data) - len(trial.seen)
    if not unseen:
        return ""
    seen = (
        "One count was not seen and is" if unseen == 1 else f"{unseen} counts were not seen and are"
    )
    return f"{seen} taken to be missing at random. "


def _plain(name: str) -> str:
    return name.replace("sqrt_", "square root of the ").replace("_", " ")


def _design(trial: Trial) -> str:
    rows = len(trial.seen)
    return (
        f"We analysed a {trial.design} trial of {trial.active} against {trial.control} in "
        f"{trial.n_patients} patients with {rows:,} counts of {trial.endpoint}."
    )


def _computed(fit: xr.DataTree) -> str:
    settings, versions = json.loads(fit.attrs["settings"]), json.loads(fit.attrs["versions"])
    software = f"bayes-msc {versions['bayes-msc']}" if "bayes-msc" in versions else "bayes-msc"
    software += f" with PyMC {versions['pymc']}" if "pymc" in versions else ""
    seed = f"seed {fit.attrs['seed']}"
    if "importance" in str(fit.attrs["engine"]):
        return (
            "The posterior was computed by adaptive importance sampling with Pareto-smoothed "
            f"weights {cite('vehtari2024')} in {software} {cite('abrilpla2023')}, {seed}; it was "
            "accepted only where the smoothing's own diagnostic allowed. The model was judged by "
            "posterior predictive checks and by leaving out each patient "
            f"{cite('vehtari2017')}."
        )
    chains = ", ".join(
        f"{settings[name]} {words}"
        for name, words in (
            ("chains", "chains"),
            ("draws", "draws kept in each"),
            ("tune", "of tuning before them"),
        )
        if name in settings
    )
    return (
        f"The posterior was sampled with the No-U-Turn sampler {cite('hoffman2014')} in {software} "
        f"{cite('abrilpla2023')}: {chains}; {seed}. Convergence was judged by rank-normalised "
        f"R-hat, effective sample sizes and divergent transitions {cite('vehtari2021')}, the model "
        f"by posterior predictive checks and by leaving out each patient {cite('vehtari2017')}."
    )


def reanalysis_methods(result: Reanalysis) -> str:
    """Return the methods paragraph for a reanalysis of printed numbers."""
    published = result.published
    believed = prose.listed(
        [f"{name} {prose.notation(prior)}" for name, prior in result.stances.items()]
    )
    estimate = f"{result.log_rate_ratio:.3f}".replace("-", "−")
    return (
        f"We reanalysed the printed results of {published.source.citation}: {published.endpoint}, "
        f"{published.active.label} (n = {published.active.n}) against {published.control.label} "
        f"(n = {published.control.n}). The printed analysis “{result.analysis}” "
        f"(by {result.route}) gives a log rate ratio of {estimate} with standard error "
        f"{result.se:.3f}, taken as normally distributed. Priors of the log rate ratio were the "
        f"stances {believed} {cite('spiegelhalter1994')}. {_combined(result)}{_exact(result)} "
        f"{_reconstructed(result)}{INTERVALS} {CHECKED}"
    )


def combination_was_sampled(result: Reanalysis) -> bool:
    """Whether the combination with other trials was sampled, not computed by quadrature."""
    return bool(not result.external.empty and (result.external["method"] == "pymc").any())


def _exact(result: Reanalysis) -> str:
    if combination_was_sampled(result):
        return (
            "Posteriors of this trial alone are in closed form or by quadrature; the combination "
            f"was sampled with PyMC {cite('abrilpla2023')}, seed {result.seed}."
        )
    return "Posteriors are in closed form or by quadrature, so that there is no Monte Carlo error."


def _reconstructed(result: Reanalysis) -> str:
    behind = result.behind
    if behind is None:
        return ""
    every = "all" if behind.complete else "a sample of"
    sets = "the one data set" if behind.sets == 1 else f"{every} {behind.sets} data sets"
    return (
        "Beside it stands what counts of patients would answer that were reconstructed from the "
        f"printed summaries and are no data: {sets} that give the printed numbers back, each "
        f"fitted by importance sampling with Pareto-smoothed weights {cite('vehtari2024')}, seed "
        f"{result.seed}, and averaged by marginal likelihood. "
    )


def _combined(result: Reanalysis) -> str:
    if result.external.empty:
        return ""
    names = prose.listed([trial.short_title for trial in result.external_trials])
    spread = prose.listed([prose.notation(prior) for prior in result.tau_priors])
    return (
        f"The trial was combined with {names} in a normal hierarchical model, with the prior "
        f"{prose.notation(result.mu_prior)} for the mean effect and {spread} in turn for the "
        f"standard deviation between trials {cite('rover2021')}. "
    )
