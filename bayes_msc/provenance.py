"""Where counts come from, and what a reader must be told about those that nobody measured."""

from __future__ import annotations

from collections.abc import Mapping

CARRIED_FORWARD = "carried forward"
IMPUTED = "imputed"

_ORIGINS = {
    "data": "",
    "simulated": "simulated, not data",
    "reconstruction": "reconstruction, not data",
}
_FILLED = {
    CARRIED_FORWARD: "some counts carried forward, not seen",
    IMPUTED: "unseen counts drawn from a model, not seen",
}
_WARNINGS = {
    CARRIED_FORWARD: (
        "counts carried forward: the last count seen of a patient stands in for scans that were "
        "not seen. Nobody counted these. Use them to repeat a published analysis, for nothing else"
    ),
    IMPUTED: (
        "counts drawn from a model: one of many ways in which the scans that were not seen may "
        "have turned out. Nobody counted these. Never look at one such table alone"
    ),
}


def filled(provenance: str, how: str) -> str:
    """Return the provenance of counts of which some were filled in.

    Parameters
    ----------
    provenance : str
        Of the counts that were there before.
    how : {"carried forward", "imputed"}
        How the others were filled in.
    """
    return provenance if provenance.endswith(how) else f"{provenance}, {how}"


def _all() -> dict[str, str]:
    labels = dict(_ORIGINS)
    for how, words in _FILLED.items():
        for origin, label in _ORIGINS.items():
            labels[filled(origin, how)] = "; ".join(part for part in (label, words) if part)
    return labels


#: What must be printed wherever the counts appear, by provenance; empty for data.
PROVENANCES: Mapping[str, str] = _all()


def warnings_of(provenance: str) -> tuple[str, ...]:
    """Return what a reader must be warned of: counts that were filled in."""
    return tuple(text for how, text in _WARNINGS.items() if provenance.endswith(how))
