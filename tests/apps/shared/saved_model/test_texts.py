import random

import numpy as np
import pytest
import tensorflow as tf
from keras_recurrent.apps.shared.saved_model.texts import encode_checked, is_utf_8
from keras_recurrent.apps.shared.saved_model.tokenizers import in_graph
from keras_recurrent.apps.shared.text.tokenizers import CharacterTokenizer, SubwordTokenizer, WordTokenizer


def is_decodable(content):
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_utf_8_is_what_python_decodes():
    generator = random.Random(0)
    bounds = "00 41 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 ec ed ef f0 f1 f3 f4 f5 ff"
    characters = "é€😀\ufeff\ufffe\ufffd\U0010ffff\x85"
    parts = [bytes([byte]) for byte in bytes.fromhex(bounds)] + [character.encode() for character in characters]
    contents = [b""] + [b"".join(generator.choices(parts, k=generator.randint(1, 5))) for _ in range(20_000)]
    expected = [is_decodable(content) for content in contents]
    assert 100 < sum(expected) < len(contents) - 100
    np.testing.assert_array_equal(is_utf_8(tf.constant(contents)), expected)


@pytest.mark.parametrize("tokenizer_type", [WordTokenizer, CharacterTokenizer, SubwordTokenizer])
def test_errors_of_texts(tokenizer_type):
    texts = ["a dog sleeps .", "", " \t\u00a0", b"a \xe2\x82", "a b c d e f g h i j k l m n o p q r s t u v w"]
    tokenizer = in_graph(tokenizer_type.fit(["a dog sleeps . a cat"], 60))
    max_length = int(tokenizer.encode(texts[:1]).row_lengths()[0])
    ids, error, is_usable = encode_checked(tokenizer, tf.constant(texts), "text", max_length, limit=max_length + 2)
    empty = b"the text is empty"
    ignored = f"the text has more than {max_length + 2} tokens; the rest is ignored".encode()
    assert error.numpy().tolist() == [b"", empty, empty, b"the text is not UTF-8", ignored]
    assert is_usable.numpy().tolist() == [True, False, False, False, True]
    expected = [*tokenizer.encode(texts[:1]).to_list(), *tokenizer.encode(texts[4:], max_length + 2).to_list()]
    assert tf.ragged.boolean_mask(ids, is_usable).to_list() == expected

    ids, error, is_usable = encode_checked(tokenizer, tf.constant(texts[4:]), "text", max_length, limit=1000)
    assert error.numpy().tolist() == [f"the text has more than {max_length} tokens, the maximum in training".encode()]
    assert is_usable.numpy().all()
    assert ids.to_list() == tokenizer.encode(texts[4:]).to_list()
