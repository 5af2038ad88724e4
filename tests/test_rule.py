"""Decision rules: which side counts, what is met, and what is no rule."""

from __future__ import annotations

import pytest

from bayes_msc.errors import BayesMSCError
from bayes_msc.rule import Rule


def test_lower_and_higher_read_the_two_sides() -> None:
    lower, higher = Rule(0.8, 0.9), Rule(0.8, 0.9, "higher")
    assert lower.met(lower.of(0.9))
    assert not lower.met(lower.of(0.899))
    assert higher.met(higher.of(0.1))
    assert not higher.met(higher.of(0.11))
    assert lower.column == higher.column == "prob_below_0.8"
    assert lower.words() == "P(RR < 0.8) of 0.9 or more"
    assert higher.words() == "P(RR > 0.8) of 0.9 or more"


@pytest.mark.parametrize(
    ("numbers", "match"),
    [
        ((0.0, 0.95), "rate ratio, above 0"),
        ((1.0, 95.0), "between 0 and 1"),
        ((1.0, 1.0), "between 0 and 1"),
        ((1.0, 0.95, "fewer"), "lower, higher"),
    ],
)
def test_impossible_rules(numbers: tuple[float, ...], match: str) -> None:
    with pytest.raises(BayesMSCError, match=match):
        Rule(*numbers)  # type: ignore[arg-type]
