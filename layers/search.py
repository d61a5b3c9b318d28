"""Search for sequences of tokens: pure functions of a step and a state, independent of the model.

`step(token, state) -> (logits, state)` reads one token per row, `(rows,)`, and returns the logits of the next token,
`(rows, vocabulary)`. The state is any nest of tensors whose first axis is the rows. The loops carry dense tensors only,
so that they run eagerly, in a graph, under XLA and in an exported model.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from keras import ops, tree

from .constraints import IMPOSSIBLE, Constraint
from .types import Nest, Tensor

Step: TypeAlias = Callable[[Tensor, Nest], tuple[Tensor, Nest]]


class Hypotheses(NamedTuple):
    """The result of a search, from the best to the worst hypothesis, or samples in the order of their draws.

    Attributes:
        tokens: Integer tensor `(batch, hypotheses, max_length)`: the tokens including the end token, then 0.
        lengths: Integer tensor `(batch, hypotheses)`: the number of these tokens. A hypothesis of `max_length` tokens
            may have no end token.
        scores: Float tensor `(batch, hypotheses)`: the log-probability divided by the length penalty, plus the bonus.

    Example:

    >>> from keras_recurrent.layers import Hypotheses
    >>> best = Hypotheses(ops.array([[[5, 7, 3, 0]]]), ops.array([[3]]), ops.array([[-0.5]]))
    >>> best.tokens.shape
    (1, 1, 4)
    """

    tokens: Tensor
    lengths: Tensor
    scores: Tensor


class AlignedHypotheses(NamedTuple):
    """`Hypotheses` of a search with `attention`.

    Attributes:
        tokens, lengths, scores: As in `Hypotheses`.
        alignments: Float tensor `(batch, hypotheses, max_length, positions)`: the attention weights of each token, then
            0.

    Example:

    >>> from keras_recurrent.layers import beam_search
    >>> step = lambda token, state: (ops.array([[0.0, 0.1]]), ops.array([[0.3, 0.7]]))
    >>> options = {"start": 0, "end": 0, "max_length": 3, "beam_size": 1}
    >>> best = beam_search(step, ops.zeros((1, 2)), attention=lambda state: state, **options)
    >>> best.alignments.shape
    (1, 1, 3, 2)
    """

    tokens: Tensor
    lengths: Tensor
    scores: Tensor
    alignments: Tensor


def length_penalty(lengths: Tensor, alpha: float) -> Tensor:
    """Computes the divisor of a log-probability, `((5 + length) / 6) ** alpha` (Wu et al. 2016, equation 14).

    Example:

    >>> from keras_recurrent.layers.search import length_penalty
    >>> [round(float(p), 3) for p in length_penalty(ops.array([1, 7]), alpha=1.0)]
    [1.0, 2.0]
    """
    return ((5.0 + ops.cast(lengths, "float32")) / 6.0) ** alpha


def greedy_search(step: Step, state: Nest, **options: Any) -> Hypotheses | AlignedHypotheses:
    """Chooses the most likely token at each step: `beam_search` with `beam_size=1` and the same arguments.

    Example: a model for which token 1 is always most likely.

    >>> from keras_recurrent.layers import greedy_search
    >>> step = lambda token, state: (ops.array([[0.0, 1.0]]), state)
    >>> best = greedy_search(step, ops.zeros((1, 1)), start=0, end=0, max_length=3)
    >>> ops.convert_to_numpy(best.tokens).tolist()
    [[[1, 1, 1]]]
    """
    return beam_search(step, state, beam_size=1, **options)


def beam_search(
    step: Step,
    state: Nest,
    *,
    start: int,
    end: int,
    max_length: int,
    beam_size: int,
    alpha: float = 0.0,
    bonus: Callable[[Nest], Tensor] | None = None,
    attention: Callable[[Nest], Tensor] | None = None,
    constraints: Sequence[Constraint] = (),
) -> Hypotheses | AlignedHypotheses:
    """Keeps the `beam_size` best hypotheses of each example at each step.

    A hypothesis stops at its end token and stays in the beam while its score is among the best. The loop stops when all
    hypotheses of the batch have stopped, or at `max_length`.

    Args:
        step: Function `(token, state) -> (logits, state)` on `batch * beam_size` rows; the hypotheses of an example
            are consecutive rows.
        state: The state before the first token, with `batch` rows, which are repeated for the beam.
        start: Id of the token that the first step reads.
        end: Id of the token that ends a hypothesis.
        max_length: Positive integer, the maximum number of tokens of a hypothesis, including the end token.
        beam_size: Positive integer, at most the size of the vocabulary.
        alpha: Float, the exponent of `length_penalty`: 0 prefers short hypotheses, 1 almost divides by the length.
        bonus: Function from a state to what is added to the scores of its hypotheses, `(rows,)`, such as a coverage
            penalty; None adds nothing.
        attention: Function from a state to the attention weights of the last step, `(rows, positions)`; the result is
            then `AlignedHypotheses`.
        constraints: Functions that exclude tokens; see `constraints.py`.

    Returns:
        `Hypotheses` with `beam_size` hypotheses per example. If there are fewer sequences, the scores of the others are
        below -1e7.

    Example: two tokens, of which 1 is always slightly more likely than 0, the end token.

    >>> from keras_recurrent.layers import beam_search
    >>> step = lambda token, state: (ops.tile(ops.array([[0.0, 0.1]]), (2, 1)), state)
    >>> best = beam_search(step, ops.zeros((1, 1)), start=0, end=0, max_length=3, beam_size=2)
    >>> best.tokens.shape, best.scores.shape
    ((1, 2, 3), (1, 2))

    Reference:
        Graves 2012, Sequence transduction with recurrent neural networks; Wu et al. 2016 for the penalties.
    """

    def choose(time, logits, totals, beam):
        # At most `beam_size` children of a hypothesis can survive: the others are not normalized.
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
            return _take_rows(ops.reshape(x, (-1, beam_size * beam_size)), chosen)

        return chosen // beam_size, of_chosen(children), of_chosen(log_probs)

    # The initial hypotheses of an example are equal, so that only one of them may have children.
    log_probs = ops.where(ops.arange(beam_size) == 0, 0.0, IMPOSSIBLE)
    return _search(step, state, choose, log_probs, start, end, max_length, alpha, bonus, attention, constraints)


def sample(
    step: Step,
    state: Nest,
    draws: Tensor,
    *,
    start: int,
    end: int,
    temperature: Any = 1.0,
    top_k: int | None = None,
    top_p: Any = 1.0,
    alpha: float = 0.0,
    attention: Callable[[Nest], Tensor] | None = None,
    constraints: Sequence[Constraint] = (),
) -> Hypotheses | AlignedHypotheses:
    """Draws each token at random with the probabilities of the model.

    With logits `z`, a token has the probability `softmax(z / temperature)`. Only the `top_k` most likely tokens can be
    drawn, and of these the smallest set whose probabilities sum to at least `top_p`. The result is a deterministic
    function of `draws`.

    Args:
        step: Function `(token, state) -> (logits, state)` on `batch * samples` rows; the samples of an example are
            consecutive rows.
        state: The state before the first token, with `batch` rows, which are repeated for the samples.
        draws: Float tensor `(batch, samples, max_length)`, uniform in [0, 1).
        start: Id of the token that the first step reads.
        end: Id of the token that ends a sample.
        temperature: Float or scalar tensor, not negative: below 1 favors likely tokens, 0 takes the most likely one.
        top_k: Positive integer; None is the whole vocabulary.
        top_p: Float or scalar tensor in (0, 1].
        alpha: Float, the exponent of `length_penalty` in the scores.
        attention: See `beam_search`.
        constraints: Functions that exclude tokens; see `constraints.py`.

    Returns:
        `Hypotheses`, in the order of the draws.

    Raises:
        ValueError: If `temperature` is a negative number.

    Example:

    >>> from keras_recurrent.layers import sample
    >>> step = lambda token, state: (ops.log(ops.array([[0.2, 0.8]])), state)
    >>> samples = sample(step, ops.zeros((1, 1)), ops.array([[[0.7, 0.1, 0.9]]]), start=1, end=0)
    >>> ops.convert_to_numpy(samples.tokens).tolist()
    [[[1, 1, 0]]]

    Reference:
        Fan, Lewis and Dauphin 2018, Hierarchical neural story generation, for `top_k`; Holtzman et al. 2020, The
        curious case of neural text degeneration, for `top_p`.
    """
    samples = draws.shape[1]
    max_length = ops.shape(draws)[2]  # in an export it may be unknown
    draws = ops.cast(draws, "float32")
    if isinstance(temperature, (int, float)) and temperature < 0:
        raise ValueError(f"The temperature must be 0 or more. Received: {temperature}")
    temperature = ops.convert_to_tensor(temperature, dtype="float32")
    is_greedy = temperature < 1e-6  # so small that quotients overflow
    temperature = ops.where(is_greedy, 1.0, temperature)

    def choose(time, logits, totals, hypotheses):
        best, candidates = ops.top_k(logits, min(top_k or logits.shape[-1], logits.shape[-1]))
        # Keras's softmax warns if there is a single candidate.
        probabilities = ops.exp(ops.log_softmax(best / temperature, axis=-1))
        probabilities = ops.where(best < IMPOSSIBLE / 2, 0.0, probabilities)  # also at high temperatures
        before = ops.cumsum(probabilities, axis=-1) - probabilities
        probabilities = ops.where(before < ops.where(is_greedy, 1e-30, top_p), probabilities, 0.0)
        cumulative = ops.cumsum(probabilities, axis=-1)
        draw = ops.take(draws, time, axis=2)
        # The first candidate whose interval contains the draw; rounding must not lead to an excluded one.
        passed = cumulative <= ops.expand_dims(draw, -1) * cumulative[..., -1:]
        index = ops.minimum(_count(passed), _count(probabilities > 0) - 1)
        index = ops.expand_dims(index, -1)
        token = ops.squeeze(ops.take_along_axis(ops.cast(candidates, "int32"), index, axis=-1), -1)
        log_prob = ops.squeeze(ops.take_along_axis(best, index, axis=-1), -1) - totals
        parents = ops.broadcast_to(ops.arange(samples), ops.shape(token))  # each sample continues itself
        return (
            parents,
            ops.where(hypotheses.finished, 0, token),
            ops.where(hypotheses.finished, hypotheses.log_probs, hypotheses.log_probs + log_prob),
        )

    return _search(step, state, choose, ops.zeros(samples), start, end, max_length, alpha, None, attention, constraints)


def _top_k(x: Tensor, k: int, width: int = 128) -> tuple[Tensor, Tensor]:
    """Computes `ops.top_k` over a long last axis faster: chooses the blocks with the largest entries, then in these."""
    *leading, size = ops.shape(x)
    blocks = -(-size // width)
    if blocks <= 2 * k:
        return ops.top_k(x, k)
    x = ops.pad(ops.reshape(x, (-1, size)), [[0, 0], [0, blocks * width - size]], constant_values=2 * IMPOSSIBLE)
    x = ops.reshape(x, (-1, blocks, width))
    _, chosen = ops.top_k(ops.max(x, axis=-1), k)  # (rows, k)
    # Sorted, so that the first of equal entries comes first, as in `ops.top_k`.
    chosen = ops.sort(ops.cast(chosen, "int32"), axis=-1)
    values, indices = ops.top_k(ops.reshape(_take_rows(x, chosen), (-1, k * width)), k)
    indices = ops.cast(indices, "int32")
    indices = _take_rows(chosen, indices // width) * width + indices % width
    return ops.reshape(values, (*leading, k)), ops.reshape(indices, (*leading, k))


def _take_rows(x: Tensor, indices: Tensor) -> Tensor:
    """Gathers entries of the second axis of `(batch, rows, ...)` with indices `(batch, count)`.

    It computes `ops.take_along_axis` without broadcasting and transposing `x`, which exported models would do.
    """
    rows, *features = x.shape[1:]
    first = ops.expand_dims(ops.arange(ops.shape(x)[0]) * rows, 1)
    taken = ops.take(ops.reshape(x, (-1, *features)), ops.reshape(first + indices, (-1,)), axis=0)
    return ops.reshape(taken, (-1, indices.shape[1], *features))


def _count(x: Tensor) -> Tensor:
    return ops.sum(ops.cast(x, "int32"), axis=-1)


class _Running(NamedTuple):
    """The hypotheses during a search: `(batch, hypotheses)`, and their tokens `(batch, hypotheses, max_length)`.

    `alignments` is a list of one tensor `(batch * hypotheses, max_length, positions)`, or an empty list.
    """

    last: Tensor
    tokens: Tensor
    lengths: Tensor
    log_probs: Tensor
    bonuses: Tensor
    finished: Tensor
    alignments: list[Tensor]


def _search(step, state, choose, log_probs, start, end, max_length, alpha, bonus, attention, constraints):
    """Runs the loop of all searches.

    `choose(time, logits, totals, running)` chooses the tokens of a step. Its arguments are the constrained logits
    `(batch, hypotheses, vocabulary)`, the logarithms of their normalizers `(batch, hypotheses)`, and the hypotheses,
    with the lengths and bonuses after the step. It returns `(parents, last, log_probs)`, each `(batch, hypotheses)`:
    the hypothesis that each new one continues, its token, and its log-probability. `log_probs` are the
    log-probabilities before the first step, `(hypotheses,)`.
    """
    (size,) = log_probs.shape
    batch = ops.shape(tree.flatten(state)[0])[0]
    state = tree.map_structure(lambda x: ops.repeat(x, size, axis=0), state)
    first_row = ops.expand_dims(ops.arange(batch) * size, 1)  # (batch, 1): the first hypothesis of each example
    times = ops.arange(max_length)

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
        # The token at `time` of the hypotheses that are not finished.
        is_new = ops.logical_and(times == time, ops.logical_not(ops.expand_dims(running.finished, -1)))
        alignments = [
            ops.where(ops.reshape(is_new, (-1, max_length, 1)), ops.expand_dims(attention(state), 1), weights)
            for weights in running.alignments
        ]
        running = running._replace(lengths=lengths, bonuses=bonuses)

        parents, last, log_probs = choose(time, logits, totals, running)

        rows = ops.reshape(first_row + parents, (-1,))  # (batch * size,)

        def of_parents(x):
            return ops.reshape(ops.take(ops.reshape(x, (-1,)), rows, axis=0), (-1, size))

        tokens = ops.take(ops.reshape(running.tokens, (-1, max_length)), rows, axis=0)
        tokens = ops.reshape(tokens, (-1, size, max_length))
        running = _Running(
            last=last,
            tokens=ops.where(times == time, ops.expand_dims(last, -1), tokens),
            lengths=of_parents(lengths),
            log_probs=log_probs,
            bonuses=of_parents(bonuses),
            finished=ops.logical_or(of_parents(running.finished), last == end),
            alignments=[ops.take(weights, rows, axis=0) for weights in alignments],
        )
        return time + 1, running, tree.map_structure(lambda x: ops.take(x, rows, axis=0), state)

    running = _start((batch, size), start, max_length, log_probs, None if attention is None else attention(state))
    carry = (ops.convert_to_tensor(0), running, state)
    _, running, _ = ops.while_loop(keep_going, body, carry, maximum_iterations=max_length)
    return _result(running, alpha)


def _start(shape, start, max_length, log_probs, weights):
    """Returns the hypotheses before the first step; `weights` are attention weights, or None without alignments."""
    alignments = []
    if weights is not None:
        batch, size = shape
        alignments = [ops.zeros((batch * size, max_length, ops.shape(weights)[1]), dtype=weights.dtype)]
    return _Running(
        last=ops.full(shape, start, dtype="int32"),
        tokens=ops.zeros((*shape, max_length), dtype="int32"),
        lengths=ops.zeros(shape, dtype="int32"),
        log_probs=ops.broadcast_to(log_probs, shape),
        bonuses=ops.zeros(shape),
        finished=ops.zeros(shape, dtype="bool"),
        alignments=alignments,
    )


def _result(running, alpha):
    """Returns the hypotheses after the last step as the result of a search."""
    scores = running.log_probs / length_penalty(running.lengths, alpha) + running.bonuses
    if not running.alignments:
        return Hypotheses(running.tokens, running.lengths, scores)
    (weights,) = running.alignments
    alignments = ops.reshape(weights, (*ops.shape(scores), *ops.shape(weights)[1:]))
    return AlignedHypotheses(running.tokens, running.lengths, scores, alignments)
