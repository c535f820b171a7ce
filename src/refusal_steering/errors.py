"""The errors a user meets. Each is one line that names what was wrong and the way out, with an exit status of its own."""

from __future__ import annotations


class RefusalSteeringError(Exception):
    """Anything this package refuses to do. The command line prints its message and exits with `exit_status`."""

    exit_status = 1


class InputError(RefusalSteeringError):
    """A file, row, field or flag that cannot be used."""

    exit_status = 2


class NoConfigurationError(RefusalSteeringError):
    """No candidate reaches the wanted removal while safety is kept. Nothing was selected."""

    exit_status = 3


class VectorMismatchError(InputError):
    """A vector that does not belong to the model it is to be applied to."""


class NotAppliedError(RefusalSteeringError):
    """Steering was asked for, and the model computed the same without it."""

    exit_status = 4


class ActivationError(RefusalSteeringError):
    """Activations that cannot be used, such as NaN; the message names the prompt."""

    exit_status = 5


class EngineError(RefusalSteeringError):
    """An engine that cannot do what the run needs."""

    exit_status = 6


class JudgeError(RefusalSteeringError):
    """The judge could not be reached; what was judged until then is kept, and the same command goes on from there."""

    exit_status = 7


class StoreError(RefusalSteeringError):
    """The run directory cannot be written or read."""

    exit_status = 8
