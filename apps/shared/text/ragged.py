"""Rows of different lengths in one array."""

import array
import dataclasses
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from ..backends import uses_xla

IN_MEMORY = 2**30  # bytes; more values are in a file
CHUNK = 100_000  # rows that are copied at once


@dataclasses.dataclass(frozen=True)
class Ragged:
    """Rows of different lengths in one array.

    Attributes:
        values: Integer array, the entries of all rows, one after the other.
        offsets: int64 array `(rows + 1,)`, where each row begins, and the end of the last one.

    Example:

    >>> from keras_recurrent.apps.shared.text.ragged import Ragged
    >>> rows = Ragged.of([[7, 8, 3], [9, 3]])
    >>> rows.lengths.tolist(), rows[1].tolist(), rows.padded([1, 0]).tolist()
    ([3, 2], [9, 3], [[9, 3, 0], [7, 8, 3]])
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, rows: Iterable[Sequence[int]], dtype: str = "int32") -> Self:
        """Creates it from sequences of integers, without a list of all of them."""
        values, lengths = array.array(np.dtype(dtype).char), array.array("q")
        for row in rows:
            values.extend(row)
            lengths.append(len(row))
        return cls(np.frombuffer(values, dtype), _offsets(np.frombuffer(lengths, "int64")))

    @classmethod
    def join(cls, parts: Iterable[Self], dtype: Any = "int32") -> Self:
        """Puts the rows of several ones after one another.

        If the values take more than `IN_MEMORY` bytes, they are in a temporary file that is mapped into memory.
        """
        buffer, lengths, file = bytearray(), array.array("q"), None
        for part in parts:
            buffer += part.values.astype(dtype).tobytes()
            lengths.frombytes(part.lengths.tobytes())
            if len(buffer) > IN_MEMORY:
                file = file or tempfile.TemporaryFile()  # noqa: SIM115, closed below
                file.write(buffer)
                buffer.clear()
        offsets = _offsets(np.frombuffer(lengths, "int64"))
        if file is None:
            return cls(np.frombuffer(buffer, dtype), offsets)
        with file:
            file.write(buffer)
            file.flush()
            return cls(np.memmap(file, dtype, "r"), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: int) -> np.ndarray:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def tolist(self) -> list[list[int]]:
        """Returns the rows as lists."""
        return [row.tolist() for row in self]

    @property
    def lengths(self) -> np.ndarray:
        """The length of each row."""
        return np.diff(self.offsets)

    def select(self, is_selected: np.ndarray) -> Self:
        """Returns the rows where a boolean array `(rows,)` is True."""
        if is_selected.all():
            return self
        parts = (
            part._keep(np.repeat(is_selected[rows], part.lengths), part.lengths[is_selected[rows]])
            for rows, part in self.parts()
        )
        return self.join(parts, self.values.dtype)

    def cut(self, max_length: int) -> Self:
        """Cuts rows to `max_length` entries. The last entry of a row, the end token, is kept."""
        if self.lengths.max(initial=0) <= max_length:
            return self
        return self.join((part._cut(max_length) for _, part in self.parts()), self.values.dtype)

    def with_last(self, entry: int) -> Self:
        """Appends an entry to each row."""
        offsets = self.offsets + np.arange(len(self.offsets))
        values = np.full(len(self.values) + len(self), entry, self.values.dtype)
        is_entry = np.ones(len(values), bool)
        is_entry[offsets[1:] - 1] = False
        values[is_entry] = self.values
        return type(self)(values, offsets)

    def replaced(self, table: Self) -> Self:
        """Returns the rows in which each entry, the index of a row of `table`, is replaced by that row."""
        counts = table.lengths[self.values]
        ends = np.concatenate([[0], np.cumsum(counts)])
        shifts = np.repeat(table.offsets[self.values] - ends[:-1], counts)
        return type(self)(table.values[np.arange(ends[-1]) + shifts], ends[self.offsets])

    def padded(self, indices: Any, jit: bool | None = None) -> np.ndarray:
        """Returns rows as an int32 array `(indices, steps)`, padded with 0.

        Args:
            indices: The indices of the rows. -1 is an empty row.
            jit: The option `jit`. With XLA, `steps` is `bucketed`.
        """
        first = self.offsets[indices]
        lengths = self.offsets[np.add(indices, 1)] - first
        steps = lengths.max(initial=1)
        positions = np.arange(int(bucketed(steps) if uses_xla(jit) else steps))
        is_entry = positions < lengths[:, np.newaxis]
        array = np.zeros(is_entry.shape, "int32")
        array[is_entry] = self.values[(first[:, np.newaxis] + positions)[is_entry]]
        return array

    def parts(self) -> Iterator[tuple[slice, Self]]:
        """Yields the rows in parts of `CHUNK`."""
        for first in range(0, len(self), CHUNK):
            rows = slice(first, min(first + CHUNK, len(self)))
            offsets = self.offsets[rows.start : rows.stop + 1]
            yield rows, type(self)(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])

    def _keep(self, is_kept: np.ndarray, lengths: np.ndarray) -> Self:
        """Returns rows of some lengths with those entries for which `is_kept`."""
        return type(self)(self.values[is_kept], _offsets(lengths))

    def _cut(self, max_length: int) -> Self:
        lengths = self.lengths
        is_kept = np.arange(len(self.values)) - np.repeat(self.offsets[:-1], lengths) < max_length - 1
        is_kept[self.offsets[1:][lengths > 0] - 1] = True
        return self._keep(is_kept, np.minimum(lengths, max_length))


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)])


def bucketed(lengths: Any) -> np.ndarray:
    """Rounds lengths up to 8, 16, 24, 32, 48, 64, 96, 128, 192, ...: XLA compiles every new shape.

    Example:

    >>> from keras_recurrent.apps.shared.text.ragged import bucketed
    >>> bucketed([1, 8, 25, 33, 70]).tolist()
    [8, 8, 32, 48, 96]
    """
    lengths = np.maximum(lengths, 1)
    grid = np.maximum(8, 2 ** np.maximum(np.ceil(np.log2(lengths)).astype(int) - 2, 0))
    return -(-lengths // grid) * grid
