"""From a TensorFlow function to a file of each format."""

import contextlib
import itertools
import logging
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from ..export_formats import FORMATS
from ..extras import import_extra
from ..files import atomic_file, flush
from ..layers.loop import loop_settings
from .nodes import RecurrentNodes, share_weights
from .onnx_loops import inline_invariants
from .quantization import quantize_onnx

# A function from tensors to a dictionary of tensors.
Function: TypeAlias = Callable[..., dict[str, Any]]

# Of the operations in the files, which all runtimes of the last years support.
_ONNX_OPSET = 17


def write_saved_model(
    path: Path, signatures: Mapping[str, tuple[Function, Sequence[tf.TensorSpec]]], tables: Iterable[Any] = ()
) -> None:
    """Writes a SavedModel into an empty or new folder.

    The variables of the functions are found and stored once. A `tf.function` that several of them call is stored once.
    The loaded object has a method of the name of each signature. As with Keras, `serve` is another name of
    `serving_default`.

    Args:
        path: The folder to write.
        signatures: From the name of each signature to its function and the specifications of the arguments, each with
            a name. One is `"serving_default"`.
        tables: The lookup tables of the functions, or objects that hold tables and no variables.

    Raises:
        OSError: If the folder cannot be written.
    """
    module = tf.Module()
    functions = {
        name: tf.function(function, input_signature=signature, autograph=False)
        for name, (function, signature) in signatures.items()
    }
    for name, function in functions.items():
        setattr(module, name, function)
    module.serve = functions["serving_default"]
    with loop_settings(fused=False):  # whoever loads it may have no GPU
        module.tracked = [*tables, *(function.get_concrete_function().variables for function in functions.values())]
        try:
            tf.saved_model.save(module, path, signatures=functions)
        except tf.errors.OpError as error:  # such as a full disk
            raise OSError(error.message) from error


def write_onnx(
    path: Path,
    function: Function,
    signature: Sequence[tf.TensorSpec],
    right_padded_masks: bool = False,
    quantize: str | None = None,
) -> None:
    """Writes an ONNX file.

    Args:
        path: The file to write.
        function: Function from tensors to a dictionary of tensors.
        signature: The specifications of its arguments, each with a name.
        right_padded_masks: Whether all masks of recurrent layers are True up to the length of a row and False after it.
        quantize: `"float16"` or `"int8"`, the type of the stored weights, or None.

    Raises:
        MissingExtra: If a converter is not installed.
        ValueError: If the function has an operation that ONNX does not have.
    """
    with atomic_file(path) as partial:
        model = to_onnx(function, signature, RecurrentNodes(right_padded_masks))
        share_weights(model.graph)
        if quantize is not None:
            quantize_onnx(model, quantize)
        partial.write_bytes(model.SerializeToString())


def to_onnx(function: Function, signature: Sequence[tf.TensorSpec], nodes: RecurrentNodes) -> Any:
    """Returns a function as an ONNX model with the recurrent operations `nodes`; see `write_onnx`."""
    onnx = import_extra("onnx", "onnx")
    tf2onnx = import_extra("tf2onnx", "onnx")
    logging.getLogger("tf2onnx.shape_inference").setLevel(logging.ERROR)  # it warns of each placeholder
    with _quiet(), loop_settings(portable=True, node=nodes.mark):
        concrete = tf.function(function, autograph=False).get_concrete_function(*signature)
        _check_stateless(concrete)
        # tf2onnx takes constants that a function captures, such as the means of a `Normalization`, for inputs.
        model, _ = tf2onnx.convert.from_function(
            _frozen(concrete, signature), signature, opset=_ONNX_OPSET, custom_op_handlers=nodes.handlers
        )
    inline_invariants(model.graph)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        operation = re.search(r"No Op registered for (\w+)", str(error))
        if operation is None:
            raise
        raise ValueError(f"ONNX has no operation for TensorFlow's {operation[1]}") from error
    return model


def write_openvino(
    path: Path,
    function: Function,
    signature: Sequence[tf.TensorSpec],
    right_padded_masks: bool = False,
    quantize: str | None = None,
) -> None:
    """Writes an OpenVINO model: `path`, which ends in `.xml`, and the weights in a `.bin` file of the same name.

    Args:
        path: The `.xml` file to write.
        function, signature, right_padded_masks: As for `write_onnx`.
        quantize: `"float16"`, the type of the stored weights, or None.

    Raises:
        MissingExtra: If a converter is not installed.
        ValueError: If the function has an operation that ONNX does not have.
    """
    openvino = import_extra("openvino", "openvino")
    # From bytes: OpenVINO 2026.4 refuses the same loops if it reads them from a file.
    nodes = RecurrentNodes(right_padded_masks, with_lengths=False)
    model = openvino.Core().read_model(to_onnx(function, signature, nodes).SerializeToString())
    _read_batch_first(model)
    _save_openvino(model, path, quantize)


def write_openvino_loops(
    path: Path, function: Function, signature: Sequence[tf.TensorSpec], quantize: str | None = None
) -> None:
    """Writes an OpenVINO model as `write_openvino` does, with loops in place of the operations for sequences.

    It is made from TensorFlow's operations: OpenVINO (2026.4) does not read the loop of a search from ONNX.

    Args:
        path, function, signature, quantize: As for `write_openvino`.
    """
    openvino = import_extra("openvino", "openvino")
    with _frozen_saved_model(_trace_dense(function, signature), signature) as folder:
        _save_openvino(openvino.convert_model(folder), path, quantize)


