"""Errors that a user can fix. Each message is one line, and the command exits with status 2."""

from ...datasets.errors import DataError
from ...extras import MissingExtra


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or its type if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class ModelFolderError(ValueError):
    """A model's folder is missing, incomplete or damaged, or must not be overwritten."""


class UsageError(ValueError):
    """The arguments of a command do not fit together or do not fit the model."""


class TrainingError(ValueError):
    """The options of a training do not fit together, or the training failed."""


class NotANumberError(TrainingError):
    """The loss is not a number in the first epoch."""


class LockError(ValueError):
    """A file cannot be locked, for example because its file system does not support locks."""


class AlreadyLockedError(LockError):
    """Another process holds a lock.

    Args:
        message: The message.
        holder: The other process, such as `process 1234 since 14:03`.
    """

    def __init__(self, message: str, holder: str) -> None:
        super().__init__(message)
        self.holder = holder


USER_ERRORS = (DataError, LockError, MissingExtra, ModelFolderError, TrainingError, UsageError)
