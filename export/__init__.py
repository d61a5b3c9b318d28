"""Export of Keras models with recurrent layers to ONNX, LiteRT, OpenVINO and TensorFlow's SavedModel."""

from ..extras import import_extra

import_extra("tensorflow", "export")  # a clear message where the imports below would fail

from .keras_layers import to_keras  # noqa: E402
from .model import export_model  # noqa: E402
from .step import export_step  # noqa: E402

__all__ = ["export_model", "export_step", "to_keras"]
