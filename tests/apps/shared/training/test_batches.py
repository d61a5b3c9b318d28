import threading
import time

import numpy as np
import pytest
from keras_recurrent.apps.shared.training.batches import computed_ahead, order_of_epochs
from keras_recurrent.apps.shared.training.splits import checksum
from keras_recurrent.datasets.columns import Columns, Strings


def test_the_next_result_is_computed_ahead():
    calls = []
    is_next = threading.Event()

    def square(epoch):
        calls.append(epoch)
        if epoch == 4:
            is_next.set()
        return epoch**2

    result = computed_ahead(square)
    assert result(3) == 9
    assert is_next.wait(10)  # nobody has asked for it
    assert [result(3), result(4), result(4), result(0)] == [9, 16, 16, 0]
    assert calls.count(3) == calls.count(4) == 1


def test_checksums_of_training_data():
    texts = Strings(["ab", "c"])
    parts = [
        (texts, texts),
        (Columns(texts), texts),
        (["ab", "c"], texts),
        ([("ab", 1)], "c"),
        ("abc", "d"),
        ("abd", "c"),
    ]
    values = [checksum(*part) for part in parts]
    assert values == [checksum(*part) for part in parts]
    assert values[0] == values[1] and len(set(values)) == 5
    assert checksum(iter([1, 2])) == checksum([1, 2]) != checksum(np.array([2, 1]))


@pytest.mark.parametrize(("split", "expected"), [("train", {0, 1}), ("validation", {0})])
def test_the_order_of_an_epoch_is_computed_once(split, expected):
    epochs = []

    def order(epoch):
        epochs.append(epoch)
        return [epoch]

    order_of = order_of_epochs(order, split)
    assert order_of(0) == order_of(0) == [0]
    deadline = time.monotonic() + 10
    while set(epochs) != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(epochs) == sorted(expected)
