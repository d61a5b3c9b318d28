"""Normalization of texts inside a TensorFlow graph: Unicode's form NFC and white space."""

import functools
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ....layers.types import Tensor

# Characters after the first of a run of marks that are not composed. Unicode's stream-safe format allows 30 marks.
_MAX_MARKS = 32

_L, _V, _T, _SYLLABLE = 0x1100, 0x1161, 0x11A7, 0xAC00  # Hangul: T is one before the first final consonant
_L_COUNT, _V_COUNT, _T_COUNT = 19, 21, 28
_SYLLABLES = range(_SYLLABLE, _SYLLABLE + _L_COUNT * _V_COUNT * _T_COUNT)

_LAST_CODE = 0x30000  # no canonical decomposition or combining mark is beyond
_SHIFT = 2**21  # larger than any code point


class _Tables(NamedTuple):
    """Unicode's data for NFC, as sorted keys with their values.

    Args:
        decomposed: Code points `(entries,)` with a canonical decomposition, except for Hangul syllables.
        decompositions: Their full decompositions `(entries, parts)`, padded with -1.
        marks: Code points `(entries,)` with a combining class other than 0.
        classes: Their combining classes `(entries,)`.
        pairs: Pairs `(entries,)` that are composed, as `first * _SHIFT + second`.
        composites: What they are composed to `(entries,)`.
        joining_starters: Code points `(entries,)` of class 0 that are the second of a pair.
        unsettled: Regular expression that matches each text that may not be in NFC.
    """

    decomposed: np.ndarray
    decompositions: np.ndarray
    marks: np.ndarray
    classes: np.ndarray
    pairs: np.ndarray
    composites: np.ndarray
    joining_starters: np.ndarray
    unsettled: str


def _character_class(codes: Iterable[int]) -> str:
    """Returns a regular expression of RE2 that matches each of the code points."""
    ranges: list[list[int]] = []
    for code in sorted(codes):
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "[" + "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in ranges) + "]"


# The white space of `str.isspace`, NUL, and the byte-order mark, which is between the texts of concatenated files.
_SPACES = _character_class([0, 0xFEFF, *(code for code in range(0x3001) if chr(code).isspace())])


@functools.cache
def _tables() -> _Tables:
    classes = {code: unicodedata.combining(chr(code)) for code in range(_LAST_CODE) if unicodedata.combining(chr(code))}
    decompositions, pairs = {}, {}
    for code in range(_LAST_CODE):
        decomposition = unicodedata.decomposition(chr(code))
        if not decomposition or decomposition.startswith("<"):
            continue
        decompositions[code] = [ord(part) for part in unicodedata.normalize("NFD", chr(code))]
        if unicodedata.normalize("NFC", chr(code)) == chr(code):
            first, second = (int(part, 16) for part in decomposition.split())
            pairs[first * _SHIFT + second] = code
    vowels, finals = range(_V, _V + _V_COUNT), range(_T + 1, _T + _T_COUNT)
    seconds = {pair % _SHIFT for pair in pairs} | {*vowels, *finals}
    changed = {code for code in decompositions if unicodedata.normalize("NFC", chr(code)) != chr(code)}
    parts = max(map(len, decompositions.values()))
    mark = _character_class(classes)
    return _Tables(
        np.array(sorted(decompositions), "int32"),
        np.array([row + [-1] * (parts - len(row)) for _, row in sorted(decompositions.items())], "int32"),
        np.array(sorted(classes), "int32"),
        np.array([value for _, value in sorted(classes.items())], "int32"),
        np.array(sorted(pairs), "int64"),
        np.array([value for _, value in sorted(pairs.items())], "int32"),
        np.array(sorted(second for second in seconds if second not in classes), "int32"),
        rf"(?s).*(?:{_character_class(seconds | changed)}|{mark}{mark}).*",
    )


def normalize(texts: Tensor) -> Tensor:
    r"""Converts texts to NFC and each run of white space to a single space, without any at the ends.

    White space is what `str.isspace` says, line breaks included, and the characters NUL and U+FEFF.

    Args:
        texts: String tensor `(batch,)`, UTF-8.

    Returns:
        String tensor `(batch,)`.

    Example:

    >>> from keras_recurrent.apps.shared.saved_model.normalization import normalize
    >>> normalize(["Cafe\u0301\u202f?"]).numpy()[0].decode()
    'Café ?'
    """
    return tf.strings.strip(tf.strings.regex_replace(nfc(texts), f"{_SPACES}+", " "))


def nfc(texts: Tensor) -> Tensor:
    """Converts texts to Unicode's normalization form C, as `unicodedata.normalize("NFC", text)` does.

    Of a run of more than 32 combining marks, the rest is not composed.

    Args:
        texts: String tensor `(batch,)`, UTF-8.

    Returns:
        String tensor `(batch,)`.

    Reference:
        Unicode Standard Annex 15, Unicode normalization forms.
    """
    texts = tf.convert_to_tensor(texts, tf.string)
    is_unsettled = tf.strings.regex_full_match(texts, _tables().unsettled)

    def replaced() -> Tensor:
        return tf.tensor_scatter_nd_update(texts, tf.where(is_unsettled), _nfc(tf.boolean_mask(texts, is_unsettled)))

    return tf.cond(tf.reduce_any(is_unsettled), replaced, lambda: texts)


