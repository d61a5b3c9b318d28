"""Export of Keras models with recurrent layers to ONNX, LiteRT, OpenVINO and TensorFlow's SavedModel."""

from .keras_layers import to_keras
from .model import export_model
from .step import export_step

__all__ = ["export_model", "export_step", "to_keras"]
