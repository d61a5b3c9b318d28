import time
from types import SimpleNamespace

import pytest
from keras_recurrent.apps.shared.images import usable
from keras_recurrent.apps.shared.images.pixels import ImageError
from keras_recurrent.datasets import DataError


def test_strict_does_not_look_at_the_rest(monkeypatch):
    looked = []

    def slow(image):
        looked.append(image)
        time.sleep(0.005)
        raise ImageError("broken")

    monkeypatch.setattr(usable, "check", slow)
    examples = [SimpleNamespace(image=SimpleNamespace(name=f"{number}")) for number in range(1000)]
    with pytest.raises(DataError, match="train: 0: broken"):
        usable.usable_examples(examples, "train", True, lambda example: None)
    assert len(looked) < 100
