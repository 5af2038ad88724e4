"""Text of users made fit to be shown: nothing invisible, nothing that turns other words round."""

from __future__ import annotations

import re
import unicodedata

#: A longer name is shortened where it is shown; tables that are stored keep the whole of it.
LONGEST = 60
_KEPT_END = 8
#: C0 and C1 controls, lone surrogates and the two non-characters: no file format takes them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
#: Marks, embeddings, overrides and isolates of direction, and what has no width at all. The joiners
#: of Persian and of emoji (U+200C, U+200D) belong to words.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_BREAKS = re.compile("[\r\n\t\u2028\u2029]+")
ISOLATE, END_ISOLATE = "\u2068", "\u2069"


def clean(text: str) -> str:
    """Return one line of text that every file format takes and that reads as it is written.

    Line breaks become spaces, control characters the replacement character, and invisible
    characters, such as those that would turn the following words round, are spelt out.
    """
    text = _CONTROLS.sub("\ufffd", _BREAKS.sub(" ", text))
    return _INVISIBLE.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def shortened(name: str, longest: int = LONGEST) -> str:
    """Return a name that is shown: cleaned, and with its middle left out where it is too long."""
    text = clean(name)
    if len(text) <= longest:
        return text
    return f"{text[: longest - _KEPT_END - 1]}…{text[-_KEPT_END:]}"


def runs_leftwards(text: str) -> bool:
    """Whether a text holds letters of a script that is written from right to left."""
    return any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)


def isolated(text: str) -> str:
    """Return text whose direction does not reach the words beside it."""
    return f"{ISOLATE}{text}{END_ISOLATE}" if runs_leftwards(text) else text
