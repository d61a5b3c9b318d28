"""Character-level text generation."""
