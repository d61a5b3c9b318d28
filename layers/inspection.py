"""What happens inside recurrent layers: their gates and states at each step, and how far back gradients reach."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from .backprop import nudging, unroll
from .cell import RecurrentCell
from .loop import gradients
from .recurrent import time_major
from .types import Identifier, Nest


def gate_activations(layer: Any, inputs: Any, mask: Any = None) -> dict[str, np.ndarray]:
    """Computes the gates of a recurrent layer at each step, from its initial state.

    Args:
        layer: An `LSTM`, a `GRU`, or a `Recurrent` layer with a cell that has gates. For a bidirectional layer, pass
            its `forward_layer` or `backward_layer`. Cells that wrap a cell are not supported.
        inputs: Array `(batch, steps, features)`, the input of the layer.
        mask: Boolean array `(batch, steps)`, False where the states keep their values.

    Returns:
        Dictionary from a gate to an array `(batch, steps, units)`: `input`, `forget`, `candidate` and `output` for an
        LSTM, `update`, `reset` and `candidate` for a GRU.

    Raises:
        ValueError: If the layer has no cell of this package, or a cell without gates.

    Example:

    >>> from keras_recurrent.layers import LSTM, gate_activations
    >>> gates = gate_activations(LSTM(8), np.ones((2, 5, 3)))
    >>> gates["forget"].shape
    (2, 5, 8)
    """
    if not getattr(_cell(layer), "gate_names", ()):
        raise ValueError(f"The layer has no gates. Received: {layer} with the cell {layer.cell}")
    _, gates = _trace(layer, inputs, mask)
    return dict(zip(layer.cell.gate_names, gates, strict=False))


def state_norms(layer: Any, inputs: Any, mask: Any = None) -> dict[str, np.ndarray]:
    """Computes the norms of a recurrent layer's states after each step, from its initial state.

    Args:
        layer: A recurrent layer of this package.
        inputs: Array `(batch, steps, features)`, the input of the layer.
        mask: Boolean array `(batch, steps)`, False where the states keep their values.

    Returns:
        Dictionary from a state to an array `(batch, steps)` of its Euclidean norms: `h`, and for an LSTM `c`.

    Raises:
        ValueError: If the layer has no cell of this package.

    Example:

    >>> from keras_recurrent.layers import GRU, state_norms
    >>> state_norms(GRU(8), np.ones((2, 5, 3)))["h"].shape
    (2, 5)
    """
    states, _ = _trace(layer, inputs, mask)
    return {name: _norms(state) for name, state in zip(layer.cell.state_names, states, strict=True)}


def gradient_flow(model: Any, inputs: Nest, targets: Nest, loss: Identifier = None) -> dict[str, np.ndarray]:
    """Computes the norm of the loss's derivative with respect to the states after each step.

    The state of an LSTM is `h` and `c` together, since gradients flow through both. Derivatives that vanish towards the
    first steps mean that the model cannot learn from what it read there; derivatives that grow mean that they explode.
    They are computed as in a training step, by the back-propagation through time of the layers, with dropout.

    Args:
        model: A Keras model with recurrent layers of this package at any depth.
        inputs: The inputs of the model.
        targets: The `y_true` of the loss.
        loss: Function `(y_true, y_pred)` to a scalar or to one loss per example, or its name in Keras; None uses the
            loss with which the model was compiled. Losses of examples are averaged, so that in a batch of `n` examples
            each derivative is an `n`-th of that for the example alone.

    Returns:
        Dictionary from the path of a cell, such as `sequential/lstm/lstm_cell`, to an array `(batch, steps)`, in the
        order in which the cells run. The steps of a layer with `go_backwards` are in the order of its loop. A
        `Bidirectional` of this package has an array `(2, batch, steps)`, whose second row is in the order of the
        backward loop. A cell that runs several times has an entry for each run, with `:1`, `:2`, ... after its path.

    Raises:
        ValueError: If no recurrent layer of this package runs in the model. A `Decoder` that computes its steps one by
            one, with `input_feeding` or `query="before_step"`, does not run its recurrent layers.

    Example:

    >>> from keras_recurrent.layers import LSTM, gradient_flow
    >>> model = keras.Sequential([keras.Input((5, 3)), LSTM(8, name="lstm"), keras.layers.Dense(1)])
    >>> flow = gradient_flow(model, np.ones((2, 5, 3)), np.ones((2, 1)), "mean_squared_error")
    >>> [(path.split("/")[-1], norms.shape) for path, norms in flow.items()]
    [('lstm_cell', (2, 5))]

    Reference:
        Bengio, Simard and Frasconi 1994, Learning long-term dependencies with gradient descent is difficult; Pascanu,
        Mikolov and Bengio 2013, On the difficulty of training recurrent neural networks.
    """
    inputs, targets, loss = _tensors(inputs), _tensors(targets), keras.losses.get(loss)

    def value():
        with keras.StatelessScope():  # variables such as carried states keep their values
            outputs = model(inputs, training=True)
            return ops.mean(model.compute_loss(inputs, targets, outputs) if loss is None else loss(targets, outputs))

    if not model.built:
        value()  # before the runs are recorded: building a model may run its layers, too
    runs = _recorded_runs(value)
    if not runs:
        raise ValueError(f"No recurrent layer of keras_recurrent runs in the model. Received: {model}")

    def nudged_value(*nudges):
        rest = iter(nudges)
        with nudging(lambda cell, shapes: [next(rest) for _ in shapes]):
            return value()

    nudges = [ops.zeros(shape, dtype=cell.compute_dtype) for cell, shapes in runs for shape in shapes]
    derivatives = iter(gradients(nudged_value, nudges))
    paths = [cell.path for cell, _ in runs]
    flows = {}
    for index, (path, (_, shapes)) in enumerate(zip(paths, runs, strict=True)):
        name = path if paths.count(path) == 1 else f"{path}:{paths[: index + 1].count(path)}"
        flows[name] = np.moveaxis(np.hypot.reduce([_norms(next(derivatives)) for _ in shapes]), 0, -1)
    return flows


def _recorded_runs(function: Callable[[], Any]) -> list[tuple[Any, list]]:
    """Calls a function, and returns the cells that ran in it with the shapes of their states at all steps."""
    runs: list[tuple[Any, list]] = []
    with nudging(lambda cell, shapes: runs.append((cell, shapes))):
        function()
    return runs


def spectral_radii(layer: Any) -> dict[str, float]:
    """Computes the spectral radius of a recurrent layer's weights: the largest absolute eigenvalue for each gate.

    While the activations are nearly linear, states and gradients grow or decay by about this factor per step.

    Args:
        layer: A built recurrent layer of this package.

    Returns:
        Dictionary from a gate to a float; a cell without gates has the key `state`.

    Raises:
        ValueError: If the layer has no cell of this package, is not built, or its recurrent weights are not square.

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


