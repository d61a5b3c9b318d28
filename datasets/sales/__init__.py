"""Generated daily sales of shops; only the builder imports TensorFlow."""
