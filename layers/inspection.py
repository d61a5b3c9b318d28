"""What goes on inside recurrent layers: their gates and states at each step, and how far back a gradient reaches."""

import contextlib

import keras
import numpy as np
from keras import ops, tree

from .backprop import unroll
from .cell import RecurrentCell
from .loop import gradients
from .recurrent import time_major


def gate_activations(layer, inputs, mask=None):
    """The gates of a recurrent layer at each step, where it starts from its first state.

    Args:
        layer: An `LSTM`, a `GRU`, or any `Recurrent` layer around a cell that names its gates; of a bidirectional one,
            its `forward_layer` or `backward_layer`. Cells that wrap another are refused.
        inputs: Array `(batch, steps, features)`, what the layer reads.
        mask: Boolean array `(batch, steps)`, False where the state stays as it is, whatever the gates would do.

    Returns:
        Dictionary from a gate to an array `(batch, steps, units)`: `input`, `forget`, `candidate` and `output` of an
        LSTM, `update`, `reset` and `candidate` of a GRU. The candidate is what the others let in, or not.

    Raises:
        ValueError: If the layer has no cell of this package, or a cell without gates.

    Example:

    >>> from keras_recurrent.layers import LSTM, gate_activations
    >>> gates = gate_activations(LSTM(8), keras.random.normal((2, 5, 3)))
    >>> gates["forget"].shape
    (2, 5, 8)
    """
    if not getattr(_cell(layer), "gate_names", ()):
        raise ValueError(f"The layer has no gates. Received: {layer} with the cell {layer.cell}")
    _, gates = _trace(layer, inputs, mask)
    return dict(zip(layer.cell.gate_names, gates, strict=False))


def state_norms(layer, inputs, mask=None):
    """The length of a recurrent layer's states after each step, where it starts from its first state.

    Args:
        layer: A recurrent layer of this package.
        inputs: Array `(batch, steps, features)`, what the layer reads.
        mask: Boolean array `(batch, steps)`, False where the states stay as they are.

    Returns:
        Dictionary from a state to an array `(batch, steps)` of its Euclidean norms: `h`, and of an LSTM `c`.

    Raises:
        ValueError: If the layer has no cell of this package.

    Example:

    >>> from keras_recurrent.layers import GRU, state_norms
    >>> state_norms(GRU(8), keras.random.normal((2, 5, 3)))["h"].shape
    (2, 5)
    """
    states, _ = _trace(layer, inputs, mask)
    return {name: _norms(state) for name, state in zip("hc", states, strict=False)}


def gradient_flow(model, inputs, targets, loss=None):
    """How much the loss depends on the state after each step: the norm of its derivative, step by step.

    Of an LSTM, the state is both `h` and `c`, through which a gradient passes from step to step, too.
    A derivative that fades towards the first steps has vanished: what was read there cannot be learned from. One that
    grows explodes. It is computed as in a training step, by the layers' own back-propagation through time, and dropout
    is applied as there.

    Args:
        model: A Keras model with recurrent layers of this package, at whatever depth.
        inputs: What the model takes.
        targets: What the loss takes as `y_true`.
        loss: Function `(y_true, y_pred)` to a scalar or to the losses of the examples, or a name that Keras knows; None
            is what the model was compiled with. Losses of examples are averaged, so that of a batch of `n` each example
            has an `n`-th of the derivative that it has alone.

    Returns:
        Dictionary from the path of a cell, such as `lstm/lstm_cell`, to an array `(batch, steps)`, in the order of the
        cells' runs; the steps of a layer with `go_backwards` are those of its loop. Of our `Bidirectional`, it is
        `(2, batch, steps)`, the second in the order of the backward loop. A cell that runs several times is there once
        for each, with `:1`, `:2`, ... behind its path.

    Raises:
        ValueError: If no such layer runs in the model. A `Decoder` that takes its steps one by one, with input feeding
            or Bahdanau's attention, runs none.

    Example:

    >>> from keras_recurrent.layers import LSTM, gradient_flow
    >>> model = keras.Sequential([LSTM(8, name="lstm"), keras.layers.Dense(1)])
    >>> flow = gradient_flow(model, keras.random.normal((2, 5, 3)), ops.ones((2, 1)), keras.losses.mean_squared_error)
    >>> {path: norms.shape for path, norms in flow.items()}
    {'lstm/lstm_cell': (2, 5)}

    Reference:
        Bengio, Simard and Frasconi 1994, Learning long-term dependencies with gradient descent is difficult; Pascanu,
        Mikolov and Bengio 2013, On the difficulty of training recurrent neural networks.
    """
    inputs, targets, loss = _tensors(inputs), _tensors(targets), keras.losses.get(loss)

    def value():
        with keras.StatelessScope():  # what training changes beside the weights, such as carried states, stays as it is
            outputs = model(inputs, training=True)
            return ops.mean(model.compute_loss(inputs, targets, outputs) if loss is None else loss(targets, outputs))

    cells = [layer for layer in model._flatten_layers() if isinstance(layer, RecurrentCell)]
    shapes, paths, types = [], [], []

    def first_time(cell):
        def nudge(of_run):
            shapes.append(of_run)
            paths.append(cell.path)
            types.append(cell.compute_dtype)
            return None

        return nudge

    if not model.built:
        value()  # what builds a model may run its layers, too
    with _nudged(cells, first_time):
        value()
    if not shapes:
        raise ValueError(f"No recurrent layer of keras_recurrent runs in the model. Received: {model}")

    def nudged_value(*nudges):
        rest = iter(nudges)
        with _nudged(cells, lambda cell: lambda of_run: [next(rest) for _ in of_run]):
            return value()

    runs = zip(shapes, types, strict=True)
    nudges = [ops.zeros(shape, dtype=dtype) for of_run, dtype in runs for shape in of_run]
    derivatives = iter(gradients(nudged_value, nudges))
    flows = {}
    for place, (path, of_run) in enumerate(zip(paths, shapes, strict=True)):
        name = path if paths.count(path) == 1 else f"{path}:{paths[: place + 1].count(path)}"
        flows[name] = np.moveaxis(np.hypot.reduce([_norms(next(derivatives)) for _ in of_run]), 0, -1)
    return flows


