"""Search for good sequences of tokens: pure functions of a step and a state, which know no model.

`step(token, state) -> (logits, state)` reads one token a row, `(rows,)`, and gives the logits of the next,
`(rows, vocabulary)`. The state is any nest of tensors with the rows first. The loops use dense carries only, so that
they run eagerly, in a graph, under XLA and in an exported model alike.
"""

from typing import Any, NamedTuple

from keras import ops, tree

from .constraints import IMPOSSIBLE


class Hypotheses(NamedTuple):
    """What a search found; the best first, if it searched for the best.

    Attributes:
        tokens: Integer tensor `(batch, hypotheses, max_length)`: the tokens up to and with the end token, then 0.
        lengths: Integer tensor `(batch, hypotheses)`: how many tokens that is. A hypothesis without an end token was
            cut at `max_length`.
        scores: Float tensor `(batch, hypotheses)`: log-probability divided by the length penalty, and any bonus.
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


def greedy_search(step, state, **options):
    """The likeliest token at each step: `beam_search` with a beam of one, and its arguments."""
    return beam_search(step, state, beam_size=1, **options)


def beam_search(step, state, *, start, end, max_length, beam_size, alpha=0.0, bonus=None, constraints=()):
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
        bonus: Function of a state that returns what to add to the scores of its hypotheses, `(rows,)`, such as a
            coverage penalty; None adds nothing.
        constraints: Functions that make tokens impossible; see `constraints.py`.

    Returns:
        `Hypotheses` with `beam_size` a row. Where fewer sequences exist, the rest have a score below -1e7.

    Example: of two tokens, 0 (the end) and 1, the second is always a little likelier.

    >>> step = lambda token, state: (ops.tile(ops.array([[0.0, 0.1]]), (2, 1)), state)
    >>> best = beam_search(step, ops.zeros((1, 1)), start=0, end=0, max_length=3, beam_size=2)
    >>> best.tokens.shape, best.scores.shape
    ((1, 2, 3), (1, 2))

    Reference:
        Graves 2012, Sequence transduction with recurrent neural networks; Wu et al. 2016 for the penalties.
    """

    def choose(time, logits, totals, beam):
        # No more than `beam_size` children of one hypothesis can stay, so the others need no normalising.
        best, children = _top_k(logits, beam_size)  # (batch, parent, child)
        best = best - ops.expand_dims(totals, -1)
        # A finished hypothesis has one child: itself.
        finished = ops.expand_dims(beam.finished, -1)
        best = ops.where(finished, ops.where(ops.arange(beam_size) == 0, 0.0, IMPOSSIBLE), best)
        children = ops.where(finished, 0, ops.cast(children, "int32"))
        log_probs = ops.expand_dims(beam.log_probs, -1) + best
        scores = log_probs / ops.expand_dims(length_penalty(beam.lengths, alpha), -1)
        scores = scores + ops.expand_dims(beam.bonuses, -1)

        _, chosen = ops.top_k(ops.reshape(scores, (-1, beam_size * beam_size)), beam_size)  # (batch, beam)
        chosen = ops.cast(chosen, "int32")

        def of_chosen(x):
            return ops.take_along_axis(ops.reshape(x, (-1, beam_size * beam_size)), chosen, axis=1)

        return chosen // beam_size, of_chosen(children), of_chosen(log_probs)

    # At first all hypotheses of a row are the same, so only one of them may have children.
    log_probs = ops.where(ops.arange(beam_size) == 0, 0.0, IMPOSSIBLE)
    return _search(step, state, choose, log_probs, start, end, max_length, alpha, bonus, constraints)


