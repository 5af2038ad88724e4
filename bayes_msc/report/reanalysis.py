"""From the reanalysis of a published trial to a report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from bayes_msc import plots
from bayes_msc.printed import CERTAINTY
from bayes_msc.report import prose
from bayes_msc.report import reanalysis_sections as parts
from bayes_msc.report.manifest import made_with, stamp
from bayes_msc.report.panel import panel_of_reanalysis
from bayes_msc.report.results import Results, Source

if TYPE_CHECKING:
    from bayes_msc.published import Published
    from bayes_msc.reanalysis import Reanalysis

HEADLINE = ("vague", "weak")


def build(result: Reanalysis, command: str = "") -> tuple[Results, dict[str, str]]:
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
    dict of str to str
        SVG text by figure name.
    """
    table, published = by_stance(result.statements), result.published
    sections = (
        parts.stances(result, table),
        parts.evidence(result),
        parts.prediction(result),
        parts.paper(result),
        parts.assumed(result),
        parts.patients(result),
    )
    results = Results(
        kind="reanalysis",
        title=published.title,
        subtitle=f"A Bayesian reanalysis of what is printed in {published.source.citation}",
        question=published.question,
        answer=answer(result, table),
        sections=tuple(section for section in sections if section is not None),
        tables=_all_tables(result),
        sources=tuple(_source(trial) for trial in (published, *result.external_trials)),
        manifest={
            "data": published.name,
            "data_sha256": published.sha256,
            "external": {trial.name: trial.sha256 for trial in result.external_trials},
            "analysis": result.analysis,
            "route": result.route,
            "method": "closed form or quadrature; nothing was sampled, so there is no seed",
            "versions": made_with(("numpy", "scipy", "pandas", "matplotlib")),
            **stamp(command),
        },
        panel=panel_of_reanalysis(result, headline(table["stance"])),
    )
    return results, _draw(result)


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
    return first, prose.opinions(chances, words.active), _others(result, chances[name])


def _others(result: Reanalysis, before: float) -> str:
    """Sentence on the other trials, or on there being none."""
    words = parts.words_of(result)
    if result.external.empty:
        n = result.published.active.n + result.published.control.n
        return (
            f"This rests on {n} patients and no other trial, so one more trial can still change "
            "it a good deal."
        )
    first = result.external[result.external["tau_prior"] == result.external["tau_prior"].iloc[0]]
    chance = first.set_index("target")[parts.good_column(result)].astype(float)
    after = float(chance["this trial"])
    moved = f"{prose.moved(before, after)} {prose.percent(after)}"
    return (
        f"{_found(result)}; with {'it' if len(result.external_trials) == 1 else 'them'} taken "
        f"into account, the probability that {words.active} {words.good} the rate in this "
        f"trial's own patients {moved}, and the probability that such treatment does so on average "
        f"is {prose.percent(float(chance['mean effect']))}."
    )


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
    return {name: getattr(result, name) for name in names}


def _source(published: Published) -> Source:
    source = published.source
    text = f"{published.short_title}: {source.citation}"
    text += f". Registration: {source.registration}" if source.registration else ""
    text += f". Read from {source.read_from}" if source.read_from else ""
    certainty = f"Certainty of the numbers: {published.certainty}"
    return Source(f"{text}.", source.doi, f"{certainty} ({CERTAINTY[published.certainty]}).")


def _draw(result: Reanalysis) -> dict[str, str]:
    benefit = result.published.benefit
    figures = {
        "stances": plots.stance_densities(result.densities, benefit),
        "probability-curves": plots.probability_curves(result.curve, benefit),
    }
    if not result.external.empty:
        figures["forest"] = plots.forest(result.forest, benefit)
    return {name: plots.to_svg(figure, name) for name, figure in figures.items()}
