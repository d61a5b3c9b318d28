"""English-Korean sentence pairs generated from a grammar; `grammar` needs nothing outside the standard library."""
