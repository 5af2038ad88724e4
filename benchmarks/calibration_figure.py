"""The figure of one card's calibration: how far the ranks of each quantity stray from uniform."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bayes_msc.plots.style import look, to_svg
from bayes_msc.simulation.uniformity import SHARES, band, difference, rank_of

WORDS = {
    "log_rate": "log rate",
    "log_rate_ratio": "log rate ratio",
    "period_effect": "period effect",
    "carryover_fraction": "carryover fraction",
    "baseline_slope": "baseline slope",
    "serial_dependence": "serial dependence",
    "sqrt_overdispersion": "sqrt(overdispersion)",
    "zero_inflation": "zero inflation",
    "sqrt_zero_overdispersion": "sqrt(zero overdispersion)",
    "patient_sd": "patient SD",
    "patient_effect": "one patient's effect",
    "log_likelihood": "log likelihood of the trial",
}
_COLOUR = "#0b6e99"
_COLUMNS = 5


def draw(table: pd.DataFrame, card: str, path: Path) -> None:
    """Draw ECDF minus uniform for every quantity of a card, with the simultaneous 95 % band.

    Parameters
    ----------
    table : DataFrame
        Columns ``trial``, ``quantity``, ``share``, of one card.
    card : str
    path : Path
        Of the SVG file.
    """
    answered = table.dropna(subset="share")
    quantities = [name for name in WORDS if name in set(answered["quantity"])]
    with look():
        figure = Figure(figsize=(9.6, 4.2), layout="constrained")
        panels = figure.subplots(2, _COLUMNS, sharex=True, sharey=True).ravel()
        for axes, quantity in zip(panels, quantities, strict=False):
            rank = rank_of(answered.loc[answered["quantity"] == quantity, "share"].to_numpy())
            low, high = band(len(rank))
            axes.fill_between(SHARES, low, high, color=_COLOUR, alpha=0.15, lw=0)
            axes.axhline(0, color="0.5", lw=0.6)
            axes.plot(SHARES, difference(rank), color=_COLOUR, lw=1.4)
            axes.set_title(WORDS[quantity], fontsize=9)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        for empty in range(len(quantities), len(panels)):
            panels[empty].set_visible(False)
            panels[empty - _COLUMNS].tick_params(labelbottom=True)
        trials = answered["trial"].nunique()
        figure.suptitle(
            f"{card}: {trials} trials simulated from the priors and fitted", fontsize=10
        )
        figure.supxlabel("posterior probability below the truth", fontsize=9)
        figure.supylabel("ECDF minus uniform", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_svg(figure, "c"), encoding="utf-8")
