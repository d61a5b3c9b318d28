"""Back-propagation through time by hand, over the one time loop.

A cell is run here if it splits its step into what is linear and what is elementwise. With the inputs `x`, the weights
`W` (`kernel`) and `U` (`recurrent_kernel`), the biases `b` and `d`, and the dropped state `m * h` (`m` is one mask a
sequence, or 1):

    p_t = x_t W + b                          `project`, for all steps in one product
    a_t = (m * h_{t-1}) U                    one product a step
    q_t = a_t + d                            `inner`; a cell may do more with a_t, and may keep some of it
    s_t = step(p_t, q_t, s_{t-1})            the cell's equations, elementwise; s is [h] or [h, c]

Let `ds_t` be the loss's derivative with respect to `s_t`. A step's derivative is linear in `ds_t`; its coefficients
depend on the forward values only (the states, and the gates that `step` hands over with them), so the cell's
`linearize` computes them for all steps at once, and its `step_gradient` applies them, elementwise, backwards in time:

    dp_t, ds_{t-1} = step_gradient(coefficients_t, ds_t)
    dq_t           = inner_gradient(coefficients_t, dp_t)
    da_t           = product_gradient(kept_t, dq_t, ...)
    dh_{t-1}      += m * (da_t U^T)          one product a step

After the loop, the weights' derivatives are one product each (those of `W`, `b` and `x` come from `project`):

    dU = sum over t of (m * h_{t-1})^T da_t
    dd = sum over t of dq_t                  `vector_gradients`, of d and whatever other vectors `inner` has

Where a mask is False, a state stays as it is, and its `ds_t` passes to `ds_{t-1}` instead of through the step. A time
mask is the same for all units; zoneout has one for each.

Axes may stand before the batch's, in everything alike: both directions of a bidirectional layer are two rows of one
such axis, with weights of their own, and one loop.
"""

import functools

from keras import ops

from .loop import scan, with_gradient


def run(
    cell, inputs, states, weights, dropout_mask=None, masks=None, mix=None, by_hand=True, project=None, nudges=None
):
    """Runs a cell over time steps.

    Args:
        cell: A `RecurrentCell`.
        inputs: Tensor `(steps, ..., batch, gates * units)`, what `cell.project` made of a sequence.
        states: List of tensors `(..., batch, units)`, the states before the first step.
        weights: List of the weights of `cell.inner`: the kernel `(..., units, gates * units)`, then vectors that
            broadcast with its product.
        dropout_mask: Tensor `(..., batch, units)` that multiplies the state in the recurrent product, or None.
        masks: Boolean tensor, False where the states stay as they are: `(steps, ..., batch, 1)`, or a list with one of
            `(steps, ..., batch, units)` a state; or None.
        mix: Function of a step's old and new states to those that stay; not by hand.
        by_hand: Whether to keep, step by step, what the derivative above needs. Without it the backend differentiates
            the loop, if anybody asks; a cell without `linearize` can only be run so.
        project: Function of a step's input to its projection, where `inputs` are not projected yet; not by hand.
        nudges: List of tensors `(steps, ..., batch, units)` that are added to the states after each step, or None. With
            zeros nothing changes, and their derivative is that of the loss with respect to the states of each step.

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

    def backward(saved, upstream):
        weights, states, drops, history, (gates, kept) = saved
        before = [ops.concatenate([ops.expand_dims(s, 0), h[:-1]]) for s, h in zip(states, history, strict=True)]
        coefficients = cell.linearize(gates, before, history)
        recurrent_kernel = ops.cast(ops.swapaxes(weights[0], -1, -2), history[0].dtype)
        d_outputs, *d_last = upstream

        def step(d_states, inputs):
            coefficients, kept, d_output, *keep = inputs
            d_states = [d_states[0] + d_output, *d_states[1:]]
            d_active = _choose(keep[0], d_states, [0] * n_states) if keep else d_states
            d_projected, d_before = cell.step_gradient(coefficients, d_active)
            d_inner = cell.inner_gradient(coefficients, d_projected)
            d_product = cell.product_gradient(kept, d_inner, *weights)
            d_h = _drop(ops.matmul(d_product, recurrent_kernel), drops)
            d_before = [d_h if d_before[0] is None else d_before[0] + d_h, *d_before[1:]]
            if keep:
                d_passed = _choose(keep[0], [0] * n_states, d_states)
                d_before = [d + passed for d, passed in zip(d_before, d_passed, strict=True)]
            return d_before, (d_projected, d_states if nudges else [])

        d_first, (d_projected, d_nudges) = scan(step, d_last, (coefficients, kept, d_outputs, *masks), reverse=True)
        d_inner = cell.inner_gradient(coefficients, d_projected)
        d_product = cell.product_gradient(kept, d_inner, *weights)
        dropped, d_product, *d_vectors = (
            _rows(x, weights[0].dtype)
            for x in (_drop(before[0], drops), d_product, *cell.vector_gradients(kept, d_inner))
        )
        d_weights = [
            ops.matmul(ops.swapaxes(dropped, -1, -2), d_product),
            *(ops.reshape(ops.sum(d, -2), w.shape) for d, w in zip(d_vectors, weights[1:], strict=False)),
        ]
        return [d_projected, *d_weights, *d_first, *(ops.zeros_like(d) for d in drops), *d_nudges]

    outputs, *states = with_gradient(forward, backward, inputs, *weights, *states, *drops, *nudges)
    return outputs, states


def unroll(cell, inputs, states, weights, drops=(), nudges=(), masks=(), mix=None, project=None, keep_all=True):
    """The loop of `run`, and of whoever wants to see what goes on in it.

    The arguments are those of `run`, but that each of `drops` and `masks` has one entry or none, that of `masks` is a
    list with a mask a state, and that `nudges` may be empty.

    Returns:
        `(states, (history, gates, kept))`: the last states, and of all steps the states after them, what the cell's
        `step` hands over beside them, and what its `inner` keeps; or without `keep_all` `(states, outputs)`.
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


def _rows(x, dtype):
    """From `(steps, ..., batch, columns)` to `(..., steps * batch, columns)`, in the precision of the weights."""
    x = ops.moveaxis(x, 0, -3)
    return ops.cast(ops.reshape(x, (*x.shape[:-3], -1, x.shape[-1])), dtype)
