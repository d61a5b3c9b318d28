"""The names of splits."""

from collections.abc import Collection
from pathlib import Path

from .errors import MissingSplitError

# The names that data sets use for the validation split, in order of preference.
VALIDATION_NAMES = ("validation", "val", "valid", "dev")


def resolve_split(split: str, available: Collection[str], where: str | Path) -> str:
    """Returns the name under which a split is available.

    Args:
        split: The requested split. `validation` also matches `val`, `valid` and `dev`.
        available: Names of the splits that exist.
        where: Folder, file or data set, for the error message.

    Returns:
        The first matching name in `available`.

    Raises:
        MissingSplitError: If no available split matches.

    Example:

    >>> from keras_recurrent.datasets.splits import resolve_split
    >>> resolve_split("validation", {"train", "dev"}, "my data")
    'dev'
    """
    names = VALIDATION_NAMES if split == "validation" else (split,)
    for name in names:
        if name in available:
            return name
    wanted = " or ".join(f"'{name}'" for name in names)
    raise MissingSplitError(f"{where}: no split {wanted}; available splits: {', '.join(sorted(available)) or 'none'}")
