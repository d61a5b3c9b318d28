"""Export of one time step of a model."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from ..layers.loop import loop_settings
from .model import batches, check_arguments, example_arrays, serving_function, write


def export_step(
    model: Any,
    path: str | Path,
    format: str = "saved_model",
    batch_size: int | None = 1,
    quantize: str | None = None,
    representative_data: Any = None,
) -> dict[str, np.ndarray]:
    """Writes one time step of a model, with the states of its recurrent layers as inputs and outputs.

    A program that receives a sequence step by step, such as audio or the values of a sensor, calls the file once per
    step and passes the states on. The inputs of the file are those of the model without the axis of the time steps, and
    the states. Its outputs are those of the model, named as in `export_model`, again without that axis, and the new
    states. A state has the name of its layer and of itself, such as `lstm_h`; the new state is `next_lstm_h`. The file
    contains no loop.

    A step that a mask excludes keeps the states and outputs zeros.

    Args:
        model: A Keras model whose inputs are sequences `(batch, steps, ...)` with `steps` None. Its recurrent layers
            are those of this package. All other layers treat each time step alone, such as `Dense`.
        path, format: As for `export_model`.
        batch_size: The batch size of the file; None for any.
        quantize: As for `export_model`.
        representative_data: As for `export_model`: example sequences `(examples, steps, ...)`.

    Returns:
        The initial states `(1, units)` by the names of the inputs: zeros, except those of a `LearnedInitialStateCell`.

    Raises:
        ValueError: As `export_model`, or if a layer needs the whole sequence or is stateful.
        MissingExtra: If the format's converter is not installed.

    Example:

    >>> from keras_recurrent.export import export_step
    >>> from keras_recurrent.layers import GRU
    >>> model = keras.Sequential([keras.Input((None, 3)), GRU(8, name="gru"), keras.layers.Dense(2)])
    >>> states = export_step(model, "step.tflite", format="litert")
    >>> {name: state.shape for name, state in states.items()}
    {'gru_h': (1, 8)}
    """
    path = check_arguments(path, format, quantize, representative_data)
    function, signature = serving_function(model, None)
    for spec in signature:
        if len(spec.shape) < 2 or spec.shape[1] is not None:
            raise ValueError(
                f"The input '{spec.name}' must have the shape (batch, None, ...), for any number of steps. Received: "
                f"{tuple(spec.shape)}"
            )
    specs = [tf.TensorSpec([batch_size, *spec.shape[2:]], spec.dtype, spec.name) for spec in signature]
    initial_states = _initial_states(function, specs)
    step = _step_function(function, specs, list(initial_states))
    _check(function, step, specs, initial_states)
    state_specs = [
        tf.TensorSpec([batch_size, state.shape[-1]], state.dtype, name) for name, state in initial_states.items()
    ]
    examples = None
    if representative_data is not None:
        sequences = example_arrays(representative_data, signature)
        examples = list(_examples(step, sequences, initial_states, batch_size or 1))
    write(path, format, step, [*specs, *state_specs], quantize=quantize, examples=examples)
    return initial_states


def _initial_states(function: Callable, specs: Sequence[tf.TensorSpec]) -> dict[str, np.ndarray]:
    """Returns the initial states of the recurrent layers in the order in which the model runs them."""
    states: dict[str, np.ndarray] = {}

    def run_layer(layer: Any, run: Callable, initial_state: Any) -> Any:
        if layer.stateful:
            raise ValueError(f"The layer '{layer.name}' is stateful. Build the same model with stateful=False")
        if layer.go_backwards:
            raise ValueError(f"The layer '{layer.name}' runs backwards, which needs the whole sequence")
        tensors = tree.flatten(initial_state)
        kinds = getattr(layer.cell, "state_names", [f"state_{index}" for index in range(len(tensors))])
        for kind, state in zip(kinds, tensors, strict=True):
            name = f"{layer.name}_{kind}"
            while name in states:  # a layer that is called twice
                name += "_again"
            states[name] = keras.ops.convert_to_numpy(state)
        return run(initial_state)

    with loop_settings(portable=True, layer=run_layer):
        function(*_random_inputs(specs, 1, 1))
    if not states:
        raise ValueError("The model has no recurrent layer of this package")
    return states


def _step_function(function: Callable, specs: Sequence[tf.TensorSpec], names: list[str]) -> Callable:
    """Returns the function of one step, from its inputs and the states to its outputs and the new states."""
    shapes = [
        {name: output.shape for name, output in function(*_random_inputs(specs, 1, steps)).items()} for steps in (1, 2)
    ]
    sequences = [name for name, shape in shapes[0].items() if shape != shapes[1][name]]

    def step(*tensors: Any) -> dict[str, Any]:
        inputs, states = tensors[: len(specs)], list(tensors[len(specs) :])
        new_states: list[Any] = []

        def run_layer(layer: Any, run: Callable, initial_state: Any) -> Any:
            count = len(tree.flatten(initial_state))
            own = [states.pop(0) for _ in range(count)]
            last, outputs, after = run(tree.pack_sequence_as(initial_state, own))
            new_states.extend(tree.flatten(after))
            return last, outputs, after

        with loop_settings(layer=run_layer, unroll=True):
            outputs = function(*(x[:, None] for x in inputs))
        outputs = {name: output[:, 0] if name in sequences else output for name, output in outputs.items()}
        return outputs | {f"next_{name}": state for name, state in zip(names, new_states, strict=True)}

    return step


def _examples(
    step: Callable, sequences: dict[str, np.ndarray], initial_states: dict[str, np.ndarray], batch_size: int
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the inputs and states of all time steps of sequences."""
    examples, steps = next(iter(sequences.values())).shape[:2]
    states = {name: np.repeat(state, examples, axis=0) for name, state in initial_states.items()}
    for time in range(steps):
        inputs = {name: x[:, time] for name, x in sequences.items()} | states
        yield from batches(inputs, batch_size)
        outputs = step(*map(tf.constant, inputs.values()))
        states = {name: outputs[f"next_{name}"].numpy() for name in states}


def _check(
    function: Callable, step: Callable, specs: Sequence[tf.TensorSpec], initial_states: dict[str, np.ndarray]
) -> None:
    """Raises a `ValueError` unless the step, repeated, computes what the model computes for a sequence."""
    steps = 12  # with few, the last one may be the largest by chance, which a pooling would return
    inputs = _random_inputs(specs, 1, steps)
    expected = function(*inputs)
    states = list(initial_states.values())
    for time in range(steps):
        outputs = step(*(x[:, time] for x in inputs), *states)
        states = [outputs[f"next_{name}"] for name in initial_states]
        for name, output in expected.items():
            is_sequence = output.shape != outputs[name].shape
            if is_sequence or time == steps - 1:
                output = output[:, time] if is_sequence else output
                if not np.allclose(output, outputs[name], rtol=1e-3, atol=1e-4):
                    raise ValueError(
                        f"The output '{name}' cannot be computed step by step: a layer reads several time steps, such "
                        "as pooling, a convolution, attention or a recurrent layer of Keras"
                    )


def _random_inputs(specs: Sequence[tf.TensorSpec], batch_size: int, steps: int) -> list[Any]:
    """Returns inputs of the model: random numbers, or ones for integers, which may be indices."""
    rng = np.random.default_rng(0)
    return [
        tf.constant(rng.normal(size=shape) if spec.dtype.is_floating else np.ones(shape), spec.dtype)
        for spec in specs
        for shape in [(batch_size, steps, *spec.shape[1:])]
    ]
