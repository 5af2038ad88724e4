"""The package's own errors: each message names the value, what is allowed and the repair."""


class BayesMSCError(ValueError):
    """Base of every error that the package raises about its input."""


class PriorError(BayesMSCError):
    """A prior that cannot be built: unknown distribution, unknown or impossible number."""


class TrialError(BayesMSCError):
    """A table of counts that is not a trial; the message lists every fault found."""


class PublishedError(BayesMSCError):
    """Printed results from which no rate ratio can be derived."""


class ModelError(BayesMSCError):
    """A model card that cannot be read, or that does not fit the trial."""


class ComparatorError(BayesMSCError):
    """An argument that no classical method understands."""


class SensitivityError(BayesMSCError):
    """An analysis of sensitivity that cannot be made, or that would take very long."""


class DesignError(BayesMSCError):
    """A simulation that cannot be run: an impossible design, truth, rule or plan."""


class WorkersError(BayesMSCError):
    """Work that cannot be handed out, or that workers do not bring back."""


class ReconstructionError(BayesMSCError):
    """Printed numbers from which no set of counts can be given back."""


class OutputError(BayesMSCError):
    """Results that cannot be written or read back where the user asked."""


def one_of(value: object, allowed: object, what: str, error: type[BayesMSCError]) -> None:
    """Raise unless the value is among those allowed.

    Parameters
    ----------
    value : object
        What the user gave.
    allowed : iterable of object
        What is known.
    what : str
        What the value stands for, for the message.
    error : type of BayesMSCError
        The error to raise.

    Raises
    ------
    BayesMSCError
        Of the given type, naming the value and all that is allowed.
    """
    known = [str(item) for item in allowed]  # type: ignore[attr-defined]
    if str(value) not in known:
        raise error(f"unknown {what} {value!r}: choose one of {', '.join(known)}")
