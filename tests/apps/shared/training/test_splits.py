import pytest
from keras_recurrent.apps.captioning.config import Config
from keras_recurrent.apps.shared.training.splits import evaluated_split, training_splits
from keras_recurrent.datasets import DataError
from keras_recurrent.datasets.splits import resolve_split


def test_what_is_held_out_is_the_same_for_every_seed():
    def read(config, split):
        return [f"{split} {number}" for number in range(10)]

    config = Config(validation_split=0.3)
    parts = training_splits(read, config)
    assert sorted(parts["train"] + parts["validation"]) == read(config, "train")
    assert len(parts["validation"]) == 3 and parts["validation"] != read(config, "train")[-3:]
    assert training_splits(read, config) == parts
    assert training_splits(read, Config()) == {split: read(None, split) for split in ("train", "validation")}
    assert evaluated_split(read, config, "validation") == parts["validation"]
    assert evaluated_split(read, config, "val") == read(config, "val")
    assert evaluated_split(read, config, "validation", config.data) == parts["validation"]
    assert evaluated_split(read, config, "validation", "other") == read(config, "validation")
    assert evaluated_split(read, Config(), "validation") == read(config, "validation")
    in_order = {"train": read(config, "train")[:7], "validation": read(config, "train")[7:]}
    assert training_splits(read, config, ordered=True) == in_order
    assert evaluated_split(read, config, "validation", ordered=True) == in_order["validation"]
    with pytest.raises(DataError, match="too few to hold out"):
        training_splits(read, Config(validation_split=0.01))


def test_a_share_of_each_kind_is_held_out():
    def read(config, split):
        return [f"{kind}{number}" for kind, count in {"a": 20, "b": 2, "c": 1}.items() for number in range(count)]

    parts = training_splits(read, Config(validation_split=0.2), kind=lambda example: example[0])
    assert sorted(parts["train"] + parts["validation"]) == sorted(read(None, "train"))
    assert len(training_splits(read, Config(validation_split=0.01), kind=lambda example: example[0])["validation"]) == 2
    with pytest.raises(DataError, match="23 examples are too few to hold out"):
        training_splits(read, Config(validation_split=0.2), kind=lambda example: example)
    kinds = {split: "".join(sorted(example[0] for example in part)) for split, part in parts.items()}
    assert kinds == {"train": 16 * "a" + "bc", "validation": 4 * "a" + "b"}


def test_data_without_a_split_for_validation():
    def read(config, split):
        resolve_split(split, {"train", "test"}, "data")
        return ["example"]

    with pytest.raises(DataError, match="available splits: test, train; --validation-split"):
        training_splits(read, Config())
