"""The two estimands of a crossover, side by side."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_msc.errors import ModelError
from bayes_msc.estimands import summarize
from bayes_msc.first_period import both_estimands, for_first_period
from bayes_msc.fit import fit
from bayes_msc.model import Model
from bayes_msc.trial import Trial


def test_two_rows_from_the_same_counts(crossover: Trial) -> None:
    table = both_estimands(crossover, seed=11)
    assert list(table["estimand"]) == ["first period alone", "whole crossover"]
    assert "parallel trial" in table["what"][0]
    assert "takes for granted that nothing is carried over" in table["what"][1]
    assert list(table["rows"]) == [
        (crossover.seen["period"] == 1).sum(),
        len(crossover.seen),
    ]
    assert (table["label"] == "simulated, not data").all()
    width = np.log(table["upper"] / table["lower"])
    assert width[0] > width[1]
    alone = fit(crossover.first_period(), "count-negative-binomial", seed=11)
    expected = summarize(alone).set_index("statement").loc["rate_ratio", "median"]
    assert table["median"][0] == pytest.approx(expected)


def test_the_fast_engine_gives_the_same_rows(crossover: Trial) -> None:
    by_nuts, fast = (both_estimands(crossover, engine=e, seed=11) for e in ("nuts", "fast"))
    np.testing.assert_allclose(np.log(fast["median"]), np.log(by_nuts["median"]), atol=0.05)
    np.testing.assert_allclose(fast["probability"], by_nuts["probability"], atol=0.02)


def test_first_period_has_no_second() -> None:
    model = Model.load("crossover-negative-binomial-carryover")
    first = for_first_period(model)
    assert first.terms == ("treatment",)
    assert first.design == "any"
    assert not {"period_effect", "carryover_fraction"} & set(first.priors)
    assert first.priors["log_rate_ratio"] == model.priors["log_rate_ratio"]


def test_what_is_refused(parallel: Trial, crossover: Trial) -> None:
    with pytest.raises(ModelError, match="parallel nine is a parallel trial: it has one estimand"):
        both_estimands(parallel)
    with pytest.raises(ModelError, match="unknown family 'gamma'"):
        both_estimands(crossover, "gamma")
