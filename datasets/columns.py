"""Columns of a data set in little memory: sequences that behave like lists of strings, arrays and tuples."""

import array
import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar, overload

import numpy as np

T = TypeVar("T")

CHUNK = 10_000  # rows that are converted at once


class _Rows(Sequence[T], Generic[T]):
    """Base of the sequences: equal to any sequence of equal items; slices and arrays of indices select rows."""

    def _item(self, index: int) -> T:
        raise NotImplementedError

    def _take(self, indices: Any) -> Self:
        """Returns the rows of a slice or of an array of indices."""
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice | np.ndarray) -> Self: ...
    def __getitem__(self, index):
        if isinstance(index, slice | np.ndarray):
            return self._take(index)
        length = len(self)
        if not -length <= index < length:
            raise IndexError(f"row {index} of {length}")
        return self._item(index % length)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(map(lambda a, b: a == b, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({[*self[:3]]}{', ...' if len(self) > 3 else ''}, rows={len(self)})"


class Column(Protocol):
    """What `Columns` needs of a column."""

    def extend(self, values: Sequence[Any]) -> None:
        """Appends values. A column is not changed after it is complete."""

    def checksum(self, start: int = 0) -> int:
        """Returns the CRC-32 of the values; `start` is that of what precedes them."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __getitem__(self, index: Any) -> Any: ...


class Strings(_Rows[str]):
    """Strings in one buffer of UTF-8, which take about a third of the memory of a list.

    Args:
        texts: The strings.

    Example:

    >>> from keras_recurrent.datasets.columns import Strings
    >>> texts = Strings(["a dog", "", "größer"])
    >>> texts[2], texts[:2] == ["a dog", ""], len(texts)
    ('größer', True, 3)
    """

    def __init__(self, texts: Iterable[str] = ()):
        self._content = bytearray()
        self._offsets = array.array("q", [0])  # where each string begins, and the end of the last one
        for chunk in _chunks(texts):
            self.extend(chunk)

    def extend(self, values: Sequence[str]) -> None:
        encoded = [text.encode("utf-8", "surrogatepass") for text in values]
        self._offsets.extend(
            itertools.islice(itertools.accumulate(map(len, encoded), initial=self._offsets[-1]), 1, None)
        )
        self._content += b"".join(encoded)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __iter__(self) -> Iterator[str]:
        content = memoryview(self._content)
        for first, last in itertools.pairwise(self._offsets):
            yield str(content[first:last], "utf-8", "surrogatepass")

    def _item(self, index: int) -> str:
        return self._content[self._offsets[index] : self._offsets[index + 1]].decode("utf-8", "surrogatepass")

    def _take(self, indices: Any) -> Self:
        indices = np.arange(len(self))[indices]
        if not len(indices) or (np.diff(indices) != 1).any():
            return type(self)(map(self._item, indices.tolist()))
        part = type(self)()  # consecutive strings share the buffer
        part._content = self._content
        part._offsets = self._offsets[int(indices[0]) : int(indices[-1]) + 2]
        return part

    def checksum(self, start: int = 0) -> int:
        first, last = self._offsets[0], self._offsets[-1]
        start = zlib.crc32(memoryview(self._content)[first:last], start)
        return zlib.crc32((np.frombuffer(self._offsets, "int64") - first).tobytes(), start)


class Categories(_Rows[str | None]):
    """Strings or None of which there are few different ones, such as labels, as indices.

    Args:
        values: The strings.
    """

    def __init__(self, values: Iterable[str | None] = ()):
        self._indices = array.array("i")
        self._index_of: dict[str | None, int] = {}
        for chunk in _chunks(values):
            self.extend(chunk)

    def extend(self, values: Sequence[str | None]) -> None:
        index_of = self._index_of
        self._indices.extend([index_of.setdefault(value, len(index_of)) for value in values])

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[str | None]:
        return map([*self._index_of].__getitem__, self._indices)

    def _item(self, index: int) -> str | None:
        return [*self._index_of][self._indices[index]]

    def _take(self, indices: Any) -> Self:
        part = type(self)()
        part._index_of = self._index_of
        part._indices = array.array("i", np.frombuffer(self._indices, "int32")[indices].tobytes())
        return part

    def checksum(self, start: int = 0) -> int:
        return zlib.crc32(repr([*self._index_of]).encode(), zlib.crc32(self._indices, start))


class Arrays(_Rows[np.ndarray]):
    """Arrays whose first dimensions differ, such as series of different lengths.

    Args:
        arrays: The arrays.

    Example:

    >>> from keras_recurrent.datasets.columns import Arrays
    >>> series = Arrays([np.ones((3, 2)), np.zeros((5, 2))])
    >>> series[1].shape, series.lengths
    ((5, 2), array([3, 5]))
    """

    def __init__(self, arrays: Iterable[np.ndarray] = ()):
        self._arrays: list[np.ndarray] = [*arrays]

    @property
    def lengths(self) -> np.ndarray:
        """The length of each array."""
        return np.array([len(array) for array in self._arrays], "int64")

    def extend(self, values: Sequence[np.ndarray]) -> None:
        self._arrays += values

    def __len__(self) -> int:
        return len(self._arrays)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self._arrays)

    def _item(self, index: int) -> np.ndarray:
        return self._arrays[index]

    def _take(self, indices: Any) -> Self:
        return type(self)(self._arrays[index] for index in np.arange(len(self))[indices])

    def checksum(self, start: int = 0) -> int:
        for values in self._arrays:
            start = zlib.crc32(values.tobytes(), zlib.crc32(repr(values.shape).encode(), start))
        return start


class Columns(_Rows[tuple[Any, ...]]):
    """Rows as tuples, kept as columns.

    Args:
        *columns: The columns, of the same length.

    Attributes:
        columns: Tuple of the columns.

    Example:

    >>> from keras_recurrent.datasets.columns import Categories, Columns, Strings
    >>> rows = Columns.of([("a joy", "positive"), ("too long", None)], Strings, Categories)
    >>> rows[0], rows == [("a joy", "positive"), ("too long", None)]
    (('a joy', 'positive'), True)
    """

    def __init__(self, *columns: Column):
        self.columns: tuple[Any, ...] = columns

    @classmethod
    def of(cls, rows: Iterable[tuple[Any, ...]], *kinds: type[Column]) -> Self:
        """Creates it from tuples, one kind of column for each item."""
        columns = [kind() for kind in kinds]
        for chunk in _chunks(rows):
            for column, values in zip(columns, zip(*chunk, strict=True), strict=True):
                column.extend(values)
        return cls(*columns)

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return zip(*self.columns, strict=True)

    def _item(self, index: int) -> tuple[Any, ...]:
        return tuple(column[index] for column in self.columns)

    def _take(self, indices: Any) -> Self:
        return type(self)(*(column[indices] for column in self.columns))

    def __add__(self, other: "Columns") -> Self:
        """Returns the rows of both, with the kinds of columns of the first."""
        return self.of(itertools.chain(self, other), *map(type, self.columns))

    def checksum(self, start: int = 0) -> int:
        """Returns the CRC-32 of the columns; `start` is that of what precedes them."""
        for column in self.columns:
            start = column.checksum(start)
        return start


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    return iter(lambda: [*itertools.islice(iterator, CHUNK)], [])
