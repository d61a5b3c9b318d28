"""The formats of exports, without TensorFlow: the command checks its options before TensorFlow is loaded."""

from typing import NamedTuple


class Format(NamedTuple):
    """A format of exported models.

    Attributes:
        suffix: Suffix of its files; empty for a folder.
        quantizations: Types of stored weights besides float32.
    """

    suffix: str
    quantizations: tuple[str, ...] = ()


FORMATS = {
    "saved_model": Format(""),
    "onnx": Format(".onnx", ("float16", "int8")),
    "litert": Format(".tflite", ("float16", "int8")),
    "openvino": Format(".xml", ("float16",)),
}
