"""Drawn scenes with captions and questions; only the builder needs TensorFlow."""
