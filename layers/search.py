"""Search for the best sequence of tokens: pure functions of a step and a state, which know no model.

`step(token, state) -> (logits, state)` reads one token a row, `(rows,)`, and gives the logits of the next,
`(rows, vocabulary)`. The state is any nest of tensors with the rows first. The loops use dense carries only, so that
they run eagerly, in a graph, under XLA and in an exported model alike.
"""

from typing import Any, NamedTuple

from keras import ops, tree

# A log-probability that no hypothesis has; finite, because infinities times zero are NaN.
IMPOSSIBLE = -1e9


class Hypotheses(NamedTuple):
    """What a search found, the best first.

    Attributes:
        tokens: Integer tensor `(batch, hypotheses, max_length)`: the tokens up to and with the end token, then 0.
        lengths: Integer tensor `(batch, hypotheses)`: how many tokens that is. A hypothesis without an end token was
            cut at `max_length`.
        scores: Float tensor `(batch, hypotheses)`: log-probability divided by the length penalty.
    """

    tokens: Any
    lengths: Any
    scores: Any


def length_penalty(lengths, alpha):
    """What a log-probability is divided by, `((5 + length) / 6) ** alpha` (Wu et al. 2016, equation 14).

    Example:

    >>> [round(float(p), 3) for p in length_penalty(ops.array([1, 7]), alpha=1.0)]
    [1.0, 2.0]
    """
    return ((5.0 + ops.cast(lengths, "float32")) / 6.0) ** alpha


def greedy_search(step, state, *, start, end, max_length, alpha=0.0):
    """The likeliest token at each step: `beam_search` with a beam of one."""
    return beam_search(step, state, start=start, end=end, max_length=max_length, beam_size=1, alpha=alpha)


def beam_search(step, state, *, start, end, max_length, beam_size, alpha=0.0):
    """Keeps the `beam_size` best hypotheses of each row of a batch, step by step.

    A hypothesis stops at its end token and keeps its place in the beam while its score is among the best; the loop
    stops when all hypotheses of the batch have stopped, or at `max_length`.

    Args:
        step: Function `(token, state) -> (logits, state)` on `batch * beam_size` rows, row by row of the batch; see
            this file's head.
        state: The state before the first token, with `batch` rows. It is repeated for the beam here.
        start: Id of the token that the first step reads.
        end: Id of the token that ends a hypothesis.
        max_length: Positive integer, the most tokens of a hypothesis, the end token among them.
        beam_size: Positive integer, at most the vocabulary's size.
        alpha: Float, the exponent of `length_penalty`: 0 prefers short hypotheses, 1 about divides by the length.

    Returns:
        `Hypotheses` with `beam_size` a row. Where fewer sequences exist, the rest have a score below -1e7.

    Example: of two tokens, 0 (the end) and 1, the second is always a little likelier.

    >>> step = lambda token, state: (ops.tile(ops.array([[0.0, 0.1]]), (2, 1)), state)
    >>> best = beam_search(step, ops.zeros((1, 1)), start=0, end=0, max_length=3, beam_size=2)
    >>> best.tokens.shape, best.scores.shape
    ((1, 2, 3), (1, 2))

    Reference:
        Graves 2012, Sequence transduction with recurrent neural networks; Wu et al. 2016 for the penalty.
    """
    batch = ops.shape(tree.flatten(state)[0])[0]
    state = tree.map_structure(lambda x: ops.repeat(x, beam_size, axis=0), state)
    first_row = ops.expand_dims(ops.arange(batch) * beam_size, 1)  # (batch, 1): where a batch row's beam begins

    def keep_going(time, last, tokens, lengths, log_probs, finished, state):
        return ops.logical_not(ops.all(finished))

    def body(time, last, tokens, lengths, log_probs, finished, state):
        logits, state = step(ops.reshape(last, (-1,)), state)
        logits = ops.cast(logits, "float32")  # (batch * beam, vocabulary)
        # No more than `beam_size` children of one hypothesis can stay, so the others need no normalising.
        best, children = ops.top_k(logits, beam_size)  # (batch * beam, beam)
        best = best - ops.logsumexp(logits, axis=-1, keepdims=True)
        best = ops.reshape(best, (-1, beam_size, beam_size))  # (batch, parent, child)
        children = ops.reshape(ops.cast(children, "int32"), (-1, beam_size, beam_size))

        # A finished hypothesis has one child: itself.
        itself = ops.where(ops.arange(beam_size) == 0, 0.0, IMPOSSIBLE)
        best = ops.where(ops.expand_dims(finished, -1), itself, best)
        children = ops.where(ops.expand_dims(finished, -1), 0, children)
        child_log_probs = ops.expand_dims(log_probs, -1) + best
        child_lengths = ops.where(finished, lengths, lengths + 1)  # (batch, parent)
        scores = child_log_probs / ops.expand_dims(length_penalty(child_lengths, alpha), -1)

        _, chosen = ops.top_k(ops.reshape(scores, (-1, beam_size * beam_size)), beam_size)  # (batch, beam)
        parents = ops.cast(chosen, "int32") // beam_size

        def of_chosen(x):
            return ops.take_along_axis(ops.reshape(x, (-1, beam_size * beam_size)), chosen, axis=1)

        def of_parents(x):
            return ops.take_along_axis(x, parents, axis=1)

        last = of_chosen(children)
        log_probs = of_chosen(child_log_probs)
        lengths = of_parents(child_lengths)
        tokens = ops.take_along_axis(tokens, ops.expand_dims(parents, -1), axis=1)
        tokens = ops.where(ops.arange(max_length) == time, ops.expand_dims(last, -1), tokens)
        finished = ops.logical_or(of_parents(finished), last == end)
        rows = ops.reshape(first_row + parents, (-1,))  # (batch * beam,)
        state = tree.map_structure(lambda x: ops.take(x, rows, axis=0), state)
        return time + 1, last, tokens, lengths, log_probs, finished, state

    shape = (batch, beam_size)
    # At first all hypotheses of a row are the same, so only one of them may have children.
    log_probs = ops.broadcast_to(ops.where(ops.arange(beam_size) == 0, 0.0, IMPOSSIBLE), shape)
    _, _, tokens, lengths, log_probs, _, _ = ops.while_loop(
        keep_going,
        body,
        (
            ops.convert_to_tensor(0),
            ops.full(shape, start, dtype="int32"),
            ops.zeros((*shape, max_length), dtype="int32"),
            ops.zeros(shape, dtype="int32"),
            log_probs,
            ops.zeros(shape, dtype="bool"),
            state,
        ),
        maximum_iterations=max_length,
    )
    return Hypotheses(tokens, lengths, log_probs / length_penalty(lengths, alpha))
