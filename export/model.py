"""Export of a Keras model."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from ..export_formats import FORMATS
from ..files import atomic_folder
from . import formats
from .formats import Function


def export_model(
    model: Any,
    path: str | Path,
    format: str = "saved_model",
    input_signature: Sequence[Any] | None = None,
    right_padded_masks: bool = False,
    quantize: str | None = None,
    representative_data: Any = None,
) -> None:
    """Writes a Keras model in a format for deployment. The file or folder appears complete or not at all.

    The model may hold any layers, ours or those of Keras. What it computes is what `model(inputs, training=False)`
    computes. The inputs have the names of `model.inputs`. The outputs have the keys of a dictionary or the fields of a
    NamedTuple that the model returns, and otherwise the names `output_0`, `output_1`, ...

    In ONNX, a `SimpleRNN`, `LSTM` or `GRU` with the activations tanh, sigmoid and relu becomes the operation `RNN`,
    `LSTM` or `GRU`, also within `Bidirectional`. If its input has a mask, this requires `right_padded_masks=True`. All
    other cells, and masks of other patterns, become a `Loop`. OpenVINO's files are made from ONNX and have its
    operations for sequences.

    Args:
        model: A built Keras model, or a layer with one tensor as its input.
        path: The folder of a SavedModel, or a file that ends in `.onnx`, `.tflite` (LiteRT) or `.xml` (OpenVINO, whose
            weights are in a `.bin` file of the same name). An existing one is replaced.
        format: `"saved_model"`, `"onnx"`, `"litert"` or `"openvino"`.
        input_signature: One specification with a shape, a dtype and a name per input, such as a `keras.InputSpec`, in
            the order of `model.inputs`. It fixes dimensions that are None in the model, or gives the inputs of a
            subclassed model. None takes `model.inputs`.
        right_padded_masks: Whether all masks that reach recurrent layers are True up to the length of a row and False
            after it, as those of padded texts are. Used by ONNX and OpenVINO. The results for other masks are then
            wrong.
        quantize: `"float16"` or `"int8"`, the type of the stored weights; None keeps float32. A SavedModel has float32
            only, OpenVINO no int8. ONNX converts the weights back and computes in float32. LiteRT multiplies int8
            weights by activations that it quantizes while it runs.
        representative_data: Example inputs, an array with one row per example or a list of arrays in the order of
            `model.inputs`; a hundred examples suffice. With `quantize="int8"` in LiteRT, their ranges determine the
            scales with which the file computes in int8 throughout, as LiteRT for Microcontrollers requires. Its inputs
            and outputs stay float32. It can have no loop: use `export_step`.

    Raises:
        ValueError: If the backend is not TensorFlow, the format does not exist, `path` has another ending, the inputs
            of the model are not known, a layer is stateful in a format other than the SavedModel, or the format lacks
            an operation or the type of the weights.
        MissingExtra: If the format's converter is not installed.

    Example:

    >>> from keras_recurrent.export import export_model
    >>> from keras_recurrent.layers import GRU
    >>> model = keras.Sequential([keras.Input((None, 3)), GRU(8)])
    >>> export_model(model, "gru.tflite", format="litert")
    """
    path = check_arguments(path, format, quantize, representative_data)
    function, signature = serving_function(model, input_signature)
    examples = None
    if representative_data is not None:
        arrays = example_arrays(representative_data, signature)
        examples = list(batches(arrays, signature[0].shape[0] or 1))
    write(path, format, function, signature, right_padded_masks, quantize, examples)


def check_arguments(path: str | Path, format: str, quantize: str | None, representative_data: Any) -> Path:
    """Checks the arguments of an export and returns the absolute path. Raises a `ValueError` if they do not fit."""
    if keras.config.backend() != "tensorflow":
        raise ValueError(f"Exports require the backend TensorFlow. The backend is {keras.config.backend()}")
    if format not in FORMATS:
        raise ValueError(f"Argument `format` must be one of {', '.join(FORMATS)}. Received: format={format!r}")
    suffix, quantizations = FORMATS[format]
    if quantize not in (None, *quantizations):
        raise ValueError(
            f"Argument `quantize` must be one of {', '.join(map(repr, (*quantizations, None)))} for format={format!r}. "
            f"Received: quantize={quantize!r}"
        )
    if representative_data is not None and (format, quantize) != ("litert", "int8"):
        raise ValueError("Argument `representative_data` requires format='litert' and quantize='int8'")
    path = Path(path).absolute()
    if suffix and path.suffix != suffix:
        raise ValueError(f"Argument `path` must end in {suffix} for format={format!r}. Received: {path}")
    if path.exists() and path.is_dir() != (not suffix):
        raise ValueError(f"Argument `path` must not be a {'folder' if path.is_dir() else 'file'}. Received: {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write(
    path: Path,
    format: str,
    function: Function,
    signature: Sequence[tf.TensorSpec],
    right_padded_masks: bool = False,
    quantize: str | None = None,
    examples: Iterable[dict[str, Any]] | None = None,
) -> None:
    """Writes a function of tensors in one of the `FORMATS`; see `formats.py`."""
    match format:
        case "saved_model":
            with atomic_folder(path) as partial:
                formats.write_saved_model(partial, {"serving_default": (function, signature)})
        case "onnx":
            formats.write_onnx(path, function, signature, right_padded_masks, quantize)
        case "openvino":
            formats.write_openvino(path, function, signature, right_padded_masks, quantize)
        case "litert":
            formats.write_litert(path, function, signature, quantize, examples)


def example_arrays(representative_data: Any, signature: Sequence[tf.TensorSpec]) -> dict[str, np.ndarray]:
    """Returns example inputs as arrays by the names of the inputs. Raises a `ValueError` if they do not fit."""
    data = representative_data if isinstance(representative_data, (list, tuple)) else [representative_data]
    shapes = [np.shape(x) for x in data]
    is_valid = len(shapes) == len(signature) and all(shapes) and len({shape[0] for shape in shapes}) == 1
    if not is_valid or not all(s.shape[1:].is_compatible_with(x[1:]) for s, x in zip(signature, shapes, strict=True)):
        raise ValueError(
            "Argument `representative_data` must have one array per input, with one row per example, of the shapes "
            f"{[tuple(spec.shape) for spec in signature]}. Received: the shapes {shapes}"
        )
    return {spec.name: np.asarray(x, spec.dtype.as_numpy_dtype) for spec, x in zip(signature, data, strict=True)}


def batches(arrays: dict[str, np.ndarray], batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Yields as many rows of all arrays as the file takes at a time; the last rows may be left out."""
    for index in range(batch_size, len(next(iter(arrays.values()))) + 1, batch_size):
        yield {name: array[index - batch_size : index] for name, array in arrays.items()}