# Compiled to a graph because the loop is slow in eager mode: 26 ms for a decomposed text, and 2.5 ms in a graph.
@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def _nfc(texts: Tensor) -> Tensor:
    characters = tf.strings.unicode_decode(texts, "UTF-8")
    codes, rows = _decompose(characters.values, characters.value_rowids())
    codes, classes = _order(codes, rows)
    codes = _compose(codes, classes, rows)
    is_kept = codes >= 0
    characters = tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(codes, is_kept), tf.boolean_mask(rows, is_kept), tf.size(texts, tf.int64)
    )
    return tf.strings.unicode_encode(characters, "UTF-8")


def _look_up(keys: np.ndarray, values: np.ndarray, queries: Tensor, default: Tensor) -> Tensor:
    """Returns the value of each query that is one of the sorted keys, and the default of any other."""
    indices = tf.minimum(tf.searchsorted(keys, queries), len(keys) - 1)
    is_key = tf.gather(keys, indices) == queries
    return tf.where(tf.reshape(is_key, [-1] + [1] * (values.ndim - 1)), tf.gather(values, indices), default)


def _contains(keys: np.ndarray, queries: Tensor) -> Tensor:
    return _look_up(keys, np.ones(len(keys), bool), queries, False)


def _is_first(rows: Tensor) -> Tensor:
    """Returns whether a character is the first of its text."""
    return tf.concat([tf.ones_like(rows[:1], tf.bool), rows[1:] != rows[:-1]], axis=0)


def _decompose(codes: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Replaces the code points `(characters,)` by their decompositions, except for Hangul syllables."""
    tables = _tables()
    parts = tables.decompositions.shape[1]
    itself = tf.pad(codes[:, None], [[0, 0], [0, parts - 1]], constant_values=-1)
    codes = _look_up(tables.decomposed, tables.decompositions, codes, itself)  # (characters, parts)
    is_part = codes >= 0
    return tf.boolean_mask(codes, is_part), tf.repeat(rows, tf.reduce_sum(tf.cast(is_part, tf.int32), axis=1))


def _order(codes: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Sorts each run of marks by combining class, and returns the code points and their classes."""
    tables = _tables()
    classes = _look_up(tables.marks, tables.classes, codes, 0)
    runs = tf.cumsum(tf.cast((classes == 0) | _is_first(rows), tf.int64))
    count = tf.size(codes, tf.int64)
    # The last term keeps the order of marks of the same class.
    keys = (runs * 256 + tf.cast(classes, tf.int64)) * count + tf.range(count)
    order = tf.sort(keys) % count
    return tf.gather(codes, order), tf.gather(classes, order)


def _composite(first: Tensor, second: Tensor) -> Tensor:
    """Returns what two characters are composed to, or -1, for int32 code points `(pairs,)`."""
    tables = _tables()
    composite = _look_up(
        tables.pairs, tables.composites, tf.cast(first, tf.int64) * _SHIFT + tf.cast(second, tf.int64), -1
    )
    l_index, v_index, t_index = first - _L, second - _V, second - _T
    is_lv = (l_index >= 0) & (l_index < _L_COUNT) & (v_index >= 0) & (v_index < _V_COUNT)
    composite = tf.where(is_lv, _SYLLABLE + (l_index * _V_COUNT + v_index) * _T_COUNT, composite)
    is_open = (first >= _SYLLABLES.start) & (first < _SYLLABLES.stop) & ((first - _SYLLABLE) % _T_COUNT == 0)
    return tf.where(is_open & (t_index > 0) & (t_index < _T_COUNT), first + t_index, composite)


def _compose(codes: Tensor, classes: Tensor, rows: Tensor) -> Tensor:
    """Composes ordered code points `(characters,)`, and sets those that became part of another to -1.

    A run is a starter with what follows up to the next one that cannot join it. The loop is over the characters of a
    run, for all runs at once.
    """
    begins = ((classes == 0) & ~_contains(_tables().joining_starters, codes)) | _is_first(rows)
    starts = tf.where(begins)[:, 0]
    lengths = tf.concat([starts[1:], [tf.size(codes, tf.int64)]], axis=0) - starts
    steps = tf.minimum(tf.reduce_max(lengths), _MAX_MARKS + 1)

    def step(offset: Tensor, codes: Tensor, bases: Tensor, previous: Tensor) -> Sequence[Tensor]:
        # `bases` (runs,): indices of the last starters; `previous` (runs,): the class of the last mark kept, or -1.
        is_active = offset < lengths
        runs, indices = tf.where(is_active), tf.boolean_mask(starts, is_active) + offset
        base, last = tf.boolean_mask(bases, is_active), tf.boolean_mask(previous, is_active)
        own_class = tf.gather(classes, indices)
        composite = _composite(tf.gather(codes, base), tf.gather(codes, indices))
        is_composed = (composite >= 0) & (last < own_class) & (tf.gather(classes, base) == 0)
        codes = tf.tensor_scatter_nd_update(
            codes, tf.boolean_mask(base, is_composed)[:, None], tf.boolean_mask(composite, is_composed)
        )
        removed = tf.boolean_mask(indices, is_composed)[:, None]
        codes = tf.tensor_scatter_nd_update(codes, removed, tf.fill(tf.shape(removed)[:1], -1))
        is_base = ~is_composed & (own_class == 0)
        base = tf.where(is_base, indices, base)
        last = tf.where(is_composed, last, tf.where(is_base, -1, own_class))
        return (
            offset + 1,
            codes,
            tf.tensor_scatter_nd_update(bases, runs, base),
            tf.tensor_scatter_nd_update(previous, runs, last),
        )

    state = tf.constant(1, tf.int64), codes, starts, -tf.ones_like(starts, tf.int32)
    shapes = tf.TensorShape([]), *[tf.TensorShape([None])] * 3
    return tf.while_loop(lambda offset, *_: offset < steps, step, state, shape_invariants=shapes)[1]
