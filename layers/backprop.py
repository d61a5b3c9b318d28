"""Back-propagation through time by hand, over the time loop of `loop.py`.

A cell separates the linear part of its step from the elementwise part. With the inputs `x`, the weights `W` (`kernel`)
and `U` (`recurrent_kernel`), the biases `b` and `d`, and the dropped state `m * h` (`m` is one dropout mask per
sequence, or 1):

    p_t = x_t W + b                          `project`, for all steps in one product
    a_t = (m * h_{t-1}) U                    one product per step
    q_t = a_t + d                            `inner`; a cell may do more with a_t, and keep some of it
    s_t = step(p_t, q_t, s_{t-1})            the cell's equations, elementwise; s is [h] or [h, c]

Let `ds_t` be the derivative of the loss with respect to `s_t`. The derivative of a step is linear in `ds_t`. Its
coefficients depend on the values of the forward pass alone (the states, and the gates that `step` returns with them),
so that the cell's `linearize` computes them for all steps at once. Its `step_gradient` applies them elementwise,
backwards in time:

    dp_t, ds_{t-1} = step_gradient(coefficients_t, ds_t)
    dq_t           = inner_gradient(coefficients_t, dp_t)
    da_t           = product_gradient(kept_t, dq_t, ...)
    dh_{t-1}      += m * (da_t U^T)          one product per step

After the loop, the derivatives of the weights are one product each (those of `W`, `b` and `x` come from `project`):

    dU = sum over t of (m * h_{t-1})^T da_t
    dd = sum over t of dq_t                  `vector_gradients`, for d and the other vectors of `inner`

Where a mask is False, a state keeps its value, and its `ds_t` passes to `ds_{t-1}` without the step. A time mask is
the same for all units; zoneout has a mask for each unit.

All tensors may have further axes before the batch axis. A bidirectional layer runs both directions in one loop: they
are two rows of such an axis, with their own weights.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeAlias

from keras import ops

from .loop import scan, with_gradient
from .types import Nest, Shape, Tensor

# A function of a cell and of the shapes `(steps, ..., batch, units)` of its states at all steps. It returns tensors of
# these shapes that are added to the states after each step, or None. Zeros change nothing, and their derivative is that
# of the loss with respect to the state after each step.
Nudge: TypeAlias = Callable[[Any, list[Shape]], list[Tensor] | None]

_NUDGE: ContextVar[Nudge | None] = ContextVar("nudge", default=None)


@contextlib.contextmanager
def nudging(nudge: Nudge) -> Iterator[None]:
    """Within this context, the sequence layers call their cells' `run` with this `nudge`, at any depth of a model."""
    token = _NUDGE.set(nudge)
    try:
        yield
    finally:
        _NUDGE.reset(token)


def current_nudge() -> Nudge | None:
    """Returns the `nudge` of the innermost `nudging`, or None."""
    return _NUDGE.get()


