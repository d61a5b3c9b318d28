"""Image captioning: pictures in, sentences about them out."""
