"""Mistakes that a user can mend; each message is one line."""


class ModelFolderError(ValueError):
    """A model's folder is not what it should be; the message says how, in one line."""


class UsageError(ValueError):
    """A command cannot do what it was asked for; the message says why, in one line."""


class TrainingError(ValueError):
    """A training failed for a reason that its user can mend; the message says which, in one line."""


class NotANumberError(TrainingError):
    """The loss is not a number in the first epoch."""
