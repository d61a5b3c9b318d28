"""Generated images of shapes with captions and questions; only the builder imports TensorFlow."""
