"""The model in symbols, as plain text that every format can show."""

from __future__ import annotations

from collections.abc import Sequence

from bayes_msc.terms import TERMS


def symbols(family: str, terms: Sequence[str], integrated: bool) -> tuple[str, ...]:
    """Return the model in symbols and a sentence on what they mean.

    Parameters
    ----------
    family : str
        Of the counts.
    terms : sequence of str
        Of the model for this trial.
    integrated : bool
        Whether the patient effect is integrated out of the likelihood.

    Returns
    -------
    tuple of str
        Two paragraphs.
    """
    added = [TERMS[term].symbol for term in terms if term in TERMS]
    sum_ = " + ".join(["log(exposure)", "log_rate", *added, "patient_sd * z_i"])
    name = family.replace("-", " ")
    how = "integrated out by quadrature" if integrated else "sampled"
    return (
        f"In symbols, for patient i and row j: y_ij ~ {name}(mu_ij), log mu_ij = {sum_}, "
        f"z_i ~ Normal(0, 1), {how}.",
        "mu is the expected count; where the family has more parameters than its mean, they are "
        "among the priors below. The card, at the end of this report, is the exact specification.",
    )