def run(
    cell: Any,
    inputs: Tensor,
    states: list[Tensor],
    weights: list[Any],
    dropout_mask: Tensor | None = None,
    masks: Any = None,
    mix: Callable | None = None,
    by_hand: bool = True,
    project: Callable[[Tensor], Tensor] | None = None,
    nudges: list[Tensor] | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Runs a cell over time steps.

    Args:
        cell: A `RecurrentCell`.
        inputs: Tensor `(steps, ..., batch, gates * units)`, the projected sequence.
        states: List of tensors `(..., batch, units)`, the states before the first step.
        weights: List of the weights of `cell.inner`: the kernel `(..., units, gates * units)`, then vectors that
            broadcast with its product.
        dropout_mask: Tensor `(..., batch, units)` that multiplies the state in the recurrent product, or None.
        masks: Boolean tensor, False where the states keep their values: `(steps, ..., batch, 1)`, or a list with one
            mask `(steps, ..., batch, units)` per state; or None.
        mix: Function from the old and the new states of a step to the states after it; only without `by_hand`.
        by_hand: Whether to keep what the derivative above needs. Without it the backend differentiates the loop if
            necessary, as it must for a cell whose `has_step_gradient` is False.
        project: Function from the input of a step to its projection, if `inputs` are not projected; only without
            `by_hand`.
        nudges: List of tensors `(steps, ..., batch, units)` that are added to the states after each step, or None.

    Returns:
        `(outputs, states)`: the first state after each step, `(steps, ..., batch, units)`, and the last states.
    """
    masks = () if masks is None else (masks if isinstance(masks, list) else [masks] * len(states),)
    drops = [] if dropout_mask is None else [dropout_mask]
    weights = [ops.convert_to_tensor(weight) for weight in weights]
    nudges = [] if nudges is None else list(nudges)
    loop = functools.partial(unroll, cell, masks=masks, mix=mix, project=project)
    if not by_hand:
        states, outputs = loop(inputs, states, weights, drops, nudges, keep_all=False)
        return outputs, states

    n_weights, n_states, n_drops = len(weights), len(states), len(drops)

    def forward(projected, *rest):
        weights, rest = rest[:n_weights], rest[n_weights:]
        states, rest = list(rest[:n_states]), rest[n_states:]
        drops, nudges = rest[:n_drops], list(rest[n_drops:])
        last, (history, *saved) = loop(projected, states, weights, drops, nudges)
        return (history[0], *last), (weights, states, drops, history, saved)

    backward = functools.partial(_backward, cell, masks, bool(nudges))
    outputs, *states = with_gradient(forward, backward, inputs, *weights, *states, *drops, *nudges)
    return outputs, states


def _backward(cell, masks, with_nudges, saved, upstream):
    """The derivatives of `forward` in `run` with respect to its arguments, from those of its outputs."""
    weights, states, drops, history, (gates, kept) = saved
    before = [ops.concatenate([ops.expand_dims(s, 0), h[:-1]]) for s, h in zip(states, history, strict=True)]
    coefficients = cell.linearize(gates, before, history)
    recurrent_kernel = ops.cast(ops.swapaxes(weights[0], -1, -2), history[0].dtype)
    d_outputs, *d_last = upstream

    def step(d_states, inputs):
        coefficients, kept, d_output, *keep = inputs
        d_states = [d_states[0] + d_output, *d_states[1:]]
        d_active = _choose(keep[0], d_states, [0] * len(states)) if keep else d_states
        d_projected, d_before = cell.step_gradient(coefficients, d_active)
        d_inner = cell.inner_gradient(coefficients, d_projected)
        d_product = cell.product_gradient(kept, d_inner, *weights)
        d_h = _drop(ops.matmul(d_product, recurrent_kernel), drops)
        d_before = [d_h if d_before[0] is None else d_before[0] + d_h, *d_before[1:]]
        if keep:
            d_passed = _choose(keep[0], [0] * len(states), d_states)
            d_before = [d + passed for d, passed in zip(d_before, d_passed, strict=True)]
        return d_before, (d_projected, d_states if with_nudges else [])

    d_first, (d_projected, d_nudges) = scan(step, d_last, (coefficients, kept, d_outputs, *masks), reverse=True)
    d_inner = cell.inner_gradient(coefficients, d_projected)
    d_product = cell.product_gradient(kept, d_inner, *weights)
    dropped, d_product, *d_vectors = (
        _as_rows(x, weights[0].dtype)
        for x in (_drop(before[0], drops), d_product, *cell.vector_gradients(kept, d_inner))
    )
    d_weights = [
        ops.matmul(ops.swapaxes(dropped, -1, -2), d_product),
        *(ops.reshape(ops.sum(d, -2), w.shape) for d, w in zip(d_vectors, weights[1:], strict=False)),
    ]
    return [d_projected, *d_weights, *d_first, *(ops.zeros_like(d) for d in drops), *d_nudges]


def unroll(
    cell: Any,
    inputs: Tensor,
    states: list[Tensor],
    weights: list[Any],
    drops: Any = (),
    nudges: Any = (),
    masks: Any = (),
    mix: Callable | None = None,
    project: Callable[[Tensor], Tensor] | None = None,
    keep_all: bool = True,
) -> tuple[list[Tensor], Nest]:
    """Runs the loop of `run`, and returns what happens inside it.

    Args:
        drops: Sequence of one dropout mask, or none.
        nudges: As in `run`, or empty.
        masks: Sequence of one list with a mask per state, or none.
        keep_all: Whether to return the states, the gates and what `inner` keeps, or the outputs alone.
        cell, inputs, states, weights, mix, project: As in `run`.

    Returns:
        `(states, (history, gates, kept))`: the last states, and for all steps the states after them, the gates that
        the cell's `step` returns, and what its `inner` keeps. Without `keep_all` `(states, outputs)`.
    """

    def step(states, inputs):
        projected, nudges, keep = inputs
        if project is not None:
            projected = project(projected)
        inner, kept = cell.inner(_drop(states[0], drops), *weights)
        new_states, gates = cell.step(projected, inner, states)
        if mix is not None:
            new_states = mix(states, new_states)
        if keep:
            new_states = _choose(keep[0], new_states, states)
        if nudges:
            new_states = [state + nudge for state, nudge in zip(new_states, nudges, strict=True)]
        return new_states, (new_states, gates, kept) if keep_all else new_states[0]

    return scan(step, states, (inputs, nudges, masks))


def _drop(h, drops):
    return h * drops[0] if drops else h


def _choose(masks, states, others):
    return [ops.where(mask, state, other) for mask, state, other in zip(masks, states, others, strict=True)]


def _as_rows(x, dtype):
    """Reshapes `(steps, ..., batch, columns)` to `(..., steps * batch, columns)` in the dtype of the weights."""
    x = ops.moveaxis(x, 0, -3)
    return ops.cast(ops.reshape(x, (*x.shape[:-3], -1, x.shape[-1])), dtype)