def sample(step, state, draws, *, start, end, temperature=1.0, top_k=None, top_p=1.0, alpha=0.0, constraints=()):
    """Draws each token at random, by the model's probabilities.

    With logits `z`, a token has the probability `softmax(z / temperature)`; of these the `top_k` likeliest are left,
    and of those the fewest likeliest that together have `top_p`. All randomness is in `draws`: the same draws give the
    same tokens.

    Args:
        step: Function `(token, state) -> (logits, state)` on `batch * samples` rows, row by row of the batch; see this
            file's head.
        state: The state before the first token, with `batch` rows. It is repeated for the samples here.
        draws: Float tensor `(batch, samples, max_length)`, uniform in [0, 1).
        start: Id of the token that the first step reads.
        end: Id of the token that ends a sample.
        temperature: Float or scalar tensor, 0 or more: below 1 prefers the likelier tokens, 0 takes the likeliest.
        top_k: Positive integer; None is the whole vocabulary.
        top_p: Float or scalar tensor in (0, 1].
        alpha: Float, the exponent of `length_penalty` in the scores.
        constraints: Functions that make tokens impossible; see `constraints.py`.

    Returns:
        `Hypotheses`, in the order of the draws.

    Example:

    >>> step = lambda token, state: (ops.log(ops.array([[0.2, 0.8]])), state)
    >>> ops.convert_to_numpy(sample(step, ops.zeros((1, 1)), ops.array([[[0.7, 0.9, 0.1]]]), start=1, end=0).tokens)
    array([[[1, 0, 0]]], dtype=int32)

    Reference:
        Fan, Lewis and Dauphin 2018, Hierarchical neural story generation, for `top_k`; Holtzman et al. 2020, The
        curious case of neural text degeneration, for `top_p`.
    """
    *_, samples, max_length = draws.shape
    draws = ops.cast(draws, "float32")
    if isinstance(temperature, (int, float)) and temperature < 0:
        raise ValueError(f"The temperature must be 0 or more. Received: {temperature}")
    temperature = ops.convert_to_tensor(temperature, dtype="float32")
    is_greedy = temperature < 1e-6  # so small that quotients are no numbers any more
    temperature = ops.where(is_greedy, 1.0, temperature)

    def choose(time, logits, totals, hypotheses):
        best, candidates = ops.top_k(logits, min(top_k or logits.shape[-1], logits.shape[-1]))
        # Keras's softmax would warn of a single candidate.
        probabilities = ops.exp(ops.log_softmax(best / temperature, axis=-1))
        probabilities = ops.where(best < IMPOSSIBLE / 2, 0.0, probabilities)  # at any temperature
        likelier = ops.cumsum(probabilities, axis=-1) - probabilities
        probabilities = ops.where(likelier < ops.where(is_greedy, 1e-30, top_p), probabilities, 0.0)
        cumulative = ops.cumsum(probabilities, axis=-1)
        draw = ops.take(draws, time, axis=2)
        # The first candidate whose interval holds the draw; rounding may lead to none but those that are left.
        passed = cumulative <= ops.expand_dims(draw, -1) * cumulative[..., -1:]
        index = ops.minimum(_count(passed), _count(probabilities > 0) - 1)
        index = ops.expand_dims(index, -1)
        token = ops.squeeze(ops.take_along_axis(ops.cast(candidates, "int32"), index, axis=-1), -1)
        log_prob = ops.squeeze(ops.take_along_axis(best, index, axis=-1), -1) - totals
        itself = ops.broadcast_to(ops.arange(samples), ops.shape(token))
        return (
            itself,
            ops.where(hypotheses.finished, 0, token),
            ops.where(hypotheses.finished, hypotheses.log_probs, hypotheses.log_probs + log_prob),
        )

    return _search(step, state, choose, ops.zeros(samples), start, end, max_length, alpha, None, constraints)


