"""Recurrent layers for Keras 3 written from their equations, and complete applications built on them.

`keras_recurrent.layers` holds the layers, `keras_recurrent.apps` the applications, `keras_recurrent.datasets` the
data that they read. Nothing is imported here, so that the command line answers before TensorFlow is loaded.
"""

__version__ = "0.1.0"
