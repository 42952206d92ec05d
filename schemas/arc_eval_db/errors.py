"""Every error this project raises on purpose.

Code branches on the class: `RetryableError` (try again, nothing is wrong with the data), `PoisonError` (this one input
can never succeed) and `FatalError` (stop and tell a person). A class's docstring is its default message.
"""

from __future__ import annotations


class ArcEvalError(Exception):
    """Something went wrong in arc-eval-db."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class RetryableError(ArcEvalError):
    """The operation failed for a passing reason; the same call may succeed later."""


class PoisonError(ArcEvalError):
    """This input can never be accepted, however often it is tried."""


class FatalError(ArcEvalError):
    """Trying again will not help and the data is not to blame: a person has to change something."""


class SettingsError(FatalError):
    """A setting is missing or has a value that cannot be used."""
