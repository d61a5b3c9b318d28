"""Texts: tokenizers, batches, and writing texts by search or sampling."""
