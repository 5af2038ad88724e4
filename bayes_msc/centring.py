"""Where the prior of the rate is centred: on the counts of both arms together."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from bayes_msc.prior import Prior
from bayes_msc.trial import Trial


@lru_cache(maxsize=16)
def log_pooled_rate(trial: Trial) -> float:
    """Log of (all events + 0.5) over all exposure seen, both arms together."""
    seen = trial.seen
    return math.log((float(seen["count"].sum()) + 0.5) / float(seen["exposure"].sum()))


def shifted(prior: Prior, centre: float) -> Prior:
    """Return a prior moved along by the log of the pooled rate; its reason says so."""
    numbers = dict(zip(prior.names, prior.parameters, strict=True))
    numbers["loc"] = float(np.asarray(numbers["loc"])) + centre
    why = f"{prior.why}; centred on the log of the pooled rate, {centre:.2f}"
    return Prior(prior.distribution, tuple(numbers.values()), why)
