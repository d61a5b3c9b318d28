"""Constraints of a search: functions that exclude tokens.

A constraint is a function `(logits, time, tokens) -> logits`. A search calls it before it chooses the token at position
`time`: `logits` `(batch, hypotheses, vocabulary)` are those of this token, and `tokens`
`(batch, hypotheses, max_length)` are the hypotheses, which are known before `time`. The constraint sets the logits of
excluded tokens to `IMPOSSIBLE` and returns the others unchanged. A search applies several constraints one after the
other. It computes scores from the log-probabilities before the constraints, so that a score is the log-probability that
the model gives the tokens.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from keras import ops

from .types import Tensor

Constraint: TypeAlias = Callable[[Tensor, Any, Tensor], Tensor]

# The logit or log-probability of what is excluded; finite, since infinity times zero is NaN.
IMPOSSIBLE = -1e9


def min_length(lengths: Tensor, end: int) -> Constraint:
    """Excludes the end token before a hypothesis has `lengths` tokens, including the end token.

    Args:
        lengths: Integer tensor `(batch,)`.
        end: Id of the token that ends a hypothesis.

    Example:

    >>> from keras_recurrent.layers.constraints import IMPOSSIBLE, min_length
    >>> constraint = min_length(ops.array([3, 1]), end=0)
    >>> logits = constraint(ops.zeros((2, 1, 2)), time=1, tokens=ops.zeros((2, 1, 5), "int32"))
    >>> ops.convert_to_numpy(logits[:, 0, 0] == IMPOSSIBLE).tolist()
    [True, False]
    """

    def constraint(logits, time, tokens):
        is_end = ops.arange(logits.shape[-1]) == end
        too_short = ops.reshape(time + 1 < lengths, (-1, 1, 1))
        return ops.where(ops.logical_and(too_short, is_end), IMPOSSIBLE, logits)

    return constraint


def max_length(lengths: Tensor, end: int) -> Constraint:
    """Excludes all tokens but the end token once a hypothesis would have `lengths` tokens, including the end token.

    Args:
        lengths: Integer tensor `(batch,)`.
        end: Id of the token that ends a hypothesis.

    Example:

    >>> from keras_recurrent.layers.constraints import IMPOSSIBLE, max_length
    >>> constraint = max_length(ops.array([3, 2]), end=0)
    >>> logits = constraint(ops.zeros((2, 1, 2)), time=1, tokens=ops.zeros((2, 1, 5), "int32"))
    >>> ops.convert_to_numpy(logits[:, 0, 1] == IMPOSSIBLE).tolist()
    [False, True]
    """

    def constraint(logits, time, tokens):
        is_end = ops.arange(logits.shape[-1]) == end
        too_long = ops.reshape(time + 1 >= lengths, (-1, 1, 1))
        return ops.where(ops.logical_and(too_long, ops.logical_not(is_end)), IMPOSSIBLE, logits)

    return constraint


def prefix(forced: Tensor, constraint: Constraint = lambda logits, time, tokens: logits) -> Constraint:
    """Makes hypotheses begin with given tokens.

    Args:
        forced: Integer tensor `(batch, positions)`, the tokens of each prefix, followed by 0.
        constraint: Constraint of the tokens after the prefix.

    Example:

    >>> from keras_recurrent.layers.constraints import prefix
    >>> constraint = prefix(ops.array([[4, 2, 0]]))
    >>> logits = constraint(ops.zeros((1, 1, 5)), time=1, tokens=ops.zeros((1, 1, 9), "int32"))
    >>> int(ops.argmax(logits[0, 0]))
    2
    """
    # The last position is free, and used for all later ones.
    forced = ops.pad(forced, ((0, 0), (0, 1)))

    def prefixed(logits, time, tokens):
        position = ops.minimum(time, ops.shape(forced)[1] - 1)
        token = ops.reshape(ops.take(forced, position, axis=1), (-1, 1, 1))
        forced_logits = ops.where(ops.arange(logits.shape[-1]) == token, logits, IMPOSSIBLE)
        return ops.where(token == 0, constraint(logits, time, tokens), forced_logits)

    return prefixed


def all_of(constraints: Sequence[Constraint], end: int) -> Constraint:
    """Combines constraints; a hypothesis ends if they exclude all tokens together.

    Args:
        constraints: Sequence of constraints.
        end: Id of the token that ends a hypothesis.

    Example:

    >>> from keras_recurrent.layers.constraints import IMPOSSIBLE, all_of, prefix
    >>> constraint = all_of([prefix(ops.array([[2]])), prefix(ops.array([[3]]))], end=0)
    >>> logits = constraint(ops.zeros((1, 1, 5)), time=0, tokens=ops.zeros((1, 1, 9), "int32"))
    >>> ops.convert_to_numpy(logits[0, 0] > IMPOSSIBLE).nonzero()[0].tolist()
    [0]
    """

    def combined(logits, time, tokens):
        allowed = logits
        for constraint in constraints:
            allowed = constraint(allowed, time, tokens)
        is_stuck = ops.max(allowed, axis=-1, keepdims=True) < IMPOSSIBLE / 2
        is_end = ops.arange(logits.shape[-1]) == end
        return ops.where(ops.logical_and(is_stuck, is_end), logits, allowed)

    return combined


def no_repeated_ngrams(size: int) -> Constraint:
    """Excludes tokens that would repeat a sequence of `size` tokens within a hypothesis.

    Args:
        size: Positive integer.

    Example: after 4, 5, 4 the token 5 is excluded, since 4, 5 has occurred.

    >>> from keras_recurrent.layers.constraints import IMPOSSIBLE, no_repeated_ngrams
    >>> constraint = no_repeated_ngrams(2)
    >>> logits = constraint(ops.zeros((1, 1, 6)), time=3, tokens=ops.array([[[4, 5, 4, 0, 0]]]))
    >>> ops.convert_to_numpy(logits[0, 0] == IMPOSSIBLE).nonzero()[0].tolist()
    [5]

    Reference:
        Paulus, Xiong and Socher 2018, A deep reinforced model for abstractive summarization, section 2.5.
    """

    def constraint(logits, time, tokens):
        vocabulary = logits.shape[-1]
        positions = ops.arange(tokens.shape[-1])
        # The token at position i would repeat a sequence if the size - 1 tokens before it equal the last ones.
        repeats = ops.logical_and(positions >= size - 1, positions < time)
        for back in range(1, size):
            last = ops.take(tokens, ops.maximum(time - back, 0), axis=2)
            before = ops.take(tokens, ops.maximum(positions - back, 0), axis=2)
            repeats = ops.logical_and(repeats, before == ops.expand_dims(last, -1))
        # Excludes the tokens at these positions, and for the other positions a token after the vocabulary.
        banned = ops.reshape(ops.where(repeats, tokens, vocabulary), (-1, tokens.shape[-1]))  # (rows, positions)
        rows = ops.broadcast_to(ops.expand_dims(ops.arange(ops.shape(banned)[0]), 1), ops.shape(banned))
        indices = ops.reshape(ops.stack([rows, banned], axis=-1), (-1, 2))
        padded = ops.pad(ops.reshape(logits, (-1, vocabulary)), ((0, 0), (0, 1)))
        updates = ops.full((ops.shape(indices)[0],), IMPOSSIBLE, dtype=padded.dtype)
        padded = ops.scatter_update(padded, indices, updates)
        return ops.reshape(padded[:, :vocabulary], ops.shape(logits))

    return constraint
