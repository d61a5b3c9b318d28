"""The error raised for data that cannot be read."""


class DataError(ValueError):
    """The data is missing or malformed; the message tells the user in one line what to fix."""


class MissingSplitError(DataError):
    """A data set does not have a split."""
