"""Flat rows behave like lists of lists."""

import os

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_recurrent.apps.shared.text import ragged
from keras_recurrent.apps.shared.text.batches import length_batches
from keras_recurrent.apps.shared.text.ragged import Ragged, bucketed

ROWS = st.lists(st.lists(st.integers(0, 2**16 - 1), max_size=6), max_size=9)


@settings(max_examples=25, deadline=None, derandomize="CI" in os.environ)
@given(ROWS, st.integers(1, 7), st.data())
def test_rows_equal_lists(rows, length, data):
    flat = Ragged.of(iter(rows), "uint16")
    assert flat.tolist() == rows and flat.lengths.tolist() == [len(row) for row in rows]
    assert flat.with_last(3).tolist() == [[*row, 3] for row in rows]
    kept = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    for chunk, limit in ((2, 4), (10, 2**30)):
        ragged.CHUNK, ragged.IN_MEMORY, before = chunk, limit, (ragged.CHUNK, ragged.IN_MEMORY)
        try:
            selected = flat.select(np.array(kept, bool))
            cut = flat.cut(length)
            joined = Ragged.join([flat, selected], "uint16")
        finally:
            ragged.CHUNK, ragged.IN_MEMORY = before
        assert selected.tolist() == [row for row, is_kept in zip(rows, kept, strict=True) if is_kept]
        assert cut.tolist() == [row if len(row) <= length else [*row[: length - 1], row[-1]] for row in rows]
        assert joined.tolist() == rows + selected.tolist()
        assert joined.values.dtype == selected.values.dtype == cut.values.dtype == "uint16"


def test_many_values_are_in_a_file(monkeypatch):
    monkeypatch.setattr(ragged, "IN_MEMORY", 100)
    rows = [[*range(index)] for index in range(30)]
    flat = Ragged.join(Ragged.of([row]) for row in rows)
    assert isinstance(flat.values, np.memmap) and flat.tolist() == rows
    assert flat.padded([2, 1]).tolist() == [[0, 1], [0, 0]]
    assert flat.select(flat.lengths > 20).tolist() == rows[21:]


def batches_one_by_one(sizes, capacity):
    """Adds each example to a batch, or begins another where it does not fit."""
    first = largest = 0
    for position, size in enumerate(sizes):
        largest = max(largest, size)
        if position > first and (position - first + 1) * largest > capacity:
            yield [*range(first, position)]
            first, largest = position, size
    yield [*range(first, len(sizes))]


@settings(max_examples=25, deadline=None, derandomize="CI" in os.environ)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=60), st.integers(1, 80))
def test_batches_are_as_large_as_they_may_be(pairs, capacity):
    lengths = np.array(pairs)
    batches = length_batches(lengths, 1, None, capacity)
    sizes = bucketed(lengths.max(axis=1))[np.concatenate(batches)]
    assert [len(batch) for batch in batches] == [len(batch) for batch in batches_one_by_one(sizes, capacity)]
    assert {len(batch) for batch in length_batches(lengths, 7)[:-1]} <= {7}
