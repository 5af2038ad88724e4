"""Run the analysis of a folder of results again, and say which of its statements agree."""

from __future__ import annotations

from bayes_msc.verify.numbers import AGREES, DIFFERS, IDENTICAL, UNKNOWN
from bayes_msc.verify.outcome import Verification
from bayes_msc.verify.running import steps_of_folder, verify

__all__ = [
    "AGREES",
    "DIFFERS",
    "IDENTICAL",
    "UNKNOWN",
    "Verification",
    "steps_of_folder",
    "verify",
]
