"""Opinions about films whose first words may turn them round; `grammar` needs nothing outside the standard library."""
