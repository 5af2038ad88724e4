"""From the reanalysis of a published trial to a report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from bayes_msc import plots
from bayes_msc.printed import CERTAINTY
from bayes_msc.report import behind_sections as behind
from bayes_msc.report import prose
from bayes_msc.report import reanalysis_sections as parts
from bayes_msc.report.checklists import with_checklists
from bayes_msc.report.estimand_sections import of_reanalysis
from bayes_msc.report.inputs import reanalysis_recipe
from bayes_msc.report.manifest import made_with, stamp
from bayes_msc.report.methods_text import combination_was_sampled, reanalysis_methods
from bayes_msc.report.panel import panel_of_reanalysis
from bayes_msc.report.paste import paste
from bayes_msc.report.pictures import Pictures
from bayes_msc.report.references import bibliography
from bayes_msc.report.results import Results, Source
from bayes_msc.report.results_text import reanalysis_results

if TYPE_CHECKING:
    from bayes_msc.published import Published
    from bayes_msc.reanalysis import Reanalysis

HEADLINE = ("vague", "weak")


def build(result: Reanalysis, command: str = "") -> tuple[Results, Pictures]:
    """Turn a reanalysis into what its report says, and into its figures.

    Parameters
    ----------
    result : Reanalysis
        What ``reanalyze`` returned.
    command : str
        The command that was typed, for the manifest.

    Returns
    -------
    Results
        The report.
    Pictures
        SVG text by figure name, and PNG.
    """
    table, published = by_stance(result.statements), result.published
    paper = paste(reanalysis_methods(result), reanalysis_results(result, table))
    sections = (
        behind.flow(published),
        of_reanalysis(result),
        parts.stances(result, table),
        parts.evidence(result),
        parts.prediction(result),
        parts.paper(result),
        behind.reconstructed(result),
        parts.assumed(result),
        parts.patients(result),
        replace(paper, notices=parts.failed_chains(result)),
    )
    sources = tuple(_source(trial) for trial in (published, *result.external_trials))
    results = Results(
        kind="reanalysis",
        title=published.title,
        subtitle=f"A Bayesian reanalysis of what is printed in {published.source.citation}",
        question=published.question,
        answer=answer(result, table),
        banner=parts.failed_chains(result),
        sections=tuple(section for section in sections if section is not None),
        tables=_all_tables(result),
        sources=sources,
        manifest={
            "data": published.name,
            "data_sha256": published.sha256,
            "external": {trial.name: trial.sha256 for trial in result.external_trials},
            "analysis": result.analysis,
            "route": result.route,
            **_made(result),
            **stamp(command),
        },
        bibliography=bibliography(paper.paragraphs, sources),
        recipe=reanalysis_recipe(result),
        panel=panel_of_reanalysis(result, headline(table["stance"])),
    )
    return with_checklists(results), _draw(result)


def _made(result: Reanalysis) -> dict[str, object]:
    """How the numbers were computed, the seed if any was drawn, and with which packages."""
    packages = ["numpy", "scipy", "pandas", "matplotlib"]
    exact = "closed form or quadrature"
    drawn = []
    if combination_was_sampled(result):
        drawn.append("the combination with other trials by NUTS")
        packages += ["pymc", "pytensor", "nutpie"]
    if result.behind is not None:
        drawn.append(
            "the fits to reconstructed counts by importance sampling (NUTS where that fails)"
        )
        packages += ["pymc", "pytensor", "numba", "nutpie"]
    versions = made_with(tuple(dict.fromkeys(packages)))
    if not drawn:
        method = f"{exact}; nothing was sampled, so there is no seed"
        return {"method": method, "versions": versions}
    method = "; ".join([f"{exact} from the printed numbers of this trial", *drawn])
    return {"method": method, "seed": result.seed, "versions": versions}


def by_stance(statements: pd.DataFrame) -> pd.DataFrame:
    """Bring the statements to one row a stance.

    Returns
    -------
    DataFrame
        Columns stance, median, lower, upper, and ``good_C`` and ``prior_C``, the probability on
        the good side of each threshold C after and before the trial.
    """
    rows = []
    for stance in dict.fromkeys(statements["stance"]):
        own = statements[statements["stance"] == stance]
        ratio = own[own["statement"] == "rate_ratio"].iloc[0]
        row = {"stance": stance, **{k: float(ratio[k]) for k in ("median", "lower", "upper")}}
        for _, item in own[own["statement"].str.startswith("prob_rate_ratio_")].iterrows():
            row[f"good_{item['threshold']:g}"] = float(item["probability"])
            row[f"prior_{item['threshold']:g}"] = float(item["prior_probability"])
        rows.append(row)
    return pd.DataFrame(rows)


def headline(stances: Iterable[str]) -> str:
    """Return the stance from which the answer speaks."""
    known = list(stances)
    return next((name for name in HEADLINE if name in known), known[0])


def answer(result: Reanalysis, table: pd.DataFrame) -> tuple[str, ...]:
    """Write the answer in three sentences: the trial, the stances, the other evidence."""
    words = parts.words_of(result)
    chances = {name: parts.chance_of_benefit(result, name) for name in table["stance"]}
    name = headline(chances)
    main = table[table["stance"] == name].iloc[0]
    first = prose.sentence(
        f"{prose.opening(name)}, {prose.benefit(chances[name], words)}: "
        + prose.estimate(main["median"], main["lower"], main["upper"])
    )
    return (
        first,
        prose.opinions(chances, words.active, words.benefit),
        _others(result, chances[name]),
    )


def _others(result: Reanalysis, before: float) -> str:
    """Sentence on the other trials, or on there being none."""
    words = parts.words_of(result)
    if result.external.empty:
        n = result.published.active.n + result.published.control.n
        return (
            f"What would change it is another trial, for this rests on {n} patients and no other "
            "trial: a second trial just like it would find a rate ratio on the same side of 1 with "
            f"probability {prose.percent(result.same_side)}."
        )
    first = result.external[result.external["tau_prior"] == result.external["tau_prior"].iloc[0]]
    chance = first.set_index("target")[parts.good_column(result)].astype(float)
    after = float(chance["this trial"])
    moved = f"{prose.moved(before, after)} {prose.percent(after)}"
    lead = "What other evidence changes" if abs(after - before) >= 0.015 else "Little changes"
    them = "it" if len(result.external_trials) == 1 else "them"
    return (
        f"{lead}: {_lowered(_found(result))}; with {them} taken into account, the probability "
        f"that {words.active} {words.good} the rate in this trial's own patients {moved}, and the "
        f"probability that such treatment does so on average is "
        f"{prose.percent(float(chance['mean effect']))}."
    )


def _lowered(text: str) -> str:
    return f"{text[:1].lower()}{text[1:]}"


def _found(result: Reanalysis) -> str:
    others = result.forest[result.forest["kind"] == "external"]
    found = [
        f"{trial.short_title} ({trial.active.n + trial.control.n} patients), found "
        f"{prose.change(row['rate_ratio'])} (rate ratio {_printed(trial, row)})"
        for trial, (_, row) in zip(result.external_trials, others.iterrows(), strict=True)
    ]
    return f"{'A second trial,' if len(found) == 1 else 'Of other trials,'} {prose.listed(found)}"


def _printed(trial: Published, row: pd.Series[float]) -> str:
    """Ratio and limits as printed where they are printed, else as derived."""
    ratio = trial.analysis().ratio
    if ratio is None or ratio.lower is None:
        return f"{prose.ratio(row['rate_ratio'])}, {prose.span(row['lower'], row['upper'])}"
    return f"{ratio.value}, {ratio.lower} to {ratio.upper}"


def _all_tables(result: Reanalysis) -> dict[str, pd.DataFrame]:
    names = ("statements", "consistency", "routes", "external", "forest", "prediction", "curve")
    found = {name: getattr(result, name) for name in names}
    beside = {
        "flow": behind.flow_table(result.published),
        "design": behind.design_table(result.published),
        "reconstruction": behind.answers_table(result),
    }
    return found | {name: frame for name, frame in beside.items() if len(frame)}


def _source(published: Published) -> Source:
    source = published.source
    text = f"{published.short_title}: {source.citation}"
    text += f". Registration: {source.registration}" if source.registration else ""
    text += f". Read from {source.read_from}" if source.read_from else ""
    certainty = f"Certainty of the numbers: {published.certainty}"
    return Source(f"{text}.", source.doi, f"{certainty} ({CERTAINTY[published.certainty]}).")


def _draw(result: Reanalysis) -> Pictures:
    benefit = result.published.benefit
    figures = {
        "stances": plots.stance_densities(result.densities, benefit),
        "probability-curves": plots.probability_curves(result.curve, benefit),
    }
    if not result.external.empty:
        figures["forest"] = plots.forest(result.forest, benefit)
    if result.published.flow:
        rows = behind.flow_table(result.published)
        figures["flow"] = plots.printed_flow(rows, result.published.active.label)
        plan, schedule = behind.design_table(result.published), result.published.schedule
        if schedule is not None:
            label = result.published.active.label
            figures["design"] = plots.printed_design(plan, label, schedule.baseline)
    if result.behind is not None:
        rows = behind.figure_rows(behind.answers_table(result))
        figures["reconstruction"] = plots.answers(rows, label=result.behind.label)
    return Pictures(figures)