def _top_k(x, k, width=128):
    """`ops.top_k` of the last axis, quicker where that is long: first the blocks with the largest, then among these."""
    size = x.shape[-1]
    blocks = -(-size // width)
    if blocks <= 2 * k:
        return ops.top_k(x, k)
    x = ops.pad(x, [[0, 0]] * (len(x.shape) - 1) + [[0, blocks * width - size]], constant_values=2 * IMPOSSIBLE)
    x = ops.reshape(x, (*ops.shape(x)[:-1], blocks, width))
    _, chosen = ops.top_k(ops.max(x, axis=-1), k)
    chosen = ops.sort(ops.cast(chosen, "int32"), axis=-1)  # so that of equals the first is the first here, too
    x = ops.take_along_axis(x, ops.expand_dims(chosen, -1), axis=-2)  # (..., k, width)
    values, found = ops.top_k(ops.reshape(x, (*ops.shape(x)[:-2], k * width)), k)
    found = ops.cast(found, "int32")
    return values, ops.take_along_axis(chosen, found // width, axis=-1) * width + found % width


def _count(x):
    return ops.sum(ops.cast(x, "int32"), axis=-1)


class _Running(NamedTuple):
    """The hypotheses of a search so far: `(batch, hypotheses)`, and their tokens `(batch, hypotheses, max_length)`."""

    last: Any
    tokens: Any
    lengths: Any
    log_probs: Any
    bonuses: Any
    finished: Any


def _search(step, state, choose, log_probs, start, end, max_length, alpha, bonus, constraints):
    """The loop of every search.

    `choose(time, logits, totals, running)` decides on a step: it gets the constrained logits
    `(batch, hypotheses, vocabulary)`, the logarithm of the total `(batch, hypotheses)` that makes probabilities of
    them, and the hypotheses, whose lengths and bonuses are those after the step. It returns `(parents, last,
    log_probs)`, `(batch, hypotheses)`: whom each new hypothesis continues, by which token, and its log-probability.
    `log_probs` are those before the first step, `(hypotheses,)`.
    """
    (size,) = log_probs.shape
    batch = ops.shape(tree.flatten(state)[0])[0]
    state = tree.map_structure(lambda x: ops.repeat(x, size, axis=0), state)
    first_row = ops.expand_dims(ops.arange(batch) * size, 1)  # (batch, 1): where a batch row's hypotheses begin

    def keep_going(time, running, state):
        return ops.logical_not(ops.all(running.finished))

    def body(time, running, state):
        logits, state = step(ops.reshape(running.last, (-1,)), state)
        logits = ops.reshape(ops.cast(logits, "float32"), (-1, size, logits.shape[-1]))  # (batch, size, vocabulary)
        totals = ops.logsumexp(logits, axis=-1)
        for constraint in constraints:
            logits = constraint(logits, time, running.tokens)
        lengths = ops.where(running.finished, running.lengths, running.lengths + 1)
        bonuses = running.bonuses
        if bonus is not None:
            bonuses = ops.where(running.finished, bonuses, ops.reshape(bonus(state), (-1, size)))
        running = running._replace(lengths=lengths, bonuses=bonuses)

        parents, last, log_probs = choose(time, logits, totals, running)

        def of_parents(x):
            return ops.take_along_axis(x, parents, axis=1)

        tokens = ops.take_along_axis(running.tokens, ops.expand_dims(parents, -1), axis=1)
        running = _Running(
            last=last,
            tokens=ops.where(ops.arange(max_length) == time, ops.expand_dims(last, -1), tokens),
            lengths=of_parents(lengths),
            log_probs=log_probs,
            bonuses=of_parents(bonuses),
            finished=ops.logical_or(of_parents(running.finished), last == end),
        )
        rows = ops.reshape(first_row + parents, (-1,))  # (batch * size,)
        return time + 1, running, tree.map_structure(lambda x: ops.take(x, rows, axis=0), state)

    shape = (batch, size)
    running = _Running(
        last=ops.full(shape, start, dtype="int32"),
        tokens=ops.zeros((*shape, max_length), dtype="int32"),
        lengths=ops.zeros(shape, dtype="int32"),
        log_probs=ops.broadcast_to(log_probs, shape),
        bonuses=ops.zeros(shape),
        finished=ops.zeros(shape, dtype="bool"),
    )
    carry = (ops.convert_to_tensor(0), running, state)
    _, running, _ = ops.while_loop(keep_going, body, carry, maximum_iterations=max_length)
    scores = running.log_probs / length_penalty(running.lengths, alpha) + running.bonuses
    return Hypotheses(running.tokens, running.lengths, scores)
