"""The sentence on what would change an answer: from numbers, and from nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bayes_msc.report.prose import Words, believer, listed, percent, strength

#: A probability that moves by less is said to stay.
_STAYS = 0.015


@dataclass(frozen=True)
class Move:
    """One change, and the probability of benefit under it.

    Parameters
    ----------
    kind : str
        ``"prior"`` or ``"patient"``.
    name : str
        The stance, or the patient.
    probability : float
        NaN where it is not known.
    """

    kind: str
    name: str
    probability: float


def what_would_change(now: float, moves: Sequence[Move], words: Words) -> str:
    """Say which of the changes that were tried would change the words of the answer.

    Parameters
    ----------
    now : float
        Probability of benefit as the analysis stands.
    moves : sequence of Move
    words : Words

    Returns
    -------
    str
        One sentence. The words of an answer are its direction and its strength, as ``benefit`` says
        them.
    """
    known = [move for move in moves if not math.isnan(move.probability)]
    lost = _lost([move for move in moves if math.isnan(move.probability)])
    if not known:
        return f"What would change it was not tried{lost}."
    turned = [move for move in known if _said(move.probability) != _said(now)]
    named = [_farthest(turned, now, kind) for kind in ("patient", "prior")]
    found = [move for move in named if move is not None]
    if not found:
        low, high = (f(move.probability for move in known) for f in (min, max))
        lead = f"Nothing that was tried would change these words: {_tried(known)}"
        return f"{lead}, the probability that {words.active} helps {_range(low, high)}{lost}."
    lead = (
        f"What would change it: the probability that {words.active} helps, {percent(now)}, would be"
    )
    parts = [f"{percent(move.probability)} {_who(move, words)}" for move in found]
    rest = (
        "" if len(found) > 1 or not _other(found[0], known) else _other_words(found[0], now, known)
    )
    return f"{lead} {listed(parts)}{rest}{lost}."


def _said(probability: float) -> tuple[bool, str]:
    """Direction and strength, as the answer words them; no direction where there is no strength."""
    how = strength(probability)
    return (bool(how) and probability >= 0.5, how)


def _farthest(moves: Sequence[Move], now: float, kind: str) -> Move | None:
    own = [move for move in moves if move.kind == kind]
    return max(own, key=lambda move: abs(move.probability - now)) if own else None


def _who(move: Move, words: Words) -> str:
    if move.kind == "patient":
        return f"without patient {move.name}"
    return f"for {believer(move.name, words.benefit).rstrip(',')}"


def _other(found: Move, known: Sequence[Move]) -> list[Move]:
    return [move for move in known if move.kind != found.kind]


def _other_words(found: Move, now: float, known: Sequence[Move]) -> str:
    """What the other kind of change does, although it changes no word."""
    own = _other(found, known)
    if found.kind == "prior":
        what = "leaving out any one patient" if len(own) > 1 else f"leaving out {own[0].name}"
    else:
        what = "another opinion beforehand"
    farthest = max(own, key=lambda move: abs(move.probability - now))
    if abs(farthest.probability - now) < _STAYS:
        return f", while {what} hardly moves it"
    most = " at most" if len(own) > 1 else ""
    return f", while {what} moves it{most} to {percent(farthest.probability)}"


def _tried(known: Sequence[Move]) -> str:
    kinds = {move.kind for move in known}
    tried = ["leaves out any one patient"] if "patient" in kinds else []
    tried += ["believed otherwise beforehand"] if "prior" in kinds else []
    return f"{'whether' if len(tried) > 1 else 'if'} one {' or '.join(tried)}"


def _range(low: float, high: float) -> str:
    if percent(low) == percent(high):
        return f"stays at {percent(low)}"
    return f"stays between {percent(low)} and {percent(high)}"


def _lost(moves: Sequence[Move]) -> str:
    """Name the changes whose effect the stored draws cannot tell."""
    if not moves:
        return ""
    patients = [move.name for move in moves if move.kind == "patient"]
    opinions = [f"the {move.name} prior" for move in moves if move.kind == "prior"]
    named = patients if len(patients) <= 3 else [f"{len(patients)} patients"]
    who = [f"leaving out {listed(named)}"] if patients else []
    return f" (what {' and '.join([*who, *opinions])} would do, the draws cannot tell)"


def ranked(statement: str, what: str, extreme: str, turns: bool) -> str:
    """Say what moves a rule's statement most, from the ranking of a sensitivity analysis.

    Parameters
    ----------
    statement : str
        The rule's, such as ``P(RR < 0.8)``.
    what : str
        What is changed, first of the ranking.
    extreme : str
        The setting farthest away, with its probability.
    turns : bool
        Whether the rule's answer turns with it.
    """
    verdict = (
        "what would turn the answer to the rule most is"
        if turns
        else "nothing that was tried turns the answer to the rule; what moves it most is"
    )
    setting, _, found = extreme.rpartition(": ")
    text = f"{verdict} {what}: {statement} goes as far as {found}"
    text += f" ({setting})" if setting and setting != what else ""
    return f"{text[0].upper()}{text[1:]}."
