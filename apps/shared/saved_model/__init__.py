"""What a SavedModel computes around the core of a model, in TensorFlow: strings and encoded images."""
