"""What a search may write: functions that make tokens impossible.

A constraint is a function `(logits, time, tokens) -> logits` of what a search knows before it writes position `time`:
`logits` `(batch, hypotheses, vocabulary)` of the next token, and `tokens` `(batch, hypotheses, max_length)`, of which
those before `time` are written. It lowers the logits of what may not come next to `IMPOSSIBLE` and leaves the others
alone. A search applies several one after the other, and counts with the log-probabilities from before, so that a score
stays the model's log-probability of its tokens.
"""

from keras import ops

# A logit or log-probability that no hypothesis has; finite, because infinities times zero are NaN.
IMPOSSIBLE = -1e9


def min_length(lengths, end):
    """No end before a hypothesis has this many tokens, the end among them.

    Args:
        lengths: Integer tensor `(batch,)`.
        end: Id of the token that ends a hypothesis.

    Example:

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


def max_length(lengths, end):
    """The end at the latest as token number `lengths`.

    Args:
        lengths: Integer tensor `(batch,)`.
        end: Id of the token that ends a hypothesis.

    Example:

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


def prefix(forced, constraint=lambda logits, time, tokens: logits):
    """The hypotheses begin with these tokens, and obey a constraint after them.

    Args:
        forced: Integer tensor `(batch, positions)`; where it is 0, and after it, the search is free.
        constraint: What the tokens after the prefix must obey.

    Example:

    >>> constraint = prefix(ops.array([[4, 2, 0]]))
    >>> logits = constraint(ops.zeros((1, 1, 5)), time=1, tokens=ops.zeros((1, 1, 9), "int32"))
    >>> int(ops.argmax(logits[0, 0]))
    2
    """
    # One free position more, which stands for all after it.
    forced = ops.pad(forced, ((0, 0), (0, 1)))

    def prefixed(logits, time, tokens):
        position = ops.minimum(time, ops.shape(forced)[1] - 1)
        now = ops.reshape(ops.take(forced, position, axis=1), (-1, 1, 1))
        alone = ops.where(ops.arange(logits.shape[-1]) == now, logits, IMPOSSIBLE)
        return ops.where(now == 0, constraint(logits, time, tokens), alone)

    return prefixed


def all_of(constraints, end):
    """Several constraints together; a hypothesis for which they leave no token ends.

    Args:
        constraints: List of constraints.
        end: Id of the token that ends a hypothesis.

    Example:

    >>> constraint = all_of([prefix(ops.array([[2]])), prefix(ops.array([[3]]))], end=0)
    >>> logits = constraint(ops.zeros((1, 1, 5)), time=0, tokens=ops.zeros((1, 1, 9), "int32"))
    >>> ops.convert_to_numpy(logits[0, 0] > IMPOSSIBLE).nonzero()[0].tolist()
    [0]
    """

    def together(logits, time, tokens):
        allowed = logits
        for constraint in constraints:
            allowed = constraint(allowed, time, tokens)
        is_stuck = ops.max(allowed, axis=-1, keepdims=True) < IMPOSSIBLE / 2
        is_end = ops.arange(logits.shape[-1]) == end
        return ops.where(ops.logical_and(is_stuck, is_end), logits, allowed)

    return together


def no_repeated_ngrams(size):
    """No sequence of `size` tokens comes twice in a hypothesis.

    Args:
        size: Positive integer.

    Example: after 4, 5, 4 no 5 may come, for 4, 5 was there.

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
        # Position i ends a sequence that began as the one now does, if its size - 1 tokens before are the last ones.
        repeats = ops.logical_and(positions >= size - 1, positions < time)
        for back in range(1, size):
            last = ops.take(tokens, ops.maximum(time - back, 0), axis=2)
            before = ops.take(tokens, ops.maximum(positions - back, 0), axis=2)
            repeats = ops.logical_and(repeats, before == ops.expand_dims(last, -1))
        # The tokens at those positions, and a token beyond the vocabulary for all others, become impossible.
        banned = ops.reshape(ops.where(repeats, tokens, vocabulary), (-1, tokens.shape[-1]))  # (rows, positions)
        rows = ops.broadcast_to(ops.expand_dims(ops.arange(ops.shape(banned)[0]), 1), ops.shape(banned))
        indices = ops.reshape(ops.stack([rows, banned], axis=-1), (-1, 2))
        padded = ops.pad(ops.reshape(logits, (-1, vocabulary)), ((0, 0), (0, 1)))
        updates = ops.full((ops.shape(indices)[0],), IMPOSSIBLE, dtype=padded.dtype)
        padded = ops.scatter_update(padded, indices, updates)
        return ops.reshape(padded[:, :vocabulary], ops.shape(logits))

    return constraint
