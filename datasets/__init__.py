"""Data sets: folders, TFDS names and generated ones, all read as plain examples."""

from .sources import DataError, read_pairs, read_pairs_file

__all__ = ["DataError", "read_pairs", "read_pairs_file"]
