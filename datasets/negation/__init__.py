"""Generated opinions about films that a negation at the beginning may invert; only the builder imports TensorFlow."""
