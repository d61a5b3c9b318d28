import numpy as np
import pytest
import tensorflow as tf
from keras_recurrent.apps.shared.saved_model.rows import answer_usable, first_error


def test_the_first_error_of_each_row():
    checks = ([True, False, False], "first"), ([True, True, False], tf.constant(["a", "b", "c"]))
    assert first_error(*checks).numpy().tolist() == [b"first", b"b", b""]


@pytest.mark.parametrize("is_usable", [[True] * 3, [False] * 3, [False, True, False], [True, False, True]], ids=str)
def test_usable_rows_are_answered_alone(is_usable):
    def answer(texts, words):
        batch = tf.fill(tf.shape(texts), tf.strings.reduce_join(texts, separator="|"))
        return {"batch": batch, "words": words.to_tensor(), "length": tf.strings.length(texts)}

    texts = tf.constant(["a b c", "dd", "e ff"])
    error = tf.where(is_usable, "", "wrong")
    in_graph = tf.function(lambda *inputs: answer_usable(answer, error, is_usable, *inputs))
    outputs = {name: value.numpy() for name, value in in_graph(texts, tf.strings.split(texts)).items()}
    np.testing.assert_array_equal(outputs.pop("error"), error)
    usable = tf.boolean_mask(texts, is_usable)
    expected = answer(usable, tf.strings.split(usable))
    assert outputs.keys() == expected.keys()
    for name, value in outputs.items():
        np.testing.assert_array_equal(value[is_usable], expected[name])
        assert not value[np.logical_not(is_usable)].any()
