"""Back-propagation through time by hand, over the one time loop.

A cell is run here if it splits its step into what is linear and what is elementwise. With the inputs `x`, the weights
`W` (`kernel`) and `U` (`recurrent_kernel`), the biases `b` and `d`, and the dropped state `m * h` (`m` is one mask a
sequence, or 1):

    p_t = x_t W + b                          `project`, for all steps in one product
    q_t = (m * h_{t-1}) U + d                `inner`, one product a step
    s_t = step(p_t, q_t, s_{t-1})            the cell's equations, elementwise; s is [h] or [h, c]

Let `ds_t` be the loss's derivative with respect to `s_t`. A step's derivative is linear in `ds_t`; its coefficients
depend on the forward values only, so the cell's `linearize` computes them for all steps at once, and its
`step_gradient` applies them, elementwise, backwards in time:

    dp_t, ds_{t-1} = step_gradient(coefficients_t, ds_t)
    dq_t           = inner_gradient(coefficients_t, dp_t)
    dh_{t-1}      += m * (dq_t U^T)          one product a step

After the loop, the weights' derivatives are one product each (those of `W`, `b` and `x` come from `project`):

    dU = sum over t of (m * h_{t-1})^T dq_t
    dd = sum over t of dq_t

Where the time mask is False, `s_t = s_{t-1}`, so `ds_t` passes to `ds_{t-1}` untouched and `dp_t` and `dq_t` are 0.
"""

from keras import ops

from .loop import scan, with_gradient


def run(cell, projected, states, dropout_mask=None, time_mask=None):
    """Runs a cell over the time steps of its projected inputs.

    Args:
        cell: A cell with `inner`, `step`, `linearize`, `step_gradient` and `inner_gradient`.
        projected: Tensor `(steps, batch, gates * units)`, what `cell.project` made of the inputs.
        states: List of tensors `(batch, units)`, the states before the first step.
        dropout_mask: Tensor `(batch, units)` that multiplies the state which enters the recurrent product, or None.
        time_mask: Boolean tensor `(steps, batch)`, False where the states stay as they are, or None.

    Returns:
        `(outputs, states)`: the first state after each step, `(steps, batch, units)`, and the last states.
    """
    if time_mask is not None:
        time_mask = ops.expand_dims(time_mask, -1)  # (steps, batch, 1)
    weights = [ops.cast(weight, projected.dtype) for weight in cell.inner_weights]
    arguments = [projected, *weights, *states] + ([] if dropout_mask is None else [dropout_mask])
    n_weights, n_states = len(weights), len(states)

    def unpack(arguments):
        projected, *rest = arguments
        weights, rest = rest[:n_weights], rest[n_weights:]
        return projected, weights, rest[:n_states], rest[n_states] if dropout_mask is not None else None

    def drop(h, mask):
        return h if mask is None else h * mask

    def forward(*arguments):
        projected, weights, states, dropout_mask = unpack(arguments)

        def step(states, inputs):
            projected, keep = inputs
            inner = cell.inner(drop(states[0], dropout_mask), *weights)
            new_states = cell.step(projected, inner, states)
            if keep is not None:
                new_states = [ops.where(keep, new, old) for new, old in zip(new_states, states, strict=True)]
            return new_states, (new_states, inner)

        last, (history, inner) = scan(step, states, (projected, time_mask))
        return (history[0], *last), (arguments, history, inner)

    def backward(saved, upstream):
        arguments, history, inner = saved
        projected, weights, first, dropout_mask = unpack(arguments)
        before = [ops.concatenate([ops.expand_dims(s, 0), h[:-1]]) for s, h in zip(first, history, strict=True)]
        coefficients = cell.linearize(projected, inner, before, history)
        d_outputs, *d_last = upstream
        recurrent_kernel = ops.transpose(weights[0])

        def step(d_states, inputs):
            coefficients, d_output, keep = inputs
            d_states = [d_states[0] + d_output, *d_states[1:]]
            d_active = d_states if keep is None else [ops.where(keep, d, 0) for d in d_states]
            d_projected, d_before = cell.step_gradient(coefficients, d_active)
            d_inner = cell.inner_gradient(coefficients, d_projected)
            d_h = drop(ops.matmul(d_inner, recurrent_kernel), dropout_mask)
            d_before[0] = d_h if d_before[0] is None else d_before[0] + d_h
            if keep is not None:
                d_before = [ops.where(keep, d, passed) for d, passed in zip(d_before, d_states, strict=True)]
            return d_before, d_projected

        d_first, d_projected = scan(step, d_last, (coefficients, d_outputs, time_mask), reverse=True)
        d_inner = cell.inner_gradient(coefficients, d_projected)
        d_weights = cell.inner_weight_gradients(drop(before[0], dropout_mask), d_inner)
        d_dropout_mask = [] if dropout_mask is None else [ops.zeros_like(dropout_mask)]
        return [d_projected, *d_weights, *d_first, *d_dropout_mask]

    outputs, *states = with_gradient(forward, backward, *arguments)
    return outputs, states
