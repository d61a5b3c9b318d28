import pytest
from keras_recurrent.apps.shared import memory
from keras_recurrent.apps.shared.memory import BATCH, MAX_BATCH, batch_size, in_halves
from keras_recurrent.apps.shared.text.batches import map_by_length


@pytest.mark.parametrize(
    ("free", "size"), [(None, BATCH), (0, 1), (2_000, 1), (4_000, 2), (7_999, 2), (300_000, 128), (10**9, MAX_BATCH)]
)
def test_a_batch_takes_half_of_the_free_memory(free, size, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: free)
    assert batch_size(1_000) == size


def test_a_batch_that_does_not_fit_is_divided():
    sizes = []

    def lengths(texts):
        sizes.append(len(texts))
        if len(texts) > 3:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return [len(text) for text in texts]

    texts = ["x" * (7 * index % 11) for index in range(11)]
    assert sorted(map_by_length(lengths, texts, 8)) == [(index, len(text)) for index, text in enumerate(texts)]
    assert sizes == [8, 4, 2, 2, 4, 2, 2, 3]


@pytest.mark.parametrize(("error", "calls"), [(MemoryError(), 3), (ValueError(), 1)])
def test_other_errors_and_those_of_one_input_are_raised(error, calls):
    sizes = []

    def fail(inputs):
        sizes.append(len(inputs))
        raise error

    with pytest.raises(type(error)):
        in_halves(fail, range(4))
    assert len(sizes) == calls
