"""Images: pixels, the same inside a graph, backbones and their features."""