def serving_function(model: Any, input_signature: Sequence[Any] | None) -> tuple[Function, list[tf.TensorSpec]]:
    """Returns a model as a function from tensors to a dictionary of tensors, and the specifications of the tensors."""
    inputs = getattr(model, "inputs", None)
    if input_signature is None:
        if not inputs:
            raise ValueError(
                f"Argument `input_signature` must be given for '{model.name}', which was not built from `keras.Input`"
            )
        input_signature = inputs
    input_signature = tree.flatten(input_signature)
    if inputs and len(input_signature) != len(inputs):
        raise ValueError(
            f"Argument `input_signature` must have one specification per input, {len(inputs)}. Received: "
            f"{len(input_signature)}"
        )
    names = [
        getattr(spec, "name", None) or (inputs[index].name if inputs else f"input_{index}")
        for index, spec in enumerate(input_signature)
    ]
    signature = [
        tf.TensorSpec(spec.shape, tf.as_dtype(spec.dtype or "float32"), re.sub(r"\W", "_", name))
        for spec, name in zip(input_signature, names, strict=True)
    ]
    # The structure of the inputs, which a Functional model knows.
    structure = None if len(signature) == 1 else [None] * len(signature)
    if inputs and not isinstance(model, keras.Sequential):
        structure = model.input

    def function(*tensors: Any) -> dict[str, Any]:
        return named_outputs(model(tree.pack_sequence_as(structure, list(tensors)), training=False))

    return function, signature


def named_outputs(outputs: Any) -> dict[str, Any]:
    """Returns outputs of a model as a dictionary."""
    if hasattr(outputs, "_asdict"):
        outputs = outputs._asdict()
    if isinstance(outputs, dict) and not any(map(tree.is_nested, outputs.values())):
        return {name: output for name, output in outputs.items() if output is not None}
    tensors = [output for output in tree.flatten(outputs) if output is not None]
    return {f"output_{index}": output for index, output in enumerate(tensors)}
