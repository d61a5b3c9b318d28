"""Data sets: folders, TFDS names and generated ones, all read as plain examples."""

from .sources import DataError, read_pairs

__all__ = ["DataError", "read_pairs"]