def spectral_radii(layer):
    """The spectral radius of a recurrent layer's weights: the largest absolute eigenvalue of each gate's.

    Where activations are close to linear, a state grows or fades by about this factor a step, and so do gradients.

    Args:
        layer: A built recurrent layer of this package.

    Returns:
        Dictionary from a gate to a float; a cell without gates has one named `state`.

    Raises:
        ValueError: If the layer has no cell of this package or no weights yet, or the cell's state enters its gates
            through a projection.

    Example:

    >>> from keras_recurrent.layers import SimpleRNN, spectral_radii
    >>> layer = SimpleRNN(3, recurrent_initializer="identity")
    >>> layer.build((None, None, 2))
    >>> spectral_radii(layer)
    {'state': 1.0}
    """
    cell = _cell(layer)
    if not cell.built:
        raise ValueError(f"The layer has no weights before it is built. Received: {layer}")
    kernel = ops.convert_to_numpy(cell.recurrent_kernel).astype("float64")
    blocks = np.split(kernel, cell.gates, axis=1)
    if blocks[0].shape[0] != blocks[0].shape[1]:
        raise ValueError(f"Weights of the shape {blocks[0].shape} have no eigenvalues. Received: {layer}")
    names = cell.gate_names or ("state",)
    return {name: float(np.abs(np.linalg.eigvals(block)).max()) for name, block in zip(names, blocks, strict=True)}


@contextlib.contextmanager
def _nudged(cells, nudge_of):
    for cell in cells:
        cell.nudge = nudge_of(cell)
    try:
        yield
    finally:
        for cell in cells:
            cell.nudge = None


def _cell(layer):
    cell = getattr(layer, "cell", None)
    if not isinstance(cell, RecurrentCell):
        raise ValueError(f"The layer must be a recurrent one around one cell of keras_recurrent. Received: {layer}")
    return cell


def _trace(layer, inputs, mask):
    """The states and the gates of a layer after each step, lists of arrays `(batch, steps, units)`."""
    cell = _cell(layer)
    inputs = ops.cast(ops.convert_to_tensor(inputs), cell.compute_dtype)
    if len(inputs.shape) != 3:
        raise ValueError(f"The inputs must have the shape (batch, steps, features). Received: {inputs.shape}")
    if not layer.built:
        layer.build(inputs.shape)
    sequences = ops.transpose(inputs, (1, 0, 2))
    masks = () if mask is None else ([time_major(ops.convert_to_tensor(mask))] * cell.state_count,)
    if layer.go_backwards:
        sequences, masks = tree.map_structure(lambda x: ops.flip(x, 0), (sequences, masks))
    first, weights = cell.get_initial_state(inputs.shape[0]), [ops.convert_to_tensor(w) for w in cell.inner_weights]
    _, (states, gates, _) = unroll(cell, sequences, first, weights, masks=masks, project=cell.project)
    if layer.go_backwards:
        states, gates = tree.map_structure(lambda x: ops.flip(x, 0), (states, gates))
    return [[ops.convert_to_numpy(ops.transpose(x, (1, 0, 2))) for x in of_one] for of_one in (states, gates)]


def _tensors(x):
    """Arrays, numbers, or nests of them as tensors; a list of numbers, or of such lists, is one array."""
    if isinstance(x, list) and not any(hasattr(leaf, "shape") for leaf in tree.flatten(x)):
        x = np.asarray(x)
    return tree.map_structure(ops.convert_to_tensor, x)


def _norms(x):
    """Euclidean norms over the last axis, as an array of doubles, since the square of a gradient may be tiny."""
    return np.linalg.norm(ops.convert_to_numpy(x).astype("float64"), axis=-1)