def _cell(layer: Any) -> RecurrentCell:
    cell = getattr(layer, "cell", None)
    if not isinstance(cell, RecurrentCell):
        raise ValueError(f"The layer must be a recurrent layer with a cell of keras_recurrent. Received: {layer}")
    return cell


def _trace(layer: Any, inputs: Any, mask: Any) -> list[list[np.ndarray]]:
    """Computes the states and the gates of a layer at each step, lists of arrays `(batch, steps, units)`."""
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
    initial, weights = cell.get_initial_state(inputs.shape[0]), [ops.convert_to_tensor(w) for w in cell.inner_weights]
    _, (states, gates, _) = unroll(cell, sequences, initial, weights, masks=masks, project=cell.project)
    if layer.go_backwards:
        states, gates = tree.map_structure(lambda x: ops.flip(x, 0), (states, gates))
    return [[ops.convert_to_numpy(ops.transpose(x, (1, 0, 2))) for x in tensors] for tensors in (states, gates)]


def _tensors(x: Nest) -> Nest:
    """Converts arrays, numbers and nests of them to tensors; a list of numbers, or of such lists, is one array."""
    if isinstance(x, list) and not any(hasattr(leaf, "shape") for leaf in tree.flatten(x)):
        x = np.asarray(x)
    return tree.map_structure(ops.convert_to_tensor, x)


def _norms(x: Any) -> np.ndarray:
    """Computes Euclidean norms over the last axis, in double precision, since squares of gradients may underflow."""
    return np.linalg.norm(ops.convert_to_numpy(x).astype("float64"), axis=-1)