def _save_openvino(model: Any, path: Path, quantize: str | None) -> None:
    if quantize not in (None, *FORMATS["openvino"].quantizations):
        raise ValueError(f"OpenVINO's files cannot store weights as {quantize}")
    openvino = import_extra("openvino", "openvino")
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as partial:
        model_file = Path(partial) / "model.xml"
        openvino.save_model(model, model_file, compress_to_fp16=quantize == "float16")
        for file in (model_file, model_file.with_suffix(".bin")):
            flush(file)
        # The new weights never stand beside an old model.
        path.unlink(missing_ok=True)
        model_file.with_suffix(".bin").replace(path.with_suffix(".bin"))
        model_file.replace(path)
        flush(path.parent)


def _read_batch_first(model: Any) -> None:
    """Removes pairs of transpositions in front of the recurrent operations of an OpenVINO model.

    Where operations share a transposed input, OpenVINO (2026.4) confuses its axes on a CPU.
    """
    for operation in model.get_ops():
        if operation.get_type_name() in ("RNNSequence", "LSTMSequence", "GRUSequence"):
            outer = operation.input_value(0).get_node()
            if _swaps_batch(outer) and _swaps_batch(inner := outer.input_value(0).get_node()):
                operation.input(0).replace_source_output(inner.input_value(0))


def _swaps_batch(operation: Any) -> bool:
    """Returns whether an operation of OpenVINO is a transposition of the first two of three axes."""
    if operation.get_type_name() != "Transpose":
        return False
    order = operation.input_value(1).get_node()
    return order.get_type_name() == "Constant" and order.data.tolist() == [1, 0, 2]


def write_litert(
    path: Path,
    function: Function,
    signature: Sequence[tf.TensorSpec],
    quantize: str | None = None,
    representative_data: Iterable[dict[str, Any]] | None = None,
) -> None:
    """Writes a LiteRT file (`.tflite`) of LiteRT's own operations with the signature `"serving_default"`.

    Args:
        path: The file to write.
        function, signature: As for `write_onnx`.
        quantize: `"float16"` or `"int8"`, the type of the stored weights, or None.
        representative_data: Examples of the inputs, by name. With them, int8 is also the type of the computation.

    Raises:
        ValueError: If the function has an operation that LiteRT does not have, or a loop in int8.
    """
    concrete = _trace_dense(function, signature)
    if representative_data is not None:
        _check_no_loops(concrete)
    # A file that is made from a concrete function has no signature.
    with atomic_file(path) as partial, _frozen_saved_model(concrete, signature) as folder:
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if quantize is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if representative_data is not None:
            converter.representative_dataset = lambda: representative_data
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        try:
            content = converter.convert()
        except Exception as error:  # the converter and its parts raise many types
            operations = sorted(set(re.findall(r"tf\.(\w+)", str(error))))
            if not operations:
                raise
            if any(operation.startswith("TensorList") for operation in operations):
                raise ValueError(
                    "LiteRT has no operations for the loop of Keras's recurrent layers and cells. Those of "
                    "keras_recurrent.layers take the same weights"
                ) from error
            raise ValueError(f"LiteRT has no operation for TensorFlow's {', '.join(operations)}") from error
        partial.write_bytes(content)


def _trace_dense(function: Function, signature: Sequence[tf.TensorSpec]) -> Any:
    """Returns a concrete function with dense loops."""
    with _quiet(), loop_settings(portable=True, dense=True):
        concrete = tf.function(function, autograph=False).get_concrete_function(*signature)
    _check_stateless(concrete)
    return concrete


def _frozen(concrete: Any, signature: Sequence[tf.TensorSpec]) -> Any:
    """Returns a `tf.function` that computes what a concrete function does, with constants for what it captures."""
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    return tf.function(
        lambda *arguments: tf.nest.pack_sequence_as(concrete.structured_outputs, frozen(*arguments)),
        input_signature=signature,
        autograph=False,
    )


@contextlib.contextmanager
def _frozen_saved_model(concrete: Any, signature: Sequence[tf.TensorSpec]) -> Iterator[str]:
    """Writes a concrete function without its variables as a SavedModel for a converter."""
    module = tf.Module()
    module.serve = _frozen(concrete, signature)  # the converter leaves variables in a loop
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": module.serve})
        yield folder


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides the warnings of TensorFlow's Python code about what a converter does not need, such as lookup tables."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # of the converter's own old interpreter
            yield
    finally:
        logger.setLevel(level)


def _check_stateless(concrete: Any) -> None:
    """Raises a `ValueError` if a traced function changes variables."""
    for operation in concrete.graph.get_operations():
        if operation.type.startswith("Assign"):
            raise ValueError(
                f"The model changes variables in {operation.name.rpartition('/')[0]}, as stateful layers do, which "
                "only a SavedModel can. `export_step` writes a model with its states as inputs and outputs"
            )


def _check_no_loops(concrete: Any) -> None:
    """Raises a `ValueError` if a traced function has a loop. LiteRT's calibration of one ends the process."""
    graph = concrete.graph.as_graph_def()
    nodes = itertools.chain(graph.node, *(function.node_def for function in graph.library.function))
    if any(node.op.endswith("While") for node in nodes):
        raise ValueError(
            "LiteRT computes no loops in int8. `export_step` writes one time step, which needs no loop; so do layers "
            "with unroll=True and a fixed number of steps"
        )
