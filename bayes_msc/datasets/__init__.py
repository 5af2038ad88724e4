"""Bundled trials: one folder each, with the table of counts and a card that says what it is."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from io import StringIO
from typing import TYPE_CHECKING, Any

from bayes_msc.errors import TrialError, one_of

if TYPE_CHECKING:
    from bayes_msc.trial import Trial

CARD = "card.toml"
CARD_KEYS = (
    "title",
    "provenance",
    "certainty",
    "licence",
    "source",
    "description",
    "argument",
    "table",
    "roles",
)
OPTIONAL_KEYS = ("argument",)


@dataclass(frozen=True)
class Card:
    """What is known about a bundled table of counts.

    Parameters
    ----------
    name : str
        The folder's name.
    title : str
        A title to print; it carries the label of counts that nobody measured.
    provenance : str
        ``"data"``, ``"simulated"`` or ``"reconstruction"``.
    certainty, licence, source, description : str
        For the reader.
    argument : str
        Why a reconstruction is believed, and how far; empty for others.
    file : str
        The table, beside the card.
    candidates : int
        Number of alternative tables in the file, told apart by its column ``candidate``; 0 when
        there is one table only.
    roles : mapping
        Arguments for ``Trial``: design, labels, columns, endpoint, unit.
    """

    name: str
    title: str
    provenance: str
    certainty: str
    licence: str
    source: str
    description: str
    argument: str
    file: str
    candidates: int
    roles: Mapping[str, Any]


def trial_names() -> tuple[str, ...]:
    """Return the names of the bundled trials that have a table of patients."""
    return tuple(sorted(f.name for f in _root().iterdir() if f.joinpath(CARD).is_file()))


def load_card(name: str) -> Card:
    """Return the card of a bundled trial.

    Raises
    ------
    TrialError
        If there is no such trial; the message lists the known ones.
    """
    one_of(name, trial_names(), "bundled trial", TrialError)
    content = tomllib.loads(_text(name, CARD))
    for key in content:
        one_of(key, CARD_KEYS, f"key in the card of {name}", TrialError)
    missing = [key for key in CARD_KEYS if key not in content and key not in OPTIONAL_KEYS]
    if missing:
        raise TrialError(f"the card of {name} lacks {', '.join(missing)}")
    table, roles = content["table"], content["roles"]
    words = {
        key: str(content.get(key, "")).strip() for key in CARD_KEYS if key not in ("table", "roles")
    }
    return Card(
        name=name,
        file=str(table["file"]),
        candidates=int(table.get("candidates", 0)),
        roles=roles,
        **words,
    )


def load_trial(name: str, *, candidate: int | None = None) -> Trial:
    """Load a bundled trial.

    Parameters
    ----------
    name : str
        One of ``trial_names()``.
    candidate : int, optional
        Which of several reconstructed tables, from 1; by default the first. Only for a trial
        that has candidates.

    Returns
    -------
    Trial
        With the label of its provenance, if it is simulated or reconstructed.

    Raises
    ------
    TrialError
        If there is no such trial or no such candidate; the message lists the known ones.
    """
    import pandas as pd

    from bayes_msc.trial import Trial

    card = load_card(name)
    table = pd.read_csv(StringIO(_text(name, card.file)), dtype="str", keep_default_na=False)
    full_name, title, source = name, card.title, card.source
    if card.candidates:
        chosen = 1 if candidate is None else candidate
        one_of(chosen, range(1, card.candidates + 1), f"candidate of {name}", TrialError)
        table = table[table["candidate"] == str(chosen)]
        source += f" Candidate {chosen} of {card.candidates}."
        if chosen != 1:
            full_name, title = f"{name}-{chosen}", f"{title}, candidate {chosen}"
    elif candidate is not None:
        raise TrialError(f"{name} has one table only: leave candidate={candidate!r} out")
    return Trial(
        table, name=full_name, title=title, source=source, provenance=card.provenance, **card.roles
    )


def _root() -> Traversable:
    return resources.files("bayes_msc").joinpath("datasets")


def _text(name: str, file: str) -> str:
    return _root().joinpath(name, file).read_text(encoding="utf-8")
